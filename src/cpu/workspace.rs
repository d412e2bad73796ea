//! The schedule and the planes for images of one size, and the steps `Load` and `Loss`, which need nothing else.

use std::ops::Range;

use rayon::prelude::*;

use super::bands;
use super::input_gradient::Preimages;
use super::losses::Outputs;
use super::memory::{Margins, Planes};
use super::volume::Surroundings;
use crate::Result;
use crate::engine::{DiceSums, Loss, TargetValues, Targets};
use crate::schedule::{Page, Schedule};

/// The wanted outputs of one image, and the weights of its pixels.
#[derive(Clone, Copy)]
pub(super) struct ImageTarget<'a> {
    pub(super) values: Wanted<'a>,
    pub(super) weights: Option<&'a [f32]>,
}

/// Classes `[y][x]` or values `[output][y][x]`.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    Classes(&'a [u32]),
    Values(&'a [f32]),
}

impl<'a> ImageTarget<'a> {
    /// The part of a batch's targets that belongs to image `index` of `pixels` pixels.
    pub(super) fn of(targets: &'a Targets, index: usize, pixels: usize, outputs: usize) -> Self {
        let part = |channels: usize| index * channels * pixels..(index + 1) * channels * pixels;
        let values = match &targets.values {
            TargetValues::Classes(classes) => Wanted::Classes(&classes[part(1)]),
            TargetValues::Values(values) => Wanted::Values(&values[part(outputs)]),
        };
        Self { values, weights: targets.weights.as_deref().map(|weights| &weights[part(1)]) }
    }
}

/// What is minimised for one image.
#[derive(Clone, Copy)]
pub(super) struct Objective<'a> {
    pub(super) target: ImageTarget<'a>,
    pub(super) loss: Loss,
    pub(super) scale: f32,
}

/// The schedule and the planes for images of one size.
pub(super) struct Workspace {
    pub(super) schedule: Schedule,
    /// Feature maps; on the way back gradient maps take their places, see [`Workspace::gradient_plane`].
    pub(super) maps: Planes,
    /// Whether the last run computed gradients.
    pub(super) went_back: bool,
    pub(super) outputs: Planes,
    pub(super) output_gradients: Planes,
    pub(super) margins: Margins,
    pub(super) rows: Preimages,
    pub(super) mirrored: Vec<Option<usize>>,
    pub(super) zeros: Vec<f32>,
    /// For networks of volumes, which have no margins.
    pub(super) surroundings: Option<Surroundings>,
}

impl Workspace {
    /// Takes the memory of `before`, where there is enough, else other memory.
    pub(super) fn new(schedule: Schedule, before: Option<Workspace>) -> Result<Self> {
        let (map_layout, form) = (&schedule.map_layout, &schedule.output_layout);
        let (extent, margin) = (schedule.shape.extent, schedule.margin);
        let boundary = schedule.architecture.boundary;
        let nothing = || Page { channels: 0..0, length: 0 };
        let page = |pages: &[Page]| pages.first().cloned().unwrap_or_else(nothing);
        let output_page = schedule.output_page();
        let trains = schedule.trains();
        let m = margin as isize;
        let width = extent.x as isize;
        let mirrored = (-m..0).chain(width..width + m).map(|x| boundary.source(x, extent.x)).collect();
        let [maps, outputs, output_gradients] = match before {
            Some(before) => [before.maps, before.outputs, before.output_gradients],
            None => [Planes::none(map_layout), Planes::none(form), Planes::none(form)],
        };
        let gradient_page = if trains { output_page.clone() } else { nothing() };
        let architecture = &schedule.architecture;
        let surroundings = architecture.is_of_volumes().then(|| Surroundings::new(architecture, extent));
        Ok(Self {
            maps: maps.reused("feature maps", &page(&schedule.map_pages), map_layout)?,
            went_back: false,
            outputs: outputs.reused("outputs", &output_page, form)?,
            output_gradients: output_gradients.reused("output gradients", &gradient_page, form)?,
            margins: Margins::new(map_layout, extent, margin, boundary),
            rows: Preimages::new(extent.y, margin, boundary),
            mirrored,
            zeros: vec![0.0; form.pitch],
            surroundings,
            schedule,
        })
    }

