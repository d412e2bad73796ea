//! Text on pictures, in the font of `font`.

use ndarray::{Array3, s};

use super::font;

/// Pixels of the picture for one pixel of the font.
pub(super) const SCALE: usize = 2;
/// From one character to the next, in pixels.
const STEP: usize = (font::WIDTH + 1) * SCALE;
/// Pixels from the top of a line of text to its bottom.
pub(super) const HEIGHT: usize = font::HEIGHT * SCALE;

/// The pixels that `text` takes in a row.
pub(super) fn width(text: &str) -> usize {
    (text.chars().count() * STEP).saturating_sub(SCALE)
}

/// Writes `text` in black on a picture `[y][x][3]` that has room for it, with its upper left corner at (top, left).
pub(super) fn draw(canvas: &mut Array3<u8>, top: usize, left: usize, text: &str) {
    for (i, character) in text.chars().enumerate() {
        let Some(rows) = font::glyph(character) else { continue };
        let left = left + i * STEP;
        for (y, row) in rows.iter().enumerate() {
            for x in 0..font::WIDTH {
                if row >> (font::WIDTH - 1 - x) & 1 == 1 {
                    let (y, x) = (top + y * SCALE, left + x * SCALE);
                    canvas.slice_mut(s![y..y + SCALE, x..x + SCALE, ..]).fill(0);
                }
            }
        }
    }
}
