//! Which slices of a stack are wanted.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Slices by their numbers, counted from 0: `100..200` (without the last), `100..`, `7`, every tenth as `0..1000..10`, or several
/// of these with commas between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceSelection {
    text: String,
    runs: Vec<Run>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    start: usize,
    end: usize,
    step: usize,
}

impl SliceSelection {
    /// Whether slice `index` is wanted.
    pub fn contains(&self, index: usize) -> bool {
        self.runs
            .iter()
            .any(|run| (run.start..run.end).contains(&index) && (index - run.start).is_multiple_of(run.step))
    }
}

impl fmt::Display for SliceSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for SliceSelection {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::setting(
                "slices",
                format!("'{text}'"),
                "it must be numbers counted from 0, such as 100..200 (without the last), 100.., 7, 0..1000..10 for every tenth, or several of these with commas",
            )
        };
        let number = |part: &str, empty: usize| match part.trim() {
            "" => Ok(empty),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().map_err(|_| wrong()),
            _ => Err(wrong()),
        };
        let mut runs = Vec::new();
        for part in text.split(',') {
            let bounds: Vec<&str> = part.split("..").collect();
            let run = match bounds.as_slice() {
                [one] if !one.trim().is_empty() => {
                    let start = number(one, 0)?;
                    Run { start, end: start.saturating_add(1), step: 1 }
                }
                [start, end] => Run { start: number(start, 0)?, end: number(end, usize::MAX)?, step: 1 },
                [start, end, step] => {
                    Run { start: number(start, 0)?, end: number(end, usize::MAX)?, step: number(step, 0)? }
                }
                _ => return Err(wrong()),
            };
            if run.step == 0 || run.end <= run.start {
                return Err(wrong());
            }
            runs.push(run);
        }
        Ok(Self { text: text.trim().to_owned(), runs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_those_that_are_named() {
        let of = |text: &str| {
            let selection: SliceSelection = text.parse().unwrap();
            (0..12).filter(|index| selection.contains(*index)).collect::<Vec<_>>()
        };
        assert_eq!(of("3..6"), [3, 4, 5]);
        assert_eq!(of("10.."), [10, 11]);
        assert_eq!(of("..2"), [0, 1]);
        assert_eq!(of("7"), [7]);
        assert_eq!(of("1..12..5"), [1, 6, 11]);
        assert_eq!(of("0, 2..4"), [0, 2, 3]);
        assert_eq!(of("..").len(), 12);
        for wrong in ["", "a", "3..3", "5..2", "1..2..0", "1..2..3..4", "-1", "1,", "99999999999999999999"] {
            let error = wrong.parse::<SliceSelection>().unwrap_err().to_string();
            assert!(error.contains("100..200"), "{wrong}: {error}");
        }
    }
}
