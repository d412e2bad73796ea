//! The files of a prediction as they grow: for each image, or one for all images of a stack.

use std::ops::Range;
use std::path::PathBuf;

use log::info;

use super::grouping::{Grouping, StackOf};
use super::journal::Journal;
use super::open_file::{OpenFile, add, add_blank, finish, is_begun, open_image, tell_blank, unfinished};
use super::parts::Part;
use super::prediction::Found;
use super::prints::Prints;
use super::product::Product;
use super::products::{Products, Rendered, Shown};
use super::record::Record;
use crate::Result;
use crate::geometry::{Extent, Window};
use crate::images::{ImageSource, NewStack, SharedStack, StackFormat, StackLayout};

/// Where the results of images go, part by part in their order.
pub(super) struct Outputs<'a> {
    products: &'a Products,
    images: &'a [ImageSource],
    places: Vec<Option<(usize, usize)>>,
    stacks: Vec<Stack>,
    /// The image by itself that comes in parts, and its files.
    open: Option<(usize, Vec<OpenFile>)>,
    journal: &'a mut Journal,
    /// Whether files are gone on with that an earlier run has begun.
    resume: bool,
    record: &'a mut Record,
    /// What the record knows results by.
    prints: Prints,
    /// Which images need not be done, as their results were there before.
    there: Vec<bool>,
}

/// What is known of earlier runs, and kept for later ones.
pub(super) struct Past<'a> {
    pub(super) journal: &'a mut Journal,
    pub(super) record: &'a mut Record,
    /// Whether results that are there, as the record says, are passed over.
    pub(super) resume: bool,
    /// Whether each result depends on all slices of its volume.
    pub(super) of_volumes: bool,
}

/// The results of one stack.
struct Stack {
    source: StackOf,
    /// What its files are the result of, where that is known and the files are such that can be shared.
    work: Option<String>,
    /// Those of its slices that are written here.
    own: Range<usize>,
    /// Whether other programs write other slices of the same files.
    is_shared: bool,
    /// Whether all of them were written before.
    is_written: bool,
    /// Whether some of them have no result.
    has_blank: bool,
    /// Empty before its first image has a result.
    files: Vec<OpenFile>,
    /// Parts of images before the first that has a result, with their numbers.
    skipped: Vec<(usize, Window, usize)>,
}

/// What has been written.
pub(super) struct Written {
    /// What messages call it: the image, or the file of the whole stack.
    pub(super) name: String,
    pub(super) files: Vec<PathBuf>,
}

impl<'a> Outputs<'a> {
    /// For results that an earlier run has begun or made, as the `past` says. What they are results of, but for the images, is
    /// `work`, where that is known. Of images that several programs `share`, these are written here.
    ///
    /// # Errors
    /// [`crate::Error::Output`] when the journal cannot be written.
    pub(super) fn new(
        products: &'a Products,
        images: &'a [ImageSource],
        work: Option<String>,
        share: Option<Range<usize>>,
        past: Past<'a>,
    ) -> Result<Self> {
        let grouping = products.grouping(images);
        let Past { journal, record, .. } = past;
        let prints = Prints::of(images, &grouping, past.of_volumes);
        let there =
            if past.resume { there(products, images, &grouping, (record, &prints)) } else { Vec::new() };
        let Grouping { places, stacks } = grouping;
        let resume = journal.count() > 0;
        // One that has its name is to be as it was written.
        let is_there = |files: Vec<(PathBuf, StackFormat)>, print: u128| {
            files.iter().all(|(path, format)| {
                is_begun(path, *format)
                    && (unfinished(path, *format).exists() || !record.state(path, print).is_other())
            })
        };
        // What the journal says is done counts where the files are there.
        if resume {
            for (stack, print) in stacks.iter().zip(&prints.stacks) {
                if !is_there(products.stack_files(stack), *print) {
                    stack.members.iter().for_each(|image| journal.forget(*image));
                }
            }
            let alone = images.iter().enumerate().filter(|(index, _)| places[*index].is_none());
            for (index, image) in alone {
                if !is_there(products.image_files(&image.stem), prints.images[index]) {
                    journal.forget(index);
                }
            }
        }
        journal.begin()?;
        let stacks = stacks.into_iter().map(|source| {
            let has_work = work.as_ref().filter(|_| products.can_be_shared(&source));
            let work = has_work.map(|work| source.work(images, work));
            let has_blank = source.members.iter().any(|image| journal.has_blank(*image));
            Ok(Stack { has_blank, ..Stack::new(source, work, share.as_ref(), products)? })
        });
        let stacks = stacks.collect::<Result<_>>()?;
        Ok(Self { products, images, places, stacks, open: None, journal, resume, record, prints, there })
    }

