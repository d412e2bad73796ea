//! Unfinished files of a program that was killed.

use std::path::Path;

/// How the names of unfinished files begin and end.
pub(super) const UNFINISHED: (&str, &str) = (".msd-gpu-", ".part");

/// Removes a file, or a folder with all that is in it.
fn remove(entry: &std::fs::DirEntry) -> std::io::Result<()> {
    match entry.file_type()?.is_dir() {
        true => std::fs::remove_dir_all(entry.path()),
        false => std::fs::remove_file(entry.path()),
    }
}

/// Removes the unfinished files that a killed program left in `folder`, as far as that is possible.
pub fn remove_unfinished(folder: impl AsRef<Path>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(UNFINISHED.0)
            && name.ends_with(UNFINISHED.1)
            && let Err(error) = remove(&entry)
        {
            log::warn!("{} cannot be removed: {error}", entry.path().display());
        }
    }
}
