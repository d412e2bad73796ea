//! Which labels are set aside to score a network by.
//!
//! Whole regions are, about one in five, so that no stroke is scored by that lies beside one that was trained on. It follows from the
//! entry alone: the same journal gives the same division for ever, and what is undone changes nothing for the others.

use twox_hash::XxHash3_128;

use crate::portal::journal::Entry;

/// The pixels along the sides of a region, and its slices.
const SIDE: f64 = 128.0;
const SLICES: usize = 16;
/// One region of so many is set aside.
const ONE_OF: i64 = 5;

/// Whether the labels of an entry are set aside. Those of the eraser, of interpolations and of files never are.
pub(super) fn is_set_aside(entry: &Entry) -> bool {
    let (image, slice, class, first) = match entry {
        Entry::Stroke(line) => (&line.image, line.slice, line.class, line.points.first().copied()),
        Entry::Polygon(area) => (&area.image, area.slice, area.class, area.points.first().copied()),
        Entry::Fill(area) => (&area.image, area.slice, area.class, Some([area.x as f64, area.y as f64])),
        _ => return false,
    };
    let (Some(_), Some([x, y])) = (class, first) else { return false };
    // Along each row and column of regions one of five is taken. Where this begins differs between images.
    let start = XxHash3_128::oneshot(format!("{image} {}", slice / SLICES).as_bytes()) as u64;
    let start = (start % ONE_OF as u64) as i64;
    let place = |value: f64| (value / SIDE).floor() as i64;
    (start + place(x) + 2 * place(y)).rem_euclid(ONE_OF) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::journal::Stroke;

    fn stroke(image: &str, slice: usize, x: f64, y: f64) -> Entry {
        let (image, points) = (image.to_owned(), vec![[x, y], [x + 900.0, y]]);
        Entry::Stroke(Stroke { image, slice, class: Some(0), size: 5.0, points, depth: 0, range: None })
    }

    #[test]
    fn one_region_of_five_is_set_aside_as_a_whole() {
        let mut share = 0;
        for image in 1..=40 {
            let image = format!("i{image}");
            let of = |x: i32, y: i32| {
                is_set_aside(&stroke(&image, 3, f64::from(x) * 128.0 + 64.0, f64::from(y) * 128.0 + 64.0))
            };
            for y in 0..5 {
                assert_eq!((0..5).filter(|x| of(*x, y)).count(), 1, "row {y} of {image}");
                assert_eq!((0..5).filter(|x| of(y, *x)).count(), 1, "column {y} of {image}");
            }
            share += usize::from(of(0, 0));
            let corners = [[0.0, 0.0], [127.9, 0.0], [5.0, 127.9]].map(|[x, y]| {
                (is_set_aside(&stroke(&image, 0, x, y)), is_set_aside(&stroke(&image, 15, x, y)))
            });
            assert!(corners.iter().all(|both| *both == (corners[0].0, corners[0].0)), "{image}");
        }
        assert!((4..=12).contains(&share), "{share} of 40");
    }

    #[test]
    fn the_division_stays_as_it_is() {
        // These may never change: models are made again from journals.
        let aside = |image: &str, slice: usize| {
            let places = (0..5).filter(|x| is_set_aside(&stroke(image, slice, 128.0 * f64::from(*x), 0.0)));
            places.collect::<Vec<i32>>()
        };
        assert_eq!(
            [aside("i1", 0), aside("i1", 16), aside("i2", 0), aside("i3", 0)],
            [vec![0], vec![0], vec![3], vec![2]]
        );
        let erased = Entry::Stroke(Stroke {
            image: "i1".into(),
            slice: 0,
            class: None,
            size: 5.0,
            points: vec![[128.0 * f64::from(aside("i1", 0)[0]), 0.0]],
            depth: 0,
            range: None,
        });
        assert!(!is_set_aside(&erased));
        assert!(!is_set_aside(&stroke("i1", 0, f64::from(aside("i1", 0)[0]) * 128.0 - 1.0, 0.0)));
        // Points may lie outside of the image.
        is_set_aside(&stroke("i1", usize::MAX, -1e6, 1e6));
    }
}
