//! Which of the arrays in a file is meant, where nobody says.

use crate::error::{Error, Result};

/// How many arrays a message lists.
const MOST_LISTED: usize = 10;

/// An array in a file that may hold several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The place inside the file.
    pub(super) place: String,
    pub(super) shape: Vec<usize>,
    /// Whether its numbers are of a type that is read.
    pub(super) is_readable: bool,
}

impl Candidate {
    /// Whether it can be images: two to five axes, of which two at least have more than one number.
    fn fits(&self) -> bool {
        let sides = self.shape.iter().filter(|length| **length > 1).count();
        self.is_readable && (2..=5).contains(&self.shape.len()) && sides >= 2 && !self.shape.contains(&0)
    }

    fn numbers(&self) -> u128 {
        self.shape.iter().map(|length| *length as u128).fold(1, u128::saturating_mul)
    }
}

/// The number of the only one that can be images, or of the only stack of images where that is the largest of all.
///
/// # Errors
/// [`Error::Input`] for none and for several; `kind` is what people call one.
pub(super) fn chosen(name: &str, kind: &str, all: &[&Candidate]) -> Result<usize> {
    let fitting: Vec<usize> = (0..all.len()).filter(|number| all[*number].fits()).collect();
    let stacks: Vec<usize> = fitting.iter().copied().filter(|number| all[*number].shape.len() > 2).collect();
    match (fitting.as_slice(), stacks.as_slice()) {
        ([only], _) => return Ok(*only),
        (_, [stack]) if fitting.iter().all(|other| all[*other].numbers() <= all[*stack].numbers()) => {
            return Ok(*stack);
        }
        _ => {}
    }
    if fitting.is_empty() {
        let problem = format!(
            "holds no {kind} of numbers that has rows and columns; {}",
            match all {
                [] => "give another file".to_owned(),
                _ => what_there_is(all),
            }
        );
        return Err(Error::input(name, problem));
    }
    let several: Vec<&Candidate> = fitting.iter().map(|number| all[*number]).collect();
    let problem = format!(
        "holds {} {kind}s that may be meant; name one behind a colon, such as {name}:{}: {}",
        several.len(),
        several[0].place,
        listed(&several)
    );
    Err(Error::input(name, problem))
}

/// The arrays of a file, for the end of a message.
pub(super) fn what_there_is(all: &[&Candidate]) -> String {
    match all {
        [] => "it holds none".to_owned(),
        _ => format!("there is {}", listed(all)),
    }
}

fn listed(all: &[&Candidate]) -> String {
    let mut texts: Vec<String> = all
        .iter()
        .take(MOST_LISTED)
        .map(|candidate| {
            let lengths = candidate.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
            let lengths = if lengths.is_empty() { "no array of numbers".to_owned() } else { lengths };
            format!("{} ({lengths})", candidate.place)
        })
        .collect();
    if all.len() > MOST_LISTED {
        texts.push(format!("{} more", all.len() - MOST_LISTED));
    }
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn which(shapes: &[&[usize]]) -> Result<usize> {
        let all: Vec<Candidate> = shapes
            .iter()
            .enumerate()
            .map(|(number, shape)| Candidate {
                place: format!("/a{number}"),
                shape: shape.to_vec(),
                is_readable: true,
            })
            .collect();
        chosen("a.h5", "dataset", &all.iter().collect::<Vec<_>>())
    }

    #[test]
    fn the_only_one_that_fits_is_taken() {
        assert_eq!(which(&[&[7], &[1, 9], &[4, 5]]).unwrap(), 2);
        assert_eq!(which(&[&[4, 5], &[9, 4, 5], &[4, 5]]).unwrap(), 1);
        for several in [&[&[4, 5][..], &[4, 5]][..], &[&[9, 4, 5], &[9, 4, 5]], &[&[40, 50], &[2, 3, 3]]] {
            let error = which(several).unwrap_err().to_string();
            assert!(error.contains("a.h5:/a0") && error.contains("/a1 ("), "{error}");
        }
        let error = which(&[&[7], &[0, 4, 5], &[2; 6], &[]]).unwrap_err().to_string();
        assert!(error.contains("no dataset") && error.contains("/a0 (7)"), "{error}");
        assert!(which(&[]).unwrap_err().to_string().contains("give another file"));
        let many: Vec<&[usize]> = vec![&[4, 5]; 30];
        assert!(which(&many).unwrap_err().to_string().contains("20 more"));
    }
}
