//! Numbers of any type that files have, as one type to compute with.

/// A number of any type as a float64, rounded where it has more digits.
pub(super) trait ToFloat: Copy {
    fn to_float(self) -> f64;
}

macro_rules! to_float {
    ($($type:ty),*) => {
        $(impl ToFloat for $type {
            fn to_float(self) -> f64 {
                self as f64
            }
        })*
    };
}

to_float!(u8, u16, u32, u64, i8, i16, i32, i64, f32, f64);

impl ToFloat for half::f16 {
    fn to_float(self) -> f64 {
        self.to_f64()
    }
}
