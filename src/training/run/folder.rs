//! The folder of a run: each file is written beside its place and renamed into it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::Array3;

use super::checkpoint::Checkpoint;
use crate::files::{FolderLock, read_text, remove_unfinished, write_bytes_atomic};
use crate::images::write_png_rgb8;
use crate::network::{Model, Stem};
use crate::samples::Measurements;
use crate::training::reports::History;
use crate::training::{ClassShares, MixingStart, Settings};
use crate::{Error, Result};

/// Bytes of `config.toml` at most: settings are a few kilobytes, and lists of paths some more.
const MOST_CONFIG: u64 = 4 << 20;
/// Bytes and epochs of `history.csv` at most; after as many epochs, writing it would take longer than training.
const MOST_HISTORY: u64 = 16 << 20;
const MOST_EPOCHS: usize = 1 << 17;
/// What was measured over images in files.
const MEASUREMENTS: &str = "measurements.json";
/// Bytes of it at most: a few for each row of each image.
const MOST_MEASUREMENTS: u64 = 1 << 30;

/// A folder with `config.toml`, `history.csv`, `curves.svg`, `preview.png`, `model.safetensors` and
/// `checkpoint.safetensors`, with `measurements.json` where the images stay in their files, and event files where they were asked
/// for.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
    /// Keeps other programs out.
    _lock: Arc<FolderLock>,
}

