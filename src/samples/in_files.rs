//! Samples that stay in their files: parts of them are read when they are wanted.

use std::sync::Arc;

use ndarray::{Array2, Array3};
use serde::{Deserialize, Serialize};

use super::label_rule::LabelRule;
use super::labels::LabelMapping;
use super::measurements::Stamp;
use super::sample::{Counting, Sample, Target, fill, gap_means, unlabelled};
use super::weight_images;
use crate::error::Result;
use crate::geometry::{Extent, Window};
use crate::images::{ImageCache, ImageSource, PartReader, as_grey, check_gaps_from, has_equal_channels};

/// A page of an image, and its target and weights.
#[derive(Debug, Clone)]
pub(super) struct SampleFiles {
    pub(super) image: ImageSource,
    /// Whether the image is grey though it was saved as colours.
    pub(super) image_is_grey: bool,
    pub(super) target: TargetFile,
    pub(super) weights: Option<ImageSource>,
    /// Channels in the file, and rows and columns.
    pub(super) stored_channels: usize,
    pub(super) extent: Extent,
    /// What was decoded as a whole, of all samples.
    pub(super) cache: Arc<ImageCache>,
    /// What is known of the sample, once it was looked at.
    pub(super) facts: Option<Facts>,
    /// What tells whether the files and what is made of them are as they were.
    pub(super) stamp: Option<Stamp>,
}

/// Where a target is, and how its numbers are taken.
#[derive(Debug, Clone)]
pub(super) enum TargetFile {
    Labels {
        page: ImageSource,
        rule: Arc<LabelRule>,
        mapping: Arc<LabelMapping>,
    },
    /// Nobody labelled the image: it is a slice of a volume of which others are labelled.
    Nothing,
    /// Where `is_image` says so, numbers are brightness as those of images, else as stored.
    Values {
        page: ImageSource,
        stored_channels: usize,
        is_grey: bool,
        is_image: bool,
    },
}

/// What has to be known of a sample before parts of it are read, and what is told of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// What of it counts.
    pub(super) counting: Counting,
    /// The bits of what is put in the place of values of the target that are not finite, for each channel.
    pub(super) target_means: Option<Vec<u32>>,
    /// Whether the target holds the image.
    pub(super) is_its_own_target: bool,
    /// Whether the image is grey though it was saved as colours.
    pub(super) has_equal_channels: bool,
}

impl TargetFile {
    /// What is made of the numbers of the target.
    pub(super) fn meaning(&self) -> String {
        match self {
            Self::Labels { rule, mapping, .. } => format!("{rule:?} {mapping:?}"),
            Self::Nothing => "nothing".into(),
            Self::Values { is_grey, is_image: false, .. } => format!("values {is_grey}"),
            Self::Values { is_grey, is_image: true, .. } => format!("brightness {is_grey}"),
        }
    }
}

/// Rows of an image that mostly tell it from its target.
const FIRST_ROWS: usize = 16;

type Numbers = (Array3<f32>, Target, Option<Array2<f32>>);

impl SampleFiles {
    /// The channels of the image as it is given.
    pub(super) fn channels(&self) -> usize {
        if self.image_is_grey { 1 } else { self.stored_channels }
    }

    /// The channels of a regression target as it is given.
    pub(super) fn target_channels(&self) -> Option<usize> {
        match self.target {
            TargetFile::Labels { .. } | TargetFile::Nothing => None,
            TargetFile::Values { is_grey: true, .. } => Some(1),
            TargetFile::Values { stored_channels, .. } => Some(stored_channels),
        }
    }

    pub(super) fn extent(&self) -> Extent {
        self.extent
    }

    pub(super) fn has_weights(&self) -> bool {
        self.weights.is_some()
    }

    /// Bytes that would be kept of the sample's files were there room for all.
    pub(super) fn decoded_bytes(&self) -> u64 {
        self.pages().map(PartReader::held_bytes).sum()
    }

    /// What the sample is read from.
    pub(super) fn pages(&self) -> impl Iterator<Item = &ImageSource> {
        let target = match &self.target {
            TargetFile::Labels { page, .. } | TargetFile::Values { page, .. } => Some(page),
            TargetFile::Nothing => None,
        };
        std::iter::once(&self.image).chain(target).chain(&self.weights)
    }

    /// Whether `facts` may be those of the sample.
    pub(super) fn may_have(&self, facts: &Facts) -> bool {
        facts.target_means.as_ref().is_none_or(|means| Some(means.len()) == self.target_channels())
    }

    /// Looks at the sample: at all of its target and weights, unless it is known what of these is `counting`, and at as much of its image as
    /// it takes to see that this is another one than the target, which mostly is a few rows. All of the image is looked at when it is
    /// measured.
    ///
    /// # Errors
    /// What comes of reading these, and numbers that are not finite where they count.
    pub(super) fn facts(&self, counting: Option<Counting>) -> Result<Facts> {
        let (counting, means) = match counting {
            Some(counting) => (counting, None),
            None => {
                let (target, weights) = self.checked_target(&Window::whole(self.extent))?;
                let means = match &target {
                    Target::Values(values) => gap_means(values),
                    Target::Classes(_) => None,
                };
                (Counting::of(&target, weights.as_ref()), means)
            }
        };
        let (is_its_own_target, has_equal_channels) = self.likeness()?;
        Ok(Facts {
            counting,
            target_means: means.map(|means| means.into_iter().map(f32::to_bits).collect()),
            is_its_own_target,
            has_equal_channels,
        })
    }

