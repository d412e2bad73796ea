//! The Huffman codes of JPEG, which are passed over without making numbers of them.

use super::markers::{is_restart, next_marker};

/// The tables that are known, by their numbers.
#[derive(Default)]
pub(super) struct Tables {
    /// Of the first number of each block, and of the others.
    pub(super) first: [Option<Box<Table>>; 4],
    pub(super) others: [Option<Box<Table>>; 4],
}

impl Tables {
    /// Adds those of a marker with this content.
    pub(super) fn add(&mut self, mut content: &[u8]) -> Result<(), String> {
        const DAMAGED: &str = "a Huffman table in it is damaged";
        while let Some((&number, rest)) = content.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or(DAMAGED)?;
            let count = counts.iter().copied().map(usize::from).sum();
            let (symbols, rest) = rest.split_at_checked(count).ok_or(DAMAGED)?;
            content = rest;
            let is_first = number >> 4 == 0;
            let tables = if is_first { &mut self.first } else { &mut self.others };
            let place = tables.get_mut(usize::from(number & 15)).ok_or(DAMAGED)?;
            *place = Some(Box::new(Table::new(counts, symbols, is_first).ok_or(DAMAGED)?));
        }
        Ok(())
    }
}

/// Codes up to so many bits are looked up at once.
const SHORT_CODE: u32 = 9;
const LONGEST_CODE: usize = 16;

/// What a code of a table stands for: how many bits it has together with those of the number behind it, and how far it goes on in
/// the block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Step {
    /// 0 for what is no code.
    bits: u8,
    numbers: u8,
}

impl Step {
    /// That of a code of `length` bits for a symbol.
    fn new(symbol: u8, length: u8, is_first: bool) -> Self {
        // Zeros that are passed over, and the bits of the number behind them.
        let (zeros, bits) = (symbol >> 4, symbol & 15);
        let numbers = match (bits, zeros) {
            _ if is_first => 1,
            (0, 15) => 16,
            // All others of the block are zeros.
            (0, _) => 64,
            _ => zeros + 1,
        };
        Self { bits: length + bits, numbers }
    }
}

pub(super) struct Table {
    short: [Step; 1 << SHORT_CODE],
    /// Of each length the first code and how many there are, and the place of its step.
    lengths: [(u32, u32, usize); LONGEST_CODE + 1],
    steps: Vec<Step>,
}

impl Table {
    /// A table with so many codes of each length from 1 on, for these symbols; `None` where there cannot be so many.
    fn new(counts: &[u8; LONGEST_CODE], symbols: &[u8], is_first: bool) -> Option<Self> {
        if symbols.len() > 256 || is_first && symbols.iter().any(|symbol| *symbol > 15) {
            return None;
        }
        let mut table = Self {
            short: [Step::default(); 1 << SHORT_CODE],
            lengths: [(0, 0, 0); LONGEST_CODE + 1],
            steps: Vec::with_capacity(symbols.len()),
        };
        let mut symbols = symbols.iter();
        let mut code = 0_u32;
        for (length, count) in (1_u8..).zip(counts) {
            table.lengths[usize::from(length)] = (code, (*count).into(), table.steps.len());
            for symbol in symbols.by_ref().take((*count).into()) {
                let step = Step::new(*symbol, length, is_first);
                table.steps.push(step);
                if u32::from(length) <= SHORT_CODE {
                    let behind = SHORT_CODE - u32::from(length);
                    let places = (code << behind) as usize..((code + 1) << behind) as usize;
                    table.short.get_mut(places)?.fill(step);
                }
                code += 1;
            }
            if code > 1 << length {
                return None;
            }
            code <<= 1;
        }
        Some(table)
    }

    /// The step of the code that `bits` begin with, the first bit highest.
    #[inline]
    fn step(&self, bits: u64) -> Step {
        let step = self.short[(bits >> (64 - SHORT_CODE)) as usize];
        if step.bits > 0 { step } else { self.long_step(bits) }
    }

    fn long_step(&self, bits: u64) -> Step {
        let lengths = (SHORT_CODE as usize + 1)..=LONGEST_CODE;
        let step = lengths.into_iter().find_map(|length| {
            let (first, count, place) = self.lengths[length];
            let number =
                ((bits >> (64 - length)) as u32).checked_sub(first).filter(|number| *number < count)?;
            self.steps.get(place + number as usize).copied()
        });
        step.unwrap_or_default()
    }
}

