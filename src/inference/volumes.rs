//! Volumes through networks of three dimensions, from files to files: slab by slab of slices, so that memory does not depend on how many
//! slices there are.
//!
//! A volume is a stack, or the images of a folder. A *slab* is the slices that are written next; with it come as many slices on either
//! side as are to be seen, of which neighbouring slabs share what was read. A slab is cut into tiles where there is no memory for it in one
//! piece.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;

use log::info;
use ndarray::{Array2, Array3, Axis, s};

use super::ensemble::{Ensemble, Found, Measured, Prediction};
use super::outputs::Outputs;
use super::parts::Part;
use super::plan::{BOUND, Budget, Cutting, Halo};
use super::predict::{Failure, Reporter};
use super::products::{Products, Shown};
use crate::error::Bytes;
use crate::geometry::tiles::{Span, Tile, spans, tiles};
use crate::geometry::{Extent, Window, as_volume, stacked};
use crate::images::{ImageSource, has_equal_channels, page_size, read_image};
use crate::pictures::range_of;
use crate::pipeline::pipeline;
use crate::watcher::{Flow, Watcher};
use crate::{Error, Result};

/// Slices, rows and columns of a tile that are kept at least.
const LEAST_TILE: usize = 8;
/// Halos that are tried, smallest first, and the side of the cubes that are compared.
const TRIED: [usize; 11] = [4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192];
const COMPARED: usize = 24;
/// Slices whose values are measured for pictures.
const SAMPLED_SLICES: usize = 8;

/// The slices of a volume, by their numbers among the images.
struct Volume {
    members: Range<usize>,
    extent: Extent,
}

/// How volumes of one size are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    /// What is kept of a tile at most.
    tile: Extent,
    /// How many slices, rows and columns around it are seen.
    halo: [usize; 3],
}

/// A slab that is left to do.
struct Slab {
    volume: usize,
    span: Span,
}

/// The slices of a slab and those around it, `[channel][y][x]` each.
struct ReadSlab {
    slices: Vec<Arc<Array3<f32>>>,
    measured: Arc<Measured>,
    range: Option<(f32, f32)>,
}

