//! Which images a path, pattern or stack names, and which target belongs to which image.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::read::{Format, detect};
use super::tiff_directory::directory_places;
use crate::error::{Error, Result};

/// The endings of files that are taken for images, in lower case.
const EXTENSIONS: [&str; 3] = ["png", "tif", "tiff"];
/// How many names a message lists before it says how many more there are.
const LISTED: usize = 8;

/// One two-dimensional image inside a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The file.
    pub path: PathBuf,
    /// The page, counted from 0; `None` when the file holds one image only.
    pub page: Option<usize>,
    /// The file's name without its ending; for a page of a stack with the page, as `stack_p0003`.
    pub stem: String,
    /// Where the page begins in its TIFF file, so that a long stack need not be walked for each page.
    pub(super) directory: Option<u64>,
}

impl Page {
    /// The name for messages: the path, and the page when there are several.
    pub fn name(&self) -> String {
        match self.page {
            Some(page) => format!("{} page {page}", self.path.display()),
            None => self.path.display().to_string(),
        }
    }
}

/// All images that `p` names, in natural order of their stems (`z2` before `z10`).
///
/// `p` is a folder (all its PNG and TIFF files, not those of folders inside, not hidden ones), a file, or
/// a glob pattern. A TIFF file of several pages gives one [`Page`] for each.
///
/// # Errors
/// [`Error::Input`] when nothing is there, no image is among it, or a TIFF file's list of pages is damaged.
pub fn discover(p: &str) -> Result<Vec<Page>> {
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
            "the folder holds no images; wanted files ending in .png, .tif or .tiff",
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
                    "the pattern matches {others} names but no image; wanted files ending in .png, .tif or .tiff"
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

fn pages_of_file(file: &Path) -> Result<Vec<Page>> {
    let stem = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
    let single = |stem| Page { path: file.to_path_buf(), page: None, stem, directory: None };
    if detect(file)? != Format::Tiff {
        return Ok(vec![single(stem)]);
    }
    let places = directory_places(file)?;
    if let [place] = places[..] {
        return Ok(vec![Page { directory: Some(place), ..single(stem) }]);
    }
    let pages = places.into_iter().enumerate().map(|(page, place)| Page {
        path: file.to_path_buf(),
        page: Some(page),
        stem: format!("{stem}_p{page:04}"),
        directory: Some(place),
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

/// Pairs each image with the target of the same stem, in the order of the images.
///
/// Where both sides are one stack of several pages, they pair by page and the files' names do not matter.
///
/// # Errors
/// [`Error::Mismatch`] naming the images without target and the targets without image, two files of the
/// same stem on one side, or two stacks of different length.
pub fn pair(images: &[Page], targets: &[Page]) -> Result<Vec<(Page, Page)>> {
    pair_as(images, targets, "target")
}

/// As [`pair`], for partners that messages call `partner`.
pub(super) fn pair_as(images: &[Page], targets: &[Page], partner: &str) -> Result<Vec<(Page, Page)>> {
    if let (Some(image_stack), Some(target_stack)) = (single_stack(images), single_stack(targets)) {
        if images.len() != targets.len() {
            return Err(Error::Mismatch(format!(
                "{} has {} pages but {} has {}; wanted one {partner} page for each image page",
                image_stack.display(),
                images.len(),
                target_stack.display(),
                targets.len()
            )));
        }
        return Ok(images.iter().cloned().zip(targets.iter().cloned()).collect());
    }
    let images_by_stem = by_stem(images, "images")?;
    let targets_by_stem = by_stem(targets, &format!("{partner}s"))?;
    let lonely_images: Vec<_> =
        images.iter().filter(|page| !targets_by_stem.contains_key(page.stem.as_str())).collect();
    let lonely_targets: Vec<_> =
        targets.iter().filter(|page| !images_by_stem.contains_key(page.stem.as_str())).collect();
    let mut problems = Vec::new();
    if !lonely_images.is_empty() {
        problems.push(format!(
            "{} without {partner}: {}",
            counted(&lonely_images, "image"),
            listed(&lonely_images)
        ));
    }
    if !lonely_targets.is_empty() {
        problems.push(format!(
            "{} without image: {}",
            counted(&lonely_targets, partner),
            listed(&lonely_targets)
        ));
    }
    if !problems.is_empty() {
        return Err(Error::Mismatch(format!(
            "found {}; an image and its {partner} need the same file name but for the ending",
            problems.join(", and ")
        )));
    }
    Ok(images.iter().map(|image| (image.clone(), targets_by_stem[image.stem.as_str()].clone())).collect())
}

/// The one file that all `pages` are from, where they are pages of a stack.
fn single_stack(pages: &[Page]) -> Option<&Path> {
    let first = pages.first()?;
    let one_file = pages.iter().all(|page| page.page.is_some() && page.path == first.path);
    one_file.then_some(first.path.as_path())
}

fn by_stem<'a>(pages: &'a [Page], side: &str) -> Result<BTreeMap<&'a str, &'a Page>> {
    let mut map = BTreeMap::new();
    for page in pages {
        if let Some(other) = map.insert(page.stem.as_str(), page) {
            return Err(Error::Mismatch(format!(
                "two {side} have the stem '{}': {} and {}; rename or remove one of them",
                page.stem,
                other.name(),
                page.name()
            )));
        }
    }
    Ok(map)
}

fn counted(pages: &[&Page], what: &str) -> String {
    format!("{} {what}{}", pages.len(), if pages.len() == 1 { "" } else { "s" })
}

fn listed(pages: &[&Page]) -> String {
    let names: Vec<_> = pages.iter().take(LISTED).map(|page| page.name()).collect();
    let more = match pages.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    names.join(", ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(name: &str) -> Page {
        let path = PathBuf::from(name);
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        Page { path, page: None, stem, directory: None }
    }

    fn touch(folder: &Path, names: &[&str]) {
        for name in names {
            std::fs::write(folder.join(name), b"\x89PNG\r\n\x1a\n").unwrap();
        }
    }

    fn stems(pages: &[Page]) -> Vec<&str> {
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

    #[test]
    fn pairs_go_by_stem() {
        let pairs = pair(&[page("a/x.tif"), page("a/y.tif")], &[page("b/y.png"), page("b/x.png")]).unwrap();
        assert_eq!(pairs[0].1.path, PathBuf::from("b/x.png"));
        assert_eq!(pairs[1].1.path, PathBuf::from("b/y.png"));
    }

    #[test]
    fn every_mismatch_is_named() {
        let images: Vec<_> = (0..11).map(|n| page(&format!("a/i{n}.tif"))).collect();
        let error = pair(&images, &[page("b/i3.png"), page("b/other.png")]).unwrap_err().to_string();
        assert!(
            error.contains("10 images without target: a/i0.tif, a/i1.tif, a/i2.tif, a/i4.tif"),
            "{error}"
        );
        assert!(error.contains("and 2 more"), "{error}");
        assert!(error.contains("1 target without image: b/other.png"), "{error}");
        let error = pair(&[page("a.png"), page("a.tif")], &[page("b/a.png")]).unwrap_err().to_string();
        assert!(error.contains("a.png and a.tif"), "{error}");
    }

    #[test]
    fn two_stacks_pair_by_page() {
        let stack = |name: &str, pages: usize| -> Vec<Page> {
            (0..pages)
                .map(|n| Page { page: Some(n), stem: format!("{name}_p{n:04}"), ..page("x.tif") })
                .map(|p| Page { path: PathBuf::from(name), ..p })
                .collect()
        };
        let pairs = pair(&stack("noisy", 3), &stack("clean", 3)).unwrap();
        assert_eq!((pairs[2].0.page, pairs[2].1.page), (Some(2), Some(2)));
        let error = pair(&stack("noisy", 3), &stack("clean", 2)).unwrap_err().to_string();
        assert!(error.contains("noisy has 3 pages but clean has 2"), "{error}");
    }
}