    /// Whether the target holds the image, and whether the image has channels that are equal: read from the top down until neither may be,
    /// of the target only where it may hold the image.
    fn likeness(&self) -> Result<(bool, bool)> {
        let Extent { y: height, x: width, .. } = self.extent;
        let is_same = match &self.target {
            TargetFile::Values { page, is_image: true, .. } => {
                page.path == self.image.path && page.identity() == self.image.identity()
            }
            _ => false,
        };
        let mut is_own = !is_same;
        let mut is_equal = self.channels() == 3;
        // What is decoded as a whole would be decoded for each part.
        let mut rows = if self.decoded_bytes() > 0 { height } else { FIRST_ROWS };
        let mut start = 0;
        while start < height && (is_own || is_equal) {
            let end = start.saturating_add(rows).min(height);
            let part = Window::plane(start..end, 0..width);
            let image = self.stored_image(&part)?;
            is_equal &= has_equal_channels(&image);
            is_own &= self.may_be_target(&image);
            if is_own || image.iter().any(|value| !value.is_finite()) {
                let (target, weights) = self.checked_target(&part)?;
                self.check_image(&image, &target, weights.as_ref(), &part)?;
                let mut sample = Sample::new(String::new(), image, target).with_weights(weights);
                sample.settle_gaps();
                is_own &= sample.is_its_own_target();
            }
            (start, rows) = (end, rows.saturating_mul(4));
        }
        Ok((is_own || is_same, is_equal))
    }

    /// Whether the numbers of a part of the image may be those of the target: classes are counted from 0.
    fn may_be_target(&self, image: &Array3<f32>) -> bool {
        match &self.target {
            TargetFile::Labels { mapping, .. } => {
                let classes = mapping.values.len() as f32;
                let is_class = |value: &f32| (0.0..classes).contains(value) && value.fract() == 0.0;
                image.dim().0 == 1 && image.iter().all(is_class)
            }
            TargetFile::Nothing => false,
            TargetFile::Values { .. } => true,
        }
    }

    /// A part of image, target and weights. Numbers that are not finite, where they do not count, are NaN in the image, and in target
    /// values the mean of the others.
    ///
    /// # Errors
    /// What comes of reading it, and numbers that are not finite where they count.
    pub(super) fn read(&self, part: &Window) -> Result<Numbers> {
        let (mut image, mut target, weights) = self.checked(part)?;
        image.mapv_inplace(|value| if value.is_finite() { value } else { f32::NAN });
        self.fill_target(&mut target);
        Ok((image, target, weights))
    }

    /// A part of the image, as [`SampleFiles::read`] gives it; target and weights are read only where a number is not finite.
    ///
    /// # Errors
    /// As [`SampleFiles::read`].
    pub(super) fn read_image(&self, part: &Window) -> Result<Array3<f32>> {
        let image = self.stored_image(part)?;
        match image.iter().all(|value| value.is_finite()) {
            true => Ok(image),
            false => self.read(part).map(|(image, ..)| image),
        }
    }

    /// A part of target and weights.
    ///
    /// # Errors
    /// As [`SampleFiles::read`].
    pub(super) fn read_target(&self, part: &Window) -> Result<(Target, Option<Array2<f32>>)> {
        let (mut target, weights) = self.checked_target(part)?;
        self.fill_target(&mut target);
        Ok((target, weights))
    }

    fn fill_target(&self, target: &mut Target) {
        let means = self.facts.as_ref().and_then(|facts| facts.target_means.as_ref());
        if let (Target::Values(values), Some(means)) = (target, means) {
            fill(values, &means.iter().copied().map(f32::from_bits).collect::<Vec<_>>());
        }
    }

    fn checked(&self, part: &Window) -> Result<Numbers> {
        let (target, weights) = self.checked_target(part)?;
        let image = self.stored_image(part)?;
        self.check_image(&image, &target, weights.as_ref(), part)?;
        Ok((image, target, weights))
    }

    /// Refuses numbers of a part of the image that are not finite where they count.
    fn check_image(
        &self,
        image: &Array3<f32>,
        target: &Target,
        weights: Option<&Array2<f32>>,
        part: &Window,
    ) -> Result<()> {
        let counts = |y: usize, x: usize| target.counts_at(weights, y, x);
        check_gaps_from(&self.image.name(), image, (part.y, part.x), counts)
    }

    fn stored_image(&self, part: &Window) -> Result<Array3<f32>> {
        let image = self.cache.image(&self.image, part)?;
        if self.image_is_grey { as_grey(&self.image.name(), image) } else { Ok(image) }
    }

    fn checked_target(&self, part: &Window) -> Result<(Target, Option<Array2<f32>>)> {
        let weights = self
            .weights
            .as_ref()
            .map(|page| weight_images::read_part(&self.cache, page, part))
            .transpose()?;
        let target = match &self.target {
            TargetFile::Labels { page, rule, mapping } => {
                let mut labels = rule.read_part(&self.cache, page, part)?;
                rule.apply(&page.name(), &mut labels, mapping.ignored)?;
                Target::Classes(mapping.encode(&page.name(), &labels)?)
            }
            TargetFile::Nothing => Target::Classes(unlabelled(part.extent.y, part.extent.x)),
            TargetFile::Values { page, is_grey, is_image, .. } => {
                let mut values = match is_image {
                    true => self.cache.image(page, part)?,
                    false => self.cache.values(page, part)?,
                };
                if *is_grey {
                    values = as_grey(&page.name(), values)?;
                }
                let target = Target::Values(values);
                if let Target::Values(values) = &target {
                    check_gaps_from(&page.name(), values, (part.y, part.x), |y, x| {
                        target.counts_at(weights.as_ref(), y, x)
                    })?;
                }
                target
            }
        };
        Ok((target, weights))
    }
}
