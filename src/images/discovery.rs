//! Which images a path, a pattern or a stack names.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use super::file::{Format, open};
use super::source::ImageSource;
use super::{jpeg, png, tiff};
use crate::error::{Error, Result};

/// The endings of files that are taken for images, in lower case.
const EXTENSIONS: [&str; 5] = ["png", "tif", "tiff", "jpg", "jpeg"];

/// All images that `p` names, in natural order of their stems (`z2` before `z10`).
///
/// `p` is a folder (all its PNG, TIFF and JPEG files, not those of folders inside, not hidden ones), a file, or
/// a glob pattern. A TIFF file of several pages gives one [`ImageSource`] for each.
///
/// # Errors
/// [`Error::Input`] when nothing is there, no image is among it, or a TIFF file's list of pages is damaged.
pub fn discover(p: &str) -> Result<Vec<ImageSource>> {
    let path = Path::new(p);
    let files = if path.is_dir() {
        files_of_folder(path)?
    } else if path.exists() {
        vec![path.to_path_buf()]
    } else if p.contains(['*', '?', '[']) {
        files_of_pattern(p)?
    } else {
        return Err(Error::input(
            path,
            "no such file or folder; give a folder of images, a TIFF stack or a quoted pattern such as 'slices/*.tif'",
        ));
    };
    let mut pages = Vec::new();
    for file in files {
        pages.extend(pages_of_file(&file)?);
    }
    pages.sort_by(|a, b| {
        natural_order(&a.stem, &b.stem).then(a.page.cmp(&b.page)).then_with(|| a.path.cmp(&b.path))
    });
    Ok(pages)
}

fn files_of_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error: std::io::Error| {
        Error::input(folder, format!("the folder cannot be listed: {error}; check its permissions"))
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if is_image_name(&file) && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(Error::input(
            folder,
            "the folder holds no images; wanted files ending in .png, .tif or .tiff (or .jpg)",
        ));
    }
    Ok(files)
}

fn files_of_pattern(pattern: &str) -> Result<Vec<PathBuf>> {
    let matches = glob::glob(pattern)
        .map_err(|error| Error::input(pattern, format!("is not a pattern: {error}; write * for any name")))?;
    let mut files = Vec::new();
    let mut others = 0_usize;
    for file in matches {
        let file = file.map_err(|error| Error::input(error.path(), error.error()))?;
        if is_image_name(&file) && file.is_file() {
            files.push(file);
        } else {
            others += 1;
        }
    }
    if files.is_empty() {
        return Err(Error::input(
            pattern,
            match others {
                0 => "the pattern matches no file; check the folder and the ending".to_owned(),
                _ => format!(
                    "the pattern matches {others} names but no image; wanted files ending in .png, .tif or .tiff (or .jpg)"
                ),
            },
        ));
    }
    Ok(files)
}

/// Whether `file` is named as an image and not hidden.
fn is_image_name(file: &Path) -> bool {
    let hidden = file.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let ending = file.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    !hidden && ending.is_some_and(|ending| EXTENSIONS.contains(&ending.as_str()))
}

/// The images in `file`, each with what its header says; the file is opened once.
///
/// A file that is no image, or whose header is damaged, is one all the same: reading it tells what is wrong.
fn pages_of_file(path: &Path) -> Result<Vec<ImageSource>> {
    let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let source = |page, stem| ImageSource { path: path.to_path_buf(), page, stem, header: None };
    let (file, format) = open(path)?;
    if format != Format::Tiff {
        let mut only = source(None, stem);
        only.header = match format {
            Format::Png => png::header(&only, &file).ok(),
            Format::Jpeg => jpeg::header(&only, &file).ok(),
            _ => None,
        };
        return Ok(vec![only]);
    }
    let places = tiff::directory_places(path, &file)?;
    let several = places.len() > 1;
    let pages = places.into_iter().enumerate().map(|(number, place)| {
        let mut page = match several {
            true => source(Some(number), format!("{stem}_p{number:04}")),
            false => source(None, stem.clone()),
        };
        page.header = tiff::header(&page, &file, Some(place)).ok();
        page
    });
    Ok(pages.collect())
}

/// Compares names as people count: runs of digits by their number, all else by character.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    loop {
        let (first_a, first_b) = match (rest_a.chars().next(), rest_b.chars().next()) {
            (Some(first_a), Some(first_b)) => (first_a, first_b),
            // Equal as numbers but not as text, as `z1` and `z01`: any fixed order will do.
            (None, None) => return a.cmp(b),
            (left, right) => return left.is_some().cmp(&right.is_some()),
        };
        if first_a.is_ascii_digit() && first_b.is_ascii_digit() {
            let (number_a, after_a) = leading_digits(rest_a);
            let (number_b, after_b) = leading_digits(rest_b);
            let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
            if order != Ordering::Equal {
                return order;
            }
            (rest_a, rest_b) = (after_a, after_b);
        } else {
            if first_a != first_b {
                return first_a.cmp(&first_b);
            }
            (rest_a, rest_b) = (&rest_a[first_a.len_utf8()..], &rest_b[first_b.len_utf8()..]);
        }
    }
}

/// The digits `text` begins with, without leading zeros, and what follows them.
fn leading_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(folder: &Path, names: &[&str]) {
        for name in names {
            std::fs::write(folder.join(name), b"\x89PNG\r\n\x1a\n").unwrap();
        }
    }

    fn stems(pages: &[ImageSource]) -> Vec<&str> {
        pages.iter().map(|page| page.stem.as_str()).collect()
    }

    #[test]
    fn a_folder_is_listed_in_natural_order_without_hidden_and_other_files() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), &["z10.png", "z2.PNG", "z1.png", ".z3.png", "notes.txt"]);
        std::fs::create_dir(folder.path().join("z5.png")).unwrap();
        let found = discover(folder.path().to_str().unwrap()).unwrap();
        assert_eq!(stems(&found), ["z1", "z2", "z10"]);
        let pattern = format!("{}/z1*", folder.path().display());
        assert_eq!(stems(&discover(&pattern).unwrap()), ["z1", "z10"]);
        let file = folder.path().join("z10.png");
        assert_eq!(stems(&discover(file.to_str().unwrap()).unwrap()), ["z10"]);
    }

    #[test]
    fn natural_order_counts_and_is_total() {
        let mut names = ["b", "a10b2", "a2", "a10b10", "a", "a01", "a1", "10", "9"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, ["9", "10", "a", "a01", "a1", "a2", "a10b2", "a10b10", "b"]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap().to_owned();
        let error = discover(&root).unwrap_err().to_string();
        assert!(error.contains(".png, .tif or .tiff"), "{error}");
        let error = discover(&format!("{root}/missing")).unwrap_err().to_string();
        assert!(error.contains("missing") && error.contains("no such file or folder"), "{error}");
        let error = discover(&format!("{root}/*.tif")).unwrap_err().to_string();
        assert!(error.contains("matches no file"), "{error}");
    }
}
