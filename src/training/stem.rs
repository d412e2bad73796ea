//! The stem of a network: how much its responses vary on the training images.

use log::info;

use crate::Result;
use crate::devices::Device;
use crate::engine::{Images, Plane};
use crate::geometry::{Extent, Shape, Window};
use crate::network::{Architecture, Model, ParameterLayout, initialise};
use crate::samples::Dataset;

/// Images that are looked at, evenly among all.
const MOST_IMAGES: usize = 16;
/// Rows and columns of what is looked at of each, in its middle.
const MOST_PIXELS: usize = 512;

/// The mean and the deviation of numbers as they come.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, values: &[f32]) {
        self.count += values.len() as f64;
        for &value in values {
            self.sum += f64::from(value);
            self.squares += f64::from(value).powi(2);
        }
    }

    /// What to subtract and to multiply by, for a mean of 0 and a deviation of 1.
    fn change(self) -> [f32; 2] {
        let mean = self.sum / self.count.max(1.0);
        let deviation = (self.squares / self.count.max(1.0) - mean * mean).max(0.0).sqrt();
        // A response that is the same everywhere says nothing, whatever it is multiplied by.
        let factor = if deviation > 1e-6 { 1.0 / deviation } else { 1.0 };
        [mean as f32, factor as f32]
    }
}

/// Sets the shifts and factors of the stem's responses by the normalised images of `training`. They are computed on the processor,
/// so that they are the same whatever the network is trained on.
///
/// # Errors
/// What comes of reading the images, and of a lack of memory.
pub(super) fn measure(model: &mut Model, training: &Dataset) -> Result<()> {
    let architecture = &model.architecture;
    if architecture.stem.is_none() {
        return Ok(());
    }
    let shallow = Architecture { depth: 1, width: 1, outputs: 1, dilations: vec![1], ..architecture.clone() };
    let mut engine = Device::cpu().open(&shallow, &initialise(&shallow, 0))?;
    let responses = architecture.inputs..architecture.stem_channels();
    let mut moments = vec![Moments::default(); responses.len()];
    let items = training.items();
    for item in items.iter().step_by(items.len().div_ceil(MOST_IMAGES).max(1)) {
        let Extent { y, x, .. } = item.extent();
        let middle = |length: usize| {
            let taken = length.min(MOST_PIXELS);
            (length - taken) / 2..(length - taken) / 2 + taken
        };
        let window = Window::plane(middle(y), middle(x));
        let part = item.cut(window, item.name().to_owned());
        let pixels = part.sample()?.image.iter().copied().collect();
        engine.forward(&Images { shape: Shape { batch: 1, extent: window.extent }, pixels })?;
        for (channel, moments) in responses.clone().zip(&mut moments) {
            moments.add(&engine.read_plane(Plane::Map(channel), 0)?);
        }
    }
    let layout = ParameterLayout::of(architecture);
    let changes = moments.into_iter().flat_map(Moments::change);
    model.parameters[layout.stem()]
        .iter_mut()
        .zip(changes)
        .for_each(|(parameter, change)| *parameter = change);
    info!("in front of the layers: filters of {} pixels (`stem`)", architecture.stem);
    Ok(())
}
