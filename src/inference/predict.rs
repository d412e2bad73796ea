//! Files through models to files: read, computed and written at the same time.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::channel;

use log::{debug, info};
use ndarray::{Array3, s};
use twox_hash::XxHash3_128;

use super::block_memory::BlockMemory;
use super::ensemble::Ensemble;
use super::failures::{Failure, Failures, is_of_image};
use super::journal::Journal;
use super::outputs::{Outputs, Past};
use super::parts::{Part, ReadPart, Reader, measure};
use super::plan::{self, Budget, Cutting, Halo};
use super::prediction::Found;
use super::products::{Products, Shown};
use super::queue::Queue;
use super::record::Record;
use super::reporter::Reporter;
use super::share::Share;
use super::tiling::Tiling;
use super::volumes::predict_volumes;
use crate::files::{FolderLock, remove_unfinished};
use crate::geometry::Extent;
use crate::images::{ImageSource, PartReader, page_size};
use crate::watcher::{Flow, Watcher};
use crate::{Error, Result};

/// How a prediction is carried out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Procedure {
    /// How images are cut into tiles.
    pub cutting: Cutting,
    /// Whether to go on where an earlier run into the same folder was stopped.
    pub resume: bool,
    /// Whether an image that cannot be used is passed over.
    pub keep_going: bool,
    /// Which share this is of a prediction that several programs make together.
    pub share: Option<Share>,
}

impl Procedure {
    /// With these values.
    pub fn new(cutting: Cutting, resume: bool, keep_going: bool, share: Option<Share>) -> Self {
        Self { cutting, resume, keep_going, share }
    }
}

/// Applies `ensemble` to every image and writes `products`, in order, as `procedure` says; images are read and results written while
/// others are computed. Of an ensemble on several devices, each takes the next image or tile that none has begun. `watcher` is called for
/// each image once its files are written, and for its tiles before; it may stop the work. Where images are passed over that cannot be
/// read or do not fit the models, these are given, in order.
///
/// What was begun and is not complete stays under hidden names when the watcher stops the work, the disk is full or the device
/// fails, for another run to go on with.
///
/// # Errors
/// Of the first image that failed, with its name; all before it are written. [`Error::Stopped`] when the watcher asked for
/// an end.
pub fn predict(
    ensemble: &mut Ensemble,
    images: &[ImageSource],
    products: &Products,
    procedure: &Procedure,
    watcher: &mut dyn Watcher,
) -> Result<Vec<Failure>> {
    predict_some(ensemble, (images, 0..images.len()), products, procedure, watcher)
}

/// As [`predict`], for some of the images that follow each other; the results of the others come into the same files, from other
/// programs.
pub(super) fn predict_some(
    ensemble: &mut Ensemble,
    (images, own): (&[ImageSource], Range<usize>),
    products: &Products,
    procedure: &Procedure,
    watcher: &mut dyn Watcher,
) -> Result<Vec<Failure>> {
    // The files of other programs that write there stay.
    let lock = match procedure.share {
        None => FolderLock::take(products.folder()).ok(),
        Some(_) => None,
    };
    let _share_lock = procedure.share.map(|share| share.lock(products)).transpose()?;
    let share = match procedure.share {
        Some(share) => share.suffix(products),
        None if lock.is_some() => String::new(),
        // Another program keeps the journal of the folder.
        None => format!("-{}", std::process::id()),
    };
    if lock.is_some() && !procedure.resume {
        remove_unfinished(products.folder());
    }
    let work = description(ensemble, images, products, procedure);
    let mut journal = Journal::open(products.folder(), &share, &work, procedure.resume)?;
    let before = journal.count();
    let shared = procedure.share.map(|_| own.clone());
    let work = identity(ensemble, products, &procedure.cutting);
    let of_share = procedure.share.map_or(String::new(), |share| share.suffix(products));
    let alone = lock.is_some() || procedure.share.is_some();
    let mut record = Record::open(products.folder(), &of_share, &work, alone);
    let of_volumes = ensemble.model().architecture.is_of_volumes();
    let past = Past { journal: &mut journal, record: &mut record, resume: procedure.resume, of_volumes };
    let (cutting, keep_going) = (&procedure.cutting, procedure.keep_going);
    // Before anything of the images is read, so that no more blocks are kept of what tells whether they have changed.
    let mut blocks = BlockMemory::of(cutting, images);
    let mut outputs = Outputs::new(products, images, Some(work), shared, past)?;
    match own.clone().filter(|image| outputs.is_there(*image)).count() {
        0 => {}
        there => info!(
            "{there} of {} images have their results, of the same models and settings; they are not done again",
            own.len()
        ),
    }
    products.write_legend()?;
    let done = if of_volumes {
        predict_volumes(ensemble, (images, own), products, (cutting, &blocks), &mut outputs, watcher)
    } else {
        let wishes = (cutting, &mut blocks);
        let parts = planned(ensemble, (images, own.clone()), wishes, &mut outputs, before > 0)?;
        run(ensemble, (images, own), products, &parts, &mut outputs, keep_going, watcher)
    };
    let error = match done {
        Ok(failures) => {
            drop(outputs);
            drop(journal);
            // What a killed program was just writing under another name, as nothing goes on with that.
            if lock.is_some() {
                remove_unfinished(products.folder());
            }
            return Ok(failures);
        }
        Err(error) => error,
    };
    if !is_of_image(&error) && outputs.keep() {
        info!("what is done so far is kept: the same call with `resume` goes on with it");
    }
    Err(error)
}

