//! Which target belongs to which image.

use std::collections::BTreeMap;
use std::path::Path;

use super::source::ImageSource;
use crate::error::{Error, Result};

/// How many names a message lists before it says how many more there are.
const LISTED: usize = 8;

/// Pairs each image with the target of the same stem, in the order of the images.
///
/// Where both sides are one stack of several pages, they pair by page and the files' names do not matter.
///
/// # Errors
/// [`Error::Mismatch`] naming the images without target and the targets without image, two files of the
/// same stem on one side, or two stacks of different length.
pub fn pair(images: &[ImageSource], targets: &[ImageSource]) -> Result<Vec<(ImageSource, ImageSource)>> {
    pair_as(images, targets, "target")
}

/// As [`pair`], for partners that messages call `partner`.
pub fn pair_as(
    images: &[ImageSource],
    targets: &[ImageSource],
    partner: &str,
) -> Result<Vec<(ImageSource, ImageSource)>> {
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
fn single_stack(pages: &[ImageSource]) -> Option<&Path> {
    let first = pages.first()?;
    let one_file = pages.iter().all(|page| page.page.is_some() && page.path == first.path);
    one_file.then_some(first.path.as_path())
}

fn by_stem<'a>(pages: &'a [ImageSource], side: &str) -> Result<BTreeMap<&'a str, &'a ImageSource>> {
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

fn counted(pages: &[&ImageSource], what: &str) -> String {
    format!("{} {what}{}", pages.len(), if pages.len() == 1 { "" } else { "s" })
}

fn listed(pages: &[&ImageSource]) -> String {
    let names: Vec<_> = pages.iter().take(LISTED).map(|page| page.name()).collect();
    let more = match pages.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    names.join(", ") + &more
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn page(name: &str) -> ImageSource {
        let path = PathBuf::from(name);
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        ImageSource { path, page: None, stem, header: None }
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
        let stack = |name: &str, pages: usize| -> Vec<ImageSource> {
            (0..pages)
                .map(|n| ImageSource { page: Some(n), stem: format!("{name}_p{n:04}"), ..page("x.tif") })
                .map(|p| ImageSource { path: PathBuf::from(name), ..p })
                .collect()
        };
        let pairs = pair(&stack("noisy", 3), &stack("clean", 3)).unwrap();
        assert_eq!((pairs[2].0.page, pairs[2].1.page), (Some(2), Some(2)));
        let error = pair(&stack("noisy", 3), &stack("clean", 2)).unwrap_err().to_string();
        assert!(error.contains("noisy has 3 pages but clean has 2"), "{error}");
    }
}
