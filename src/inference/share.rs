//! One of several equal shares of a prediction, which several programs make together.

use std::fmt;
use std::str::FromStr;

use crate::images::ImageSource;
use crate::{Error, Result};

/// Share `number` of `count`, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    number: usize,
    count: usize,
}

impl Share {
    /// The share that a job of a Slurm array has, by the variables that `variable` gives: `SLURM_ARRAY_TASK_ID`, `_MIN`, `_STEP` and
    /// `_COUNT`; `None` outside of one, and in one of a single job.
    pub fn of_slurm(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let number = |name: &str| variable(&format!("SLURM_ARRAY_TASK_{name}"))?.trim().parse::<usize>().ok();
        let (id, least, count) = (number("ID")?, number("MIN")?, number("COUNT")?);
        let step = number("STEP").unwrap_or(1).max(1);
        let number = id.checked_sub(least)? / step + 1;
        (count > 1 && number <= count).then_some(Self { number, count })
    }

    /// The images of this share. All images of a file are of one share, so that each file is written by one program.
    pub fn of(self, images: Vec<ImageSource>) -> Vec<ImageSource> {
        let mut files: Vec<Vec<ImageSource>> = Vec::new();
        for image in images {
            match files.last_mut() {
                Some(file) if file[0].place() == image.place() => file.push(image),
                _ => files.push(vec![image]),
            }
        }
        let (number, count, all) = (self.number, self.count, files.len());
        // Runs of files that follow each other, about equally many.
        let start = |number: usize| number * (all / count) + number.min(all % count);
        files.drain(start(number - 1)..start(number)).flatten().collect()
    }

    /// What the names of files of this share have at their end.
    pub(super) fn suffix(self) -> String {
        format!("-{}-of-{}", self.number, self.count)
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
}
