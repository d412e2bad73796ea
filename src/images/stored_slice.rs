//! Rows of a slice in memory as its file stores them, from which numbers are taken row by row: float64 takes several times as much.

use std::ops::Range;

use ndarray::{Array3, Axis};

use super::decode::{decode, header, misfit, no_channel, origin, part_of, rows_together};
use super::decoded::{Decoded, Purpose, each_type, whole_float};
use super::numeric::Real;
use super::read_labels::labels_at;
use super::source::{Header, ImageSource};
use crate::error::{Error, Result};
use crate::geometry::Window;

/// How many bytes of the rows of a slice are there at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct BandBytes {
    /// As its file stores them, which are read together.
    pub(super) stored: usize,
    /// As float64 numbers, of those that are read.
    pub(super) numbers: usize,
}

impl BandBytes {
    pub(super) const USUAL: Self = Self { stored: 16 << 20, numbers: 8 << 20 };
}

/// A slice as its file stores it, or some rows of one.
pub(super) struct StoredSlice {
    /// The page, or those that hold a channel of it each, and which of the stored channels belong to the image.
    planes: Vec<(ImageSource, Decoded, Range<usize>)>,
    labels: bool,
    /// The rows that are here.
    rows: Range<usize>,
    /// How many rows the slice has.
    height: usize,
}

impl StoredSlice {
    /// All of the slice `page`; as `labels`, the numbers of a palette and not its colours, and one channel.
    ///
    /// # Errors
    /// As [`read_image`](super::read_image) for files that cannot be read.
    pub(super) fn read(page: &ImageSource, labels: bool) -> Result<Self> {
        let height = header(page)?.height;
        Self::read_rows(page, labels, 0..height)
    }

