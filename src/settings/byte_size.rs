//! Numbers of bytes as people write them.

use crate::{Error, Result};

/// The number of bytes of a text such as `2GB`, `1.5 GiB`, `500M` or `1000000`, which is the value of the setting called `setting`.
///
/// # Errors
/// [`Error::Setting`] for what is no size.
pub fn byte_size(setting: &str, text: &str) -> Result<u64> {
    let wrong =
        || Error::setting(setting, format!("'{text}'"), "it must be a size such as 2GB, 1.5GiB or 500M");
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let bytes = number * unit;
    if bytes < 1e18 { Ok(bytes as u64) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("2GB", 2_000_000_000), ("1.5 GiB", 1_610_612_736), ("500m", 500_000_000), ("17", 17), ("0", 0)]
        {
            assert_eq!(byte_size("cache", text).unwrap(), bytes);
        }
        for wrong in ["", "GB", "-1GB", "2 elephants", "1e30", "1..5G"] {
            assert!(byte_size("cache", wrong).unwrap_err().to_string().contains("such as 2GB"), "{wrong}");
        }
    }
}
