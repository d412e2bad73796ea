//! Arrays as volumes, and results into arrays.

use ndarray::{Array3, Array4, ArrayView4, Axis, s};

use super::decoded::whole_float;
use super::sink::{Coverage, Sink, check_shape};
use super::volume::{Volume, VoxelSize, check_window, zeros};
use crate::error::{Error, Result};
use crate::geometry::{Extent, Window};

/// An array as a volume.
#[derive(Debug, Clone)]
pub struct ArrayVolume {
    name: String,
    numbers: Numbers,
    voxel_size: Option<VoxelSize>,
}

#[derive(Debug, Clone)]
enum Numbers {
    Values(Array4<f32>),
    Labels(Array3<i64>),
}

impl ArrayVolume {
    /// The volume of `values`, `[channel][z][y][x]`, which messages call `name`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for an array without numbers, and for numbers that are not finite.
    pub fn new(name: impl Into<String>, values: Array4<f32>) -> Result<Self> {
        let name = name.into();
        check_filled(&name, values.is_empty())?;
        let count = values.iter().filter(|value| !value.is_finite()).count();
        if count > 0 {
            return Err(Error::Mismatch(format!(
                "{name} has {count} numbers that are NaN or infinite; replace them by finite ones"
            )));
        }
        Ok(Self { name, numbers: Numbers::Values(values), voxel_size: None })
    }

    /// The volume of `labels`, `[z][y][x]`, of one channel.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for an array without numbers.
    pub fn of_labels(name: impl Into<String>, labels: Array3<i64>) -> Result<Self> {
        let name = name.into();
        check_filled(&name, labels.is_empty())?;
        Ok(Self { name, numbers: Numbers::Labels(labels), voxel_size: None })
    }

    /// The volume with pixels of a known size.
    pub fn with_voxel_size(self, size: VoxelSize) -> Self {
        Self { voxel_size: Some(size), ..self }
    }
}

fn check_filled(name: &str, empty: bool) -> Result<()> {
    match empty {
        true => {
            Err(Error::Mismatch(format!("{name} is an array without numbers; wanted at least one pixel")))
        }
        false => Ok(()),
    }
}

impl Volume for ArrayVolume {
    fn name(&self) -> &str {
        &self.name
    }

    fn extent(&self) -> Extent {
        let (z, y, x) = match &self.numbers {
            Numbers::Values(values) => (values.dim().1, values.dim().2, values.dim().3),
            Numbers::Labels(labels) => labels.dim(),
        };
        Extent::new(z, y, x)
    }

    fn channels(&self) -> usize {
        match &self.numbers {
            Numbers::Values(values) => values.dim().0,
            Numbers::Labels(_) => 1,
        }
    }

    fn axes(&self) -> &str {
        match &self.numbers {
            Numbers::Values(_) => "CZYX",
            Numbers::Labels(_) => "ZYX",
        }
    }

    fn voxel_size(&self) -> Option<&VoxelSize> {
        self.voxel_size.as_ref()
    }

    fn read(&self, window: Window) -> Result<Array4<f32>> {
        check_window(&self.name, self.extent(), &window)?;
        let (slices, rows, columns) = (window.slices(), window.rows(), window.columns());
        let Extent { z, y, x } = window.extent;
        let mut part: Array4<f32> = zeros(&self.name, (self.channels(), z, y, x))?;
        match &self.numbers {
            Numbers::Values(values) => part.assign(&values.slice(s![.., slices, rows, columns])),
            Numbers::Labels(labels) => {
                let labels = labels.slice(s![slices, rows, columns]);
                part.index_axis_mut(Axis(0), 0).zip_mut_with(&labels, |value, &label| *value = label as f32);
            }
        }
        Ok(part)
    }

    fn read_labels(&self, window: Window) -> Result<Array3<i64>> {
        check_window(&self.name, self.extent(), &window)?;
        let (slices, rows, columns) = (window.slices(), window.rows(), window.columns());
        let Extent { z, y, x } = window.extent;
        let mut part: Array3<i64> = zeros(&self.name, (z, y, x))?;
        match &self.numbers {
            Numbers::Labels(labels) => part.assign(&labels.slice(s![slices, rows, columns])),
            Numbers::Values(values) if values.dim().0 == 1 => {
                let values = values.slice(s![0, slices, rows, columns]);
                for (((z, y, x), value), label) in values.indexed_iter().zip(&mut part) {
                    *label = whole_float(f64::from(*value)).ok_or_else(|| {
                        let (z, y, x) = (window.z + z, window.y + y, window.x + x);
                        let problem = format!(
                            "the value at x {x}, y {y}, z {z} is not a whole number; wanted labels: one channel of whole numbers"
                        );
                        Error::input(&self.name, problem)
                    })?;
                }
            }
            Numbers::Values(values) => {
                let problem = format!(
                    "has {} channels; wanted labels: one channel of whole numbers, one number for each class",
                    values.dim().0
                );
                return Err(Error::input(&self.name, problem));
            }
        }
        Ok(part)
    }
}

/// Results into an array, in any order.
#[derive(Debug)]
pub struct ArraySink<T> {
    values: Array4<T>,
    coverage: Coverage,
}

/// What messages call an array of results.
const RESULT: &str = "the array of results";