    /// Whether the results of an image were there before, so that it need not be looked at.
    pub(super) fn is_there(&self, image: usize) -> bool {
        self.there.get(image) == Some(&true)
    }

    /// What is known of how images are cut, and kept for another run.
    pub(super) fn journal(&mut self) -> &mut Journal {
        self.journal
    }

    /// The size of a slice of a stack, also of one that cannot be read; nothing for an image by itself.
    pub(super) fn plane_of(&self, image: usize) -> Extent {
        self.places[image].map_or(Extent::plane(0, 0), |(stack, _)| {
            let StackOf { height, width, .. } = self.stacks[stack].source;
            Extent::plane(height, width)
        })
    }

    /// Which of the `parts` of an image, which are all of it, an earlier run has done, so that nothing is left to do for them.
    pub(super) fn done(&self, parts: &[Part]) -> Vec<bool> {
        let Some(first) = parts.first() else { return Vec::new() };
        let image = first.image;
        if self.is_there(image) {
            return vec![true; parts.len()];
        }
        if self.places[image].is_some_and(|(stack, _)| self.stacks[stack].is_written) {
            return vec![true; parts.len()];
        }
        let mut done: Vec<bool> = parts.iter().map(|part| self.journal.has(image, part.number)).collect();
        // The file gets its name with its last part: that one is done again where a program was killed in between.
        let (last_of_file, finished) = match self.places[image] {
            Some((stack, slice)) => {
                let Stack { source, own, is_shared, .. } = &self.stacks[stack];
                // Of those that others fill too, the files themselves say what is written.
                let finished = !is_shared && self.journal.has_finished(source.members[own.start]);
                (slice + 1 == own.end, finished)
            }
            None => (self.is_by_parts(image, parts.len()), self.journal.has_finished(image)),
        };
        if let Some(last) = done.last_mut().filter(|_| last_of_file && !finished) {
            *last = false;
        }
        // Files that take whole images only have lost what is not complete.
        if parts.len() > 1 && done.contains(&false) && !self.keeps_parts(image) {
            done.fill(false);
        }
        done
    }

    /// Whether the result of an image by itself, which comes in so many parts, goes into a file that takes parts.
    fn is_by_parts(&self, image: usize, parts: usize) -> bool {
        parts > 1 || self.products.has_format() || self.images[image].fineness() != 1.0
    }

    fn keeps_parts(&self, image: usize) -> bool {
        let files = match self.places[image] {
            Some((stack, _)) => self.products.stack_files(&self.stacks[stack].source),
            None => self.products.image_files(&self.images[image].stem),
        };
        files.iter().all(|(_, format)| format.keeps_parts())
    }

