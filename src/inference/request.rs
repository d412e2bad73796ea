//! What is asked for when files are predicted, as users write it, and the work that follows from it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use log::info;

use super::ensemble::Ensemble;
use super::failures::Failure;
use super::predict::{Procedure, identity, predict_some};
use super::prints::Prints;
use super::products::{Products, Wishes};
use super::record::{Record, ResultState};
use super::result_name::{ResultName, packed_ending};
use super::share::Share;
use super::volumes::volume_of_each;
use crate::images::{Discovery, ImageSource, NewPlace, SharedStack, StackFormat};
use crate::network::{Model, Splits};
use crate::watcher::Watcher;
use crate::{Error, Result};

/// Where results go, and in which format.
#[derive(Debug, Clone, PartialEq)]
pub struct Destination {
    /// What was asked for, as errors name it.
    out: PathBuf,
    folder: PathBuf,
    format: Option<StackFormat>,
    /// What the only result is called, where a file is named.
    name: Option<ResultName>,
}

impl Destination {
    /// `out` is a folder, or the file of a single result, as its ending says. `format` is the name of a format, or `None` for that
    /// of each image or of the ending; with `older_ome`, OME-Zarr is written in version 0.4.
    ///
    /// # Errors
    /// [`Error::Setting`] for a format that there is not or not under that name, and for names of packed files.
    pub fn new(out: &Path, format: Option<&str>, older_ome: bool) -> Result<Self> {
        let of_version = |format: StackFormat| match format {
            StackFormat::Zarr if older_ome => StackFormat::Zarr04,
            other => other,
        };
        let named = format.map(|name| {
            let known = StackFormat::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            known.map(|(_, format)| of_version(*format)).ok_or_else(|| {
                let names = StackFormat::NAMES.map(|(name, _)| name).join(", ");
                Error::setting("format", format!("'{name}'"), format!("it must be one of {names}"))
            })
        });
        let named = named.transpose()?;
        let asked = out.to_path_buf();
        let new = NewPlace::of(out)?;
        let is_png = new.path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
        let by_name = if is_png { Some(StackFormat::Png) } else { StackFormat::of_name(&new.path) };
        // A folder that is there is one, whatever its name ends in; that of a Zarr is a result.
        let by_name = by_name.filter(|format| !new.path.is_dir() || *format == StackFormat::Zarr);
        let Some(by_name) = by_name.map(of_version) else {
            return Ok(Self { folder: asked.clone(), out: asked, format: named, name: None });
        };
        if let Some(wanted) = packed_ending(&new.path) {
            return Err(Error::setting("out", out.display(), wanted));
        }
        let fits = |named: &StackFormat| {
            *named == by_name || (*named, by_name) == (StackFormat::OmeTiff, StackFormat::Tiff)
        };
        if named.is_some_and(|named| !fits(&named)) {
            let found = format!("'{}' for {}", format.unwrap_or_default(), out.display());
            return Err(Error::setting(
                "format",
                found,
                "its ending says another one; leave out one of the two",
            ));
        }
        let folder = new.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Ok(Self {
            folder: folder.unwrap_or(Path::new(".")).to_path_buf(),
            out: asked,
            format: Some(named.unwrap_or(by_name)),
            name: Some(ResultName::of(&new)),
        })
    }

    /// Whether a file is named, for a single result.
    pub fn is_file(&self) -> bool {
        self.name.is_some()
    }

    /// What `ensemble` writes there of what is wished for.
    ///
    /// # Errors
    /// As [`Products::new`].
    pub fn products(&self, ensemble: &Ensemble, wishes: Wishes) -> Result<Products> {
        Ok(Products::of(ensemble, wishes, &self.folder)?.in_format(self.format, self.name.clone()))
    }

    /// The folder that results lie in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// A prediction of files as it is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// How images are looked for.
    pub discovery: Discovery,
    /// The folders, files, arrays and patterns that name images.
    pub inputs: Vec<String>,
    /// Where results go.
    pub destination: Destination,
    /// Which results are wanted.
    pub wishes: Wishes,
    /// How it is carried out.
    pub procedure: Procedure,
}

/// What there is to do for a [`Request`].
#[derive(Debug)]
pub struct Work {
    images: Vec<ImageSource>,
    /// Those of them that are to be done here. The others are there because their results come into the same files.
    own: Range<usize>,
    products: Products,
    procedure: Procedure,
    /// The images of all shares.
    all: usize,
}

/// What was found out about a result that is not there as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The result.
    pub file: PathBuf,
    /// What is wrong with it.
    pub state: ResultState,
    /// The slices that are missing, of a result that several programs fill together.
    pub slices: Vec<Range<usize>>,
}

