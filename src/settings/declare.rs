//! From a table of settings to a struct.

/// Declares the struct of a group of settings from a table.
///
/// A row is `name: type = default => Setting::under(heading, value_name);`, below a comment whose first paragraph is the
/// help of every program, and which is the field's documentation as a whole. `required` are those without a default, and
/// `parts` are groups inside the group, each with a test whether it is to be written. `in` is the part that the group itself
/// is.
///
/// The struct reads and writes itself as a table of TOML or JSON: what is missing has its default, and what is unknown is
/// refused. `SETTINGS` is the table as data, `set` sets a value by name and text, and `with_required` makes the struct from
/// the required ones.
macro_rules! declare_settings {
    (
        $(#[$meta:meta])*
        pub struct $group:ident in $part:expr;
        required { $($(#[doc = $r_doc:literal])* $r_name:ident: $r_type:ty => $r_info:expr;)* }
        settings { $($(#[doc = $doc:literal])* $name:ident: $type:ty = $default:expr => $info:expr;)* }
        parts { $($(#[doc = $p_doc:literal])* $p_name:ident: $p_type:ty => $p_written:expr;)* }
    ) => {
        $(#[$meta])*
        #[non_exhaustive]
        pub struct $group {
            $($(#[doc = $r_doc])* pub $r_name: $r_type,)*
            $($(#[doc = $doc])* pub $name: $type,)*
            $($(#[doc = $p_doc])* pub $p_name: $p_type,)*
        }

        impl $group {
            /// The settings of this group, as data; without those of its parts.
            pub const SETTINGS: &'static [$crate::settings::Setting] = &[
                $($r_info
                    .named(stringify!($r_name), $part)
                    .typed(<$r_type as $crate::settings::SettingValue>::KIND, &[$($r_doc),*])
                    .required(),)*
                $($info
                    .named(stringify!($name), $part)
                    .typed(<$type as $crate::settings::SettingValue>::KIND, &[$($doc),*])
                    .or(|| {
                        let default: $type = $default;
                        $crate::settings::SettingValue::text(&default)
                    }),)*
            ];
            /// The names in its table, those of parts too.
            const NAMES: &'static [&'static str] =
                &[$(stringify!($r_name),)* $(stringify!($name),)* $(stringify!($p_name),)*];
            /// The parts, with their settings.
            const PARTS: &'static [(&'static str, &'static [$crate::settings::Setting])] =
                &[$((stringify!($p_name), <$p_type>::SETTINGS),)*];

            /// All defaults, beside what has none.
            fn with_required($($r_name: $r_type),*) -> Self {
                Self { $($r_name,)* $($name: $default,)* $($p_name: <$p_type>::default(),)* }
            }

            /// Sets the setting called `name`, which may be one of a part, to the value that `text` says.
            ///
            /// # Errors
            /// [`crate::Error::Setting`] for a text that is no such value; [`crate::Error::Mismatch`] for a name that is no
            /// setting.
            pub fn set(&mut self, name: &str, text: &str) -> $crate::Result<()> {
                match name {
                    $(stringify!($r_name) => {
                        self.$r_name = $crate::settings::SettingValue::read(name, text)?;
                    })*
                    $(stringify!($name) => {
                        self.$name = $crate::settings::SettingValue::read(name, text)?;
                    })*
                    _ => {
                        $(if <$p_type>::SETTINGS.iter().any(|setting| setting.name() == name) {
                            return self.$p_name.set(name, text);
                        })*
                        let problem =
                            $crate::settings::unknown_setting(name, Self::NAMES, Self::PARTS, $part);
                        return Err($crate::Error::Mismatch(problem));
                    }
                }
                Ok(())
            }
        }

        impl serde::Serialize for $group {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut table = serializer.serialize_map(None)?;
                $(table.serialize_entry(stringify!($r_name), &self.$r_name)?;)*
                $({
                    let default: $type = $default;
                    let is_omitted = $info.is_omitted_at_default() && self.$name == default;
                    if !is_omitted && $crate::settings::SettingValue::is_set(&self.$name) {
                        table.serialize_entry(stringify!($name), &self.$name)?;
                    }
                })*
                $({
                    let is_written: fn(&$p_type) -> bool = $p_written;
                    if is_written(&self.$p_name) {
                        table.serialize_entry(stringify!($p_name), &self.$p_name)?;
                    }
                })*
                table.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $group {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                struct Table;

                impl<'de> serde::de::Visitor<'de> for Table {
                    type Value = $group;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a table of settings")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> std::result::Result<$group, A::Error> {
                        $(let mut $r_name: Option<$r_type> = None;)*
                        $(let mut $name: $type = $default;)*
                        $(let mut $p_name = <$p_type>::default();)*
                        let known = || $crate::settings::KnownName {
                            names: $group::NAMES,
                            parts: $group::PARTS,
                            table: $part,
                        };
                        while let Some(key) = map.next_key_seed(known())? {
                            match key {
                                $(stringify!($r_name) => $r_name = Some(map.next_value()?),)*
                                $(stringify!($name) => $name = map.next_value()?,)*
                                $(stringify!($p_name) => $p_name = map.next_value()?,)*
                                // There are no other names in `NAMES`.
                                _ => drop(map.next_value::<serde::de::IgnoredAny>()?),
                            }
                        }
                        Ok($group {
                            $($r_name: $r_name.ok_or_else(|| {
                                <A::Error as serde::de::Error>::missing_field(stringify!($r_name))
                            })?,)*
                            $($name,)*
                            $($p_name,)*
                        })
                    }
                }

                deserializer.deserialize_map(Table)
            }
        }
    };
}

pub(crate) use declare_settings;
