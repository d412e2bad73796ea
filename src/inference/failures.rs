//! Images that cannot be predicted.

use crate::images::ImageSource;
use crate::{Error, Result};

/// An image that could not be predicted.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Failure {
    /// Its number among the images.
    pub index: usize,
    /// The name of the image.
    pub name: String,
    /// What is wrong with it.
    pub error: Error,
}

/// Whether an error says that something is wrong with an image.
pub(super) fn is_of_image(error: &Error) -> bool {
    matches!(error, Error::Input { .. } | Error::Mismatch(_))
}

/// The images that could not be predicted.
pub(super) struct Failures<'a> {
    images: &'a [ImageSource],
    /// Whether such an image is passed over; else it ends all.
    keep_going: bool,
    /// The image of which a part has failed, so that its others do not count.
    given_up: Option<usize>,
    failures: Vec<Failure>,
}

impl<'a> Failures<'a> {
    pub(super) fn new(images: &'a [ImageSource], keep_going: bool) -> Self {
        Self { images, keep_going, given_up: None, failures: Vec::new() }
    }

    /// Whether a part of `image` has failed.
    pub(super) fn has_given_up(&self, image: usize) -> bool {
        self.given_up == Some(image)
    }

    /// All that failed, in order.
    pub(super) fn all(self) -> Vec<Failure> {
        self.failures
    }

    /// What became of a part of `image`: its result, nothing where one of the image's parts has failed. Parts come in order.
    ///
    /// # Errors
    /// What is wrong with it, where that ends all.
    pub(super) fn accept<W>(&mut self, image: usize, result: Result<W>) -> Result<Option<W>> {
        if self.has_given_up(image) {
            return Ok(None);
        }
        let error = match result {
            Ok(result) => return Ok(Some(result)),
            Err(error) => error,
        };
        self.given_up = Some(image);
        if !self.keep_going || !is_of_image(&error) {
            return Err(error);
        }
        self.failures.push(Failure { index: image, name: self.images[image].name(), error });
        Ok(None)
    }
}
