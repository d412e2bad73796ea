//! Text files that people write, read up to a limit of bytes, since such a file may be anything and of any size.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};

/// The text of a file; `None` where it has more than `max_bytes` bytes, of which no more are read.
///
/// # Errors
/// [`Error::Input`] when it cannot be read, or is no text.
pub fn read_text(path: &Path, max_bytes: u64) -> Result<Option<String>> {
    let failed = |error: std::io::Error| {
        let problem = format!("cannot be read ({error}); check the path and its permissions");
        Error::input(path, problem).caused_by(error)
    };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > max_bytes {
        return Ok(None);
    }
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|_| Error::input(path, "is no text in UTF-8; save it as such"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_may_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(read_text(&path, 3).unwrap().as_deref(), Some("abc"));
        assert_eq!(read_text(&path, 2).unwrap(), None);
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(read_text(&path, 9).unwrap_err().to_string().contains("UTF-8"));
        #[cfg(target_os = "linux")]
        assert_eq!(read_text(Path::new("/dev/zero"), 1000).unwrap(), None);
        assert!(read_text(&folder.path().join("b"), 9).is_err());
    }
}
