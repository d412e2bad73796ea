//! Coarse images with fine ones of the same field: the coarse ones are brought onto the grid of the fine ones.

use std::str::FromStr;

use super::data_files::DataFiles;
use super::pair_list::Pair;
use crate::error::{Error, Result};
use crate::geometry::Window;
use crate::images::{ImageSource, Kernel, Resampling, page_size};

/// How values between the pixels of coarse images are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Interpolation {
    /// By cubic convolution with a = -0.5.
    #[default]
    Bicubic,
    /// By a windowed sinc with a = 3.
    Lanczos,
}

impl Interpolation {
    pub(super) fn kernel(self) -> Kernel {
        match self {
            Self::Bicubic => Kernel::Bicubic,
            Self::Lanczos => Kernel::Lanczos,
        }
    }
}

/// Where in coarse images the corner of the fine ones lies, in coarse pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corner {
    /// The slice of the coarse images to which the first fine image belongs; `None` where they pair by name or number.
    pub z: Option<usize>,
    /// The row.
    pub y: usize,
    /// The column.
    pub x: usize,
}

/// `Y,X`, or `Z,Y,X`.
impl FromStr for Corner {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split(',').map(|part| part.trim().parse().ok()).collect::<Option<Vec<_>>>();
        match numbers.as_deref() {
            Some(&[y, x]) => Ok(Self { z: None, y, x }),
            Some(&[z, y, x]) => Ok(Self { z: Some(z), y, x }),
            _ => {
                let wanted = "it must be Y,X or Z,Y,X, whole coarse pixels such as 120,64";
                Err(Error::setting("at", format!("'{text}'"), wanted))
            }
        }
    }
}

/// How coarse images belong to fine ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Upscaled {
    /// Fine pixels along a coarse one, in y and x.
    pub factor: usize,
    /// How the coarse images are brought onto the grid of the fine ones.
    pub interpolation: Interpolation,
    /// Where the images are fine ones, from which the coarse ones are made: the standard deviation in fine pixels of the Gaussian that
    /// blurs them before.
    pub blur: Option<f64>,
    /// Where in the coarse images the fine ones lie; `None` where they show the same.
    pub corner: Option<Corner>,
}

impl Upscaled {
    /// The images of `pairs` on the grid of their targets.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for images that do not fit each other; what comes of reading their headers.
    pub(super) fn pairs(&self, pairs: Vec<Pair>) -> Result<Vec<Pair>> {
        pairs.into_iter().map(|(image, target)| self.pair(&image, &target)).collect()
    }

    fn pair(&self, image: &ImageSource, target: &ImageSource) -> Result<Pair> {
        let Self { factor, interpolation, .. } = *self;
        let finer = Resampling::Finer { factor, kernel: interpolation.kernel() };
        if let Some(blur) = self.blur {
            let fine = image.resampled(Resampling::Coarser { factor, blur })?.resampled(finer)?;
            let (_, height, width) = page_size(&fine)?;
            // What is left at the end, where lengths are no multiples, is in no coarse pixel.
            return Ok((fine, target.cut(Window::plane(0..height, 0..width))?));
        }
        let (_, height, width) = page_size(image)?;
        let (_, fine_height, fine_width) = page_size(target)?;
        let described = |wanted: String| {
            Error::Mismatch(format!(
                "{} is {fine_width} x {fine_height} pixels but {} is {width} x {height}; {wanted}",
                target.name(),
                image.name()
            ))
        };
        let fine = image.resampled(finer)?;
        let (_, whole_height, whole_width) = page_size(&fine)?;
        let Some(Corner { y, x, .. }) = self.corner else {
            if (fine_height, fine_width) != (whole_height, whole_width) {
                return Err(described(format!(
                    "wanted {whole_width} x {whole_height}, {factor} times as many in rows and columns; cut or export one of them again, give another `factor`, or say with `at` where the fine image lies"
                )));
            }
            return Ok((fine, target.clone()));
        };
        let range = |corner: usize, length: usize| {
            let start = corner.checked_mul(factor)?;
            Some(start..start.checked_add(length)?)
        };
        let outside = || {
            described(format!(
                "at row {y} and column {x} it would reach beyond the end, where {factor} x {factor} fine pixels lie in a coarse one; correct `at` or `factor`"
            ))
        };
        let (rows, columns) = range(y, fine_height).zip(range(x, fine_width)).ok_or_else(outside)?;
        if rows.end > whole_height || columns.end > whole_width {
            return Err(outside());
        }
        Ok((fine.cut(Window::plane(rows, columns))?, target.clone()))
    }

