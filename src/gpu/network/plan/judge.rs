//! The dispatches that judge the outputs: the loss without gradients, and the most likely class of each pixel.

use super::super::params::*;
use super::super::shaders;
use super::loss::DICE_NUMBERS;
use super::{Planner, Slot};
use crate::engine::{DiceSums, LossKind};

/// Most rows of 64 columns that a workgroup adds up; this is also the number of values that each of its threads adds. The sums of the
/// workgroups are added up on the host in float64, so there may be many of them.
const MAX_ITEMS: u32 = 256;

const SLOTS: [Slot; 5] = [Slot::Call, Slot::Weights, Slot::Outputs, Slot::Targets, Slot::Judged];

/// How the results of judging lie in the buffer that is read back: partial losses, partial sums of Dice, and the classes of the
/// pixels. There is room for all of these with every loss, since passes with different losses share the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JudgedLayout {
    /// Partial losses.
    chunks: u32,
    /// Images of the batch times outputs.
    planes: u32,
    /// Partial sums of Dice for each of these, [`DICE_NUMBERS`] numbers each.
    dice_chunks: u32,
    /// Pixels of the batch.
    pixels: u64,
}

impl JudgedLayout {
    fn dice_start(&self) -> u32 {
        self.chunks
    }

    fn class_start(&self) -> u32 {
        self.chunks + DICE_NUMBERS * self.planes * self.dice_chunks
    }

    /// Numbers in the buffer, of 4 bytes each.
    pub fn length(&self) -> u64 {
        u64::from(self.class_start()) + self.pixels
    }

    /// Takes apart the numbers that were read back for one image and a loss of this kind: the part of the loss that is a sum over
    /// pixels, the sums that Dice is made of, and the most likely classes `[y][x]`.
    pub fn read(&self, mut numbers: Vec<u32>, kind: LossKind) -> (f64, Option<DiceSums>, Vec<u32>) {
        let number = |at: usize| f64::from(f32::from_bits(numbers[at]));
        let sum = if has_sum(kind) { (0..self.chunks as usize).map(number).sum() } else { 0.0 };
        let dice = kind.has_dice().then(|| {
            let sums = |which: usize| -> Vec<f64> {
                let of_class = |class: u32| {
                    let chunks = class * self.dice_chunks..(class + 1) * self.dice_chunks;
                    let place = |chunk: u32| self.dice_start() + DICE_NUMBERS * chunk;
                    chunks.map(|chunk| number(place(chunk) as usize + which)).sum()
                };
                (0..self.planes).map(of_class).collect()
            };
            DiceSums { shared: sums(0), predicted: sums(1), wanted: sums(2) }
        });
        let classes = numbers.split_off((self.class_start() as usize).min(numbers.len()));
        (sum, dice, classes)
    }
}

/// Whether a sum over pixels is part of a loss of classes; Dice alone is none.
fn has_sum(kind: LossKind) -> bool {
    kind != LossKind::Dice
}

impl Planner<'_> {
    /// Judges the outputs of a forward pass by a loss of classes. Dice leaves probabilities in their place.
    pub(super) fn judge(&mut self, kind: LossKind) {
        let Geometry { batch, outputs, rows, .. } = self.geometry;
        let chunks = |others: u32, items: u32| self.chunks(others, items).max(items.div_ceil(MAX_ITEMS));
        let items = self.lines();
        let image_items = rows * self.columns();
        let pixels = self.schedule.shape.batch * self.schedule.shape.extent.pixels();
        let layout = JudgedLayout {
            chunks: chunks(1, items),
            planes: batch * outputs,
            dice_chunks: chunks(batch * outputs, image_items),
            pixels: pixels as u64,
        };
        self.judged = Some(layout);
        let params = LossParams {
            geometry: self.geometry,
            chunks: layout.chunks,
            items,
            column_tiles: self.columns(),
            dice_start: layout.dice_start(),
        };
        let image = LossParams { chunks: layout.dice_chunks, items: image_items, ..params };
        let argmax = ArgmaxParams { geometry: self.geometry, class_start: layout.class_start() };
        let workgroups = [self.columns(), rows, batch];
        let compared = self.per_pixel(1, outputs);
        self.push(&shaders::ARGMAX, &[], &argmax, &[Slot::Outputs, Slot::Judged], workgroups, compared);
        // An exponential is about ten multiply-adds.
        let work = self.per_pixel(10, outputs);
        if has_sum(kind) {
            let focal = [("FOCAL", u32::from(kind == LossKind::Focal))];
            let workgroups = [layout.chunks, 1, 1];
            self.push(&shaders::JUDGED_CROSS_ENTROPY, &focal, &params, &SLOTS, workgroups, work);
        }
        if kind.has_dice() {
            // Last, as nothing reads the outputs any more.
            self.push(&shaders::SOFTMAX_WITHIN, &[], &params, &SLOTS, [layout.chunks, 1, 1], work);
            let workgroups = [outputs, layout.dice_chunks, batch];
            self.push(&shaders::JUDGED_DICE_SUMS, &[], &image, &SLOTS, workgroups, work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_from_their_places() {
        let layout = JudgedLayout { chunks: 2, planes: 2, dice_chunks: 3, pixels: 4 };
        // The loss; for both classes three chunks of shared, predicted and wanted; the classes.
        let numbers = [0.5, 0.25].into_iter().chain((0..18).map(|i| i as f32)).map(f32::to_bits);
        let numbers: Vec<u32> = numbers.chain([1, 0, 1, 1]).collect();
        assert_eq!(layout.length(), numbers.len() as u64);
        let sums = DiceSums {
            shared: vec![0.0 + 3.0 + 6.0, 9.0 + 12.0 + 15.0],
            predicted: vec![1.0 + 4.0 + 7.0, 10.0 + 13.0 + 16.0],
            wanted: vec![2.0 + 5.0 + 8.0, 11.0 + 14.0 + 17.0],
        };
        let read = |kind| layout.read(numbers.clone(), kind);
        let classes = vec![1, 0, 1, 1];
        assert_eq!(read(LossKind::Focal), (0.75, None, classes.clone()));
        assert_eq!(read(LossKind::CrossEntropyDice), (0.75, Some(sums.clone()), classes.clone()));
        // For Dice alone no kernel writes the partial losses.
        assert_eq!(read(LossKind::Dice), (0.0, Some(sums), classes));
    }
}
