//! Several recordings of the same slices that are each other's targets.

use super::data_files::DataFiles;
use super::pair_list::Pair;
use crate::error::Result;
use crate::images::ImageSource;

/// Recordings of the same slices with noise of their own, such as reconstructions from disjoint shares of the projections.
#[derive(Debug, Clone)]
pub struct Recordings<'a> {
    /// Where the images of each are, see [`crate::images::Discovery::discover`].
    pub places: &'a [String],
    /// Which of them make up the image of a sample and which its target, as numbers from 0: of each the mean is taken. Each
    /// combination makes a sample of each slice.
    pub combinations: Vec<(Vec<usize>, Vec<usize>)>,
}

impl<'a> Recordings<'a> {
    /// Images that are their own targets.
    pub fn alone(images: &'a String) -> Self {
        Self { places: std::slice::from_ref(images), combinations: vec![(vec![0], vec![0])] }
    }
}

impl DataFiles<'_> {
    /// All combinations of all slices, and for each what tells the samples of its slice from those of others.
    ///
    /// # Errors
    /// [`Error::Mismatch`](crate::Error::Mismatch) for recordings that do not fit each other; what comes of finding them.
    pub(super) fn pairs_of_recordings(&self, recordings: &Recordings) -> Result<(Vec<Pair>, Vec<String>)> {
        let Recordings { places, combinations } = recordings;
        let slices = self.discovery.discover_recordings(places, self.channels)?;
        let (mut pairs, mut groups) = (Vec::new(), Vec::new());
        for (number, slice) in slices.iter().enumerate() {
            let chosen = |places: &[usize]| -> Vec<&ImageSource> {
                places.iter().filter_map(|&place| slice.get(place)).collect()
            };
            for (input, target) in combinations {
                let input = ImageSource::mean_of(chosen(input).into_iter().cloned().collect())?;
                // Of slabs the network gives the slice in the middle.
                let target = chosen(target).into_iter().map(ImageSource::middle).cloned();
                let target = ImageSource::mean_of(target.collect())?;
                pairs.push((input, target));
                groups.push(format!("slice {number}"));
            }
        }
        Ok((pairs, groups))
    }
}
