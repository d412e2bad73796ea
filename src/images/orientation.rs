//! Images that say how they are to be turned before they are shown: by the tag of TIFF files, and by Exif in JPEG and PNG.
//!
//! Cameras store pixels as their sensor lies and say how it was held. Pixels are taken as they are stored, as most programs for
//! scientific images take them, so that results lie over the stored pixels; that is said, as others turn such images.

use std::path::Path;

use image::metadata::Orientation;

use super::notices::warn_first;

/// What stands before the Exif block in a JPEG file.
const EXIF_MARK: &[u8] = b"Exif\0\0";

/// The number from 1 to 8 that the content of a JPEG marker or a PNG chunk says, with its mark or without; `None` where it says none.
pub(super) fn of_exif(content: &[u8]) -> Option<u8> {
    let block = content.strip_prefix(EXIF_MARK).unwrap_or(content);
    Orientation::from_exif_chunk(block).map(Orientation::to_exif)
}

/// Says of the first such image of a folder that the file at `path` has this `orientation` and is not turned.
pub(super) fn warn_of_orientation(path: &Path, orientation: Option<u8>) {
    use Orientation::*;
    let how = match orientation.and_then(Orientation::from_exif) {
        None | Some(NoTransforms) => return,
        Some(Rotate90) => "turned to the right",
        Some(Rotate180) => "turned by half a turn",
        Some(Rotate270) => "turned to the left",
        Some(FlipHorizontal | FlipVertical) => "mirrored",
        Some(Rotate90FlipH | Rotate270FlipH) => "mirrored and turned",
    };
    let folder = path.parent().unwrap_or(path).display();
    warn_first(
        &format!("orientation {folder}"),
        &format!(
            "{} says that it is to be shown {how}, but its pixels are taken as they are stored, and so are those of others beside it; labels that were drawn on the image as it is shown do not lie over it until it is saved {how}, without that note",
            path.display()
        ),
    );
}

/// An Exif block of one entry: orientation, a short, once, 6.
#[cfg(test)]
pub(super) const TURNED_RIGHT: &[u8] = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exif_says_how_an_image_is_turned() {
        let block = TURNED_RIGHT;
        assert_eq!(of_exif(block), Some(6));
        assert_eq!(of_exif(&[EXIF_MARK, block].concat()), Some(6));
        for content in [&b""[..], b"http://ns.adobe.com/xap/1.0/", &block[..9], EXIF_MARK] {
            assert_eq!(of_exif(content), None);
        }
    }
}