impl<T: Clone + Default> ArraySink<T> {
    /// For results of `extent` with `channels` numbers a pixel.
    ///
    /// # Errors
    /// [`Error::Input`] for more than there is memory for, [`Error::Mismatch`] for no channels.
    pub fn new(extent: Extent, channels: usize) -> Result<Self> {
        if channels == 0 {
            return Err(Error::Mismatch(format!("{RESULT} has no channels; wanted at least one")));
        }
        let values: Array4<T> = zeros(RESULT, (channels, extent.z, extent.y, extent.x))?;
        Ok(Self { values, coverage: Coverage::new(extent) })
    }
}

impl<T> ArraySink<T> {
    /// The results, `[channel][z][y][x]`.
    ///
    /// # Errors
    /// [`Error::Output`] when parts are missing.
    pub fn into_array(self) -> Result<Array4<T>> {
        match self.coverage.missing() {
            0 => Ok(self.values),
            missing => Err(Error::output(
                RESULT,
                format!("{missing} pixels have not been written; write all of them first"),
            )),
        }
    }
}

impl<T: Clone + Send> Sink<T> for ArraySink<T> {
    fn name(&self) -> String {
        RESULT.into()
    }

    fn extent(&self) -> Extent {
        let (_, z, y, x) = self.values.dim();
        Extent::new(z, y, x)
    }

    fn channels(&self) -> usize {
        self.values.dim().0
    }

    fn write(&mut self, window: Window, values: ArrayView4<T>) -> Result<()> {
        check_shape(RESULT, self.channels(), &window, &values)?;
        self.coverage.add(RESULT, &window)?;
        self.values.slice_mut(s![.., window.slices(), window.rows(), window.columns()]).assign(&values);
        Ok(())
    }

    fn done(self: Box<Self>) -> Result<()> {
        self.into_array().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::tiles::tiles;

    #[test]
    fn tiles_from_a_volume_make_it_again_in_any_order() {
        let whole = Array4::from_shape_fn((2, 3, 5, 7), |(c, z, y, x)| (c * 200 + z * 40 + y * 7 + x) as f32);
        let volume = ArrayVolume::new("a", whole.clone()).unwrap();
        let mut sink = ArraySink::<f32>::new(volume.extent(), 2).unwrap();
        let mut tiles: Vec<_> = tiles(volume.extent(), Extent::new(2, 2, 3), [1, 1, 1]).collect();
        tiles.reverse();
        for tile in &tiles {
            let patch = volume.read(tile.patch).unwrap();
            let kept = tile.core_in_patch();
            let core = patch.slice(s![.., kept.slices(), kept.rows(), kept.columns()]);
            sink.write(tile.core, core).unwrap();
        }
        assert!(sink.write(tiles[0].core, volume.read(tiles[0].core).unwrap().view()).is_err());
        assert_eq!(sink.into_array().unwrap(), whole);
        let unfinished = ArraySink::<f32>::new(volume.extent(), 2).unwrap();
        assert!(Box::new(unfinished).done().unwrap_err().to_string().contains("105 pixels"));
    }

    #[test]
    fn labels_are_read_where_numbers_are_whole() {
        let labels = Array3::from_shape_fn((2, 3, 4), |(z, y, x)| (z * 100 + y * 10 + x) as i64 - 5);
        let volume = ArrayVolume::of_labels("a", labels.clone()).unwrap();
        let window = Window::new(1..2, 1..3, 2..4);
        let part = labels.slice(s![1..2, 1..3, 2..4]);
        assert_eq!(volume.read_labels(window).unwrap(), part);
        assert_eq!(volume.read(window).unwrap(), part.mapv(|v| v as f32).insert_axis(Axis(0)));
        let mut values = labels.mapv(|v| v as f32).insert_axis(Axis(0));
        assert_eq!(ArrayVolume::new("b", values.clone()).unwrap().read_labels(window).unwrap(), part);
        values[[0, 1, 2, 3]] = 0.5;
        let volume = ArrayVolume::new("b", values.clone()).unwrap();
        let error = volume.read_labels(window).unwrap_err().to_string();
        assert!(error.contains("b: the value at x 3, y 2, z 1"), "{error}");
        values[[0, 0, 0, 0]] = f32::NAN;
        assert!(ArrayVolume::new("b", values).is_err());
        let colours = ArrayVolume::new("c", Array4::zeros((3, 1, 2, 2))).unwrap();
        assert!(
            colours.read_labels(Window::plane(0..1, 0..1)).unwrap_err().to_string().contains("3 channels")
        );
        assert!(ArrayVolume::new("d", Array4::zeros((1, 0, 2, 2))).is_err());
    }

    #[test]
    fn more_than_there_is_memory_for_is_an_error() {
        for extent in [Extent::new(usize::MAX, 2, 1), Extent::new(1 << 20, 1 << 20, 1 << 20)] {
            let error = ArraySink::<f32>::new(extent, 1).unwrap_err();
            assert!(
                error.to_string().contains("more than there is memory for") && error.is_failure(),
                "{error}"
            );
        }
        let size = VoxelSize { z: 2.0, y: 0.5, x: 0.5, unit: "µm".into() };
        let volume =
            ArrayVolume::new("a", Array4::zeros((1, 1, 1, 1))).unwrap().with_voxel_size(size.clone());
        assert_eq!(volume.voxel_size(), Some(&size));
    }
}