/// Applies `ensemble`, whose networks are of three dimensions, to the volumes that `images` are slices of, as
/// [`predict`](super::predict()) does; `outputs` take the result of each slice.
///
/// # Errors
/// As [`predict`](super::predict()).
pub(super) fn predict_volumes(
    ensemble: &mut Ensemble,
    images: &[ImageSource],
    products: &Products,
    cutting: &Cutting,
    outputs: &mut Outputs<'_>,
    watcher: &mut dyn Watcher,
) -> Result<Vec<Failure>> {
    let volumes = volumes(images)?;
    let grey = ensemble.model().architecture.inputs == 1;
    let mut cuts: BTreeMap<(usize, usize, usize), Cut> = BTreeMap::new();
    let mut slabs = Vec::new();
    let mut passed_over = 0;
    for (index, volume) in volumes.iter().enumerate() {
        let Extent { z, y, x } = volume.extent;
        let cut = match cuts.get(&(z, y, x)) {
            Some(cut) => *cut,
            None => {
                let cut = cut(ensemble, images, volume, cutting, grey)?;
                cuts.insert((z, y, x), cut);
                cut
            }
        };
        for span in spans(z, cut.tile.z, cut.halo[0]) {
            let slices = span.core.clone().map(|slice| volume.members.start + slice);
            let is_done = |image| outputs.done(&[part(image, volume.extent)]) == [true];
            if slices.clone().all(is_done) {
                passed_over += slices.len();
            } else {
                slabs.push(Slab { volume: index, span });
            }
        }
    }
    if passed_over > 0 {
        info!("going on: {passed_over} of {} slices are done", images.len());
    }
    let (sender, written) = channel();
    let mut reporter = Reporter::new(watcher, images, written);
    let mut reader = Reader { images, volumes: &volumes, grey, kept: VecDeque::new(), of: None };
    let measures = ensemble.measures();
    let wants_image = products.wants_image();
    pipeline(
        &slabs,
        |slab| reader.read(slab, &measures),
        |slab, read| {
            reporter.report_written();
            let volume = &volumes[slab.volume];
            let cut = cuts[&(volume.extent.z, volume.extent.y, volume.extent.x)];
            let first = volume.members.start + slab.span.core.start;
            ensemble.warn_of_range(&images[first].name(), &read.slices[slab.span.core_in_patch().start]);
            let count = slab.span.core.len() as f64;
            let mut progress = |done: f64| {
                // A slab is done as a whole: its slices are shown one after the other meanwhile.
                let at = done * count;
                let slice = (at as usize).min(slab.span.core.len() - 1);
                reporter.tile(first + slice, (at - slice as f64).min(0.999))
            };
            let found = compute(ensemble, volume, slab, &cut, &read, products, &mut progress);
            let found = found.map_err(|error| match error {
                Error::Mismatch(problem) => Error::Mismatch(format!("{}: {problem}", images[first].name())),
                Error::Stopped { .. } => Error::Stopped { done: first, count: images.len() },
                other => other,
            })?;
            let shown: Vec<Option<Shown>> = slab
                .span
                .core_in_patch()
                .map(|slice| {
                    wants_image.then(|| Shown { image: (*read.slices[slice]).clone(), range: read.range })
                })
                .collect();
            Ok((found, shown))
        },
        |slab, (found, shown)| {
            let volume = &volumes[slab.volume];
            for ((slice, found), shown) in slab.span.core.clone().zip(&found).zip(&shown) {
                let image = volume.members.start + slice;
                if outputs.done(&[part(image, volume.extent)]) == [true] {
                    continue;
                }
                let result = Some((shown.as_ref(), found));
                if let Some(written) = outputs.write(&part(image, volume.extent), result)? {
                    // The receiver is dropped once the work has failed.
                    sender.send((image, written)).ok();
                }
            }
            Ok(())
        },
    )?;
    reporter.report_written();
    Ok(Vec::new())
}

/// A slice as the part that its result is written as.
fn part(image: usize, volume: Extent) -> Part {
    Part::whole(image, Extent::plane(volume.y, volume.x))
}

/// The volumes that images are slices of: those of a file, or those of a folder in files of their own.
///
/// # Errors
/// [`Error::Mismatch`] for slices that differ in size; what is wrong with a header.
fn volumes(images: &[ImageSource]) -> Result<Vec<Volume>> {
    let place = |image: &ImageSource| match image.page {
        Some(_) => (PathBuf::from(image.place().0), image.place().1.to_owned()),
        None => (image.path.parent().map(PathBuf::from).unwrap_or_default(), String::new()),
    };
    let mut volumes: Vec<Volume> = Vec::new();
    let mut open = None;
    for (index, image) in images.iter().enumerate() {
        let (_, height, width) = page_size(image)?;
        let own = (place(image), image.page.is_some());
        match volumes.last_mut() {
            Some(volume) if open.as_ref() == Some(&own) => {
                let first = &images[volume.members.start];
                if (volume.extent.y, volume.extent.x) != (height, width) {
                    return Err(Error::Mismatch(format!(
                        "{} has {width} x {height} pixels but {} has {} x {}; wanted slices of one size in a volume",
                        image.name(),
                        first.name(),
                        volume.extent.x,
                        volume.extent.y
                    )));
                }
                volume.members.end += 1;
                volume.extent.z += 1;
            }
            _ => volumes.push(Volume { members: index..index + 1, extent: Extent::plane(height, width) }),
        }
        open = Some(own);
    }
    Ok(volumes)
}