/// What is done, whatever the images are.
pub(super) fn identity(ensemble: &Ensemble, products: &Products, cutting: &Cutting) -> String {
    format!("{} {} {}", ensemble.identity(), products.identity(), cutting.identity())
}

/// What is done, in one line that is another for other work.
fn description(
    ensemble: &Ensemble,
    images: &[ImageSource],
    products: &Products,
    procedure: &Procedure,
) -> String {
    let mut hash = XxHash3_128::new();
    let mut add = |text: &str| {
        hash.write(text.as_bytes());
        hash.write(&[0]);
    };
    add(&ensemble.identity());
    add(&format!("{products:?} {} {:?}", procedure.cutting.identity(), procedure.cutting.memory));
    for image in images {
        let (path, inside) = image.place();
        // Of files that are the slices of a stack, each counts.
        let length = std::fs::metadata(&image.path).map(|metadata| metadata.len()).unwrap_or_default();
        add(&format!("{} {inside} {:?} {length} {:?}", path.display(), image.page, page_size(image).ok()));
        if !image.averaged().is_empty() {
            add(&image.identity());
        }
    }
    format!("{:032x} {} images", hash.finish_128(), images.len())
}

/// The parts of the images `own` that are left to do. Where memory is named, `blocks` get what nothing else takes of it.
pub(super) fn planned(
    ensemble: &mut Ensemble,
    (images, own): (&[ImageSource], Range<usize>),
    (cutting, blocks): (&Cutting, &mut BlockMemory),
    outputs: &mut Outputs<'_>,
    resumed: bool,
) -> Result<Vec<Part>> {
    let reach = ensemble.halo();
    let mut halo = match cutting.halo {
        Halo::Exact => Some(reach),
        Halo::Pixels(halo) => Some(halo.min(reach)),
        Halo::Auto => None,
    };
    // Images of a kind are cut alike, and as an earlier run has begun with them: other memory may be free now.
    let (mut parts, mut passed_over) = (Vec::new(), 0);
    let (mut told, mut left) = (Vec::new(), None::<u64>);
    for (index, image) in images.iter().enumerate().take(own.end).skip(own.start) {
        if outputs.is_there(index) {
            continue;
        }
        // What is wrong with it is told when it is read.
        let Ok((_, height, width)) = page_size(image) else {
            parts.push(Part::whole(index, outputs.plane_of(index)));
            continue;
        };
        let extent = Extent::plane(height, width);
        let held = PartReader::held_bytes(image);
        let kind = (height, width, held);
        let budget = |ensemble: &Ensemble| {
            let held = held.saturating_add(blocks.bytes(image));
            Budget::of(cutting, ensemble, held).for_recordings(image.averaged().len())
        };
        let tiling = match outputs.journal().tiling(kind) {
            Some(tiling) => tiling,
            None => {
                let budget = budget(ensemble);
                let whole = plan::tiling(ensemble, extent, cutting, &budget, halo.unwrap_or(0))?;
                let tiling = match halo {
                    _ if whole.count(extent) == 1 => Tiling::cut(None, reach),
                    Some(_) => whole,
                    None => {
                        let found = match measured_halo(ensemble, image, extent, &budget, reach) {
                            // The next image that is cut tells how much is needed.
                            Err(error @ Error::Input { .. }) => {
                                parts.push(Part::unreadable(index, extent, error));
                                continue;
                            }
                            found => found?,
                        };
                        halo = Some(found);
                        plan::tiling(ensemble, extent, cutting, &budget, found)?
                    }
                };
                outputs.journal().add_tiling(kind, &tiling)?;
                tiling
            }
        };
        if outputs.journal().is_new(kind) {
            let still = budget(ensemble).left(ensemble, tiling.patch(extent));
            left = Some(left.map_or(still, |left| left.min(still)));
            told.push((image, tiling, extent));
        }
        let all = Part::of_tiles(index, extent, tiling.tiles(extent));
        let done = outputs.done(&all);
        let mut before = Vec::new();
        for (mut part, done) in all.into_iter().zip(done) {
            if done {
                passed_over += 1;
                before.push(part.core);
                continue;
            }
            part.done_before = std::mem::take(&mut before);
            parts.push(part);
        }
    }
    blocks.widen(left.unwrap_or_default());
    for (image, tiling, extent) in told {
        plan::tell(ensemble, &tiling, extent, reach, blocks.bytes(image));
        blocks.tell(image);
    }
    if resumed {
        info!("going on: {passed_over} of {} parts are done", passed_over + parts.len());
    }
    Ok(parts)
}

