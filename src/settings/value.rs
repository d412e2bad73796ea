//! The types that a setting may have.

use super::first_paragraph;
use crate::{Error, Result};

/// What the values of a setting are.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum ValueKind {
    /// On or off.
    Switch,
    /// A whole number from 0 on.
    Count,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// Any text.
    Text,
    /// Numbers, a range of them, or a word: text that may begin with a minus sign.
    Numbers,
    /// The name of a file or folder, or of several.
    Path,
    /// Several of [`ValueKind::Path`].
    Paths,
    /// One of several names.
    Choice(&'static [Choice]),
}

/// A value that a setting may have, by name.
#[derive(Debug, PartialEq)]
pub struct Choice {
    name: &'static str,
    docs: &'static [&'static str],
}

impl Choice {
    pub(crate) const fn new(name: &'static str, docs: &'static [&'static str]) -> Self {
        Self { name, docs }
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it stands for, in a sentence without a full stop.
    pub fn help(&self) -> String {
        first_paragraph(self.docs)
    }
}

/// A type that a setting may have.
pub trait SettingValue: Sized {
    /// What its values are.
    const KIND: ValueKind;

    /// Reads a value of the setting that is called `setting`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a text that is no such value.
    fn read(setting: &str, text: &str) -> Result<Self>;

    /// The value as text that [`Self::read`] takes; `None` where nothing is set.
    fn text(&self) -> Option<String>;

    /// Whether there is a value at all.
    fn is_set(&self) -> bool {
        true
    }
}

macro_rules! plain_values {
    ($($type:ty: $kind:ident, $wanted:literal;)*) => {$(
        impl SettingValue for $type {
            const KIND: ValueKind = ValueKind::$kind;

            fn read(setting: &str, text: &str) -> Result<Self> {
                text.parse().map_err(|_| Error::setting(setting, format!("'{text}'"), $wanted))
            }

            fn text(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )*};
}

plain_values! {
    bool: Switch, "it must be true or false";
    usize: Count, "it must be a whole number from 0 on";
    u64: Count, "it must be a whole number from 0 on";
    i64: Whole, "it must be a whole number";
    f64: Number, "it must be a number";
    String: Text, "it must be text";
}

/// Names of files or folders; as text each is on a line of its own.
impl SettingValue for Vec<String> {
    const KIND: ValueKind = ValueKind::Paths;

    fn read(_: &str, text: &str) -> Result<Self> {
        Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    fn text(&self) -> Option<String> {
        self.is_set().then(|| self.join("\n"))
    }

    fn is_set(&self) -> bool {
        !self.is_empty()
    }
}

impl<T: SettingValue> SettingValue for Option<T> {
    const KIND: ValueKind = T::KIND;

    fn read(setting: &str, text: &str) -> Result<Self> {
        T::read(setting, text).map(Some)
    }

    fn text(&self) -> Option<String> {
        self.as_ref().and_then(T::text)
    }

    fn is_set(&self) -> bool {
        self.is_some()
    }
}
