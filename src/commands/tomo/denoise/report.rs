//! What came of it: numbers that can be known without clean images, and a picture.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ndarray::{Array2, Array3, Axis};
use serde_json::json;

use super::plan::Plan;
use crate::files::write_bytes_atomic;
use crate::geometry::Window;
use crate::images::{Volume, open_volume, write_png_rgb8};
use crate::pictures::{captioned_montage, grey_picture, range_of, reduced, stretch_with};
use crate::tomography::Scan;
use crate::{Error, Result};

/// Pictures are reduced to at most so many rows and columns.
const MOST_PIXELS: usize = 1024;

/// How long each step took.
#[derive(Debug, Default)]
pub(super) struct Timings(Vec<(&'static str, f64)>);

impl Timings {
    /// The step that began at `clock` has ended.
    pub(super) fn add(&mut self, step: &'static str, clock: Instant) {
        self.0.push((step, clock.elapsed().as_secs_f64()));
    }
}

/// Sums over all pixels of all slices.
#[derive(Debug, Default)]
struct Sums {
    count: f64,
    /// Of the squares of what the shares differ by from their mean.
    between: f64,
    /// Of what the network took away, and of its square.
    removed: (f64, f64),
    /// Of the result, and of its square.
    result: (f64, f64),
}

impl Sums {
    fn add(&mut self, shares: &[Array2<f32>], mean: &Array2<f32>, result: &Array2<f32>) {
        for ((place, mean), result) in mean.indexed_iter().zip(result) {
            let (mean, result) = (f64::from(*mean), f64::from(*result));
            self.count += 1.0;
            self.between += shares.iter().map(|share| (f64::from(share[place]) - mean).powi(2)).sum::<f64>();
            self.removed.0 += mean - result;
            self.removed.1 += (mean - result).powi(2);
            self.result.0 += result;
            self.result.1 += result * result;
        }
    }

    /// The deviation of the noise in the mean of `shares` shares, from what these differ by.
    fn noise(&self, shares: usize) -> f64 {
        let degrees = (shares.max(2) - 1) as f64 * shares as f64;
        (self.between / self.count.max(1.0) / degrees).sqrt()
    }

    fn deviation(&self, (sum, squares): (f64, f64)) -> f64 {
        let count = self.count.max(1.0);
        (squares / count - (sum / count).powi(2)).max(0.0).sqrt()
    }
}

/// Writes `report.txt`, `report.json` and `picture.png` into the folder of the work, and gives back the text; `unit` is that of the slices.
///
/// # Errors
/// Those of reading the volumes and writing the files.
pub(super) fn write(
    folder: &Path,
    scan: &Scan,
    plan: &Plan,
    shares: &[PathBuf],
    out: &Path,
    unit: &str,
    timings: &Timings,
) -> Result<String> {
    let open = |path: &Path| open_volume(&path.display().to_string());
    let inputs: Vec<Box<dyn Volume>> = shares.iter().map(|share| open(share)).collect::<Result<_>>()?;
    let result = open(out)?;
    let extent = result.extent();
    let mut sums = Sums::default();
    let mut middle = None;
    for slice in 0..extent.z {
        let read = |volume: &dyn Volume| -> Result<Array2<f32>> {
            let window = Window::new(slice..slice + 1, 0..extent.y, 0..extent.x);
            Ok(volume.read(window)?.index_axis_move(Axis(0), 0).index_axis_move(Axis(0), 0))
        };
        let slices: Vec<Array2<f32>> =
            inputs.iter().map(|input| read(input.as_ref())).collect::<Result<_>>()?;
        let output = read(result.as_ref())?;
        let mut mean = Array2::<f32>::zeros(output.dim());
        slices.iter().for_each(|slice| mean += slice);
        mean /= slices.len().max(1) as f32;
        sums.add(&slices, &mean, &output);
        if slice == extent.z / 2 {
            middle = Some((mean, output));
        }
    }
    if let Some((mean, output)) = middle {
        write_png_rgb8(folder.join("picture.png"), &picture(&mean, &output, extent.z / 2))?;
    }
    let noise = sums.noise(shares.len());
    let (removed, left) = (sums.deviation(sums.removed), sums.deviation(sums.result));
    let centre = plan.centre().unwrap_or_default();
    let (projections, split) = (scan.angles().len(), shares.len());
    let mut text = format!(
        "{}: {projections} projections, centre {centre:.2}, {split} shares\n{} slices of {} x {} pixels\n",
        scan.name(),
        extent.z,
        extent.x,
        extent.y
    );
    let lines = [
        ("noise of the reconstruction, from what the shares differ by", noise),
        ("taken away by the network", removed),
        ("what is left: deviation of the volume", left),
    ];
    for (name, value) in lines {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {value:.4e} {unit}  {name}");
    }
    text += "More is taken away than there is noise where the network smooths what is there, and less where noise is left.\n";
    for (step, seconds) in &timings.0 {
        let _ = writeln!(text, "  {seconds:.1} s  {step}");
    }
    let numbers = json!({
        "scan": scan.name(),
        "layout": scan.layout(),
        "projections": projections,
        "centre": centre,
        "shares": split,
        "minutes": plan.minutes(),
        "slices": extent.z,
        "size": [extent.y, extent.x],
        "unit": unit,
        "noise": noise,
        "removed": removed,
        "deviation": left,
        "seconds": timings.0.iter().map(|(step, seconds)| ((*step).to_owned(), json!(seconds))).collect::<serde_json::Map<_, _>>(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    let bytes = serde_json::to_vec_pretty(&numbers).map_err(|error| {
        Error::output(folder, format!("the report cannot be written: {error}; check the disk"))
    })?;
    write_bytes_atomic(folder.join("report.json"), &bytes)?;
    write_bytes_atomic(folder.join("report.txt"), text.as_bytes())?;
    Ok(text)
}

/// The reconstruction of all projections, the result, and what was taken away.
fn picture(mean: &Array2<f32>, output: &Array2<f32>, slice: usize) -> Array3<u8> {
    let (mean, output) = (reduced(mean.view(), MOST_PIXELS), reduced(output.view(), MOST_PIXELS));
    let greys = range_of(output.view()).unwrap_or((0.0, 1.0));
    let removed = &mean - &output;
    let half = (greys.1 - greys.0) / 2.0;
    let show = |image: &Array2<f32>, greys| grey_picture(stretch_with(image.view(), greys).view());
    let row = vec![show(&mean, greys), show(&output, greys), show(&removed, (-half, half))];
    captioned_montage(&["reconstruction", "denoised", "difference"], &[format!("slice {slice}")], &[row])
}
