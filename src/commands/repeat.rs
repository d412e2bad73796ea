//! `msd-gpu train --project --journal`: what the page has trained, once more.

use std::path::Path;

use log::info;

use super::training_progress::ProgressWatcher;
use crate::devices::Device;
use crate::files::{make_and_try, write_bytes_atomic};
use crate::portal::live;
use crate::{Error, Result};

/// Makes the model again that has seen `journal` and made so many `steps`, and writes it into the folder `out`.
pub(super) fn run(
    project: Option<&Path>,
    journal: Option<&str>,
    steps: Option<u64>,
    out: Option<&Path>,
    device: &Device,
) -> Result<()> {
    let missing = |name: &str, wanted: &str| Error::setting(name, "missing", wanted.to_owned());
    let project =
        project.ok_or_else(|| missing("--project", "it must name the project that has the journal"))?;
    let journal =
        journal.ok_or_else(|| missing("--journal", "it must be the hash of what the model has seen"))?;
    let out = out.ok_or_else(|| missing("--out", "it must name a folder for the model"))?;
    if !project.join("project.toml").is_file() {
        return Err(Error::input(project, "is no project of msd-gpu; name the folder that was served"));
    }
    let file = out.join("model.safetensors");
    if file.exists() {
        return Err(Error::output(out, "it holds a model already; name another folder with --out"));
    }
    make_and_try(out)?;
    let mut watcher = ProgressWatcher::new();
    let model = live::repeat(project, journal, steps, device, &mut watcher)?;
    drop(watcher);
    write_bytes_atomic(&file, &model.to_bytes()?)?;
    info!("the model is in {}", file.display());
    Ok(())
}
