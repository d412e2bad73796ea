//! How a page of scores came about: models, their runs, files and the command line.

use std::path::{Path, PathBuf};

use super::inspect;
use crate::evaluation::metric_names;
use crate::evaluation::page::{Provenance, Training};
use crate::files::read_text;
use crate::network::Model;
use crate::training::RunFolder;

/// More models than this are named and no more.
const MOST_MODELS: usize = 8;
/// Larger settings of a run are none that this program wrote.
const MOST_BYTES: u64 = 1 << 20;

/// Of `models`, and `files` as they were given on the command line. What cannot be read is left out.
pub(super) fn of(models: &[PathBuf], files: &[(&str, &Option<String>)]) -> Provenance {
    let mut facts = Vec::new();
    let mut trainings = Vec::new();
    for (number, path) in models.iter().enumerate() {
        let heading = if models.len() == 1 { "Model".into() } else { format!("Model {}", number + 1) };
        let known = if number < MOST_MODELS { Model::read(path).ok() } else { None };
        let named = || vec![("model".to_owned(), path.display().to_string())];
        facts.push((heading, known.as_ref().map_or_else(named, |model| inspect::entries(path, model))));
        if let (Some(model), Some(run)) = (&known, run_of(path)) {
            let history = RunFolder::history(run, metric_names(&model.task)).ok().flatten();
            trainings.push(Training {
                name: run.display().to_string(),
                curves: history.filter(|history| !history.epochs.is_empty()).map(|history| history.to_svg()),
                settings: read_text(&run.join("config.toml"), MOST_BYTES).ok().flatten(),
            });
        }
    }
    let given = files.iter().filter_map(|(name, place)| Some(((*name).to_owned(), place.as_ref()?.clone())));
    facts.push(("Files".into(), given.collect()));
    Provenance { facts, trainings, command: Some(command_line()) }
}

/// The run folder that a model is in: the one that was named, or that of its `model.safetensors`.
fn run_of(path: &Path) -> Option<&Path> {
    let folder = match path.is_dir() {
        true => path,
        false => {
            path.parent().filter(|_| path.file_name().is_some_and(|name| name == "model.safetensors"))?
        }
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    folder.join("history.csv").is_file().then_some(folder)
}

/// The arguments of the program as they are typed in a shell, about: with quotes where there are blanks.
fn command_line() -> String {
    let word = |argument: std::ffi::OsString| {
        let text = argument.to_string_lossy().into_owned();
        let is_plain = |letter: char| letter.is_alphanumeric() || "-_./:=,+@%".contains(letter);
        if !text.is_empty() && text.chars().all(is_plain) {
            text
        } else {
            format!("'{}'", text.replace('\'', "'\\''"))
        }
    };
    // The program's own place says nothing.
    std::iter::once("msd-gpu".to_owned())
        .chain(std::env::args_os().skip(1).map(word))
        .collect::<Vec<_>>()
        .join(" ")
}
