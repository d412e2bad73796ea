//! Back-projection: slices of tomograms from filtered projections. It does not depend on networks.

use super::runtime::adapters::GpuAdapter;
use super::runtime::device::{Device, Extras};
use super::runtime::kernel::{Binding, Kernel, Shader, params, source};
use super::runtime::memory::{self, Use};
use super::runtime::pipelines::{Pipeline, Pipelines, bind_group};
use super::runtime::readback;
use crate::engine::{BACK_PROJECTION_LANES as LANES, BackProjection, BackProjector};
use crate::{Error, Result};

/// Rows and columns of the tile that a workgroup takes.
const TILE: usize = 8;
/// Angles of a dispatch: few enough for any time limit of a driver.
const ANGLES: usize = 64;

params! {
    /// Keep in sync with shaders/back_project.wgsl.
    BackProjectParams {
        size: u32, width: u32, angles: u32, adds: u32, axis: f32, unused_0: u32, unused_1: u32, unused_2: u32
    }
}

/// Sums along the rays of each pixel.
pub static BACK_PROJECT: Shader = Shader {
    name: "back_project",
    entry: "back_project",
    source: source!("back_project"),
    pieces: |_| None,
    bindings: &[Binding::Uniform, Binding::Read, Binding::Read, Binding::ReadWrite],
    layouts: &[BackProjectParams::LAYOUT],
    variants: &[&[]],
};

/// A graphics processor that back-projects.
pub struct GpuBackProjector {
    device: Device,
    pipeline: Pipeline,
}

impl GpuBackProjector {
    /// On the device of `adapter`.
    ///
    /// # Errors
    /// When the device cannot be opened or refuses the kernel.
    pub fn open(adapter: &GpuAdapter) -> Result<Self> {
        let device = Device::open(adapter, None, Extras::default())?;
        let pipeline = Pipelines::default().get(&device, &Kernel::new(&BACK_PROJECT, &[]))?;
        Ok(Self { device, pipeline })
    }
}

impl BackProjector for GpuBackProjector {
    fn back_project(&mut self, work: &BackProjection<'_>) -> Result<Vec<[f32; LANES]>> {
        let &BackProjection { rows, width, directions, axis, size } = work;
        if width < 2 || directions.len().checked_mul(width) != Some(rows.len()) {
            return Err(Error::Mismatch(format!(
                "found {} numbers for {} projections of {width} columns; wanted one for each column, and at least two columns",
                rows.len(),
                directions.len()
            )));
        }
        let device = &self.device;
        let numbers = (size as u64).saturating_mul(size as u64).saturating_mul(LANES as u64);
        let image = memory::buffer(device, "slices", numbers.saturating_mul(4), Use::Storage)?;
        // What is read back is checked before anything is computed.
        let count = usize::try_from(numbers).unwrap_or(usize::MAX);
        let row_bytes = (4 * LANES * width) as u64;
        let at_once =
            (memory::max_page_bytes(&device.limits, 4) / row_bytes).clamp(1, ANGLES as u64) as usize;
        let projections = memory::buffer(device, "projections", at_once as u64 * row_bytes, Use::Storage)?;
        let angles = memory::buffer(device, "angles", 8 * at_once as u64, Use::Storage)?;
        let bytes = size_of::<BackProjectParams>();
        let uniform = memory::buffer(device, "the parameters of rays", bytes as u64, Use::Uniform)?;
        let buffers = [&angles, &projections, &image];
        let bindings = bind_group(device, BACK_PROJECT.name, &self.pipeline, (&uniform, 0, bytes), &buffers);
        let tiles = size.div_ceil(TILE) as u32;
        for (number, directions) in directions.chunks(at_once).enumerate() {
            let first = number * at_once * width;
            let params = BackProjectParams {
                size: size as u32,
                width: width as u32,
                angles: directions.len() as u32,
                adds: u32::from(number > 0),
                axis: axis as f32,
                ..Default::default()
            };
            let cosines: Vec<[f32; 2]> =
                directions.iter().map(|&(sine, cosine)| [cosine as f32, sine as f32]).collect();
            let queue = &device.queue;
            queue.write_buffer(&uniform, 0, bytemuck::bytes_of(&params));
            queue.write_buffer(&angles, 0, bytemuck::cast_slice(&cosines));
            let part = &rows[first..first + directions.len() * width];
            queue.write_buffer(&projections, 0, bytemuck::cast_slice(part));
            let mut encoder = device.wgpu.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&self.pipeline.pipeline);
            pass.set_bind_group(0, &bindings, &[]);
            pass.dispatch_workgroups(tiles, tiles, 1);
            drop(pass);
            queue.submit([encoder.finish()]);
        }
        let found: Vec<f32> = readback::read(device, Vec::new(), &image, 0..count, "back-projection")?;
        device.check("back-projection")?;
        Ok(bytemuck::cast_slice(&found).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, in float64.
    fn wanted(work: &BackProjection<'_>, x: usize, y: usize, lane: usize) -> f64 {
        let middle = (work.size as f64 - 1.0) / 2.0;
        let (right, down) = (x as f64 - middle, y as f64 - middle);
        let rays = work.directions.iter().zip(work.rows.chunks(work.width));
        rays.map(|((sine, cosine), row)| {
            let place = right * cosine + down * sine + work.axis;
            let (left, fraction) = (place.floor(), place - place.floor());
            let value = |at: f64| f64::from(row[at as usize][lane]);
            (1.0 - fraction) * value(left) + fraction * value(left + 1.0)
        })
        .sum()
    }

    #[test]
    fn pixels_are_the_sums_of_what_their_rays_meet() {
        let mut device = GpuBackProjector::open(&crate::gpu::adapter_for_tests()).unwrap();
        // More angles than a dispatch takes, and an image that is no whole number of tiles.
        let (count, size, width) = (150, 37, 64);
        let directions: Vec<(f64, f64)> =
            (0..count).map(|i| (i as f64 * std::f64::consts::PI / count as f64).sin_cos()).collect();
        let rows: Vec<[f32; LANES]> = (0..count * width)
            .map(|place| std::array::from_fn(|lane| ((place * 7 + lane * 13) % 29) as f32 / 29.0))
            .collect();
        let work = BackProjection { rows: &rows, width, directions: &directions, axis: 31.3, size };
        let found = device.back_project(&work).unwrap();
        for y in 0..size {
            for x in 0..size {
                for lane in 0..LANES {
                    let (found, wanted) = (f64::from(found[y * size + x][lane]), wanted(&work, x, y, lane));
                    assert!((found - wanted).abs() < 2e-3, "{found} is not {wanted} at {y}, {x}");
                }
            }
        }
        let short = BackProjection { rows: &rows[1..], ..work };
        assert!(matches!(device.back_project(&short), Err(Error::Mismatch(_))));
    }
}
