//! How far two measurements of the same thing agree, by frequency: halves of recordings, such as reconstructions of every other
//! projection.

use ndarray::Axis;
use serde_json::{Value, json};

use crate::error::{Error, Result, counted_channels};
use crate::geometry::{Extent, Window};
use crate::images::units::PIXEL;
use crate::images::{Volume, VoxelSize};
use crate::memory;
use crate::metrics::{Crossing, FourierCorrelation, Shell, Spectrum, Support, Threshold};
use crate::pictures::{Chart, Series};

/// Rows that a table for people has, about.
const ROWS: usize = 20;

/// The Fourier ring correlation of two images, or the Fourier shell correlation of two volumes.
#[derive(Debug, Clone, PartialEq)]
pub struct Halves {
    correlation: FourierCorrelation,
    extent: Extent,
    size: Option<VoxelSize>,
    support: Support,
}

impl Halves {
    /// Correlates `first` with `second`, which have one channel and the same size. All slices are one volume. `size` is how large
    /// pixels are; without it, what the first one's file says. They are held in memory, with a Fourier transform each.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for halves of other sizes or more channels; [`Error::OutOfMemory`] for volumes that are larger than the
    /// memory; what reading them fails with.
    pub fn correlate(
        first: &dyn Volume,
        second: &dyn Volume,
        size: Option<VoxelSize>,
        support: Support,
    ) -> Result<Self> {
        let extent = first.extent();
        if extent != second.extent() {
            return Err(Error::Mismatch(format!(
                "{} is {extent} pixels but {} is {}; both halves must be of one size",
                first.name(),
                second.name(),
                second.extent()
            )));
        }
        for half in [first, second] {
            if half.channels() != 1 {
                return Err(Error::Mismatch(format!(
                    "{} has {} where halves have one; choose it with `channel`",
                    half.name(),
                    counted_channels(half.channels())
                )));
            }
        }
        let shape = [extent.z, extent.y, extent.x];
        // Both transforms, and the values of the half that is transformed, once as they are read.
        let values = (extent.z as u64).saturating_mul(extent.y as u64).saturating_mul(extent.x as u64);
        let bytes = Spectrum::bytes(shape).unwrap_or(u64::MAX).saturating_mul(2);
        let bytes = bytes.saturating_add(values.saturating_mul(size_of::<f32>() as u64));
        memory::check(
            "the Fourier transforms of both halves",
            bytes,
            "take fewer slices with `slices`, such as 100..300",
        )?;
        let spectrum = |half: &dyn Volume| {
            let values = half.read(Window::whole(extent))?;
            Spectrum::of(values.index_axis_move(Axis(0), 0), support)
        };
        // Sizes without a unit are in no unit here either.
        let known = first.voxel_size().cloned().map(|size| match size.unit.as_str() {
            PIXEL => VoxelSize { unit: String::new(), ..size },
            _ => size,
        });
        let size = size.or(known);
        let ratios = size.as_ref().map_or([1.0; 3], |size| [size.z, size.y, size.x]);
        let correlation = FourierCorrelation::between(&spectrum(first)?, &spectrum(second)?, ratios)?;
        Ok(Self { correlation, extent, size, support })
    }

    /// The shells and where they cross thresholds.
    pub fn correlation(&self) -> &FourierCorrelation {
        &self.correlation
    }

