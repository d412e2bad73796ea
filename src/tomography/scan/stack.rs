//! Projections in image files of any kind.

use super::Found;
use crate::error::Result;
use crate::images::Discovery;

/// The images that `p` names, in natural order of their names.
pub(super) fn find(p: &str) -> Result<Found> {
    Ok(Found {
        layout: "images",
        projections: Discovery::default().discover_single_channel(p)?,
        flats: Vec::new(),
        darks: Vec::new(),
        flat_value: None,
        angles: None,
        pixel: None,
        notes: Vec::new(),
    })
}
