//! Models applied from files to files: the methods `apply` of `Model` and `Ensemble`.

use std::path::PathBuf;

use msd_gpu::images::Discovery;
use msd_gpu::inference::{self, Cutting, Destination, Procedure, Request, Wishes};
use msd_gpu::watcher::{Flow, ImageReport, Watcher};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::applied::Applied;
use crate::arrays::type_of;
use crate::errors::{raised, raised_of_files, setting};
use crate::keywords::{self, Options};
use crate::process;

/// The keywords of `apply`.
const OPTIONS: [&str; 18] = [
    "probabilities",
    "overlay",
    "uncertainty",
    "pages",
    "format",
    "ome",
    "halo",
    "memory",
    "resume",
    "part",
    "keep_going",
    "axes",
    "channel",
    "slices",
    "level",
    "raw",
    "rescale",
    "progress",
];

/// A path, as text that may also be a pattern, or name an array inside a file.
fn place(name: &str, value: &Bound<'_, PyAny>) -> PyResult<String> {
    let path = keywords::path(name, value)?;
    path.into_os_string()
        .into_string()
        .map_err(|path| setting(name, path.display(), "its characters are no text; rename it"))
}

/// The paths of a single input, or of a sequence of them.
fn inputs(input: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if input.extract::<PathBuf>().is_ok() {
        return Ok(vec![place("input", input)?]);
    }
    let Ok(items) = input.try_iter() else {
        return Err(keywords::wrong_type("input", input, "a str or a path, or several of them"));
    };
    let all = items.enumerate().map(|(index, item)| {
        let item = item?;
        let name = format!("input[{index}]");
        if item.extract::<PathBuf>().is_err() {
            return Err(PyTypeError::new_err(format!(
                "{name} is {}; wanted a str or a path",
                type_of(&item)
            )));
        }
        place(&name, &item)
    });
    let all: Vec<_> = all.collect::<PyResult<_>>()?;
    if all.is_empty() {
        return Err(setting("input", "empty", "name a file or a folder at least"));
    }
    Ok(all)
}

impl Applied {
    /// See [`crate::model::Model::apply`]; `function` is what errors call it, and `options` what was given by name.
    pub fn apply(
        &self,
        function: &str,
        input: &Bound<'_, PyAny>,
        out: &Bound<'_, PyAny>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Vec<PathBuf>> {
        process::enter()?;
        let py = input.py();
        let options = Options::read(function, options, &OPTIONS)?;
        let (rescale, progress) = (options.get("rescale"), options.get("progress"));
        let rescale = self.measure(rescale.as_ref())?;
        if let Some(progress) = progress.as_ref().filter(|progress| !progress.is_callable()) {
            return Err(keywords::wrong_type("progress", progress, "a function"));
        }
        let request = self.request(inputs(input)?, keywords::path("out", out)?, &options)?;
        let mut watcher = FileWatcher { progress: progress.map(Bound::unbind), stopped: false, raised: None };
        let done = py.detach(|| {
            // Its own, as this may take hours, and other threads may want to apply the models to arrays meanwhile.
            let mut ensemble =
                inference::Ensemble::new(self.models.clone(), &self.place.choose()?, None, self.tta)?;
            ensemble.rescale(rescale);
            let work = request.work(&ensemble)?;
            if work.count() > 0 {
                work.prepare(&ensemble)?;
                let failures = work.run(&mut ensemble, &mut watcher)?;
                failures.iter().for_each(|failure| log::error!("{}", failure.error));
                if !failures.is_empty() {
                    return Err(msd_gpu::Error::Incomplete { failed: failures.len(), count: work.count() });
                }
            }
            Ok(work.files())
        });
        match (watcher.raised, done) {
            (Some(error), _) => Err(error),
            (None, Err(error)) if watcher.stopped => Err(PyRuntimeError::new_err(format!(
                "{error}, as progress said; the same call with resume=True goes on"
            ))),
            (None, done) => done.map_err(|error| raised_of_files(&error)),
        }
    }

    fn request(&self, inputs: Vec<String>, out: PathBuf, options: &Options<'_, '_>) -> PyResult<Request> {
        let older_ome = match options.text("ome")?.as_deref() {
            None | Some("0.5") => false,
            Some("0.4") => true,
            Some(other) => return Err(setting("ome", format!("'{other}'"), "it must be 0.4 or 0.5")),
        };
        let format = options.text("format")?;
        let (halo, memory) = (options.number_or_text("halo")?, options.number_or_text("memory")?);
        let cutting =
            Cutting::of_text(self.place.tile, halo.as_deref(), memory.as_deref()).map_err(raised)?;
        let share = options.text("part")?.map(|part| part.parse()).transpose().map_err(raised)?;
        let keep_going = options.flag("keep_going")?;
        let mut discovery = Discovery::new(options.text("axes")?, None, keep_going);
        discovery.channel = options.count("channel")?;
        discovery.slices = options.text("slices")?;
        discovery.level = options.count("level")?.unwrap_or(0);
        discovery.raw = options.text("raw")?;
        let mut wishes = Wishes::default();
        wishes.probabilities = options.flag("probabilities")?;
        wishes.overlay = options.flag("overlay")?;
        wishes.uncertainty = options.flag("uncertainty")?;
        wishes.pages = options.flag("pages")?;
        Ok(Request {
            discovery,
            inputs,
            destination: Destination::new(&out, format.as_deref(), older_ome).map_err(raised)?,
            wishes,
            procedure: Procedure::new(cutting, options.flag("resume")?, keep_going, share),
        })
    }
}

/// Tells Python how the work comes along, and listens to Ctrl-C.
struct FileWatcher {
    progress: Option<Py<PyAny>>,
    /// Whether the callback asked for an end.
    stopped: bool,
    /// What was raised, by Ctrl-C or by the callback.
    raised: Option<PyErr>,
}

impl Watcher for FileWatcher {
    fn image(&mut self, image: &ImageReport<'_>) -> Flow {
        if self.raised.is_some() || self.stopped {
            return Flow::Break(());
        }
        let goes_on = Python::attach(|py| {
            py.check_signals()?;
            let Some(progress) = &self.progress else { return Ok(true) };
            let answer = progress.call1(py, (image.index, image.count, image.done, image.name))?;
            Ok(!matches!(answer.extract::<bool>(py), Ok(false)))
        });
        match goes_on {
            Ok(true) => return Flow::Continue(()),
            Ok(false) => self.stopped = true,
            Err(error) => self.raised = Some(error),
        }
        Flow::Break(())
    }
}
