//! Predictions of a volume slice by slice, with as many slices in memory as a slab has.

use std::sync::Arc;

use ndarray::Array3;

use super::cut::cut;
use super::{Wanted, compute};
use crate::Result;
use crate::geometry::Extent;
use crate::geometry::tiles::spans;
use crate::inference::ensemble::Ensemble;
use crate::inference::parts::measure_slices;
use crate::inference::plan::Cutting;
use crate::inference::prediction::{Found, Prediction};
use crate::watcher::Flow;

impl Ensemble {
    /// Predicts a volume of `extent` called `name`, of which `read` gives each slice `[channel][y][x]` in the file's own units, without
    /// numbers that are not finite: several times each where networks measure it or tiles look at their surroundings. `each` gets what is
    /// found for the slices, one after the other.
    ///
    /// The volume is cut as `cutting` says, where blocks of its files take `blocks` bytes and whoever takes the results has `beside` bytes
    /// for each voxel of the slices that are computed together.
    ///
    /// # Errors
    /// As [`Ensemble::predict_watched`], [`crate::Error::OutOfMemory`] where there is no memory for the smallest tile, and the first error of
    /// `read` or `each`.
    pub(crate) fn predict_in_slabs(
        &mut self,
        (name, extent): (&str, Extent),
        (cutting, blocks, beside): (&Cutting, u64, u64),
        read: &mut dyn FnMut(usize) -> Result<Array3<f32>>,
        progress: &mut dyn FnMut(f64) -> Flow,
        each: &mut dyn FnMut(usize, Prediction) -> Result<()>,
    ) -> Result<()> {
        self.in_one_piece(|ensemble| {
            let cut = cut(ensemble, extent, (cutting, blocks), beside, read)?;
            let measures = ensemble.measures();
            let channels = if measures.is_empty() { 0 } else { read(0)?.dim().0 };
            let measured = measure_slices(channels, extent.z, &measures, read)?;
            // Slices that neighbouring slabs share are read once.
            let mut kept: Vec<(usize, Arc<Array3<f32>>)> = Vec::new();
            for span in spans(extent.z, cut.tile.z, cut.halo[0]) {
                kept.retain(|(slice, _)| span.patch.contains(slice));
                for slice in span.patch.clone() {
                    if !kept.iter().any(|(known, _)| *known == slice) {
                        kept.push((slice, Arc::new(read(slice)?)));
                    }
                }
                kept.sort_by_key(|(slice, _)| *slice);
                let slices: Vec<_> = kept.iter().map(|(_, slice)| slice.clone()).collect();
                ensemble.warn_of_range(name, &slices[span.core_in_patch().start]);
                let (start, share) = (span.core.start as f64, span.core.len() as f64);
                let mut progress = |done: f64| progress((start + done * share) / extent.z as f64);
                let found = compute(
                    ensemble,
                    (extent, &span, &cut),
                    (&slices, &measured),
                    Wanted::default(),
                    &mut progress,
                )?;
                for (slice, found) in span.core.clone().zip(found) {
                    if let Found::Prediction(prediction) = found {
                        each(slice, prediction)?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Whether so many bytes may be taken, beside what the network takes for a volume of `extent` in one piece.
    pub(crate) fn holds_whole(&self, extent: Extent, cutting: &Cutting, bytes: u64) -> bool {
        let budget = crate::inference::plan::Budget::of(cutting, self, 0);
        let network = self.bytes(extent).unwrap_or(u64::MAX);
        let network = if budget.counts_network() { network } else { 0 };
        cutting.tile.is_none() && budget.allows(bytes.saturating_add(network))
    }
}
