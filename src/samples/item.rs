//! An image of a dataset with its target, in memory or in files.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use ndarray::{Array2, Array3};

use super::in_files::SampleFiles;
use super::measurements::Stamp;
use super::sample::{Counting, Sample, Target};
use super::stacked;
use super::streaming::in_order;
use crate::error::Result;
use crate::geometry::{Extent, Window};
use crate::images::{ImageSource, usual_block_bytes};

/// Changes the pixels of an image `[channel][y][x]`, each by itself.
pub type ImageChange = Arc<dyn Fn(&mut Array3<f32>) + Send + Sync>;
/// Changes the pixels of a target and their weights, each by itself.
pub type TargetChange = Arc<dyn Fn(&mut Target, &mut Option<Array2<f32>>) + Send + Sync>;

/// An image with its target, which are in memory or are read from their files when they are wanted. Cloning it copies no pixels.
#[derive(Debug, Clone)]
pub struct Item {
    name: String,
    group: Option<String>,
    channels: usize,
    target_channels: Option<usize>,
    extent: Extent,
    pixels: Pixels,
}

#[derive(Debug, Clone)]
enum Pixels {
    Memory(Arc<Sample>),
    Files(InFiles),
    /// A volume: its slices, all of one size.
    Slices(Vec<Item>),
}

/// Where in its files a sample is, and what becomes of its numbers after they were read.
#[derive(Clone)]
struct InFiles {
    files: Arc<SampleFiles>,
    /// The part of the files' image that the sample is.
    part: Window,
    image_changes: Vec<ImageChange>,
    target_changes: Vec<TargetChange>,
    /// What of the sample counts, where that is known.
    counting: Option<Counting>,
    /// Whether pixels of the image are not finite, where all of it was looked at.
    has_gaps: Option<bool>,
}

impl fmt::Debug for InFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFiles")
            .field("files", &self.files)
            .field("part", &self.part)
            .finish_non_exhaustive()
    }
}

/// A part of a sample that was read, or all of it.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    sample: Cow<'a, Sample>,
    /// Where it is in the sample as a whole.
    window: Window,
    whole: Extent,
}

impl<'a> Part<'a> {
    /// All of a sample.
    pub(super) fn whole(sample: Cow<'a, Sample>) -> Self {
        let whole = sample.extent();
        Self { sample, window: Window::whole(whole), whole }
    }

    /// The part `window` of a sample of `whole`.
    #[cfg(test)]
    pub(super) fn of_window(sample: Sample, window: Window, whole: Extent) -> Part<'static> {
        Part { sample: Cow::Owned(sample), window, whole }
    }

    /// The numbers of the part.
    pub(crate) fn sample(&self) -> &Sample {
        &self.sample
    }

    /// The (z, y, x) of the sample at which the part begins.
    pub(super) fn origin(&self) -> [usize; 3] {
        [self.window.z, self.window.y, self.window.x]
    }

    /// Where in the part a window of the sample is.
    ///
    /// # Panics
    /// For a window that does not begin inside the part.
    pub(crate) fn inside(&self, window: &Window) -> Window {
        window.counted_from(&self.window).expect("the part holds the window")
    }

    /// The size of the sample as a whole.
    pub(super) fn whole_extent(&self) -> Extent {
        self.whole
    }
}

/// What a window of a volume takes of each of its slices.
fn in_one_slice(window: &Window) -> Window {
    Window { z: 0, extent: Extent { z: 1, ..window.extent }, ..*window }
}

impl From<Sample> for Item {
    fn from(sample: Sample) -> Self {
        Self {
            name: sample.name.clone(),
            group: sample.group.clone(),
            channels: sample.image.dim().0,
            target_channels: match &sample.target {
                Target::Values(values) => Some(values.dim().0),
                Target::Classes(_) => None,
            },
            extent: sample.extent(),
            pixels: Pixels::Memory(Arc::new(sample)),
        }
    }
}

impl Item {
    /// A sample that stays in its files.
    pub(super) fn in_files(name: String, group: Option<String>, files: SampleFiles) -> Self {
        let counting = files.facts.as_ref().map(|facts| facts.counting);
        Self {
            name,
            group,
            channels: files.channels(),
            target_channels: files.target_channels(),
            extent: files.extent(),
            pixels: Pixels::Files(InFiles {
                part: Window::whole(files.extent()),
                files: Arc::new(files),
                image_changes: Vec::new(),
                target_changes: Vec::new(),
                counting,
                has_gaps: None,
            }),
        }
    }