fn measured_halo(
    ensemble: &mut Ensemble,
    image: &ImageSource,
    extent: Extent,
    budget: &Budget,
    reach: usize,
) -> Result<usize> {
    let mut reader = PartReader::open(image)?;
    let measured = measure(&mut reader, extent, &ensemble.measures())?;
    plan::effective_halo(ensemble, extent, &measured, budget, reach, &mut |part| reader.read(part))
}

/// Applies `ensemble` to the parts, which are those of the images `own`. With `keep_going`, the images that cannot be used are passed
/// over and given.
pub(super) fn run(
    ensemble: &mut Ensemble,
    (images, own): (&[ImageSource], Range<usize>),
    products: &Products,
    parts: &[Part],
    outputs: &mut Outputs<'_>,
    keep_going: bool,
    watcher: &mut dyn Watcher,
) -> Result<Vec<Failure>> {
    let (sender, written) = channel();
    let mut reporter = Reporter::new(watcher, images, own.clone(), written);
    let mut failures = Failures::new(images, keep_going);
    let grey = ensemble.model().architecture.inputs == 1;
    // Of slabs, pictures show the slice in the middle.
    let slab = (ensemble.model().slab > 1).then(|| ensemble.model().middle_channels());
    let mut reader = Reader::new(images, ensemble.measures(), grey);
    let queue = Queue {
        items: parts,
        image_of: |part: &Part| part.image,
        compute: &|ensemble, part, read, progress| {
            compute(ensemble, &images[part.image], part, read, (products, slab.as_ref()), progress)
        },
        reached: &|part, done| (part.image, (part.number as f64 + done) / part.count as f64),
        images: own.clone(),
    };
    queue.run(
        ensemble,
        |part| reader.read(part),
        &mut failures,
        &mut reporter,
        |part, result| {
            let has_result = result.is_some();
            let result = result.as_ref().map(|(image, found)| (image.as_ref(), found));
            if let Some(written) = outputs.write(part, result)?
                && (has_result || !written.files.is_empty())
            {
                // The receiver is dropped once the work has failed.
                sender.send((part.image, written)).ok();
            }
            Ok(())
        },
    )?;
    Ok(failures.all())
}

/// What the models give for a part of the image `source`, and what is shown of this where `products` want pictures; of slabs the channels
/// `slab`.
fn compute(
    ensemble: &mut Ensemble,
    source: &ImageSource,
    part: &Part,
    read: ReadPart,
    (products, slab): (&Products, Option<&Range<usize>>),
    progress: &mut dyn FnMut(f64) -> Flow,
) -> Result<(Option<Shown>, Found)> {
    debug!("computing part {} of {} of {}", part.number + 1, part.count, source.name());
    ensemble.warn_of_range(&source.name(), read.sample.as_ref().unwrap_or(&read.image));
    let measured = match read.measured {
        Some(measured) => measured,
        None => Arc::new(ensemble.measured(&read.image)),
    };
    let deviation = products.want_deviation();
    let found = match products.want_classes_only() {
        _ if !read.recordings.is_empty() => {
            ensemble.predict_recordings(&read.recordings, deviation, progress).map(Found::Prediction)
        }
        true => ensemble.classify_measured((&read.image, 1), &measured, progress),
        false => {
            ensemble.predict_measured((&read.image, 1), &measured, deviation, progress).map(Found::Prediction)
        }
    };
    let found = found.map_err(|error| match error {
        Error::Mismatch(problem) => Error::Mismatch(format!("{}: {problem}", source.name())),
        other => other,
    })?;
    let shown = products.wants_image().then(|| {
        let image = if part.count == 1 { read.image } else { core_of(part, &read.image) };
        let image = match slab {
            Some(middle) => image.slice_move(s![middle.clone(), .., ..]),
            None => image,
        };
        Shown { image, range: read.range }
    });
    Ok((shown, if part.count == 1 { found } else { found.inside(&part.core_in_patch()) }))
}

/// What is kept of the patch of a part.
fn core_of(part: &Part, patch: &Array3<f32>) -> Array3<f32> {
    let core = part.core_in_patch();
    patch.slice(s![.., core.rows(), core.columns()]).to_owned()
}
