//! A slice in memory as its file stores it, from which numbers are taken row by row: float64 takes several times as much.

use std::ops::Range;

use ndarray::{Array3, Axis};

use super::decode::{decode, misfit, no_channel, origin, part_of};
use super::decoded::{Decoded, Purpose, each_type, whole_float};
use super::numeric::Real;
use super::read_labels::labels_at;
use super::source::ImageSource;
use crate::error::{Error, Result};
use crate::geometry::Window;

/// Bytes of float64 numbers that are there at a time.
const BAND_BYTES: usize = 16 << 20;

/// A slice as its file stores it.
pub(super) struct StoredSlice {
    /// The page, or those that hold a channel of it each, and which of the stored channels belong to the image.
    planes: Vec<(ImageSource, Decoded, Range<usize>)>,
    labels: bool,
}

impl StoredSlice {
    /// All of the slice `page`; as `labels`, the numbers of a palette and not its colours, and one channel.
    ///
    /// # Errors
    /// As [`read_image`](super::read_image) for files that cannot be read.
    pub(super) fn read(page: &ImageSource, labels: bool) -> Result<Self> {
        let origin = origin(page)?;
        let purpose = if labels { Purpose::Labels } else { Purpose::Intensities };
        let mut planes: Vec<(ImageSource, Decoded, Range<usize>)> = Vec::new();
        for plane in page.parts() {
            let decoded = decode(&plane, &origin, purpose, None)?;
            let count = if decoded.planar { decoded.channels } else { decoded.stored_channels };
            let numbers = each_type!(&decoded.samples, values => values.len());
            let size = (decoded.height, decoded.width);
            if numbers < count * size.0 * size.1
                || planes.first().is_some_and(|(_, first, _)| (first.height, first.width) != size)
            {
                return Err(misfit(page));
            }
            let channels = match plane.planes.first().and_then(|plane| plane.channel) {
                Some(channel) if channel >= decoded.channels => {
                    return Err(no_channel(&plane, channel, decoded.channels));
                }
                Some(channel) => channel..channel + 1,
                None => 0..decoded.channels,
            };
            planes.push((plane, decoded, channels));
        }
        Ok(Self { planes, labels })
    }

    /// How many channels there are.
    pub(super) fn channels(&self) -> usize {
        if self.labels { 1 } else { self.planes.iter().map(|(.., channels)| channels.len()).sum() }
    }

    /// How many rows and columns there are.
    pub(super) fn size(&self) -> (usize, usize) {
        self.planes.first().map_or((0, 0), |(_, decoded, _)| (decoded.height, decoded.width))
    }

    /// The numbers of some rows, `[channel][y][x]`.
    ///
    /// # Errors
    /// [`Error::Input`] for labels that are none.
    pub(super) fn rows<N: Real>(&self, rows: Range<usize>) -> Result<Array3<N>> {
        let (_, width) = self.size();
        if self.labels {
            return self.rows_of_labels(&Window::plane(rows, 0..width));
        }
        let mut values = Vec::with_capacity(self.channels() * rows.len() * width);
        for (_, decoded, channels) in &self.planes {
            for channel in channels.clone() {
                rows.clone().for_each(|row| add_row(decoded, channel, row, &mut values));
            }
        }
        let shape = (self.channels(), rows.len(), width);
        Array3::from_shape_vec(shape, values).map_err(|_| self.misfit())
    }

    fn rows_of_labels<N: Real>(&self, part: &Window) -> Result<Array3<N>> {
        let mut found = None;
        for (plane, decoded, _) in &self.planes {
            let labels = labels_at(plane, &part_of(plane, decoded, part)?, (part.y, part.x), whole_float)?;
            if found.get_or_insert_with(|| labels.clone()) != &labels {
                let problem = format!(
                    "has {} channels that differ; wanted a label image: one channel of whole numbers, one number for each class",
                    self.planes.len()
                );
                return Err(Error::input(plane.name(), problem));
            }
        }
        let labels = found.ok_or_else(|| self.misfit())?;
        Ok(labels.mapv(|label| N::of(label)).insert_axis(Axis(0)))
    }

    /// Gives all numbers to `visit`, one channel after the other, some rows at a time.
    ///
    /// # Errors
    /// As [`StoredSlice::rows`].
    pub(super) fn visit(&self, mut visit: impl FnMut(&[f64])) -> Result<()> {
        let (height, width) = self.size();
        if self.labels {
            for rows in bands(height, 1, width) {
                visit(self.rows::<f64>(rows)?.as_slice().unwrap_or_default());
            }
            return Ok(());
        }
        let mut row_of: Vec<f64> = Vec::with_capacity(width);
        for (_, decoded, channels) in &self.planes {
            for channel in channels.clone() {
                for row in 0..height {
                    row_of.clear();
                    add_row(decoded, channel, row, &mut row_of);
                    visit(&row_of);
                }
            }
        }
        Ok(())
    }

