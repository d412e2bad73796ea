//! The least number of bytes that each step of a schedule must move through memory. Measured times are compared with it, as they are
//! with the number of multiply-adds.

use super::{Schedule, Step};
use crate::network::{Architecture, ParameterLayout};

impl Step {
    /// Bytes for each pixel of the images that the step must read and write, each plane once, however often its kernels fetch it: the maps and
    /// gradients that it reads; the sums that it writes, and reads too unless they start here; the maps whose signs are the ReLU's
    /// mask. Uploaded images and targets count; margins, filters and partial sums do not. A number in a feature map or a gradient map has `map`
    /// bytes, all others have 4.
    fn bytes_of_pixel(&self, architecture: &Architecture, map: usize) -> usize {
        let outputs = architecture.outputs;
        let sums = |count: usize, first: bool| if first { 4 * count } else { 8 * count };
        // Sums are written as they are until they are complete.
        let stored = |count: usize, complete: usize| 4 * (count - complete) + map * complete;
        match self {
            Step::Load => (4 + map) * architecture.inputs,
            // Each plane of the image is read, smoothed along rows and columns, and its responses written.
            Step::Stem => architecture.inputs * (4 + map * architecture.stem.responses()),
            Step::Convolve { sources, outputs, first, finishes } => {
                let read = if *first { 0 } else { 4 * outputs.len() };
                map * sources.len() + stored(outputs.len(), finishes.len()) + read
            }
            Step::Mix { sources, first } => map * sources.len() + sums(outputs, *first),
            // The targets are one plane of classes, or at least one of values.
            Step::Loss => 4 * (2 * outputs + 1),
            Step::MixWeightGradient { sources, .. } => map * sources.len() + 4 * outputs,
            Step::MixInputGradient { channels, finishes } => {
                4 * outputs + stored(channels.len(), finishes.len()) + map * finishes.len()
            }
            Step::InputGradient { gradients, channels, finishes } => {
                let sums = 4 * channels.len() + stored(channels.len(), finishes.len());
                map * gradients.len() + sums + map * finishes.len()
            }
            Step::FilterGradient { gradients, sources } => map * (gradients.len() + sources.len()),
            Step::BiasGradient { gradients } => map * gradients.len(),
        }
    }
}

impl Schedule {
    /// Bytes that each kind of step must move for the whole batch, by [`Step::name`], in the order of the schedule: maps, gradients and sums,
    /// each plane once a step; margins, filters and partial sums do not count.
    pub fn traffic(&self) -> Vec<(&'static str, u64)> {
        let pixels = (self.shape.batch * self.shape.extent.pixels()) as u64;
        let mut traffic: Vec<(&'static str, u64)> = Vec::new();
        for step in &self.steps {
            let bytes = pixels * step.bytes_of_pixel(&self.architecture, self.map_bytes() as usize) as u64;
            match traffic.iter_mut().find(|(name, _)| *name == step.name()) {
                Some((_, sum)) => *sum += bytes,
                None => traffic.push((step.name(), bytes)),
            }
        }
        traffic
    }
}

/// Bytes that the optimiser's step must move: parameters, gradients, two moments and the average, each read and written.
pub fn update_traffic(architecture: &Architecture) -> u64 {
    2 * 5 * 4 * ParameterLayout::of(architecture).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Extent, Shape};
    use crate::schedule::Options;

    fn traffic(block: usize) -> Vec<(&'static str, u64)> {
        let shape = Shape { batch: 2, extent: Extent::plane(3, 5) };
        let options =
            Options { block, max_page_bytes: u64::MAX, alignment: 4, share_planes: false, half_maps: false };
        Schedule::training(&Architecture::new(1, 2, 4), shape, &options).unwrap().traffic()
    }

    #[test]
    fn layer_by_layer_each_layer_reads_all_before_it() {
        let plane = 4 * 2 * 15;
        let wanted = [
            ("load", 2),
            // Layers 0 to 3 read 1, 2, 3 and 4 maps and write one.
            ("convolve", 1 + 2 + 3 + 4 + 4),
            ("mix", 5 + 2),
            ("loss", 5),
            ("mix_weight_gradient", 5 + 2),
            // The last layer is complete after it, and needs its mask.
            ("mix_input_gradient", 4 * 2 + 4 + 1),
            // 1, 2 and 3 gradients into one each, which is read, written and masked.
            ("input_gradient", 1 + 2 + 3 + 3 * 3),
            ("filter_gradient", 1 + 2 + 3 + 4 + 4),
            ("bias_gradient", 4),
        ];
        let mut found = traffic(1);
        found.sort();
        let mut wanted = wanted.map(|(name, planes)| (name, planes * plane)).to_vec();
        wanted.sort();
        assert_eq!(found, wanted);
    }

    #[test]
    fn larger_blocks_move_less() {
        let sum = |block| traffic(block).iter().map(|(_, bytes)| bytes).sum::<u64>();
        assert!(sum(4) < sum(1), "{} and {}", sum(4), sum(1));
    }
    #[test]
    fn halves_are_half_of_what_maps_move_and_sums_are_whole() {
        let shape = Shape { batch: 2, extent: Extent::plane(3, 5) };
        let options = Options {
            block: 4,
            max_page_bytes: u64::MAX,
            alignment: 4,
            share_planes: false,
            half_maps: true,
        };
        let schedule = Schedule::forward(&Architecture::new(1, 2, 4), shape, &options).unwrap();
        let pixel = 2 * 15;
        // The image into four sums, of which the first is complete; one map into one; two into two; one into one.
        let gather = 2 * (1 + 1) + 4 * 3;
        let inside = (2 * (1 + 1) + 4) + (2 * (2 + 1) + 4 + 8) + (2 * (1 + 1) + 4);
        let wanted = [("load", 4 + 2), ("convolve", gather + inside), ("mix", 2 * 5 + 4 * 2)];
        assert_eq!(schedule.traffic(), wanted.map(|(name, bytes)| (name, pixel * bytes)));
        let training = Schedule::training(&Architecture::new(1, 2, 4), shape, &options).unwrap();
        let found = |name: &str| training.traffic().into_iter().find(|(found, _)| *found == name).unwrap().1;
        // Two outputs; three sums, and a gradient map with its mask.
        assert_eq!(found("mix_input_gradient"), pixel * (4 * 2 + 4 * 3 + 2 + 2));
        // One gradient to one sum; two to two; one to one. In each step one is complete.
        let inside = (2 + 4 + 2 + 2) + (2 * 2 + 4 * 2 + 4 + 2 + 2) + (2 + 4 + 2 + 2);
        assert_eq!(found("input_gradient"), pixel * inside);
        assert_eq!(found("filter_gradient"), pixel * 2 * (4 + 4));
        assert_eq!(found("bias_gradient"), pixel * 2 * 4);
    }
}
