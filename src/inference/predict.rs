//! Files through models to files: read, computed and written at the same time.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

use super::ensemble::Ensemble;
use super::products::Products;
use super::stream::stream;
use crate::images::{ImageSource, as_grey, has_equal_channels, read_image};
use crate::watcher::{Flow, ImageReport, ImageWork, Watcher};
use crate::{Error, Result};

/// Applies `ensemble` to every image and writes `products`, in order; images are read and results written while others are
/// computed. `watcher` is told of each image once its files are written, and of tiles before; it may stop the work.
///
/// # Errors
/// Of the first image that failed, with its name; all before it are written. [`Error::Stopped`] when the watcher asked for
/// an end.
pub fn predict(
    ensemble: &mut Ensemble,
    images: &[ImageSource],
    products: &Products,
    watcher: &mut dyn Watcher,
) -> Result<()> {
    let items: Vec<(usize, &ImageSource)> = images.iter().enumerate().collect();
    let (sender, written) = channel();
    let mut teller = Teller { watcher, images, written, stopped: false };
    let grey = ensemble.model().architecture.inputs == 1;
    let ended = stream(
        &items,
        |(_, source)| match read_image(source)? {
            image if grey && has_equal_channels(&image) => as_grey(&source.name(), image),
            // What is in colours will be refused by its channels.
            image => Ok(image),
        },
        |&(index, source), image| {
            teller.tell_of_written();
            ensemble.warn_of_range(&source.name(), &image);
            let mut progress = |done: f64| teller.tile(index, done);
            let found = ensemble.predict_watched(&image, products.want_deviation(), &mut progress);
            let found = found.map_err(|error| match error {
                Error::Mismatch(problem) => Error::Mismatch(format!("{}: {problem}", source.name())),
                Error::Stopped { .. } => Error::Stopped { done: index, count: images.len() },
                other => other,
            })?;
            Ok((products.wants_image().then_some(image), found))
        },
        |&(index, source), (image, found)| {
            let files = products.write(&source.stem, image.as_ref(), &found)?;
            // Nobody listens any more once the work has failed.
            sender.send((index, files)).ok();
            Ok(())
        },
    );
    teller.tell_of_written();
    ended
}

/// Hands what the writing thread has done on to the watcher, which belongs to this one.
struct Teller<'a> {
    watcher: &'a mut dyn Watcher,
    images: &'a [ImageSource],
    written: Receiver<(usize, Vec<PathBuf>)>,
    stopped: bool,
}

impl Teller<'_> {
    fn report(&mut self, index: usize, done: f64, files: &[PathBuf]) -> Flow {
        let report = ImageReport {
            work: ImageWork::Predict,
            name: &self.images[index].name(),
            index,
            count: self.images.len(),
            done,
            score: None,
            files,
        };
        self.watcher.image(&report)
    }

    fn tell_of_written(&mut self) {
        while let Ok((index, files)) = self.written.try_recv() {
            self.stopped |= self.report(index, 1.0, &files).is_break();
        }
    }

    /// The end of an image is told when it is written.
    fn tile(&mut self, index: usize, done: f64) -> Flow {
        if self.stopped {
            return Flow::Break(());
        }
        if done < 1.0 { self.report(index, done, &[]) } else { Flow::Continue(()) }
    }
}
