//! Where one image is: a file, or a page of one.

use std::path::PathBuf;

/// One two-dimensional image inside a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSource {
    /// The file.
    pub path: PathBuf,
    /// The page, counted from 0; `None` when the file holds one image only.
    pub page: Option<usize>,
    /// The file's name without its ending; for a page of a stack with the page, as `stack_p0003`.
    pub stem: String,
    /// Where the page begins in its TIFF file, so that a long stack need not be walked for each page.
    pub(super) directory: Option<u64>,
}

impl ImageSource {
    /// The path without links and dots where there is such a file, else as it is.
    pub fn real_path(&self) -> PathBuf {
        self.path.canonicalize().unwrap_or_else(|_| self.path.clone())
    }

    /// The name for messages: the path, and the page when there are several.
    pub fn name(&self) -> String {
        match self.page {
            Some(page) => format!("{} page {page}", self.path.display()),
            None => self.path.display().to_string(),
        }
    }
}
