//! Enums whose values are named in text, in files as on the command line.

/// Declares an enum whose values have names, given with `=`: serde writes and reads these, as do `Display` and `FromStr`.
/// `of "boundary"` is the setting that errors name; `default` is optional, and so is `switch`, which names the values that
/// `true` and `false` stand for in files that were written when the setting was a switch.
macro_rules! named_choices {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $name:ident of $setting:literal $(, default $default:ident)? $(, switch $on:ident $off:ident)? {
            $($(#[doc = $doc:literal])* $variant:ident = $text:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
        $visibility enum $name {
            $($(#[doc = $doc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// All values, with their names.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The names, with what they stand for.
            pub const CHOICES: &'static [$crate::settings::Choice] =
                &[$($crate::settings::Choice::new($text, &[$($doc),*])),*];

            /// The name used on the command line and in files.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                struct Name;

                impl serde::de::Visitor<'_> for Name {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("a name of ", $setting))
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<$name, E> {
                        const NAMES: &[&str] = &[$($text),*];
                        let found = $name::ALL.iter().copied().find(|value| value.name() == text);
                        found.ok_or_else(|| E::unknown_variant(text, NAMES))
                    }

                    $(fn visit_bool<E: serde::de::Error>(self, on: bool) -> std::result::Result<$name, E> {
                        Ok(if on { $name::$on } else { $name::$off })
                    })?
                }

                deserializer.deserialize_any(Name)
            }
        }

        $(impl Default for $name {
            fn default() -> Self {
                Self::$default
            }
        })?

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::Error;

            fn from_str(text: &str) -> $crate::Result<Self> {
                <Self as $crate::settings::SettingValue>::read($setting, text)
            }
        }

        impl $crate::settings::SettingValue for $name {
            const KIND: $crate::settings::ValueKind = $crate::settings::ValueKind::Choice(Self::CHOICES);

            fn read(setting: &str, text: &str) -> $crate::Result<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == text).ok_or_else(|| {
                    let names: Vec<_> = Self::ALL.iter().map(|value| value.name()).collect();
                    let wanted = format!("it must be one of {}", names.join(", "));
                    $crate::Error::setting(setting, format!("'{text}'"), wanted)
                })
            }

            fn text(&self) -> Option<String> {
                Some(self.name().into())
            }
        }
    };
}

pub(crate) use named_choices;

#[cfg(test)]
mod tests {
    named_choices! {
        /// For this test.
        enum Fruit of "fruit", default Pear {
            /// Red.
            Apple = "apple",
            /// Green,
            /// or yellow.
            Pear = "pear",
        }
    }

    #[test]
    fn names_are_read_and_written() {
        assert_eq!(Fruit::default().to_string(), "pear");
        assert_eq!("apple".parse::<Fruit>().unwrap(), Fruit::Apple);
        let error = "plum".parse::<Fruit>().unwrap_err().to_string();
        assert_eq!(error, "fruit is 'plum', but it must be one of apple, pear");
        assert_eq!(serde_json::to_value(Fruit::Apple).unwrap(), "apple");
        assert_eq!(Fruit::CHOICES[1].help(), "Green, or yellow");
    }
}
