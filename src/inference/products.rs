//! The files that results are kept in.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, ArrayView3, Axis, CowArray, Ix3};

use super::ensemble::Ensemble;
use super::grouping::{Grouping, StackOf};
use super::prediction::Found;
use super::product::Product;
use super::result_name::ResultName;
use crate::files::make_and_try;
use crate::geometry::{Extent, Window};
use crate::images::{
    ClassLook, ImageSource, LabelFormat, NewStack, Palette, Sink, StackFormat, StackLayout, StackSink,
    write_labels_as, write_png_rgb8,
};
use crate::network::{Class, Task};
use crate::{Error, Result, pictures};

/// How much of the class's colour an overlay shows.
const OPACITY: f32 = 0.5;
/// The file that says which colour is which class in overlays.
const LEGEND: &str = "legend.png";
const LEGEND_STEM: &str = "legend";

/// Which files are wanted in addition to the labels or values of each image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wishes {
    /// The probability of each class.
    pub probabilities: bool,
    /// The labels in colours over the image.
    pub overlay: bool,
    /// How sure the result is.
    pub uncertainty: bool,
    /// A file for each page of a stack, instead of a stack.
    pub pages: bool,
}

/// One result of one image.
pub(super) enum Rendered<'a> {
    /// Label values, `[y][x]`, and how they are stored.
    Labels(Array2<i64>, LabelFormat),
    /// Numbers, `[channel][y][x]`.
    Values(CowArray<'a, f32, Ix3>),
    /// Red, green and blue, `[y][x][colour]`.
    Colours(Array3<u8>),
}

/// An image or a part of one, `[channel][y][x]`, that a picture shows.
pub(super) struct Shown {
    pub(super) image: Array3<f32>,
    /// Which values are black and white, for a part; an image by itself has its own.
    pub(super) range: Option<(f32, f32)>,
}

/// The files that are written for each image, and where: labels or values as `NAME.png` or `NAME.tif`, and those that [`Wishes`]
/// ask for. The images of a stack become a stack, `NAME.tif`, unless files for each page are asked for.
#[derive(Debug, Clone)]
pub struct Products {
    /// The classes of a segmentation.
    classes: Vec<Class>,
    products: Vec<Product>,
    folder: PathBuf,
    /// Whether pages of a stack have files of their own.
    pages: bool,
    /// The format that was asked for; `None` for that of each image.
    format: Option<StackFormat>,
    /// What the only result is called; `None` for the names of the images.
    name: Option<ResultName>,
    /// The channels of values or probabilities.
    channels: usize,
}

impl Products {
    /// Those of models of `task` with these `classes`, in `folder`; from `predictions` predictions a mean is taken.
    ///
    /// # Errors
    /// [`Error::Setting`] for wishes that the models cannot fulfil; [`Error::Mismatch`] for classes that no label image holds.
    pub fn new(task: &Task, predictions: usize, wishes: Wishes, folder: &Path) -> Result<Self> {
        let several = predictions > 1;
        let deviation = (wishes.uncertainty && several).then_some(Product::Deviation);
        let folder = folder.to_path_buf();
        let Task::Segment { classes } = task else {
            for (name, wished) in [("probabilities", wishes.probabilities), ("overlay", wishes.overlay)] {
                if wished {
                    let found = "given for a regression model";
                    return Err(Error::setting(name, found, "it shows classes; leave it out"));
                }
            }
            if wishes.uncertainty && !several {
                let found = "given for a single prediction of values";
                let wanted = "only several can differ; name more than one `model`, or average with `tta`";
                return Err(Error::setting("uncertainty", found, wanted));
            }
            let products = [Product::Values].into_iter().chain(deviation).collect();
            let (classes, pages) = (Vec::new(), wishes.pages);
            return Ok(Self {
                classes,
                products,
                folder,
                pages,
                format: None,
                name: None,
                channels: usize::MAX,
            });
        };
        let format = LabelFormat::holding(classes.iter().map(|class| class.value)).ok_or_else(|| {
            Error::Mismatch(
                "the model has classes with values beyond 32 bits, which no label image holds; train on smaller label values"
                    .into(),
            )
        })?;
        let mut products = vec![Product::Labels(format)];
        products.extend(wishes.probabilities.then_some(Product::Probabilities));
        products.extend(wishes.overlay.then_some(Product::Overlay));
        products.extend(deviation);
        products.extend(wishes.uncertainty.then_some(Product::Entropy));
        let (channels, pages) = (classes.len(), wishes.pages);
        Ok(Self { classes: classes.clone(), products, folder, pages, format: None, name: None, channels })
    }

