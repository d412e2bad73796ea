//! The sizes of tiles that kernels may be run with, and which are safe. Which are fastest on a device is found out in
//! [`crate::gpu::tuning`].

use std::fmt;

use super::shaders::{LAYERS_THREADS, MATRIX_BYTES, MATRIX_THREADS, PRODUCT_BYTES, PRODUCT_THREADS};
use crate::engine::DeviceKind;
use crate::gpu::runtime::adapters::GpuAdapter;
use crate::gpu::runtime::matrices::MatrixUnits;
use crate::schedule::LayersAtOnce;

/// The sizes of tiles that kernels are run with: one of the values in [`Tuning::FIELDS`] for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Most pixels a thread in convolve, and most outputs of one dilation.
    pub(in crate::gpu) convolve_rows: u32,
    pub(in crate::gpu) convolve_outputs: u32,
    /// Columns of a workgroup there, where filters are staged.
    pub(in crate::gpu) convolve_lanes: u32,
    /// Workgroups that keep the device busy: tiles are made smaller, and pixels shared by more workgroups, until there
    /// are as many.
    pub(in crate::gpu) workgroups: u32,
    /// Layers in a block of the schedule.
    pub(in crate::gpu) block: u32,
    /// Most pixels and most channels a thread in input_gradient.
    pub(in crate::gpu) gradient_rows: u32,
    pub(in crate::gpu) gradient_channels: u32,
    /// Most channels a thread in filter_gradient.
    pub(in crate::gpu) filter_channels: u32,
    /// Whether workgroups keep filters in memory of their own, in convolve and input_gradient.
    pub(in crate::gpu) staged: u32,
    /// Whether filter gradients are products of matrices: 0 for no, else the fours of sources of a thread.
    pub(in crate::gpu) filter_product: u32,
    /// Whether matrix units compute filter gradients, where the device has some: 0 for no, 1 wherever they are worth their padding, 2
    /// where there is much to add up besides.
    pub(in crate::gpu) matrices: u32,
    /// Most layers inside a block that one dispatch computes: 1 for each by itself.
    pub(in crate::gpu) convolve_layers: u32,
    /// The same for gradient maps.
    pub(in crate::gpu) gradient_layers: u32,
}

/// One of the numbers of a [`Tuning`].
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// The values that it may have.
    pub values: &'static [u32],
    get: fn(&Tuning) -> u32,
    set: fn(&mut Tuning, u32),
}

macro_rules! field {
    ($name:ident, $values:expr) => {
        Field {
            name: stringify!($name),
            values: &$values,
            get: |tuning| tuning.$name,
            set: |tuning, value| tuning.$name = value,
        }
    };
}

impl Tuning {
    /// What may be chosen, in the order in which it is written.
    pub const FIELDS: [Field; 13] = [
        field!(convolve_rows, [8, 16, 4, 2, 1]),
        field!(workgroups, [32, 128, 512, 2048, 8192]),
        field!(block, [5, 10, 20, 50]),
        field!(gradient_rows, [4, 2, 1]),
        field!(gradient_channels, [4, 5, 8, 10, 12, 20, 2, 1]),
        field!(filter_channels, [4, 2, 1]),
        field!(convolve_outputs, [1, 2, 3, 5]),
        field!(convolve_lanes, [64, 128]),
        field!(staged, [0, 1]),
        field!(filter_product, [0, 1, 2]),
        field!(matrices, [0, 1, 2]),
        field!(convolve_layers, [1, 3, 5, 7]),
        field!(gradient_layers, [1, 3, 5, 7]),
    ];
    /// How many fields older texts have: those that came later are 0 or 1 there.
    const FIELDS_OF_OLDER_TEXTS: [usize; 3] = [6, 10, 11];

    /// What does well enough on any device of a kind. That of software was measured on lavapipe (128x128, depth 30), that of hardware
    /// on an H100 (256x256, depth 50, to 2048x2048, depth 100).
    pub fn safe(kind: DeviceKind) -> Self {
        let plain = Self {
            convolve_rows: 8,
            convolve_outputs: 1,
            convolve_lanes: 64,
            workgroups: 32,
            block: 10,
            gradient_rows: 4,
            gradient_channels: 4,
            filter_channels: 4,
            staged: 0,
            filter_product: 0,
            matrices: 0,
            convolve_layers: 1,
            gradient_layers: 1,
        };
        match kind {
            DeviceKind::Gpu => Self {
                convolve_outputs: 2,
                workgroups: 8192,
                block: 20,
                gradient_channels: 12,
                staged: 1,
                filter_product: 1,
                ..plain
            },
            DeviceKind::Cpu | DeviceKind::Software => plain,
        }
    }

