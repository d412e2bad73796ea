//! Slabs of slices from files.

use std::sync::Arc;

use ndarray::{Array2, Array3, Axis, s};

use super::{Slab, Volume};
use crate::Result;
use crate::geometry::Window;
use crate::images::{ImageSource, has_equal_channels, read_image};
use crate::inference::ensemble::Measured;
use crate::inference::parts::measure_slices;
use crate::network::Measure;
use crate::pictures::range_of;

/// Slices whose values are measured for pictures.
const SAMPLED_SLICES: usize = 8;

/// The slices of a slab and those around it, `[channel][y][x]` each.
pub(super) struct ReadSlab {
    pub(super) slices: Vec<Arc<Array3<f32>>>,
    pub(super) measured: Arc<Measured>,
    pub(super) range: Option<(f32, f32)>,
}

/// Reads the slices of slabs in order, those that slabs share once.
pub(super) struct Reader<'a> {
    images: &'a [ImageSource],
    volumes: &'a [Volume],
    /// Whether the network takes one channel, so that colours that are grey become that.
    grey: bool,
    /// Slices of the last slab, by their numbers among the images.
    kept: Vec<(usize, Arc<Array3<f32>>)>,
    /// The volume that was read of last.
    measured: Option<MeasuredVolume>,
}

/// What is known of a volume once all its slices were read.
#[derive(Clone)]
struct MeasuredVolume {
    /// Its number among the volumes.
    volume: usize,
    /// What the models want measured over all of it.
    measured: Arc<Measured>,
    /// Which of its values are black and white in pictures.
    range: Option<(f32, f32)>,
}

impl<'a> Reader<'a> {
    /// Of `volumes`, whose slices are `images`; `grey` says that networks take one channel.
    pub(super) fn new(images: &'a [ImageSource], volumes: &'a [Volume], grey: bool) -> Self {
        Self { images, volumes, grey, kept: Vec::new(), measured: None }
    }

    /// Reads a slab; the first one of a volume measures this.
    ///
    /// # Errors
    /// [`crate::Error::Input`] for what cannot be read.
    pub(super) fn read(&mut self, slab: &Slab, measures: &[Measure]) -> Result<ReadSlab> {
        let volume = &self.volumes[slab.volume];
        let known = self.measured.take().filter(|known| known.volume == slab.volume);
        let of_volume = match known {
            Some(known) => known,
            None => {
                self.kept.clear();
                self.measure(slab.volume, measures)?
            }
        };
        self.measured = Some(of_volume.clone());
        let start = volume.members.start;
        let wanted = start + slab.span.patch.start..start + slab.span.patch.end;
        self.kept.retain(|(image, _)| wanted.contains(image));
        let mut slices = Vec::new();
        for image in wanted {
            let known = self.kept.iter().find(|(known, _)| *known == image).map(|(_, slice)| slice.clone());
            let slice = match known {
                Some(slice) => slice,
                None => {
                    let slice = Arc::new(read_slice(&self.images[image], self.grey)?);
                    self.kept.push((image, slice.clone()));
                    slice
                }
            };
            slices.push(slice);
        }
        Ok(ReadSlab { slices, measured: of_volume.measured, range: of_volume.range })
    }

    /// Reads all slices of a volume to measure them.
    fn measure(&self, volume: usize, measures: &[Measure]) -> Result<MeasuredVolume> {
        let images = &self.images[self.volumes[volume].members.clone()];
        let read = |slice: usize| read_slice(&images[slice], self.grey);
        let channels = if measures.is_empty() { 0 } else { read(0)?.dim().0 };
        let measured = measure_slices(channels, images.len(), measures, &mut |slice| read(slice))?;
        let step = images.len().div_ceil(SAMPLED_SLICES);
        let mut rows = Vec::new();
        for image in images.iter().step_by(step) {
            let slice = read_slice(image, self.grey)?;
            rows.extend(slice.index_axis(Axis(0), 0).iter().step_by(7).copied());
        }
        let count = rows.len();
        let range = Array2::from_shape_vec((1, count), rows).ok().and_then(|rows| range_of(rows.view()));
        Ok(MeasuredVolume { volume, measured: Arc::new(measured), range })
    }
}

pub(super) fn read_slice(image: &ImageSource, grey: bool) -> Result<Array3<f32>> {
    let slice = read_image(image)?;
    Ok(if grey && has_equal_channels(&slice) { slice.slice_move(s![..1, .., ..]) } else { slice })
}

/// The part `window` of each of the slices, one below the other.
pub(super) fn gathered(slices: &[Arc<Array3<f32>>], window: &Window) -> Array3<f32> {
    let channels = slices.first().map_or(0, |slice| slice.dim().0);
    let mut rows = Vec::with_capacity(channels * slices.len() * window.extent.pixels());
    for channel in 0..channels {
        for slice in slices {
            rows.extend(slice.slice(s![channel, window.rows(), window.columns()]).iter().copied());
        }
    }
    Array3::from_shape_vec((channels, slices.len() * window.extent.y, window.extent.x), rows)
        .unwrap_or_default()
}
