//! Volumes through networks of three dimensions, from files to files: slab by slab of slices, so that memory does not depend on how many
//! slices there are.
//!
//! A volume is a stack, or the images of a folder. A *slab* is the slices that are written next; with it come as many slices on either
//! side as are to be seen, of which neighbouring slabs share what was read. A slab is cut into tiles where there is no memory for it in one
//! piece.
//!
//! - `read`: slabs from files. `slabs`: predictions slice by slice, for whoever does not write them. `cut`: how a volume is cut by the
//!   memory that there is. `found`: results slice by slice.

mod cut;
mod found;
mod read;
mod slabs;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;

use log::info;
use ndarray::Array3;

use self::cut::{Cut, cut};
use self::found::of_slices;
use self::read::{ReadSlab, Reader, gathered, read_slice};
use super::block_memory::BlockMemory;
use super::ensemble::{Ensemble, Measured};
use super::failures::{Failure, Failures};
use super::outputs::Outputs;
use super::parts::Part;
use super::plan::Cutting;
use super::prediction::Found;
use super::products::{Products, Shown};
use super::queue::Queue;
use super::reporter::Reporter;
use crate::geometry::tiles::{Span, Tile, spans, tiles};
use crate::geometry::{Extent, Window};
use crate::images::{ImageSource, page_size};
use crate::watcher::{Flow, Watcher};
use crate::{Error, Result};

impl Ensemble {
    /// The tiles in which a volume of `extent` is computed, each with all that counts around it; see [`Ensemble::tiles`].
    ///
    /// # Errors
    /// As [`Ensemble::tiles`].
    pub(super) fn tiles_of_volume(&mut self, extent: Extent, cutting: &Cutting) -> Result<Vec<Tile>> {
        // Nothing has to be measured where all that counts is seen.
        let mut read = |_| Ok(Array3::default((0, 0, 0)));
        let cut = cut(self, extent, (cutting, 0), 0, &mut read)?;
        Ok(tiles(extent, cut.tile, cut.halo).collect())
    }
}

/// The slices of a volume, by their numbers among the images.
struct Volume {
    members: Range<usize>,
    extent: Extent,
}

/// A slab that is left to do.
struct Slab {
    volume: usize,
    /// The number of its first slice among the images.
    first: usize,
    span: Span,
}

