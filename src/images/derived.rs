//! Images that are computed from others whenever a part of them is wanted: brought onto another grid, or cut out.
//!
//! They are read where the others lie; nothing is copied.

use ndarray::Array3;

use super::decode::{header, misfit};
use super::resampling::Resampling;
use super::source::{Header, ImageSource, SampleKind, SampleType};
use crate::error::{Error, Result};
use crate::geometry::{Extent, Window};

/// What an image is computed from, and how.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Derived {
    pub(super) from: ImageSource,
    how: Derivation,
    /// Rows and columns of `from`.
    extent: Extent,
}

// Blurs, the only numbers in it that are not whole, are finite.
impl Eq for Derived {}

#[derive(Debug, Clone, PartialEq)]
enum Derivation {
    Resampled(Resampling),
    Cut(Window),
}

impl Derived {
    /// What is computed, in words that tell it from others.
    pub(super) fn identity(&self) -> String {
        format!("{:?} of {}", self.how, self.from.identity())
    }

    /// How many pixels lie along one of the file.
    pub(super) fn fineness(&self) -> f64 {
        let own = match self.how {
            Derivation::Resampled(by) => by.fineness(),
            Derivation::Cut(_) => 1.0,
        };
        own * self.from.fineness()
    }

    /// The rows and columns of `part`, or all of `page`, which is derived so; `read` gives those of a part of what it is derived from.
    ///
    /// # Errors
    /// Those of `read`; [`Error::Input`] for more than there is memory for.
    pub(super) fn read(
        &self,
        page: &ImageSource,
        part: Option<&Window>,
        read: impl FnOnce(&Window) -> Result<Array3<f32>>,
    ) -> Result<Array3<f32>> {
        let found = header(page)?;
        let wanted = part.copied().unwrap_or(Window::plane(0..found.height, 0..found.width));
        if wanted.is_empty() || !wanted.fits(Extent::plane(found.height, found.width)) {
            return Err(misfit(page));
        }
        match self.how {
            Derivation::Cut(window) => {
                let shifted = wanted.shifted(0, window.y, window.x).ok_or_else(|| misfit(page))?;
                read(&shifted)
            }
            Derivation::Resampled(by) => {
                let needed = by.needed(&wanted, self.extent);
                let image = read(&needed)?;
                if (image.dim().1, image.dim().2) != (needed.extent.y, needed.extent.x) {
                    return Err(misfit(page));
                }
                by.apply(&page.name(), image.view(), &wanted, self.extent)
            }
        }
    }
}

impl ImageSource {
    /// The image on another grid, as brightness; its file and its page are those of this one.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where nothing would be left of it or its size would be beyond all bounds; what comes of reading its header.
    pub(crate) fn resampled(&self, by: Resampling) -> Result<Self> {
        let found = header(self)?;
        let extent = by.extent(Extent::plane(found.height, found.width)).ok_or_else(|| {
            Error::Mismatch(format!(
                "{} is {} x {} pixels, of which nothing is left on a grid of {} pixels for each; take a larger image, or another factor",
                self.name(),
                found.width,
                found.height,
                by.fineness()
            ))
        })?;
        self.derived(Derivation::Resampled(by), extent)
    }

    /// The rows and columns of `window` as an image of their own.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a window that is empty or not inside; what comes of reading its header.
    pub(crate) fn cut(&self, window: Window) -> Result<Self> {
        let found = header(self)?;
        if window.is_empty() || !window.fits(Extent::plane(found.height, found.width)) {
            return Err(Error::Mismatch(format!(
                "{} is {} x {} pixels, but {window} was wanted of it; ask for a part that lies inside",
                self.name(),
                found.width,
                found.height
            )));
        }
        if (window.extent.y, window.extent.x) == (found.height, found.width) {
            return Ok(self.clone());
        }
        self.derived(Derivation::Cut(window), window.extent)
    }

    fn derived(&self, how: Derivation, Extent { y: height, x: width, .. }: Extent) -> Result<Self> {
        let found = header(self)?;
        let samples = SampleType { kind: SampleKind::Float, bits: 32 };
        let from = Self { header: Some(found), ..self.clone() };
        let derived = Derived { from, how, extent: Extent::plane(found.height, found.width) };
        Ok(Self {
            header: Some(Header { height, width, samples, ..found }),
            slab: None,
            averaged: None,
            derived: Some(derived.into()),
            ..self.clone()
        })
    }

