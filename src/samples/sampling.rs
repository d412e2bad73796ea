//! Which image, crop and symmetry the n-th draw of a training run takes.
//!
//! A draw depends on the seed and its number alone: a resumed run goes on with the draws that the
//! unbroken run would have made, on any number of threads.

use std::sync::{Mutex, PoisonError};

use ndarray::{Array3, Axis};
use rand_chacha::ChaCha8Rng;

use super::class_pixels::ClassPixels;
use super::item::Part;
use super::random::{Stream, below, permutation, stream, uniform};
use super::sample::Sample;
use super::symmetries::Symmetries;
use crate::error::{Error, Result};
use crate::geometry::{Extent, Symmetry, Turn, Upright, Window};

/// Draws before one that nobody wants is taken.
const MAX_TRIES: usize = 64;

/// What one draw takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// The image, as an index into the dataset.
    pub index: usize,
    /// The part of it, cut before turning; `None` for all of it.
    pub crop: Option<Window>,
    /// How it is turned.
    pub symmetry: Symmetry,
    /// Whether the slices of a slab or of a volume change places, the first with the last.
    pub exchanges_slices: bool,
    /// Of a volume, which axis becomes z, before slices are turned.
    pub upright: Upright,
    /// Whether slices stay slices where a volume is turned by any angle or bent.
    pub keeps_z: bool,
}

/// Pixels that some of the draws are placed about.
#[derive(Debug)]
struct Favoured {
    pixels: ClassPixels,
    /// The share of the draws about a pixel of a class that is drawn evenly, 0 to 1.
    rare: f64,
    /// That of the others which are about any labelled pixel.
    labelled: f64,
}

/// The endless series of draws of a training run.
#[derive(Debug)]
pub struct Sampler {
    sizes: Vec<Extent>,
    crop: Option<usize>,
    symmetries: Symmetries,
    seed: u64,
    favoured: Option<Favoured>,
    /// Slices that make up an image.
    slab: usize,
    /// The epoch drawn from last and its order, as neighbouring draws are mostly of one epoch.
    order: Mutex<Option<(u64, Vec<usize>)>>,
}

impl Sampler {
    /// Draws from images or volumes of the given sizes.
    ///
    /// With `crop`, each draw takes a random square of that side, or a cube; where an image is smaller, all of it in
    /// that direction. Each draw is turned by a random one of the `symmetries` (all for `true`, none for `false`): of those
    /// that keep the shape where the piece is not square, so that shapes stay equal over a batch.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for no images, [`Error::Setting`] for a crop of 0 pixels.
    pub fn new(
        sizes: Vec<Extent>,
        crop: Option<usize>,
        symmetries: impl Into<Symmetries>,
        seed: u64,
    ) -> Result<Self> {
        if sizes.is_empty() {
            return Err(Error::Mismatch("found no images to draw from, wanted at least one".into()));
        }
        if crop == Some(0) {
            return Err(Error::setting("crop", 0, "wanted at least 1 pixel; leave it out for whole images"));
        }
        let symmetries = symmetries.into();
        Ok(Sampler { sizes, crop, symmetries, seed, favoured: None, slab: 1, order: Mutex::new(None) })
    }

    /// Takes the share `rare` of the draws, 0 to 1, about a pixel of a class that is drawn evenly, in whichever image it is:
    /// so that rare classes are shown as often as others. Of all other draws the share `labelled` is about a labelled pixel, each
    /// equally likely: so that little is computed where nothing is labelled.
    ///
    /// The pixel is in the middle of the crop, or as near to it as the edge of the image allows.
    pub fn favouring(self, pixels: ClassPixels, rare: f64, labelled: f64) -> Self {
        Self { favoured: Some(Favoured { pixels, rare, labelled }), ..self }
    }

    /// Images are slabs of `slab` slices each.
    pub fn of_slabs(self, slab: usize) -> Self {
        Self { slab, ..self }
    }

    /// Bytes of what is known of the pixels of classes.
    pub fn bytes(&self) -> u64 {
        self.favoured.as_ref().map_or(0, |favoured| favoured.pixels.bytes())
    }

    /// The draws of one epoch, in which every image is drawn once.
    pub fn epoch_length(&self) -> usize {
        self.sizes.len()
    }

