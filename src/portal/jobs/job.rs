//! What is asked for, and what has become of it.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::files::{read_text, write_bytes_atomic};
use crate::{Error, Result};

/// Most bytes of the file that a job is kept in.
const MOST_BYTES: u64 = 256 << 20;
/// The file that a job is kept in.
const FILE: &str = "job.json";

/// Results that are wanted beside the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::portal) enum Product {
    Classes,
    Probabilities,
}

/// The format of results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::portal) enum Format {
    #[default]
    Tif,
    OmeZarr,
    Png,
    Npy,
}

impl Format {
    /// The ending of files, where images are stacks in them.
    pub(super) fn ending(self) -> Option<&'static str> {
        match self {
            Format::Tif => Some("tif"),
            Format::OmeZarr => Some("ome.zarr"),
            Format::Npy => Some("npy"),
            Format::Png => None,
        }
    }
}

/// What a page asks for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::portal) struct Wish {
    pub(in crate::portal) kind: Kind,
    pub(in crate::portal) images: Images,
    #[serde(default)]
    pub(in crate::portal) products: Vec<Product>,
    #[serde(default)]
    pub(in crate::portal) format: Format,
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::portal) enum Kind {
    Predict,
}

/// Images by their names, or the word `all`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(in crate::portal) enum Images {
    Named(Vec<String>),
    All(All),
}

/// The word for all images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::portal) enum All {
    All,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::portal) enum State {
    Waiting,
    Running,
    Done,
    Failed,
    Stopped,
}

impl State {
    pub(super) fn is_over(self) -> bool {
        matches!(self, State::Done | State::Failed | State::Stopped)
    }
}

/// Something to download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::portal) struct JobFile {
    /// What a page calls it.
    pub(in crate::portal) name: String,
    /// Where it is in the folder of the job; a folder is sent as a ZIP file.
    pub(in crate::portal) path: PathBuf,
}

/// How much of an image a class has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::portal) struct Row {
    /// The image, such as `i1`.
    pub(in crate::portal) image: String,
    /// The number of the class.
    pub(in crate::portal) class: i64,
    pub(in crate::portal) pixels: u64,
    /// Of all pixels of the image.
    pub(in crate::portal) share: f64,
    /// Pieces whose pixels touch by their sides, over slices too.
    pub(in crate::portal) objects: u64,
}

/// An image that is done, and where the classes of its pixels are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Finished {
    pub(super) image: String,
    /// In the folder of the job: a stack, or a folder or file of pictures.
    pub(super) labels: Option<PathBuf>,
    /// The same of the values of a network that denoises, and how many channels these have.
    #[serde(default)]
    pub(super) values: Option<(PathBuf, usize)>,
}

/// An image that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Skipped {
    pub(super) image: String,
    /// Its name for people.
    pub(super) name: String,
    pub(super) reason: String,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::portal) struct Job {
    pub(in crate::portal) job: String,
    pub(super) kind: Kind,
    pub(in crate::portal) state: State,
    /// 0 to 1.
    pub(super) done: f64,
    pub(super) message: Option<String>,
    pub(super) images: Vec<String>,
    pub(super) products: Vec<Product>,
    pub(super) format: Format,
    /// The hash of the journal that the model has seen; empty where the model does not say.
    pub(super) journal: String,
    /// The steps that the model has made.
    #[serde(default)]
    pub(super) steps: Option<u64>,
    /// The command that makes the model again.
    #[serde(default)]
    pub(super) command: Option<String>,
    pub(in crate::portal) files: Vec<JobFile>,
    pub(super) table: Vec<Row>,
    pub(super) finished: Vec<Finished>,
    /// Images that were left out.
    #[serde(default)]
    pub(super) skipped: Vec<Skipped>,
}

impl Job {
    /// What there is to say of images that were left out; `None` where there are none.
    pub(super) fn left_out(&self) -> Option<String> {
        let Skipped { name, reason, .. } = self.skipped.first()?;
        let (count, all) = (self.skipped.len(), self.images.len());
        let others = if count > 1 { format!("; and {} more", count - 1) } else { String::new() };
        Some(format!("{count} of {all} images could not be used and are left out: {name}: {reason}{others}"))
    }

    /// The job as pages see it.
    pub(in crate::portal) fn view(&self) -> Value {
        let files: Vec<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        json!({
            "job": self.job,
            "kind": self.kind,
            "state": self.state,
            "done": self.done,
            "message": self.message,
            "images": self.images,
            "journal": self.journal,
            "steps": self.steps,
            "command": self.command,
            "files": files,
            "table": self.table,
            "skipped": self.skipped,
        })
    }

    /// Reads the job in `folder`.
    ///
    /// # Errors
    /// [`Error::Input`] for what cannot be read, and for files and results outside of the folder: a page may ask for all that it names.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let text =
            read_text(&path, MOST_BYTES)?.ok_or_else(|| Error::input(&path, "is too large for a job"))?;
        let job: Self = serde_json::from_str(&text)
            .map_err(|error| Error::input(&path, format!("is no job: {error}")))?;
        let results = job.finished.iter().flat_map(|finished| {
            finished.labels.iter().chain(finished.values.as_ref().map(|(values, _)| values))
        });
        let is_inside = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        let mut named = job.files.iter().map(|file| &file.path).chain(results);
        if let Some(outside) = named.find(|named| !is_inside(named)) {
            let problem = format!(
                "names {}, which is not in the folder of the job; take the folder out of results/",
                outside.display()
            );
            return Err(Error::input(&path, problem));
        }
        Ok(job)
    }

    /// Writes the job into `folder`.
    ///
    /// # Errors
    /// [`Error::Output`] where that fails.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::output(&path, error))?;
        write_bytes_atomic(path, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read_as_the_page_has_them() {
        let wish = |text: &str| serde_json::from_str::<Wish>(text);
        let all = wish(
            r#"{"kind":"predict","images":"all","products":["classes","probabilities"],"format":"ome-zarr"}"#,
        )
        .unwrap();
        assert_eq!((all.images, all.format), (Images::All(All::All), Format::OmeZarr));
        assert_eq!(all.products, [Product::Classes, Product::Probabilities]);
        let named = wish(r#"{"kind":"predict","images":["i1"]}"#).unwrap();
        assert_eq!((named.images, named.format), (Images::Named(vec!["i1".into()]), Format::Tif));
        for text in [
            r#"{"kind":"delete","images":"all"}"#,
            r#"{"kind":"predict","images":"some"}"#,
            r#"{"kind":"predict","images":[1]}"#,
            r#"{"kind":"predict","images":"all","format":"exe"}"#,
            r#"{"kind":"predict","images":"all","out":"/etc"}"#,
        ] {
            assert!(wish(text).is_err(), "{text}");
        }
    }
}
