//! Labels from files: which values they have, which class each stands for, and what they paint.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use ndarray::{Array2, Axis};
use serde::Deserialize;

use super::pixels::{Named, Pixels};
use super::{Class, Done, Image, Project, Run, SERVER};
use crate::files::UnfinishedFile;
use crate::geometry::{Extent, Window};
use crate::images::{
    Discovery, ImageSource, LabelFormat, NO_LABEL, NewStack, Sink, StackFormat, StackSink, has_palette,
    page_size,
};
use crate::portal::journal::{Entry, Import, Shape, UNLABELLED};
use crate::{Error, Result};

/// Rows that are read and written at once.
const ROWS: usize = 256;
/// The names of label files that were laid over: these with a number between them.
const IMPORT: (&str, &str) = ("labels/import-", ".tif");
/// Most values of a label file: of an image with more nobody will say what each one means.
const MOST_VALUES: usize = 1024;

/// Which class a value stands for, as it is given.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(in crate::portal) enum Meaning {
    /// Null, for none.
    None(()),
    Number(u8),
    /// The name of a class, a number, or `none`.
    Text(String),
}

/// Which values of a label file stand for which classes, as far as that is given.
pub(in crate::portal) type Meanings = BTreeMap<i64, Meaning>;

/// What was found in a label file, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::portal) struct Laid {
    /// The values, each with its pixels.
    pub(in crate::portal) values: BTreeMap<i64, u64>,
    /// The classes that the file names, by their values.
    pub(in crate::portal) names: BTreeMap<i64, Named>,
    /// `None` where it is not known what some values stand for: nothing was laid over.
    pub(in crate::portal) done: Option<Done>,
}

/// Reads which values stand for which classes: `0:none,255:cell` or `{"0": null, "255": "cell"}`. A class is named by its number or its
/// name.
///
/// # Errors
/// [`Error::Mismatch`] for anything else.
pub(in crate::portal) fn meanings(text: &str) -> Result<Meanings> {
    let unreadable = || {
        Error::Mismatch(
            "`values` must say what each value stands for, such as 0:none,255:cell or {\"0\":null,\"255\":\"cell\"}".into(),
        )
    };
    let pairs: Vec<(String, Meaning)> = match text.trim_start().starts_with('{') {
        true => serde_json::from_str::<BTreeMap<String, Meaning>>(text)
            .map_err(|_| unreadable())?
            .into_iter()
            .collect(),
        false => {
            let pairs = text.split(',').map(|part| part.split_once(':').ok_or_else(unreadable));
            let pairs =
                pairs.map(|pair| pair.map(|(value, class)| (value.into(), Meaning::Text(class.into()))));
            pairs.collect::<Result<_>>()?
        }
    };
    let pairs = pairs
        .into_iter()
        .map(|(value, meaning)| Ok((value.trim().parse::<i64>().map_err(|_| unreadable())?, meaning)));
    pairs.collect()
}

impl Meaning {
    /// The label that it stands for, [`UNLABELLED`] for none.
    fn label(&self, classes: &[Class]) -> Result<u8> {
        let missing = |what: &str| {
            let what: String = what.chars().filter(|c| !c.is_control()).take(80).collect();
            Error::Mismatch(format!(
                "`values` names the class '{what}', which the project does not have; add it first"
            ))
        };
        let numbered = |number: u8| classes.iter().find(|class| class.class == number);
        match self {
            Meaning::None(()) => Ok(UNLABELLED),
            Meaning::Number(number) => {
                numbered(*number).map(|class| class.class).ok_or_else(|| missing(&number.to_string()))
            }
            Meaning::Text(text) => {
                let text = text.trim();
                if text == "none" {
                    return Ok(UNLABELLED);
                }
                let found = text.parse().ok().and_then(numbered);
                let found = found.or_else(|| classes.iter().find(|class| class.name == text));
                found.map(|class| class.class).ok_or_else(|| missing(text))
            }
        }
    }
}

/// The label of each value of a file that names its classes; `None` where the project has no class of that name and nothing else is given.
fn labels_by_name(
    values: &BTreeMap<i64, u64>,
    names: &BTreeMap<i64, Named>,
    meanings: &Meanings,
    classes: &[Class],
) -> Result<Option<BTreeMap<i64, u8>>> {
    let mut labels = BTreeMap::new();
    for value in values.keys() {
        let named = || {
            let name = &names.get(value)?.name;
            classes.iter().find(|class| class.name == *name).map(|class| class.class)
        };
        let label = match meanings.get(value) {
            Some(meaning) => Some(meaning.label(classes)?),
            None => named(),
        };
        let Some(label) = label else { return Ok(None) };
        labels.insert(*value, label);
    }
    Ok(Some(labels))
}