    /// Those of an ensemble.
    ///
    /// # Errors
    /// As [`Products::new`].
    pub fn of(ensemble: &Ensemble, wishes: Wishes, folder: &Path) -> Result<Self> {
        let products = Self::new(&ensemble.model().task, ensemble.predictions(), wishes, folder)?;
        Ok(Self { channels: ensemble.model().architecture.outputs, ..products })
    }

    /// Creates the folder and checks that files can be written there. Refuses images as [`Products::check`] does.
    ///
    /// # Errors
    /// [`Error::Output`] for a folder that takes no files; else as [`Products::check`].
    pub fn prepare(&self, images: &[ImageSource]) -> Result<()> {
        self.check(images)?;
        make_and_try(&self.folder)
    }

    /// Refuses images whose results would overwrite something: two images whose results have the same name, or an image that lies
    /// in the folder itself.
    ///
    /// # Errors
    /// [`Error::Mismatch`] and [`Error::Setting`] for these.
    pub fn check(&self, images: &[ImageSource]) -> Result<()> {
        let mut owners = BTreeMap::new();
        if self.wants_image()
            && let Some(image) = images.iter().find(|image| image.stem == LEGEND_STEM)
        {
            return Err(Error::Mismatch(format!(
                "the labels of {} would be written to legend.png, which is for the legend; rename the image, or leave out `overlay`",
                image.name()
            )));
        }
        let grouping = self.grouping(images);
        self.check_name(&grouping)?;
        let stacks = grouping.stacks.iter().map(|stack| (&images[stack.first], self.stack_files(stack)));
        let alone = images.iter().zip(&grouping.places).filter(|(_, place)| place.is_none());
        let alone = alone.map(|(image, _)| (image, self.image_files(&image.stem)));
        for (image, files) in alone.chain(stacks) {
            for (path, _) in files {
                if let Some(other) = owners.insert(path.clone(), image) {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    return Err(Error::Mismatch(format!(
                        "{} and {} would both be written to {name}; rename one, or predict them into different folders",
                        other.name(),
                        image.name()
                    )));
                }
            }
        }
        if let Ok(place) = self.folder.canonicalize() {
            // A single result that is called otherwise can lie beside its image.
            let in_danger = |path: &Path| {
                let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
                match &self.name {
                    None => path.parent() == Some(&place),
                    Some(_) => {
                        owners.keys().any(|file| path == place.join(file.file_name().unwrap_or_default()))
                    }
                }
            };
            let mut inputs = images.iter().flat_map(|image| image.files().map(move |path| (image, path)));
            let mut seen = HashSet::new();
            if let Some((image, path)) = inputs.find(|(_, path)| seen.insert(*path) && in_danger(path)) {
                // Of an image that is made of several files, the one that lies there.
                let name = if image.files().count() > 1 { path.display().to_string() } else { image.name() };
                let wanted = format!(
                    "the input {name} is in that folder and could be overwritten; name another folder"
                );
                return Err(Error::setting("out", self.folder.display(), wanted));
            }
        }
        Ok(())
    }

    /// Whether the deviation over predictions is needed.
    pub(super) fn want_deviation(&self) -> bool {
        self.products.iter().any(|product| matches!(product, Product::Deviation))
    }

    /// Whether only the most probable classes are wanted, and nothing of how probable they are.
    pub(super) fn want_classes_only(&self) -> bool {
        self.products.iter().all(|product| matches!(product, Product::Labels(_) | Product::Overlay))
    }

