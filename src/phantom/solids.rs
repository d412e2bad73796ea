//! Phantoms in space: foam, a fibre composite and the head of Shepp and Logan, each as slices that are sums of ellipses.

use std::f64::consts::TAU;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::ellipses::{Ellipse, Section, radians};

/// Half of the diameter of foam and of composites, in halves of a slice's side.
const PIECE: f64 = 0.9;
/// Places that are tried for voids of foam, for each slice's side that it is high, and for a single slice.
const VOIDS_TRIED: (usize, usize) = (12_000, 3_000);
/// The most places that are tried.
const MOST_TRIED: usize = 40_000;
/// The largest and the smallest radius of a void.
const VOIDS: (f64, f64) = (0.2, 0.02);
/// What is left of material between two voids, at least.
const WALL: f64 = 0.01;
/// Places that are tried for fibres, and for the pores between them.
const FIBRES_TRIED: usize = 4_000;
const PORES_TRIED: usize = 2_000;
/// What matrix, coats and cores of fibres add up to.
const MATRIX: f64 = 0.6;
const COAT: f64 = 0.3;
const CORE: f64 = 1.0;
/// How much wider than its core a fibre is with its coat.
const COATED: f64 = 1.25;
/// How far fibres lean, at most: along x or y for each unit along z.
const LEAN: f64 = 0.1;

/// What a phantom shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PhantomKind {
    /// A round piece of material full of round voids.
    Foam,
    /// Coated fibres that lean a little, in a matrix with pores.
    Fibres,
    /// The head of Shepp and Logan, with the contrasts of Toft.
    SheppLogan,
}

/// An object in space, of which each slice is a sum of ellipses.
///
/// It is a function of its seed: the same on every machine of one floating-point library.
#[derive(Debug, Clone, PartialEq)]
pub struct Phantom {
    solids: Vec<Solid>,
    size: usize,
    slices: usize,
    spacing: f64,
}

/// A piece of a phantom; lengths as in [`Ellipse`], and z along the axis of rotation.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Solid {
    Ellipsoid {
        x: f64,
        y: f64,
        z: f64,
        semi_axes: [f64; 3],
        turn: f64,
        value: f64,
    },
    /// A round rod without ends, which is at x and y where z is 0.
    Rod {
        x: f64,
        y: f64,
        lean: (f64, f64),
        radius: f64,
        value: f64,
    },
}

impl Solid {
    fn sphere(x: f64, y: f64, z: f64, radius: f64, value: f64) -> Self {
        Self::Ellipsoid { x, y, z, semi_axes: [radius; 3], turn: 0.0, value }
    }

    fn section(&self, at: f64) -> Option<Ellipse> {
        match *self {
            Self::Ellipsoid { x, y, z, semi_axes: [a, b, c], turn, value } => {
                let left = 1.0 - ((at - z) / c).powi(2);
                let scale = left.max(0.0).sqrt();
                (scale > 0.0).then_some(Ellipse { x, y, semi_axes: (a * scale, b * scale), turn, value })
            }
            Self::Rod { x, y, lean: (right, down), radius, value } => {
                // A rod that leans is longer in a slice, along where it leans.
                let long = radius * (1.0 + right * right + down * down).sqrt();
                let turn = down.atan2(right);
                let (x, y) = (x + at * right, y + at * down);
                Some(Ellipse { x, y, semi_axes: (long, radius), turn, value })
            }
        }
    }
}

impl Phantom {
    /// A phantom of `slices` slices of `size` x `size` pixels, `spacing` pixels from each other. Values are from 0 (air) to 1.
    pub fn new(kind: PhantomKind, size: usize, slices: usize, spacing: f64, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Half of the height.
        let half = slices as f64 * spacing / size.max(1) as f64;
        let solids = match kind {
            PhantomKind::Foam => foam(half, size, &mut rng),
            PhantomKind::Fibres => fibres(half, &mut rng),
            PhantomKind::SheppLogan => shepp_logan(),
        };
        Self { solids, size, slices, spacing }
    }

    /// Rows and columns of a slice.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many slices there are.
    pub fn slices(&self) -> usize {
        self.slices
    }

    /// What stands in slice `number`, of which the first is 0.
    pub fn section(&self, number: usize) -> Section {
        let from_middle = number as f64 - (self.slices as f64 - 1.0) / 2.0;
        let at = 2.0 * self.spacing * from_middle / self.size.max(1) as f64;
        Section(self.solids.iter().filter_map(|solid| solid.section(at)).collect())
    }
}