impl RunFolder {
    /// Makes the folder for a new run, and removes what a killed run left half-written there.
    ///
    /// # Errors
    /// [`Error::Output`] when it cannot be made or written, holds a run already, or another program is writing to it.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        std::fs::create_dir_all(&path).map_err(|error| {
            let problem = format!("{error}; name a folder that can be made with `out`");
            Error::output(&path, problem).caused_by(error)
        })?;
        let lock = Arc::new(FolderLock::take(&path)?);
        Self::check_free(&path)?;
        // A run that was killed before its first checkpoint is begun again in its folder.
        remove_unfinished(&path);
        Ok(Self { path, _lock: lock })
    }

    /// Checks that there is no run at `path` yet, which [`RunFolder::create`] would refuse after all images were read.
    ///
    /// # Errors
    /// [`Error::Output`] when there is one.
    pub fn check_free(path: &Path) -> Result<()> {
        let taken = ["model.safetensors", "checkpoint.safetensors"];
        if taken.iter().any(|name| path.join(name).exists()) {
            let problem =
                "it holds a run already; name another folder with `out` (`resume` goes on with a run)";
            return Err(Error::output(path, problem));
        }
        Ok(())
    }

    /// Whether a run at `path`, or one of its folds, has come so far that it can go on.
    pub fn can_go_on(path: &Path) -> bool {
        ["", "fold-1"].iter().any(|fold| Self::has_checkpoint(&path.join(fold)))
    }

    /// Opens the folder of a run that is to go on, and removes what a killed run left half-written there.
    ///
    /// # Errors
    /// [`Error::Input`] when it holds none; [`Error::Output`] when another program is writing to it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let file = path.join("config.toml");
        std::fs::metadata(&file).map_err(|error| no_run(&path, error))?;
        let lock = Arc::new(FolderLock::take(&path)?);
        remove_unfinished(&path);
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the settings of the run in the folder `path`; paths in them become relative to the working directory.
    ///
    /// # Errors
    /// [`Error::Input`] when the file is missing or damaged.
    pub fn settings(path: &Path) -> Result<Settings> {
        let file = path.join("config.toml");
        std::fs::metadata(&file).map_err(|error| no_run(path, error))?;
        let text = read_text(&file, MOST_CONFIG)?.ok_or_else(|| {
            Error::input(&file, "is longer than any settings of a run; put back the one that was written")
        })?;
        let mut settings = read_run_settings(&text, &file)?;
        settings.found_from(path);
        Ok(settings)
    }

    /// Reads the history of the run in the folder `path`, with metrics of these names; `None` where none was written yet.
    ///
    /// # Errors
    /// [`Error::Input`] when the file is damaged.
    pub fn history(path: &Path, metrics: &[&str]) -> Result<Option<History>> {
        let file = path.join("history.csv");
        if std::fs::metadata(&file).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Ok(None);
        }
        let text = history_text(&file)?;
        let epochs = text.lines().count().saturating_sub(1);
        if epochs > MOST_EPOCHS {
            return Err(too_long(&file));
        }
        History::from_csv(&text, metrics, epochs).map(Some).ok_or_else(|| {
            Error::input(
                &file,
                "is not the history of a run; remove it, or bring back the one that was written",
            )
        })
    }

    /// What was measured over the images of the run in the folder `path`: nothing where that is not there or damaged, as it can be
    /// measured again.
    pub(in crate::training) fn measurements(path: &Path) -> Measurements {
        let file = path.join(MEASUREMENTS);
        let is_short = std::fs::metadata(&file).is_ok_and(|file| file.len() <= MOST_MEASUREMENTS);
        let bytes = if is_short { std::fs::read(&file).unwrap_or_default() } else { Vec::new() };
        Measurements::from_bytes(&bytes)
    }

    pub(in crate::training) fn write_measurements(&self, measurements: &Measurements) -> Result<()> {
        match measurements.to_bytes() {
            Some(bytes) => write_bytes_atomic(self.path.join(MEASUREMENTS), &bytes),
            None => Ok(()),
        }
    }

    pub(in crate::training) fn write_settings(&self, settings: &Settings) -> Result<()> {
        let settings = settings.relative_to(&self.path);
        write_bytes_atomic(self.path.join("config.toml"), settings.to_toml()?.as_bytes())
    }

    pub(in crate::training) fn write_history(&self, history: &History) -> Result<()> {
        write_bytes_atomic(self.path.join("history.csv"), history.to_csv().as_bytes())?;
        write_bytes_atomic(self.path.join("curves.svg"), history.to_svg().as_bytes())
    }

    pub(in crate::training) fn read_history(&self, metrics: &[&str], epochs: usize) -> Result<History> {
        let path = self.path.join("history.csv");
        let text = history_text(&path)?;
        let wanted =
            format!("does not hold the {epochs} epochs that the checkpoint stands on; start anew with `out`");
        History::from_csv(&text, metrics, epochs).ok_or_else(|| Error::input(&path, wanted))
    }

    pub(in crate::training) fn write_model(&self, model: &Model) -> Result<()> {
        write_bytes_atomic(self.path.join("model.safetensors"), &model.to_bytes()?)
    }

    /// Writes the preview; gives the bytes of its file.
    pub(in crate::training) fn write_preview(&self, picture: &Array3<u8>) -> Result<Vec<u8>> {
        let path = self.path.join("preview.png");
        write_png_rgb8(&path, picture)?;
        std::fs::read(&path).map_err(|e| Error::input(&path, format!("cannot be read ({e})")))
    }

    pub(in crate::training) fn write_checkpoint(&self, checkpoint: &Checkpoint) -> Result<()> {
        write_bytes_atomic(self.path.join("checkpoint.safetensors"), &checkpoint.to_bytes()?)
    }

    /// Whether the run in the folder `path` has gone on with other labels than those that it began with.
    ///
    /// # Errors
    /// For a checkpoint that cannot be read.
    pub(in crate::training) fn was_relabelled(path: &Path) -> Result<bool> {
        Ok(read_checkpoint(path)?.is_some_and(|checkpoint| checkpoint.progress.relabelled_at() > 0))
    }

    /// Whether the run in the folder `path` has a checkpoint, with parameters to go on with.
    pub(in crate::training) fn has_checkpoint(path: &Path) -> bool {
        path.join("checkpoint.safetensors").exists()
    }

    /// The steps that the run in the folder `path` has made, as its checkpoint says: 0 for one that was stopped before its first.
    ///
    /// # Errors
    /// [`Error::Input`] for a checkpoint that cannot be read.
    pub fn steps_made(path: &Path) -> Result<u64> {
        Ok(read_checkpoint(path)?.map_or(0, |checkpoint| checkpoint.progress.step))
    }

    /// The checkpoint; none in the folder of a run that was stopped before its first.
    pub(in crate::training) fn read_checkpoint(&self) -> Result<Option<Checkpoint>> {
        read_checkpoint(&self.path)
    }
}

fn read_checkpoint(folder: &Path) -> Result<Option<Checkpoint>> {
    let path = folder.join("checkpoint.safetensors");
    match std::fs::read(&path) {
        Ok(bytes) => Checkpoint::from_bytes(&bytes, &path).map(Some),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::input(&path, format!("cannot be read ({e})"))),
    }
}

/// The error for a folder whose `config.toml` cannot be read.
fn no_run(path: &Path, error: std::io::Error) -> Error {
    let problem = format!("holds no run to resume (config.toml: {error}); start one with `out`");
    Error::input(path, problem).caused_by(error)
}

