//! Scans in memory, as they are written to files.

use std::path::Path;

use hdf5_pure::{AttrValue, FileBuilder};
use ndarray::{Array3, ArrayView3};

use crate::error::{Error, Result};
use crate::files::UnfinishedFile;

/// A scan in memory: frames `[frame][row][column]`, and the angle of each projection in degrees.
#[derive(Debug, Clone, PartialEq)]
pub enum RawScan {
    /// What a detector counted, with images of the beam alone and of darkness.
    Counts {
        /// With the object in the beam.
        projections: Array3<u16>,
        /// Without it.
        flats: Array3<u16>,
        /// Without the beam.
        darks: Array3<u16>,
        /// The angle of each projection.
        degrees: Vec<f64>,
    },
    /// Shares of the beam that are let through, without noise: the flat field is 1, the dark field 0.
    Exact {
        /// The share for each pixel.
        transmissions: Array3<f32>,
        /// The angle of each projection.
        degrees: Vec<f64>,
    },
}

impl RawScan {
    /// Writes the scan as DXchange has it; `pixel` is the width of a pixel of the detector in micrometres. The file appears under its
    /// name when it is whole.
    ///
    /// # Errors
    /// [`Error::Output`] where that fails.
    pub fn write_dxchange(&self, path: &Path, pixel: Option<f64>) -> Result<()> {
        let mut file = FileBuilder::new();
        file.set_attr("implements", AttrValue::String("exchange:measurement".into()));
        let mut exchange = file.create_group("exchange");
        let degrees = match self {
            Self::Counts { projections, flats, darks, degrees } => {
                for (name, frames) in [("data", projections), ("data_white", flats), ("data_dark", darks)] {
                    let dataset = exchange.create_dataset(name);
                    dataset.with_u16_data(&flat(frames.view())).with_shape(&shape(frames.dim()));
                    dataset.set_attr("units", AttrValue::String("counts".into()));
                }
                degrees
            }
            Self::Exact { transmissions, degrees } => {
                let (_, rows, columns) = transmissions.dim();
                let data = exchange.create_dataset("data");
                data.with_f32_data(&flat(transmissions.view())).with_shape(&shape(transmissions.dim()));
                for (name, value) in [("data_white", 1.0), ("data_dark", 0.0)] {
                    let dataset = exchange.create_dataset(name);
                    dataset
                        .with_f32_data(&vec![value; rows * columns])
                        .with_shape(&shape((1, rows, columns)));
                }
                degrees
            }
        };
        let theta = exchange.create_dataset("theta");
        theta.with_f64_data(degrees).with_shape(&[degrees.len() as u64]);
        theta.set_attr("units", AttrValue::String("degrees".into()));
        file.add_group(exchange.finish());
        if let Some(pixel) = pixel {
            let mut measurement = file.create_group("measurement");
            let mut instrument = measurement.create_group("instrument");
            let mut detector = instrument.create_group("detector");
            let size = detector.create_dataset("pixel_size");
            size.with_f64_data(&[pixel]).with_shape(&[1]);
            size.set_attr("units", AttrValue::String("micron".into()));
            instrument.add_group(detector.finish());
            measurement.add_group(instrument.finish());
            file.add_group(measurement.finish());
        }
        let unfinished = UnfinishedFile::create(path)?;
        file.finish_to(unfinished.file())
            .map_err(|error| Error::output(path, format!("cannot be written: {error}; check the disk")))?;
        unfinished.done()
    }
}

fn shape(dim: (usize, usize, usize)) -> [u64; 3] {
    [dim.0 as u64, dim.1 as u64, dim.2 as u64]
}

fn flat<T: Copy>(frames: ArrayView3<T>) -> Vec<T> {
    frames.iter().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tomography::{Scan, ScanFiles};

    #[test]
    fn scans_that_are_written_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan.h5");
        let frames = |count: usize, first: u16| {
            Array3::from_shape_fn((count, 3, 4), |(frame, row, column)| {
                first + (frame * 12 + row * 4 + column) as u16
            })
        };
        let degrees = vec![0.0, 45.0, 90.0, 135.0];
        let raw = RawScan::Counts {
            projections: frames(4, 100),
            flats: frames(2, 200),
            darks: frames(1, 0),
            degrees: degrees.clone(),
        };
        raw.write_dxchange(&path, Some(0.65)).unwrap();
        let scan = Scan::open(path.to_str().unwrap(), &ScanFiles::default()).unwrap();
        assert_eq!((scan.layout(), scan.size(), scan.frames()), ("DXchange", (3, 4), (2, 1)));
        assert_eq!(scan.projections(0..3).unwrap(), frames(4, 100).mapv(f32::from));
        assert_eq!(scan.flats(0..3).unwrap().unwrap(), frames(2, 200).mapv(f32::from));
        assert!((scan.voxel_size().unwrap().x - 0.65).abs() < 1e-9);
        assert!((scan.angles()[3].to_degrees() - 135.0).abs() < 1e-9);

        let exact = RawScan::Exact { transmissions: frames(4, 1).mapv(f32::from), degrees };
        exact.write_dxchange(&path, None).unwrap();
        let scan = Scan::open(path.to_str().unwrap(), &ScanFiles::default()).unwrap();
        assert_eq!(scan.projections(0..3).unwrap(), frames(4, 1).mapv(f32::from));
        assert!(scan.flats(0..3).unwrap().unwrap().iter().all(|value| *value == 1.0));
        assert!(scan.voxel_size().is_none());
    }
}
