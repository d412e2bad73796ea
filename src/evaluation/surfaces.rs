//! How far the surfaces of classes are apart: of each image or volume, and of all of them together.

use ndarray::{Array2, Axis};

use super::judge::{Found, Judge};
use super::scores::Evaluation;
use crate::Result;
use crate::geometry::as_volume;
use crate::metrics::{SurfaceDistance, surface_distances};
use crate::network::Task;
use crate::samples::Target;

impl Judge {
    /// The distances of each class of a sample of so many slices; none where that is not wanted, and of values.
    ///
    /// # Errors
    /// As [`surface_distances`].
    pub(super) fn surfaces(
        &self,
        target: &Target,
        found: &Found,
        slices: usize,
    ) -> Result<Vec<Option<SurfaceDistance>>> {
        let (Some(size), Task::Segment { classes }) = (self.measures.surfaces, &self.task) else {
            return Ok(Vec::new());
        };
        let (Target::Classes(target), Found::Classes(found)) = (target, found) else { return Ok(Vec::new()) };
        let volume = |classes: &Array2<u32>| {
            let classes = classes.as_standard_layout();
            as_volume(classes.view().insert_axis(Axis(0)), slices).index_axis_move(Axis(0), 0).to_owned()
        };
        surface_distances(volume(target).view(), volume(found).view(), classes.len(), size)
    }
}

impl Evaluation {
    /// How far the surfaces of each class are apart: the means over the images that hold it in target and prediction, and how many these are.
    /// Empty where that was not asked for.
    pub fn surfaces(&self) -> Vec<(Option<SurfaceDistance>, usize)> {
        let classes = self.image_scores.iter().map(|image| image.surfaces.len()).max().unwrap_or(0);
        let of_class = |class: usize| {
            let all: Vec<SurfaceDistance> =
                self.image_scores.iter().filter_map(|image| *image.surfaces.get(class)?).collect();
            let mean = |of: fn(&SurfaceDistance) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
            let mean = (!all.is_empty()).then(|| SurfaceDistance {
                mean: mean(|one| one.mean),
                percentile_95: mean(|one| one.percentile_95),
            });
            (mean, all.len())
        };
        (0..classes).map(of_class).collect()
    }
}