    /// How many pixels of the image lie along one of its file, in y and in x: 1 for an image as its file has it.
    pub(crate) fn fineness(&self) -> f64 {
        self.derived.as_ref().map_or(1.0, |derived| derived.fineness())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;
    use crate::images::{
        Discovery, ImageCache, Kernel, PartReader, Slices, StackLayout, Volume, page_size, read_image,
        write_png_grey8, write_tiff_f32,
    };

    #[test]
    fn derived_images_are_read_alike_as_a_whole_and_in_parts() {
        let folder = tempfile::tempdir().unwrap();
        for z in 0..3_u8 {
            let slice =
                Array2::from_shape_fn((9, 7), |(y, x)| (60 * z as usize + (3 * y + x * x) % 50) as u8);
            write_png_grey8(folder.path().join(format!("z{z}.png")), &slice).unwrap();
        }
        for slab in [1, 3] {
            let discovery = Discovery { slab, ..Discovery::default() };
            let source = discovery.discover(folder.path().to_str().unwrap()).unwrap().remove(1);
            let stored = read_image(&source).unwrap();
            let (coarser, finer) = (
                Resampling::Coarser { factor: 2, blur: 0.7 },
                Resampling::Finer { factor: 2, kernel: Kernel::Bicubic },
            );
            let there_and_back = source.resampled(coarser).unwrap().resampled(finer).unwrap();
            assert_eq!(page_size(&there_and_back).unwrap(), (slab, 8, 6));
            let whole = read_image(&there_and_back).unwrap();
            let extent = Extent::plane(9, 7);
            let coarse_window = Window::plane(0..4, 0..3);
            let needed = coarser.needed(&coarse_window, extent);
            let coarse = coarser
                .apply("a", stored.slice(s![.., needed.rows(), needed.columns()]), &coarse_window, extent)
                .unwrap();
            let wanted = Window::plane(0..8, 0..6);
            assert_eq!(whole, finer.apply("a", coarse.view(), &wanted, Extent::plane(4, 3)).unwrap());
            let cut = there_and_back.cut(Window::plane(1..7, 2..6)).unwrap();
            for (image, whole) in
                [(&there_and_back, whole.clone()), (&cut, whole.slice(s![.., 1..7, 2..6]).to_owned())]
            {
                assert_eq!(read_image(image).unwrap(), whole);
                let window = Window::plane(2..5, 1..4);
                let part = whole.slice(s![.., 2..5, 1..4]);
                assert_eq!(PartReader::open(image).unwrap().read(&window).unwrap(), part);
                for room in [0, 1 << 20] {
                    assert_eq!(ImageCache::new(room).image(image, &window).unwrap(), part);
                }
                assert_eq!(PartReader::held_bytes(image), PartReader::held_bytes(&source));
                assert_eq!(image.files().collect::<Vec<_>>(), source.files().collect::<Vec<_>>());
                assert_ne!(image.identity(), source.identity());
            }
            assert!(there_and_back.cut(Window::plane(1..9, 2..6)).is_err());
            assert_eq!(there_and_back.fineness(), 1.0);
            assert!(source.resampled(Resampling::Coarser { factor: 8, blur: 0.0 }).is_err());
        }
    }

    #[test]
    fn pixels_of_a_finer_grid_are_smaller_by_the_factor_in_y_and_x() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ome.tif");
        write_tiff_f32(&path, &Array3::zeros((1, 4, 4))).unwrap();
        let source = crate::images::discover(path.to_str().unwrap()).unwrap().remove(0);
        let size = crate::images::VoxelSize { z: 3.0, y: 2.0, x: 1.0, unit: "nm".into() };
        let layout = StackLayout::slices(1).with_voxel_size(Some(size));
        let fine = layout.finer(4.0);
        assert_eq!(
            fine.voxel_size().map(|size| (size.z, size.y, size.x, size.unit.as_str())),
            Some((3.0, 0.5, 0.25, "nm"))
        );
        let finer = Resampling::Finer { factor: 4, kernel: Kernel::Bicubic };
        let slices = Slices::new("a", vec![source.resampled(finer).unwrap()]).unwrap();
        assert_eq!((slices.extent(), slices.voxel_size()), (Extent::plane(16, 16), None));
    }
}