    /// A volume called `name` of the slices `slices`, in this order: of one size, with as many channels and targets of one kind.
    ///
    /// # Panics
    /// Without slices.
    pub(super) fn of_slices(name: String, slices: Vec<Item>) -> Self {
        let first = &slices[0];
        Self {
            name,
            group: first.group.clone(),
            channels: first.channels,
            target_channels: first.target_channels,
            extent: Extent { z: slices.len(), ..first.extent },
            pixels: Pixels::Slices(slices),
        }
    }

    /// What is read of it one after the other: the slices of a volume, in their order, or else itself.
    pub fn slices(&self) -> &[Item] {
        match &self.pixels {
            Pixels::Slices(slices) => slices,
            _ => std::slice::from_ref(self),
        }
    }

    /// Whether it is a volume of which slices and parts are read by themselves.
    pub fn is_volume(&self) -> bool {
        matches!(self.pixels, Pixels::Slices(_))
    }

    /// The image's path, and page where the file has several.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Of a slice, what the volume is called that it belongs to: the file of its page, or the folder of its file.
    pub(super) fn volume_name(&self) -> &str {
        let numbered = |word: &str| {
            let (file, number) = self.name.rsplit_once(word)?;
            number.parse::<usize>().is_ok().then_some(file)
        };
        let in_folder = || self.name.rsplit_once(['/', '\\']).map_or("", |(folder, _)| folder);
        [" page ", " slice ", " image "].into_iter().find_map(numbered).unwrap_or_else(in_folder)
    }

    /// What the image belongs to, see [`Sample::group`].
    pub fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// The channels of the image.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The channels of a regression target; `None` for classes.
    pub fn target_channels(&self) -> Option<usize> {
        self.target_channels
    }

    /// Slices, rows and columns.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Whether nothing has to be read.
    pub fn is_in_memory(&self) -> bool {
        match &self.pixels {
            Pixels::Memory(_) => true,
            Pixels::Files(_) => false,
            Pixels::Slices(slices) => slices.iter().all(Item::is_in_memory),
        }
    }

    /// Whether pixels of the image may not be finite, where they do not count. They are NaN.
    pub fn may_have_gaps(&self) -> bool {
        match &self.pixels {
            Pixels::Memory(sample) => sample.image.iter().any(|value| !value.is_finite()),
            Pixels::Files(place) => place.has_gaps.unwrap_or(true),
            Pixels::Slices(slices) => slices.iter().any(Item::may_have_gaps),
        }
    }

    /// Says whether pixels of the image are not finite, for whoever asks [`Item::may_have_gaps`] afterwards.
    pub(crate) fn tell_of_gaps(&mut self, has_gaps: bool) {
        match &mut self.pixels {
            Pixels::Memory(_) => {}
            Pixels::Files(place) => place.has_gaps = Some(has_gaps),
            // Which of the slices have them is not known.
            Pixels::Slices(_) if has_gaps => {}
            Pixels::Slices(slices) => slices.iter_mut().for_each(|slice| slice.tell_of_gaps(false)),
        }
    }

