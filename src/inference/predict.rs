//! Files through models to files: read, computed and written at the same time.

use std::sync::mpsc::{Receiver, channel};

use ndarray::s;

use super::ensemble::Ensemble;
use super::outputs::{Outputs, Written};
use super::products::Products;
use super::stream::stream;
use crate::images::{ImageSource, has_equal_channels, read_image};
use crate::watcher::{Flow, ImageReport, ImageWork, Watcher};
use crate::{Error, Result};

/// An image that could not be predicted.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Failure {
    /// The name of the image.
    pub name: String,
    /// What is wrong with it.
    pub error: Error,
}

/// Applies `ensemble` to every image and writes `products`, in order; images are read and results written while others are
/// computed. `watcher` is called for each image once its files are written, and for its tiles before; it may stop the work.
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
    run(ensemble, images, products, watcher, |_, error| Err(error))
}

/// As [`predict`], but an image that cannot be read or does not fit the models is passed over. Gives those images, in order.
///
/// # Errors
/// Errors that would occur with all other images too: of the device, the memory and the folder for results; and
/// [`Error::Stopped`].
pub fn predict_keeping_going(
    ensemble: &mut Ensemble,
    images: &[ImageSource],
    products: &Products,
    watcher: &mut dyn Watcher,
) -> Result<Vec<Failure>> {
    let mut failures = Vec::new();
    run(ensemble, images, products, watcher, |image, error| match error {
        Error::Input { .. } | Error::Mismatch(_) => {
            failures.push(Failure { name: image.name(), error });
            Ok(())
        }
        other => Err(other),
    })?;
    Ok(failures)
}

/// Applies `ensemble` to every image. When one could not be read or computed, `failed` decides whether to continue with the others.
fn run(
    ensemble: &mut Ensemble,
    images: &[ImageSource],
    products: &Products,
    watcher: &mut dyn Watcher,
    mut failed: impl FnMut(&ImageSource, Error) -> Result<()>,
) -> Result<()> {
    let items: Vec<(usize, &ImageSource)> = images.iter().enumerate().collect();
    let (sender, written) = channel();
    let mut reporter = Reporter { watcher, images, written, stopped: false };
    let mut outputs = Outputs::new(products, images);
    products.write_legend()?;
    let grey = ensemble.model().architecture.inputs == 1;
    let ended = stream(
        &items,
        |(_, source)| {
            // What is in colours will be refused by its channels.
            Ok(read_image(source).map(|image| match grey && has_equal_channels(&image) {
                true => image.slice_move(s![..1, .., ..]),
                false => image,
            }))
        },
        |&(index, source), image| {
            reporter.report_written();
            let mut progress = |done: f64| reporter.tile(index, done);
            let found = image.and_then(|image| {
                ensemble.warn_of_range(&source.name(), &image);
                let found = ensemble.predict_watched(&image, products.want_deviation(), &mut progress);
                let found = found.map_err(|error| match error {
                    Error::Mismatch(problem) => Error::Mismatch(format!("{}: {problem}", source.name())),
                    Error::Stopped { .. } => Error::Stopped { done: index, count: images.len() },
                    other => other,
                })?;
                Ok((products.wants_image().then_some(image), found))
            });
            match found {
                Ok(found) => Ok(Some(found)),
                Err(error) => failed(source, error).map(|()| None),
            }
        },
        |&(index, _), result| {
            let has_result = result.is_some();
            let result = result.as_ref().map(|(image, found)| (image.as_ref(), found));
            let written = outputs.write(index, result)?;
            if has_result || !written.files.is_empty() {
                // The receiver is dropped once the work has failed.
                sender.send((index, written)).ok();
            }
            Ok(())
        },
    );
    reporter.report_written();
    ended
}

/// Reports to the watcher which images the writing thread has finished. The watcher is called on the computing thread alone.
struct Reporter<'a> {
    watcher: &'a mut dyn Watcher,
    images: &'a [ImageSource],
    written: Receiver<(usize, Written)>,
    stopped: bool,
}

impl Reporter<'_> {
    fn report(&mut self, index: usize, done: f64, written: Option<&Written>) -> Flow {
        let name = written.map_or_else(|| self.images[index].name(), |written| written.name.clone());
        let report = ImageReport {
            work: ImageWork::Predict,
            name: &name,
            index,
            count: self.images.len(),
            done,
            score: None,
            files: written.map_or(&[], |written| &written.files),
        };
        self.watcher.image(&report)
    }

    fn report_written(&mut self) {
        while let Ok((index, written)) = self.written.try_recv() {
            self.stopped |= self.report(index, 1.0, Some(&written)).is_break();
        }
    }

    /// Reports a tile. The end of an image is reported by [`Self::report_written`] once it is written.
    fn tile(&mut self, index: usize, done: f64) -> Flow {
        if self.stopped {
            return Flow::Break(());
        }
        if done < 1.0 { self.report(index, done, None) } else { Flow::Continue(()) }
    }
}
