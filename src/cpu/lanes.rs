//! A register full of neighbouring columns, for each instruction set that is worth a variant.
//!
//! A default build must run on any processor of its family and still use what it has, so kernels are
//! generic over [`Lanes`], compiled once for each instruction set, and chosen when the program runs.

use std::sync::OnceLock;

/// The instruction sets that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instructions {
    /// What every processor of this build's family has.
    Baseline,
    /// AVX2 and fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F and VL. Without VL the compiler keeps sums that end in narrower registers among the first sixteen only,
    /// and spills the others.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Instructions {
    /// The widest that this machine has. `MSD_GPU_INSTRUCTIONS=baseline` or `avx2` asks for less, for tests.
    pub(super) fn best() -> Self {
        static BEST: OnceLock<Instructions> = OnceLock::new();
        *BEST.get_or_init(|| {
            let wish = std::env::var("MSD_GPU_INSTRUCTIONS").unwrap_or_default();
            Self::available(&wish)
        })
    }

    #[cfg(target_arch = "x86_64")]
    fn available(wish: &str) -> Self {
        if wish == "baseline" || !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
            Instructions::Baseline
        } else if wish == "avx2"
            || !(is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl"))
        {
            Instructions::Avx2
        } else {
            Instructions::Avx512
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn available(_wish: &str) -> Self {
        Instructions::Baseline
    }

    /// The name for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Instructions::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => "AVX-512",
        }
    }
}

/// Work that is compiled for every instruction set. `run` must be `#[inline(always)]`, so that it becomes part
/// of the function that has the instructions.
pub(super) trait Kernel {
    /// Does the work.
    ///
    /// # Safety
    /// The processor must have the instructions of `L`.
    unsafe fn run<L: Lanes>(self);
}

/// Runs `kernel` with the given instructions.
pub(super) fn run(instructions: Instructions, kernel: impl Kernel) {
    // SAFETY: `Instructions` beyond the baseline are only made after the processor was asked for them.
    match instructions {
        #[cfg(target_arch = "x86_64")]
        Instructions::Baseline => unsafe { kernel.run::<std::arch::x86_64::__m128>() },
        #[cfg(not(target_arch = "x86_64"))]
        Instructions::Baseline => unsafe { kernel.run::<Portable>() },
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => unsafe { x86::run_avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => unsafe { x86::run_avx512(kernel) },
    }
}

/// A register of float32 numbers.
///
/// All methods are unsafe because the processor must have the instructions, and those that take a pointer
/// because it must be good for [`Lanes::COUNT`] numbers.
#[allow(clippy::missing_safety_doc)]
pub(super) trait Lanes: Copy {
    /// Numbers in the register.
    const COUNT: usize;
    /// Most rows of a tile with three sums for each, so that sums, weights and a load fit the register file.
    const TILE_ROWS: usize;
    /// Registers side by side in a tile of several channels.
    const TILE_COLUMNS: usize;
    /// Most channels of such a tile.
    const TILE_CHANNELS: usize;
    /// Feature maps whose nine filter gradients are summed at once.
    const TILE_MAPS: usize;
    /// Sums that fit the register file beside three weights and a load, a multiple of 12.
    const SUMS: usize;

    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn splat(value: f32) -> Self;
    /// `self * factor + sum`.
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    /// The larger of 0 and each number; NaN stays NaN.
    unsafe fn relu(self) -> Self;
    /// The sum of all numbers, in a fixed order.
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let mut numbers = [0.0f32; 16];
        unsafe { self.store(numbers.as_mut_ptr()) };
        let mut half = Self::COUNT / 2;
        while half > 0 {
            for i in 0..half {
                numbers[i] += numbers[i + half];
            }
            half /= 2;
        }
        numbers[0]
    }
    /// Starts to bring a cache line into the nearest cache; `from` may point anywhere.
    #[inline(always)]
    unsafe fn fetch_soon(_from: *const f32) {}
}

/// Four numbers that the compiler turns into whatever the build's baseline has, such as NEON.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; 4]);

#[cfg(not(target_arch = "x86_64"))]
impl Lanes for Portable {
    const COUNT: usize = 4;
    const TILE_ROWS: usize = 4;
    const TILE_COLUMNS: usize = 2;
    const TILE_CHANNELS: usize = 4;
    const TILE_MAPS: usize = 1;
    const SUMS: usize = 12;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { Self(from.cast::<[f32; 4]>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
        // Where the baseline has no fused instruction, `mul_add` would be a call into the maths library.
        let fused = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
        Self(std::array::from_fn(|i| {
            if fused { self.0[i].mul_add(factor.0[i], sum.0[i]) } else { self.0[i] * factor.0[i] + sum.0[i] }
        }))
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    unsafe fn relu(self) -> Self {
        Self(self.0.map(|v| if v < 0.0 { 0.0 } else { v }))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Kernel, Lanes};

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn run_avx2(kernel: impl Kernel) {
        unsafe { kernel.run::<__m256>() }
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    pub(super) unsafe fn run_avx512(kernel: impl Kernel) {
        unsafe { kernel.run::<__m512>() }
    }

    // Every processor of this family has SSE2. Left to the compiler, sums were taken apart into single numbers and spilled.
    impl Lanes for __m128 {
        const COUNT: usize = 4;
        const TILE_ROWS: usize = 4;
        const TILE_COLUMNS: usize = 2;
        const TILE_CHANNELS: usize = 4;
        const TILE_MAPS: usize = 1;
        const SUMS: usize = 12;

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { _mm_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { _mm_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
            unsafe { _mm_add_ps(_mm_mul_ps(self, factor), sum) }
        }

        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // The second operand is returned when one of them is NaN.
            unsafe { _mm_max_ps(_mm_setzero_ps(), self) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { _mm_add_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn fetch_soon(from: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
        }
    }

    impl Lanes for __m256 {
        const COUNT: usize = 8;
        const TILE_ROWS: usize = 4;
        const TILE_COLUMNS: usize = 2;
        const TILE_CHANNELS: usize = 4;
        const TILE_MAPS: usize = 1;
        const SUMS: usize = 12;

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { _mm256_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm256_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { _mm256_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
            unsafe { _mm256_fmadd_ps(self, factor, sum) }
        }

        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // The second operand is returned when one of them is NaN.
            unsafe { _mm256_max_ps(_mm256_setzero_ps(), self) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { _mm256_add_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn fetch_soon(from: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
        }
    }

    impl Lanes for __m512 {
        const COUNT: usize = 16;
        const TILE_ROWS: usize = 6;
        const TILE_COLUMNS: usize = 4;
        const TILE_CHANNELS: usize = 6;
        const TILE_MAPS: usize = 2;
        const SUMS: usize = 24;

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { _mm512_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
            unsafe { _mm512_fmadd_ps(self, factor, sum) }
        }

        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // The second operand is returned when one of them is NaN.
            unsafe { _mm512_max_ps(_mm512_setzero_ps(), self) }
        }

        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            unsafe { _mm512_reduce_add_ps(self) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { _mm512_add_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn fetch_soon(from: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
        }
    }
}
