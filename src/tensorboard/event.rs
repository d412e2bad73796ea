//! The messages in the records: TensorFlow's `Event` and `Summary`, as protocol buffers.
//!
//! Fields and numbers are those of `event.proto` and `summary.proto` in TensorFlow (tensorflow/core/util,
//! tensorflow/core/framework), the encoding that of "Protocol Buffers: Encoding" (protobuf.dev). Only what is written
//! here is known: the version, the start of a session, scalars and PNG images.

/// What the first event of a file says: the version of the format.
const FILE_VERSION: &str = "brain.Event:2";

/// What an event tells.
pub(super) enum What<'a> {
    /// The file begins.
    Version,
    /// A run starts, or goes on, from this step: what earlier files say of later steps no longer holds.
    Start,
    /// Numbers with their names.
    Scalars(&'a [(String, f64)]),
    /// A picture.
    Image { name: &'a str, height: usize, width: usize, png: &'a [u8] },
}

/// Kinds of fields on the wire.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn raw_varint(&mut self, mut value: u64) {
        while value >= 128 {
            self.0.push(value as u8 | 128);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.raw_varint(field << 3 | kind);
    }

    fn varint(mut self, field: u64, value: u64) -> Self {
        self.key(field, VARINT);
        self.raw_varint(value);
        self
    }

    fn double(mut self, field: u64, value: f64) -> Self {
        self.key(field, FIXED_64);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.key(field, FIXED_32);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.key(field, BYTES);
        self.raw_varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn message(self, field: u64, message: Message) -> Self {
        self.bytes(field, &message.0)
    }
}

/// The bytes of the `Event` at `step`, `wall_time` seconds after 1970 began.
pub(super) fn event(wall_time: f64, step: u64, what: &What) -> Vec<u8> {
    // Event: wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7.
    let event = Message::default().double(1, wall_time).varint(2, step);
    let event = match what {
        What::Version => event.bytes(3, FILE_VERSION.as_bytes()),
        // SessionLog: status = 1; START is 1.
        What::Start => event.message(7, Message::default().varint(1, 1)),
        // Summary: value = 1. Value: tag = 1, simple_value = 2, image = 4.
        What::Scalars(scalars) => {
            let value = |(name, value): &(String, f64)| {
                Message::default().bytes(1, name.as_bytes()).float(2, *value as f32)
            };
            let values = scalars.iter().map(value);
            event.message(5, values.fold(Message::default(), |summary, value| summary.message(1, value)))
        }
        // Image: height = 1, width = 2, colorspace = 3 (3 is RGB), encoded_image_string = 4.
        What::Image { name, height, width, png } => {
            let image = Message::default().varint(1, *height as u64).varint(2, *width as u64);
            let image = image.varint(3, 3).bytes(4, png);
            let value = Message::default().bytes(1, name.as_bytes()).message(4, image);
            event.message(5, Message::default().message(1, value))
        }
    };
    event.0
}
