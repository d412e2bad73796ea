//! Whether a TIFF file shows its numbers in colours of its own.

use std::path::Path;

use super::tags::names;
use super::voxel::first_page;

/// What the tag PhotometricInterpretation says of pages with a palette.
const PALETTE: u64 = 3;

/// Whether the first page of the TIFF file at `path` has a palette; false where it is no TIFF file.
pub(in crate::images) fn has_palette(path: &Path) -> bool {
    first_page(path).is_some_and(|(tags, _, mut file)| {
        tags.number_if_whole(&mut file, names::PHOTOMETRIC_INTERPRETATION) == Some(PALETTE)
    })
}
