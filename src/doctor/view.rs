//! How a machine is looked at.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::Bytes;

/// Most bytes of a file that is read. The longest one, the cache of the linker, has some hundred thousand bytes.
const MOST_BYTES: u64 = 4 << 20;

/// The files and the environment of a machine.
///
/// Paths in it are those that the machine knows, whatever folder stands in for its root.
pub struct View {
    root: PathBuf,
    environment: BTreeMap<String, String>,
    /// As [`std::env::consts::OS`] names it.
    pub(super) system: String,
    try_open: fn(&Path) -> io::Result<()>,
}

/// Opens a file as a driver does.
fn open_to_use(path: &Path) -> io::Result<()> {
    OpenOptions::new().read(true).write(true).open(path).map(drop)
}

impl View {
    /// This machine and the environment of this process.
    pub fn of_this_machine() -> Self {
        let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
        let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Self { root: "/".into(), environment, system: std::env::consts::OS.into(), try_open: open_to_use }
    }

    /// A machine whose files are in the folder `root`, where its root directory is, with these variables of the environment and their
    /// values. It is taken for one with Linux.
    pub fn of_folder(root: &Path, environment: &[(&str, &str)]) -> Self {
        let environment = environment.iter().map(|&(name, value)| (name.into(), value.into())).collect();
        Self { root: root.into(), environment, system: "linux".into(), try_open: open_to_use }
    }

    /// The same machine, on which opening files to use them fails or not as `try_open` says: tests may be run by an administrator,
    /// to whom every file is open.
    #[cfg(test)]
    pub(super) fn with_opening(self, try_open: fn(&Path) -> io::Result<()>) -> Self {
        Self { try_open, ..self }
    }

    /// The same machine with another operating system.
    #[cfg(test)]
    pub(super) fn with_system(self, system: &str) -> Self {
        Self { system: system.into(), ..self }
    }

    /// A variable of the environment, where it is set to something.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Where a path of the machine is on the disk. One that is not absolute is taken from the folder of this process.
    fn place(&self, path: &Path) -> PathBuf {
        path.strip_prefix("/").map_or_else(|_| path.to_path_buf(), |inside| self.root.join(inside))
    }

    pub(super) fn is_file(&self, path: &Path) -> bool {
        self.place(path).is_file()
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.place(Path::new(path)).exists()
    }

    /// The text of a file, without the blanks at its ends.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> io::Result<String> {
        let bytes = self.bytes(path.as_ref())?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// The bytes of a file, which are few in those of a system.
    pub(super) fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        let path = self.place(path);
        // Anything else than a file, such as a pipe, might never end.
        if !std::fs::metadata(&path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MOST_BYTES {
            let problem = format!("it has more than {}", Bytes(MOST_BYTES));
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
        }
        Ok(bytes)
    }

    /// The paths in a folder, in order; none where it cannot be read.
    pub(super) fn folder(&self, path: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.place(path)).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| path.join(entry.file_name())).collect();
        paths.sort();
        paths
    }

    /// The last part of what a link names.
    pub(super) fn link_name(&self, path: &Path) -> Option<String> {
        let target = std::fs::read_link(self.place(path)).ok()?;
        target.file_name().map(|name| name.to_string_lossy().into_owned())
    }

    /// Whether a file can be opened to read and write.
    pub(super) fn try_open(&self, path: &Path) -> io::Result<()> {
        (self.try_open)(&self.place(path))
    }

    /// The name of the group that a file belongs to.
    #[cfg(unix)]
    pub(super) fn group(&self, path: &Path) -> Option<String> {
        use std::os::unix::fs::MetadataExt;
        let number = std::fs::metadata(self.place(path)).ok()?.gid().to_string();
        let groups = self.text("/etc/group").ok()?;
        let mut fields = groups.lines().map(|line| line.split(':'));
        fields.find_map(|mut line| {
            let name = line.next()?;
            (line.nth(1)? == number).then(|| name.to_owned())
        })
    }

    #[cfg(not(unix))]
    pub(super) fn group(&self, _: &Path) -> Option<String> {
        None
    }
}