/// Reads the slices of slabs in order, those that slabs share once.
struct Reader<'a> {
    images: &'a [ImageSource],
    volumes: &'a [Volume],
    /// Whether the network takes one channel, so that colours that are grey become that.
    grey: bool,
    /// Slices of the last slab, by their numbers among the images.
    kept: VecDeque<(usize, Arc<Array3<f32>>)>,
    /// The volume that was read of last, and what was measured over it.
    of: Option<(usize, Arc<Measured>, Option<(f32, f32)>)>,
}

impl Reader<'_> {
    fn read(&mut self, slab: &Slab, measures: &[crate::network::Measure]) -> Result<ReadSlab> {
        let volume = &self.volumes[slab.volume];
        if self.of.as_ref().is_none_or(|(of, ..)| *of != slab.volume) {
            self.kept.clear();
            let (measured, range) = self.measure(volume, measures)?;
            self.of = Some((slab.volume, Arc::new(measured), range));
        }
        let start = volume.members.start;
        let wanted = start + slab.span.patch.start..start + slab.span.patch.end;
        self.kept.retain(|(image, _)| wanted.contains(image));
        let mut slices = Vec::new();
        for image in wanted {
            let known = self.kept.iter().find(|(known, _)| *known == image).map(|(_, slice)| slice.clone());
            let slice = match known {
                Some(slice) => slice,
                None => {
                    let slice = Arc::new(read_slice(&self.images[image], self.grey)?);
                    self.kept.push_back((image, slice.clone()));
                    slice
                }
            };
            slices.push(slice);
        }
        let (measured, range) = match &self.of {
            Some((_, measured, range)) => (measured.clone(), *range),
            None => Default::default(),
        };
        Ok(ReadSlab { slices, measured, range })
    }

    /// What the models want measured over all of a volume, and which of its values are black and white in pictures.
    fn measure(
        &self,
        volume: &Volume,
        measures: &[crate::network::Measure],
    ) -> Result<(Measured, Option<(f32, f32)>)> {
        let images = &self.images[volume.members.clone()];
        let mut found = Vec::new();
        for measure in measures {
            let channels = read_slice(&images[0], self.grey)?.dim().0;
            let normalisation = measure.of_bands(channels, |visit| {
                images.iter().try_for_each(|image| {
                    visit(read_slice(image, self.grey)?.view());
                    Ok(())
                })
            })?;
            found.push((*measure, normalisation));
        }
        let step = images.len().div_ceil(SAMPLED_SLICES);
        let mut rows = Vec::new();
        for image in images.iter().step_by(step) {
            let slice = read_slice(image, self.grey)?;
            rows.extend(slice.index_axis(Axis(0), 0).iter().step_by(7).copied());
        }
        let count = rows.len();
        let range = Array2::from_shape_vec((1, count), rows).ok().and_then(|rows| range_of(rows.view()));
        Ok((Measured(found), range))
    }
}

fn read_slice(image: &ImageSource, grey: bool) -> Result<Array3<f32>> {
    let slice = read_image(image)?;
    Ok(if grey && has_equal_channels(&slice) { slice.slice_move(s![..1, .., ..]) } else { slice })
}

/// What the models give for the slices of a slab.
fn compute(
    ensemble: &mut Ensemble,
    volume: &Volume,
    slab: &Slab,
    cut: &Cut,
    read: &ReadSlab,
    products: &Products,
    progress: &mut dyn FnMut(f64) -> Flow,
) -> Result<Vec<Found>> {
    let Extent { y, x, .. } = volume.extent;
    let (core, depth) = (slab.span.core_in_patch(), slab.span.patch.len());
    let plane = Extent::plane(y, x);
    let within = tiles(plane, Extent { z: 1, ..cut.tile }, [0, cut.halo[1], cut.halo[2]]);
    let count = within.len() as f64;
    let mut found: Option<Vec<Found>> = None;
    for (number, tile) in within.enumerate() {
        let mut share = |done: f64| progress((number as f64 + done) / count);
        let patch = gathered(&read.slices, &tile.patch);
        let one = if products.want_classes_only() {
            ensemble.classify_measured((&patch, depth), &read.measured, &mut share)?
        } else {
            let deviation = products.want_deviation();
            Found::Prediction(ensemble.predict_measured(
                (&patch, depth),
                &read.measured,
                deviation,
                &mut share,
            )?)
        };
        let kept = tile.core_in_patch();
        let window = Window::new(core.clone(), kept.rows(), kept.columns());
        let slices = of_slices(&one, depth, &window);
        if tile.core.extent == plane {
            return Ok(slices);
        }
        let all = found.get_or_insert_with(|| slices.iter().map(|slice| slice.blank(y, x)).collect());
        for (all, slice) in all.iter_mut().zip(&slices) {
            all.put(slice, &tile);
        }
    }
    Ok(found.unwrap_or_default())
}

