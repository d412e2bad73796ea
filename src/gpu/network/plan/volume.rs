//! The dispatches of convolutions of volumes and of their gradients. All others take a volume for an image with the rows of all its
//! slices.

use std::ops::Range;

use super::super::params::*;
use super::super::shaders;
use super::{Planner, Slot, count, lattices, span, tile};
use crate::gpu::runtime::kernel::Shader;

/// Taps of a filter.
const TAPS: u32 = 27;
/// Channels a thread in input_gradient_volume, as the registry has them.
const CHANNEL_TILES: [u32; 4] = [1, 2, 4, 5];
/// input_gradient_volume as [`Planner::input_gradient_bindings`] takes it.
static INPUT_GRADIENT_VOLUMES: [&Shader; 8] = [
    &shaders::INPUT_GRADIENT_VOLUME,
    &shaders::INPUT_GRADIENT_VOLUME_WITHIN,
    &shaders::INPUT_GRADIENT_VOLUME_MAPS_WITHIN,
    &shaders::INPUT_GRADIENT_VOLUME_ALL_WITHIN,
    &shaders::INPUT_GRADIENT_VOLUME_HALF,
    &shaders::INPUT_GRADIENT_VOLUME_HALF_WITHIN,
    &shaders::INPUT_GRADIENT_VOLUME_HALF_MAPS_WITHIN,
    &shaders::INPUT_GRADIENT_VOLUME_HALF_ALL_WITHIN,
];
/// Most voxels a thread in convolve_volume.
const MOST_ROWS: u32 = 4;

impl Planner<'_> {
    /// Slices of a volume.
    fn slices(&self) -> u32 {
        self.geometry.rows / self.geometry.slice_rows
    }

    pub(super) fn convolve_volume(
        &mut self,
        sources: &Range<usize>,
        outputs: &Range<usize>,
        first: bool,
        finishes: &Range<usize>,
    ) {
        let architecture = &self.schedule.architecture;
        let dilations =
            outputs.clone().map(|o| architecture.dilation(o - architecture.stem_channels()) as u32);
        let dilations: Vec<u32> = dilations.collect();
        let most = dilations.iter().copied().max().unwrap_or(1);
        let height = self.geometry.slice_rows;
        let down = |rows: u32| dilations.iter().map(|&s| lattices(height, rows, s)).max().unwrap_or(1);
        let across = self.columns().saturating_mul(count(outputs));
        let mut rows = tile(height.div_ceil(most), self.tuning.convolve_rows.min(MOST_ROWS));
        while rows > 1 && self.too_few(across, down(rows).saturating_mul(self.slices())) {
            rows /= 2;
        }
        let (from, into) = (self.schedule.map_page(sources.start), self.schedule.map_page(outputs.start));
        let (source_page_start, source_page_channels) = span(&self.schedule.map_pages[from]);
        let (output_page_start, output_page_channels) = span(&self.schedule.map_pages[into]);
        let params = ConvolveVolumeParams {
            geometry: self.geometry,
            source_start: sources.start as u32,
            source_end: sources.end as u32,
            source_page_start,
            source_page_channels,
            output_start: outputs.start as u32,
            output_end: outputs.end as u32,
            output_page_start,
            output_page_channels,
            finish_start: finishes.start as u32,
            finish_end: finishes.end as u32,
            first: first.into(),
            bias_start: self.layout.biases().start as u32,
            lattices: down(rows),
            sum_planes: self.planes_of_sums(),
            ..Default::default()
        };
        let slots = self.convolve_slots(from, into);
        let shader = match (self.has_halves(), from == into) {
            (false, false) => &shaders::CONVOLVE_VOLUME,
            (false, true) => &shaders::CONVOLVE_VOLUME_WITHIN,
            (true, false) => &shaders::CONVOLVE_VOLUME_HALF,
            (true, true) => &shaders::CONVOLVE_VOLUME_HALF_WITHIN,
        };
        let workgroups = [across, down(rows).saturating_mul(self.slices()), self.geometry.batch];
        let work = self.per_pixel(TAPS * count(sources), count(outputs));
        self.push(shader, &[("ROWS", rows)], &params, &slots, workgroups, work);
    }

    pub(super) fn input_gradient_volume(
        &mut self,
        gradients: &Range<usize>,
        channels: &Range<usize>,
        finishes: &Range<usize>,
        map_page: usize,
    ) {
        let most = self.tuning.gradient_channels;
        // Tiles should be few, and full.
        let cost = |size: u32| count(channels).div_ceil(size) * (size + 2);
        let sizes = CHANNEL_TILES.into_iter().filter(|&size| size <= most);
        let size = sizes.min_by_key(|&size| cost(size)).unwrap_or(1);
        let tiles = count(channels).div_ceil(size);
        let finished = (finishes, map_page);
        let (params, slots, shader) =
            self.input_gradient_bindings(gradients, channels, finished, tiles, &INPUT_GRADIENT_VOLUMES);
        let workgroups = [self.columns().saturating_mul(tiles), self.geometry.rows, self.geometry.batch];
        let work = self.per_pixel(TAPS * count(gradients), count(channels));
        self.push(shader, &[("CHANNELS", size)], &params, &slots, workgroups, work);
    }

    pub(super) fn filter_gradient_volume(&mut self, gradients: &Range<usize>, sources: &Range<usize>) {
        let pairs = count(sources) * count(gradients);
        let chunks = self.chunks(pairs, self.lines());
        let map = self.schedule.map_page(sources.start);
        let (from, gradient_page_start, gradient_page_channels) = self.gradient_page(gradients.start);
        let (source_page_start, source_page_channels) = span(&self.schedule.map_pages[map]);
        let params = FilterGradientVolumeParams {
            geometry: self.geometry,
            gradient_start: gradients.start as u32,
            gradient_page_start,
            gradient_page_channels,
            source_start: sources.start as u32,
            source_end: sources.end as u32,
            source_page_start,
            source_page_channels,
            chunks,
            column_tiles: self.columns(),
            ..Default::default()
        };
        let slots = [Slot::Hidden, from, Slot::MapPage(map), Slot::Partials];
        let work = self.per_pixel(TAPS * count(sources), count(gradients));
        let shader = match self.has_halves() {
            true => &shaders::FILTER_GRADIENT_VOLUME_HALF,
            false => &shaders::FILTER_GRADIENT_VOLUME,
        };
        self.push(shader, &[], &params, &slots, [pairs, chunks, 1], work);
        self.sum_filters(gradients, sources, 1, chunks)
    }
}