    fn misfit(&self) -> Error {
        match self.planes.first() {
            Some((page, ..)) => misfit(page),
            None => Error::Mismatch("an image without channels; wanted at least one".into()),
        }
    }
}

/// The rows of an image of so many that are taken at a time, as they have `channels` of `width` numbers each.
pub(super) fn bands(height: usize, channels: usize, width: usize) -> Vec<Range<usize>> {
    let row_bytes = channels.saturating_mul(width).saturating_mul(size_of::<f64>()).max(1);
    let rows = (BAND_BYTES / row_bytes).max(1);
    (0..height).step_by(rows).map(|start| start..(start + rows).min(height)).collect()
}

/// Adds a row of one of the stored channels; [`StoredSlice::read`] has seen that it is there.
fn add_row<N: Real>(decoded: &Decoded, channel: usize, row: usize, values: &mut Vec<N>) {
    let Decoded { height, width, stored_channels, planar, .. } = *decoded;
    each_type!(&decoded.samples, samples => {
        if planar || stored_channels == 1 {
            let start = (channel * height + row) * width;
            values.extend(samples[start..start + width].iter().map(|number| N::of(*number)));
        } else {
            let start = row * width * stored_channels;
            let pixels = samples[start..start + width * stored_channels].chunks_exact(stored_channels);
            values.extend(pixels.map(|pixel| N::of(pixel[channel])));
        }
    });
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array4, s};

    use super::*;
    use crate::geometry::Extent;
    use crate::images::read::read_exact;
    use crate::images::{NewStack, NumberType, Sink, StackFormat, discover, write_png_rgb8};

    #[test]
    fn rows_are_those_of_the_whole_image_whatever_the_format_and_how_channels_lie() {
        let folder = tempfile::tempdir().unwrap();
        let whole =
            Array4::from_shape_fn((3, 1, 9, 7), |(c, _, y, x)| ((c * 71 + y * 13 + x * 5) % 251) as f64);
        for (format, colours) in
            [(StackFormat::Tiff, true), (StackFormat::Tiff, false), (StackFormat::Zarr, false)]
        {
            let path = folder.path().join(format!("a{colours}.{}", format.ending()));
            let new = NewStack { channels: 3, ..NewStack::new(&path, Extent::plane(9, 7)) };
            let mut sink = new.numbers(format, NumberType::U8, colours).unwrap();
            sink.write(Window::plane(0..9, 0..7), whole.view()).unwrap();
            Box::new(sink).done().unwrap();
            check(&path, &whole);
        }
        let path = folder.path().join("a.png");
        let colours = Array3::from_shape_fn((9, 7, 3), |(y, x, c)| whole[[c, 0, y, x]] as u8);
        write_png_rgb8(&path, &colours).unwrap();
        check(&path, &whole);
    }

    fn check(path: &std::path::Path, whole: &Array4<f64>) {
        let page = &discover(path.to_str().unwrap()).unwrap()[0];
        let slice = StoredSlice::read(page, false).unwrap();
        assert_eq!((slice.channels(), slice.size()), (3, (9, 7)), "{path:?}");
        let mut all = Vec::new();
        slice.visit(|numbers| all.extend_from_slice(numbers)).unwrap();
        let exact = read_exact(page).unwrap();
        assert_eq!(all, exact.iter().copied().collect::<Vec<_>>(), "{path:?}");
        assert_eq!(slice.rows::<f64>(2..5).unwrap(), exact.slice(s![.., 2..5, ..]), "{path:?}");
        assert_eq!(exact, whole.index_axis(Axis(1), 0), "{path:?}");
    }

    #[test]
    fn labels_that_are_none_are_named_by_their_place_in_the_image() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let mut values = Array4::from_elem((1, 1, 9, 7), 3.0);
        values[[0, 0, 6, 2]] = 0.5;
        let new = NewStack::new(&path, Extent::plane(9, 7));
        let mut sink = new.numbers(StackFormat::Npy, NumberType::F32, false).unwrap();
        sink.write(Window::plane(0..9, 0..7), values.view()).unwrap();
        Box::new(sink).done().unwrap();
        let slice = StoredSlice::read(&discover(path.to_str().unwrap()).unwrap()[0], true).unwrap();
        assert_eq!(slice.rows::<f64>(0..6).unwrap(), Array2::from_elem((6, 7), 3.0).insert_axis(Axis(0)));
        let error = slice.rows::<f64>(4..9).unwrap_err().to_string();
        assert!(error.contains("x 2, y 6 is not a whole number"), "{error}");
    }

    #[test]
    fn bands_take_few_bytes_and_cover_all_rows() {
        let found = bands(16384, 1, 16384);
        assert!(found.iter().all(|rows| rows.len() * 16384 * 8 <= BAND_BYTES) && found.len() == 128);
        assert_eq!((found[0].start, found[127].end), (0, 16384));
        assert_eq!(bands(3, 5, usize::MAX), [0..1, 1..2, 2..3]);
        assert_eq!(bands(3, 1, 4), vec![0..3; 1]);
    }
}
