//! The images that a denoising network learns from, as training names them. Their names are kept in a folder beside the run, so that it can
//! go on, and be made again, with `msd-gpu train` alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::Project;
use super::about::Image;
use super::purpose::{Aim, LearnsFrom, Role};
use crate::files::{read_text, write_bytes_atomic};
use crate::images::natural_order;
use crate::network::TaskKind;
use crate::training::Settings;
use crate::{Error, Result};

/// In the folder of the names: all that is learnt from, a line each; and which clean image belongs to which noisy one.
const IMAGES: &str = "images.txt";
const PAIRS: &str = "pairs.csv";
/// Most bytes of the first of them.
const MOST_BYTES: u64 = 64 << 20;

/// The images that a denoising network learns from.
#[derive(Debug)]
pub(in crate::portal) struct TrainingImages<'a> {
    project: &'a Project,
    learns_from: LearnsFrom,
    /// Noisy and clean images, one of each for each pair; or the recordings; or the noisy images.
    groups: Vec<(Role, Vec<Image>)>,
}

impl Project {
    /// What a denoising network learns from now.
    ///
    /// # Errors
    /// [`Error::Mismatch`] saying what is missing, and for images of which it is not clear which belong together.
    pub(in crate::portal) fn training_images(&self) -> Result<TrainingImages<'_>> {
        let (_, learns_from) = self.purpose();
        let images = self.images();
        let noisy = || images.iter().filter(|image| image.role != Role::Clean).cloned().collect::<Vec<_>>();
        let groups = match learns_from {
            LearnsFrom::Alone => vec![(Role::Noisy, noisy())],
            LearnsFrom::Pairs => {
                let clean = images.iter().filter(|image| image.role == Role::Clean).cloned().collect();
                let (noisy, clean) = paired(noisy(), clean)?.into_iter().unzip();
                vec![(Role::Noisy, noisy), (Role::Clean, clean)]
            }
            LearnsFrom::Splits => recordings(&images)?,
        };
        if groups.iter().all(|(_, images)| images.is_empty()) {
            return Err(Error::Mismatch("there are no images to learn from; add some".into()));
        }
        Ok(TrainingImages { project: self, learns_from, groups })
    }

    /// The images that show the same as the image `id` in all recordings that the project learns from, in the order of these; that image
    /// alone in projects that learn from others.
    pub(in crate::portal) fn recordings_of(&self, image: &Image) -> Vec<Image> {
        let alone = || vec![image.clone()];
        let (_, learns_from) = self.purpose();
        let Ok(groups) = recordings(&self.images()) else { return alone() };
        let place = groups.iter().find_map(|(_, all)| all.iter().position(|one| one.id == image.id));
        match place.filter(|_| self.denoises() && learns_from == LearnsFrom::Splits) {
            Some(place) => groups.iter().filter_map(|(_, all)| all.get(place).cloned()).collect(),
            None => alone(),
        }
    }

    /// The numbers from which to which denoised values of an image are shown: its own, so that it has the same contrast before and after;
    /// but where clean images are in other units, theirs.
    pub(in crate::portal) fn range_of_values(&self, image: &Image) -> (f64, f64) {
        let own = (image.lowest, image.highest);
        if self.purpose() != (Aim::Denoise, LearnsFrom::Pairs) {
            return own;
        }
        let clean: Vec<Image> = self.images().into_iter().filter(|image| image.role == Role::Clean).collect();
        match clean.iter().find(|clean| clean.name == image.name).or(clean.first()) {
            Some(clean) if !is_in_same_units(image, clean) => (clean.lowest, clean.highest),
            _ => own,
        }
    }

    /// The images that are worked on where all are asked for: in projects that denoise, no clean ones, and of several recordings the first.
    pub(in crate::portal) fn images_to_work_on(&self) -> Vec<Image> {
        let mut images = self.images();
        if !self.denoises() {
            return images;
        }
        let splits = self.purpose().1 == LearnsFrom::Splits;
        let groups = if splits { recordings(&images).ok() } else { None };
        let first = groups.as_ref().and_then(|groups| groups.first());
        let first: Option<BTreeSet<&str>> =
            first.map(|(_, images)| images.iter().map(|image| image.id.as_str()).collect());
        images.retain(|image| match (image.role, &first) {
            (Role::Clean, _) => false,
            (Role::Split(_), Some(first)) => first.contains(image.id.as_str()),
            _ => true,
        });
        images
    }
}

