//! What this processor can do at best: the yardstick for the kernels.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use super::lanes::{Instructions, Kernel, Lanes, run};

/// Independent sums, enough to fill the pipelines of two multiply-add units.
const SUMS: usize = 12;
/// Rounds of all sums in one run of the loop: tens of milliseconds, so that all threads are at work for most of it.
const ROUNDS: usize = 10_000_000;
/// Repetitions; the best counts.
const REPEATS: usize = 5;
/// Bytes that each thread copies: far more than its cache.
const COPY_BYTES: usize = 64 << 20;

struct MultiplyAdds<'a> {
    result: &'a mut f32,
    operations: &'a mut f64,
}

impl Kernel for MultiplyAdds<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            let factor = L::splat(black_box(0.999_999));
            let more = L::splat(black_box(1e-9));
            let mut sums = [L::splat(1.0); SUMS];
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = sum.multiply_add(factor, more);
                }
            }
            *self.result = sums.into_iter().map(|sum| sum.sum()).sum();
            *self.operations = (2 * SUMS * ROUNDS * L::COUNT) as f64;
        }
    }
}

/// Float32 operations a second of multiply-adds in registers, all threads together.
pub fn multiply_add_peak() -> f64 {
    let instructions = Instructions::best();
    best_of(|| {
        let threads = rayon::current_num_threads();
        let operations = (0..threads).into_par_iter().map(|_| {
            let (mut result, mut operations) = (0.0, 0.0);
            run(instructions, MultiplyAdds { result: &mut result, operations: &mut operations });
            black_box(result);
            operations
        });
        operations.sum()
    })
}

/// Bytes a second of a copy through memory, reading and writing counted, all threads together.
pub fn copy_peak() -> f64 {
    let threads = rayon::current_num_threads();
    let from = vec![1u8; COPY_BYTES * threads];
    let mut to = vec![0u8; COPY_BYTES * threads];
    best_of(|| {
        to.par_chunks_mut(COPY_BYTES)
            .zip(from.par_chunks(COPY_BYTES))
            .for_each(|(to, from)| to.copy_from_slice(from));
        black_box(&to);
        2.0 * from.len() as f64
    })
}

/// The best rate of a few runs; `work` gives what it did.
fn best_of(mut work: impl FnMut() -> f64) -> f64 {
    (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            let done = work();
            done / start.elapsed().as_secs_f64()
        })
        .fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_those_of_a_processor() {
        // From a small board to a large server; a loop that was optimised away would be far above.
        let (operations, bytes) = (multiply_add_peak(), copy_peak());
        assert!((1e8..1e14).contains(&operations), "{operations}");
        assert!((1e8..1e13).contains(&bytes), "{bytes}");
    }
}
