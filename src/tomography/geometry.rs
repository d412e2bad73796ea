//! Where the rays of a parallel-beam scan run, and how much each projection counts.

use std::f64::consts::PI;

use crate::error::{Error, Result};

/// A scan covers more than half a turn, so that opposite rays count as one, from this range of angles on.
const MORE_THAN_HALF: f64 = 1.5 * PI;
/// A gap between neighbouring angles that is larger than so many usual ones is a part that was not scanned: the projections beside
/// it do not count for it.
const MISSING: f64 = 4.0;

/// The rays of a scan.
///
/// Column `c` of the projection at angle `a` measures along the line x cos a + y sin a = c - `centre`. Here x points right and y
/// down in the image, from its middle; columns are counted from 0 at the middle of the first one, and pixels are as wide as
/// columns. So an axis in the middle of N columns has the centre (N - 1) / 2; other programs call it N / 2, as they count from the
/// edge of the first column.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanGeometry {
    angles: Vec<f64>,
    columns: usize,
    centre: f64,
    /// Whether the axis is so far from the middle that a full turn shows twice as much as half a turn does.
    half_acquisition: bool,
}

impl ScanGeometry {
    /// Of projections at `angles`, in radians in any order, by `columns` columns, about an axis at `centre`.
    ///
    /// # Errors
    /// [`Error::Setting`] for no angles or columns, for numbers that are not finite, and for a centre outside of the columns.
    pub fn new(angles: Vec<f64>, columns: usize, centre: f64) -> Result<Self> {
        if angles.is_empty() || columns == 0 {
            let found = format!("{} projections of {columns} columns", angles.len());
            return Err(Error::setting("the scan", found, "wanted at least one of each"));
        }
        if let Some(angle) = angles.iter().find(|angle| !angle.is_finite()) {
            return Err(Error::setting("an angle", angle, "it must be a number"));
        }
        if !(centre >= 0.0 && centre <= (columns - 1) as f64) {
            let wanted = format!(
                "the axis must lie in the projections, between 0 and {}; look for it with `tomo centre`",
                columns - 1
            );
            return Err(Error::setting("centre", centre, wanted));
        }
        Ok(Self { angles, columns, centre, half_acquisition: false })
    }

    /// The same, with an axis off the middle and a full turn, of which opposite projections are joined at the axis.
    ///
    /// # Errors
    /// [`Error::Setting`] for angles that cover less than three quarters of a turn.
    pub fn with_half_acquisition(self) -> Result<Self> {
        if !self.covers_full_turn() {
            let found = format!("{:.1} degrees", self.range().to_degrees());
            let wanted = "an offset axis asks for a full turn of 360 degrees; leave `half_acquisition` out for half a turn";
            return Err(Error::setting("the range of angles", found, wanted));
        }
        Ok(Self { half_acquisition: true, ..self })
    }

    /// In radians.
    pub fn angles(&self) -> &[f64] {
        &self.angles
    }

    /// How many columns a projection has.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The column of the axis.
    pub fn centre(&self) -> f64 {
        self.centre
    }

    /// From the least angle to the largest.
    pub fn range(&self) -> f64 {
        let least = self.angles.iter().copied().fold(f64::INFINITY, f64::min);
        self.angles.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least
    }

    /// Whether the angles cover more than half a turn by much.
    pub fn covers_full_turn(&self) -> bool {
        self.range() > MORE_THAN_HALF
    }

    /// How far from the axis the rays of all angles reach, in columns.
    pub fn radius(&self) -> f64 {
        let (left, right) = (self.centre, (self.columns - 1) as f64 - self.centre);
        if self.half_acquisition { left.max(right) } else { left.min(right) }
    }

    /// Rows and columns of an image that holds all that the projections show: as many as columns, or as both sides of an offset
    /// axis take.
    pub fn size(&self) -> usize {
        if self.half_acquisition { 2 * self.radius().ceil() as usize + 1 } else { self.columns }
    }

    /// What each projection counts in an integral over half a turn, in radians: half the gaps to its neighbours. Evenly spaced ones
    /// all count pi / their number, and one that is there twice (0 and 180 degrees) counts once. A part that was not scanned
    /// counts for nobody.
    pub fn weights(&self) -> Vec<f64> {
        let period = if self.half_acquisition { 2.0 * PI } else { PI };
        let mut order: Vec<(f64, usize)> = self
            .angles
            .iter()
            .enumerate()
            .map(|(number, angle)| (angle.rem_euclid(period), number))
            .collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let count = order.len();
        let gap = |place: usize| match place + 1 == count {
            true => order[0].0 + period - order[place].0,
            false => order[place + 1].0 - order[place].0,
        };
        let mut gaps: Vec<f64> = (0..count).map(gap).collect();
        let mut sorted = gaps.clone();
        sorted.sort_by(f64::total_cmp);
        // Where opposite projections are there, every other gap is 0: the usual one is among the others.
        let positive = sorted.partition_point(|gap| *gap <= 1e-9 * period);
        let usual = sorted.get(positive + (count - positive) / 2).copied().unwrap_or(period);
        gaps.iter_mut().filter(|gap| **gap > MISSING * usual).for_each(|gap| *gap = usual);
        let mut weights = vec![0.0; count];
        for place in 0..count {
            let before = gaps[(place + count - 1) % count];
            weights[order[place].1] = (before + gaps[place]) / 2.0;
        }
        weights
    }