    /// What was computed: the Fourier ring correlation of images, or the shell correlation of volumes.
    pub fn method(&self) -> &'static str {
        if self.extent.z == 1 { "Fourier ring correlation" } else { "Fourier shell correlation" }
    }

    /// What was compared, and what of it counts.
    pub fn description(&self) -> String {
        let of = match self.support {
            Support::Whole => "all of it, fading over an eighth of each side",
            Support::Circle => "the inscribed circle, fading over an eighth of its diameter",
        };
        format!("{} of {} pixels: {of}", self.method(), self.extent)
    }

    /// The size of the finest details in which the halves agree, by a threshold, in words.
    pub fn resolution(&self, threshold: Threshold) -> String {
        match self.correlation.crossing(threshold) {
            None => "none: the images are too small".into(),
            Some(Crossing::At(frequency)) => self.length(frequency),
            Some(Crossing::Beyond(frequency)) => {
                format!("finer than {}, which is all that pixels can show", self.length(frequency))
            }
            Some(Crossing::Before(_)) => "none: the halves do not agree even in the coarsest details".into(),
        }
    }

    /// One over a frequency, in pixels and in the unit of the size of pixels.
    fn length(&self, frequency: f64) -> String {
        let pixels = 1.0 / frequency;
        match &self.size {
            Some(size) => format!("{pixels:.2} pixels = {} {}", significant(pixels * size.x), size.unit)
                .trim_end()
                .to_owned(),
            None => format!("{pixels:.2} pixels"),
        }
    }

    /// The curve for people: its header and its rows, of many shells every so many.
    pub fn table(&self) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let header = vec!["frequency (1/pixel)", "pixels", "correlation", "half-bit", "1/7", "numbers"];
        let shells = self.correlation.shells();
        let step = shells.len().div_ceil(ROWS).max(1);
        let row = |shell: &Shell| {
            vec![
                format!("{:.4}", shell.frequency),
                format!("{:.2}", 1.0 / shell.frequency),
                shell.correlation.map_or("-".into(), |value| format!("{value:.4}")),
                format!("{:.4}", Threshold::HalfBit.of(shell.count)),
                format!("{:.4}", Threshold::OneSeventh.of(shell.count)),
                shell.count.to_string(),
            ]
        };
        (header, shells.iter().skip(step - 1).step_by(step).map(row).collect())
    }

    /// The curve with both thresholds.
    pub fn chart(&self) -> Chart {
        let shells = self.correlation.shells();
        let series = |name: &str, value: &dyn Fn(&Shell) -> Option<f64>| Series {
            name: name.into(),
            points: shells.iter().filter_map(|shell| Some((shell.frequency, value(shell)?))).collect(),
        };
        let mut lines = vec![series("correlation", &|shell| shell.correlation)];
        lines.extend(
            Threshold::ALL
                .map(|threshold| series(threshold.name(), &|shell| Some(threshold.of(shell.count)))),
        );
        Chart {
            title: self.method().into(),
            x_label: "frequency in waves a pixel".into(),
            y_label: "correlation".into(),
            series: lines,
            ..Chart::default()
        }
    }

    /// All of it as one JSON object. Lengths are null where the halves agree in everything or in nothing; `finest` is then the
    /// finest detail of the last shell.
    pub fn report(&self) -> Value {
        let resolution = |threshold: Threshold| {
            let crossing = self.correlation.crossing(threshold);
            let frequency = match crossing {
                Some(Crossing::At(frequency)) => Some(frequency),
                _ => None,
            };
            let pixels = frequency.map(|frequency| 1.0 / frequency);
            json!({
                "frequency": frequency, "pixels": pixels,
                "length": pixels.zip(self.size.as_ref()).map(|(pixels, size)| pixels * size.x),
                "beyond": matches!(crossing, Some(Crossing::Beyond(_))),
            })
        };
        let Extent { z, y, x } = self.extent;
        json!({
            "method": self.method(), "slices": z, "rows": y, "columns": x, "circle": self.support == Support::Circle,
            "voxel_size": self.size.as_ref().map(|size| [size.z, size.y, size.x]),
            "unit": self.size.as_ref().map(|size| &size.unit),
            "finest_pixels": self.correlation.shells().last().map(|shell| 1.0 / shell.frequency),
            "half_bit": resolution(Threshold::HalfBit), "one_seventh": resolution(Threshold::OneSeventh),
            "shells": self.correlation.shells(),
        })
    }
}

