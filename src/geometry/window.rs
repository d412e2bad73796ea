//! Parts of images and volumes.

use std::fmt;
use std::ops::Range;

use super::extent::Extent;

/// A part of an image or volume: where it starts, in pixels of the whole, and how large it is.
///
/// A window may reach beyond an image; [`Window::fits`] checks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// The first slice; 0 in a two-dimensional image.
    pub z: usize,
    /// The first row.
    pub y: usize,
    /// The first column.
    pub x: usize,
    /// How many slices, rows and columns.
    pub extent: Extent,
}

impl Window {
    /// The part where these slices, rows and columns meet. A range that ends before it starts is empty.
    pub fn new(slices: Range<usize>, rows: Range<usize>, columns: Range<usize>) -> Self {
        let extent = Extent::new(slices.len(), rows.len(), columns.len());
        Self { z: slices.start, y: rows.start, x: columns.start, extent }
    }

    /// A rectangle of a two-dimensional image, or of the first slice of a volume.
    pub fn plane(rows: Range<usize>, columns: Range<usize>) -> Self {
        Self::new(0..1, rows, columns)
    }

    /// All of an image or volume of `extent`.
    pub fn whole(extent: Extent) -> Self {
        Self { z: 0, y: 0, x: 0, extent }
    }

    /// The slices. An end beyond what a `usize` holds is cut off there, as for [`Window::rows`] and [`Window::columns`].
    pub fn slices(&self) -> Range<usize> {
        self.z..self.z.saturating_add(self.extent.z)
    }

    /// The rows.
    pub fn rows(&self) -> Range<usize> {
        self.y..self.y.saturating_add(self.extent.y)
    }

    /// The columns.
    pub fn columns(&self) -> Range<usize> {
        self.x..self.x.saturating_add(self.extent.x)
    }

    /// Whether there is no pixel in it.
    pub fn is_empty(&self) -> bool {
        self.extent.z == 0 || self.extent.y == 0 || self.extent.x == 0
    }

    /// Whether it lies inside an image or volume of `extent`.
    pub fn fits(&self, extent: Extent) -> bool {
        Window::whole(extent).contains(self)
    }

    /// Whether all of `other` lies inside this window. An empty window does where its start and end do.
    pub fn contains(&self, other: &Window) -> bool {
        let inside = |start: usize, length: usize, whole_start: usize, whole_length: usize| {
            start
                .checked_sub(whole_start)
                .and_then(|before| before.checked_add(length))
                .is_some_and(|end| end <= whole_length)
        };
        inside(other.z, other.extent.z, self.z, self.extent.z)
            && inside(other.y, other.extent.y, self.y, self.extent.y)
            && inside(other.x, other.extent.x, self.x, self.extent.x)
    }

    /// What both windows have in common; `None` where that is no pixel.
    pub fn intersection(&self, other: &Window) -> Option<Window> {
        let common = |a: Range<usize>, b: Range<usize>| a.start.max(b.start)..a.end.min(b.end);
        let both = Window::new(
            common(self.slices(), other.slices()),
            common(self.rows(), other.rows()),
            common(self.columns(), other.columns()),
        );
        (!both.is_empty()).then_some(both)
    }

    /// The same pixels, counted from the start of `origin`; `None` where the window starts before it along some axis.
    pub fn counted_from(&self, origin: &Window) -> Option<Window> {
        Some(Window {
            z: self.z.checked_sub(origin.z)?,
            y: self.y.checked_sub(origin.y)?,
            x: self.x.checked_sub(origin.x)?,
            extent: self.extent,
        })
    }

    /// The window moved on by so many slices, rows and columns; `None` where it would end beyond what a `usize` holds.
    pub fn shifted(&self, slices: usize, rows: usize, columns: usize) -> Option<Window> {
        let along = |start: usize, shift: usize, length: usize| {
            let start = start.checked_add(shift)?;
            start.checked_add(length).map(|_| start)
        };
        Some(Window {
            z: along(self.z, slices, self.extent.z)?,
            y: along(self.y, rows, self.extent.y)?,
            x: along(self.x, columns, self.extent.x)?,
            extent: self.extent,
        })
    }
}

/// Half-open ranges, for messages: `z 0..1, y 3..7, x 0..4`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "z {:?}, y {:?}, x {:?}", self.slices(), self.rows(), self.columns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_lie_inside_or_reach_over_an_edge() {
        let extent = Extent::new(4, 5, 6);
        assert!(Window::whole(extent).fits(extent));
        assert!(Window::new(3..4, 0..5, 2..6).fits(extent));
        for beyond in [
            Window::new(3..5, 0..5, 0..6),
            Window::new(0..4, 1..6, 0..6),
            Window::new(0..4, 0..5, 6..7),
            Window { z: usize::MAX, ..Window::whole(extent) },
            Window { y: 1, ..Window::whole(Extent::new(1, usize::MAX, 1)) },
        ] {
            assert!(!beyond.fits(extent), "{beyond}");
        }
        let part = Window::new(1..3, 2..4, 0..6);
        assert!(part.contains(&Window::new(2..3, 2..4, 5..6)));
        assert!(!part.contains(&Window::new(0..2, 2..4, 5..6)));
        assert_eq!(Window::plane(2..4, 1..6).extent, Extent::plane(2, 5));
    }

    #[test]
    fn what_two_windows_share_is_what_both_hold_pixel_by_pixel() {
        let extent = Extent::new(3, 4, 4);
        let holds = |window: &Window, pixel: &Window| window.contains(pixel);
        let windows = [
            Window::new(0..2, 1..4, 0..3),
            Window::new(1..3, 0..2, 2..4),
            Window::new(0..1, 0..1, 3..4),
            Window::whole(extent),
        ];
        for a in &windows {
            for b in &windows {
                let both = a.intersection(b);
                for (z, y, x) in (0..3).flat_map(|z| (0..4).flat_map(move |y| (0..4).map(move |x| (z, y, x))))
                {
                    let pixel = Window::new(z..z + 1, y..y + 1, x..x + 1);
                    let inside = both.as_ref().is_some_and(|both| holds(both, &pixel));
                    assert_eq!(inside, holds(a, &pixel) && holds(b, &pixel), "{a} and {b} at {pixel}");
                }
            }
        }
        assert_eq!(windows[0].intersection(&windows[2]), None);
    }

    #[test]
    fn moving_is_checked() {
        let window = Window::new(2..4, 3..5, 4..6);
        let origin = Window::new(1..9, 3..9, 0..9);
        let moved = window.counted_from(&origin).unwrap();
        assert_eq!(moved, Window::new(1..3, 0..2, 4..6));
        assert_eq!(moved.shifted(origin.z, origin.y, origin.x), Some(window));
        assert_eq!(origin.counted_from(&window), None);
        assert_eq!(window.shifted(0, 0, usize::MAX - 5), None);
        assert_eq!(window.to_string(), "z 2..4, y 3..5, x 4..6");
        assert_eq!(
            (Extent::plane(2, 3).to_string(), Extent::new(4, 2, 3).to_string()),
            ("3 x 2".into(), "3 x 2 x 4".into())
        );
        assert_eq!(Extent::new(usize::MAX, 2, 1).checked_pixels(), None);
        assert_eq!(Extent::new(2, 3, 4).checked_pixels(), Some(24));
    }
}
