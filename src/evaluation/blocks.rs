//! Volumes that are judged block by block, so that neither a volume nor what is found for it is in memory as a whole.
//!
//! Counts do not depend on the order of blocks. Sums do: they are added slice by slice, as those of a whole volume are, and come to the same
//! bits. So blocks of values are whole slices, as many as a tile keeps. What needs a whole volume, such as distances between
//! surfaces, has it in memory: see [`Judge::in_blocks`].

use ndarray::{Array3, ArrayView3};

use super::judge::{
    Found, Judge, Judged, JudgedOne, Samples, Together, add, add_values, in_image, progress_of, report_end,
};
use super::scores::{Evaluation, TaskScores};
use crate::metrics::DataRange;
use crate::samples::{Item, Target};
use crate::watcher::Watcher;
use crate::{Result, memory};

/// A part of a volume, and what a network gives for it; images have the rows of all its slices.
#[derive(Debug)]
pub struct Block<'a> {
    /// The target as metrics take it, values in the units of the target images.
    pub target: &'a Target,
    /// What the network gives.
    pub found: Found,
    /// The probability of each class, `[class][y][x]`, where they are known.
    pub probabilities: Option<Array3<f32>>,
    /// The image `[channel][y][x]`, where whoever applies the network knows it.
    pub image: Option<ArrayView3<'a, f32>>,
    /// How many slices there are.
    pub slices: usize,
}

impl Judge {
    /// As [`Judge::run_over`], where nobody wants to see what is found: volumes are judged block by block, as far as `judged` can do that.
    /// The scores are the same.
    ///
    /// # Errors
    /// As [`Judge::run_over`].
    pub fn score_over(
        &self,
        judged: &mut dyn Judged,
        samples: &(impl Samples + ?Sized),
        watcher: &mut dyn Watcher,
    ) -> Result<Evaluation> {
        self.check_classes()?;
        let count = samples.count();
        let range = match self.known_range() {
            Some(range) => range,
            None => self.limits_of_targets(judged, samples, 0..count)?.data_range(),
        };
        let mut all = Together::new(self.no_scores(range));
        let mut compares_input = self.compares_input;
        for index in 0..count {
            let (name, one) = self.score_one(judged, samples, index, range, &mut compares_input, watcher)?;
            all.add(&name, &one)?;
        }
        Ok(all.evaluation())
    }

    /// Sample `index`, where it is a volume that is to be judged block by block. Distances between surfaces need the whole of it, and so does
    /// the circle in which pixels count.
    pub(super) fn in_blocks<'s>(
        &self,
        samples: &'s (impl Samples + ?Sized),
        index: usize,
    ) -> Option<&'s Item> {
        samples.volume(index).filter(|_| self.measures.surfaces.is_none() && !self.measures.circle)
    }

    /// Judges sample `index`; gives its name too.
    pub(super) fn score_one(
        &self,
        judged: &mut dyn Judged,
        samples: &(impl Samples + ?Sized),
        index: usize,
        range: DataRange,
        compares_input: &mut bool,
        watcher: &mut dyn Watcher,
    ) -> Result<(String, JudgedOne)> {
        let count = samples.count();
        let Some(volume) = self.in_blocks(samples, index) else {
            if let Some(volume) = samples.volume(index) {
                let what =
                    format!("the volume {}, of which surfaces are compared as a whole,", volume.name());
                // Slices that were read are there once more while they are put together.
                let copies = if volume.is_in_memory() { 1 } else { 2 };
                let bytes = volume.bytes().saturating_mul(copies);
                memory::check(
                    &what,
                    bytes,
                    "leave out `surface_distance`, or cut the volume into smaller ones",
                )?;
            }
            let sample = samples.sample(index)?;
            let one =
                self.judge_one(judged, (&sample, index), count, range, compares_input, watcher, |_| ())?;
            return Ok((sample.name.clone(), one));
        };
        let mut own = self.no_scores(range);
        *compares_input &= volume.target_channels() == Some(volume.channels());
        let (mut before, mut has_images) = (self.no_values(range), false);
        let loss = judged
            .apply_in_blocks(volume, &mut progress_of(volume.name(), index, count, watcher), &mut |block| {
                let Block { target, found, probabilities, image, slices } = block;
                add(&mut own, target, (&found, probabilities.as_ref()), slices)?;
                match (target, image) {
                    (Target::Values(target), Some(image)) if *compares_input => {
                        has_images = true;
                        add_values(&mut before, target.view(), image, slices)
                    }
                    _ => Ok(()),
                }
            })
            .map_err(|error| in_image(error, volume.name(), index, count))?;
        if let TaskScores::Regress { input, .. } = &mut own {
            *input = has_images.then_some(before);
        }
        report_end(volume.name(), (index, count), &own, watcher)?;
        let loss = loss.map(|loss| (loss.loss(), loss.weight()));
        Ok((volume.name().to_owned(), JudgedOne { scores: own, loss, surfaces: Vec::new() }))
    }
}

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;
