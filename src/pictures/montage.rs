//! Pictures side by side in rows, with captions over columns and rows.

use std::borrow::Cow;

use ndarray::{Array3, s};

use super::text;

/// White pixels between and around pictures.
const GAP: usize = 6;
/// Side that small pictures are enlarged to, in pixels.
const SMALLEST_SIDE: usize = 192;
/// Lays out rows of pictures `[y][x][3]` on white under the captions of their columns.
///
/// Small pictures are enlarged by a whole factor without smoothing, so that the longer side has about 192
/// pixels or more. Rows and pictures may differ in length and size; a column is as wide as its widest
/// picture or caption.
pub fn montage(columns: &[&str], rows: &[Vec<Array3<u8>>]) -> Array3<u8> {
    captioned_montage(columns, &[], rows)
}

/// As [`montage`], with `captions[i]` over row `i` as well. Rows without a caption, or with an empty one, get no space for it;
/// captions beyond the last row are left out.
pub fn captioned_montage(columns: &[&str], captions: &[String], rows: &[Vec<Array3<u8>>]) -> Array3<u8> {
    let rows: Vec<Vec<Cow<Array3<u8>>>> = rows.iter().map(|row| row.iter().map(enlarged).collect()).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0).max(columns.len());
    let widths: Vec<usize> = (0..count)
        .map(|column| {
            let caption = columns.get(column).map_or(0, |text| text::width(text));
            let widest = rows.iter().filter_map(|row| row.get(column)).map(|p| p.dim().1).max();
            widest.unwrap_or(0).max(caption)
        })
        .collect();
    let heights: Vec<usize> =
        rows.iter().map(|row| row.iter().map(|picture| picture.dim().0).max().unwrap_or(0)).collect();
    let header = if columns.iter().any(|text| !text.is_empty()) { text::HEIGHT + GAP } else { 0 };

    let caption = |row: usize| captions.get(row).filter(|text| !text.is_empty());
    let over = |row: usize| caption(row).map_or(0, |_| text::HEIGHT + GAP);
    let longest = (0..rows.len()).filter_map(caption).map(|text| text::width(text) + GAP).max().unwrap_or(0);

    let width = GAP + widths.iter().map(|w| w + GAP).sum::<usize>().max(longest);
    let height = GAP + header + heights.iter().enumerate().map(|(row, h)| over(row) + h + GAP).sum::<usize>();
    let mut canvas = Array3::from_elem((height, width, 3), 255);
    let mut top = GAP + header;
    for (row, row_height) in heights.iter().enumerate() {
        if let Some(text) = caption(row) {
            text::draw(&mut canvas, top, GAP, text);
        }
        top += over(row) + row_height + GAP;
    }
    let mut left = GAP;
    for (column, &column_width) in widths.iter().enumerate() {
        if let Some(text) = columns.get(column) {
            text::draw(&mut canvas, GAP, left + (column_width - text::width(text)) / 2, text);
        }
        let mut top = GAP + header;
        for (index, (row, row_height)) in rows.iter().zip(&heights).enumerate() {
            top += over(index);
            if let Some(picture) = row.get(column) {
                let (h, w, _) = picture.dim();
                let x = left + (column_width - w) / 2;
                canvas.slice_mut(s![top..top + h, x..x + w, ..]).assign(picture.as_ref());
            }
            top += row_height + GAP;
        }
        left += column_width + GAP;
    }
    canvas
}

