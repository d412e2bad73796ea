//! The mean of several images of one size as an image of its own, such as of recordings of the same slice.
//!
//! They are read where they lie, each part when it is wanted; nothing is copied.

use std::sync::Arc;

use ndarray::Array3;

use super::decode::{header, misfit};
use super::source::ImageSource;
use crate::error::{Error, Result};

impl ImageSource {
    /// The mean of `images`, pixel by pixel, as brightness; its file, its page and its number type are those of the first. A
    /// single image stays as it is.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for images that differ in size or channels and for none; what comes of reading their headers.
    pub(crate) fn mean_of(images: Vec<ImageSource>) -> Result<Self> {
        let Some(first) = images.first() else {
            return Err(Error::Mismatch(
                "there are no images to take the mean of; wanted at least one".into(),
            ));
        };
        let of_first = header(first)?;
        for other in &images[1..] {
            let found = header(other)?;
            let size = |found: &super::source::Header| (found.channels, found.height, found.width);
            if size(&found) != size(&of_first) {
                let described = |(channels, height, width): (usize, usize, usize)| {
                    format!("{width} x {height} pixels of {}", crate::error::counted_channels(channels))
                };
                return Err(Error::Mismatch(format!(
                    "{} has {} but {} has {}; wanted the same in all recordings of a slice, cut or export one of them again",
                    other.name(),
                    described(size(&found)),
                    first.name(),
                    described(size(&of_first))
                )));
            }
        }
        if images.len() == 1 {
            return Ok(first.clone());
        }
        Ok(Self { averaged: Some(images.clone().into()), header: Some(of_first), ..first.clone() })
    }

    /// The images that it is the mean of; none where it is an image by itself.
    pub(crate) fn averaged(&self) -> &[ImageSource] {
        self.averaged.as_deref().unwrap_or_default()
    }
}

/// The mean of what was read of the images that `page` is the mean of.
///
/// # Errors
/// [`Error::Input`] where their sizes differ.
pub(super) fn mean(page: &ImageSource, images: &[Array3<f32>]) -> Result<Array3<f32>> {
    mean_of_arrays(images).ok_or_else(|| misfit(page))
}

/// The mean of images, in the order in which they are given; `None` where there are none and where their sizes differ.
pub(crate) fn mean_of_arrays<'a>(images: impl IntoIterator<Item = &'a Array3<f32>>) -> Option<Array3<f32>> {
    let mut images = images.into_iter();
    let mut sum = images.next()?.clone();
    let mut count = 1_usize;
    for image in images {
        if image.dim() != sum.dim() {
            return None;
        }
        sum += image;
        count += 1;
    }
    if count > 1 {
        sum /= count as f32;
    }
    Some(sum)
}

/// What a mean is of, to be shared by all that hold it.
pub(super) type Averaged = Arc<[ImageSource]>;

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;
    use crate::geometry::Window;
    use crate::images::{
        Discovery, ImageCache, PartReader, page_size, read_image, write_png_grey8, write_tiff_f32,
    };

    #[test]
    fn the_mean_is_read_alike_as_a_whole_and_in_parts() {
        let folder = tempfile::tempdir().unwrap();
        let path = |set: &str, z: u8| {
            let folder = folder.path().join(set);
            std::fs::create_dir_all(&folder).unwrap();
            folder.join(format!("z{z}.png"))
        };
        for (number, set) in ["a", "b", "c"].into_iter().enumerate() {
            for z in 0..3_u8 {
                let slice =
                    Array2::from_shape_fn((5, 4), |(y, x)| (60 * number + 15 * z as usize + 3 * y + x) as u8);
                write_png_grey8(path(set, z), &slice).unwrap();
            }
        }
        for slab in [1, 3] {
            let discovery = Discovery { slab, ..Discovery::default() };
            let sets: Vec<_> = ["a", "b", "c"]
                .map(|set| discovery.discover(folder.path().join(set).to_str().unwrap()).unwrap())
                .into();
            let of_slice = |z: usize| sets.iter().map(|set| set[z].clone()).collect::<Vec<_>>();
            let source = ImageSource::mean_of(of_slice(1)).unwrap();
            let wanted = of_slice(1)
                .iter()
                .map(|one| read_image(one).unwrap())
                .fold(Array3::<f32>::zeros((slab, 5, 4)), |sum, image| sum + image)
                / 3.0;
            assert_eq!(page_size(&source).unwrap(), (slab, 5, 4));
            assert_eq!(read_image(&source).unwrap(), wanted);
            let window = Window::plane(1..4, 2..4);
            let part = wanted.slice(s![.., 1..4, 2..4]);
            assert_eq!(PartReader::open(&source).unwrap().read(&window).unwrap(), part);
            for room in [0, 1 << 20] {
                assert_eq!(ImageCache::new(room).image(&source, &window).unwrap(), part);
            }
            assert_eq!(PartReader::held_bytes(&source), if slab == 1 { 60 } else { 180 });
            assert_eq!(source.files().count(), 3 * if slab == 1 { 1 } else { 4 });
            assert_ne!(source.identity(), of_slice(1)[0].identity());
            assert_eq!(ImageSource::mean_of(of_slice(1)[..1].to_vec()).unwrap(), of_slice(1)[0]);
        }
        let (small, odd) = (path("a", 0), folder.path().join("odd.tif"));
        write_tiff_f32(&odd, &Array3::zeros((1, 4, 4))).unwrap();
        let both =
            [small, odd].map(|path| crate::images::discover(path.to_str().unwrap()).unwrap().remove(0));
        let error = ImageSource::mean_of(both.to_vec()).unwrap_err().to_string();
        assert!(error.contains("odd.tif has 4 x 4") && error.contains("4 x 5"), "{error}");
        assert!(ImageSource::mean_of(Vec::new()).is_err());
    }
}
