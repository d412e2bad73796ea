//! The error for a name that is no setting.

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, Visitor};

use super::Setting;

/// The one of `names` that is nearest to `name`, if it is so near that it may have been meant.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.replace('-', "_").to_lowercase();
    let most = name.chars().count().max(3) / 3;
    let near = names.into_iter().map(|known| (distance(&name, known), known));
    near.filter(|&(distance, _)| distance <= most)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, known)| known)
}

/// How many characters must be put in, left out, changed or swapped with their neighbour to make `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // The distances of the beginning of `a` to all beginnings of `b`, and those of the two beginnings before it.
    let mut rows = [vec![0; b.len() + 1], (0..=b.len()).collect(), vec![0; b.len() + 1]];
    for i in 1..=a.len() {
        let [before, last, row] = &mut rows;
        row[0] = i;
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()]
}

/// Says that `name` is none of `names`, and which may have been meant; `parts` are tables that stand beside them.
pub(crate) fn unknown_setting(
    name: &str,
    names: &[&str],
    parts: &[(&str, &[Setting])],
    table: Option<&str>,
) -> String {
    let place = |part: Option<&str>| part.map_or(String::new(), |part| format!(" in '{part}'"));
    if let Some((part, _)) = parts.iter().find(|(_, settings)| settings.iter().any(|s| s.name == name)) {
        return format!("the setting '{name}' belongs{}", place(Some(part)));
    }
    let inside = parts.iter().flat_map(|(_, settings)| settings.iter());
    let near = nearest(name, names.iter().copied().chain(inside.clone().map(|setting| setting.name)));
    let Some(near) = near else { return format!("there is no setting '{name}'{}", place(table)) };
    let part = inside.clone().find(|setting| setting.name == near).and_then(|setting| setting.part);
    format!("there is no setting '{name}'{}; the nearest is '{near}'{}", place(table), place(part))
}

/// Reads a key that must be one of several names.
pub(crate) struct KnownName {
    pub(crate) names: &'static [&'static str],
    pub(crate) parts: &'static [(&'static str, &'static [Setting])],
    pub(crate) table: Option<&'static str>,
}

impl<'de> DeserializeSeed<'de> for KnownName {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KnownName {
    type Value = &'static str;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the name of a setting")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let known = self.names.iter().copied().find(|&known| known == name);
        known.ok_or_else(|| E::custom(unknown_setting(name, self.names, self.parts, self.table)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_what_is_mistyped() {
        for (a, b, wanted) in [
            ("depth", "depth", 0),
            ("deepth", "depth", 1),
            ("detph", "depth", 1),
            ("dept", "depth", 1),
            ("tiefe", "depth", 5),
            ("", "lr", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (wanted, wanted), "{a} {b}");
        }
    }

    #[test]
    fn only_what_may_have_been_meant_is_near() {
        let names = ["depth", "width", "lr", "max_steps", "normalise"];
        for (name, wanted) in [
            ("deepth", Some("depth")),
            ("max-steps", Some("max_steps")),
            ("normalize", Some("normalise")),
            ("Depth", Some("depth")),
            ("rl", Some("lr")),
            ("learning_rate", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, names), wanted, "{name}");
        }
    }
}