    /// The pairs of coarse slices and fine ones that begin at slice `z` of these.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for more fine slices than there are coarse ones from there on.
    pub(super) fn slices_from(
        z: usize,
        images: &[ImageSource],
        targets: Vec<ImageSource>,
        files: &DataFiles,
    ) -> Result<Vec<Pair>> {
        let rest = images.get(z..).unwrap_or_default();
        if rest.len() < targets.len() {
            return Err(Error::Mismatch(format!(
                "{} has {} slices, but the {} of {} would begin at slice {z} of them, counted from 0; correct `at`",
                files.images,
                images.len(),
                targets.len(),
                files.targets
            )));
        }
        Ok(rest.iter().cloned().zip(targets).collect())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, s};

    use super::*;
    use crate::images::{discover, read_image, write_tiff_f32};

    fn upscaled(blur: Option<f64>, corner: Option<&str>) -> Upscaled {
        let corner = corner.map(|text| text.parse().unwrap());
        Upscaled { factor: 2, interpolation: Interpolation::Bicubic, blur, corner }
    }

    #[test]
    fn pairs_have_the_grid_of_the_fine_image_or_are_refused_by_both_names() {
        let folder = tempfile::tempdir().unwrap();
        let source = |name: &str, height: usize, width: usize| {
            let path = folder.path().join(name);
            let image = Array3::from_shape_fn((1, height, width), |(_, y, x)| (y * y + 3 * x) as f32);
            write_tiff_f32(&path, &image).unwrap();
            discover(path.to_str().unwrap()).unwrap().remove(0)
        };
        let (coarse, fine, part) = (source("c.tif", 9, 8), source("f.tif", 18, 16), source("p.tif", 7, 6));
        let (image, target) = upscaled(None, None).pair(&coarse, &fine).unwrap();
        assert_eq!((page_size(&image).unwrap(), target), ((1, 18, 16), fine.clone()));
        let whole = read_image(&image).unwrap();
        let (image, target) = upscaled(None, Some("4,5")).pair(&coarse, &part).unwrap();
        assert_eq!(
            (read_image(&image).unwrap(), target),
            (whole.slice(s![.., 8..15, 10..16]).to_owned(), part.clone())
        );
        for (corner, target) in [(None, &part), (Some("6,5"), &part), (Some("18446744073709551615,0"), &fine)]
        {
            let error = upscaled(None, corner).pair(&coarse, target).unwrap_err().to_string();
            assert!(error.contains("c.tif is 8 x 9") && error.contains(&target.stem), "{error}");
        }
        // Of an odd length the last row belongs to no coarse pixel.
        let (image, target) = upscaled(Some(0.0), None).pair(&coarse, &coarse).unwrap();
        assert_eq!((page_size(&image).unwrap(), page_size(&target).unwrap()), ((1, 8, 8), (1, 8, 8)));
        assert_eq!(read_image(&target).unwrap(), read_image(&coarse).unwrap().slice(s![.., ..8, ..]));
    }

    #[test]
    fn corners_are_read_from_text() {
        assert_eq!("3, 4".parse::<Corner>().unwrap(), Corner { z: None, y: 3, x: 4 });
        assert_eq!("2,3,4".parse::<Corner>().unwrap(), Corner { z: Some(2), y: 3, x: 4 });
        for wrong in ["", "3", "-1,2", "1,2,3,4", "1.5,2"] {
            assert!(wrong.parse::<Corner>().unwrap_err().to_string().starts_with("at is "), "{wrong}");
        }
    }
}