/// Whether most numbers of two images are so near that they can be of the same units: strong noise makes the range of numbers a few times as
/// wide, other bits a pixel far more.
fn is_in_same_units(noisy: &Image, clean: &Image) -> bool {
    const MOST: f64 = 16.0;
    let (of_noisy, of_clean) = (noisy.high - noisy.low, clean.high - clean.low);
    let overlap = noisy.low <= clean.high && clean.low <= noisy.high;
    overlap && of_noisy <= MOST * of_clean && of_clean <= MOST * of_noisy
}

/// The recordings of the same slices: as many images of each, in the natural order of their names.
fn recordings(images: &[Image]) -> Result<Vec<(Role, Vec<Image>)>> {
    let mut groups = BTreeMap::<Role, Vec<Image>>::new();
    for image in images.iter().filter(|image| matches!(image.role, Role::Split(_))) {
        groups.entry(image.role).or_default().push(image.clone());
    }
    groups.values_mut().for_each(|all| all.sort_by(|a, b| natural_order(&a.name, &b.name)));
    let groups: Vec<_> = groups.into_iter().collect();
    let Some(((_, first), others)) = groups.split_first().filter(|(_, others)| !others.is_empty()) else {
        let problem = "there are not two recordings of the same slices yet; add the images of the first as recording 1 (split-1), and those of the second as recording 2 (split-2)";
        return Err(Error::Mismatch(problem.into()));
    };
    if let Some((role, other)) = others.iter().find(|(_, other)| other.len() != first.len()) {
        return Err(Error::Mismatch(format!(
            "{} has {} images but {role} has {}; wanted the same slices in all recordings",
            groups[0].0,
            first.len(),
            other.len()
        )));
    }
    Ok(groups)
}

/// Each noisy image that has a clean one of its name, with that; of one noisy and one clean image names do not matter.
fn paired(noisy: Vec<Image>, clean: Vec<Image>) -> Result<Vec<(Image, Image)>> {
    if clean.is_empty() {
        let problem =
            "there are no clean images yet; add those that show the same as noisy ones, with the same names";
        return Err(Error::Mismatch(problem.into()));
    }
    if let ([noisy], [clean]) = (noisy.as_slice(), clean.as_slice()) {
        return Ok(vec![(noisy.clone(), clean.clone())]);
    }
    let mut by_name = BTreeMap::new();
    for image in clean {
        let name = image.name.clone();
        if by_name.insert(name.clone(), image).is_some() {
            return Err(Error::Mismatch(format!("there are two clean images {name}; take one of them out")));
        }
    }
    let of = |image: Image| Some((by_name.get(&image.name).cloned()?, image));
    let pairs: Vec<_> = noisy.into_iter().filter_map(of).map(|(clean, noisy)| (noisy, clean)).collect();
    if pairs.is_empty() {
        let name = by_name.keys().next().map_or("", String::as_str);
        return Err(Error::Mismatch(format!(
            "no noisy image has the name of a clean one, such as {name}; give images that belong together the same names"
        )));
    }
    Ok(pairs)
}

