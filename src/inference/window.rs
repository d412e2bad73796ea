//! A part of an image that somebody looks at.

use ndarray::{Array3, s};

use super::predictor::{Predictor, softmax};
use crate::error::{Error, Result};
use crate::geometry::{Extent, Window};
use crate::watcher::Flow;

impl Predictor {
    /// The probability of each class in the part `window` of an image, `[class][y][x]`, as [`Predictor::probabilities`] gives it for the
    /// whole; only what the part depends on is computed.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a part that is not in the image, else as [`Predictor::probabilities`].
    pub fn probabilities_in(&mut self, image: &Array3<f32>, window: &Window) -> Result<Array3<f32>> {
        self.check_task(true)?;
        Ok(softmax(self.outputs_in(image, window)?))
    }

    /// The predicted values in the part `window` of an image, `[channel][y][x]`, as [`Predictor::values`] gives them for the whole; only
    /// what the part depends on is computed.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a part that is not in the image, else as [`Predictor::values`].
    pub fn values_in(&mut self, image: &Array3<f32>, window: &Window) -> Result<Array3<f32>> {
        self.check_task(false)?;
        let outputs = self.outputs_in(image, window)?;
        Ok(self.in_target_units(outputs))
    }

    /// The network's outputs in the part `window` of an image.
    fn outputs_in(&mut self, image: &Array3<f32>, window: &Window) -> Result<Array3<f32>> {
        let (_, height, width) = image.dim();
        if window.is_empty() || !window.fits(Extent::plane(height, width)) {
            let Window { y, x, extent, .. } = window;
            return Err(Error::Mismatch(format!(
                "the image has {width} x {height} pixels, without a part of {} x {} at row {y}, column {x}; choose one inside",
                extent.x, extent.y
            )));
        }
        let halo = self.model().architecture.halo();
        let (rows, columns) = (window.rows(), window.columns());
        let around = |part: &std::ops::Range<usize>, length: usize| {
            part.start.saturating_sub(halo)..part.end.saturating_add(halo).min(length)
        };
        let (with_rows, with_columns) = (around(&rows, height), around(&columns, width));
        let measured = match self.model().input.of_set() {
            Some(_) => None,
            None => Some(self.model().input.of(image.view()).into_owned()),
        };
        let seen = image.slice(s![.., with_rows.clone(), with_columns.clone()]).to_owned();
        let outputs = self.outputs_normalised(&seen, 1, measured.as_ref(), &mut |_| Flow::Continue(()))?;
        let top = rows.start - with_rows.start;
        let left = columns.start - with_columns.start;
        let part = s![.., top..top + window.extent.y, left..left + window.extent.x];
        Ok(outputs.slice(part).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices;
    use crate::network::{
        Architecture, Class, InputNormalisation, Measure, Model, Normalisation, Task, initialise,
    };

    #[test]
    fn a_part_is_what_it_is_in_the_whole() {
        let architecture = Architecture { stem: "1,2".parse().unwrap(), ..Architecture::new(1, 2, 3) };
        let classes = [0, 1].map(|value| Class { value, name: value.to_string() }).to_vec();
        let model = Model {
            parameters: initialise(&architecture, 7),
            architecture,
            task: Task::Segment { classes },
            input: InputNormalisation::PerImage { per_image: Measure::MeanDeviation },
            target: None,
            slab: 1,
            self_supervised: None,
            upscaling: None,
            provenance: Default::default(),
        };
        let mut predictor = Predictor::new(model, &devices::choose("cpu").unwrap(), None).unwrap();
        let image =
            Array3::from_shape_fn((1, 70, 90), |(_, y, x)| (y * 31 + x * 17 + y * x % 7) as f32 % 50.0);
        let whole = predictor.probabilities(&image).unwrap();
        for window in
            [Window::plane(0..10, 0..90), Window::plane(30..41, 50..63), Window::plane(69..70, 89..90)]
        {
            let part = predictor.probabilities_in(&image, &window).unwrap();
            let wanted = whole.slice(s![.., window.rows(), window.columns()]);
            let most = part.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(most < 1e-5, "{window:?}: {most}");
        }
        assert!(predictor.probabilities_in(&image, &Window::plane(60..71, 0..5)).is_err());
        // Of values the same, and neither is taken for the other.
        let window = Window::plane(30..41, 50..63);
        assert!(predictor.values_in(&image, &window).is_err());
        let target = Some(Normalisation { mean: vec![5.0, 6.0], deviation: vec![2.0, 3.0] });
        let model = Model { task: Task::Regress, target, ..predictor.model().clone() };
        let mut predictor = Predictor::new(model, &devices::choose("cpu").unwrap(), None).unwrap();
        let whole = predictor.values(&image).unwrap();
        let part = predictor.values_in(&image, &window).unwrap();
        let wanted = whole.slice(s![.., window.rows(), window.columns()]);
        let most = part.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(most < 1e-4, "{most}");
        assert!(predictor.probabilities_in(&image, &window).is_err());
    }
}