impl Request {
    /// Finds the images, of which each is taken once, however many of the inputs name it, and what their results are called.
    ///
    /// # Errors
    /// As [`Products::new`] and [`Discovery::discover`]; [`Error::Setting`] where one file is named for several results.
    pub fn work(&self, ensemble: &Ensemble) -> Result<Work> {
        let products = self.destination.products(ensemble, self.wishes)?;
        let mut images = match ensemble.model().splits() {
            Some(splits) if self.inputs.len() > 1 => self.recordings(ensemble, splits)?,
            splits => {
                if let Some(Splits { count, .. }) = splits {
                    info!(
                        "the model was trained on {count} recordings of each slice and is applied to each image as it is; name all {count} recordings for the mean of what it makes of them, as it was published"
                    );
                }
                self.images(ensemble.model())?
            }
        };
        if let factor @ 2.. = ensemble.model().factor() {
            info!("the model makes results that are {factor} times as fine as the images, in y and x");
            images = self.seen(ensemble, images)?;
        }
        let files: BTreeSet<_> = images.iter().map(ImageSource::place).collect();
        if self.destination.is_file() && (files.len() > 1 || self.wishes.pages) {
            let out = self.destination.out.display();
            let found = format!("{out}, the name of a file, for {} of them", files.len());
            return Err(Error::setting("out", found, "give a folder for several results"));
        }
        let all = images.len();
        let mut own = 0..all;
        if let Some(share) = self.procedure.share {
            let of_volumes = ensemble.model().architecture.is_of_volumes();
            (images, own) = shared_out(images, share, &products, of_volumes)?;
        }
        Ok(Work { images, own, products, procedure: self.procedure, all })
    }

    /// The slices of recordings such as those that the models were trained on, each of them as the mean of all.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for another number of recordings, and for models that were trained on others;
    /// [`Error::Setting`] where images are to be measured, which is done for one recording only.
    fn recordings(&self, ensemble: &Ensemble, splits: Splits) -> Result<Vec<ImageSource>> {
        let (found, wanted) = (self.inputs.len(), splits.count);
        if found != wanted {
            return Err(Error::Mismatch(format!(
                "found {found} inputs, but the model was trained on {wanted} recordings of each slice; name all {wanted} of them, or one, such as a folder or a pattern in quotes"
            )));
        }
        ensemble.check_splits()?;
        if !ensemble.measures().is_empty() {
            let wanted = "of several recordings their mean is predicted, in the range of numbers of the training images; leave it out, or name one recording";
            return Err(Error::setting("rescale", format!("given for {found} recordings"), wanted));
        }
        info!(
            "the {found} inputs are recordings of the same slices, of which the model makes one result each"
        );
        let discovery = self.discovery.clone().of_slabs(ensemble.model().slab);
        let slices =
            discovery.discover_recordings(&self.inputs, Some(ensemble.model().architecture.inputs))?;
        slices.into_iter().map(ImageSource::mean_of).collect()
    }

    /// The images on the grid of their results. One that cannot be used is left for its turn where such images are passed over.
    fn seen(&self, ensemble: &Ensemble, images: Vec<ImageSource>) -> Result<Vec<ImageSource>> {
        let seen = |image: ImageSource| match ensemble.seen(image.clone()) {
            Err(_) if self.procedure.keep_going => Ok(image),
            seen => seen,
        };
        images.into_iter().map(seen).collect()
    }

    /// The images, as `model` takes them.
    fn images(&self, model: &Model) -> Result<Vec<ImageSource>> {
        let discovery = self.discovery.clone().of_slabs(model.slab);
        let mut seen = BTreeSet::new();
        let mut images = Vec::new();
        for input in &self.inputs {
            images.extend(
                discovery
                    .discover_for(input, model.architecture.inputs)?
                    .into_iter()
                    .filter(|image| seen.insert((image.real_path(), image.place().1.to_owned(), image.page))),
            );
        }
        Ok(images)
    }
}