impl TrainingImages<'_> {
    /// What is learnt from.
    pub(in crate::portal) fn learns_from(&self) -> LearnsFrom {
        self.learns_from
    }

    /// How many slices are learnt from.
    pub(in crate::portal) fn slices(&self) -> usize {
        self.groups.first().map_or(0, |(_, images)| images.iter().map(|image| image.slices).sum())
    }

    /// A line on images that nothing is learnt from; `None` where there are none.
    pub(in crate::portal) fn left_out(&self) -> Option<String> {
        let used: usize = self.groups.iter().map(|(_, images)| images.len()).sum();
        let is_of_alone = |image: &Image| self.learns_from != LearnsFrom::Alone || image.role != Role::Clean;
        let left =
            self.project.images().iter().filter(|image| is_of_alone(image)).count().saturating_sub(used);
        (left > 0).then(|| {
            format!("{left} images have none that they belong together with, and are not learnt from")
        })
    }

    /// The folder for the names of what the run `number` learns from.
    fn folder(&self, number: u64) -> PathBuf {
        self.project.folder().join("runs").join(format!("images-{number}"))
    }

    /// All that is learnt from, in text. A file that was replaced is another one.
    fn list(&self) -> String {
        let stamp = |image: &Image| {
            let file = std::fs::metadata(self.project.folder().join(&image.path)).ok();
            let changed =
                file.as_ref().and_then(|file| file.modified().ok()?.duration_since(UNIX_EPOCH).ok());
            let changed = changed.map_or(0, |time| time.as_nanos());
            format!("{} bytes of {changed}", file.map_or(0, |file| file.len()))
        };
        let mut text = format!("{:?}\n", self.learns_from).to_lowercase();
        for (role, images) in &self.groups {
            text.extend(
                images.iter().map(|image| {
                    format!("{role} {}{}, {}\n", image.path.display(), image.inside, stamp(image))
                }),
            );
        }
        text
    }

    /// What the run `number` learns from, as [`LearnsFrom`] says it; and whether this is that.
    pub(in crate::portal) fn compared_to(&self, number: u64) -> (bool, bool) {
        let text =
            read_text(&self.folder(number).join(IMAGES), MOST_BYTES).ok().flatten().unwrap_or_default();
        let list = self.list();
        (text.lines().next() == list.lines().next(), text == list)
    }

    /// Writes down what the run `number` learns from, and gives settings that name it.
    ///
    /// # Errors
    /// [`Error::Output`] where it cannot be written; [`Error::Mismatch`] for arrays inside files among several images.
    pub(in crate::portal) fn lay_out(&self, number: u64) -> Result<Settings> {
        let folder = self.folder(number);
        let failed = |error: std::io::Error| {
            Error::output(&folder, format!("the names of images cannot be written: {error}")).caused_by(error)
        };
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(failed)?;
        }
        std::fs::create_dir_all(&folder).map_err(failed)?;
        write_bytes_atomic(folder.join(IMAGES), self.list().as_bytes())?;
        let task = TaskKind::Regress;
        let mut settings = match self.learns_from {
            LearnsFrom::Pairs => {
                // For who applies the network to all of them.
                if let Some((role, noisy)) = self.groups.first().filter(|(_, noisy)| noisy.len() > 1) {
                    self.place(&folder, *role, noisy).ok();
                }
                let list = folder.join(PAIRS);
                write_bytes_atomic(&list, &self.pairs()?)?;
                let list = list.display().to_string();
                let mut settings = Settings::new(task, &list, &list);
                settings.pairs = Some(list);
                settings
            }
            LearnsFrom::Splits => {
                let mut settings = Settings::new(task, "", "");
                let places = self.groups.iter().map(|(role, images)| self.place(&folder, *role, images));
                settings.learn_from_splits(places.collect::<Result<_>>()?);
                settings
            }
            LearnsFrom::Alone => {
                let (role, images) = &self.groups[0];
                let mut settings = Settings::new(task, self.place(&folder, *role, images)?, "");
                settings.learn_alone();
                settings
            }
        };
        settings.patience = Settings::default_patience(true);
        Ok(settings)
    }

    /// The list of pairs. Files of the project are named from the list on, as the project may be moved.
    fn pairs(&self) -> Result<Vec<u8>> {
        let failed = |error: String| Error::output(PAIRS, error);
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["image", "target"]).map_err(|error| failed(error.to_string()))?;
        let place = |image: &Image| format!("{}{}", from_names(&image.path, "../..").display(), image.inside);
        if let [(_, noisy), (_, clean)] = self.groups.as_slice() {
            for (noisy, clean) in noisy.iter().zip(clean) {
                writer
                    .write_record([place(noisy), place(clean)])
                    .map_err(|error| failed(error.to_string()))?;
            }
        }
        writer.into_inner().map_err(|error| failed(error.to_string()))
    }

    /// What names images for training: a single one itself, several a folder with links to them.
    fn place(&self, folder: &Path, role: Role, images: &[Image]) -> Result<String> {
        if let [only] = images {
            return Ok(only.place(self.project.folder()));
        }
        let folder = folder.join(role.to_string());
        let failed = |error: std::io::Error| {
            Error::output(&folder, format!("the links to images cannot be made: {error}")).caused_by(error)
        };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        for image in images {
            if !image.inside.is_empty() {
                return Err(Error::Mismatch(format!(
                    "{} is an array inside a file, which is learnt from by itself only; take the other images out, or save it as a file",
                    image.name
                )));
            }
            let name = image.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (stem, ending) =
                name.split_once('.').map_or((&*name, ""), |(stem, _)| (stem, &name[stem.len()..]));
            let numbered = (2_u64..).map(|number| format!("{stem}-{number}{ending}"));
            let mut paths = std::iter::once(name.clone()).chain(numbered).map(|name| folder.join(name));
            let at =
                paths.find(|path| path.symlink_metadata().is_err()).unwrap_or_else(|| folder.join(&name));
            link(&self.project.folder().join(&image.path), &from_names(&image.path, "../../.."), &at)
                .map_err(failed)?;
        }
        Ok(folder.display().to_string())
    }
}