    /// Whether a picture shows the image itself too.
    pub(super) fn wants_image(&self) -> bool {
        self.products.iter().any(|product| matches!(product, Product::Overlay))
    }

    /// Which of the images belong together.
    pub(super) fn grouping(&self, images: &[ImageSource]) -> Grouping {
        Grouping::of(images, self.pages)
    }

    /// The colours of the classes by their values; other values are white.
    pub(super) fn palette(&self) -> Palette {
        let mut palette = [[0xff; 3]; 256];
        for (class, index) in self.classes.iter().zip(0..) {
            if let Some(colour) = usize::try_from(class.value).ok().and_then(|value| palette.get_mut(value)) {
                *colour = pictures::class_colour(index);
            }
        }
        palette
    }

    /// Writes the legend of the pictures, where there are any.
    ///
    /// # Errors
    /// [`Error::Output`] when it cannot be written.
    pub(super) fn write_legend(&self) -> Result<()> {
        const WIDTH: usize = 400;
        if !self.wants_image() {
            return Ok(());
        }
        let names: Vec<String> = self.classes.iter().map(Class::caption).collect();
        write_png_rgb8(self.folder.join(LEGEND), &pictures::legend(&names, WIDTH))
    }

    /// What tells these files from others that are wanted, whatever their folder.
    pub(super) fn identity(&self) -> String {
        format!("{:?}", Self { folder: PathBuf::new(), ..self.clone() })
    }

    /// What other files of the only result are called after, where it has a name of its own.
    pub(super) fn stem(&self) -> Option<&str> {
        self.name.as_ref().map(|name| name.stem.as_str())
    }

    /// The dataset of the HDF5 file at `path`, where one was named for it.
    pub(super) fn dataset_of(&self, path: &Path) -> Option<String> {
        let name = self.name.as_ref().filter(|name| path.file_name() == Some(name.file.as_os_str()))?;
        name.dataset.clone()
    }

    /// Refuses a name for the labels or values whose format does not hold them.
    fn check_name(&self, grouping: &Grouping) -> Result<()> {
        let (Some(name), Some(wanted)) = (&self.name, self.format) else { return Ok(()) };
        let refused =
            |problem: String| Err(Error::setting("out", self.folder.join(&name.file).display(), problem));
        if let (StackFormat::Png, Some(stack)) = (wanted, grouping.stacks.first()) {
            let count = stack.members.len();
            let what = &stack.name;
            return refused(format!(
                "a PNG file holds one image, and {what} has {count}; name a file that ends in .tif, or a folder, with `pages` for a file for each"
            ));
        }
        let main = self.products.iter().copied().find(|product| product.is_main());
        if main.is_some_and(|main| main.format(wanted, self.channels) != wanted) {
            let what = match main {
                Some(Product::Labels(_)) => "labels of 32 bits".to_owned(),
                _ if self.channels == 1 => "values".to_owned(),
                _ => format!("values of {} channels", self.channels),
            };
            return refused(format!(
                "a file of that ending does not hold {what}; name one that ends in .tif, .h5, .npy or .ome.zarr"
            ));
        }
        Ok(())
    }

    /// The folder of the files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The files of a stack, one for each product, and their formats.
    pub(super) fn stack_files(&self, stack: &StackOf) -> Vec<(PathBuf, StackFormat)> {
        let wanted = self.format.unwrap_or(stack.format);
        self.products.iter().map(|product| self.file_as(*product, &stack.stem, wanted)).collect()
    }

    /// Whether several programs can write the files of a stack together, each some of its images.
    pub(super) fn can_be_shared(&self, stack: &StackOf) -> bool {
        stack.is_in_order() && self.stack_files(stack).iter().all(|(_, format)| format.can_be_shared())
    }

    /// The files of an image by itself, one for each product, and their formats.
    pub(super) fn image_files(&self, stem: &str) -> Vec<(PathBuf, StackFormat)> {
        let file = |product: &Product| {
            if let Some(wanted) = self.format {
                return self.file_as(*product, stem, wanted);
            }
            let path = self.folder.join(product.file_name(stem));
            let is_png = path.extension().is_some_and(|ending| ending == "png");
            (path, if is_png { StackFormat::Png } else { StackFormat::Tiff })
        };
        self.products.iter().map(file).collect()
    }