    /// The n-th draw of the run, counted from 0.
    ///
    /// # Errors
    /// Where classes are favoured, what comes of reading their pixels.
    pub fn draw(&self, n: u64) -> Result<Draw> {
        self.draw_from(&mut stream(self.seed, Stream::Draw, n), n)
    }

    /// As [`Sampler::draw`], but drawn anew until `wanted` says yes; after 64 in vain, the first.
    ///
    /// # Errors
    /// As [`Sampler::draw`], and the first error of `wanted`.
    pub fn draw_where(&self, n: u64, wanted: impl Fn(&Draw) -> Result<bool>) -> Result<Draw> {
        let mut random = stream(self.seed, Stream::Draw, n);
        for _ in 0..MAX_TRIES {
            let draw = self.draw_from(&mut random, n)?;
            if wanted(&draw)? {
                return Ok(draw);
            }
        }
        self.draw(n)
    }

    fn draw_from(&self, random: &mut ChaCha8Rng, n: u64) -> Result<Draw> {
        let favoured = match &self.favoured {
            Some(Favoured { pixels, rare, .. }) if uniform(random) < *rare => Some(pixels.draw(random)?),
            Some(Favoured { pixels, labelled, .. }) if *labelled > 0.0 && uniform(random) < *labelled => {
                Some(pixels.draw_any(random)?)
            }
            _ => None,
        };
        let index = favoured.map_or_else(|| self.index(n), |(index, ..)| index);
        let whole = self.sizes[index];
        let crop = self.crop.map(|side| {
            let cut = Extent::new(side.min(whole.z), side.min(whole.y), side.min(whole.x));
            let (z, y, x) = match favoured {
                Some((_, row, x)) => {
                    let about = |pixel: usize, length: usize, whole: usize| {
                        pixel.saturating_sub(length / 2).min(whole - length)
                    };
                    // Rows are those of all slices.
                    let (z, y) = (row / whole.y, row % whole.y);
                    (about(z, cut.z, whole.z), about(y, cut.y, whole.y), about(x, cut.x, whole.x))
                }
                None => {
                    // Of an image no number is drawn for the slice.
                    let z = if whole.z == 1 { 0 } else { below(random, whole.z - cut.z + 1) };
                    let y = below(random, whole.y - cut.y + 1);
                    (z, y, below(random, whole.x - cut.x + 1))
                }
            };
            Window::new(z..z + cut.z, y..y + cut.y, x..x + cut.x)
        });
        let shown = crop.map_or(whole, |crop| crop.extent);
        let symmetry = match &self.symmetries.of(shown.y == shown.x)[..] {
            [only] => *only,
            several => several[below(random, several.len())],
        };
        let several_slices = self.slab > 1 || whole.z > 1;
        let exchanges_slices = several_slices && self.symmetries.exchange_slices() && below(random, 2) == 1;
        let upright = match self.symmetries.uprights(shown) {
            [only] => *only,
            several => several[below(random, several.len())],
        };
        let keeps_z = !self.symmetries.mixes_axes();
        Ok(Draw { index, crop, symmetry, exchanges_slices, upright, keeps_z })
    }

    fn index(&self, n: u64) -> usize {
        let length = self.sizes.len();
        let epoch = n / length as u64;
        let place = (n % length as u64) as usize;
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        match order.as_ref() {
            Some((cached, order)) if *cached == epoch => order[place],
            _ => {
                let fresh = permutation(&mut stream(self.seed, Stream::Epoch, epoch), length);
                let index = fresh[place];
                *order = Some((epoch, fresh));
                index
            }
        }
    }
}

/// A slab `[slice and channel][y][x]` of `slab` slices, of which the first comes last.
pub fn with_slices_exchanged(image: &Array3<f32>, slab: usize) -> Array3<f32> {
    let channels = (image.dim().0 / slab.max(1)).max(1);
    let order: Vec<usize> =
        (0..image.dim().0).map(|at| (slab - 1 - at / channels) * channels + at % channels).collect();
    image.select(Axis(0), &order)
}

impl Draw {
    /// What becomes of a volume.
    pub(super) fn turn(&self) -> Turn {
        Turn { upright: self.upright, within: self.symmetry, reverses: self.exchanges_slices }
    }

    /// The part that is taken of an image of `whole`, before turning.
    pub(super) fn window(&self, whole: Extent) -> Window {
        self.crop.unwrap_or_else(|| Window::whole(whole))
    }
}

