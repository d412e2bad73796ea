//! Numbers of any type that files have, as one floating-point type to compute with.

/// A number of any type, rounded where the other type has fewer digits.
pub(super) trait ToFloat: Copy {
    fn to_float(self) -> f64;
    fn to_single(self) -> f32;
    /// Of a whole number, the same; of others the next one towards 0.
    fn to_whole(self) -> i128;
}

macro_rules! to_float {
    ($($type:ty),*) => {
        $(impl ToFloat for $type {
            fn to_float(self) -> f64 {
                self as f64
            }

            fn to_single(self) -> f32 {
                self as f32
            }

            fn to_whole(self) -> i128 {
                self as i128
            }
        })*
    };
}

to_float!(u8, u16, u32, u64, i8, i16, i32, i64, f32, f64);

impl ToFloat for half::f16 {
    fn to_float(self) -> f64 {
        self.to_f64()
    }

    fn to_single(self) -> f32 {
        self.to_f32()
    }

    fn to_whole(self) -> i128 {
        self.to_f64() as i128
    }
}

/// A type in which images are read.
pub(super) trait Real: Copy + Default {
    const BITS: u8;

    fn of(number: impl ToFloat) -> Self;
}

impl Real for f32 {
    const BITS: u8 = 32;

    fn of(number: impl ToFloat) -> Self {
        number.to_single()
    }
}

impl Real for f64 {
    const BITS: u8 = 64;

    fn of(number: impl ToFloat) -> Self {
        number.to_float()
    }
}

/// For whole numbers of 64 bits, of which floating-point numbers do not have all.
impl Real for i128 {
    const BITS: u8 = 128;

    fn of(number: impl ToFloat) -> Self {
        number.to_whole()
    }
}
