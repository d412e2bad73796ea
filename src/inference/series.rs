//! Predictions into one folder that are made one after another, as images come.

use twox_hash::XxHash3_128;

use super::block_memory::BlockMemory;
use super::ensemble::Ensemble;
use super::failures::Failure;
use super::journal::Journal;
use super::outputs::Outputs;
use super::plan::Cutting;
use super::predict::{planned, run};
use super::products::Products;
use crate::Result;
use crate::files::{FolderLock, remove_unfinished};
use crate::images::ImageSource;
use crate::watcher::Watcher;

/// Predictions into one folder, which no other program writes to as long as this is there.
///
/// How images of a kind are cut into tiles is found once. Nothing is kept of an image that was not finished.
#[derive(Debug)]
pub struct Series<'a> {
    products: &'a Products,
    cutting: Cutting,
    journal: Journal,
    _lock: FolderLock,
}

impl<'a> Series<'a> {
    /// For `products` in their folder, which must be there; what a killed program left unfinished there is removed.
    ///
    /// # Errors
    /// [`Error::Output`](crate::Error::Output) when another program writes there, or nothing can be written.
    pub fn begin(products: &'a Products, cutting: Cutting) -> Result<Self> {
        let lock = FolderLock::take(products.folder())?;
        remove_unfinished(products.folder());
        products.write_legend()?;
        Ok(Self { products, cutting, journal: Journal::in_memory(), _lock: lock })
    }

    /// What tells the results of `ensemble` from those of other models and settings.
    pub(crate) fn identity(&self, ensemble: &Ensemble) -> String {
        let products = self.products.identity();
        format!("{} {:032x}", ensemble.identity(), XxHash3_128::oneshot(products.as_bytes()))
    }

    /// Applies `ensemble` to the next images, as [`predict`](super::predict()) does. With `keep_going`, those that cannot be used are
    /// passed over and given, in order.
    ///
    /// # Errors
    /// As [`predict`](super::predict()).
    pub fn predict(
        &mut self,
        ensemble: &mut Ensemble,
        images: &[ImageSource],
        keep_going: bool,
        watcher: &mut dyn Watcher,
    ) -> Result<Vec<Failure>> {
        let mut outputs = Outputs::new(self.products, images, None, None, &mut self.journal)?;
        let mut blocks = BlockMemory::of(&self.cutting, images);
        let wishes = (&self.cutting, &mut blocks);
        let parts = planned(ensemble, (images, 0..images.len()), wishes, &mut outputs, false)?;
        run(ensemble, (images, 0..images.len()), self.products, &parts, &mut outputs, keep_going, watcher)
    }
}