    /// The file of a product in the `wanted` format, or in TIFF where that cannot hold it. A name that was given is kept as it is.
    fn file_as(&self, product: Product, stem: &str, wanted: StackFormat) -> (PathBuf, StackFormat) {
        let format = product.format(wanted, self.channels);
        let ending = match &self.name {
            Some(name) if format == wanted && product.is_main() => {
                return (self.folder.join(&name.file), format);
            }
            // Other files of the result end as it does, where they are of its format.
            Some(name) if format == wanted => name.ending.as_str(),
            _ => format.ending(),
        };
        let stem = match (&self.name, format) {
            (Some(name), _) => name.stem.as_str(),
            // The first part of the ending is not named twice.
            (None, StackFormat::OmeTiff) => stem.strip_suffix(".ome").unwrap_or(stem),
            (None, _) => stem,
        };
        let name = product.stack_name(stem);
        let name = name.strip_suffix(".tif").unwrap_or(&name);
        (self.folder.join(format!("{name}.{ending}")), format)
    }

    /// Whether results have a format that was asked for, images by themselves too.
    pub(super) fn has_format(&self) -> bool {
        self.format.is_some()
    }

    /// The same with results in `format`, whatever images have; with `name`, the only result is called that.
    #[must_use]
    pub fn in_format(self, format: Option<StackFormat>, name: Option<ResultName>) -> Self {
        Self { format, name, ..self }
    }

    /// The same with files of its own for each page of a stack.
    #[must_use]
    pub fn by_pages(self) -> Self {
        Self { pages: true, ..self }
    }

    /// All files that predicting `images` gives, but for the legend.
    pub fn files(&self, images: &[ImageSource]) -> Vec<PathBuf> {
        let grouping = self.grouping(images);
        let stacks = grouping.stacks.iter().map(|stack| self.stack_files(stack));
        let alone = images.iter().zip(&grouping.places).filter(|(_, place)| place.is_none());
        let alone = alone.map(|(image, _)| self.image_files(&image.stem));
        alone.chain(stacks).flatten().map(|(path, _)| path).collect()
    }

    /// What the classes are called and how they are shown.
    pub(super) fn looks(&self) -> Vec<ClassLook> {
        let look = |(class, index): (&Class, u32)| ClassLook {
            value: class.value,
            name: class.name.clone(),
            colour: pictures::class_colour(index),
        };
        self.classes.iter().zip(0..).map(look).collect()
    }

