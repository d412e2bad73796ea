//! Where an array lies in space, as the headers of some formats say it.

/// What a header says of where an array lies.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Space {
    /// NIfTI: in a body or a scanner.
    Nifti(NiftiSpace),
    /// MRC: where the first pixel lies along x, y and z, in Å.
    Mrc([f64; 3]),
    /// OME-Zarr: where the first pixel lies along x, y and z, in the unit of its size.
    Ome([f64; 3]),
}

/// What a NIfTI header says, by the names that the format has; x, y and z are columns, rows and slices here.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NiftiSpace {
    pub(super) qform_code: i16,
    pub(super) sform_code: i16,
    /// -1 where the third axis is mirrored in the first form.
    pub(super) qfac: f64,
    pub(super) quaternion: [f64; 3],
    /// How large a pixel is along x, y and z, in a unit that the header may leave out.
    pub(super) sizes: [f64; 3],
    pub(super) q_offset: [f64; 3],
    /// The second form: three rows that give places of three indices and 1.
    pub(super) rows: [[f64; 4]; 3],
    /// From one point in time to the next, when the first one is, and the bits of the header for their unit.
    pub(super) time_step: f64,
    pub(super) time_offset: f64,
    pub(super) time_unit: u8,
}

impl Space {
    /// The same from slice `first` on, where slices are `distance` apart, if the header does not say that itself.
    pub(super) fn beginning_at(mut self, first: usize, distance: f64) -> Self {
        let steps = first as f64;
        match &mut self {
            Space::Nifti(nifti) => {
                let direction = nifti.direction_of_slices();
                for (offset, direction) in nifti.q_offset.iter_mut().zip(direction) {
                    *offset += direction * nifti.qfac * nifti.sizes[2] * steps;
                }
                nifti.rows.iter_mut().for_each(|row| row[3] += row[2] * steps);
            }
            Space::Mrc(origin) | Space::Ome(origin) => origin[2] += distance * steps,
        }
        self
    }

    /// The same with slices so many times as far apart.
    pub(super) fn further_apart(mut self, times: f64) -> Self {
        if let Space::Nifti(nifti) = &mut self {
            nifti.sizes[2] *= times;
            nifti.rows.iter_mut().for_each(|row| row[2] *= times);
        }
        self
    }

    /// Where the first pixel lies along x, y and z, in the unit of the header, where axes are neither turned nor mirrored.
    pub(super) fn origin(&self) -> Option<[f64; 3]> {
        match self {
            Space::Mrc(origin) | Space::Ome(origin) => Some(*origin),
            Space::Nifti(nifti) if nifti.sform_code > 0 => {
                let is_straight = (0..3).all(|row| {
                    (0..3).all(|axis| {
                        if row == axis { nifti.rows[row][axis] > 0.0 } else { nifti.rows[row][axis] == 0.0 }
                    })
                });
                is_straight.then(|| nifti.rows.map(|row| row[3]))
            }
            Space::Nifti(nifti) if nifti.qform_code > 0 => {
                (nifti.quaternion == [0.0; 3] && nifti.qfac > 0.0).then_some(nifti.q_offset)
            }
            Space::Nifti(_) => None,
        }
    }
}

impl NiftiSpace {
    /// The third column of the rotation that the quaternion is.
    fn direction_of_slices(&self) -> [f64; 3] {
        let [b, c, d] = self.quaternion;
        let a = (1.0 - (b * b + c * c + d * d)).max(0.0).sqrt();
        [2.0 * (b * d + a * c), 2.0 * (c * d - a * b), a * a + d * d - c * c - b * b]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nifti(rows: [[f64; 4]; 3]) -> NiftiSpace {
        NiftiSpace {
            qform_code: 1,
            sform_code: 1,
            qfac: 1.0,
            quaternion: [0.0; 3],
            sizes: [0.5, 0.7, 2.0],
            q_offset: [1.0, 2.0, 3.0],
            rows,
            time_step: 1.0,
            time_offset: 0.0,
            time_unit: 0,
        }
    }

    #[test]
    fn slices_further_on_lie_further_on() {
        let turned = nifti([[-0.5, 0.0, 0.0, 90.0], [0.0, 0.0, 2.0, -126.0], [0.0, 0.7, 0.0, -72.0]]);
        // A quarter turn about the first axis: the third one is the second one turned back.
        let turned = NiftiSpace { quaternion: [0.5_f64.sqrt(), 0.0, 0.0], ..turned };
        let Space::Nifti(moved) = Space::Nifti(turned.clone()).beginning_at(3, 2.0) else { panic!() };
        assert_eq!(moved.rows.map(|row| row[3]), [90.0, -120.0, -72.0]);
        let near =
            moved.q_offset.iter().zip([1.0, -4.0, 3.0]).all(|(found, wanted)| (found - wanted).abs() < 1e-9);
        assert!(near, "{:?}", moved.q_offset);
        let Space::Nifti(apart) = Space::Nifti(turned.clone()).further_apart(10.0) else { panic!() };
        assert_eq!((apart.sizes[2], apart.rows[1]), (20.0, [0.0, 0.0, 20.0, -126.0]));
        assert_eq!(Space::Nifti(turned).origin(), None);
        assert_eq!(Space::Mrc([1.0, 2.0, 3.0]).beginning_at(2, 5.0), Space::Mrc([1.0, 2.0, 13.0]));
        assert_eq!(Space::Ome([1.0, 2.0, 3.0]).beginning_at(2, 5.0), Space::Ome([1.0, 2.0, 13.0]));
        let straight = nifti([[0.5, 0.0, 0.0, 9.0], [0.0, 0.7, 0.0, 8.0], [0.0, 0.0, 2.0, 7.0]]);
        assert_eq!(Space::Nifti(straight).origin(), Some([9.0, 8.0, 7.0]));
    }
}
