//! Medians of a moving window along a row.

/// The index into a row of `length` values that stands at `place` when the row is continued by its mirror image on both
/// sides, with the first and last values doubled: `d c b a | a b c d | d c b a`.
pub(super) fn mirrored(place: isize, length: usize) -> usize {
    if length == 0 {
        return 0;
    }
    let place = place.rem_euclid(2 * length as isize) as usize;
    place.min(2 * length - 1 - place)
}

/// Memory for [`Medians::filter`], to be used for many rows.
#[derive(Debug)]
pub(super) struct Medians {
    /// Values on each side of the middle one.
    reach: usize,
    padded: Vec<f32>,
    /// The window's values in ascending order.
    window: Vec<f32>,
}

impl Medians {
    /// For windows of `width` values, an odd number.
    pub(super) fn new(width: usize) -> Self {
        Self { reach: width / 2, padded: Vec::new(), window: Vec::new() }
    }

    /// Replaces each value by the median of the window around it. Beyond its ends the row is mirrored.
    pub(super) fn filter(&mut self, row: &mut [f32]) {
        let width = 2 * self.reach + 1;
        let length = row.len();
        let reach = self.reach as isize;
        self.padded.clear();
        self.padded.extend((-reach..0).filter_map(|place| row.get(mirrored(place, length))));
        self.padded.extend_from_slice(row);
        let end = length as isize;
        self.padded.extend((end..end + reach).filter_map(|place| row.get(mirrored(place, length))));
        self.window.clear();
        self.window.extend(self.padded.iter().take(width));
        self.window.sort_unstable_by(f32::total_cmp);

        // The window stays sorted: the value that leaves it is found, and those between it and the place of the one that
        // enters move by one.
        let entering = self.padded.iter().skip(width).copied().map(Some).chain([None]);
        for ((middle, &leaves), enters) in row.iter_mut().zip(&self.padded).zip(entering) {
            let Some(&median) = self.window.get(self.reach) else { return };
            *middle = median;
            let Some(enters) = enters else { return };
            replace(&mut self.window, leaves, enters);
        }
    }
}

/// Replaces one value of a sorted window by another, so that it stays sorted.
fn replace(window: &mut [f32], leaves: f32, enters: f32) {
    let place = |value: f32| window.iter().map(|other| usize::from(*other < value)).sum::<usize>();
    // Counting is quicker than a search in these short windows, because it has no branches.
    let from = place(leaves);
    let to = place(enters);
    if to > from {
        window.copy_within(from + 1..to, from);
        if let Some(free) = window.get_mut(to - 1) {
            *free = enters;
        }
    } else {
        window.copy_within(to..from, to + 1);
        if let Some(free) = window.get_mut(to) {
            *free = enters;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_those_of_sorted_windows() {
        // Values repeat, so that equal ones enter and leave; windows are also longer than the row.
        let row: Vec<f32> = (0..40u32).map(|i| (i * i * 7 % 13) as f32 - 5.0).collect();
        for width in [1, 3, 7, 21, 61, 101] {
            let mut filtered = row.clone();
            Medians::new(width).filter(&mut filtered);
            let reach = (width / 2) as isize;
            for (i, median) in filtered.iter().enumerate() {
                let around = i as isize - reach..=i as isize + reach;
                let mut window: Vec<f32> = around.map(|place| row[mirrored(place, row.len())]).collect();
                window.sort_by(f32::total_cmp);
                assert_eq!(*median, window[width / 2], "{width} around {i}");
            }
        }
        Medians::new(5).filter(&mut []);
    }

    #[test]
    fn rows_continue_as_their_mirror_image() {
        let indices: Vec<usize> = (-4..7).map(|place| mirrored(place, 3)).collect();
        assert_eq!(indices, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]);
    }
}