    /// Each product of an image that has no result: what kind of numbers it is of.
    pub(super) fn kinds<'p>(&self) -> Vec<(Product, Rendered<'p>)> {
        let kind = |product: &Product| {
            let values = |channels: usize| Rendered::Values(Array3::zeros((channels, 0, 0)).into());
            let rendered = match product {
                Product::Labels(format) => Rendered::Labels(Array2::zeros((0, 0)), *format),
                Product::Values | Product::Probabilities | Product::Deviation => values(self.channels),
                Product::Entropy => values(1),
                Product::Overlay => Rendered::Colours(Array3::zeros((0, 0, 0))),
            };
            (*product, rendered)
        };
        self.products.iter().map(kind).collect()
    }

    /// The stack with the names of its channels: of probabilities those of the classes, and of values those of the image where they are as
    /// many. Classes are those of labels alone.
    pub(super) fn named(&self, mut stack: NewStack, rendered: &Rendered<'_>) -> NewStack {
        let classes = || self.classes.iter().map(|class| class.name.clone()).collect();
        let channels = match rendered {
            Rendered::Labels(..) | Rendered::Colours(_) => 1,
            Rendered::Values(values) => values.dim().0,
        };
        let is_apart = stack.layout.as_ref().is_some_and(StackLayout::has_channels_apart) && channels == 1;
        let names = match rendered {
            // Each image is a channel, and so is its result.
            _ if is_apart => None,
            Rendered::Values(_) if self.classes.is_empty() => None,
            Rendered::Values(_) if channels == self.classes.len() => Some(classes()),
            _ => Some(Vec::new()),
        };
        if let Some(names) = names {
            stack.layout = match stack.layout {
                Some(layout) => Some(layout.with_channel_names(names)),
                None => (!names.is_empty()).then(|| StackLayout::named(names)),
            };
        }
        if !matches!(rendered, Rendered::Labels(..)) {
            stack.classes = Vec::new();
        }
        stack
    }

    /// Each product of one image. `image` is what a picture shows.
    pub(super) fn rendered<'p>(
        &self,
        image: Option<&Shown>,
        found: &'p Found,
    ) -> Result<Vec<(Product, Rendered<'p>)>> {
        let (mut all, prediction) = (Vec::new(), found.prediction());
        for &product in &self.products {
            let rendered = match product {
                Product::Labels(format) => {
                    let labels = found.classes().mapv(|class| self.classes[class as usize].value);
                    Some(Rendered::Labels(labels, format))
                }
                Product::Values | Product::Probabilities => {
                    prediction.map(|found| Rendered::Values(found.mean.view().into()))
                }
                // Colours over colours could not be told apart: the image is shown grey.
                Product::Overlay => match image
                    .and_then(|shown| Some((shown.image.mean_axis(Axis(0))?, shown.range)))
                {
                    Some((grey, range)) => {
                        let classes = found.classes();
                        let range = range.or_else(|| pictures::range_of(grey.view())).unwrap_or((0.0, 0.0));
                        let picture = pictures::overlay_with(grey.view(), classes.view(), OPACITY, range)?;
                        Some(Rendered::Colours(picture))
                    }
                    None => None,
                },
                Product::Deviation => prediction
                    .and_then(|found| found.deviation.as_ref())
                    .map(|deviation| Rendered::Values(deviation.view().into())),
                Product::Entropy => {
                    prediction.map(|found| Rendered::Values(found.entropy().insert_axis(Axis(0)).into()))
                }
            };
            all.extend(rendered.map(|rendered| (product, rendered)));
        }
        Ok(all)
    }

    /// Writes the files of `image`, which a picture shows as `shown`; gives their paths.
    pub(super) fn write(
        &self,
        image: &ImageSource,
        shown: Option<&Shown>,
        found: &Found,
    ) -> Result<Vec<PathBuf>> {
        let mut written = Vec::new();
        let layout = StackLayout::of_image(image);
        for (product, rendered) in self.rendered(shown, found)? {
            let path = self.folder.join(product.file_name(&image.stem));
            match rendered {
                Rendered::Labels(labels, LabelFormat::Tiff32) => {
                    let page = page(&path, layout.clone(), labels.dim(), 1);
                    let sink = page.labels(StackFormat::Tiff, LabelFormat::Tiff32, Some(&self.palette()))?;
                    write_page(sink, labels.view().insert_axis(Axis(0)))?;
                }
                Rendered::Labels(labels, format) => {
                    write_labels_as(&path, &labels, format, Some(&self.palette()))?;
                }
                Rendered::Values(values) => {
                    let (channels, height, width) = values.dim();
                    let page = page(&path, layout.clone(), (height, width), channels);
                    write_page(page.values(StackFormat::Tiff)?, values.view())?;
                }
                Rendered::Colours(picture) => write_png_rgb8(&path, &picture)?,
            }
            written.push(path);
        }
        Ok(written)
    }
}

/// A file for a single image of so many rows and columns.
fn page(path: &Path, layout: Option<StackLayout>, size: (usize, usize), channels: usize) -> NewStack {
    NewStack { layout, channels, ..NewStack::new(path, Extent::plane(size.0, size.1)) }
}

/// Writes all numbers `[channel][y][x]` of a single image.
fn write_page<T: Copy + Default + Send>(mut sink: StackSink<T>, values: ArrayView3<'_, T>) -> Result<()> {
    let whole = Window::whole(sink.extent());
    sink.write(whole, values.insert_axis(Axis(1)))?;
    Box::new(sink).done()
}