    /// Writes the results of `part`; gives what is complete with the last part of an image. Of a stack the files are there with
    /// its last image.
    ///
    /// Without a result, the slice of a stack holds zeros, or NaN for values.
    ///
    /// # Errors
    /// [`crate::Error::Output`] when a file cannot be written.
    pub(super) fn write(
        &mut self,
        part: &Part,
        result: Option<(Option<&Shown>, &Found)>,
    ) -> Result<Option<Written>> {
        let image = &self.images[part.image];
        let written = match self.places[part.image] {
            Some((stack, slice)) => {
                let resume = self.resume;
                let stack = &mut self.stacks[stack];
                let is_end = part.is_last() && slice + 1 == stack.own.end;
                let rendered = match result {
                    Some((picture, found)) => Some(self.products.rendered(picture, found)?),
                    // None of the slices here has a result: those of other programs get their name all the same.
                    None if is_end && stack.is_shared => Some(self.products.kinds()),
                    None => None,
                };
                if let (Some(rendered), true) = (&rendered, stack.files.is_empty()) {
                    let before = resume.then_some((&*self.journal, part));
                    stack.files = stack.open(self.products, self.images, rendered, before)?;
                    for (slice, window, number) in std::mem::take(&mut stack.skipped) {
                        add_blank(&mut stack.files, slice, &window)?;
                        let image = stack.source.members[slice];
                        tell_blank(&stack.files, &self.images[image].name(), slice);
                        self.journal.add(image, number)?;
                    }
                }
                match (result, &rendered) {
                    (Some(_), Some(rendered)) => add(&mut stack.files, slice, &part.core, rendered)?,
                    _ => {
                        stack.add_blank(&image.name(), slice, part)?;
                        self.journal.add_blank(part.image)?;
                    }
                }
                // What is passed over before there are files is written with the first result.
                if !stack.files.is_empty() {
                    self.journal.add(part.image, part.number)?;
                }
                if is_end {
                    let mut files = finish(&mut stack.files)?;
                    // One that others fill too may not have its name yet.
                    files.retain(|file| !stack.is_shared || file.exists());
                    // Without some of its slices it is not what was wanted; shared ones say themselves what they are.
                    if !stack.has_blank && !stack.is_shared {
                        let place = self.places[part.image].map_or(0, |(stack, _)| stack);
                        self.record.add(&files, self.prints.stacks[place])?;
                    }
                    self.journal.finish(stack.source.members[stack.own.start])?;
                    Some(Written { name: stack.source.name.clone(), files })
                } else {
                    part.is_last().then(|| Written { name: image.name(), files: Vec::new() })
                }
            }
            None if !self.is_by_parts(part.image, part.count) => {
                let files = match result {
                    Some((picture, found)) => self.products.write(image, picture, found)?,
                    None => Vec::new(),
                };
                self.record.add(&files, self.prints.images[part.image])?;
                self.journal.add(part.image, part.number)?;
                Some(Written { name: image.name(), files })
            }
            None => {
                let Some((picture, found)) = result else {
                    // What there is of it goes.
                    self.open = None;
                    return Ok(part.is_last().then(|| Written { name: image.name(), files: Vec::new() }));
                };
                let rendered = self.products.rendered(picture, found)?;
                if self.open.as_ref().is_none_or(|(open, _)| *open != part.image) {
                    let files = open_image(self.products, image, part, &rendered, self.resume)?;
                    self.open = Some((part.image, files));
                }
                if let Some((_, files)) = &mut self.open {
                    add(files, 0, &part.core, &rendered)?;
                }
                self.journal.add(part.image, part.number)?;
                match self.open.take_if(|_| part.is_last()) {
                    Some((_, mut files)) => {
                        let files = finish(&mut files)?;
                        self.record.add(&files, self.prints.images[part.image])?;
                        self.journal.finish(part.image)?;
                        Some(Written { name: image.name(), files })
                    }
                    None => None,
                }
            }
        };
        Ok(written)
    }

    /// Leaves unfinished files when this is dropped, for another run to go on with; gives whether there is something to go on
    /// with.
    pub(super) fn keep(&mut self) -> bool {
        if !self.journal.keep() {
            return false;
        }
        let open = self.open.iter_mut().flat_map(|(_, files)| files);
        self.stacks.iter_mut().flat_map(|stack| &mut stack.files).chain(open).for_each(OpenFile::keep);
        true
    }
}