/// The label of each value, [`UNLABELLED`] for none; `None` where it is not known for all. What is not given is the number of a class, or in
/// files that show classes in colours, as those of this program, 255 for none.
fn labels_of(
    values: &BTreeMap<i64, u64>,
    meanings: &Meanings,
    classes: &[Class],
    has_colours: bool,
) -> Result<Option<BTreeMap<i64, u8>>> {
    let mut labels = BTreeMap::new();
    for (value, meaning) in meanings {
        labels.insert(*value, meaning.label(classes)?);
    }
    for value in values.keys() {
        if labels.contains_key(value) {
            continue;
        }
        let number = u8::try_from(*value).ok();
        let class = number.filter(|number| classes.iter().any(|class| class.class == *number));
        let none = number.filter(|number| has_colours && *number == UNLABELLED);
        let Some(label) = class.or(none) else { return Ok(None) };
        labels.insert(*value, label);
    }
    Ok(Some(labels))
}

impl Project {
    /// Lays the labels in the file at `path`, an image or stack or what Labkit and ilastik keep, over those of the image `id`. `values` says
    /// which class each value stands for, such as `0:none,255:cell`; it may be empty. False where this is not known of all values: then
    /// nothing is done.
    ///
    /// # Errors
    /// [`Error::Input`] for a damaged file; [`Error::Mismatch`] for labels of another size, of very many values, for an image that there is
    /// not, and for `values` that say something else; [`Error::Output`] where the project cannot be written.
    pub fn lay_over(&self, id: &str, path: &Path, values: &str) -> Result<bool> {
        let meanings = if values.is_empty() { Meanings::new() } else { meanings(values)? };
        Ok(self.import(SERVER, id, path, &meanings)?.done.is_some())
    }

    /// Lays the label image or stack in the file at `from` over the labels of an image, where it is known what all its values stand for: by
    /// `meanings`, as numbers of classes, or by the names that the file has, as those of Labkit and ilastik do.
    ///
    /// # Errors
    /// [`Error::Input`] for what is no label image, [`Error::Mismatch`] for one of another size or of very many values, and for
    /// meanings that are none.
    pub(in crate::portal) fn import(
        &self,
        tab: &str,
        id: &str,
        from: &Path,
        meanings: &Meanings,
    ) -> Result<Laid> {
        let Some(image) = self.image(id) else {
            return Err(Error::Mismatch(format!("there is no image {id} in the project")));
        };
        if let Some(pixels) = Pixels::read(from, &image)? {
            let (values, names) = (pixels.values(), pixels.names.clone());
            let Some(labels) = labels_by_name(&values, &names, meanings, &self.classes())? else {
                return Ok(Laid { values, names, done: None });
            };
            let label = |value: i64| labels.get(&value).copied().unwrap_or(UNLABELLED);
            let done = self.lay(tab, &image, |sink| {
                for slice in 0..image.slices {
                    for top in (0..image.height).step_by(ROWS) {
                        let rows = top..(top + ROWS).min(image.height);
                        let band = pixels.band(slice, rows.clone(), image.width, label);
                        let window = Window::new(slice..slice + 1, rows, 0..image.width);
                        sink.write(window, band.insert_axis(Axis(0)).insert_axis(Axis(0)).view())?;
                    }
                }
                Ok(())
            })?;
            return Ok(Laid { values, names, done: Some(done) });
        }
        let pages = Discovery::default().discover_single_channel(&from.display().to_string())?;
        let first = pages.first().map(page_size).transpose()?;
        let size = first.map(|(_, height, width)| (pages.len(), height, width));
        if size != Some((image.slices, image.height, image.width)) {
            let (slices, height, width) = size.unwrap_or_default();
            return Err(Error::Mismatch(format!(
                "the labels have {width} x {height} pixels in {slices} slices, but {} has {} x {} in {}; choose the image that they belong to",
                image.name, image.width, image.height, image.slices
            )));
        }
        let values = self.values(&image, &pages)?;
        let Some(labels) = labels_of(&values, meanings, &self.classes(), has_palette(from))? else {
            return Ok(Laid { values, names: BTreeMap::new(), done: None });
        };
        let label = |value: i64| i64::from(labels.get(&value).copied().unwrap_or(UNLABELLED));
        let done = self.lay(tab, &image, |sink| {
            self.each_band(&image, &pages, |window, values| {
                sink.write(window, values.mapv(label).insert_axis(Axis(0)).insert_axis(Axis(0)).view())
            })
        })?;
        Ok(Laid { values, names: BTreeMap::new(), done: Some(done) })
    }

