//! Lines of text files that are not trusted.

use std::io::{BufRead, Read, Result};

/// Reads the next line into `line`, with its line feed where it has one; false at the end of the file.
///
/// Of a line of `most` bytes or more nothing is kept but its line feed, so that no part of it is taken for another line.
///
/// # Errors
/// Those of reading.
pub fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>, most: u64) -> Result<bool> {
    line.clear();
    let mut is_long = false;
    loop {
        let count = reader.take(most).read_until(b'\n', line)?;
        let is_over = (count as u64) < most || line.ends_with(b"\n");
        if is_long || !is_over {
            let feed = line.ends_with(b"\n");
            line.clear();
            line.extend(feed.then_some(b'\n'));
        }
        if is_over {
            return Ok(count > 0 || is_long);
        }
        is_long = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let (mut reader, mut line, mut all) = (text.as_bytes(), Vec::new(), Vec::new());
        while read_line(&mut reader, &mut line, 4).unwrap() {
            all.push(String::from_utf8(line.clone()).unwrap());
        }
        all
    }

    #[test]
    fn parts_of_long_lines_are_no_lines() {
        assert_eq!(lines("ab\n\nabc\ncd"), ["ab\n", "\n", "abc\n", "cd"]);
        for long in ["abcd", "abcde", "abcdefgh", "abcdefghij"] {
            assert_eq!(lines(&format!("a\n{long}\nb\n")), ["a\n", "\n", "b\n"], "{long}");
            assert_eq!(lines(&format!("a\n{long}")), ["a\n", ""], "{long}");
        }
    }
}