    /// As [`StoredSlice::read`], of these rows of the slice.
    ///
    /// # Errors
    /// As [`StoredSlice::read`].
    pub(super) fn read_rows(page: &ImageSource, labels: bool, rows: Range<usize>) -> Result<Self> {
        let origin = origin(page)?;
        let purpose = if labels { Purpose::Labels } else { Purpose::Intensities };
        let found = header(page)?;
        let part = Window::plane(rows.clone(), 0..found.width);
        // A file that is decoded as a whole is not copied where all of it is wanted.
        let part = (rows.len() < found.height).then_some(&part);
        let mut planes: Vec<(ImageSource, Decoded, Range<usize>)> = Vec::new();
        for plane in page.parts() {
            let decoded = decode(&plane, &origin, purpose, part)?;
            let count = if decoded.planar { decoded.channels } else { decoded.stored_channels };
            let numbers = each_type!(&decoded.samples, values => values.len());
            let size = (decoded.height, decoded.width);
            if numbers < count * size.0 * size.1 || size != (rows.len(), found.width) {
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
        Ok(Self { planes, labels, rows, height: found.height })
    }

    /// How many channels there are.
    pub(super) fn channels(&self) -> usize {
        if self.labels { 1 } else { self.planes.iter().map(|(.., channels)| channels.len()).sum() }
    }

    /// How many rows and columns are here.
    pub(super) fn size(&self) -> (usize, usize) {
        self.planes.first().map_or((0, 0), |(_, decoded, _)| (decoded.height, decoded.width))
    }

    /// The numbers of some of the rows that are here, counted from the first row of the slice, `[channel][y][x]`.
    ///
    /// # Errors
    /// [`Error::Input`] for labels that are none, and for other rows.
    pub(super) fn rows<N: Real>(&self, rows: Range<usize>) -> Result<Array3<N>> {
        let (_, width) = self.size();
        if rows.start < self.rows.start || rows.end > self.rows.end {
            return Err(self.misfit());
        }
        if self.labels {
            return self.rows_of_labels(&Window::plane(rows, 0..width));
        }
        let mut values = Vec::with_capacity(self.channels() * rows.len() * width);
        for (_, decoded, channels) in &self.planes {
            for channel in channels.clone() {
                rows.clone().for_each(|row| add_row(decoded, channel, row - self.rows.start, &mut values));
            }
        }
        let shape = (self.channels(), rows.len(), width);
        Array3::from_shape_vec(shape, values).map_err(|_| self.misfit())
    }

    fn rows_of_labels<N: Real>(&self, part: &Window) -> Result<Array3<N>> {
        let here = Window { y: part.y - self.rows.start, ..*part };
        let mut found = None;
        for (plane, decoded, _) in &self.planes {
            let labels = labels_at(plane, &part_of(plane, decoded, &here)?, (part.y, part.x), whole_float)?;
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

    /// Gives all numbers that are here to `visit`, one channel after the other, some rows at a time, with the place of the first of them
    /// among those of the slice, of which those of a channel come together.
    ///
    /// # Errors
    /// As [`StoredSlice::rows`].
    pub(super) fn visit(&self, mut visit: impl FnMut(u64, &[f64])) -> Result<()> {
        let (_, width) = self.size();
        let place = |channel: usize, row: usize| (channel * self.height + row) as u64 * width as u64;
        if self.labels {
            for rows in bands(self.rows.clone(), 1, width, BandBytes::USUAL) {
                visit(place(0, rows.start), self.rows::<f64>(rows)?.as_slice().unwrap_or_default());
            }
            return Ok(());
        }
        let mut row_of: Vec<f64> = Vec::with_capacity(width);
        let mut before = 0;
        for (_, decoded, channels) in &self.planes {
            for channel in channels.clone() {
                for row in self.rows.clone() {
                    row_of.clear();
                    add_row(decoded, channel, row - self.rows.start, &mut row_of);
                    visit(place(before, row), &row_of);
                }
                before += 1;
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

/// Those of `rows` that are taken at a time, as they have `channels` of `width` numbers each.
pub(super) fn bands(
    rows: Range<usize>,
    channels: usize,
    width: usize,
    bytes: BandBytes,
) -> Vec<Range<usize>> {
    let row_bytes = channels.saturating_mul(width).saturating_mul(size_of::<f64>()).max(1);
    in_steps(rows, (bytes.numbers / row_bytes).max(1))
}

/// Those of the rows of the image `page` that are read at a time: all of a small image, else as many as take so many `bytes`, in whole
/// strips, tiles or blocks, so that each of these is unpacked once. Where one of these is larger, its rows are read together, and all
/// rows where the format has no parts.
///
/// # Errors
/// As [`page_size`](super::page_size).
pub(super) fn read_bands(page: &ImageSource, bytes: BandBytes) -> Result<Vec<Range<usize>>> {
    let Header { channels, alpha, height, width, samples, .. } = header(page)?;
    let numbers = (channels + alpha).saturating_mul(width).max(1);
    let most = (bytes.stored / numbers.saturating_mul(usize::from(samples.bits).div_ceil(8))).max(1);
    if most >= height {
        return Ok(vec![0..height; 1]);
    }
    let unit = rows_together(page)?.min(height);
    Ok(in_steps(0..height, (most / unit).max(1) * unit))
}

fn in_steps(rows: Range<usize>, step: usize) -> Vec<Range<usize>> {
    let end = rows.end;
    rows.step_by(step).map(|start| start..start.saturating_add(step).min(end)).collect()
}

/// Adds a row of one of the stored channels; [`StoredSlice::read_rows`] has seen that it is there.
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
        slice
            .visit(|place, numbers| {
                assert_eq!(place, all.len() as u64);
                all.extend_from_slice(numbers);
            })
            .unwrap();
        let exact = read_exact(page).unwrap();
        assert_eq!(all, exact.iter().copied().collect::<Vec<_>>(), "{path:?}");
        assert_eq!(slice.rows::<f64>(2..5).unwrap(), exact.slice(s![.., 2..5, ..]), "{path:?}");
        // Rows that are read by themselves.
        let some = StoredSlice::read_rows(page, false, 2..7).unwrap();
        assert_eq!((some.channels(), some.size()), (3, (5, 7)), "{path:?}");
        assert_eq!(some.rows::<f64>(3..7).unwrap(), exact.slice(s![.., 3..7, ..]), "{path:?}");
        some.visit(|place, numbers| {
            assert_eq!(numbers, &all[place as usize..][..numbers.len()], "{path:?}");
        })
        .unwrap();
        assert!(some.rows::<f64>(1..4).is_err() && some.rows::<f64>(5..8).is_err());
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
        let some = StoredSlice::read_rows(&discover(path.to_str().unwrap()).unwrap()[0], true, 4..9).unwrap();
        assert_eq!(some.rows::<f64>(5..6).unwrap(), Array2::from_elem((1, 7), 3.0).insert_axis(Axis(0)));
        assert_eq!(some.rows::<f64>(5..9).unwrap_err().to_string(), error);
    }

    #[test]
    fn bands_take_few_bytes_and_cover_all_rows() {
        let usual = BandBytes::USUAL;
        let found = bands(0..16384, 1, 16384, usual);
        assert!(found.iter().all(|rows| rows.len() * 16384 * 8 <= usual.numbers) && found.len() == 256);
        assert_eq!((found[0].start, found[255].end), (0, 16384));
        assert_eq!(bands(0..3, 5, usize::MAX, usual), [0..1, 1..2, 2..3]);
        assert_eq!(bands(7..10, 1, 4, usual), vec![7..10; 1]);
    }
}
