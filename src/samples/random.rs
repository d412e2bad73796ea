//! Random numbers that depend on a seed, a use and a number alone.
//!
//! They are counted off here from the ChaCha8 stream and not by a library's shuffle, whose order may change with its
//! version.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Keeps the streams for different uses of one seed apart.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    Epoch = 1,
    Draw = 2,
    Split = 3,
    Augmentation = 4,
    BlindSpots = 5,
    BlindSpotsToJudge = 6,
    CoarseNoise = 7,
    CoarseNoiseToJudge = 8,
}

/// The random numbers for one use of `seed`.
pub(super) fn stream(seed: u64, stream: Stream, number: u64) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(stream as u64).to_le_bytes());
    key[16..24].copy_from_slice(&number.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// A random number below `bound`, each equally likely.
pub(super) fn below(random: &mut ChaCha8Rng, bound: usize) -> usize {
    let bound = bound as u64;
    // Numbers past the last whole multiple of the bound would favour the small ones.
    let usable = u64::MAX - u64::MAX % bound;
    loop {
        let number = random.next_u64();
        if number < usable {
            return (number % bound) as usize;
        }
    }
}

/// A random number from 0 to below 1, each multiple of 2^-53 equally likely.
pub(super) fn uniform(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// The numbers below `count` in random order.
pub(super) fn permutation(random: &mut ChaCha8Rng, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, below(random, last + 1));
    }
    order
}
