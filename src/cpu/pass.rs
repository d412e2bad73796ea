//! All that one shape of images needs: the schedule and its planes.

use rayon::prelude::*;

use super::bands;
use super::filter_gradient::BAND_ROWS;
use super::input_gradient::Preimages;
use super::losses::LossBand;
use super::memory::{Margins, Planes};
use crate::Result;
use crate::engine::{TargetValues, Targets};
use crate::schedule::{Page, Schedule};

/// The wanted outputs of one image, and the weights of its pixels.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) values: Wanted<'a>,
    pub(super) weights: Option<&'a [f32]>,
}

/// Classes `[y][x]` or values `[output][y][x]`.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    Classes(&'a [u32]),
    Values(&'a [f32]),
}

impl<'a> Target<'a> {
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

/// All that one shape of images needs.
pub(super) struct Pass {
    pub(super) schedule: Schedule,
    pub(super) maps: Planes,
    pub(super) gradients: Planes,
    pub(super) outputs: Planes,
    pub(super) output_gradients: Planes,
    pub(super) margins: Margins,
    pub(super) rows: Preimages,
    pub(super) mirrored: Vec<Option<usize>>,
    pub(super) zeros: Vec<f32>,
}

impl Pass {
    pub(super) fn new(schedule: Schedule) -> Result<Self> {
        let (map_form, form) = (&schedule.map_form, &schedule.gradient_form);
        let (extent, margin) = (schedule.shape.extent, schedule.margin);
        let boundary = schedule.architecture.boundary;
        let nothing = || Page { channels: 0..0, length: 0 };
        let page = |pages: &[Page]| pages.first().cloned().unwrap_or_else(nothing);
        let output_page = schedule.output_page();
        let trains = schedule.trains();
        let m = margin as isize;
        let width = extent.x as isize;
        let mirrored = (-m..0).chain(width..width + m).map(|x| boundary.source(x, extent.x)).collect();
        Ok(Self {
            maps: Planes::new("feature maps", &page(&schedule.map_pages), map_form)?,
            gradients: Planes::new("gradient maps", &page(&schedule.gradient_pages), form)?,
            outputs: Planes::new("outputs", &output_page, form)?,
            output_gradients: Planes::new(
                "output gradients",
                &if trains { output_page } else { nothing() },
                form,
            )?,
            margins: Margins::new(map_form, extent, margin, boundary),
            rows: Preimages::new(extent.y, margin, boundary),
            mirrored,
            zeros: vec![0.0; form.pitch],
            schedule,
        })
    }

    pub(super) fn load(&mut self, image: &[f32]) {
        let Self { schedule, maps, margins, .. } = self;
        let (form, extent) = (&schedule.map_form, schedule.shape.extent);
        let planes = maps.planes_mut(0..schedule.architecture.inputs);
        for (plane, image) in
            planes.chunks_exact_mut(form.plane()).zip(image.chunks_exact(extent.y * extent.x))
        {
            let own = form.above * form.pitch;
            for (row, pixels) in plane[own..].chunks_exact_mut(form.pitch).zip(image.chunks_exact(extent.x)) {
                row[form.left..form.left + extent.x].copy_from_slice(pixels);
            }
            margins.fill_beside(&mut plane[own..own + extent.y * form.pitch]);
            margins.fill_above_and_below(plane);
        }
    }

    pub(super) fn loss(&mut self, target: Target, scale: f32) -> f64 {
        let Self { schedule, outputs, output_gradients, .. } = self;
        let (form, extent) = (&schedule.gradient_form, schedule.shape.extent);
        let count = schedule.architecture.outputs;
        let outputs = outputs.planes(0..count);
        let into = output_gradients.planes_mut(0..count);
        // Bands of a fixed height: the loss is a sum over them.
        let losses: Vec<f64> = bands::cut(into, form, extent.y, BAND_ROWS)
            .into_par_iter()
            .map(|mut band| {
                let band = LossBand {
                    outputs,
                    plane: form.plane(),
                    origin: form.origin(),
                    pitch: form.pitch,
                    columns: extent.x,
                    rows: band.rows,
                    gradients: &mut band.planes,
                    left: form.left,
                    scale,
                    weights: target.weights,
                };
                match target.values {
                    Wanted::Classes(classes) => band.cross_entropy(classes),
                    Wanted::Values(values) => band.squared_error(values, extent.y),
                }
            })
            .collect();
        losses.iter().sum()
    }

    /// The outputs without the gaps between rows.
    pub(super) fn take_outputs(&self, into: &mut Vec<f32>) {
        for output in 0..self.schedule.architecture.outputs {
            into.extend(self.outputs.pixels(output, self.schedule.shape.extent));
        }
    }
}