/// The picture with three channels (a single one is grey) and at least about the smallest side.
fn enlarged(picture: &Array3<u8>) -> Cow<'_, Array3<u8>> {
    let (height, width, channels) = picture.dim();
    let longer = height.max(width);
    if longer == 0 || channels == 0 {
        return Cow::Owned(Array3::zeros((0, 0, 3)));
    }
    // A picture that is a tenth too small is left as it is: doubling it would show nothing more.
    let factor = ((SMALLEST_SIDE as f32 / longer as f32) - 0.1).ceil().max(1.0) as usize;
    if factor == 1 && channels == 3 {
        return Cow::Borrowed(picture);
    }
    Cow::Owned(Array3::from_shape_fn((height * factor, width * factor, 3), |(y, x, c)| {
        picture[[y / factor, x / factor, c.min(channels - 1)]]
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(height: usize, width: usize, value: u8) -> Array3<u8> {
        Array3::from_elem((height, width, 3), value)
    }

    #[test]
    fn pictures_lie_on_a_grid_with_gaps() {
        let rows = [vec![picture(200, 300, 10), picture(250, 200, 20)], vec![picture(192, 192, 30)]];
        let made = montage(&[], &rows);
        assert_eq!(made.dim(), (GAP + 250 + GAP + 192 + GAP, GAP + 300 + GAP + 200 + GAP, 3));
        assert_eq!(made[[GAP, GAP, 0]], 10);
        assert_eq!(made[[GAP - 1, GAP, 0]], 255);
        assert_eq!(made[[GAP + 200, GAP, 0]], 255, "below the lower of two pictures");
        assert_eq!(made[[GAP, GAP + 300, 0]], 255);
        assert_eq!(made[[GAP, GAP + 300 + GAP, 0]], 20);
        // Centred in its column.
        assert_eq!(made[[GAP + 250 + GAP, GAP + 54, 2]], 30);
        assert_eq!(made[[GAP + 250 + GAP, GAP + 53, 2]], 255);
        for (value, pixels) in [(10, 200 * 300), (20, 250 * 200), (30, 192 * 192)] {
            assert_eq!(made.iter().filter(|&&v| v == value).count(), 3 * pixels);
        }
    }

    #[test]
    fn small_pictures_grow_by_whole_factors() {
        let mut small = picture(50, 100, 0);
        small[[49, 99, 1]] = 77;
        let large = enlarged(&small);
        assert_eq!(large.dim(), (100, 200, 3));
        assert_eq!(large.iter().filter(|&&v| v == 77).count(), 4);
        assert_eq!((large[[98, 198, 1]], large[[99, 199, 1]]), (77, 77));
        assert_eq!(enlarged(&picture(180, 180, 0)).dim(), (180, 180, 3));
        assert_eq!(enlarged(&picture(1, 1, 0)).dim(), (192, 192, 3));
        assert_eq!(enlarged(&picture(512, 512, 0)).dim(), (512, 512, 3));
    }

    #[test]
    fn captions_stand_over_their_columns_and_widen_them() {
        let long = "a caption that is wider than its picture";
        let made = montage(&["I", long], &[vec![picture(192, 192, 9), picture(192, 192, 9)]]);
        let width = text::width(long);
        assert!(width > 192);
        assert_eq!(made.dim(), (2 * GAP + text::HEIGHT + GAP + 192, 3 * GAP + 192 + width, 3));
        // Nothing but the letter I over the first column: its 11 pixels, each enlarged.
        let over_first = made.slice(s![..GAP + text::HEIGHT, ..GAP + 192, 0]);
        assert_eq!(over_first.iter().filter(|&&v| v == 0).count(), 11 * text::SCALE * text::SCALE);
        assert!(made.slice(s![..GAP, .., ..]).iter().all(|&v| v == 255));
    }

    #[test]
    fn rows_move_down_under_their_captions() {
        let rows = [vec![picture(192, 192, 9)], vec![picture(192, 192, 8)]];
        let plain = montage(&["a"], &rows);
        let captions = ["I".to_owned(), "a caption that is wider than its row".to_owned()];
        let made = captioned_montage(&["a"], &captions, &rows);
        let (height, width, _) = plain.dim();
        let text = text::HEIGHT + GAP;
        assert_eq!(made.dim(), (height + 2 * text, (2 * GAP + text::width(&captions[1])).max(width), 3));
        // The letter I stands over the first row, at its left.
        let over_first = made.slice(s![GAP + text..GAP + 2 * text, .., 0]);
        assert_eq!(over_first.iter().filter(|&&v| v == 0).count(), 11 * text::SCALE * text::SCALE);
        assert_eq!((made[[GAP + 2 * text, GAP, 0]], plain[[GAP + text, GAP, 0]]), (9, 9));
        assert_eq!(made.iter().filter(|&&v| v == 8).count(), 3 * 192 * 192);
        assert_eq!(captioned_montage(&["a"], &[String::new()], &rows), plain);
    }

    #[test]
    fn odd_input_is_no_trouble() {
        assert_eq!(montage(&[], &[]).dim(), (GAP, GAP, 3));
        let rows =
            [vec![], vec![Array3::zeros((0, 0, 3)), Array3::zeros((4, 4, 0)), Array3::zeros((8, 8, 1))]];
        let made = montage(&["\u{3b8}", "", "a", "b", "c"], &rows);
        assert!(made.dim().1 > 192);
    }
}
