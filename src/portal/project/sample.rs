//! Made-up images for a project that denoises, to try everything.

use ndarray::{Array2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::Project;
use super::about::Came;
use super::images::Place;
use super::purpose::{LearnsFrom, Role};
use crate::images::write_tiff_f32;
use crate::phantom::shapes;
use crate::portal::tiles::pages_of;
use crate::{Error, Result};

/// Enough that some can be set aside for the score.
const IMAGES: u64 = 6;
const SIZE: usize = 256;
const NOISE: f32 = 0.15;

impl Project {
    /// Adds made-up images for what the project learns from: noisy ones with or without clean ones, or two recordings.
    ///
    /// # Errors
    /// As [`Project::add`]; [`Error::Output`].
    pub(super) fn add_noisy_sample(&self) -> Result<Vec<String>> {
        let roles: &[Role] = match self.purpose().1 {
            LearnsFrom::Alone => &[Role::Noisy],
            LearnsFrom::Pairs => &[Role::Noisy, Role::Clean],
            LearnsFrom::Splits => &[Role::Split(1), Role::Split(2)],
        };
        let mut ids = Vec::new();
        for (number, role) in (0..).zip(roles) {
            let folder = self.folder.join("images").join(role.to_string());
            std::fs::create_dir_all(&folder).map_err(|error| {
                Error::output(&folder, format!("the folder cannot be made: {error}")).caused_by(error)
            })?;
            for seed in 1..=IMAGES {
                let path = folder.join(format!("sample-{seed}.tif"));
                if !path.exists() {
                    let clean = shapes::phantom(SIZE, 0.0, seed).image;
                    let image = if *role == Role::Clean { clean } else { noisy(clean, seed + 100 * number) };
                    write_tiff_f32(&path, &image.insert_axis(Axis(0)))?;
                }
                let pages = pages_of(&path.display().to_string(), false)?;
                ids.push(self.add_image(Place::of(&pages), pages, Came::Copied, Some(*role))?);
            }
        }
        Ok(ids)
    }
}

fn noisy(mut image: Array2<f32>, seed: u64) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    image.mapv_inplace(|value| {
        let normal: f32 = StandardNormal.sample(&mut rng);
        value + NOISE * normal
    });
    image
}
