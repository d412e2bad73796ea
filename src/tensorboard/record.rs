//! TFRecord: a file of records, each with its length and two checksums.
//!
//! As TensorFlow's guide "TFRecord and tf.train.Example" writes it down: `uint64 length`, `uint32 masked checksum of the
//! length`, the bytes, `uint32 masked checksum of the bytes`, all little-endian. The checksum is CRC-32C (Castagnoli; RFC
//! 3720, appendix B.4), and masked is `rotated right by 15 bits, plus 0xa282ead8`.

/// The polynomial of CRC-32C, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The remainders of all bytes.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut remainder, mut bit) = (byte as u32, 0);
        while bit < 8 {
            remainder = (remainder >> 1) ^ if remainder & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
};

/// CRC-32C of `bytes`.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| (crc >> 8) ^ TABLE[((crc ^ u32::from(byte)) & 255) as usize])
}

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
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, appendix B.4, and the check value that catalogues of checksums give.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(crc32c(&(0..32).rev().collect::<Vec<u8>>()), 0x113f_db5c);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
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