    /// What tells whether the files of the sample are as they were; `None` in memory, after changes, and where it cannot be known.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        match &self.pixels {
            Pixels::Files(place) if place.image_changes.is_empty() && place.target_changes.is_empty() => {
                Some(place.files.stamp?.with(&place.part))
            }
            Pixels::Slices(slices) => {
                let stamps = slices.iter().map(Item::stamp).collect::<Option<Vec<_>>>()?;
                Some(stamps.first()?.with(&stamps))
            }
            _ => None,
        }
    }

    /// Bytes of the numbers of the sample, whether they are in memory or not; weights are counted where there are any.
    pub fn bytes(&self) -> u64 {
        let weights = match &self.pixels {
            Pixels::Memory(sample) => sample.weights.is_some(),
            Pixels::Files(place) => place.files.has_weights() || !place.target_changes.is_empty(),
            Pixels::Slices(slices) => return slices.iter().map(Item::bytes).sum(),
        };
        let planes = self.channels + self.target_channels.unwrap_or(1) + usize::from(weights);
        (size_of::<f32>() * planes) as u64 * self.extent.pixels() as u64
    }

    /// Bytes of the sample that are in memory; of one in files, those that would be kept of these, and the room for such of all samples.
    pub(super) fn held_bytes(&self) -> (u64, u64) {
        match &self.pixels {
            Pixels::Memory(_) => (self.bytes(), u64::MAX),
            Pixels::Files(place) => (place.files.decoded_bytes(), place.files.cache.room()),
            Pixels::Slices(slices) => {
                let each = slices.iter().map(Item::held_bytes);
                each.fold((0, u64::MAX), |(sum, room), (bytes, own)| {
                    (u64::saturating_add(sum, bytes), room.min(own))
                })
            }
        }
    }

    /// Bytes of the blocks of arrays that are kept at most while it is read from its files.
    pub(crate) fn block_bytes(&self) -> u64 {
        let mut pages = Vec::new();
        self.add_pages(&mut pages);
        usual_block_bytes(pages)
    }

    /// Adds the pages that the sample is read from, where it is not in memory.
    pub(super) fn add_pages<'a>(&'a self, pages: &mut Vec<&'a ImageSource>) {
        match &self.pixels {
            Pixels::Memory(_) => {}
            Pixels::Files(place) => pages.extend(place.files.pages()),
            Pixels::Slices(slices) => slices.iter().for_each(|slice| slice.add_pages(pages)),
        }
    }

    /// Image, target and weights.
    ///
    /// # Errors
    /// [`crate::Error::Input`] for files that cannot be read (any more), and for numbers that are not finite where they count.
    pub fn sample(&self) -> Result<Cow<'_, Sample>> {
        match &self.pixels {
            Pixels::Memory(sample) => Ok(Cow::Borrowed(sample)),
            Pixels::Files(place) => Ok(Cow::Owned(self.read(place, &Window::whole(self.extent))?)),
            Pixels::Slices(slices) => Ok(Cow::Owned(self.joined(slices, &Window::whole(self.extent))?)),
        }
    }

    /// The image alone.
    ///
    /// # Errors
    /// As [`Item::sample`].
    pub(super) fn image(&self) -> Result<Cow<'_, Array3<f32>>> {
        match &self.pixels {
            Pixels::Memory(sample) => Ok(Cow::Borrowed(&sample.image)),
            Pixels::Files(place) => {
                let mut image = place.files.read_image(&place.moved(&Window::whole(self.extent)))?;
                place.image_changes.iter().for_each(|change| change(&mut image));
                Ok(Cow::Owned(image))
            }
            Pixels::Slices(_) => self.sample().map(|sample| Cow::Owned(sample.into_owned().image)),
        }
    }

    /// Calls `visit` with the image, of a volume with each slice in order.
    ///
    /// # Errors
    /// As [`Item::sample`].
    pub fn visit_slices(&self, mut visit: impl FnMut(&Array3<f32>) + Send) -> Result<()> {
        let slices = self.slices();
        in_order(
            slices.len(),
            slices.first().map_or(0, Item::bytes),
            |slice| slices[slice].image(),
            |_, image| {
                visit(&image);
                Ok(())
            },
        )
    }

    /// A part of the sample that holds at least `wanted`, which is asked only where it has to be read.
    ///
    /// # Errors
    /// As [`Item::sample`].
    pub fn part(&self, wanted: impl FnOnce() -> Window) -> Result<Part<'_>> {
        match &self.pixels {
            Pixels::Memory(sample) => Ok(Part::whole(Cow::Borrowed(sample))),
            Pixels::Files(place) => {
                let window = wanted();
                let sample = Cow::Owned(self.read(place, &window)?);
                Ok(Part { sample, window, whole: self.extent })
            }
            Pixels::Slices(slices) => {
                let window = wanted();
                let sample = Cow::Owned(self.joined(slices, &window)?);
                Ok(Part { sample, window, whole: self.extent })
            }
        }
    }

    /// The target and the weights of a part.
    ///
    /// # Errors
    /// As [`Item::sample`].
    pub(super) fn target_part(&self, window: &Window) -> Result<(Target, Option<Array2<f32>>)> {
        match &self.pixels {
            Pixels::Memory(sample) => Ok(sample.target_part(window)),
            Pixels::Files(place) => {
                let (mut target, mut weights) = place.files.read_target(&place.moved(window))?;
                place.target_changes.iter().for_each(|change| change(&mut target, &mut weights));
                Ok((target, weights))
            }
            Pixels::Slices(slices) => {
                let within = in_one_slice(window);
                let parts = slices[window.slices()].iter().map(|slice| slice.target_part(&within));
                let (targets, weights): (Vec<_>, Vec<_>) =
                    parts.collect::<Result<Vec<_>>>()?.into_iter().unzip();
                Ok((stacked::targets(targets), stacked::weights(weights, window.extent)))
            }
        }
    }

    /// Whether the piece (all of it for `None`) has a pixel that counts: one with a class or value, and a weight above 0.
    ///
    /// # Errors
    /// As [`Item::sample`], where that has to be read.
    pub fn counts_in(&self, piece: Option<Window>) -> Result<bool> {
        let place = match &self.pixels {
            Pixels::Memory(sample) => return Ok(sample.counts_in(piece)),
            Pixels::Files(place) => place,
            Pixels::Slices(slices) => {
                let piece = piece.unwrap_or_else(|| Window::whole(self.extent));
                let within = in_one_slice(&piece);
                for slice in &slices[piece.slices()] {
                    if slice.counts_in(Some(within))? {
                        return Ok(true);
                    }
                }
                return Ok(false);
            }
        };
        match (place.counting, piece) {
            (Some(Counting::Nothing), _) => return Ok(false),
            (Some(Counting::All), _) | (Some(Counting::Some), None) => return Ok(true),
            _ => {}
        }
        let piece = piece.unwrap_or_else(|| Window::whole(self.extent));
        let (target, weights) = self.target_part(&piece)?;
        let (height, width) = (piece.extent.y, piece.extent.x);
        Ok((0..height).any(|y| (0..width).any(|x| target.counts_at(weights.as_ref(), y, x))))
    }

    /// Changes all pixels of the image: at once where it is in memory, else whenever they have been read.
    pub fn change_image(&mut self, change: ImageChange) {
        match &mut self.pixels {
            Pixels::Memory(sample) => change(&mut Arc::make_mut(sample).image),
            Pixels::Files(place) => place.image_changes.push(change),
            Pixels::Slices(slices) => slices.iter_mut().for_each(|slice| slice.change_image(change.clone())),
        }
    }

    /// Changes the target and its weights: at once where they are in memory, else whenever they have been read. `keeps_counting`
    /// says that pixels that counted still count, and others do not.
    pub fn change_target(&mut self, change: TargetChange, keeps_counting: bool) {
        match &mut self.pixels {
            Pixels::Memory(sample) => {
                let sample = Arc::make_mut(sample);
                change(&mut sample.target, &mut sample.weights);
            }
            Pixels::Files(place) => {
                place.target_changes.push(change);
                place.counting = place.counting.filter(|_| keeps_counting);
            }
            Pixels::Slices(slices) => {
                slices.iter_mut().for_each(|slice| slice.change_target(change.clone(), keeps_counting));
            }
        }
    }

    /// The part `window` of the sample as a sample of its own, called `name`.
    pub fn cut(&self, window: Window, name: String) -> Self {
        match &self.pixels {
            Pixels::Memory(sample) => {
                let part = sample.cut(&window);
                Sample { name, group: sample.group.clone(), ..part }.into()
            }
            Pixels::Files(place) => {
                let counting = place.counting.filter(|counting| *counting != Counting::Some);
                let part = place.moved(&window);
                let has_gaps = place.has_gaps.filter(|has_gaps| !has_gaps);
                let pixels = Pixels::Files(InFiles { part, counting, has_gaps, ..place.clone() });
                Self { name, extent: window.extent, pixels, ..self.clone() }
            }
            Pixels::Slices(slices) => {
                let within = in_one_slice(&window);
                let slices =
                    slices[window.slices()].iter().map(|slice| slice.cut(within, slice.name.clone()));
                Self { group: self.group.clone(), ..Self::of_slices(name, slices.collect()) }
            }
        }
    }

    /// The part `window` of a volume as one sample.
    fn joined(&self, slices: &[Item], window: &Window) -> Result<Sample> {
        let within = in_one_slice(window);
        let mut parts = Vec::new();
        for slice in &slices[window.slices()] {
            let sample = match &slice.pixels {
                Pixels::Files(place) => slice.read(place, &within)?,
                _ => slice.sample()?.cut(&within),
            };
            parts.push(sample);
        }
        let sample = stacked::joined(self.name.clone(), parts, window.extent);
        Ok(Sample { group: self.group.clone(), ..sample })
    }

    fn read(&self, place: &InFiles, window: &Window) -> Result<Sample> {
        let (mut image, mut target, mut weights) = place.files.read(&place.moved(window))?;
        place.image_changes.iter().for_each(|change| change(&mut image));
        place.target_changes.iter().for_each(|change| change(&mut target, &mut weights));
        let sample = Sample::new(self.name.clone(), image, target).with_weights(weights);
        Ok(Sample { group: self.group.clone(), ..sample })
    }
}

impl InFiles {
    /// Where a window of the sample is in its files.
    fn moved(&self, window: &Window) -> Window {
        let (y, x) = (self.part.y + window.y, self.part.x + window.x);
        Window::plane(y..y + window.extent.y, x..x + window.extent.x)
    }
}
