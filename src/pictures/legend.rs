//! Which colour is which class.

use ndarray::{Array3, Axis, concatenate, s};

use super::palette::class_colour;
use super::text;

/// White pixels around a legend, and between the entries and the lines of one.
const GAP: usize = 6;
/// More classes than this are not listed: their colours repeat.
const MAX_ENTRIES: usize = 26;

/// A legend `[y][x][3]` of class names, in the order of the classes, on white: a square of each colour with the name behind it,
/// in as many lines as it takes to be at most `width` pixels wide where each entry fits.
pub fn legend(names: &[String], width: usize) -> Array3<u8> {
    let mut entries: Vec<(Option<[u8; 3]>, String)> = names
        .iter()
        .zip(0..)
        .take(MAX_ENTRIES)
        .map(|(name, class)| (Some(class_colour(class)), name.clone()))
        .collect();
    if names.len() > MAX_ENTRIES {
        entries.push((None, format!("and {} more", names.len() - MAX_ENTRIES)));
    }
    // Where each entry stands: its line, and its first column.
    let mut places = Vec::new();
    let (mut line, mut left, mut widest) = (0, GAP, 0);
    for (_, name) in &entries {
        let needed = text::HEIGHT + GAP + text::width(name);
        if left > GAP && left + needed + GAP > width {
            (line, left) = (line + 1, GAP);
        }
        places.push((GAP + line * (text::HEIGHT + GAP), left));
        left += needed + 2 * GAP;
        widest = widest.max(left - GAP);
    }
    let height = GAP + (line + 1) * (text::HEIGHT + GAP);
    let mut picture = Array3::from_elem((height, widest.max(width), 3), 255);
    for ((colour, name), (top, left)) in entries.iter().zip(places) {
        if let Some(colour) = colour {
            let mut square = picture.slice_mut(s![top..top + text::HEIGHT, left..left + text::HEIGHT, ..]);
            square.outer_iter_mut().for_each(|mut row| {
                row.outer_iter_mut()
                    .for_each(|mut pixel| pixel.iter_mut().zip(colour).for_each(|(p, c)| *p = *c));
            });
        }
        text::draw(&mut picture, top, left + text::HEIGHT + GAP, name);
    }
    picture
}

/// `picture` `[y][x][3]` with the legend of class names below it; as it is without names.
pub fn over_legend(picture: Array3<u8>, names: &[String]) -> Array3<u8> {
    if names.is_empty() {
        return picture;
    }
    let below = legend(names, picture.dim().1);
    let width = below.dim().1;
    let mut wide = Array3::from_elem((picture.dim().0, width, 3), 255);
    wide.slice_mut(s![.., ..picture.dim().1, ..]).assign(&picture);
    concatenate(Axis(0), &[wide.view(), below.view()]).unwrap_or(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("class {n}")).collect()
    }

    fn has(picture: &Array3<u8>, colour: [u8; 3]) -> bool {
        picture.lanes(Axis(2)).into_iter().any(|pixel| pixel.to_vec() == colour)
    }

    #[test]
    fn each_class_has_its_colour_and_lines_end_at_the_width() {
        let one_line = legend(&names(3), 1000);
        assert_eq!(one_line.dim().1, 1000);
        let lines = legend(&names(3), 150);
        assert!(lines.dim().0 > one_line.dim().0 && lines.dim().1 == 150, "{:?}", lines.dim());
        for picture in [&one_line, &lines] {
            assert!((0..3).all(|class| has(picture, class_colour(class))));
            assert!(!has(picture, class_colour(3)));
        }
        // A long name makes it wider than was wanted, and many classes are cut short.
        assert!(legend(&["a long name".to_owned()], 10).dim().1 > 100);
        assert!(!has(&legend(&names(40), 500), class_colour(30)));
    }

    #[test]
    fn the_legend_is_below_the_picture() {
        let picture = Array3::zeros((40, 90, 3));
        let both = over_legend(picture.clone(), &names(2));
        assert_eq!(both.slice(s![..40, ..90, ..]), picture);
        assert!(both.dim().0 > 40 && has(&both, class_colour(1)));
        assert_eq!(over_legend(picture.clone(), &[]), picture);
    }
}
