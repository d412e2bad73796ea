//! How volumes are cut, by the memory that there is, and how much around a tile is seen.

use std::ops::Range;
use std::sync::Arc;

use log::info;
use ndarray::{Array3, s};

use super::read::gathered;
use crate::geometry::{Extent, Window, as_volume, stacked};
use crate::inference::ensemble::Ensemble;
use crate::inference::plan::{BOUND, Budget, Cutting, Halo, memory_in_words};
use crate::{Error, Result};

/// Slices, rows and columns of a tile that are kept at least.
const LEAST_TILE: usize = 8;
/// Halos that are tried, smallest first, and the side of the cubes that are compared.
const TRIED: [usize; 11] = [4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192];
const COMPARED: usize = 24;

/// How volumes of one size are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// What is kept of a tile at most.
    pub(super) tile: Extent,
    /// How many slices, rows and columns around it are seen.
    pub(super) halo: [usize; 3],
}

/// Bytes that a slab of so many slices takes with its results, read ahead, and a tile of `patch` on the device.
/// `beside` bytes are there for each voxel of the slab besides.
fn wanted(ensemble: &Ensemble, budget: &Budget, beside: u64, volume: Extent, cut: &Cut) -> Result<u64> {
    let architecture = &ensemble.model().architecture;
    let patch = patch(volume, cut);
    let plane = (volume.y * volume.x) as u64;
    let core = cut.tile.z.min(volume.z) as u64;
    // The slices of a slab; two cores more are read ahead. Results are there once as they are computed and once as they are written.
    let slices = plane * architecture.inputs as u64 * (patch.z as u64 + 2 * core);
    let results = 2 * plane * architecture.outputs as u64 * core;
    let tile = patch.pixels() as u64 * (2 * architecture.inputs + 3 * architecture.outputs) as u64;
    let network = ensemble.bytes(patch)?;
    let network = if budget.counts_network() { network } else { 0 };
    let each = network.saturating_add(4 * (slices + results + tile)).saturating_add(beside * plane * core);
    Ok(budget.on_all_devices(each).saturating_add(budget.held()))
}

/// What a tile is computed on: that of the middle, which has all that is around it.
fn patch(volume: Extent, cut: &Cut) -> Extent {
    let along =
        |length: usize, tile: usize, halo: usize| tile.min(length).saturating_add(2 * halo).min(length);
    Extent::new(
        along(volume.z, cut.tile.z, cut.halo[0]),
        along(volume.y, cut.tile.y, cut.halo[1]),
        along(volume.x, cut.tile.x, cut.halo[2]),
    )
}

/// How a volume of `extent` is cut, by the memory that there is, of which blocks of its files take `blocks` bytes; `read` gives its
/// slices, `[channel][y][x]`, where a halo is to be measured. Whoever takes the results has `beside` bytes for each voxel of a slab.
///
/// # Errors
/// [`Error::OutOfMemory`] where there is not enough for the smallest tile; what comes of reading the volume where a halo is measured.
pub(super) fn cut(
    ensemble: &mut Ensemble,
    extent: Extent,
    (cutting, blocks): (&Cutting, u64),
    beside: u64,
    read: &mut dyn FnMut(usize) -> Result<Array3<f32>>,
) -> Result<Cut> {
    let budget = Budget::of(cutting, ensemble, blocks);
    let all = [ensemble.halo_z(), ensemble.halo(), ensemble.halo()];
    let whole = Cut { tile: extent, halo: all };
    let holds = |ensemble: &Ensemble, cut: &Cut| {
        wanted(ensemble, &budget, beside, extent, cut).is_ok_and(|bytes| budget.allows(bytes))
    };
    if cutting.tile.is_none() && holds(ensemble, &whole) {
        tell(ensemble, extent, &whole, all, blocks);
        return Ok(whole);
    }
    let scaled = |halo: usize| {
        let halo = halo.min(all[1]);
        [(halo * all[0]).div_ceil(all[1].max(1)), halo, halo]
    };
    let halo = match cutting.halo {
        Halo::Exact => all,
        Halo::Pixels(halo) => scaled(halo),
        Halo::Auto => scaled(effective_halo(ensemble, extent, read, &holds, &scaled)?),
    };
    if let Some(side) = cutting.tile {
        return Ok(Cut { tile: Extent::new(side, side, side), halo });
    }
    // Cubes look least often at what is around them; whole slices are best read.
    let cubes = |side: usize| Cut { tile: Extent::new(side, side, side), halo };
    let slabs = |slices: usize| Cut { tile: Extent { z: slices, ..extent }, halo };
    let largest = |make: &dyn Fn(usize) -> Cut, most: usize| {
        let fits = |size: usize| holds(ensemble, &make(size));
        let (mut low, mut high) = (LEAST_TILE, most.max(LEAST_TILE));
        if !fits(low) {
            return None;
        }
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if fits(middle) { low = middle } else { high = middle - 1 }
        }
        Some(make(low))
    };
    let computed = |cut: &Cut| {
        let patch = patch(extent, cut);
        let count = |length: usize, tile: usize| length.div_ceil(tile.max(1));
        let tiles = count(extent.z, cut.tile.z) * count(extent.y, cut.tile.y) * count(extent.x, cut.tile.x);
        patch.pixels() as u128 * tiles as u128
    };
    let longest = extent.z.max(extent.y).max(extent.x);
    let candidates = [largest(&slabs, extent.z), largest(&cubes, longest)].into_iter().flatten();
    let best = candidates.min_by_key(computed);
    let Some(best) = best else {
        let least = cubes(LEAST_TILE);
        return Err(Error::OutOfMemory {
            buffer: format!(
                "the memory for a tile of {LEAST_TILE} x {LEAST_TILE} x {LEAST_TILE} voxels with {} slices and {} pixels around it",
                halo[0], halo[1]
            ),
            wanted: wanted(ensemble, &budget, beside, extent, &least)?,
            limit_name: "what may be taken".into(),
            limit: budget.limit(),
            way_out: budget.way_out(),
        });
    };
    tell(ensemble, extent, &best, all, blocks);
    Ok(best)
}