/// The path of an image as seen from `up`, which leads to the project; one outside of it stays as it is.
fn from_names(path: &Path, up: &str) -> PathBuf {
    if path.is_absolute() { path.to_path_buf() } else { Path::new(up).join(path) }
}

/// A link at `at` to a file, which is at `seen` from there.
#[cfg(unix)]
fn link(_: &Path, seen: &Path, at: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(seen, at)
}

/// Where links are for administrators alone, a second name of the file, or a copy on another disk.
#[cfg(not(unix))]
fn link(real: &Path, _: &Path, at: &Path) -> std::io::Result<()> {
    std::fs::hard_link(real, at).or_else(|_| std::fs::copy(real, at).map(drop))
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::images::write_tiff_f32;

    fn project(folder: &Path, learns_from: LearnsFrom, files: &[(&str, &str)]) -> Project {
        let data = folder.join("data");
        for (role, name) in files {
            std::fs::create_dir_all(data.join(role)).unwrap();
            let image = Array3::from_shape_fn((1, 8, 9), |(_, y, x)| (y * x + role.len()) as f32);
            write_tiff_f32(data.join(role).join(name), &image).unwrap();
        }
        let project = Project::open(&folder.join("project"), &[data]).unwrap();
        project.set_purpose(Aim::Denoise, Some(learns_from)).unwrap();
        for (role, name) in files {
            project.add_as(&format!("{role}/{name}"), false, Some(role.parse().unwrap())).unwrap();
        }
        project
    }

    #[test]
    fn pairs_are_listed_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            ("noisy", "b, c.tif"),
            ("noisy", "a.tif"),
            ("noisy", "more.tif"),
            ("clean", "a.tif"),
            ("clean", "b, c.tif"),
        ];
        let project = project(folder.path(), LearnsFrom::Pairs, &files);
        let sources = project.training_images().unwrap();
        assert_eq!((sources.slices(), sources.compared_to(1)), (2, (false, false)));
        assert!(sources.left_out().is_some_and(|line| line.starts_with("1 images have none")));
        let settings = sources.lay_out(1).unwrap();
        let list = std::fs::read_to_string(settings.pairs.unwrap()).unwrap();
        let lines: Vec<_> = list.lines().collect();
        assert!(
            lines.len() == 3 && lines[1].contains("noisy/b, c.tif\"") && lines[1].contains("clean/b, c.tif"),
            "{list}"
        );
        assert_eq!(sources.compared_to(1), (true, true));
        let file = folder.path().join("data/clean/a.tif");
        write_tiff_f32(&file, &Array3::zeros((1, 8, 9))).unwrap();
        std::fs::File::options().append(true).open(&file).unwrap().set_modified(UNIX_EPOCH).unwrap();
        assert_eq!(sources.compared_to(1), (true, false));
        sources.lay_out(1).unwrap();
        project.remove("i1").unwrap();
        assert_eq!(project.training_images().unwrap().compared_to(1), (true, false));
        // Shown as they were, but those of other units as the clean ones.
        let image = project.image("i2").unwrap();
        let clean = project.image("i4").unwrap();
        assert_eq!(project.range_of_values(&image), (image.lowest, image.highest));
        let finer = Image {
            low: 257.0 * image.low,
            high: 257.0 * image.high,
            highest: 257.0 * image.highest,
            ..image
        };
        assert_eq!(project.range_of_values(&finer), (clean.lowest, clean.highest));
        let work: Vec<_> = project.images_to_work_on().into_iter().map(|image| image.id).collect();
        assert_eq!(work, ["i2", "i3"]);
        for id in ["i4", "i5"] {
            project.remove(id).unwrap();
        }
        assert!(project.training_images().unwrap_err().to_string().contains("no clean images"));
    }

    #[test]
    fn recordings_are_as_many_images_each() {
        let folder = tempfile::tempdir().unwrap();
        let files = [("split-1", "s10.tif"), ("split-1", "s9.tif"), ("split-2", "s9.tif")];
        let project = project(folder.path(), LearnsFrom::Splits, &files);
        let error = project.training_images().unwrap_err().to_string();
        assert!(error.contains("split-1 has 2 images but split-2 has 1"), "{error}");
        let first = project.image("i1").unwrap();
        assert_eq!(project.recordings_of(&first), std::slice::from_ref(&first));
        std::fs::copy(folder.path().join("data/split-1/s9.tif"), folder.path().join("data/split-2/s10.tif"))
            .unwrap();
        project.add_as("split-2/s10.tif", true, Some(Role::Split(2))).unwrap();
        let ids = |images: Vec<Image>| images.into_iter().map(|image| image.id).collect::<Vec<_>>();
        assert_eq!(ids(project.recordings_of(&first)), ["i1", "i4"]);
        assert_eq!(ids(project.images_to_work_on()), ["i1", "i2"]);
        let settings = project.training_images().unwrap().lay_out(7).unwrap();
        let found = |place: &str| {
            crate::images::discover(place).unwrap().into_iter().map(|image| image.stem).collect::<Vec<_>>()
        };
        assert_eq!(settings.splits.len(), 2);
        assert!(settings.splits.iter().all(|place| found(place) == ["s9", "s10"]), "{:?}", settings.splits);
        assert_eq!(settings.images, settings.splits[0]);
        // The copy is named from the project on, which may be moved.
        #[cfg(unix)]
        {
            let link = std::fs::read_link(Path::new(&settings.splits[1]).join("s10.tif")).unwrap();
            assert_eq!(link, Path::new("../../../images/split-2/s10.tif"));
        }
    }

    #[test]
    fn noisy_images_alone_are_a_file_or_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let project = project(folder.path(), LearnsFrom::Alone, &[("noisy", "a.tif")]);
        let settings = project.training_images().unwrap().lay_out(1).unwrap();
        assert!(settings.alone && settings.images.ends_with("data/noisy/a.tif"), "{}", settings.images);
        project.remove("i1").unwrap();
        assert!(project.training_images().unwrap_err().to_string().contains("no images to learn from"));
    }
}
