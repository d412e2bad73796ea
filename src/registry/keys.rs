//! What models were trained on, in keys and values, and how much two values differ.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, Result};

/// Keys of one model at most, and how long they and their values are at most.
const MOST_KEYS: usize = 64;
const MOST_LETTERS: usize = 200;

/// Keys and their values, such as `energy` and `25 keV`: texts, or numbers with a unit behind them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys(BTreeMap<String, String>);

/// What a wanted key is in a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The key.
    pub key: String,
    /// The wanted value.
    pub wanted: String,
    /// That of the model; `None` where it has no such key.
    pub found: Option<String>,
    /// From 0, where both agree, to 1, where they have nothing in common.
    pub amount: f64,
}

impl Keys {
    /// The keys of texts such as `energy=25keV`.
    ///
    /// # Errors
    /// [`Error::Setting`] for texts that are none, and for keys that are given twice.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self> {
        let mut keys = Self::default();
        for text in texts {
            let text = text.as_ref();
            let wrong = |wanted: &str| {
                let found: String = text.escape_debug().take(MOST_LETTERS).collect();
                Error::setting("key", format!("'{found}'"), wanted.to_owned())
            };
            let (key, value) = text
                .split_once('=')
                .ok_or_else(|| wrong("wanted a key and its value, such as energy=25keV"))?;
            let before = keys.0.len();
            keys.insert(key, value).map_err(wrong)?;
            if keys.0.len() == before {
                return Err(wrong("this key is given a second time; leave one of them out"));
            }
        }
        Ok(keys)
    }

    /// Adds a key; `Err` with what is wanted where it is none. Keys are the same in small and capital letters.
    pub(super) fn insert(&mut self, key: &str, value: &str) -> std::result::Result<(), &'static str> {
        let (key, value) = (key.trim().to_lowercase(), value.trim());
        let is_plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
        if !(1..=MOST_LETTERS).contains(&key.len()) || !key.chars().all(is_plain) {
            return Err("a key must be letters, digits, -, _ and points, such as energy in energy=25keV");
        }
        if !(1..=MOST_LETTERS).contains(&value.len()) || value.chars().any(char::is_control) {
            return Err("a value must be one line of up to 200 letters, such as 25keV in energy=25keV");
        }
        self.0.insert(key, value.to_owned());
        match self.0.len() {
            count if count > MOST_KEYS => Err("a model has at most 64 keys; leave some out"),
            _ => Ok(()),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each key with its value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// How much each of these keys differs in `model`: not at all (0) where both values are the same, in small or capital letters; of
    /// two numbers with the same unit their difference over the larger of them, and at most 1; else wholly (1), as also where
    /// `model` has no such key. Units are not converted. Keys that only `model` has do not count.
    pub fn differences(&self, model: &Self) -> Vec<Difference> {
        let difference = |(key, wanted): (&str, &str)| {
            let found = model.0.get(key);
            Difference {
                key: key.to_owned(),
                wanted: wanted.to_owned(),
                amount: found.map_or(1.0, |found| amount(wanted, found)),
                found: found.cloned(),
            }
        };
        self.iter().map(difference).collect()
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.iter().map(|(key, value)| format!("{key}={value}")).collect();
        f.write_str(&all.join(" "))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, wanted, found, amount } = self;
        match found {
            None => write!(f, "its {key} is not known"),
            Some(found) if *amount == 0.0 => write!(f, "{key} is {found}"),
            Some(found) => write!(f, "{key} is {found} and not {wanted}"),
        }
    }
}

fn amount(a: &str, b: &str) -> f64 {
    if a.to_lowercase() == b.to_lowercase() {
        return 0.0;
    }
    match (quantity(a), quantity(b)) {
        (Some((a, unit)), Some((b, other))) if unit == other => {
            let larger = a.abs().max(b.abs());
            if larger == 0.0 { 0.0 } else { ((a - b).abs() / larger).min(1.0) }
        }
        _ => 1.0,
    }
}

/// A number and its unit; `None` for other texts.
fn quantity(text: &str) -> Option<(f64, &str)> {
    let is_part = |letter: char| letter.is_ascii_digit() || matches!(letter, '+' | '-' | '.' | 'e' | 'E');
    let most = text.find(|letter| !is_part(letter)).unwrap_or(text.len());
    // The e of 25eV belongs to the unit, that of 2.5e4eV to the number.
    let (number, end) =
        (1..=most).rev().find_map(|end| Some((text.get(..end)?.parse::<f64>().ok()?, end)))?;
    let unit = text[end..].trim();
    let is_unit =
        unit.chars().next().is_none_or(|letter| letter.is_alphabetic() || "%\u{b0}\u{b5}".contains(letter));
    (number.is_finite() && is_unit).then_some((number, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        assert_eq!(quantity("25keV"), Some((25.0, "keV")));
        assert_eq!(quantity("2.5e4 eV"), Some((25_000.0, "eV")));
        assert_eq!(quantity("25eV"), Some((25.0, "eV")));
        assert_eq!(quantity("-3"), Some((-3.0, "")));
        for text in ["8.3.2", "LuAG", "", "1e999", "2020-01-01"] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }

    #[test]
    fn values_differ_by_their_ratio_or_wholly() {
        for (a, b, wanted) in [
            ("25keV", "25 keV", 0.0),
            ("20keV", "25keV", 0.2),
            ("25keV", "20keV", 0.2),
            ("25keV", "25eV", 1.0),
            ("-5", "5", 1.0),
            ("0", "0.0", 0.0),
            ("LuAG", "luag", 0.0),
            ("LuAG", "GGG", 1.0),
            ("8.3.2", "8.3.2", 0.0),
            ("8.3.2", "8.3.3", 1.0),
            ("NaN", "nan", 0.0),
        ] {
            assert!((amount(a, b) - wanted).abs() < 1e-12, "{a} {b}: {}", amount(a, b));
        }
    }

    #[test]
    fn texts_that_are_no_keys_are_refused() {
        let keys = Keys::parse(&["Energy = 25 keV", "x.y-z_1=a=b"]).unwrap();
        assert_eq!(keys.to_string(), "energy=25 keV x.y-z_1=a=b");
        let long = format!("a={}", "b".repeat(201));
        for wrong in ["energy", "=25", "a=", "a/b=1", "a\nb=1", "a=1\n2", &long] {
            let error = Keys::parse(&[wrong]).unwrap_err().to_string();
            assert!(error.contains("key") && !error.contains('\n'), "{error}");
        }
        assert!(Keys::parse(&["a=1", "A=2"]).unwrap_err().to_string().contains("second time"));
        let many: Vec<String> = (0..65).map(|number| format!("a{number}=1")).collect();
        assert!(Keys::parse(&many).unwrap_err().to_string().contains("64 keys"));
    }
}
