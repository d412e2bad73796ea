//! Where one image is: a file, or a page of one.

use std::fmt;
use std::path::PathBuf;

/// What the header of one image says, kept so that no file is opened again to ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Channels of the image that reading gives: without alpha, and with a PNG palette resolved.
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) samples: SampleType,
    /// Whether all pixels of a channel come together in the file, instead of all channels of a pixel.
    pub(super) planar: bool,
    /// Where the page begins in its TIFF file, so that a long stack need not be walked for each page; `None` for PNG.
    pub(super) directory: Option<u64>,
}

/// How a file stores one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SampleType {
    pub(super) kind: SampleKind,
    pub(super) bits: u8,
}

/// What the bits of a number stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SampleKind {
    Unsigned,
    Signed,
    Float,
}

impl fmt::Display for SampleType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            SampleKind::Unsigned => "uint",
            SampleKind::Signed => "int",
            SampleKind::Float => "float",
        };
        write!(f, "{kind}{}", self.bits)
    }
}

/// One two-dimensional image inside a file.
///
/// [`discover`](super::discover) makes them, and remembers what each header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSource {
    /// The file.
    pub path: PathBuf,
    /// The page, counted from 0; `None` when the file holds one image only.
    pub page: Option<usize>,
    /// The file's name without its ending; for a page of a stack with the page, as `stack_p0003`.
    pub stem: String,
    /// What the header says, as discovery found it; `None` where nobody has looked, or where the header is damaged, which
    /// whoever reads the image will report.
    pub(super) header: Option<Header>,
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
