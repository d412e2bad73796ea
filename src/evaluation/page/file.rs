//! `report.html`: where a page is written, and what it may take the place of.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::files::{make_and_try, write_bytes_atomic};
use crate::pictures::html::GENERATOR;
use crate::{Error, Result};

const NAME: &str = "report.html";
/// Where in a page the mark of this program stands at the latest.
const BEGINNING: u64 = 512;

/// A page that is going to be written into a folder. Where it is not, a folder that was made for it goes away again.
#[derive(Debug)]
pub struct PageFile {
    path: PathBuf,
    /// The folder, where it was made for this.
    made: Option<PathBuf>,
}

impl PageFile {
    /// Makes the folder where it is not there, and checks that the page can be written: before anything is computed.
    ///
    /// # Errors
    /// [`Error::Output`] for a folder that cannot be made or takes no files, and where `report.html` is there that this program did
    /// not write.
    pub fn new(folder: &Path) -> Result<Self> {
        let made = (!folder.exists()).then(|| folder.to_path_buf());
        let file = Self { path: folder.join(NAME), made };
        make_and_try(folder).map_err(|error| match error {
            Error::Output { path, problem, cause } => {
                Error::Output { path, problem: problem.replace("`out`", "`report`"), cause }
            }
            other => other,
        })?;
        file.check()?;
        Ok(file)
    }

    /// Where it will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the page, whole or not at all, over one that this program wrote.
    ///
    /// # Errors
    /// As [`PageFile::new`].
    pub fn write(mut self, page: &str) -> Result<()> {
        self.check()?;
        write_bytes_atomic(&self.path, page.as_bytes())?;
        self.made = None;
        Ok(())
    }

    /// Refuses to take the place of anything but a page of this program.
    fn check(&self) -> Result<()> {
        let refused = |what: &str| {
            Err(Error::output(
                &self.path,
                format!("it is there already and is {what}; name another folder with `report`"),
            ))
        };
        match std::fs::symlink_metadata(&self.path) {
            Err(_) => return Ok(()),
            Ok(metadata) if !metadata.is_file() => return refused("no file"),
            Ok(_) => {}
        }
        let mut beginning = Vec::new();
        let read = File::open(&self.path).and_then(|file| file.take(BEGINNING).read_to_end(&mut beginning));
        match read {
            Ok(_) if String::from_utf8_lossy(&beginning).contains(GENERATOR) => Ok(()),
            _ => refused("no report of msd-gpu"),
        }
    }
}

impl Drop for PageFile {
    fn drop(&mut self) {
        if let Some(folder) = &self.made {
            // Only where it is empty.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::Page;

    #[test]
    fn only_pages_of_this_program_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a");
        PageFile::new(&place).unwrap().write(&Page::new("one").finish()).unwrap();
        PageFile::new(&place).unwrap().write(&Page::new("two").finish()).unwrap();
        let text = std::fs::read_to_string(place.join(NAME)).unwrap();
        assert!(text.contains("<h1>two</h1>"));
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 1);
        std::fs::write(place.join(NAME), "<!DOCTYPE html><p>Mine").unwrap();
        let error = PageFile::new(&place).unwrap_err().to_string();
        assert!(error.contains("no report of msd-gpu") && error.contains("`report`"), "{error}");
        assert_eq!(std::fs::read_to_string(place.join(NAME)).unwrap(), "<!DOCTYPE html><p>Mine");
        std::fs::remove_file(place.join(NAME)).unwrap();
        std::fs::create_dir(place.join(NAME)).unwrap();
        assert!(PageFile::new(&place).unwrap_err().to_string().contains("no file"));
    }

    #[test]
    fn a_folder_without_a_page_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a");
        drop(PageFile::new(&place).unwrap());
        assert!(!place.exists());
        drop(PageFile::new(folder.path()).unwrap());
        assert!(folder.path().exists());
        std::fs::write(&place, "a file").unwrap();
        assert!(PageFile::new(&place).unwrap_err().to_string().contains("`report`"));
    }
}