/// The part `window` of each of the slices, one below the other.
fn gathered(slices: &[Arc<Array3<f32>>], window: &Window) -> Array3<f32> {
    let channels = slices.first().map_or(0, |slice| slice.dim().0);
    let mut rows = Vec::with_capacity(channels * slices.len() * window.extent.pixels());
    for channel in 0..channels {
        for slice in slices {
            rows.extend(slice.slice(s![channel, window.rows(), window.columns()]).iter().copied());
        }
    }
    Array3::from_shape_vec((channels, slices.len() * window.extent.y, window.extent.x), rows)
        .unwrap_or_default()
}

/// The part `window` of what was found for a volume of so many slices, slice by slice.
fn of_slices(found: &Found, slices: usize, window: &Window) -> Vec<Found> {
    let part = |values: &Array3<f32>| {
        let values = values.as_standard_layout();
        let volume = as_volume(values.view(), slices);
        stacked(volume.slice(s![.., window.slices(), window.rows(), window.columns()]).to_owned())
    };
    let height = window.extent.y;
    let slice =
        |values: &Array3<f32>, z: usize| values.slice(s![.., z * height..(z + 1) * height, ..]).to_owned();
    match found {
        Found::Classes(classes) => {
            let classes = classes.as_standard_layout();
            let volume = as_volume(classes.view().insert_axis(Axis(0)), slices);
            let part = volume.slice(s![0, window.slices(), window.rows(), window.columns()]);
            part.outer_iter().map(|slice| Found::Classes(slice.to_owned())).collect()
        }
        Found::Prediction(Prediction { mean, deviation }) => {
            let (mean, deviation) = (part(mean), deviation.as_ref().map(part));
            let of_slice = |z| {
                let deviation = deviation.as_ref().map(|deviation| slice(deviation, z));
                Found::Prediction(Prediction { mean: slice(&mean, z), deviation })
            };
            (0..window.extent.z).map(of_slice).collect()
        }
    }
}

impl Found {
    /// The same of `height` x `width` pixels, without anything in it.
    fn blank(&self, height: usize, width: usize) -> Self {
        match self {
            Found::Classes(_) => Found::Classes(Array2::zeros((height, width))),
            Found::Prediction(Prediction { mean, deviation }) => {
                let blank = |values: &Array3<f32>| Array3::zeros((values.dim().0, height, width));
                Found::Prediction(Prediction { mean: blank(mean), deviation: deviation.as_ref().map(blank) })
            }
        }
    }

    /// Puts what was found for the core of a tile where it belongs.
    fn put(&mut self, found: &Found, tile: &Tile) {
        let (rows, columns) = (tile.core.rows(), tile.core.columns());
        match (self, found) {
            (Found::Classes(all), Found::Classes(found)) => all.slice_mut(s![rows, columns]).assign(found),
            (Found::Prediction(all), Found::Prediction(found)) => {
                all.mean.slice_mut(s![.., rows.clone(), columns.clone()]).assign(&found.mean);
                if let (Some(all), Some(found)) = (&mut all.deviation, &found.deviation) {
                    all.slice_mut(s![.., rows, columns]).assign(found);
                }
            }
            _ => {}
        }
    }
}