impl Stack {
    /// The results of `source`, of which the slices that lie among the images `share` are written here.
    ///
    /// # Errors
    /// [`crate::Error::Output`] when files that are complete cannot get their names.
    fn new(
        source: StackOf,
        work: Option<String>,
        share: Option<&Range<usize>>,
        products: &Products,
    ) -> Result<Self> {
        let count = source.members.len();
        let mut stack = Self {
            own: 0..count,
            is_shared: false,
            is_written: false,
            has_blank: false,
            files: Vec::new(),
            skipped: Vec::new(),
            source,
            work,
        };
        let (Some(share), Some(work)) = (share, &stack.work) else { return Ok(stack) };
        let place = |image: usize| image.saturating_sub(stack.source.first).min(count);
        stack.own = place(share.start)..place(share.end);
        stack.is_shared = true;
        let files = products.stack_files(&stack.source);
        let files: Vec<_> = files.iter().map(|(path, _)| SharedStack::of(path, count, work)).collect();
        files.iter().try_for_each(SharedStack::check_unfinished)?;
        stack.is_written = files.iter().all(|file| file.has(&stack.own));
        if stack.is_written {
            files.iter().try_for_each(SharedStack::finish)?;
            let (name, own) = (&stack.source.name, &stack.own);
            info!(
                "the results of slices {}..{} of {name} are there already; remove them to make them anew",
                own.start, own.end
            );
        }
        Ok(stack)
    }

    fn add_blank(&mut self, name: &str, slice: usize, part: &Part) -> Result<()> {
        self.has_blank = true;
        if self.files.is_empty() {
            self.skipped.push((slice, part.core, part.number));
        } else {
            add_blank(&mut self.files, slice, &part.core)?;
        }
        if part.is_last() {
            tell_blank(&self.files, name, slice);
        }
        Ok(())
    }

    /// Opens a file for each product of the stack, which is of some of `images`; `rendered` are those of some part. Goes on with what
    /// the journal says is there before that part.
    fn open(
        &self,
        products: &Products,
        images: &[ImageSource],
        rendered: &[(Product, Rendered<'_>)],
        before: Option<(&Journal, &Part)>,
    ) -> Result<Vec<OpenFile>> {
        let StackOf { members, height, width, .. } = &self.source;
        let count = members.len();
        // The first part that is not done is of the first image that is not complete.
        let written = before.map_or(0, |(journal, part)| {
            let own = members[self.own.clone()].iter();
            own.take_while(|image| **image != part.image && journal.has(**image, 0)).count()
        });
        let stack = NewStack {
            layout: Some(StackLayout::of_slices(members.iter().map(|image| &images[*image]), count)),
            classes: products.looks(),
            resume: before.is_some(),
            written,
            work: self.work.clone(),
            share: self.is_shared.then(|| self.own.clone()),
            ..NewStack::new(PathBuf::new(), Extent::new(count, *height, *width))
        };
        let mut files = Vec::new();
        let paths = products.stack_files(&self.source);
        for ((path, format), (_, rendered)) in paths.into_iter().zip(rendered) {
            let stack = NewStack { dataset: products.dataset_of(&path), path, ..stack.clone() };
            let mut file = OpenFile::open(stack, format, rendered, products)?;
            if let Some((_, part)) = before {
                file.mark_written(self.own.start + written, &part.done_before)?;
            }
            files.push(file);
        }
        Ok(files)
    }
}

/// Which of the images have all their results, as the record says.
fn there(
    products: &Products,
    images: &[ImageSource],
    grouping: &Grouping,
    (record, prints): (&Record, &Prints),
) -> Vec<bool> {
    let has = |files: Vec<(PathBuf, StackFormat)>, print: u128| {
        record.has(files.iter().map(|(path, _)| path.as_path()), print)
    };
    let stacks: Vec<bool> = grouping
        .stacks
        .iter()
        .zip(&prints.stacks)
        .map(|(stack, print)| has(products.stack_files(stack), *print))
        .collect();
    let places = images.iter().zip(&grouping.places).zip(&prints.images);
    places
        .map(|((image, place), print)| match place {
            Some((stack, _)) => stacks[*stack],
            None => has(products.image_files(&image.stem), *print),
        })
        .collect()
}
