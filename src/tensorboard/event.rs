//! The messages in the records: TensorFlow's `Event` and `Summary`, as protocol buffers.
//!
//! Fields and numbers are those of `event.proto` and `summary.proto` in TensorFlow (tensorflow/core/util,
//! tensorflow/core/framework), the encoding that of "Protocol Buffers: Encoding" (protobuf.dev). Only what is written
//! here is known: the version, the start of a session, scalars and PNG images.

use crate::encoding::Message;

/// The content of the first event of a file: the version of the format.
const FILE_VERSION: &str = "brain.Event:2";

/// The content of an event.
pub(super) enum What<'a> {
    /// The file begins.
    Version,
    /// A run starts or continues from this step: TensorBoard discards what earlier files hold about later steps.
    Start,
    /// Numbers with their names.
    Scalars(&'a [(String, f64)]),
    /// A picture.
    Image { name: &'a str, height: usize, width: usize, png: &'a [u8] },
}

/// The bytes of the `Event` at `step`, `wall_time` seconds after 1970 began.
pub(super) fn event(wall_time: f64, step: u64, what: &What) -> Vec<u8> {
    // Event: wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7.
    let event = Message::default().double(1, wall_time).integer(2, step as i64);
    let event = match what {
        What::Version => event.bytes(3, FILE_VERSION),
        // SessionLog: status = 1; START is 1.
        What::Start => event.message(7, Message::default().integer(1, 1)),
        // Summary: value = 1. Value: tag = 1, simple_value = 2, image = 4.
        What::Scalars(scalars) => {
            let value =
                |(name, value): &(String, f64)| Message::default().bytes(1, name).float(2, *value as f32);
            let values = scalars.iter().map(value);
            event.message(5, values.fold(Message::default(), |summary, value| summary.message(1, value)))
        }
        // Image: height = 1, width = 2, colorspace = 3 (3 is RGB), encoded_image_string = 4.
        What::Image { name, height, width, png } => {
            let image = Message::default().integer(1, *height as i64).integer(2, *width as i64);
            let image = image.integer(3, 3).bytes(4, png);
            let value = Message::default().bytes(1, name).message(4, image);
            event.message(5, Message::default().message(1, value))
        }
    };
    event.finish()
}
