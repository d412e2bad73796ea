//! Writes protocol buffers: fields of a message, one after the other.
//!
//! ONNX and TensorBoard need five kinds of fields and nothing is ever read back, so this takes less text than declaring
//! their messages for a library would (<https://protobuf.dev/programming-guides/encoding/>).

/// The bytes of one message.
#[derive(Debug, Default)]
pub(crate) struct Message(Vec<u8>);

/// Kinds of fields, by their number in the encoding.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED_32: u64 = 5;

impl Message {
    /// Adds an integer or an enumeration.
    pub fn integer(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3 | VARINT);
        self.varint(value as u64);
        self
    }

    /// Adds a number of 64 bits.
    pub fn double(mut self, field: u64, value: f64) -> Self {
        self.varint(field << 3 | FIXED_64);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Adds a number of 32 bits.
    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | FIXED_32);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Adds bytes or text.
    pub fn bytes(mut self, field: u64, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.varint(field << 3 | LENGTH_DELIMITED);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds a message.
    pub fn message(self, field: u64, message: Message) -> Self {
        self.bytes(field, message.0)
    }

    /// Adds each of `messages` to a repeated field.
    pub fn messages(self, field: u64, messages: impl IntoIterator<Item = Message>) -> Self {
        messages.into_iter().fold(self, |whole, part| whole.message(field, part))
    }

    /// The encoded message.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    /// Seven bits to a byte, the least significant first; the eighth says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded_as_the_guide_says() {
        // The examples of the encoding guide.
        assert_eq!(Message::default().integer(1, 150).finish(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().bytes(2, "testing").finish(), b"\x12\x07testing");
        assert_eq!(
            Message::default().message(3, Message::default().integer(1, 150)).finish(),
            [0x1a, 0x03, 0x08, 0x96, 0x01]
        );
        assert_eq!(Message::default().float(2, 1.0).finish(), [0x15, 0, 0, 0x80, 0x3f]);
        assert_eq!(Message::default().double(1, 1.0).finish(), [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        let minus_two = Message::default().integer(1, -2).finish();
        assert_eq!(minus_two, [&[0x08, 0xfe][..], &[0xff; 8], &[0x01]].concat());
    }
}