    /// Lays labels over those of an image that `write` writes to a file of the project.
    fn lay(
        &self,
        tab: &str,
        image: &Image,
        write: impl FnOnce(&mut StackSink<i64>) -> Result<()>,
    ) -> Result<Done> {
        let _alone = self.imports.numbering.lock().unwrap_or_else(PoisonError::into_inner);
        let number =
            (1..).find(|number| !self.folder.join(format!("{}{number}{}", IMPORT.0, IMPORT.1)).exists());
        let file = format!("{}{}{}", IMPORT.0, number.unwrap_or(1_u64), IMPORT.1);
        let path = self.folder.join(&file);
        let (layout, classes) = (None, Vec::new());
        let extent = Extent::new(image.slices, image.height, image.width);
        let stack = NewStack { layout, classes, ..NewStack::new(&path, extent) };
        let mut sink = stack.labels(StackFormat::Tiff, LabelFormat::Png8, None)?;
        write(&mut sink)?;
        Box::new(sink).done()?;
        let done = self.append(tab, vec![Entry::Import(Import { image: image.id.clone(), file })]);
        if done.is_err() {
            std::fs::remove_file(&path).ok();
        }
        done
    }

    /// The values of a label file, each with its pixels.
    fn values(&self, image: &Image, pages: &[ImageSource]) -> Result<BTreeMap<i64, u64>> {
        let mut values = BTreeMap::<i64, u64>::new();
        self.each_band(image, pages, |_, band| {
            for value in band.iter().filter(|value| **value != NO_LABEL) {
                *values.entry(*value).or_default() += 1;
                if values.len() > MOST_VALUES {
                    return Err(Error::Mismatch(format!(
                        "the file has more than {MOST_VALUES} different values, which are no classes; save one with a value for each class"
                    )));
                }
            }
            Ok(())
        })?;
        Ok(values)
    }

    /// Reads a label file band by band, and gives each with its place.
    fn each_band(
        &self,
        image: &Image,
        pages: &[ImageSource],
        mut take: impl FnMut(Window, Array2<i64>) -> Result<()>,
    ) -> Result<()> {
        for (slice, page) in pages.iter().enumerate() {
            for top in (0..image.height).step_by(ROWS) {
                let rows = top..(top + ROWS).min(image.height);
                let part = Window::plane(rows.clone(), 0..image.width);
                let labels = self.imports.files.labels(page, &part, false)?;
                take(Window::new(slice..slice + 1, rows, 0..image.width), labels)?;
            }
        }
        Ok(())
    }