/// The images that a share has, by their range, among those that are needed for them: the others of their files, and of their volumes for
/// networks of volumes. A share has whole files, or some of the images of files whose results several programs can write together, or in
/// files of their own.
///
/// # Errors
/// As [`volume_of_each`].
fn shared_out(
    images: Vec<ImageSource>,
    share: Share,
    products: &Products,
    of_volumes: bool,
) -> Result<(Vec<ImageSource>, Range<usize>)> {
    let grouping = products.grouping(&images);
    let stack = |index: usize| grouping.places[index].map(|(stack, _)| stack);
    // Where each thing begins that one program must do, and where the last one ends.
    let goes_on = |index: usize| {
        let before = index.checked_sub(1).and_then(stack);
        stack(index)
            .is_some_and(|stack| before == Some(stack) && !products.can_be_shared(&grouping.stacks[stack]))
    };
    let mut starts: Vec<usize> = (0..images.len()).filter(|index| !goes_on(*index)).collect();
    let things = share.of(starts.len());
    starts.push(images.len());
    let own = starts[things.start]..starts[things.end];
    if own.is_empty() {
        return Ok((Vec::new(), 0..0));
    }
    let volumes = if of_volumes { volume_of_each(&images)? } else { Vec::new() };
    let are_together = |a: usize, b: usize| {
        (stack(a).is_some() && stack(a) == stack(b))
            || volumes.get(a).is_some_and(|volume| volumes.get(b) == Some(volume))
    };
    let (mut start, mut end) = (own.start, own.end);
    while start > 0 && are_together(start - 1, own.start) {
        start -= 1;
    }
    while end < images.len() && are_together(end, own.end - 1) {
        end += 1;
    }
    let images = images.into_iter().take(end).skip(start).collect();
    Ok((images, own.start - start..own.end - start))
}

impl Work {
    /// How many images there are to do.
    pub fn count(&self) -> usize {
        self.own.len()
    }

    /// How many images there are in all shares together.
    pub fn count_of_all_shares(&self) -> usize {
        self.all
    }

    /// The files that it gives.
    pub fn files(&self) -> Vec<PathBuf> {
        self.products.files(&self.images)
    }

    /// The results that are not there as this work makes them, or of which that is not known.
    ///
    /// Files are compared with what the record in their folder says, and of those that several programs fill together with what they say
    /// themselves; their numbers are not read.
    pub fn findings(&self, ensemble: &Ensemble) -> Vec<Finding> {
        let work = identity(ensemble, &self.products, &self.procedure.cutting);
        let record = Record::read(self.products.folder(), &work);
        let grouping = self.products.grouping(&self.images);
        let prints = Prints::of(&self.images, &grouping, ensemble.model().architecture.is_of_volumes());
        let mut findings = Vec::new();
        let mut add = |file: PathBuf, state: ResultState, slices: Vec<Range<usize>>| {
            if state != ResultState::Same {
                findings.push(Finding { file, state, slices });
            }
        };
        let alone = self.images.iter().zip(&grouping.places).zip(&prints.images);
        for ((image, _), print) in alone.filter(|((_, place), _)| place.is_none()) {
            for (file, _) in self.products.image_files(&image.stem) {
                let state = record.state(&file, *print);
                add(file, state, Vec::new());
            }
        }
        for (stack, print) in grouping.stacks.iter().zip(&prints.stacks) {
            let work = self.products.can_be_shared(stack).then(|| stack.work(&self.images, &work));
            for (file, _) in self.products.stack_files(stack) {
                let shared = work.as_ref().map(|work| SharedStack::of(&file, stack.members.len(), work));
                match shared {
                    // Also what is whole and has not got its name.
                    Some(shared) if shared.is_begun() => add(file, ResultState::Missing, shared.missing()),
                    Some(shared) if shared.is_other() => add(file, ResultState::Other, shared.missing()),
                    // What it says itself is about some of its images only.
                    Some(shared) if shared.is_whole() => {
                        let state = record.state(&file, *print);
                        if matches!(state, ResultState::OtherWork | ResultState::OtherImages) {
                            add(file, state, Vec::new());
                        }
                    }
                    _ => {
                        let state = record.state(&file, *print);
                        add(file, state, Vec::new());
                    }
                }
            }
        }
        findings
    }

    /// Checks all that can be known before the first image is computed, and makes the folder for results. An image that does not fit the
    /// models is left for its turn where such images are passed over.
    ///
    /// # Errors
    /// As [`Ensemble::check_image`] and [`Products::prepare`].
    pub fn prepare(&self, ensemble: &Ensemble) -> Result<()> {
        if !self.procedure.keep_going {
            self.images[self.own.clone()].iter().try_for_each(|image| ensemble.check_image(image))?;
        }
        self.products.prepare(&self.images)
    }

    /// Does it, as [`predict`](super::predict()).
    ///
    /// # Errors
    /// As [`predict`](super::predict()).
    pub fn run(&self, ensemble: &mut Ensemble, watcher: &mut dyn Watcher) -> Result<Vec<Failure>> {
        predict_some(ensemble, (&self.images, self.own.clone()), &self.products, &self.procedure, watcher)
    }
}
