//! What ranks send each other: numbers and texts one behind the other, to the last bit.

use crate::{Error, Result};

/// Bytes that are written by one rank.
#[derive(Debug, Clone, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a whole number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    /// Adds a number with all its bits.
    pub fn float(&mut self, number: f64) -> &mut Self {
        self.number(number.to_bits())
    }

    /// Adds bytes with their length.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds numbers with all their bits, and how many there are.
    pub fn floats(&mut self, numbers: &[f32]) -> &mut Self {
        self.number(4 * numbers.len() as u64);
        self.0.reserve(4 * numbers.len());
        numbers.iter().for_each(|number| self.0.extend_from_slice(&number.to_le_bytes()));
        self
    }

    /// What was written.
    pub fn done(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

/// Reads what a [`Message`] holds, in the same order.
#[derive(Debug, Clone, Copy)]
pub struct MessageReader<'a> {
    rest: &'a [u8],
    rank: usize,
}

impl<'a> MessageReader<'a> {
    /// Reads what rank `rank` gave.
    pub fn new(bytes: &'a [u8], rank: usize) -> Self {
        Self { rest: bytes, rank }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next whole number.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where the message ends before it, as for the other methods.
    pub fn number(&mut self) -> Result<u64> {
        let (number, rest) = self.rest.split_first_chunk().ok_or_else(|| self.ends_early())?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*number))
    }

    /// The next number.
    ///
    /// # Errors
    /// As [`Self::number`].
    pub fn float(&mut self) -> Result<f64> {
        self.number().map(f64::from_bits)
    }

    /// The next bytes.
    ///
    /// # Errors
    /// As [`Self::number`].
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok();
        let split = length.and_then(|length| self.rest.split_at_checked(length));
        let (bytes, rest) = split.ok_or_else(|| self.ends_early())?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The next bytes as text.
    ///
    /// # Errors
    /// As [`Self::number`].
    pub fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| self.ends_early())
    }

    /// The next numbers.
    ///
    /// # Errors
    /// As [`Self::number`].
    pub fn floats(&mut self) -> Result<impl ExactSizeIterator<Item = f32> + Clone + 'a> {
        let (numbers, rest) = self.bytes()?.as_chunks::<4>();
        if rest.is_empty() {
            Ok(numbers.iter().map(|&n| f32::from_le_bytes(n)))
        } else {
            Err(self.ends_early())
        }
    }

    fn ends_early(&self) -> Error {
        Error::Mismatch(format!(
            "rank {} sent something else than was waited for; start the same program on every rank",
            self.rank
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_to_the_last_bit_and_cut_messages_are_refused() {
        let numbers = [0.1f32, -0.0, f32::NAN, f32::MIN_POSITIVE / 2.0];
        let bytes = Message::new().number(7).float(-0.0).bytes(b"text").floats(&numbers).done();
        let mut reader = MessageReader::new(&bytes, 0);
        assert_eq!(reader.number().unwrap(), 7);
        assert_eq!(reader.float().unwrap().to_bits(), (-0.0f64).to_bits());
        assert_eq!(reader.text().unwrap(), "text");
        let found: Vec<u32> = reader.floats().unwrap().map(f32::to_bits).collect();
        assert_eq!(found, numbers.map(f32::to_bits));
        assert!(reader.is_empty());
        for length in 0..bytes.len() {
            let mut reader = MessageReader::new(&bytes[..length], 3);
            let read = reader
                .number()
                .and_then(|_| reader.float())
                .and_then(|_| reader.text())
                .and_then(|_| reader.floats().map(|numbers| numbers.len()));
            assert!(read.unwrap_err().to_string().starts_with("rank 3 sent"));
        }
        // A length that lies takes no memory.
        let lies = Message::new().number(u64::MAX).done();
        assert!(MessageReader::new(&lies, 1).bytes().is_err());
    }
}