fn foam(half: f64, size: usize, rng: &mut ChaCha8Rng) -> Vec<Solid> {
    let (largest, smallest) = (VOIDS.0, VOIDS.1.max(2.0 / size.max(1) as f64).min(VOIDS.0));
    let mut solids = vec![Solid::Rod { x: 0.0, y: 0.0, lean: (0.0, 0.0), radius: PIECE, value: 1.0 }];
    let mut voids: Vec<[f64; 4]> = Vec::new();
    let tried = (VOIDS_TRIED.1 + (VOIDS_TRIED.0 as f64 * half) as usize).min(MOST_TRIED);
    for attempt in 0..tried {
        // Large ones have their turn first and the limit falls, so that small ones fill the gaps.
        let limit = largest * (smallest / largest).powf(attempt as f64 / tried as f64);
        // The square root spreads the places evenly over the area.
        let distance = PIECE * rng.random::<f64>().sqrt();
        let (sine, cosine) = rng.random_range(0.0..TAU).sin_cos();
        let (x, y) = (distance * cosine, distance * sine);
        let z = rng.random_range(-1.0..1.0) * (half + limit);
        let nearest = voids
            .iter()
            .map(|&[ox, oy, oz, other]| {
                ((ox - x).powi(2) + (oy - y).powi(2) + (oz - z).powi(2)).sqrt() - other
            })
            .fold(PIECE - distance, f64::min);
        let radius = (nearest - WALL).min(limit * rng.random_range(0.7..1.0));
        if radius >= smallest && radius >= 0.5 * limit {
            voids.push([x, y, z, radius]);
        }
    }
    solids.extend(voids.into_iter().map(|[x, y, z, radius]| Solid::sphere(x, y, z, radius, -1.0)));
    solids
}

fn fibres(half: f64, rng: &mut ChaCha8Rng) -> Vec<Solid> {
    let mut solids = vec![Solid::Rod { x: 0.0, y: 0.0, lean: (0.0, 0.0), radius: PIECE, value: MATRIX }];
    let lean = (rng.random_range(-LEAN..LEAN), rng.random_range(-LEAN..LEAN));
    // So far the lean moves a fibre from the middle to an end.
    let moved = half * lean.0.hypot(lean.1);
    let mut taken: Vec<[f64; 3]> = Vec::new();
    let place = |rng: &mut ChaCha8Rng| {
        let distance = PIECE * rng.random::<f64>().sqrt();
        let (sine, cosine) = rng.random_range(0.0..TAU).sin_cos();
        (distance * cosine, distance * sine)
    };
    let fits = |taken: &[[f64; 3]], x: f64, y: f64, radius: f64, gap: f64| {
        x.hypot(y) + radius + moved < PIECE - gap
            && taken.iter().all(|[ox, oy, other]| (ox - x).hypot(oy - y) > radius + other + gap)
    };
    // Few thick ones first, and thinner ones between them.
    for attempt in 0..FIBRES_TRIED {
        let usual = if attempt < FIBRES_TRIED / 20 { 0.09 } else { 0.045 };
        let radius = usual * rng.random_range(0.85..1.15);
        let (x, y) = place(rng);
        if fits(&taken, x, y, COATED * radius, 0.004) {
            taken.push([x, y, COATED * radius]);
            let rod = |radius: f64, value: f64| Solid::Rod { x, y, lean, radius, value };
            solids.extend([rod(COATED * radius, COAT - MATRIX), rod(radius, CORE - COAT)]);
        }
    }
    for _ in 0..PORES_TRIED {
        let radius = rng.random_range(0.008..0.04);
        let long = radius * rng.random_range(2.0..8.0);
        let (x, y) = place(rng);
        let z = rng.random_range(-1.0..1.0) * (half + long);
        // Fibres are where they are at the pore's height, and move a little along it.
        let (right, down) = (lean.0 * z, lean.1 * z);
        let drift = long * lean.0.hypot(lean.1);
        if fits(&taken, x - right, y - down, radius + drift, 0.003) {
            taken.push([x - right, y - down, radius + drift]);
            let semi_axes = [radius, radius * rng.random_range(0.6..1.0), long];
            let turn = rng.random_range(0.0..TAU);
            solids.push(Solid::Ellipsoid { x, y, z, semi_axes, turn, value: -MATRIX });
        }
    }
    solids
}

