//! What stands in the folder of the work: what was asked for, and what was found on the way.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{make_and_try, read_text, write_bytes_atomic};
use crate::{Error, Result};

const FILE: &str = "plan.toml";
/// Flags and a few numbers.
const MOST_BYTES: u64 = 1 << 20;

/// The plan of the work in a folder.
#[derive(Debug)]
pub(super) struct Plan {
    folder: PathBuf,
    content: Content,
}

/// As it stands in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// The flags, as this version of the program writes them.
    asked: String,
    /// The column of the axis.
    #[serde(skip_serializing_if = "Option::is_none")]
    centre: Option<f64>,
    /// Whether all shares are reconstructed.
    #[serde(default)]
    reconstructed: bool,
    /// Minutes of training.
    #[serde(skip_serializing_if = "Option::is_none")]
    minutes: Option<f64>,
}

impl Plan {
    /// The plan of work that is `asked` for, in `folder`, which is made; with `resume` the one that is there. It is written once something
    /// was found, so that flags that cannot be can be given anew.
    ///
    /// # Errors
    /// [`Error::Output`] where the folder cannot be made, or holds other work than what is to go on.
    pub(super) fn open(folder: &Path, asked: &str, resume: bool) -> Result<Self> {
        make_and_try(folder)?;
        let path = folder.join(FILE);
        let mut content = Content { asked: asked.into(), centre: None, reconstructed: false, minutes: None };
        if path.exists() {
            if !resume {
                let problem =
                    "it holds earlier work; go on with it by `resume`, or name another folder with `work`";
                return Err(Error::output(folder, problem));
            }
            let damaged = || {
                Error::input(
                    &path,
                    "is not a plan of this work; remove the folder, or name another with `work`",
                )
            };
            let text = read_text(&path, MOST_BYTES)?.ok_or_else(damaged)?;
            content = toml::from_str(&text).map_err(|_| damaged())?;
            if content.asked != asked {
                let problem =
                    "it holds work with other flags; give the same ones, or name another folder with `work`";
                return Err(Error::output(folder, problem));
            }
        }
        Ok(Self { folder: folder.to_path_buf(), content })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn centre(&self) -> Option<f64> {
        self.content.centre
    }

    pub(super) fn set_centre(&mut self, centre: f64) -> Result<()> {
        self.content.centre = Some(centre);
        self.save()
    }

    pub(super) fn reconstructed(&self) -> bool {
        self.content.reconstructed
    }

    pub(super) fn set_reconstructed(&mut self) -> Result<()> {
        self.content.reconstructed = true;
        self.save()
    }

    pub(super) fn minutes(&self) -> Option<f64> {
        self.content.minutes
    }

    pub(super) fn set_minutes(&mut self, minutes: f64) -> Result<()> {
        self.content.minutes = Some(minutes);
        self.save()
    }

    fn save(&self) -> Result<()> {
        let path = self.folder.join(FILE);
        let text = toml::to_string(&self.content)
            .map_err(|error| Error::output(&path, format!("cannot be written: {error}; check the disk")))?;
        write_bytes_atomic(&path, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_go_on_with_the_same_work_only() {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        let mut plan = Plan::open(&work, "--split 2", false).unwrap();
        plan.set_centre(22.5).unwrap();
        plan.set_minutes(3.0).unwrap();
        assert!(Plan::open(&work, "--split 2", false).unwrap_err().to_string().contains("resume"));
        assert!(Plan::open(&work, "--split 3", true).unwrap_err().to_string().contains("other flags"));
        let plan = Plan::open(&work, "--split 2", true).unwrap();
        assert_eq!((plan.centre(), plan.minutes(), plan.reconstructed()), (Some(22.5), Some(3.0), false));
        std::fs::write(work.join(FILE), "nonsense").unwrap();
        assert!(Plan::open(&work, "--split 2", true).unwrap_err().to_string().contains("is not a plan"));
    }
}
