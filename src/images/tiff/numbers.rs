//! The bytes of one row of a strip or tile to the numbers that they stand for.

/// An unsigned number of 8, 16, 32 or 64 bits: the bits of one sample, of whatever type they are.
pub(super) trait Word: Copy + Default {
    /// The word whose bytes, the most significant first, are `bytes`.
    fn from_big_endian(bytes: &[u8]) -> Self;
    /// The word whose bytes, the least significant first, are `bytes`.
    fn from_little_endian(bytes: &[u8]) -> Self;
    /// The low bits of `value`.
    fn truncated(value: u32) -> Self;
    /// The sum, without what does not fit.
    fn plus(self, other: Self) -> Self;
}

macro_rules! words {
    ($($word:ty),*) => {$(
        impl Word for $word {
            fn from_big_endian(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<$word>()];
                own.copy_from_slice(bytes);
                Self::from_be_bytes(own)
            }

            fn from_little_endian(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<$word>()];
                own.copy_from_slice(bytes);
                Self::from_le_bytes(own)
            }

            fn truncated(value: u32) -> Self {
                value as Self
            }

            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
        }
    )*};
}

words!(u8, u16, u32, u64);

/// What was done to the numbers of a row before it was compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Predictor {
    None,
    /// Each number is the difference to the one before it of the same channel.
    Horizontal,
    /// As `Horizontal`, of the bytes of floating-point numbers: first the most significant bytes of all, then the next.
    FloatingPoint,
}

/// How the numbers of a row are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowFormat {
    pub(super) predictor: Predictor,
    /// Bits of one number.
    pub(super) bits: usize,
    /// Numbers that belong to one pixel, one after the other.
    pub(super) samples: usize,
    /// Whether the most significant byte comes first, in numbers of whole bytes.
    pub(super) big_endian: bool,
}

impl RowFormat {
    /// The bytes of a row of `count` numbers; rows begin with a new byte.
    pub(super) fn row_bytes(&self, count: usize) -> usize {
        (count * self.bits).div_ceil(8)
    }

    /// Puts the numbers of `row` into `numbers`, as many as there are. `row` is used up.
    pub(super) fn read<W: Word>(&self, row: &mut Vec<u8>, numbers: &mut [W]) {
        let bytes = self.bits / 8;
        if !self.bits.is_multiple_of(8) {
            return unpack(row, self.bits, numbers);
        }
        if self.predictor == Predictor::FloatingPoint {
            integrate(row, self.samples);
            *row = together(row, bytes);
        }
        let big_endian = self.big_endian || self.predictor == Predictor::FloatingPoint;
        for (number, bytes) in numbers.iter_mut().zip(row.chunks_exact(bytes)) {
            *number = if big_endian { W::from_big_endian(bytes) } else { W::from_little_endian(bytes) };
        }
        if self.predictor == Predictor::Horizontal {
            integrate(numbers, self.samples);
        }
    }
}

/// Makes numbers of the differences to the number `samples` before each.
fn integrate<W: Word>(row: &mut [W], samples: usize) {
    for at in samples..row.len() {
        row[at] = row[at].plus(row[at - samples]);
    }
}

/// The bytes of each number one after the other, of a row that has the first bytes of all numbers, then the second.
fn together(row: &[u8], bytes: usize) -> Vec<u8> {
    let count = row.len() / bytes;
    (0..count).flat_map(|number| (0..bytes).map(move |byte| row[byte * count + number])).collect()
}

/// Takes numbers of up to 16 bits apart that are packed from the most significant bit of each byte on.
fn unpack<W: Word>(row: &[u8], bits: usize, numbers: &mut [W]) {
    for (number, value) in numbers.iter_mut().enumerate() {
        let first = number * bits;
        // A number of 16 bits at most lies in three bytes at most.
        let byte = |n: usize| u32::from(row.get(first / 8 + n).copied().unwrap_or(0));
        let three = byte(0) << 24 | byte(1) << 16 | byte(2) << 8;
        *value = W::truncated((three << (first % 8)) >> (32 - bits));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: RowFormat = RowFormat { predictor: Predictor::None, bits: 8, samples: 1, big_endian: false };

    fn read<W: Word>(format: RowFormat, row: &[u8], count: usize) -> Vec<W> {
        let mut numbers = vec![W::default(); count];
        format.read(&mut row.to_vec(), &mut numbers);
        numbers
    }

    #[test]
    fn whole_bytes_in_both_orders() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(read::<u8>(PLAIN, &bytes, 3), [1, 2, 3]);
        let little = |bits| RowFormat { bits, ..PLAIN };
        let big = |bits| RowFormat { bits, big_endian: true, ..PLAIN };
        assert_eq!(read::<u16>(little(16), &bytes, 2), [0x0201, 0x0403]);
        assert_eq!(read::<u16>(big(16), &bytes, 2), [0x0102, 0x0304]);
        assert_eq!(read::<u32>(big(32), &bytes, 2), [0x0102_0304, 0x0506_0708]);
        assert_eq!(read::<u64>(little(64), &bytes, 1), [0x0807_0605_0403_0201]);
    }

    #[test]
    fn packed_bits_of_every_width_in_any_byte_order() {
        for bits in (1..16).filter(|bits| bits % 8 != 0) {
            let largest = (1_u32 << bits) - 1;
            let numbers: Vec<u16> = (0..11).map(|n| ((n * 40_503 + 12_345) & largest) as u16).collect();
            let mut text: String = numbers.iter().map(|n| format!("{n:00$b}", bits)).collect();
            text.extend(std::iter::repeat_n('0', (8 - text.len() % 8) % 8));
            let row: Vec<u8> = (0..text.len() / 8)
                .map(|n| u8::from_str_radix(&text[n * 8..n * 8 + 8], 2).unwrap())
                .collect();
            for big_endian in [false, true] {
                let format = RowFormat { bits, big_endian, ..PLAIN };
                assert_eq!(format.row_bytes(11), row.len());
                assert_eq!(read::<u16>(format, &row, 11), numbers, "{bits} bits");
            }
        }
    }

    #[test]
    fn differences_are_summed_channel_by_channel_and_wrap() {
        let format = RowFormat { predictor: Predictor::Horizontal, samples: 2, ..PLAIN };
        assert_eq!(read::<u8>(format, &[250, 1, 10, 1, 0, 255], 6), [250, 1, 4, 2, 4, 1]);
        let format = RowFormat { bits: 16, big_endian: true, samples: 1, ..format };
        assert_eq!(read::<u16>(format, &[0, 255, 0, 1, 255, 255], 3), [255, 256, 255]);
    }

    #[test]
    fn floating_point_differences() {
        // 1.0 and -2.0 with their bytes apart, most significant first, and each less than the one before it.
        let numbers = [1.0_f32, -2.0];
        let apart: Vec<u8> =
            (0..4).flat_map(|byte| numbers.map(|number| number.to_be_bytes()[byte])).collect();
        let mut row = apart.clone();
        for at in (1..row.len()).rev() {
            row[at] = row[at].wrapping_sub(row[at - 1]);
        }
        for big_endian in [false, true] {
            let format = RowFormat { predictor: Predictor::FloatingPoint, bits: 32, samples: 1, big_endian };
            assert_eq!(
                read::<u32>(format, &row, 2).iter().map(|bits| f32::from_bits(*bits)).collect::<Vec<_>>(),
                numbers
            );
        }
    }
}
