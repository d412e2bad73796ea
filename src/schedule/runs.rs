//! Room for several layers to be computed at once.
//!
//! An engine that computes consecutive layers of a block in one go, piece by piece of the image, reads sums around each piece that belong
//! to other pieces. So maps must not take the places of the sums that they were while these are still read.

use super::{Schedule, Step, pages};

/// Most layers inside a block that are computed at once; 1 for each by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayersAtOnce {
    /// In a forward pass.
    pub forward: usize,
    /// On the way back, where gradient maps share the planes of feature maps.
    pub backward: usize,
}

impl Schedule {
    /// The same schedule with each hidden channel's sum some planes further than its map, until it is complete, and that of its gradient
    /// map some planes before this, so that up to `layers` consecutive layers inside a block can be computed at once. Either takes planes
    /// for one layer less than that; for those of feature maps there is room already where gradient maps share planes.
    ///
    /// Nothing changes where fewer than three layers would be computed at once, which gains nothing, for volumes, where feature maps are
    /// halves, and where the planes would not fit one buffer of `max_page_bytes`.
    pub fn with_sums_apart(mut self, layers: LayersAtOnce, max_page_bytes: u64) -> Self {
        let width = self.architecture.width;
        let block = self.steps.iter().filter_map(|step| match step {
            Step::Convolve { outputs, first: true, .. } => Some(outputs.len() / width),
            _ => None,
        });
        let block = block.max().unwrap_or(0);
        let shift = |layers: usize| match layers.min(block) {
            fewer @ 3.. => (fewer - 1) * width,
            _ => 0,
        };
        let sum_shift = shift(layers.forward);
        let gradient_sum_shift = self.gradient_shift.map_or(0, |_| shift(layers.backward));
        let nothing = sum_shift == 0 && gradient_sum_shift == 0;
        if nothing || self.sums.is_some() || self.architecture.is_of_volumes() {
            return self;
        }
        let gradient_shift = self.gradient_shift.map(|shift| shift + gradient_sum_shift);
        let planes = self.architecture.channels() + sum_shift.max(gradient_shift.unwrap_or(0));
        let pages = pages("feature maps", 0..planes, &self.map_layout, self.shape.batch, max_page_bytes, 4);
        if let Ok(pages) = pages
            && pages.len() == 1
        {
            self.map_pages = pages;
            (self.sum_shift, self.gradient_shift) = (sum_shift, gradient_shift);
            self.gradient_sum_shift = gradient_sum_shift;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Extent, Shape};
    use crate::network::Architecture;
    use crate::schedule::{Options, Page};

    fn options(block: usize) -> Options {
        Options { block, max_page_bytes: u64::MAX, alignment: 16, share_planes: true, half_maps: false }
    }

    fn layers(forward: usize, backward: usize) -> LayersAtOnce {
        LayersAtOnce { forward, backward }
    }

    fn forward(architecture: &Architecture, options: &Options) -> Schedule {
        let shape = Shape { batch: 2, extent: Extent::plane(20, 30) };
        Schedule::forward(architecture, shape, options).unwrap()
    }

    /// A sum must lie in no plane of the maps that are written while it is read, those of the layers at once, nor in one of a finished map.
    #[test]
    fn sums_lie_in_planes_that_nothing_else_needs() {
        let architecture = Architecture { width: 2, ..Architecture::new(1, 2, 30) };
        for (layers, block, wanted) in [(5, 10, 8), (7, 20, 12), (7, 5, 8), (3, 3, 4)] {
            let plain = forward(&architecture, &options(block));
            let apart = plain.clone().with_sums_apart(self::layers(layers, 7), u64::MAX);
            assert_eq!((apart.sum_shift, apart.gradient_sum_shift), (wanted, 0));
            assert_eq!(apart.steps, plain.steps);
            let at_once = layers.min(block) * architecture.width;
            // The sums of all but the first layer of those at once, and the maps of all of them.
            assert!(architecture.width + apart.sum_shift >= at_once);
            assert_eq!(apart.map_pages[0].channels, 0..plain.map_pages[0].channels.end + wanted);
            assert!(apart.bytes() > plain.bytes());
        }
    }

    #[test]
    fn planes_of_training_have_room_already() {
        let architecture = Architecture { width: 2, ..Architecture::new(1, 2, 30) };
        let shape = Shape { batch: 2, extent: Extent::plane(20, 30) };
        let plain = Schedule::training(&architecture, shape, &options(10)).unwrap();
        let apart = plain.clone().with_sums_apart(layers(7, 1), u64::MAX);
        assert_eq!((&apart.map_pages, apart.sum_shift), (&plain.map_pages, 12));
        assert_eq!((apart.gradient_shift, apart.gradient_sum_shift), (Some(20), 0));
        // Those of gradients take planes of their own.
        let both = plain.clone().with_sums_apart(layers(7, 5), u64::MAX);
        assert_eq!(both.map_pages[0].channels, 0..61 + 20 + 8);
        assert_eq!((both.gradient_shift, both.gradient_sum_shift), (Some(28), 8));
        assert_eq!(both.keeps_map(20), plain.keeps_map(20));
        assert_eq!(both.keeps_map(21), plain.keeps_map(21));
        // A forward pass in these planes has its sums in the same places.
        let forward = plain.into_forward().with_sums_apart(layers(7, 5), u64::MAX);
        assert_eq!((&forward.map_pages, forward.sum_shift), (&both.map_pages, 12));
    }

    #[test]
    fn what_cannot_have_them_apart_stays_as_it_is() {
        let architecture = Architecture::new(1, 2, 30);
        let whole = forward(&architecture, &options(10));
        let number = |page: &Page| 4 * page.length as u64;
        let just_fits = number(&whole.map_pages[0]);
        let volumes = Architecture { dimensions: 3, ..architecture.clone() };
        let shape = Shape { batch: 1, extent: Extent::new(3, 9, 20) };
        let volumes = Schedule::forward(&volumes, shape, &options(10)).unwrap();
        let halves = forward(&architecture, &Options { half_maps: true, ..options(10) });
        for (schedule, at_once, most) in [
            (&whole, 5, just_fits),
            (&whole, 1, u64::MAX),
            (&whole, 2, u64::MAX),
            (&forward(&architecture, &options(2)), 5, u64::MAX),
            (&volumes, 5, u64::MAX),
            (&halves, 5, u64::MAX),
        ] {
            assert_eq!(schedule.clone().with_sums_apart(layers(at_once, at_once), most), *schedule);
        }
    }
}