    /// What is safe on an adapter: that of its kind, with matrix units where they are trusted, or the smallest tiles where its driver
    /// has a fault.
    pub fn safe_on(adapter: &GpuAdapter) -> Self {
        if adapter.fault().is_some() {
            return Self::smallest();
        }
        let info = adapter.info();
        let trusted = MatrixUnits::of(&adapter.0).is_some_and(|units| units.trusted(&info));
        Self { matrices: if trusted { 2 } else { 0 }, ..Self::safe(info.kind) }
    }

    /// The smallest tiles: a thread has as few numbers at a time as may be.
    fn smallest() -> Self {
        Self {
            convolve_rows: 1,
            convolve_outputs: 1,
            gradient_rows: 1,
            gradient_channels: 1,
            filter_channels: 1,
            staged: 0,
            filter_product: 0,
            ..Self::safe(DeviceKind::Software)
        }
    }

    /// The tuning without what a device with these limits cannot run.
    pub(in crate::gpu) fn within(self, limits: &wgpu::Limits) -> Self {
        let threads = limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x);
        let fits = PRODUCT_BYTES <= limits.max_compute_workgroup_storage_size && PRODUCT_THREADS <= threads;
        let matrices_fit =
            MATRIX_BYTES <= limits.max_compute_workgroup_storage_size && MATRIX_THREADS <= threads;
        Self {
            filter_product: if fits { self.filter_product } else { 0 },
            matrices: if matrices_fit { self.matrices } else { 0 },
            convolve_layers: if LAYERS_THREADS <= threads { self.convolve_layers } else { 1 },
            gradient_layers: if LAYERS_THREADS <= threads { self.gradient_layers } else { 1 },
            ..self
        }
    }

    /// Most layers that are computed at once, forward and backward.
    pub(super) fn layers_at_once(&self) -> LayersAtOnce {
        let [forward, backward] = [self.convolve_layers, self.gradient_layers].map(|layers| layers as usize);
        LayersAtOnce { forward, backward }
    }

    /// The fields in the order in which they are tried: what is expected to matter most comes first, as the time may be over before the end.
    /// They are in the order of [`Tuning::FIELDS`], but for the layers at once, which came last and matter most for small images; how
    /// many there can be depends on the block.
    pub(in crate::gpu) fn fields_by_weight() -> impl Iterator<Item = &'static Field> {
        let all: &'static [Field] = &Self::FIELDS;
        let (before, after) = all.split_at(3);
        let (between, layers) = after.split_at(after.len() - 2);
        before.iter().chain(layers).chain(between)
    }

    /// The value of a field.
    pub fn get(&self, field: &Field) -> u32 {
        (field.get)(self)
    }

    /// The tuning with another value of a field; `None` for a value that it may not have.
    pub fn with(mut self, field: &Field, value: u32) -> Option<Self> {
        field.values.contains(&value).then(|| {
            (field.set)(&mut self, value);
            self
        })
    }

    /// Reads what a tuning is shown as; `None` unless every field is there, with a value that it may have. The fields that came
    /// later may be missing together: then kernels are those that there were before.
    pub fn parse(text: &str) -> Option<Self> {
        let mut tuning = Self::safe(DeviceKind::Software);
        let mut words = text.split_whitespace();
        for (index, field) in Self::FIELDS.iter().enumerate() {
            let Some(word) = words.next() else {
                return Self::FIELDS_OF_OLDER_TEXTS.contains(&index).then_some(tuning);
            };
            let (name, value) = word.split_once('=')?;
            tuning = tuning.with(field, value.parse().ok().filter(|_| name == field.name)?)?;
        }
        words.next().is_none().then_some(tuning)
    }

    /// Tunings that between them run every variant of every kernel that may be chosen, in blocks of every size and with every
    /// number of workgroups: what a cross-check has to go through.
    pub fn covering() -> Vec<Self> {
        let [
            convolve,
            workgroups,
            block,
            rows,
            channels,
            filter,
            outputs,
            lanes,
            staged,
            product,
            matrices,
            layers,
            gradient_layers,
        ] = &Self::FIELDS;
        // Few workgroups, or tiles of small images would be made smaller.
        let fewest = workgroups.values.iter().min().copied().unwrap_or(1);
        let safe = Self { workgroups: fewest, ..Self::safe(DeviceKind::Software) };
        let gradient_tiles = || {
            rows.values.iter().flat_map(|&rows| channels.values.iter().map(move |&channels| (rows, channels)))
        };
        let mut all = Vec::new();
        let next = |number: usize, field: &Field| field.values[number % field.values.len()];
        for (number, (gradient_rows, gradient_channels)) in gradient_tiles().enumerate() {
            let (convolve_rows, filter_channels) = (next(number, convolve), next(number, filter));
            all.push(Self { convolve_rows, gradient_rows, gradient_channels, filter_channels, ..safe });
        }
        let mut gradient_tiles = gradient_tiles().cycle();
        for &convolve_lanes in lanes.values {
            for &convolve_rows in convolve.values {
                for &convolve_outputs in outputs.values {
                    let (gradient_rows, gradient_channels) = gradient_tiles.next().unwrap_or((1, 1));
                    let convolve = Self { convolve_rows, convolve_outputs, convolve_lanes, ..safe };
                    let filter_product = next(all.len(), product);
                    let (staged, matrices) = (next(1, staged), next(0, matrices));
                    all.push(Self {
                        gradient_rows,
                        gradient_channels,
                        filter_product,
                        staged,
                        matrices,
                        ..convolve
                    });
                }
            }
        }
        // Which kernel with matrices a device runs is for the device to say.
        all.extend(matrices.values.iter().map(|&matrices| Self { matrices, ..Self::safe(DeviceKind::Gpu) }));
        // Few and many workgroups, as squares are made smaller for many; in blocks of ten and of twenty layers.
        let safes = [safe, Self::safe(DeviceKind::Gpu)];
        all.extend(safes.into_iter().flat_map(|safe| {
            // Others forward than backward.
            let gradient_layers = gradient_layers.values.iter().cycle().skip(1);
            let layers = layers.values.iter().zip(gradient_layers);
            layers.map(move |(&convolve_layers, &gradient_layers)| Self {
                convolve_layers,
                gradient_layers,
                ..safe
            })
        }));
        let blocks = block.values.iter().cycle();
        let safest = [safe, Self::safe(DeviceKind::Gpu)].into_iter().cycle();
        all.extend(
            workgroups.values.iter().zip(blocks).zip(safest).map(|((&workgroups, &block), safe)| Self {
                workgroups,
                block,
                ..safe
            }),
        );
        all
    }
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, field) in Self::FIELDS.iter().enumerate() {
            let blank = if index == 0 { "" } else { " " };
            write!(f, "{blank}{}={}", field.name, self.get(field))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::plan::{DispatchLimits, Pass, plan};
    use super::super::shaders::{
        CONVOLVE_HALF_WITHIN, CONVOLVE_LAYERS, CONVOLVE_VOLUME_HALF_WITHIN, CONVOLVE_VOLUME_WITHIN,
        CONVOLVE_WITHIN, FILTER_GRADIENT, FILTER_GRADIENT_HALF, FILTER_GRADIENT_MATRIX,
        FILTER_GRADIENT_PRODUCT, FILTER_GRADIENT_PRODUCT_HALF, FILTER_GRADIENT_VOLUME,
        FILTER_GRADIENT_VOLUME_HALF, INPUT_GRADIENT_ALL_WITHIN, INPUT_GRADIENT_HALF_ALL_WITHIN,
        INPUT_GRADIENT_LAYERS, INPUT_GRADIENT_VOLUME_ALL_WITHIN, INPUT_GRADIENT_VOLUME_HALF_ALL_WITHIN,
    };
    use super::*;
    use crate::engine::LossKind;
    use crate::geometry::{Extent, Shape};
    use crate::gpu::runtime::kernel::{Kernel, Shader};
    use crate::gpu::runtime::matrices::KINDS;
    use crate::network::Architecture;
    use crate::schedule::{Options, Schedule};

    fn options_of_block(block: usize) -> Options {
        Options { block, max_page_bytes: u64::MAX, alignment: 16, share_planes: true, half_maps: false }
    }

    #[test]
    fn text_comes_back_and_nothing_else_is_taken() {
        for tuning in Tuning::covering() {
            assert_eq!(Tuning::parse(&tuning.to_string()), Some(tuning));
        }
        // What was kept before there were the later fields.
        let older =
            "convolve_rows=4 workgroups=128 block=5 gradient_rows=2 gradient_channels=5 filter_channels=1";
        let kept =
            Tuning::parse(older).map(|tuning| (tuning.convolve_rows, tuning.staged, tuning.filter_product));
        assert_eq!(kept, Some((4, 0, 0)));
        // And before several layers were computed at once.
        let safe = Tuning::safe(DeviceKind::Gpu);
        let older = safe.to_string().replace(" convolve_layers=1 gradient_layers=1", "");
        assert!(!older.contains("layers"));
        assert_eq!(Tuning::parse(&older), Some(safe));
        let text = Tuning::safe(DeviceKind::Software).to_string();
        for wrong in [
            "",
            "convolve_rows=8",
            &text.replace("convolve_rows=8", "convolve_rows=3"),
            &text.replace("block=10", "block=4000000000"),
            &text.replace("block=10", "block=-1"),
            &text.replace("block", "clock"),
            &format!("{text} more=1"),
        ] {
            assert_eq!(Tuning::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn all_fields_are_tried_and_layers_at_once_right_after_blocks() {
        let names: Vec<&str> = Tuning::fields_by_weight().map(|field| field.name).collect();
        assert_eq!(names[2..6], ["block", "convolve_layers", "gradient_layers", "gradient_rows"]);
        let all: BTreeSet<&str> = Tuning::FIELDS.iter().map(|field| field.name).collect();
        assert_eq!((names.len(), names.into_iter().collect()), (all.len(), all));
    }

    #[test]
    fn safe_tunings_may_be_chosen() {
        for safe in [Tuning::safe(DeviceKind::Gpu), Tuning::safe(DeviceKind::Software), Tuning::smallest()] {
            assert!(Tuning::FIELDS.iter().all(|field| field.values.contains(&safe.get(field))));
        }
    }

    #[test]
    fn the_smallest_tiles_are_the_smallest_that_there_are() {
        let smallest = Tuning::smallest();
        for field in &Tuning::FIELDS {
            // These say how work is divided, not how much of it a thread holds.
            if !matches!(field.name, "workgroups" | "block" | "convolve_lanes") {
                assert_eq!(Some(&smallest.get(field)), field.values.iter().min(), "{}", field.name);
            }
        }
    }

    /// What the cross-check goes through leaves nothing out: no variant of a tiled kernel, and no value of a field.
    #[test]
    fn the_covering_tunings_run_every_variant() {
        // Those of the cross-check.
        let architecture = Architecture { width: 4, dilations: vec![1, 2], ..Architecture::new(2, 5, 10) };
        let shape = Shape { batch: 2, extent: Extent::plane(18, 70) };
        let mut run: BTreeSet<String> = BTreeSet::new();
        let training = Pass::Training(LossKind::SquaredError);
        for tuning in Tuning::covering() {
            let options = options_of_block(tuning.block as usize);
            let limits = DispatchLimits::new(65_535);
            let halves = Options { half_maps: true, ..options };
            let schedules = [
                (Schedule::training(&architecture, shape, &options).unwrap(), training),
                (Schedule::training(&architecture, shape, &halves).unwrap(), training),
            ];
            for (schedule, pass) in schedules {
                let plan = plan(schedule, pass, &tuning, limits);
                run.extend(plan.dispatches.iter().map(|dispatch| dispatch.kernel.label()));
            }
        }
        // Those for several pages differ in what they bind alone.
        let tiled: [&'static Shader; 8] = [
            &CONVOLVE_WITHIN,
            &CONVOLVE_HALF_WITHIN,
            &INPUT_GRADIENT_ALL_WITHIN,
            &INPUT_GRADIENT_HALF_ALL_WITHIN,
            &FILTER_GRADIENT,
            &FILTER_GRADIENT_HALF,
            &FILTER_GRADIENT_PRODUCT,
            &FILTER_GRADIENT_PRODUCT_HALF,
        ];
        for shader in tiled {
            for variant in 0..shader.variants.len() {
                let label = Kernel { shader, variant }.label();
                assert!(run.contains(&label), "no covering tuning runs {label}");
            }
        }
        for field in &Tuning::FIELDS {
            let found: BTreeSet<u32> = Tuning::covering().iter().map(|tuning| tuning.get(field)).collect();
            assert_eq!(found, field.values.iter().copied().collect(), "{}", field.name);
        }
    }

    /// On devices with more memory for a workgroup and less, the cross-checks run all variants for several layers at once.
    #[test]
    fn several_layers_at_once_are_all_run() {
        // Those of `every_tuning_agrees` and `layers_at_once_agree`.
        let architecture = Architecture { width: 4, dilations: vec![1, 2], ..Architecture::new(2, 5, 10) };
        let shape = Shape { batch: 2, extent: Extent::plane(18, 70) };
        let narrow = Architecture { dilations: (1..=10).collect(), ..Architecture::new(1, 2, 23) };
        let larger = Shape { batch: 1, extent: Extent::plane(40, 70) };
        let (wide, several) =
            (Architecture { width: 2, ..narrow.clone() }, Shape { batch: 2, extent: Extent::plane(17, 33) });
        let mut run: BTreeSet<String> = BTreeSet::new();
        for workgroup_bytes in [16_384, 32_768, 49_152] {
            let cases = [(&architecture, shape), (&narrow, larger), (&wide, several)];
            let tunings = Tuning::covering().into_iter();
            for (tuning, (architecture, shape)) in tunings.flat_map(|tuning| cases.map(|case| (tuning, case)))
            {
                let options = options_of_block(tuning.block as usize);
                let schedule = Schedule::training(architecture, shape, &options).unwrap();
                let schedule = schedule.with_sums_apart(tuning.layers_at_once(), u64::MAX);
                let limits = DispatchLimits { workgroup_bytes, ..DispatchLimits::new(65_535) };
                let plan = plan(schedule, Pass::Training(LossKind::SquaredError), &tuning, limits);
                run.extend(plan.dispatches.iter().map(|dispatch| dispatch.kernel.label()));
            }
        }
        let shaders: [&'static Shader; 2] = [&CONVOLVE_LAYERS, &INPUT_GRADIENT_LAYERS];
        for shader in shaders {
            for variant in 0..shader.variants.len() {
                let label = Kernel { shader, variant }.label();
                assert!(run.contains(&label), "no covering tuning runs {label}");
            }
        }
    }

    /// The cross-check of volumes goes through all tiles of theirs.
    #[test]
    fn kernels_of_volumes_are_all_run() {
        let mut run: BTreeSet<String> = BTreeSet::new();
        // As the cross-check has them.
        let architecture =
            Architecture { dimensions: 3, width: 2, dilations: vec![1, 2], ..Architecture::new(1, 2, 10) };
        let shape = Shape { batch: 1, extent: Extent::new(2, 9, 20) };
        for tuning in Tuning::covering() {
            let block = tuning.block as usize;
            let options = options_of_block(block);
            for half_maps in [false, true] {
                let options = Options { half_maps, ..options };
                let schedule = Schedule::training(&architecture, shape, &options).unwrap();
                let limits = DispatchLimits::new(65_535);
                let plan = plan(schedule, Pass::Training(LossKind::SquaredError), &tuning, limits);
                run.extend(plan.dispatches.iter().map(|dispatch| dispatch.kernel.label()));
            }
        }
        let tiled: [&'static Shader; 6] = [
            &CONVOLVE_VOLUME_WITHIN,
            &CONVOLVE_VOLUME_HALF_WITHIN,
            &INPUT_GRADIENT_VOLUME_ALL_WITHIN,
            &INPUT_GRADIENT_VOLUME_HALF_ALL_WITHIN,
            &FILTER_GRADIENT_VOLUME,
            &FILTER_GRADIENT_VOLUME_HALF,
        ];
        for shader in tiled {
            for variant in 0..shader.variants.len() {
                let label = Kernel { shader, variant }.label();
                assert!(run.contains(&label), "no covering tuning runs {label}");
            }
        }
    }

    /// The cross-check of matrix units runs all their variants, each on devices that have such units.
    #[test]
    fn kernels_with_matrices_are_all_run() {
        let mut run: BTreeSet<String> = BTreeSet::new();
        // Those of the cross-check.
        for (width, depth, block) in [(2, 12, 20), (2, 20, 20), (4, 20, 20)] {
            let architecture = Architecture { width, ..Architecture::new(2, 5, depth) };
            let shape = Shape { batch: 2, extent: Extent::plane(13, 40) };
            let options = options_of_block(block);
            for units in KINDS {
                let schedule = Schedule::training(&architecture, shape, &options).unwrap();
                let limits = DispatchLimits { matrices: Some(units), ..DispatchLimits::new(65_535) };
                let tuning = Tuning { matrices: 1, ..Tuning::safe(DeviceKind::Gpu) };
                let plan = plan(schedule, Pass::Training(LossKind::SquaredError), &tuning, limits);
                run.extend(plan.dispatches.iter().map(|dispatch| dispatch.kernel.label()));
            }
        }
        for variant in 0..FILTER_GRADIENT_MATRIX.variants.len() {
            let label = Kernel { shader: &FILTER_GRADIENT_MATRIX, variant }.label();
            assert!(run.contains(&label), "no network of the cross-check runs {label}");
        }
    }
}