/// Applies `ensemble`, whose networks are of three dimensions, to the volumes that `images` are slices of, as
/// [`predict`](super::predict()) does; `outputs` take the result of each of the slices `own`.
///
/// # Errors
/// As [`predict`](super::predict()).
pub(super) fn predict_volumes(
    ensemble: &mut Ensemble,
    (images, own): (&[ImageSource], Range<usize>),
    products: &Products,
    (cutting, blocks): (&Cutting, &BlockMemory),
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
        if volume.members.clone().all(|image| outputs.is_there(image)) {
            continue;
        }
        let cut = match cuts.get(&(z, y, x)) {
            Some(cut) => *cut,
            None => {
                let mut read = |slice: usize| read_slice(&images[volume.members.start + slice], grey);
                let first = &images[volume.members.start];
                let cut = cut(ensemble, volume.extent, (cutting, blocks.bytes(first)), 0, &mut read)?;
                blocks.tell(first);
                cuts.insert((z, y, x), cut);
                cut
            }
        };
        let first = volume.members.start;
        let within = own.start.saturating_sub(first)..own.end.saturating_sub(first).min(z);
        for span in spans(z, cut.tile.z, cut.halo[0]) {
            let Some(span) = within_slices(span, &within, z, cut.halo[0]) else { continue };
            let slices: Vec<_> = span.core.clone().map(|slice| first + slice).collect();
            let is_done = |image| outputs.done(&[part(image, volume.extent)]) == [true];
            if slices.iter().copied().all(is_done) {
                passed_over += slices.len();
            } else {
                slabs.push(Slab { volume: index, first: first + span.core.start, span });
            }
        }
    }
    if passed_over > 0 {
        info!("going on: {passed_over} of {} slices are done", own.len());
    }
    let (sender, written) = channel();
    let mut reporter = Reporter::new(watcher, images, own.clone(), written);
    let mut reader = Reader::new(images, &volumes, grey);
    let measures = ensemble.measures();
    let wants_image = products.wants_image();
    let queue = Queue {
        items: &slabs,
        image_of: |slab: &Slab| slab.first,
        compute: &|ensemble: &mut Ensemble, slab: &Slab, read: ReadSlab, progress| {
            let volume = &volumes[slab.volume];
            let cut = cuts[&(volume.extent.z, volume.extent.y, volume.extent.x)];
            let first = slab.first;
            ensemble.warn_of_range(&images[first].name(), &read.slices[slab.span.core_in_patch().start]);
            let wanted =
                Wanted { classes_only: products.want_classes_only(), deviation: products.want_deviation() };
            let slices = (&read.slices[..], &*read.measured);
            let found = compute(ensemble, (volume.extent, &slab.span, &cut), slices, wanted, progress);
            let found = found.map_err(|error| match error {
                Error::Mismatch(problem) => Error::Mismatch(format!("{}: {problem}", images[first].name())),
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
        reached: &|slab, done| {
            // A slab is done as a whole: its slices are shown one after the other meanwhile.
            let at = done * slab.span.core.len() as f64;
            let slice = (at as usize).min(slab.span.core.len() - 1);
            (slab.first + slice, (at - slice as f64).min(0.999))
        },
        images: own.clone(),
    };
    queue.run(
        ensemble,
        |slab| reader.read(slab, &measures),
        // A volume is not passed over.
        &mut Failures::new(images, false),
        &mut reporter,
        |slab, result| {
            let volume = &volumes[slab.volume];
            let Some((found, shown)) = result else { return Ok(()) };
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
    Ok(Vec::new())
}

/// What of `span` falls to a program that does the slices `own` of `count`, with `halo` slices around it; `None` where that is nothing.
fn within_slices(span: Span, own: &Range<usize>, count: usize, halo: usize) -> Option<Span> {
    let core = span.core.start.max(own.start)..span.core.end.min(own.end);
    if core == span.core {
        return Some(span);
    }
    let patch = core.start.saturating_sub(halo)..core.end.saturating_add(halo).min(count);
    (!core.is_empty()).then_some(Span { core, patch })
}

/// A slice as the part that its result is written as.
fn part(image: usize, volume: Extent) -> Part {
    Part::whole(image, Extent::plane(volume.y, volume.x))
}

/// The number of the volume that each image is a slice of.
///
/// # Errors
/// As [`volumes`].
pub(super) fn volume_of_each(images: &[ImageSource]) -> Result<Vec<usize>> {
    let volumes = volumes(images)?;
    Ok(volumes
        .iter()
        .enumerate()
        .flat_map(|(index, volume)| volume.members.clone().map(move |_| index))
        .collect())
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

/// What is wanted of a slab.
#[derive(Debug, Clone, Copy, Default)]
struct Wanted {
    classes_only: bool,
    deviation: bool,
}

/// What the models give for the slices that `span` keeps of a volume of `extent`; `slices` are those of its patch.
fn compute(
    ensemble: &mut Ensemble,
    (extent, span, cut): (Extent, &Span, &Cut),
    (slices, measured): (&[Arc<Array3<f32>>], &Measured),
    wanted: Wanted,
    progress: &mut dyn FnMut(f64) -> Flow,
) -> Result<Vec<Found>> {
    let Extent { y, x, .. } = extent;
    let (core, depth) = (span.core_in_patch(), span.patch.len());
    let plane = Extent::plane(y, x);
    let within = tiles(plane, Extent { z: 1, ..cut.tile }, [0, cut.halo[1], cut.halo[2]]);
    let count = within.len() as f64;
    let mut found: Option<Vec<Found>> = None;
    for (number, tile) in within.enumerate() {
        let mut share = |done: f64| progress((number as f64 + done) / count);
        let patch = gathered(slices, &tile.patch);
        let one = if wanted.classes_only {
            ensemble.classify_measured((&patch, depth), measured, &mut share)?
        } else {
            Found::Prediction(ensemble.predict_measured(
                (&patch, depth),
                measured,
                wanted.deviation,
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
