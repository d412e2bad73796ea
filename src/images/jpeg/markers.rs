//! The markers of a JPEG stream.

use super::{END_OF_IMAGE, START_OF_IMAGE};

/// Stands for nothing.
const TEMPORARY: u8 = 0x01;

/// The markers of a stream with what stands behind the length of each, up to the end of the image.
pub(super) struct Segments<'a> {
    pub(super) stream: &'a [u8],
    /// Where the next marker is looked for.
    pub(super) at: usize,
}

impl<'a> Segments<'a> {
    /// The next marker that has a content; `None` at the end of the image, and where the stream is cut off.
    pub(super) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        loop {
            let (marker, behind) = next_marker(self.stream, self.at)?;
            self.at = behind;
            match marker {
                END_OF_IMAGE => return None,
                START_OF_IMAGE | TEMPORARY | 0xd0..=0xd7 => {}
                _ => {
                    let rest = self.stream.get(behind..)?;
                    let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
                    let content = rest.get(2..length)?;
                    self.at += length;
                    return Some((marker, content));
                }
            }
        }
    }
}

/// The first marker from `at` on, and the place behind it; `None` where there is none.
pub(super) fn next_marker(stream: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += stream.get(at..)?.iter().position(|byte| *byte == 0xff)?;
        // Any number of bytes 255 may stand before a marker; one with a zero behind it is part of a code.
        at += stream[at..].iter().position(|byte| *byte != 0xff)?;
        match stream[at] {
            0 => {}
            marker => return Some((marker, at + 1)),
        }
    }
}

/// Whether decoding begins anew at a marker.
pub(super) fn is_restart(marker: u8) -> bool {
    matches!(marker, 0xd0..=0xd7)
}
