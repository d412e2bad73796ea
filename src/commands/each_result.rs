//! The command that `watch --exec` runs for each result.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Error, Result};

/// What `--help` says of it, besides the flag's own lines.
pub(super) const HELP: &str = "\
With --exec the command is run for each image, one at a time and without a shell, so that no name of a file can be taken for a \
command. Its first words may follow it, separated by blanks; then come, each as one argument, the image and its results:

    msd-gpu watch incoming --model run --out results --exec 'python3 show.py --small'
    runs: python3 show.py --small incoming/a.tif results/a.png

The environment has MSD_GPU_IMAGE, MSD_GPU_RESULT (the first result) and, for an array, MSD_GPU_SLICE (the number of the slice). \
What the command prints goes to standard error. One that fails is warned of, and not run again; one that was interrupted is run \
again by the next watch. The next image waits until it has ended.";

/// A program with its first arguments.
#[derive(Debug, Clone)]
pub(super) struct EachResult {
    program: OsString,
    arguments: Vec<OsString>,
}

impl EachResult {
    /// The words of `text`; a name with blanks is taken as a whole where there is such a file.
    ///
    /// # Errors
    /// [`Error::Setting`] for nothing, and where there is no such program.
    pub(super) fn new(text: &str) -> Result<Self> {
        if Path::new(text).is_file() {
            return Ok(Self { program: text.into(), arguments: Vec::new() });
        }
        let mut words = text.split_whitespace().map(OsString::from);
        let Some(program) = words.next() else {
            return Err(Error::setting("exec", "empty", "it must name a program"));
        };
        let name = Path::new(&program);
        // A name alone is looked for where programs are.
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let is_there = match name.components().count() {
            1 => std::env::split_paths(&folders).any(|folder| folder.join(name).is_file()),
            _ => name.is_file(),
        };
        if !is_there && cfg!(unix) {
            let found = format!("'{}', which is no program", name.display());
            return Err(Error::setting("exec", found, "it must name one; check its name and the folder"));
        }
        Ok(Self { program, arguments: words.collect() })
    }

    /// Runs it for an image and its results; gives whether it need not be run again.
    ///
    /// # Errors
    /// [`Error::Setting`] when there is no such program.
    pub(super) fn run(&self, image: &Path, slice: Option<usize>, results: &[PathBuf]) -> Result<bool> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(image).args(results).env("MSD_GPU_IMAGE", image);
        if let Some(first) = results.first() {
            command.env("MSD_GPU_RESULT", first);
        }
        match slice {
            Some(slice) => command.env("MSD_GPU_SLICE", slice.to_string()),
            None => command.env_remove("MSD_GPU_SLICE"),
        };
        // Standard output is for what this program says.
        command.stdin(Stdio::null()).stdout(std::io::stderr());
        let name = self.program.to_string_lossy();
        let status = command.status().map_err(|error| {
            let wanted = format!("it cannot be started: {error}; check its name and its permissions");
            Error::setting("exec", format!("'{name}'"), wanted)
        })?;
        if !status.success() {
            log::warn!("{name} ended with {status} for {}", image.display());
        }
        // Without a code it was ended by a signal.
        Ok(status.code().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_follow_the_program_and_names_with_blanks_are_taken_as_they_are() {
        let program = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
        let words = EachResult::new(&format!(" {program}  show.py -a ")).unwrap();
        assert_eq!((words.program, words.arguments), (program.into(), vec!["show.py".into(), "-a".into()]));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my program");
        std::fs::write(&path, b"").unwrap();
        let whole = EachResult::new(path.to_str().unwrap()).unwrap();
        assert_eq!((whole.program, whole.arguments), (path.into(), Vec::new()));
        assert!(EachResult::new("  ").is_err());
        #[cfg(unix)]
        assert!(EachResult::new("./no-such-program -a").is_err());
    }
}
