//! TFRecord: a file of records, each with its length and two checksums.
//!
//! As TensorFlow's guide "TFRecord and tf.train.Example" writes it down: `uint64 length`, `uint32 masked checksum of the
//! length`, the bytes, `uint32 masked checksum of the bytes`, all little-endian. The checksum is CRC-32C (Castagnoli; RFC
//! 3720, appendix B.4), and masked is `rotated right by 15 bits, plus 0xa282ead8`.

use crate::encoding::crc32c;

/// CRC-32C as records hold it: a file of records may then be the content of a record itself.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The record that holds `bytes`.
pub(super) fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(bytes.len() + 16);
    record.extend(length);
    record.extend(masked(&length).to_le_bytes());
    record.extend(bytes);
    record.extend(masked(bytes).to_le_bytes());
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_masked_as_tensorboard_does() {
        // What TensorBoard 2.21 itself (`masked_crc32c`) gives.
        assert_eq!(masked(b"123456789"), 0xc78a_b0e5);
    }

    #[test]
    fn a_record_is_length_bytes_and_checksums() {
        let made = record(b"abc");
        assert_eq!(made.len(), 19);
        assert_eq!(made[..8], 3_u64.to_le_bytes());
        assert_eq!(made[8..12], masked(&made[..8]).to_le_bytes());
        assert_eq!(&made[12..15], b"abc");
        assert_eq!(made[15..], masked(b"abc").to_le_bytes());
    }
}
