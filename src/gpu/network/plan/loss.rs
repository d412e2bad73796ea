//! The dispatches of the loss.

use super::super::params::*;
use super::super::shaders;
use super::{Pass, Planner, Slot, single_numbers};
use crate::engine::LossKind;
use crate::gpu::runtime::kernel::Shader;

/// Most workgroups that share a sum: one thread adds up what they leave.
const MAX_CHUNKS: u32 = 256;
/// Sums and slopes of Dice for each image and class.
pub(super) const DICE_NUMBERS: u32 = 3;

const SLOTS: [Slot; 6] =
    [Slot::Call, Slot::Weights, Slot::Outputs, Slot::Targets, Slot::OutputGradients, Slot::Partials];

impl Planner<'_> {
    pub(super) fn loss(&mut self) {
        let Pass::Training(kind) = self.pass else { return };
        let Geometry { batch, outputs, rows, .. } = self.geometry;
        let items = self.lines();
        let chunks = self.chunks(1, items).min(MAX_CHUNKS);
        let image_items = rows * self.columns();
        let image_chunks = self.chunks(batch * outputs, image_items).min(MAX_CHUNKS);
        let dice = DICE_NUMBERS * batch * outputs;
        let dice_start = chunks.max(dice * image_chunks);
        // As many for every loss, since passes with different losses share the buffer.
        self.partials = self.partials.max(u64::from(dice_start) + u64::from(dice));
        let params =
            LossParams { geometry: self.geometry, chunks, items, column_tiles: self.columns(), dice_start };
        let image = LossParams { chunks: image_chunks, items: image_items, ..params };
        let (last, value): (&'static Shader, _) = match kind {
            LossKind::CrossEntropy => (&shaders::SOFTMAX_CROSS_ENTROPY, ("FOCAL", 0)),
            LossKind::Focal => (&shaders::SOFTMAX_CROSS_ENTROPY, ("FOCAL", 1)),
            LossKind::Dice => (&shaders::DICE_GRADIENT, ("CROSS_ENTROPY", 0)),
            LossKind::CrossEntropyDice => (&shaders::DICE_GRADIENT, ("CROSS_ENTROPY", 1)),
            LossKind::SquaredError => (&shaders::VALUE_LOSS, ("SQUARED", 1)),
            LossKind::AbsoluteError => (&shaders::VALUE_LOSS, ("ABSOLUTE", 1)),
            LossKind::Huber => (&shaders::VALUE_LOSS, ("HUBER", 1)),
            LossKind::Charbonnier => (&shaders::VALUE_LOSS, ("CHARBONNIER", 1)),
        };
        // An exponential is about ten multiply-adds.
        let work = self.per_pixel(10, outputs);
        if kind.has_dice() {
            self.push(&shaders::SOFTMAX, &[], &params, &SLOTS, [chunks, 1, 1], work);
            self.push(&shaders::DICE_SUMS, &[], &image, &SLOTS, [outputs, image_chunks, batch], work);
            let slots: Vec<Slot> = SLOTS.into_iter().chain([Slot::Loss]).collect();
            self.push(&shaders::DICE_SLOPES, &[], &image, &slots, [1, 1, 1], 0);
        }
        self.push(last, &[value], &params, &SLOTS, [chunks, 1, 1], work);
        let sum = SumPartialsParams { chunks, ..single_numbers(1, 0) };
        self.sum_partials(&shaders::SUM_PARTIALS, &[], &sum, &[Slot::Partials, Slot::Loss]);
        if self.has_halves() {
            self.largest_gradient();
        }
    }

    /// Finds the largest output gradient, by which all others are brought into the range of halves.
    fn largest_gradient(&mut self) {
        let items = self.lines() * self.geometry.outputs;
        let chunks = self.chunks(1, items).min(MAX_CHUNKS);
        let params =
            LargestGradientParams { geometry: self.geometry, chunks, items, column_tiles: self.columns() };
        let slots = [Slot::OutputGradients, Slot::Scaling];
        self.push(&shaders::LARGEST_GRADIENT, &[], &params, &slots, [chunks, 1, 1], 0)
    }
}