    /// How many columns are missing before the first and behind the last, of those that an image about an offset axis takes: there
    /// projections are 0, as their opposite ones have all of the ray, but filtered ones are not.
    pub(super) fn missing(&self) -> (usize, usize) {
        if !self.half_acquisition {
            return (0, 0);
        }
        let (left, right) = (self.centre, (self.columns - 1) as f64 - self.centre);
        ((right - left).max(0.0).ceil() as usize, (left - right).max(0.0).ceil() as usize)
    }

    /// What each column counts, beside the opposite ray of another projection: all 1 unless the axis is offset, where the two
    /// shares of a ray add up to 1 and go over into each other smoothly where both sides overlap.
    pub(super) fn shares(&self) -> Option<Vec<f32>> {
        if !self.half_acquisition {
            return None;
        }
        let (left, right) = (self.centre, (self.columns - 1) as f64 - self.centre);
        let (overlap, sign) = if right >= left { (left, 1.0) } else { (right, -1.0) };
        let share = |column: usize| {
            let place = sign * (column as f64 - self.centre);
            match overlap > 0.0 {
                // A quarter of a sine, squared: its mirror image is what is left to 1.
                true => (PI / 4.0 * (1.0 + (place / overlap).clamp(-1.0, 1.0))).sin().powi(2) as f32,
                false => f32::from(u8::from(place >= 0.0)),
            }
        };
        Some((0..self.columns).map(share).collect())
    }
}

/// `count` angles in radians, evenly over half a turn from 0 on, without the half turn itself.
pub fn half_turn(count: usize) -> Vec<f64> {
    (0..count).map(|index| PI * index as f64 / count as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(angles: Vec<f64>) -> ScanGeometry {
        ScanGeometry::new(angles, 64, 31.5).unwrap()
    }

    fn near(found: &[f64], wanted: &[f64]) {
        assert_eq!(found.len(), wanted.len());
        found.iter().zip(wanted).for_each(|(found, wanted)| {
            assert!((found - wanted).abs() < 1e-12, "{found} is not {wanted}");
        });
    }

    #[test]
    fn even_angles_count_alike_whatever_their_order_and_turn() {
        let step = PI / 8.0;
        near(&of(half_turn(8)).weights(), &[step; 8]);
        let mut mixed = half_turn(8);
        mixed.swap(1, 6);
        mixed.iter_mut().for_each(|angle| *angle += 3.0);
        near(&of(mixed).weights(), &[step; 8]);
        // A full turn shows each ray twice.
        near(&of((0..16).map(|i| step * f64::from(i)).collect()).weights(), &[step / 2.0; 16]);
    }

    #[test]
    fn a_projection_that_is_there_twice_counts_once() {
        let with_end: Vec<f64> = (0..=8).map(|i| PI / 8.0 * f64::from(i)).collect();
        let step = PI / 8.0;
        let mut wanted = vec![step; 9];
        (wanted[0], wanted[8]) = (step / 2.0, step / 2.0);
        near(&of(with_end).weights(), &wanted);
    }

    #[test]
    fn what_was_not_scanned_counts_for_nobody() {
        let angles: Vec<f64> = (0..120).map(|i| f64::from(i).to_radians()).collect();
        near(&of(angles).weights(), &[1_f64.to_radians(); 120]);
    }

    #[test]
    fn shares_of_opposite_rays_add_up_to_one() {
        for centre in [9.0, 54.0, 9.5] {
            let angles = (0..360).map(|i| f64::from(i).to_radians()).collect();
            let scan = ScanGeometry::new(angles, 64, centre).unwrap().with_half_acquisition().unwrap();
            let shares = scan.shares().unwrap();
            for column in 0..64 {
                let opposite = 2.0 * centre - f64::from(column);
                if (0.0..=63.0).contains(&opposite) {
                    let sum = shares[column as usize] + shares[opposite as usize];
                    assert!((sum - 1.0).abs() < 1e-6, "{sum}");
                }
            }
            assert!(scan.radius() > 50.0 && scan.size() > 100);
        }
    }

    #[test]
    fn scans_that_cannot_be_are_errors() {
        assert!(ScanGeometry::new(vec![], 4, 1.0).is_err());
        assert!(ScanGeometry::new(vec![0.0], 0, 0.0).is_err());
        assert!(ScanGeometry::new(vec![f64::NAN], 4, 1.0).is_err());
        for centre in [-0.5, 3.5, f64::NAN] {
            assert!(ScanGeometry::new(vec![0.0], 4, centre).is_err());
        }
        assert!(of(half_turn(9)).with_half_acquisition().is_err());
    }
}
