//! The dispatches of a backward pass.

use std::ops::Range;

use super::super::params::*;
use super::super::shaders;
use super::{FEWEST_STAGED, Planner, Slot, count, span, tile};
use crate::geometry::Boundary;
use crate::gpu::runtime::kernel::{Kernel, Shader};
use crate::gpu::runtime::matrices::MatrixUnits;

/// input_gradient as [`Planner::input_gradient_bindings`] takes it.
static INPUT_GRADIENTS: [&Shader; 8] = [
    &shaders::INPUT_GRADIENT,
    &shaders::INPUT_GRADIENT_WITHIN,
    &shaders::INPUT_GRADIENT_MAPS_WITHIN,
    &shaders::INPUT_GRADIENT_ALL_WITHIN,
    &shaders::INPUT_GRADIENT_HALF,
    &shaders::INPUT_GRADIENT_HALF_WITHIN,
    &shaders::INPUT_GRADIENT_HALF_MAPS_WITHIN,
    &shaders::INPUT_GRADIENT_HALF_ALL_WITHIN,
];

/// Rows of a lattice that one work item of filter_gradient walks down.
const SEGMENT: u32 = 16;

/// What a workgroup of filter_gradient_product takes where a thread takes one four of sources: gradients, sources and pixels at a
/// time; and the fewest of its work items that are worth a partial sum.
const PRODUCT_GRADIENTS: u32 = 10;
const PRODUCT_SOURCES: u32 = 64;
const FOUR: u32 = 4;
const PRODUCT_PIXELS: u32 = 32;
const FEWEST_ITEMS: u32 = 8;
/// Of the workgroups that keep a device busy, one in so many is enough there.
const FEWER_WORKGROUPS: u32 = 8;

/// The same for filter_gradient_matrix, whose workgroups are the largest.
const FEWER_MATRIX_WORKGROUPS: u32 = 16;

/// Multiply-adds that are much for matrix units: on an H100 they gained nothing at 256x256 and depth 50, where 20 gradients meet 50
/// sources.
const FEWEST_FOR_MATRICES: u64 = 1_000_000_000;

/// Matrices of sources that a subgroup of filter_gradient_matrix takes: as many as make tiles few and full. It copies 12 matrices of
/// gradients for every two times as many of sources.
fn matrices_across(size: u32, sources: u32) -> u32 {
    let cost = |across: u32| sources.div_ceil(2 * across * size) * (12 + 2 * across);
    // Of two that are as good, the larger one.
    [4, 2].into_iter().min_by_key(|&across| cost(across)).unwrap_or(4)
}

/// Whether matrix units are worth their padding: where enough of the rows and columns of matrices are there.
fn matrices_fit(units: MatrixUnits, gradients: u32, sources: u32) -> bool {
    9 * gradients >= 6 * units.size && sources >= 2 * units.size
}

/// Channels a thread in input_gradient, as the registry has them: five and ten fit blocks of layers.
const CHANNEL_TILES: [u32; 5] = [1, 2, 4, 5, 10];

/// Those of them where weights are staged.
const STAGED_CHANNEL_TILES: [u32; 4] = [4, 8, 12, 20];

/// The tile of `sizes` for `number` channels, of at most `most`. A thread loads each gradient and multiplies it for every channel of its
/// tile, those beyond the last one too: tiles should be few, and full.
fn channel_tile(sizes: &[u32], number: u32, most: u32) -> u32 {
    const LOAD: u32 = 2;
    let cost = |size: u32| number.div_ceil(size) * (size + LOAD);
    // Of two that are as good, the larger one.
    let fitting = sizes.iter().copied().rev().filter(|&size| size <= most);
    fitting.min_by_key(|&size| cost(size)).unwrap_or(sizes[0])
}

