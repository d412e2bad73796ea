//! How a model of the page is made again.

use super::Project;
use crate::network::Model;

/// What names a model of the page: the journal that it has seen, and its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::portal) struct Seen {
    /// The hash of the journal's last entry.
    pub(in crate::portal) journal: String,
    pub(in crate::portal) steps: u64,
}

impl Seen {
    /// What a model says of itself; `None` for one that is not of a page.
    pub(in crate::portal) fn of(model: &Model) -> Option<Self> {
        let journal = model.provenance.get("journal")?.rsplit(' ').next()?.to_owned();
        Some(Self { journal, steps: model.provenance.get("steps")?.parse().ok()? })
    }
}

impl Project {
    /// The command that makes a model again, for a shell.
    pub(in crate::portal) fn command(&self, Seen { journal, steps }: &Seen) -> String {
        let folder = quoted(&self.folder.display().to_string());
        format!("msd-gpu train --project {folder} --journal {journal} --steps {steps} --out again")
    }
}

/// Text as one word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | ':');
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}