/// The piece of a sample that `draw` takes; `part` holds it.
///
/// # Panics
/// For a crop that does not lie inside the part.
pub(super) fn cut(part: &Part, draw: &Draw) -> Sample {
    let window = part.inside(&draw.window(part.whole_extent()));
    let sample = part.sample();
    let turn = if sample.slices > 1 {
        draw.turn()
    } else {
        // The slices of a slab are channels.
        Turn { within: draw.symmetry, ..Turn::IDENTITY }
    };
    sample.turned_part(&window, turn)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::collections::HashSet;

    use ndarray::Array2;

    use super::super::sample::Target;
    use super::*;

    #[test]
    fn image_target_and_weights_are_cut_alike() {
        let image = Array3::from_shape_fn((2, 7, 9), |(c, y, x)| (c * 100 + y * 9 + x) as f32);
        let classes = Array2::from_shape_fn((7, 9), |(y, x)| (y * 9 + x) as u32);
        let sampler = Sampler::new(vec![Extent::plane(7, 9)], Some(4), true, 5).unwrap();
        for n in 0..50 {
            let draw = sampler.draw(n).unwrap();
            let sample = Sample {
                slices: 1,
                name: "a".into(),
                image: image.clone(),
                target: Target::Classes(classes.clone()),
                group: None,
                weights: Some(classes.mapv(|class| class as f32)),
            };
            let piece = cut(&Part::whole(Cow::Borrowed(&sample)), &draw);
            assert!(piece.image.is_standard_layout());
            assert_eq!(piece.image.dim(), (2, 4, 4));
            let Target::Classes(target) = &piece.target else { panic!("wanted classes") };
            assert_eq!(piece.image.index_axis(Axis(0), 0), target.mapv(|v| v as f32));
            assert_eq!(piece.weights, Some(target.mapv(|v| v as f32)));
            let values = Sample { target: Target::Values(image.clone()), ..sample };
            assert_eq!(cut(&Part::whole(Cow::Borrowed(&values)), &draw).target, Target::Values(piece.image));
        }
    }

    #[test]
    fn draws_depend_on_seed_and_number_only() {
        let sizes = [(20, 30), (16, 16), (8, 40), (20, 20)].map(|(y, x)| Extent::plane(y, x)).to_vec();
        let sampler = Sampler::new(sizes.clone(), Some(16), true, 9).unwrap();
        let forward: Vec<_> = (0..40).map(|n| sampler.draw(n).unwrap()).collect();
        let again = Sampler::new(sizes.clone(), Some(16), true, 9).unwrap();
        for n in (0..40).rev() {
            assert_eq!(again.draw(n).unwrap(), forward[n as usize]);
        }
        let other = Sampler::new(sizes, Some(16), true, 10).unwrap();
        assert_ne!((0..40).map(|n| other.draw(n).unwrap()).collect::<Vec<_>>(), forward);
    }

    #[test]
    fn every_image_is_drawn_once_an_epoch_in_changing_order() {
        let sampler = Sampler::new(vec![Extent::plane(4, 4); 12], None, false, 1).unwrap();
        let epochs: Vec<Vec<usize>> = (0..3)
            .map(|epoch| (0..12).map(|n| sampler.draw(epoch * 12 + n).unwrap().index).collect())
            .collect();
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..12).collect::<Vec<_>>());
        }
        assert_ne!(epochs[0], epochs[1]);
        assert_eq!(sampler.draw(3).unwrap().crop, None);
        assert_eq!(sampler.draw(3).unwrap().symmetry, Symmetry::IDENTITY);
    }

    #[test]
    fn crops_reach_every_place_and_shrink_to_small_images() {
        let sampler = Sampler::new(vec![Extent::plane(5, 2)], Some(3), true, 2).unwrap();
        let draws: Vec<_> = (0..200).map(|n| sampler.draw(n).unwrap()).collect();
        let places: HashSet<_> = draws.iter().map(|draw| draw.crop.unwrap().y).collect();
        assert_eq!(places, HashSet::from([0, 1, 2]));
        for draw in &draws {
            let crop = draw.crop.unwrap();
            assert_eq!((crop.x, crop.extent), (0, Extent::plane(3, 2)));
            assert!(!draw.symmetry.transposes());
        }
        let square = Sampler::new(vec![Extent::plane(5, 5)], Some(3), true, 2).unwrap();
        let all: HashSet<_> = (0..200).map(|n| square.draw(n).unwrap().symmetry).collect();
        assert_eq!(all.len(), 8);
    }

    #[test]
    fn a_draw_that_is_not_wanted_is_drawn_anew() {
        let sampler =
            Sampler::new(vec![Extent::plane(40, 40), Extent::plane(40, 40)], Some(8), true, 5).unwrap();
        let left = |draw: &Draw| Ok(draw.crop.unwrap().x < 4);
        for n in 0..40 {
            let draw = sampler.draw_where(n, left).unwrap();
            assert!(left(&draw).unwrap() && draw.index == sampler.draw(n).unwrap().index);
            assert_eq!(sampler.draw_where(n, |_| Ok(true)).unwrap(), sampler.draw(n).unwrap());
            assert_eq!(sampler.draw_where(n, |_| Ok(false)).unwrap(), sampler.draw(n).unwrap());
        }
    }

    #[test]
    fn rare_classes_are_in_the_middle_of_their_share_of_the_crops() {
        // One pixel of class 1 in the second image, 30 pixels from either edge, and one of class 2 in a corner.
        let mut classes = vec![Array2::zeros((64, 64)), Array2::zeros((64, 64))];
        classes[1][[30, 33]] = 1;
        classes[1][[0, 63]] = 2;
        let sample = |target: Array2<u32>| Sample {
            slices: 1,
            name: "a".into(),
            image: Array3::zeros((1, 64, 64)),
            target: Target::Classes(target),
            group: None,
            weights: None,
        };
        let set = super::super::Dataset::unchecked(classes.into_iter().map(sample));
        let pixels = ClassPixels::of(&set).unwrap();
        let sampler =
            Sampler::new(set.sizes(), Some(16), true, 3).unwrap().favouring(pixels.clone(), 0.6, 0.0);
        let draws: Vec<_> = (0..3000).map(|n| sampler.draw(n).unwrap()).collect();
        let share = |y, x| {
            let crop = Some(Window::plane(y..y + 16, x..x + 16));
            draws.iter().filter(|d| d.index == 1 && d.crop == crop).count() as f64 / 3000.0
        };
        for share in [share(22, 25), share(0, 48)] {
            assert!((share - 0.2).abs() < 0.03, "{share}");
        }
        let whole = Sampler::new(set.sizes(), Some(16), true, 3).unwrap();
        let none = Sampler::new(set.sizes(), Some(16), true, 3).unwrap().favouring(pixels, 0.0, 0.0);
        assert!((0..50).all(|n| none.draw(n).unwrap().index == whole.draw(n).unwrap().index));
    }

    #[test]
    fn slabs_are_shown_either_way_up_where_all_symmetries_are_wanted() {
        let image = Array3::from_shape_fn((6, 1, 2), |(c, _, x)| (10 * c + x) as f32);
        let order =
            with_slices_exchanged(&image, 3).index_axis(Axis(2), 0).iter().copied().collect::<Vec<_>>();
        assert_eq!(order, [40.0, 50.0, 20.0, 30.0, 0.0, 10.0]);
        let exchanged = |symmetries: Symmetries, slab| {
            let sampler =
                Sampler::new(vec![Extent::plane(9, 9)], Some(4), symmetries, 5).unwrap().of_slabs(slab);
            (0..100).filter(|n| sampler.draw(*n).unwrap().exchanges_slices).count()
        };
        assert!((30..70).contains(&exchanged(Symmetries::All, 3)));
        assert_eq!((exchanged(Symmetries::All, 1), exchanged(Symmetries::Rotations, 3)), (0, 0));
        // What else is drawn stays as it is without slabs.
        let one = Sampler::new(vec![Extent::plane(9, 9)], Some(4), true, 5).unwrap();
        let of_slabs = Sampler::new(vec![Extent::plane(9, 9)], Some(4), true, 5).unwrap().of_slabs(3);
        for n in 0..20 {
            assert_eq!(one.draw(n).unwrap(), Draw { exchanges_slices: false, ..of_slabs.draw(n).unwrap() });
        }
    }

    #[test]
    fn nothing_to_draw_from_is_an_error() {
        assert!(Sampler::new(vec![], None, false, 0).is_err());
        assert!(Sampler::new(vec![Extent::plane(3, 3)], Some(0), false, 0).is_err());
    }
}