/// Reads the settings that a run has written, as [`read_settings`] does. Those of a run that was begun before there were stems, or
/// before mixing layers were fitted or class shares looked for, leave open what nobody chose then.
///
/// # Errors
/// As [`read_settings`].
pub(in crate::training) fn read_run_settings(text: &str, path: &Path) -> Result<Settings> {
    let mut settings = read_settings(text, path)?;
    let table = toml::from_str::<toml::Table>(text).unwrap_or_default();
    // A run that names no loss was trained with the usual one, also where a class has become rare since.
    let usual = settings.loss();
    settings.optimisation.loss.get_or_insert(usual);
    if !table.contains_key("mixing_start") {
        settings.mixing_start = MixingStart::Zero;
    }
    if !table.contains_key("class_shares") {
        settings.class_shares = ClassShares::Labels;
    }
    if !table.contains_key("stem") {
        settings.stem = Stem::default().to_string();
        settings.favour_labelled.get_or_insert(0.0);
        settings.optimisation.ema.get_or_insert(0.0);
        settings.optimisation.optimizer.get_or_insert_default();
        settings.optimisation.schedule.get_or_insert_default();
        settings.augmentation.contrast.get_or_insert(0.0);
        settings.augmentation.brightness.get_or_insert(0.0);
    }
    Ok(settings)
}

/// Reads settings from TOML; `path` is named in errors.
///
/// # Errors
/// [`Error::Input`] with the line that is wrong.
pub fn read_settings(text: &str, path: &Path) -> Result<Settings> {
    let filled = with_images(text);
    let before = filled.matches('\n').count() - text.matches('\n').count();
    toml::from_str(&filled).map_err(|e| {
        let line = |span: std::ops::Range<usize>| {
            let breaks = filled.get(..span.start).map_or(0, |text| text.matches('\n').count());
            format!("line {}: ", (1 + breaks).saturating_sub(before).max(1))
        };
        let place = e.span().map_or(String::new(), line);
        Error::input(
            path,
            format!(
                "{place}{}; wanted the settings of a run, as in any config.toml",
                e.message().replace('\n', " ")
            ),
        )
    })
}

/// The text of the history of a run.
fn history_text(file: &Path) -> Result<String> {
    read_text(file, MOST_HISTORY)?.ok_or_else(|| too_long(file))
}

fn too_long(file: &Path) -> Error {
    Error::input(
        file,
        "is longer than any history of a run; remove it, or bring back the one that was written",
    )
}

/// The text of settings with the images and targets that follow from others in it, on lines in front, as no table is open there.
fn with_images(text: &str) -> Cow<'_, str> {
    let Ok(table) = toml::from_str::<toml::Table>(text) else { return Cow::Borrowed(text) };
    let is_alone = table.get("alone").and_then(toml::Value::as_bool) == Some(true);
    // Coarse images are made of fine ones where there are no targets.
    let coarsens = table.get("factor").and_then(toml::Value::as_integer).is_some_and(|factor| factor > 1)
        && !table.contains_key("pairs");
    let itself = table.get("images").filter(|_| is_alone || coarsens);
    let Some(first) = table.get("splits").and_then(|splits| splits.get(0)).or(itself) else {
        return Cow::Borrowed(text);
    };
    let missing = ["images", "targets"].into_iter().filter(|name| !table.contains_key(*name));
    let lines: String = missing.map(|name| format!("{name} = {first}\n")).collect();
    Cow::Owned(lines + text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Loss;

    #[test]
    fn what_a_run_does_not_name_is_what_there_was_then() {
        let read = |text: &str| {
            let text = format!("images = 'a'\ntargets = 'b'\n{text}");
            let settings = read_run_settings(&text, Path::new("config.toml")).unwrap();
            (settings.optimisation.loss.unwrap(), settings.mixing_start)
        };
        assert_eq!(read("task = 'segment'"), (Loss::CrossEntropy, MixingStart::Zero));
        assert_eq!(read("task = 'regress'"), (Loss::SquaredError, MixingStart::Zero));
        let named = "task = 'segment'\nmixing_start = 'auto'\n[optimisation]\nloss = 'dice'";
        assert_eq!(read(named), (Loss::Dice, MixingStart::Auto));
    }

    #[test]
    fn a_history_that_is_none_is_not_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(RunFolder::history(folder.path(), &["psnr"]).unwrap(), None);
        let path = folder.path().join("history.csv");
        std::fs::write(&path, History::new(&["psnr"]).to_csv()).unwrap();
        assert_eq!(RunFolder::history(folder.path(), &["psnr"]).unwrap(), Some(History::new(&["psnr"])));
        std::fs::File::create(&path).unwrap().set_len(1 << 32).unwrap();
        let error = RunFolder::history(folder.path(), &["psnr"]).unwrap_err().to_string();
        assert!(error.contains("longer than any history of a run; remove it"), "{error}");
    }
}
