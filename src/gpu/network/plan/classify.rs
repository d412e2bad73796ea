//! The dispatch that takes the most likely class of each pixel from the outputs.

use super::super::params::*;
use super::super::shaders;
use super::{LANES, Planner, Slot};

/// Classes in a number of 4 bytes.
const PACKED: u32 = 4;

/// How classes lie in the buffer that is read back: bytes, where each row starts with a number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassesLayout {
    /// Rows of all images.
    rows: u64,
    columns: u32,
}

impl ClassesLayout {
    /// Numbers of a row, of 4 bytes each.
    fn words(&self) -> u32 {
        self.columns.div_ceil(PACKED)
    }

    /// Numbers in the buffer, of 4 bytes each.
    pub fn length(&self) -> u64 {
        self.rows * u64::from(self.words())
    }

    /// The classes `[image][y][x]` from the numbers that were read back.
    pub fn read(&self, numbers: &[u32]) -> Vec<u8> {
        let mut classes = Vec::with_capacity(self.rows as usize * self.columns as usize);
        for row in numbers.chunks_exact(self.words() as usize) {
            let end = classes.len() + self.columns as usize;
            classes.extend(row.iter().flat_map(|number| number.to_le_bytes()));
            classes.truncate(end);
        }
        classes
    }
}

impl Planner<'_> {
    /// Takes the classes from the outputs of a forward pass, which stay.
    pub(super) fn classify(&mut self) {
        let Geometry { batch, outputs, rows, columns, .. } = self.geometry;
        let layout = ClassesLayout { rows: u64::from(batch) * u64::from(rows), columns };
        self.classes = Some(layout);
        let params = ArgmaxParams { geometry: self.geometry, class_start: 0 };
        let workgroups = [layout.words().div_ceil(LANES), rows, batch];
        let compared = self.per_pixel(1, outputs);
        self.push(
            &shaders::PACKED_ARGMAX,
            &[("PACKED", 1)],
            &params,
            &[Slot::Outputs, Slot::Classes],
            workgroups,
            compared,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_read_row_by_row() {
        let layout = ClassesLayout { rows: 2, columns: 5 };
        assert_eq!(layout.length(), 4);
        assert_eq!(layout.read(&[0x0302_0100, 4, 0xff07_0605, 9]), [0, 1, 2, 3, 4, 5, 6, 7, 0xff, 9]);
        let layout = ClassesLayout { rows: 3, columns: 1 };
        assert_eq!(layout.read(&[7, 8, 9]), [7, 8, 9]);
    }
}
