//! Settings of networks of three dimensions.

use super::{Settings, TaskKind};
use crate::network::{parse_dilations, parse_dilations_z};
use crate::{Error, Result};

impl Settings {
    /// Whether the network is applied to volumes.
    pub fn is_of_volumes(&self) -> bool {
        self.dimensions == 3
    }

    /// How many times as long as wide voxels are said to be; 1 where nobody says it.
    ///
    /// # Errors
    /// [`Error::Setting`] for a text that is no size of a voxel.
    pub(super) fn voxel_ratio(&self) -> Result<f64> {
        let Some(text) = &self.voxel_size else { return Ok(1.0) };
        let wanted = "it must be the size along z, y and x, such as 5,1,1, the last two equal";
        let wrong = || Error::setting("voxel_size", format!("'{text}'"), wanted);
        let sizes: Vec<f64> =
            text.split(',').map(|part| part.trim().parse().map_err(|_| wrong())).collect::<Result<_>>()?;
        let [z, y, x] = sizes[..] else { return Err(wrong()) };
        let usable = |size: f64| size.is_finite() && size > 0.0;
        if !(usable(z) && usable(y) && usable(x)) || (y / x - 1.0).abs() > 0.01 {
            return Err(wrong());
        }
        Ok(z / x)
    }

    /// The dilations along z: those that are given; or those within a slice, in units of its pixels, where voxels are longer than wide;
    /// none where both are the same.
    ///
    /// # Errors
    /// [`Error::Setting`] for a text that is no list, or no size of a voxel.
    pub(super) fn dilations_along_z(&self) -> Result<Vec<usize>> {
        let ratio = self.voxel_ratio()?;
        match &self.dilations_z {
            Some(list) => parse_dilations_z(list),
            None if ratio == 1.0 => Ok(Vec::new()),
            None => {
                let within = parse_dilations(&self.dilations)?;
                Ok(within.into_iter().map(|s| (s as f64 / ratio).round() as usize).collect())
            }
        }
    }

    /// Whether an axis may take the place of z, as voxels are as long as wide.
    pub(in crate::training) fn has_cubic_voxels(&self) -> bool {
        self.dilations_along_z().is_ok_and(|along_z| along_z.is_empty())
    }

    /// Checks what only networks of volumes have, and what they have not.
    pub(super) fn validate_volumes(&self) -> Result<()> {
        if !self.is_of_volumes() {
            let of_volumes =
                [("dilations_z", self.dilations_z.is_some()), ("voxel_size", self.voxel_size.is_some())];
            return of_volumes.into_iter().find(|(_, is_set)| *is_set).map_or(Ok(()), |(name, _)| {
                let wanted = "it is about volumes; give `dimensions` 3 too, or leave it out";
                Err(Error::setting(name, "given for images", wanted))
            });
        }
        if self.slices_of_targets.is_some() && self.task == TaskKind::Regress {
            let wanted = "give a target for each slice and leave this out, or choose 2 `dimensions`";
            return Err(Error::setting("slices_of_targets", "given for a regression of volumes", wanted));
        }
        let of_images = [
            ("slab", self.slab != 1),
            ("alone", self.alone),
            ("splits", !self.splits.is_empty()),
            ("factor", self.factor != 1),
        ];
        of_images.into_iter().find(|(_, is_set)| *is_set).map_or(Ok(()), |(name, _)| {
            let wanted = "networks of volumes do not take it yet; leave it out, or choose 2 `dimensions`";
            Err(Error::setting(name, "given for volumes", wanted))
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::training::{Settings, TaskKind};

    #[test]
    fn long_voxels_get_short_dilations_along_z() {
        let mut settings = Settings::new(TaskKind::Segment, "a", "b");
        settings.dimensions = 3;
        assert!(settings.architecture(1, 2).unwrap().dilations_z.is_empty() && settings.has_cubic_voxels());
        settings.voxel_size = Some("4, 0.5,0.5".into());
        // A ratio of 8: of 1 to 10 the first three are less than half a slice.
        let found = settings.architecture(1, 2).unwrap().dilations_z;
        assert_eq!(found, [0, 0, 0, 1, 1, 1, 1, 1, 1, 1]);
        assert!(!settings.has_cubic_voxels());
        settings.dilations_z = Some("1..2".into());
        assert_eq!(settings.architecture(1, 2).unwrap().dilations_z, [1, 2]);
        for wrong in ["1", "1,1", "0,1,1", "1,1,2", "a,1,1", "1,1,1,1", "inf,1,1"] {
            settings.voxel_size = Some(wrong.into());
            assert!(settings.validate().unwrap_err().to_string().contains("voxel_size"), "{wrong}");
        }
        settings.voxel_size = None;
        assert!(settings.validate().is_ok());
        settings.slab = 3;
        assert!(settings.validate().unwrap_err().to_string().contains("given for volumes"));
        (settings.slab, settings.dimensions) = (1, 2);
        assert!(settings.validate().unwrap_err().to_string().contains("`dimensions` 3"));
    }
}
