//! Cuts what is too much for one dispatch into several. The workgroups are a box; each piece is a part of it, and passes its
//! first workgroup to the kernel.

use super::super::params::*;
use crate::gpu::runtime::matrices::MatrixUnits;

/// Most multiply-adds of one dispatch on a device of any kind, and on a card of its own. Windows resets a graphics processor whose dispatch takes more than two seconds, and the
/// screen is not redrawn until a dispatch has ended. An integrated processor of some years ago reaches about 100 GFLOP/s in these
/// kernels: there this is a tenth of a second, and a device that is twenty times slower still keeps within two seconds. Cards are
/// faster, and large ones need many workgroups at once: an H100 took twice as long where dispatches were cut into five.
const MAX_MULTIPLY_ADDS: u64 = 5_000_000_000;
const MAX_MULTIPLY_ADDS_OF_CARDS: u64 = 50_000_000_000;

/// Bytes of a workgroup's memory that every device has.
const LEAST_WORKGROUP_BYTES: u32 = 16_384;

/// What one dispatch may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DispatchLimits {
    /// Most workgroups along an axis.
    pub workgroups: u32,
    /// Most multiply-adds.
    pub multiply_adds: u64,
    /// The matrix units that kernels may use.
    pub matrices: Option<MatrixUnits>,
    /// Bytes of a workgroup's memory.
    pub workgroup_bytes: u32,
}

impl DispatchLimits {
    /// Those for a device of any kind that runs `workgroups` along an axis, with as little memory of workgroups as any has.
    pub fn new(workgroups: u32) -> Self {
        Self {
            workgroups: workgroups.max(1),
            multiply_adds: MAX_MULTIPLY_ADDS,
            matrices: None,
            workgroup_bytes: LEAST_WORKGROUP_BYTES,
        }
    }

    /// The same for a card with memory of its own.
    pub fn of_card(self) -> Self {
        Self { multiply_adds: MAX_MULTIPLY_ADDS_OF_CARDS, ..self }
    }

    /// Cuts a box of workgroups that do `multiply_adds` together.
    pub fn cut(&self, workgroups: [u32; 3], multiply_adds: u64) -> Vec<Piece> {
        pieces(workgroups, self.workgroups, multiply_adds.div_ceil(self.multiply_adds.max(1)))
    }
}

/// Parameters that say where in its step a dispatch starts.
pub trait Placed: bytemuck::Pod {
    /// These parameters for the dispatch whose first workgroup is `first`.
    fn starting_at(&self, first: [u32; 3]) -> Self;
}

macro_rules! placed {
    ($($name:ident),*) => {
        $(impl Placed for $name {
            fn starting_at(&self, [first_x, first_y, first_z]: [u32; 3]) -> Self {
                let geometry = Geometry { first_x, first_y, first_z, ..self.geometry };
                Self { geometry, ..*self }
            }
        })*
    };
}

placed!(
    LoadParams,
    StemParams,
    ConvolveParams,
    ConvolveLayersParams,
    ConvolveVolumeParams,
    MixParams,
    LossParams,
    LargestGradientParams,
    ArgmaxParams,
    MixInputGradientParams,
    InputGradientParams,
    InputGradientLayersParams,
    FilterGradientParams,
    FilterGradientVolumeParams,
    FilterProductParams,
    FilterMatrixParams,
    MixWeightGradientParams,
    BiasGradientParams
);

/// A part of a box of workgroups: the first of them, and how many along each axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub first: [u32; 3],
    pub workgroups: [u32; 3],
}