    /// A file in the project's cache to put what a page sends, until it is known what it is.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub(in crate::portal) fn begin_import(&self) -> Result<(UnfinishedFile, PathBuf)> {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = self.folder.join(format!("cache/import-{number}"));
        Ok((UnfinishedFile::create(&path)?, path))
    }

    /// Refuses files that no import has written, and those of another size.
    pub(super) fn check_import(&self, file: &str, shape: Option<Shape>) -> Result<()> {
        let number = file.strip_prefix(IMPORT.0).and_then(|rest| rest.strip_suffix(IMPORT.1));
        let is_number = number
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
        if !is_number {
            return Err(Error::Mismatch(
                "`file` is no label file of this project, such as labels/import-1.tif".into(),
            ));
        }
        let pages = self.import_pages(file)?;
        let size =
            pages.first().map(page_size).transpose()?.map(|(_, height, width)| (pages.len(), height, width));
        match shape {
            Some(shape) if size != Some((shape.slices, shape.height, shape.width)) => Err(Error::Mismatch(
                format!("{file} is not as large as the image; choose the image that it belongs to"),
            )),
            _ => Ok(()),
        }
    }

    fn import_pages(&self, file: &str) -> Result<Arc<Vec<ImageSource>>> {
        let mut opened = self.imports.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pages) = opened.get(file) {
            return Ok(pages.clone());
        }
        let path = self.folder.join(file).display().to_string();
        let pages = Arc::new(Discovery::default().discover_single_channel(&path)?);
        opened.insert(file.to_owned(), pages.clone());
        Ok(pages)
    }

    /// The pixels of each label in a slice of a label file.
    pub(super) fn imported(&self, file: &str, slice: usize) -> Result<Vec<(u8, Vec<Run>)>> {
        let pages = self.import_pages(file)?;
        let Some(page) = pages.get(slice) else { return Ok(Vec::new()) };
        let (_, height, width) = page_size(page)?;
        let mut of_class: Vec<Vec<Run>> = vec![Vec::new(); 255];
        for top in (0..height).step_by(ROWS) {
            let part = Window::plane(top..(top + ROWS).min(height), 0..width);
            let labels: Array2<i64> = self.imports.files.labels(page, &part, false)?;
            for (row, labels) in labels.outer_iter().enumerate() {
                let mut x = 0;
                while x < width {
                    let label = labels[x];
                    let end = (x..width).find(|x| labels[*x] != label).unwrap_or(width);
                    if let Some(runs) = usize::try_from(label).ok().and_then(|label| of_class.get_mut(label))
                    {
                        runs.push(Run { y: top + row, start: x, end });
                    }
                    x = end;
                }
            }
        }
        let some = of_class.into_iter().zip(0_u8..).filter(|(runs, _)| !runs.is_empty());
        Ok(some.map(|(runs, class)| (class, runs)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_given_as_a_list_or_as_json() {
        let text = |text: &str| Meaning::Text(text.into());
        let wanted = Meanings::from([(0, text("none")), (255, text("cell"))]);
        assert_eq!(meanings("0:none,255:cell").unwrap(), wanted);
        let wanted = Meanings::from([(-1, Meaning::None(())), (0, Meaning::Number(3)), (7, text("a, b"))]);
        assert_eq!(meanings(r#"{"-1":null,"0":3,"7":"a, b"}"#).unwrap(), wanted);
        for text in ["", "0", "x:none", "0:none,", "{", r#"{"0":[1]}"#, r#"{"0":300}"#, r#"{"a":1}"#] {
            assert!(meanings(text).unwrap_err().to_string().contains("`values`"), "{text}");
        }
    }

    #[test]
    fn a_value_is_a_class_only_where_that_is_known() {
        let class =
            |class, name: &str| Class { class, name: name.into(), colour: "#000000".into(), locked: false };
        let classes = [class(0, "back"), class(1, "cell"), class(4, "7")];
        let of = |values: &[i64], given: &str, has_colours| {
            let values = values.iter().map(|value| (*value, 1)).collect();
            let given = if given.is_empty() { Meanings::new() } else { meanings(given)? };
            labels_of(&values, &given, &classes, has_colours)
        };
        let known = |pairs: &[(i64, u8)]| Some(pairs.iter().copied().collect::<BTreeMap<_, _>>());
        assert_eq!(of(&[0, 1, 4], "", false).unwrap(), known(&[(0, 0), (1, 1), (4, 4)]));
        // A mask is no label file of this program, which has colours.
        assert_eq!(of(&[0, 255], "", false).unwrap(), None);
        assert_eq!(of(&[0, 255], "", true).unwrap(), known(&[(0, 0), (255, 255)]));
        for unknown in [&[2][..], &[-1], &[256], &[0, 1000]] {
            assert_eq!(of(unknown, "", true).unwrap(), None, "{unknown:?}");
        }
        assert_eq!(of(&[0, 255], "0:none,255:cell", false).unwrap(), known(&[(0, 255), (255, 1)]));
        assert_eq!(of(&[0, 255], "0:0,255:7", false).unwrap(), known(&[(0, 0), (255, 4)]));
        assert_eq!(of(&[0, 1, 9], "9:none", false).unwrap(), known(&[(0, 0), (1, 1), (9, 255)]));
        assert_eq!(of(&[0, 8, 9], "9:none", false).unwrap(), None);
        for missing in ["0:3", "0:fibre", r#"{"0":3}"#] {
            assert!(of(&[0], missing, false).unwrap_err().to_string().contains("add it first"), "{missing}");
        }
    }
}
