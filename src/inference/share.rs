//! One of several equal shares of a prediction, which several programs make together.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use twox_hash::XxHash3_128;

use super::products::Products;
use crate::files::FolderLock;
use crate::{Error, Result};

/// Share `number` of `count`, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    number: usize,
    count: usize,
}

impl Share {
    /// All that there is.
    pub const WHOLE: Self = Self { number: 1, count: 1 };

    /// The share that a job of a Slurm array has, by the variables that `variable` gives: `SLURM_ARRAY_TASK_ID`, `_MIN`, `_STEP` and
    /// `_COUNT`; `None` outside of one, and in one of a single job.
    pub fn of_slurm(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let number = |name: &str| variable(&format!("SLURM_ARRAY_TASK_{name}"))?.trim().parse::<usize>().ok();
        let (id, least, count) = (number("ID")?, number("MIN")?, number("COUNT")?);
        let step = number("STEP").unwrap_or(1).max(1);
        let number = id.checked_sub(least)? / step + 1;
        (count > 1 && number <= count).then_some(Self { number, count })
    }

    /// What this share has of `count` things: neighbours, and about as many as the others have.
    pub fn of(self, count: usize) -> Range<usize> {
        // The larger shares come first.
        let start = |number: usize| number * (count / self.count) + number.min(count % self.count);
        start(self.number - 1)..start(self.number)
    }

    /// The part of this share that falls to `rank` of `size` programs that do it together.
    ///
    /// # Errors
    /// [`Error::Setting`] for more parts than can be counted.
    pub fn among(self, rank: usize, size: usize) -> Result<Self> {
        let count = self.count.checked_mul(size).ok_or_else(|| {
            Error::setting("part", self, format!("it cannot be cut into {size} more; give fewer"))
        })?;
        Ok(Self { number: (self.number - 1) * size + rank + 1, count })
    }

    /// Keeps other programs from doing the same share of `products` as long as this is kept.
    ///
    /// # Errors
    /// [`Error::Output`] when another program does it, or when the folder takes no files.
    pub(super) fn lock(self, products: &Products) -> Result<FolderLock> {
        FolderLock::take_part(
            products.folder(),
            &self.suffix(products),
            &format!("another run of msd-gpu does part {self}; wait for its end"),
        )
    }

    /// What the names of files of this share have at their end. Results that are named by their file may lie beside others.
    pub(super) fn suffix(self, products: &Products) -> String {
        let file = products
            .stem()
            .map_or(String::new(), |stem| format!("-{:08x}", XxHash3_128::oneshot(stem.as_bytes()) as u32));
        format!("{file}-{}-of-{}", self.number, self.count)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

impl FromStr for Share {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('/').and_then(|(number, count)| {
            Some((number.trim().parse::<usize>().ok()?, count.trim().parse::<usize>().ok()?))
        });
        match numbers {
            Some((number, count)) if (1..=count).contains(&number) => Ok(Self { number, count }),
            _ => Err(Error::setting(
                "part",
                format!("'{text}'"),
                "it must be the number of the share and how many there are, such as 1/4 to 4/4",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_that_are_said_or_of_the_job_array() {
        assert_eq!("2/3".parse::<Share>().unwrap(), Share { number: 2, count: 3 });
        for wrong in ["", "0/3", "4/3", "1", "a/b", "1/0"] {
            assert!(wrong.parse::<Share>().unwrap_err().to_string().contains("such as 1/4"), "{wrong}");
        }
        let of = |id: &str, least: &str, step: &str, count: &str| {
            Share::of_slurm(|name| {
                let value = match name.trim_start_matches("SLURM_ARRAY_TASK_") {
                    "ID" => id,
                    "MIN" => least,
                    "STEP" => step,
                    _ => count,
                };
                Some(value.to_owned()).filter(|value| !value.is_empty())
            })
        };
        assert_eq!(of("7", "1", "2", "4"), Some(Share { number: 4, count: 4 }));
        assert_eq!(of("0", "0", "", "2"), Some(Share { number: 1, count: 2 }));
        assert_eq!(of("0", "0", "", "1"), None);
        assert_eq!(of("", "", "", ""), None);
    }

    #[test]
    fn all_shares_are_all_things_in_their_order_and_can_be_shared_themselves() {
        for (count, shares, ranks) in [(5, 2, 1), (3, 4, 2), (100, 7, 3), (0, 2, 2)] {
            let parts = (1..=shares).flat_map(|number| {
                (0..ranks).map(move |rank| Share { number, count: shares }.among(rank, ranks).unwrap())
            });
            let all: Vec<usize> = parts.flat_map(|part| part.of(count)).collect();
            assert_eq!(all, (0..count).collect::<Vec<_>>(), "{count} in {shares} for {ranks}");
        }
        assert_eq!(Share { number: 1, count: 2 }.of(5), 0..3);
        assert_eq!(Share::WHOLE.of(5), 0..5);
        assert!(Share { number: 1, count: usize::MAX }.among(0, 2).is_err());
    }
}