/// Cuts a box of workgroups into at least `parts` pieces of about one size, where it has as many, none with more than
/// `most` workgroups along an axis. Images are parted first, then rows; x, along which workgroups share what they read, last.
fn pieces(workgroups: [u32; 3], most: u32, parts: u64) -> Vec<Piece> {
    if workgroups.contains(&0) {
        return Vec::new();
    }
    let mut cuts = workgroups.map(|n| u64::from(n.div_ceil(most)));
    for axis in [2, 1, 0] {
        let missing = parts.max(1).div_ceil(cuts.iter().product());
        cuts[axis] = cuts[axis].saturating_mul(missing).min(u64::from(workgroups[axis]));
    }
    let place = |axis: usize, cut: u64| (u64::from(workgroups[axis]) * cut / cuts[axis]) as u32;
    let mut pieces = Vec::new();
    for z in 0..cuts[2] {
        for y in 0..cuts[1] {
            for x in 0..cuts[0] {
                let at = [x, y, z];
                let first: [u32; 3] = std::array::from_fn(|axis| place(axis, at[axis]));
                let workgroups = std::array::from_fn(|axis| place(axis, at[axis] + 1) - first[axis]);
                pieces.push(Piece { first, workgroups });
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{DeviceKind, LossKind};
    use crate::geometry::{Extent, Shape};
    use crate::gpu::network::plan::{Dispatch, Pass, Plan, plan};
    use crate::gpu::network::tiles::Tuning;
    use crate::network::Architecture;
    use crate::schedule::{Options, Schedule};

    #[test]
    fn pieces_are_the_whole_box_and_keep_to_the_limits() {
        for (workgroups, most, parts, wanted) in [
            ([3, 4, 5], 100, 1, 1),
            ([3, 4, 5], 100, 7, 10),
            ([3, 4, 5], 100, 1000, 60),
            ([10, 1, 1], 3, 1, 4),
            ([10, 70, 9], 7, 1, 2 * 10 * 2),
            ([0, 1, 1], 7, 5, 0),
            ([u32::MAX, 1, 1], 65_535, 1, 65_537),
        ] {
            let pieces = pieces(workgroups, most, parts);
            assert_eq!(pieces.len(), wanted, "{workgroups:?} by {most}");
            let volume = |box_: [u32; 3]| box_.iter().map(|&n| u64::from(n)).product::<u64>();
            assert_eq!(pieces.iter().map(|piece| volume(piece.workgroups)).sum::<u64>(), volume(workgroups));
            for piece in &pieces {
                assert!(piece.workgroups.iter().all(|&n| 0 < n && n <= most), "{piece:?}");
            }
            // As their sizes add up, they do not overlap when none of them starts in another.
            for piece in pieces.iter().take(100) {
                let holds = |other: &Piece| {
                    (0..3).all(|axis| {
                        let from = piece.first[axis];
                        (from..from + piece.workgroups[axis]).contains(&other.first[axis])
                    })
                };
                assert_eq!(pieces.iter().filter(|other| holds(other)).count(), 1, "{piece:?}");
            }
        }
    }

    const TUNING: Tuning = Tuning {
        block: 10,
        convolve_rows: 8,
        gradient_rows: 4,
        gradient_channels: 4,
        filter_channels: 4,
        workgroups: 2048,
        convolve_outputs: 1,
        convolve_lanes: 64,
        staged: 0,
        filter_product: 0,
        matrices: 0,
        convolve_layers: 1,
        gradient_layers: 1,
    };
    const MAX_WORKGROUPS: u32 = 65_535;

    fn planned(architecture: &Architecture, shape: Shape) -> Plan {
        planned_with(&TUNING, architecture, shape)
    }

    fn planned_with(tuning: &Tuning, architecture: &Architecture, shape: Shape) -> Plan {
        let options = Options {
            block: 10,
            max_page_bytes: (1 << 31) - 4,
            alignment: 16,
            share_planes: true,
            half_maps: false,
        };
        let schedule = Schedule::training(architecture, shape, &options).unwrap();
        plan(schedule, Pass::Training(LossKind::CrossEntropy), tuning, DispatchLimits::new(MAX_WORKGROUPS))
    }

    #[test]
    fn dispatches_of_any_size_keep_within_the_axes() {
        let wide = Architecture { width: 20, ..Architecture::new(1, 3, 10) };
        for (architecture, batch, rows, columns) in [
            (Architecture::new(1, 2, 3), 1, 200_000, 40),
            (wide, 1, 3, 50_000),
            (Architecture::new(2, 2, 3), 90_000, 2, 3),
            (Architecture::new(1, 2, 1), 1, 1, 5_000_000),
        ] {
            let shape = Shape { batch, extent: Extent::plane(rows, columns) };
            for tuning in [TUNING, Tuning::safe(DeviceKind::Gpu)] {
                let plan = planned_with(&tuning, &architecture, shape);
                let beyond = |d: &&Dispatch| d.workgroups.iter().any(|&n| n == 0 || n > MAX_WORKGROUPS);
                assert_eq!(plan.dispatches.iter().find(beyond).map(|d| d.workgroups), None, "{shape:?}");
                let later = |d: &Dispatch| {
                    let geometry = d.params.get(..size_of::<Geometry>());
                    geometry.is_some_and(|bytes| {
                        let Geometry { first_x, first_y, first_z, .. } = bytemuck::pod_read_unaligned(bytes);
                        [first_x, first_y, first_z] != [0; 3]
                    })
                };
                assert!(plan.dispatches.iter().any(later), "{shape:?} was not cut");
            }
        }
    }

    #[test]
    fn a_lot_of_work_becomes_several_dispatches() {
        let architecture = Architecture::new(1, 2, 30);
        let of = |side: usize, name: &str| {
            let plan = planned(&architecture, Shape { batch: 1, extent: Extent::plane(side, side) });
            let steps = plan.schedule.steps.iter().filter(|step| step.name() == name).count();
            let dispatches = plan.dispatches.iter().filter(|d| d.kernel.shader.name == name).count();
            (steps, dispatches)
        };
        for name in ["convolve", "input_gradient", "filter_gradient"] {
            let (steps, dispatches) = of(128, name);
            assert_eq!(steps, dispatches, "{name}");
            let (steps, dispatches) = of(4096, name);
            assert!(dispatches > steps, "{name}: {dispatches} dispatches for {steps} steps");
        }
        // The last block: 21 maps and 10 gradients of 16 million pixels, less what no filter connects.
        let plan = planned(&architecture, Shape { batch: 1, extent: Extent::plane(4096, 4096) });
        let last = plan.schedule.steps.iter().rposition(|step| step.name() == "convolve").unwrap();
        let gather = plan.schedule.steps[..last]
            .iter()
            .rposition(|step| step.to_string().contains("maps 0..21 -> maps 21..31"))
            .unwrap();
        let parts = plan.dispatches.iter().filter(|d| d.step == gather).count() as u64;
        assert!(parts >= 9 * 21 * 10 * 4096 * 4096 / MAX_MULTIPLY_ADDS, "{parts}");
    }
}
