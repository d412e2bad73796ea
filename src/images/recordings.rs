//! Several recordings of the same slices: which images of them belong together.

use std::collections::BTreeSet;

use super::discovery::Discovery;
use super::notices::warn_once;
use super::source::ImageSource;
use crate::error::{Error, Result};

impl Discovery {
    /// The images of several `recordings` of the same slices, each named as for [`Discovery::discover`]: of each slice its
    /// image in every recording, in their order. `channels` is that of [`Discovery::discover_for`], where it is known.
    ///
    /// Images pair by their names where all of these are the same, and in natural order where none is: stacks have numbers,
    /// and some programs put the name of the recording into that of each file.
    ///
    /// # Errors
    /// As [`Discovery::discover`]; [`Error::Mismatch`] for recordings of different length, for files of which only some have
    /// the same names, and for a recording that is named twice.
    pub(crate) fn discover_recordings(
        &self,
        recordings: &[String],
        channels: Option<usize>,
    ) -> Result<Vec<Vec<ImageSource>>> {
        let mut found: Vec<Vec<ImageSource>> = Vec::new();
        for name in recordings {
            let images = match channels {
                Some(channels) => self.discover_for(name, channels)?,
                None => self.discover(name)?,
            };
            for (other, before) in recordings.iter().zip(&found) {
                check_pair((other, before), (name, &images))?;
            }
            found.push(images);
        }
        let count = found.first().map_or(0, Vec::len);
        Ok((0..count).map(|slice| found.iter().map(|images| images[slice].clone()).collect()).collect())
    }
}

/// Checks that the images of two recordings belong together in the order in which they are.
fn check_pair(
    (first, images): (&str, &[ImageSource]),
    (second, others): (&str, &[ImageSource]),
) -> Result<()> {
    if images.len() != others.len() {
        return Err(Error::Mismatch(format!(
            "{first} has {} slices but {second} has {}; wanted recordings of the same slices, choose those that both have with `slices`",
            images.len(),
            others.len()
        )));
    }
    let place = |image: &ImageSource| (image.real_path(), image.place().1.to_owned(), image.page);
    if images.iter().zip(others).any(|(image, other)| place(image) == place(other)) {
        return Err(Error::Mismatch(format!(
            "{first} and {second} are the same images; wanted recordings with noise of their own, as a network learns the noise itself where it is in both"
        )));
    }
    // The pages of stacks have the numbers of their slices.
    if images.iter().chain(others).any(|image| image.page.is_some()) {
        return Ok(());
    }
    let names =
        |images: &[ImageSource]| images.iter().map(|image| image.stem.clone()).collect::<BTreeSet<_>>();
    let (known, found) = (names(images), names(others));
    let lonely = images.iter().find(|image| !found.contains(&image.stem));
    let Some(lonely) = lonely else { return Ok(()) };
    if known.is_disjoint(&found) {
        if let ([image, _, ..], [other, ..]) = (images, others) {
            warn_once(format!(
                "the files of {first} and {second} have other names: they are taken to belong together in their order, {} with {} and so on",
                image.name(),
                other.name()
            ));
        }
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "{second} has no image of the name of {}, though others have the same names in both; wanted the same slices in {first} and {second}",
        lonely.name()
    )))
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::images::write_tiff_f32;

    #[test]
    fn slices_belong_together_by_name_or_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let write = |set: &str, names: &[&str]| {
            std::fs::create_dir_all(path(set)).unwrap();
            for name in names {
                write_tiff_f32(path(&format!("{set}/{name}.tif")), &Array3::zeros((1, 2, 2))).unwrap();
            }
        };
        write("a", &["s1", "s2", "s10"]);
        write("b", &["s1", "s2", "s10"]);
        write("odd", &["odd1", "odd2", "odd10"]);
        write("gap", &["s1", "s3", "s10"]);
        write("short", &["s1", "s2"]);
        let find = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| path(name)).collect();
            Discovery::default().discover_recordings(&names, Some(1))
        };
        let stems = |found: Vec<Vec<ImageSource>>| -> Vec<Vec<String>> {
            found.into_iter().map(|slice| slice.into_iter().map(|image| image.stem).collect()).collect()
        };
        assert_eq!(stems(find(&["a", "b"]).unwrap())[2], ["s10", "s10"]);
        assert_eq!(stems(find(&["a", "b", "odd"]).unwrap())[1], ["s2", "s2", "odd2"]);
        let refusals = [("gap", "s2.tif"), ("short", "has 3 slices but"), ("a", "the same images")];
        for (other, part) in refusals {
            let error = find(&["b", "a", other]).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