/// Bytes that a slab of so many slices takes with its results, read ahead, and a tile of `patch` on the device.
fn wanted(ensemble: &Ensemble, budget: &Budget, volume: Extent, cut: &Cut) -> Result<u64> {
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
    Ok(network.saturating_add(4 * (slices + results + tile)))
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

/// How a volume is cut, by the memory that there is.
///
/// # Errors
/// [`Error::OutOfMemory`] where there is not enough for the smallest tile; what comes of reading the volume where a halo is measured.
fn cut(
    ensemble: &mut Ensemble,
    images: &[ImageSource],
    volume: &Volume,
    cutting: &Cutting,
    grey: bool,
) -> Result<Cut> {
    let budget = Budget::of(cutting, ensemble, 0);
    let all = [ensemble.halo_z(), ensemble.halo(), ensemble.halo()];
    let extent = volume.extent;
    let whole = Cut { tile: extent, halo: all };
    let holds = |ensemble: &Ensemble, cut: &Cut| {
        wanted(ensemble, &budget, extent, cut).is_ok_and(|bytes| budget.allows(bytes))
    };
    if cutting.tile.is_none() && holds(ensemble, &whole) {
        tell(ensemble, extent, &whole, all);
        return Ok(whole);
    }
    let scaled = |halo: usize| {
        let halo = halo.min(all[1]);
        [(halo * all[0]).div_ceil(all[1].max(1)), halo, halo]
    };
    let halo = match cutting.halo {
        Halo::Exact => all,
        Halo::Pixels(halo) => scaled(halo),
        Halo::Auto => scaled(effective_halo(ensemble, images, volume, grey, &holds, &scaled)?),
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
            wanted: wanted(ensemble, &budget, extent, &least)?,
            limit_name: "what may be taken".into(),
            limit: budget.limit(),
            way_out: "give more with `memory`, or a smaller `halo`".into(),
        });
    };
    tell(ensemble, extent, &best, all);
    Ok(best)
}

/// Says how a volume is cut.
fn tell(ensemble: &Ensemble, extent: Extent, cut: &Cut, all: [usize; 3]) {
    let patch = patch(extent, cut);
    let network = Bytes(ensemble.bytes(patch).unwrap_or_default());
    if patch == extent {
        info!("volumes of {extent} voxels are computed in one piece; memory: {network} for the network");
        return;
    }
    let exact = if cut.halo == all { ", which is all that counts" } else { "" };
    let tile = Extent::new(cut.tile.z.min(extent.z), cut.tile.y.min(extent.y), cut.tile.x.min(extent.x));
    info!(
        "volumes of {extent} voxels are cut into tiles of {tile}, each computed with {} slices and {} pixels around it{exact}; memory: {network} for the network",
        cut.halo[0], cut.halo[1]
    );
}

/// The smallest halo within slices of which tiles differ from what is computed with much more around them by less than [`BOUND`] of the
/// deviation of the outputs, as found in the middle of a volume.
fn effective_halo(
    ensemble: &mut Ensemble,
    images: &[ImageSource],
    volume: &Volume,
    grey: bool,
    holds: &dyn Fn(&Ensemble, &Cut) -> bool,
    scaled: &dyn Fn(usize) -> [usize; 3],
) -> Result<usize> {
    let extent = volume.extent;
    let reach = ensemble.halo();
    let core = |length: usize| {
        let size = length.min(COMPARED);
        (length - size) / 2..(length - size) / 2 + size
    };
    let core = Window::new(core(extent.z), core(extent.y), core(extent.x));
    let cube = |halo: usize| Cut { tile: core.extent, halo: scaled(halo) };
    let tried = TRIED.into_iter().filter(|halo| *halo < reach);
    let fitting = tried.clone().filter(|halo| holds(ensemble, &cube(*halo))).max();
    // What is compared with: all that counts, or twice what is needed in the end.
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
        slices.push(Arc::new(read_slice(&images[volume.members.start + slice], grey)?));
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
