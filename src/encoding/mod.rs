//! Encodings that more than one file format uses: protocol buffers, the checksum CRC-32C, and safetensors as they
//! are written.

mod crc32c;
mod protobuf;
mod safetensors;

pub(crate) use crc32c::crc32c;
pub(crate) use protobuf::Message;
pub(crate) use safetensors::{Float32Tensor, safetensors_bytes};