    /// Bytes of the memory that its planes have.
    pub(super) fn capacity(&self) -> u64 {
        self.maps.capacity() + self.outputs.capacity() + self.output_gradients.capacity()
    }

    /// Which of the planes of feature maps holds the gradient map of `channel`. By then nothing reads the feature map
    /// that was there.
    pub(super) fn gradient_plane(&self, channel: usize) -> usize {
        channel + self.schedule.gradient_shift.unwrap_or_default()
    }

    /// As [`Workspace::gradient_plane`], for consecutive channels.
    pub(super) fn gradient_planes(&self, channels: Range<usize>) -> Range<usize> {
        self.gradient_plane(channels.start)..self.gradient_plane(channels.end)
    }

    pub(super) fn load(&mut self, image: &[f32]) {
        let Self { schedule, maps, margins, .. } = self;
        let (form, extent) = (&schedule.map_layout, schedule.shape.extent);
        let rows = schedule.rows();
        let planes = maps.planes_mut(0..schedule.architecture.inputs);
        for (plane, image) in planes.chunks_exact_mut(form.plane).zip(image.chunks_exact(extent.pixels())) {
            let own = form.above * form.pitch;
            for (row, pixels) in plane[own..].chunks_exact_mut(form.pitch).zip(image.chunks_exact(extent.x)) {
                row[form.left..form.left + extent.x].copy_from_slice(pixels);
            }
            margins.fill_beside(&mut plane[own..own + rows * form.pitch]);
            margins.fill_above_and_below(plane);
        }
    }

    /// Computes the loss, and its gradient with respect to the outputs.
    pub(super) fn loss(&mut self, objective: Objective) -> f64 {
        let Objective { target, loss, scale } = objective;
        let Self { schedule, outputs, output_gradients, .. } = self;
        let (form, extent) = (&schedule.output_layout, schedule.shape.extent);
        let (count, rows) = (schedule.architecture.outputs, schedule.rows());
        let outputs = Outputs {
            planes: outputs.planes(0..count),
            count,
            plane: form.plane,
            origin: form.origin(),
            pitch: form.pitch,
            left: form.left,
            rows,
            columns: extent.x,
            weights: target.weights,
        };
        // Bands of a fixed height: the loss is a sum over them.
        let mut bands = bands::cut(output_gradients.planes_mut(0..count), form, rows, bands::SUM_ROWS);
        let dice = match target.values {
            Wanted::Classes(classes) if loss.has_dice() => {
                let sums = bands.par_iter().map(|band| outputs.dice_sums(band.rows.clone(), classes));
                let parts: Vec<DiceSums> = sums.collect();
                let mut all = DiceSums::new(count);
                parts.iter().for_each(|part| all.merge(part));
                Some(all)
            }
            _ => None,
        };
        let slopes: Option<Vec<(f32, f32)>> =
            dice.as_ref().map(|dice| dice.slopes().into_iter().map(|(a, b)| (a as f32, b as f32)).collect());
        let losses: Vec<f64> = bands
            .par_iter_mut()
            .map(|band| match target.values {
                Wanted::Classes(classes) => outputs.classes(band, classes, loss, scale, slopes.as_deref()),
                Wanted::Values(values) => outputs.values(band, values, loss, scale),
            })
            .collect();
        losses.iter().sum::<f64>() + dice.map_or(0.0, |dice| f64::from(scale) * dice.loss())
    }

    /// The outputs without the gaps between rows.
    pub(super) fn take_outputs(&self, into: &mut Vec<f32>) {
        for output in 0..self.schedule.architecture.outputs {
            let Schedule { output_layout, shape, .. } = &self.schedule;
            into.extend(self.outputs.pixels(output, output_layout, shape.extent));
        }
    }
}
