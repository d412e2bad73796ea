//! What a `dataset.json` says of label values, as folders have it that were made for nnU-Net.
//!
//! Such a folder has images in `imagesTr` and labels of the same names in `labelsTr`, and beside these a file that names the classes:
//! `"labels": {"background": 0, "cell": 1, "ignore": 2}`. Pixels of the value called `ignore` were labelled by nobody.

use std::path::{Path, PathBuf};

use log::info;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::settings::Settings;
use crate::files::read_text;
use crate::images::{is_array_folder, split_place};
use crate::network::TaskKind;
use crate::{Error, Result};

const NAME: &str = "dataset.json";
/// Descriptions that list all their images have less.
const MOST_BYTES: u64 = 16 << 20;
/// Most bytes of what it says of labels, of which there are 256 at most.
const MOST_BYTES_OF_LABELS: usize = 256 << 10;
/// What the value is called of pixels that nobody labelled.
const IGNORED: &str = "ignore";

/// What a description says; all else in it, such as a list of images, is not kept.
#[derive(Deserialize)]
struct File {
    labels: Option<Box<RawValue>>,
}

impl Settings {
    /// Where `ignore` and `class_names` are not given, takes them from a `dataset.json` in the folder of the targets or the one above, and
    /// says so. A file of that name with anything else in it is passed over.
    ///
    /// # Errors
    /// [`Error::Input`] for a file whose ignored value is no whole number.
    pub fn take_description(&mut self) -> Result<()> {
        let is_as_stored = self.threshold.is_none() && self.classes.is_none() && self.colours.is_none();
        let is_wanted = self.ignore.is_none() || self.class_names.is_none();
        if self.task != TaskKind::Segment || !is_as_stored || !is_wanted || self.targets.is_empty() {
            return Ok(());
        }
        let Some(path) = description_of(&self.targets) else { return Ok(()) };
        let Some(Described { ignored, names }) = read(&path)? else { return Ok(()) };
        if let (None, Some(value)) = (self.ignore, ignored) {
            info!(
                "{} says that pixels with the label {value} are to be ignored; give `ignore` for another",
                path.display()
            );
            self.ignore = Some(value);
        }
        if self.class_names.is_none() && !names.is_empty() {
            let names: Vec<String> = names.iter().map(|(value, name)| format!("{value}={name}")).collect();
            info!("{} names the classes: {}", path.display(), names.join(","));
            self.class_names = Some(names.join(","));
        }
        Ok(())
    }
}

/// What a description says.
#[derive(Debug, PartialEq)]
struct Described {
    ignored: Option<i64>,
    /// Label values with the names of their classes; none where some are regions of several values.
    names: Vec<(i64, String)>,
}

/// The description in the folder of `targets` or the one above.
fn description_of(targets: &str) -> Option<PathBuf> {
    let path = split_place(targets).0;
    let is_folder = path.is_dir() && !is_array_folder(&path);
    let folder = if is_folder { path.as_path() } else { path.parent()? };
    // What has no folder in its name is in this one.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    [folder.join(NAME), folder.join("..").join(NAME)].into_iter().find(|path| path.is_file())
}

/// What the description at `path` says; `None` where it is one of something else.
///
/// # Errors
/// As [`Settings::take_description`].
fn read(path: &Path) -> Result<Option<Described>> {
    let passed_over = |problem: String| {
        log::warn!(
            "{} {problem}, so it is passed over; give `ignore` and `class_names` if they count",
            path.display()
        );
    };
    let text = match read_text(path, MOST_BYTES) {
        Ok(Some(text)) => text,
        Ok(None) => {
            passed_over(format!("has more than {MOST_BYTES} bytes"));
            return Ok(None);
        }
        Err(error) => {
            passed_over(format!("cannot be read ({error})"));
            return Ok(None);
        }
    };
    let labels = match serde_json::from_str(&text) {
        Ok(File { labels: Some(labels) }) => labels,
        Ok(File { labels: None }) => return Ok(None),
        Err(error) => {
            passed_over(format!("is no description ({error})"));
            return Ok(None);
        }
    };
    // Taken apart, text may take a hundred times its memory.
    if labels.get().len() > MOST_BYTES_OF_LABELS {
        passed_over(format!("has more than {MOST_BYTES_OF_LABELS} bytes of labels"));
        return Ok(None);
    }
    let Ok(Value::Object(labels)) = serde_json::from_str(labels.get()) else { return Ok(None) };
    let ignored = match labels.get(IGNORED) {
        None => None,
        Some(value) => Some(value.as_i64().ok_or_else(|| {
            let problem =
                format!("has {value} as the label that is ignored; wanted a whole number, or give `ignore`");
            Error::input(path, problem)
        })?),
    };
    let classes = labels.iter().filter(|(name, _)| *name != IGNORED);
    let class = |(name, value): (&String, &Value)| {
        let name = name.trim();
        Some((value.as_i64()?, name.to_owned())).filter(|_| !name.is_empty() && !name.contains(','))
    };
    let mut names: Vec<(i64, String)> = classes.map(class).collect::<Option<_>>().unwrap_or_default();
    names.sort_unstable();
    Ok(Some(Described { ignored, names }).filter(|found| found.ignored.is_some() || !found.names.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> Settings {
        Settings::new(TaskKind::Segment, "images", "labels")
    }

    #[test]
    fn what_is_ignored_and_the_names_are_found_beside_and_above_the_labels() {
        let folder = tempfile::tempdir().unwrap();
        let (labels, path) = (folder.path().join("labelsTr"), folder.path().join(NAME));
        std::fs::create_dir(&labels).unwrap();
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        let taken = |settings: Settings| {
            let mut settings = Settings { targets: labels.display().to_string(), ..settings };
            settings.take_description().map(|()| (settings.ignore, settings.class_names.clone()))
        };
        assert_eq!(taken(fresh()).unwrap(), (None, None));
        write(r#"{"channel_names": {"0": "CT"}, "labels": {"background": 0, "ignore": 2, "cell": 1}}"#);
        let names = || Some("0=background,1=cell".to_owned());
        assert_eq!(taken(fresh()).unwrap(), (Some(2), names()));
        // What is given counts, and other rules have other classes.
        assert_eq!(taken(Settings { ignore: Some(7), ..fresh() }).unwrap(), (Some(7), names()));
        assert_eq!(taken(Settings { threshold: Some(7), ..fresh() }).unwrap(), (None, None));
        // Regions are several values together.
        write(r#"{"labels": {"background": 0, "whole": [1, 2], "ignore": 3}}"#);
        assert_eq!(taken(fresh()).unwrap(), (Some(3), None));
        for other in [r#"{"labels": ["a"]}"#, "[]", r#"{"name": "else"}"#] {
            write(other);
            assert_eq!(taken(fresh()).unwrap(), (None, None), "{other}");
        }
        // One of something else does not end training.
        write("{");
        assert_eq!(taken(fresh()).unwrap(), (None, None));
        write(r#"{"labels": {"ignore": "x"}}"#);
        let error = taken(fresh()).unwrap_err().to_string();
        assert!(error.contains(NAME) && error.contains("whole number"), "{error}");
        // A file of labels has it beside itself.
        write(r#"{"labels": {"background": 0, "ignore": 9}}"#);
        let mut settings = Settings { targets: folder.path().join("l.tif").display().to_string(), ..fresh() };
        settings.take_description().unwrap();
        assert_eq!(settings.ignore, Some(9));
    }
}
