//! Predictions into one folder that are made one after another, as images come.

use twox_hash::XxHash3_128;

use super::block_memory::BlockMemory;
use super::ensemble::Ensemble;
use super::failures::Failure;
use super::journal::Journal;
use super::outputs::{Outputs, Past};
use super::plan::Cutting;
use super::predict::{identity, planned, run};
use super::prints::Prints;
use super::products::Products;
use super::record::{Record, ResultState};
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
    record: Record,
    _lock: FolderLock,
}

impl<'a> Series<'a> {
    /// Of `ensemble`, for `products` in their folder, which must be there; what a killed program left unfinished there is removed.
    ///
    /// # Errors
    /// [`Error::Output`](crate::Error::Output) when another program writes there, or nothing can be written.
    pub fn begin(ensemble: &Ensemble, products: &'a Products, cutting: Cutting) -> Result<Self> {
        let lock = FolderLock::take(products.folder())?;
        remove_unfinished(products.folder());
        products.write_legend()?;
        let record = Record::open(products.folder(), "", &identity(ensemble, products, &cutting), true);
        Ok(Self { products, cutting, journal: Journal::in_memory(), record, _lock: lock })
    }

    /// What tells the results of `ensemble` from those of other models and settings.
    pub(crate) fn identity(&self, ensemble: &Ensemble) -> String {
        let products = self.products.identity();
        format!("{} {:032x}", ensemble.identity(), XxHash3_128::oneshot(products.as_bytes()))
    }

    /// What the record in the folder says of the results of `images`; of several results the one that says most against it.
    pub fn state(&self, images: &[ImageSource], of_volumes: bool) -> ResultState {
        let grouping = self.products.grouping(images);
        let prints = Prints::of(images, &grouping, of_volumes);
        let stacks = grouping.stacks.iter().map(|stack| self.products.stack_files(stack));
        let alone = images.iter().zip(&grouping.places).zip(&prints.images);
        let alone = alone.filter(|((_, place), _)| place.is_none());
        let alone = alone.map(|((image, _), print)| (self.products.image_files(&image.stem), *print));
        let all = alone.chain(stacks.zip(prints.stacks.iter().copied()));
        let all = all.flat_map(|(files, print)| {
            files.into_iter().map(move |(file, _)| self.record.state(&file, print))
        });
        all.max_by_key(ResultState::against).unwrap_or(ResultState::Missing)
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
        let past = Past {
            journal: &mut self.journal,
            record: &mut self.record,
            resume: false,
            of_volumes: ensemble.model().architecture.is_of_volumes(),
        };
        let mut blocks = BlockMemory::of(&self.cutting, images);
        let mut outputs = Outputs::new(self.products, images, None, None, past)?;
        let wishes = (&self.cutting, &mut blocks);
        let parts = planned(ensemble, (images, 0..images.len()), wishes, &mut outputs, false)?;
        run(ensemble, (images, 0..images.len()), self.products, &parts, &mut outputs, keep_going, watcher)
    }
}
