//! Encodings that more than one file format uses: protocol buffers, and the checksum CRC-32C.

mod crc32c;
mod protobuf;

pub(crate) use crc32c::crc32c;
pub(crate) use protobuf::Message;