/// The bits of codes, up to a marker.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The first byte that is not in the buffer.
    pub(super) at: usize,
    /// The next bits, the first of them highest, and how many there are; behind them are zeros.
    buffer: u64,
    count: u32,
    /// Whether there is nothing more before the next marker.
    ended: bool,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, buffer: 0, count: 0, ended: false }
    }

    /// Has at least 32 bits in the buffer, which are more than a step takes, as long as there are so many.
    #[inline]
    fn fill(&mut self) {
        if self.count >= 32 || self.ended {
            return;
        }
        if let Some(four) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<4>()) {
            let four = u32::from_be_bytes(*four);
            // Whether no byte is 255.
            if (!four).wrapping_sub(0x0101_0101) & four & 0x8080_8080 == 0 {
                self.buffer |= u64::from(four) << (32 - self.count);
                (self.at, self.count) = (self.at + 4, self.count + 32);
                return;
            }
        }
        self.fill_by_bytes();
    }

    fn fill_by_bytes(&mut self) {
        while self.count <= 56 {
            let Some(&byte) = self.bytes.get(self.at) else {
                self.ended = true;
                return;
            };
            let mut behind = self.at + 1;
            if byte == 0xff {
                while self.bytes.get(behind) == Some(&0xff) {
                    behind += 1;
                }
                if self.bytes.get(behind) != Some(&0) {
                    self.ended = true;
                    return;
                }
                behind += 1;
            }
            self.at = behind;
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// Passes over the codes of a block whose first number has the table `first` and the others have `others`; whether they were all
    /// there.
    ///
    /// # Errors
    /// Where there are bits that are no code.
    #[inline]
    pub(super) fn pass_over_block(&mut self, first: &Table, others: Option<&Table>) -> Result<bool, String> {
        let mut table = first;
        let mut numbers = 0;
        loop {
            self.fill();
            let step = table.step(self.buffer);
            let bits = u32::from(step.bits);
            if bits == 0 || bits > self.count {
                // At the end, some bits fill the last byte and are no code.
                let is_end = self.ended && (bits > 0 || self.count < LONGEST_CODE as u32);
                return if is_end { Ok(false) } else { Err("it holds what is no Huffman code".into()) };
            }
            self.buffer <<= bits;
            self.count -= bits;
            numbers += u32::from(step.numbers);
            match others {
                Some(others) if numbers < 64 => table = others,
                _ => return Ok(true),
            }
        }
    }

    /// The marker at which the bits end, if they have ended.
    pub(super) fn marker(&self) -> Option<u8> {
        next_marker(self.bytes, self.at).map(|(marker, _)| marker).filter(|_| self.ended)
    }

    /// Goes behind the next marker; whether it is one at which decoding begins anew. It stays where that is not so.
    pub(super) fn go_to_restart(&mut self) -> bool {
        match next_marker(self.bytes, self.at) {
            Some((marker, behind)) if is_restart(marker) => {
                (self.at, self.buffer, self.count, self.ended) = (behind, 0, 0, false);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_codes_are_found_as_short_ones_are() {
        // One code of each length from 2 on: 00, 010, 0110 and so on.
        let counts: [u8; 16] = std::array::from_fn(|length| u8::from(length > 0));
        let symbols: Vec<u8> = (0..15).map(|number| number << 4 | number).collect();
        let table = Table::new(&counts, &symbols, false).unwrap();
        for length in 2..=16_u8 {
            let code = ((1_u64 << (length - 2)) - 1) << 1;
            let symbol = symbols[usize::from(length) - 2];
            let numbers = if symbol == 0 { 64 } else { (symbol >> 4) + 1 };
            let step = table.step(code << (64 - length));
            assert_eq!(step, Step { bits: length + (symbol & 15), numbers }, "{length}");
        }
        assert_eq!(table.step(u64::MAX), Step::default());
        assert_eq!(Step::new(0xf0, 5, false), Step { bits: 5, numbers: 16 });
        assert!(Table::new(&[3; 16], &[0; 48], false).is_none());
        assert!(Table::new(&counts, &symbols, true).is_none());
    }
}