/// The head of Shepp & Logan, IEEE Transactions on Nuclear Science 21(3), 1974, in space and with the contrasts of Toft, "The Radon
/// transform", 1996, so that what is inside can be seen.
fn shepp_logan() -> Vec<Solid> {
    // Value, half axes along x, y and z, the middle's x, y and z with y up, and degrees from x towards y.
    const TABLE: [[f64; 8]; 10] = [
        [1.0, 0.69, 0.92, 0.81, 0.0, 0.0, 0.0, 0.0],
        [-0.8, 0.6624, 0.874, 0.78, 0.0, -0.0184, 0.0, 0.0],
        [-0.2, 0.11, 0.31, 0.22, 0.22, 0.0, 0.0, -18.0],
        [-0.2, 0.16, 0.41, 0.28, -0.22, 0.0, 0.0, 18.0],
        [0.1, 0.21, 0.25, 0.41, 0.0, 0.35, -0.15, 0.0],
        [0.1, 0.046, 0.046, 0.05, 0.0, 0.1, 0.25, 0.0],
        [0.1, 0.046, 0.046, 0.05, 0.0, -0.1, 0.25, 0.0],
        [0.1, 0.046, 0.023, 0.05, -0.08, -0.605, 0.0, 0.0],
        [0.1, 0.023, 0.023, 0.02, 0.0, -0.606, 0.0, 0.0],
        [0.1, 0.023, 0.046, 0.02, 0.06, -0.605, 0.0, 0.0],
    ];
    let solid = |[value, a, b, c, x, y, z, degrees]: [f64; 8]| Solid::Ellipsoid {
        x,
        y: -y,
        z,
        semi_axes: [a, b, c],
        turn: -radians(degrees),
        value,
    };
    TABLE.map(solid).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phantoms_follow_their_seed_and_have_values_from_0_to_1() {
        for kind in [PhantomKind::Foam, PhantomKind::Fibres, PhantomKind::SheppLogan] {
            let phantom = Phantom::new(kind, 96, 5, 2.0, 3);
            assert_eq!(phantom, Phantom::new(kind, 96, 5, 2.0, 3));
            assert_ne!(phantom, Phantom::new(kind, 96, 6, 2.0, 4));
            for slice in 0..5 {
                let image = phantom.section(slice).image(96);
                let least = image.iter().copied().fold(f32::INFINITY, f32::min);
                let most = image.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                assert!(least > -1e-6 && most < 1.0 + 1e-6 && most > 0.9, "{kind:?}: {least} to {most}");
                assert_eq!(image[[0, 0]], 0.0);
            }
            assert_ne!(phantom.section(0), phantom.section(4), "{kind:?}");
        }
    }

    #[test]
    fn foam_is_half_empty_and_composites_are_full_of_fibres() {
        let share = |kind, least: f32, most: f32| {
            let image = Phantom::new(kind, 256, 3, 1.0, 1).section(1).image(256);
            let inside = image.iter().filter(|value| (least..most).contains(*value)).count();
            inside as f64 / (std::f64::consts::PI * 0.81 * 128.0 * 128.0)
        };
        let material = share(PhantomKind::Foam, 0.5, 1.1);
        assert!((0.3..0.8).contains(&material), "{material}");
        let cores = share(PhantomKind::Fibres, 0.95, 1.1);
        assert!((0.15..0.6).contains(&cores), "{cores}");
    }

    #[test]
    fn a_tall_piece_of_foam_has_voids_at_all_heights() {
        let phantom = Phantom::new(PhantomKind::Foam, 64, 64, 1.0, 2);
        let voids = |slice| phantom.section(slice).0.len() - 1;
        for slice in [0, 31, 63] {
            assert!(voids(slice) > 15, "{} voids in slice {slice}", voids(slice));
        }
    }

    #[test]
    fn the_brain_of_the_head_is_where_it_belongs() {
        let image = Phantom::new(PhantomKind::SheppLogan, 128, 1, 1.0, 0).section(0).image(128);
        let at =
            |x: f64, y: f64| image[[(63.5 - 64.0 * y).round() as usize, (63.5 + 64.0 * x).round() as usize]];
        for (x, y, wanted) in [(0.0, 0.9, 1.0), (0.0, 0.35, 0.3), (0.22, 0.0, 0.0), (0.4, -0.4, 0.2)] {
            assert!((at(x, y) - wanted).abs() < 1e-6, "{} at {x}, {y}", at(x, y));
        }
    }
}
