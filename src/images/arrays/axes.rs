//! Which axis of an array is which, where its file does not say.

use crate::error::{Error, Result};
use crate::images::notices::warn_once;

/// An axis this short, where another place for it is possible, is taken for channels.
const MOST_CHANNELS: usize = 4;

/// The letters of axes, outermost first, of an array of `shape`: those that somebody says (`said`, such as `ZCYX`), else those
/// of its file (`known`), else what arrays of this shape mostly are.
///
/// # Errors
/// [`Error::Setting`] for axes that do not fit; [`Error::Input`] for arrays whose axes cannot be guessed.
pub(super) fn axes_of(
    name: &str,
    shape: &[usize],
    said: Option<&str>,
    known: Option<&[char]>,
) -> Result<Vec<char>> {
    if let Some(said) = said {
        return from_words(name, shape, said);
    }
    match known {
        Some(known) => {
            let x_and_y = ['Y', 'X'].iter().all(|axis| known.contains(axis));
            if x_and_y && known.len() == shape.len() {
                return Ok(known.to_vec());
            }
            Err(Error::input(
                name,
                format!(
                    "has the axes {}, but rows and columns are wanted among them; say with `axes` what they are, such as ZYX",
                    known.iter().collect::<String>()
                ),
            ))
        }
        None => guessed(name, shape),
    }
}

/// What `said` says; axes that it has more than the array do not count where they are no rows and columns.
fn from_words(name: &str, shape: &[usize], said: &str) -> Result<Vec<char>> {
    let letters: Vec<char> =
        said.trim().to_ascii_uppercase().chars().filter(|letter| !letter.is_ascii_digit()).collect();
    let count = |wanted: char| letters.iter().filter(|letter| **letter == wanted).count();
    let known = letters.iter().all(|letter| "TCZYXSIQ".contains(*letter) && count(*letter) == 1);
    if known && count('Y') == 1 && count('X') == 1 && letters.len() == shape.len() {
        return Ok(letters);
    }
    let lengths = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    Err(Error::setting(
        "axes",
        format!("'{said}'"),
        format!(
            "{name} is an array of {lengths}; give a letter of TZCYX for each of its {} axes, outermost first, each once",
            shape.len()
        ),
    ))
}

fn guessed(name: &str, shape: &[usize]) -> Result<Vec<char>> {
    let is_short = |axis: usize| shape[axis] <= MOST_CHANNELS;
    let (axes, sure) = match shape.len() {
        2 => ("YX", true),
        // Colours of one image, as most programs store them; a stack of so few columns is no image.
        3 if is_short(2) && !is_short(1) => ("YXC", false),
        3 => ("ZYX", true),
        4 if is_short(3) && !is_short(2) => ("ZYXC", false),
        4 if is_short(0) && !is_short(1) => ("CZYX", false),
        4 if is_short(1) => ("ZCYX", false),
        5 => ("TCZYX", false),
        _ => ("", false),
    };
    let lengths = || shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    if axes.is_empty() {
        let problem = format!(
            "is an array of {}, and which axes these are it does not say; give `axes`, such as ZYX or ZCYX",
            lengths()
        );
        return Err(Error::input(name, problem));
    }
    if !sure {
        warn_once(format!(
            "{name} is an array of {}, and which axes these are it does not say: they are taken for {axes}; give `axes` if they are others",
            lengths()
        ));
    }
    Ok(axes.chars().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(shape: &[usize], said: Option<&str>, known: Option<&[char]>) -> Result<String> {
        axes_of("a.npy", shape, said, known).map(|axes| axes.into_iter().collect())
    }

    #[test]
    fn axes_are_those_that_are_said_then_the_files_then_the_usual_ones() {
        assert_eq!(axes(&[5, 6], Some("xy"), Some(&['Y', 'X'])).unwrap(), "XY");
        assert_eq!(axes(&[5, 6], None, Some(&['X', 'Y'])).unwrap(), "XY");
        let usual: [(&[usize], &str); 8] = [
            (&[1, 2], "YX"),
            (&[40, 50, 60], "ZYX"),
            (&[3, 50, 60], "ZYX"),
            (&[50, 60, 3], "YXC"),
            (&[9, 50, 60, 3], "ZYXC"),
            (&[2, 9, 50, 60], "CZYX"),
            (&[9, 2, 50, 60], "ZCYX"),
            (&[1, 2, 9, 50, 60], "TCZYX"),
        ];
        for (shape, expected) in usual {
            assert_eq!(axes(shape, None, None).unwrap(), expected, "{shape:?}");
        }
    }

    #[test]
    fn what_does_not_fit_or_cannot_be_guessed_is_refused() {
        for said in ["ZYX", "Y", "ZZ", "ZY", "AB"] {
            let error = axes(&[5, 6], Some(said), None).unwrap_err().to_string();
            assert!(error.contains("5 x 6") && error.contains("TZCYX"), "{error}");
        }
        for shape in [&[7_usize][..], &[9, 9, 9, 9], &[1; 6]] {
            let error = axes(shape, None, None).unwrap_err().to_string();
            assert!(error.contains("give `axes`"), "{error}");
        }
        assert!(axes(&[5, 6], None, Some(&['Z', 'X'])).is_err());
    }
}
