//! The labels of all slices at one moment, for training.

use std::collections::{BTreeMap, BTreeSet};

use super::looking::shown;
use super::{Image, Project};
use crate::portal::labels::Plane;
use crate::{Error, Result};

/// Planes that are computed at most while nobody can draw.
const MOST_AT_ONCE: usize = 4;
/// How often planes are computed one by one; what changes that fast is then computed at once.
const ROUNDS: usize = 4;
/// Most bytes of all planes.
const MOST_BYTES: usize = 2 << 30;

/// An image and a slice of it.
type Place = (String, usize);

/// The labels of all slices that entries paint, as they were at one moment.
#[derive(Debug, Default)]
pub(in crate::portal) struct Planes {
    /// The last entry of the journal that they follow from, and its hash.
    pub(in crate::portal) seq: u64,
    pub(in crate::portal) hash: String,
    /// The images, in the order in which they came.
    pub(in crate::portal) images: Vec<Image>,
    /// What the number of each class becomes: those of classes that were removed are none.
    pub(in crate::portal) shown: Option<[u8; 256]>,
    /// The planes, each with the number of its last change here.
    planes: BTreeMap<Place, (u64, Plane)>,
    /// Why the labels of a slice could not be computed.
    failed: BTreeMap<Place, String>,
    /// Slices that have changed since they were taken.
    stale: BTreeSet<Place>,
    changes: u64,
    bytes: usize,
}

impl Planes {
    /// The slices of an image, in order, each with the number of its last change.
    pub(in crate::portal) fn of(&self, image: &str) -> impl Iterator<Item = (usize, u64, &Plane)> {
        let range = (image.to_owned(), 0)..=(image.to_owned(), usize::MAX);
        self.planes.range(range).map(|((_, slice), (change, plane))| (*slice, *change, plane))
    }

    /// Why labels of an image could not be computed, where that is so.
    pub(in crate::portal) fn failure(&self, image: &str) -> Option<&str> {
        let range = (image.to_owned(), 0)..=(image.to_owned(), usize::MAX);
        self.failed.range(range).next().map(|(_, problem)| problem.as_str())
    }
}

impl Project {
    /// Brings `planes` up to the last entry of the journal: what was drawn later is in none of them. Slices that have not changed are
    /// not looked at. Where many have, each is computed by itself, so that people can draw meanwhile.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for more labels than can be held.
    pub(in crate::portal) fn update_planes(&self, planes: &mut Planes) -> Result<()> {
        for round in 1.. {
            let mut state = self.state();
            let seq = state.journal.seq();
            let images: Vec<Image> = state.about.images().cloned().collect();
            let known = planes.shown.is_some() && planes.seq >= state.changes_from && planes.seq <= seq;
            if known {
                let later = state.changes.iter().rev().take_while(|(of, _)| *of > planes.seq);
                let regions = later.flat_map(|(_, regions)| regions);
                planes.stale.extend(regions.map(|region| (region.image.clone(), region.slice)));
            } else {
                planes.planes.clear();
                planes.failed.clear();
                planes.images.clear();
            }
            // Of images that were not there before, as they are new or were put back, all slices.
            let before: BTreeSet<&str> = planes.images.iter().map(|image| image.id.as_str()).collect();
            let mut new = Vec::new();
            for image in images.iter().filter(|image| !before.contains(image.id.as_str())) {
                let slices =
                    state.with_labels(self, |labels, given| labels.slices_with_entries(given, &image.id));
                new.extend(slices.into_iter().map(|slice| (image.id.clone(), slice)));
            }
            planes.stale.extend(new);
            // What could not be computed may be there again, but hardly a moment later.
            if round == 1 {
                planes.stale.extend(std::mem::take(&mut planes.failed).into_keys());
            }
            planes.seq = seq;
            state.journal.hash().clone_into(&mut planes.hash);
            planes.shown = Some(shown(&state.history));
            let known: BTreeSet<&str> = images.iter().map(|image| image.id.as_str()).collect();
            let is_there = |(id, _): &Place| known.contains(id.as_str());
            planes.stale.retain(is_there);
            planes.planes.retain(|place, _| is_there(place));
            planes.failed.retain(|place, _| is_there(place));
            planes.bytes = planes.planes.values().map(|(_, plane)| plane.bytes()).sum();
            planes.images = images;
            let mut missing = 0;
            for (id, slice) in &planes.stale {
                missing += usize::from(!state.labels.has_plane(id, *slice));
            }
            let stale = std::mem::take(&mut planes.stale);
            if missing <= MOST_AT_ONCE || round > ROUNDS {
                for place in stale {
                    state.take_plane(self, planes, place)?;
                }
                return Ok(());
            }
            drop(state);
            for place in stale {
                self.state().take_plane(self, planes, place)?;
            }
        }
        Ok(())
    }
}

impl super::State {
    /// Takes the labels of a slice as they are now.
    fn take_plane(&mut self, project: &Project, planes: &mut Planes, place: Place) -> Result<()> {
        let found =
            self.with_labels(project, |labels, given| labels.plane(given, &place.0, place.1).cloned());
        planes.changes += 1;
        let before = planes.planes.remove(&place).map_or(0, |(_, plane)| plane.bytes());
        planes.bytes -= before;
        match found {
            Ok(plane) => {
                planes.failed.remove(&place);
                planes.bytes += plane.bytes();
                planes.planes.insert(place, (planes.changes, plane));
            }
            Err(error) => {
                planes.failed.insert(place, error.to_string());
            }
        }
        if planes.bytes > MOST_BYTES {
            // All are taken anew when there are fewer.
            *planes = Planes::default();
            return Err(Error::Mismatch(format!(
                "the labels take more than {} GiB of memory; label fewer slices, or train by `msd-gpu train`, which reads them piece by piece",
                MOST_BYTES >> 30
            )));
        }
        Ok(())
    }
}