impl Planner<'_> {
    /// Cuts `channels` where the maps of `finishes`, whose signs are the ReLU's mask, lie in another page.
    pub(super) fn each_map_page(
        &mut self,
        channels: &Range<usize>,
        finishes: &Range<usize>,
        mut add: impl FnMut(&mut Self, &Range<usize>, usize),
    ) {
        let mut start = channels.start;
        let schedule = self.schedule;
        let cuts = schedule.map_pages.iter().map(|page| page.channels.start);
        let cuts = cuts.filter(|cut| finishes.start < *cut && *cut < finishes.end);
        for end in cuts.chain([channels.end]) {
            let page = schedule.map_page(end - 1);
            add(self, &(start..end), page);
            start = end;
        }
    }

    pub(super) fn mix_input_gradient(
        &mut self,
        channels: &Range<usize>,
        finishes: &Range<usize>,
        map_page: usize,
    ) {
        let size = tile(count(channels), 4);
        let tiles = count(channels).div_ceil(size);
        let (page, page_start, page_channels) = self.gradient_page(channels.start);
        let (map_page_start, map_page_channels) = span(&self.schedule.map_pages[map_page]);
        let params = MixInputGradientParams {
            geometry: self.geometry,
            channel_start: channels.start as u32,
            channel_end: channels.end as u32,
            finish_start: finishes.start as u32,
            finish_end: finishes.end as u32,
            page_start,
            page_channels,
            map_page_start,
            map_page_channels,
            mix_start: self.mix_start(),
            tiles,
            sum_planes: self.planes_of_gradient_sums(),
            beside: match self.schedule.gradient_shift {
                Some(_) => self.geometry.pitch - self.geometry.columns,
                None => 0,
            },
        };
        let maps = Slot::MapPage(map_page);
        let shader = match (self.has_halves(), page == maps) {
            (false, false) => &shaders::MIX_INPUT_GRADIENT,
            (false, true) => &shaders::MIX_INPUT_GRADIENT_MAPS_WITHIN,
            (true, false) => &shaders::MIX_INPUT_GRADIENT_HALF,
            (true, true) => &shaders::MIX_INPUT_GRADIENT_HALF_MAPS_WITHIN,
        };
        let mut slots = vec![Slot::Parameters, Slot::OutputGradients, page];
        slots.extend(self.slots_of_sums());
        slots.extend((page != maps).then_some(maps));
        let workgroups = [self.columns(), self.geometry.rows, self.geometry.batch * tiles];
        let work = self.per_pixel(self.geometry.outputs, count(channels));
        self.push(shader, &[("CHANNELS", size)], &params, &slots, workgroups, work);
    }

    pub(super) fn input_gradient(
        &mut self,
        gradients: &Range<usize>,
        channels: &Range<usize>,
        finishes: &Range<usize>,
        map_page: usize,
    ) {
        if self.schedule.architecture.is_of_volumes() {
            return self.input_gradient_volume(gradients, channels, finishes, map_page);
        }
        // Copying a few filters first takes longer than it saves.
        let few = count(channels).min(count(gradients)) < FEWEST_STAGED;
        let staged = if few { 0 } else { self.tuning.staged };
        let sizes: &[u32] = if staged == 1 { &STAGED_CHANNEL_TILES } else { &CHANNEL_TILES };
        let mut size = channel_tile(sizes, count(channels), self.tuning.gradient_channels);
        let mut rows = tile(self.geometry.rows, self.tuning.gradient_rows);
        let across = |size: u32| self.columns().saturating_mul(count(channels).div_ceil(size));
        while rows > 1 && self.too_few(across(size), self.geometry.rows.div_ceil(rows)) {
            rows /= 2;
        }
        while size > sizes[0] && self.too_few(across(size), self.geometry.rows.div_ceil(rows)) {
            size = channel_tile(sizes, count(channels), size - 1);
        }
        let (tiles, finished) = (count(channels).div_ceil(size), (finishes, map_page));
        let (mut params, slots, shader) =
            self.input_gradient_bindings(gradients, channels, finished, tiles, &INPUT_GRADIENTS);
        params.reach = self.largest_dilation(gradients);
        let workgroups = [across(size), self.geometry.rows.div_ceil(rows), self.geometry.batch];
        let values = [("ROWS", rows), ("CHANNELS", size), ("STAGED", staged)];
        let work = self.per_pixel(9 * count(gradients), count(channels));
        self.push(shader, &values, &params, &slots, workgroups, work);
    }

    /// The parameters, the buffers and, of `shaders`, the one of an input gradient: with gradients and maps in pages of
    /// their own, gradients in the page that is added to, maps in it, and both; the second four are for halves. `finished` are the channels that are
    /// complete after the step, and the page of their maps.
    pub(super) fn input_gradient_bindings(
        &self,
        gradients: &Range<usize>,
        channels: &Range<usize>,
        finished: (&Range<usize>, usize),
        tiles: u32,
        shaders: &[&'static Shader; 8],
    ) -> (InputGradientParams, Vec<Slot>, &'static Shader) {
        let (finishes, map_page) = finished;
        let (from, gradient_page_start, gradient_page_channels) = self.gradient_page(gradients.start);
        let (into, channel_page_start, channel_page_channels) = self.gradient_page(channels.start);
        let (map_page_start, map_page_channels) = span(&self.schedule.map_pages[map_page]);
        let params = InputGradientParams {
            geometry: self.geometry,
            gradient_start: gradients.start as u32,
            gradient_end: gradients.end as u32,
            gradient_page_start,
            gradient_page_channels,
            channel_start: channels.start as u32,
            channel_end: channels.end as u32,
            channel_page_start,
            channel_page_channels,
            finish_start: finishes.start as u32,
            finish_end: finishes.end as u32,
            map_page_start,
            map_page_channels,
            tiles,
            reach: 0,
            sum_planes: self.planes_of_gradient_sums(),
        };
        let maps = Slot::MapPage(map_page);
        let mut slots = vec![Slot::Parameters, Slot::Hidden, into];
        slots.extend(self.slots_of_sums());
        slots.extend([from, maps].into_iter().filter(|&page| page != into));
        let kinds = [(from == into, 1), (maps == into, 2), (self.has_halves(), 4)];
        let kind: usize = kinds.iter().filter(|(is, _)| *is).map(|(_, place)| place).sum();
        (params, slots, shaders[kind])
    }

    /// What kernels bind besides gradient maps that are halves: sums that are not complete, and by what gradients are multiplied.
    fn slots_of_sums(&self) -> impl Iterator<Item = Slot> + use<> {
        self.has_halves().then_some([Slot::Sums, Slot::Scaling]).into_iter().flatten()
    }

    pub(super) fn filter_gradient(&mut self, gradients: &Range<usize>, sources: &Range<usize>) {
        let fewest = if self.tuning.matrices == 2 { FEWEST_FOR_MATRICES } else { 0 };
        let enough = self.per_pixel(9 * count(sources), count(gradients)) >= fewest;
        // Their kernel splits numbers of four bytes into two halves.
        let wanted = self.tuning.matrices > 0 && enough && !self.has_halves();
        let units = self.limits.matrices.filter(|_| wanted);
        if let Some(units) = units.filter(|units| matrices_fit(*units, count(gradients), count(sources))) {
            return self.filter_matrix(units, gradients, sources);
        }
        if self.tuning.filter_product > 0 {
            return self.filter_product(gradients, sources);
        }
        let architecture = &self.schedule.architecture;
        let size = tile(count(sources), self.tuning.filter_channels);
        let tiles = count(sources).div_ceil(size);
        let pairs = tiles * count(gradients);
        // The most work items of any of the gradients, counted as the kernel does.
        let items = gradients.clone().map(|g| {
            let s = architecture.dilation(g - architecture.stem_channels()) as u32;
            let segments = ((self.geometry.rows - 1) / s + 3).div_ceil(SEGMENT);
            self.geometry.batch * self.columns() * segments * s.min(self.geometry.rows)
        });
        let chunks = self.chunks(pairs, items.max().unwrap_or(1));
        let map = self.schedule.map_page(sources.start);
        let (from, gradient_page_start, gradient_page_channels) = self.gradient_page(gradients.start);
        let (source_page_start, source_page_channels) = span(&self.schedule.map_pages[map]);
        let params = FilterGradientParams {
            geometry: self.geometry,
            gradient_start: gradients.start as u32,
            gradient_page_start,
            gradient_page_channels,
            source_start: sources.start as u32,
            source_end: sources.end as u32,
            source_page_start,
            source_page_channels,
            tiles,
            chunks,
            segment: SEGMENT,
            column_tiles: self.columns(),
        };
        let slots = [Slot::Hidden, from, Slot::MapPage(map), Slot::Partials];
        let work = self.per_pixel(9 * count(sources), count(gradients));
        let (values, workgroups) = ([("CHANNELS", size)], [pairs, chunks, 1]);
        let shader =
            if self.has_halves() { &shaders::FILTER_GRADIENT_HALF } else { &shaders::FILTER_GRADIENT };
        self.push(shader, &values, &params, &slots, workgroups, work);
        self.sum_filters(gradients, sources, size, chunks)
    }

    /// Adds up the partial sums of filter gradients that each of `chunks` workgroups left, for `size` sources at a time.
    pub(super) fn sum_filters(
        &mut self,
        gradients: &Range<usize>,
        sources: &Range<usize>,
        size: u32,
        chunks: u32,
    ) {
        let tiles = count(sources).div_ceil(size);
        let taps = self.schedule.architecture.taps() as u32;
        let sum = SumPartialsParams {
            count: count(gradients) * tiles * taps * size,
            elements: taps * size,
            chunks,
            tiles,
            across: size,
            source_start: sources.start as u32,
            source_end: sources.end as u32,
            row_start: gradients.start as u32,
            inputs: self.geometry.inputs,
            ..Default::default()
        };
        let slots = [Slot::Partials, Slot::ParameterGradients, Slot::Hidden, Slot::Scaling];
        let (shader, slots) = match self.has_halves() {
            true => (&shaders::SUM_SCALED_FILTER_PARTIALS, &slots[..]),
            false => (&shaders::SUM_FILTER_PARTIALS, &slots[..3]),
        };
        self.sum_partials(shader, &[("TAPS", taps)], &sum, slots)
    }

    pub(super) fn largest_dilation(&self, gradients: &Range<usize>) -> u32 {
        let architecture = &self.schedule.architecture;
        let dilations = gradients.clone().map(|g| architecture.dilation(g - architecture.stem_channels()));
        dilations.max().unwrap_or(0) as u32
    }

    /// How far into the margins pixels count for the filters of `gradients`.
    fn reach_into_margins(&self, gradients: &Range<usize>) -> u32 {
        match self.schedule.architecture.boundary {
            Boundary::Zeros => 0,
            Boundary::Reflect | Boundary::Symmetric => self.largest_dilation(gradients),
        }
    }

    /// Filter gradients as a product of matrices.
    fn filter_product(&mut self, gradients: &Range<usize>, sources: &Range<usize>) {
        let reach = self.reach_into_margins(gradients);
        let tiles = count(sources).div_ceil(FOUR);
        // Sources beyond those of one four a thread are worth two.
        let quads = if count(sources) > PRODUCT_SOURCES / 2 { self.tuning.filter_product } else { 1 };
        let pixels = PRODUCT_PIXELS / quads;
        let wide_tiles = count(sources).div_ceil(PRODUCT_SOURCES * quads);
        let across = wide_tiles * count(gradients).div_ceil(PRODUCT_GRADIENTS);
        let column_tiles = (self.geometry.columns + 2 * reach).div_ceil(pixels);
        let items = self.geometry.batch * column_tiles * (self.geometry.rows + 2 * reach);
        // A workgroup has many threads and leaves many partial sums, so fewer of them do.
        let chunks = self.chunks(FEWER_WORKGROUPS * across, items.div_ceil(FEWEST_ITEMS * quads));
        let items_of_chunk = items.div_ceil(chunks);
        let chunks = items.div_ceil(items_of_chunk);
        let map = self.schedule.map_page(sources.start);
        let (from, gradient_page_start, gradient_page_channels) = self.gradient_page(gradients.start);
        let (source_page_start, source_page_channels) = span(&self.schedule.map_pages[map]);
        let params = FilterProductParams {
            geometry: self.geometry,
            gradient_start: gradients.start as u32,
            gradient_end: gradients.end as u32,
            gradient_page_start,
            gradient_page_channels,
            source_start: sources.start as u32,
            source_end: sources.end as u32,
            source_page_start,
            source_page_channels,
            tiles,
            wide_tiles,
            chunks,
            items,
            items_of_chunk,
            reach,
            column_tiles,
            unused: 0,
        };
        let slots = [Slot::Hidden, from, Slot::MapPage(map), Slot::Partials];
        let work = self.per_pixel(9 * count(sources), count(gradients));
        let shader = match self.has_halves() {
            true => &shaders::FILTER_GRADIENT_PRODUCT_HALF,
            false => &shaders::FILTER_GRADIENT_PRODUCT,
        };
        self.push(shader, &[("QUADS", quads)], &params, &slots, [across, chunks, 1], work);
        self.sum_filters(gradients, sources, FOUR, chunks)
    }

    /// Filter gradients by matrix units.
    fn filter_matrix(&mut self, units: MatrixUnits, gradients: &Range<usize>, sources: &Range<usize>) {
        let reach = self.reach_into_margins(gradients);
        let across = matrices_across(units.size, count(sources));
        let values = [("SIZE", units.size), ("LANES", units.lanes), ("ACROSS", across)];
        let shader = &shaders::FILTER_GRADIENT_MATRIX;
        let kernel = Kernel::new(shader, &values);
        let (sources_of_tile, gradients_of_tile) = (kernel.value("SOURCES"), kernel.value("GRADIENTS"));
        let tiles = count(sources).div_ceil(sources_of_tile);
        let groups = tiles * count(gradients).div_ceil(gradients_of_tile);
        let column_tiles = (self.geometry.columns + 2 * reach).div_ceil(kernel.value("PIXELS"));
        let items = self.geometry.batch * column_tiles * (self.geometry.rows + 2 * reach);
        let chunks = self.chunks(FEWER_MATRIX_WORKGROUPS * groups, items.div_ceil(FEWEST_ITEMS));
        let items_of_chunk = items.div_ceil(chunks);
        let chunks = items.div_ceil(items_of_chunk);
        let map = self.schedule.map_page(sources.start);
        let (from, gradient_page_start, gradient_page_channels) = self.gradient_page(gradients.start);
        let (source_page_start, source_page_channels) = span(&self.schedule.map_pages[map]);
        let params = FilterMatrixParams {
            geometry: self.geometry,
            gradient_start: gradients.start as u32,
            gradient_end: gradients.end as u32,
            gradient_page_start,
            gradient_page_channels,
            source_start: sources.start as u32,
            source_end: sources.end as u32,
            source_page_start,
            source_page_channels,
            tiles,
            chunks,
            items,
            items_of_chunk,
            reach,
            column_tiles,
            ..Default::default()
        };
        let slots = [Slot::Call, Slot::Hidden, from, Slot::MapPage(map), Slot::Partials];
        let work = self.per_pixel(9 * count(sources), count(gradients));
        self.push(shader, &values, &params, &slots, [groups, chunks, 1], work);
        let elements = 12 * units.size * sources_of_tile;
        let sum = SumPartialsParams {
            count: groups * elements,
            elements,
            chunks,
            tiles,
            across: sources_of_tile,
            source_start: sources.start as u32,
            source_end: sources.end as u32,
            row_start: gradients.start as u32,
            row_end: gradients.end as u32,
            down: gradients_of_tile,
            inputs: self.geometry.inputs,
            ..Default::default()
        };
        let slots = [Slot::Partials, Slot::ParameterGradients, Slot::Hidden];
        self.sum_partials(&shaders::SUM_MATRIX_PARTIALS, &[], &sum, &slots)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::shaders::INPUT_GRADIENT;
    use super::*;

    #[test]
    fn channel_tiles_are_few_and_full_and_in_the_registry() {
        let tiles = |number, most| channel_tile(&CHANNEL_TILES, number, most);
        assert_eq!([1, 2, 3, 4, 5, 10, 20].map(|number| tiles(number, 10)), [1, 2, 4, 4, 5, 10, 10]);
        assert_eq!([1, 2, 3, 5, 10].map(|number| tiles(number, 5)), [1, 2, 4, 5, 5]);
        assert_eq!([1, 2, 3, 5, 10].map(|number| tiles(number, 4)), [1, 2, 4, 4, 4]);
        assert_eq!((tiles(10, 1), tiles(10, 0)), (1, 1));
        for size in CHANNEL_TILES {
            assert!(INPUT_GRADIENT.variants.iter().any(|values| values.contains(&("CHANNELS", size))));
        }
    }
}