/// A number with three digits that count.
fn significant(value: f64) -> String {
    let digits = 2 - (value.abs().log10().floor() as i32).clamp(-9, 2);
    format!("{value:.0$}", digits as usize)
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;
    use crate::images::ArrayVolume;

    fn half(shape: (usize, usize, usize), own: usize) -> ArrayVolume {
        let (z, y, x) = shape;
        let value = |(_, z, y, x): (usize, usize, usize, usize)| {
            // Slow waves in both halves, and something of their own.
            let wave = (y as f32 / 3.0).sin() + (x as f32 / 4.0).cos() + (z as f32 / 3.0).sin();
            wave + ((y * own + x * 7 + z * 3 + x * y) % 13) as f32 / 13.0
        };
        ArrayVolume::new("half", Array4::from_shape_fn((1, z, y, x), value)).unwrap()
    }

    #[test]
    fn lengths_are_in_pixels_and_in_the_units_of_the_file() {
        let micrometres = VoxelSize { z: 0.5, y: 0.5, x: 0.5, unit: "\u{b5}m".into() };
        for (shape, method) in [((1, 48, 48), "ring"), ((24, 24, 24), "shell")] {
            let halves = Halves::correlate(
                &half(shape, 5),
                &half(shape, 11),
                Some(micrometres.clone()),
                Support::Whole,
            )
            .unwrap();
            assert!(halves.method().contains(method));
            let json = halves.report();
            let (pixels, length) =
                (json["half_bit"]["pixels"].as_f64().unwrap(), json["half_bit"]["length"].as_f64().unwrap());
            assert!(pixels > 2.0 && (length - pixels / 2.0).abs() < 1e-9);
            let wanted = format!("{pixels:.2} pixels = {} \u{b5}m", significant(length));
            assert_eq!(halves.resolution(Threshold::HalfBit), wanted);
            let (header, rows) = halves.table();
            assert!(rows.len() <= ROWS && rows.iter().all(|row| row.len() == header.len()));
            assert_eq!(halves.chart().series.len(), 3);
            let page = crate::evaluation::page::halves_page(&halves, &Default::default());
            assert!(page.contains(&wanted) && page.contains(&rows[1][2]) && !page.contains("http://"));
        }
        let same =
            Halves::correlate(&half((1, 20, 20), 5), &half((1, 20, 20), 5), None, Support::Circle).unwrap();
        assert_eq!(
            same.resolution(Threshold::OneSeventh),
            "finer than 2.00 pixels, which is all that pixels can show"
        );
        assert_eq!(same.report()["half_bit"]["beyond"], true);
    }

    #[test]
    fn other_sizes_are_refused() {
        let error =
            Halves::correlate(&half((1, 9, 8), 1), &half((1, 8, 9), 1), None, Support::Whole).unwrap_err();
        assert!(error.to_string().contains("both halves must be of one size"), "{error}");
    }

    /// A volume that no memory holds and that is never read.
    struct Huge;

    impl Volume for Huge {
        fn name(&self) -> &str {
            "huge"
        }

        fn extent(&self) -> Extent {
            Extent::new(1 << 20, 1 << 20, 1 << 20)
        }

        fn channels(&self) -> usize {
            1
        }

        fn axes(&self) -> &str {
            "ZYX"
        }

        fn read(&self, _: Window) -> Result<Array4<f32>> {
            Err(Error::Mismatch("it was read".into()))
        }

        fn read_labels(&self, _: Window) -> Result<ndarray::Array3<i64>> {
            Err(Error::Mismatch("it was read".into()))
        }
    }

    #[test]
    fn what_is_larger_than_the_memory_is_refused_before_it_is_read() {
        let error = Halves::correlate(&Huge, &Huge, None, Support::Whole).unwrap_err().to_string();
        assert!(
            error.contains("the Fourier transforms of both halves") && error.contains("`slices`"),
            "{error}"
        );
    }

    #[test]
    fn numbers_have_three_digits() {
        let texts = [1234.5, 99.96, 1.0, 0.012345].map(significant);
        assert_eq!(texts, ["1234", "100.0", "1.00", "0.0123"]);
    }
}