/// Says how a volume is cut, of whose files blocks take so many bytes.
fn tell(ensemble: &Ensemble, extent: Extent, cut: &Cut, all: [usize; 3], blocks: u64) {
    let patch = patch(extent, cut);
    let memory = memory_in_words(ensemble.bytes(patch).unwrap_or_default(), "", blocks);
    if patch == extent {
        info!("volumes of {extent} voxels are computed in one piece; {memory}");
        return;
    }
    let exact = if cut.halo == all { ", which is all that counts" } else { "" };
    let tile = Extent::new(cut.tile.z.min(extent.z), cut.tile.y.min(extent.y), cut.tile.x.min(extent.x));
    info!(
        "volumes of {extent} voxels are cut into tiles of {tile}, each computed with {} slices and {} pixels around it{exact}; {memory}",
        cut.halo[0], cut.halo[1]
    );
}

/// The smallest halo within slices of which tiles differ from what is computed with much more around them by less than [`BOUND`] of the
/// deviation of the outputs, as found in the middle of a volume.
fn effective_halo(
    ensemble: &mut Ensemble,
    extent: Extent,
    read: &mut dyn FnMut(usize) -> Result<Array3<f32>>,
    holds: &dyn Fn(&Ensemble, &Cut) -> bool,
    scaled: &dyn Fn(usize) -> [usize; 3],
) -> Result<usize> {
    let reach = ensemble.halo();
    let core = |length: usize| {
        let size = length.min(COMPARED);
        (length - size) / 2..(length - size) / 2 + size
    };
    let core = Window::new(core(extent.z), core(extent.y), core(extent.x));
    let cube = |halo: usize| Cut { tile: core.extent, halo: scaled(halo) };
    let tried = TRIED.into_iter().filter(|halo| *halo < reach);
    let fitting = tried.clone().filter(|halo| holds(ensemble, &cube(*halo))).max();
    // What is compared with: all that counts, or the most of what is tried that there is memory for.
    let far = if holds(ensemble, &cube(reach)) { reach } else { fitting.unwrap_or(TRIED[0]) };
    let around = |halo: usize| {
        let halo = scaled(halo);
        let side = |range: Range<usize>, halo: usize, length: usize| {
            range.start.saturating_sub(halo)..(range.end + halo).min(length)
        };
        Window::new(
            side(core.slices(), halo[0], extent.z),
            side(core.rows(), halo[1], extent.y),
            side(core.columns(), halo[2], extent.x),
        )
    };
    let most = around(far);
    let mut slices = Vec::new();
    for slice in most.slices() {
        slices.push(Arc::new(read(slice)?));
    }
    let measured = ensemble.measured(&gathered(&slices, &Window::plane(0..extent.y, 0..extent.x)));
    let outputs = |halo: usize, ensemble: &mut Ensemble| -> Result<Vec<Array3<f32>>> {
        let window = around(halo);
        let first = window.z - most.z;
        let patch = gathered(
            &slices[first..first + window.extent.z],
            &Window::plane(window.rows(), window.columns()),
        );
        let found = ensemble.outputs_of_models((&patch, window.extent.z), &measured)?;
        let inside = core.counted_from(&window).unwrap_or(core);
        let inside = |outputs: &Array3<f32>| {
            let outputs = outputs.as_standard_layout();
            let volume = as_volume(outputs.view(), window.extent.z);
            stacked(volume.slice(s![.., inside.slices(), inside.rows(), inside.columns()]).to_owned())
        };
        Ok(found.iter().map(inside).collect())
    };
    let exact = outputs(far, ensemble)?;
    let deviation = |outputs: &Array3<f32>| f64::from(outputs.std(0.0)).max(f64::MIN_POSITIVE);
    let deviations: Vec<f64> = exact.iter().map(deviation).collect();
    for halo in tried.filter(|halo| *halo < far) {
        let mut most = 0.0_f64;
        for ((found, exact), deviation) in outputs(halo, ensemble)?.iter().zip(&exact).zip(&deviations) {
            let apart = found.iter().zip(exact).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
            most = most.max(apart / deviation);
        }
        if most <= BOUND / 2.0 {
            info!(
                "{halo} pixels around each tile keep its outputs within {most:.1e} of their deviation, as measured in the middle of the volume; all that counts would be {reach} (`halo exact`)"
            );
            return Ok(halo);
        }
    }
    if far < reach {
        info!(
            "there is memory for {far} pixels around each tile, of {reach} that count: more memory would bring results closer to those of the whole volume"
        );
    }
    Ok(far)
}
