//! Which target belongs to which image.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use unicode_normalization::UnicodeNormalization;

use super::discovery::{Discovery, pages_as_images};
use super::selection::SliceSelection;
use super::source::ImageSource;
use crate::error::{Error, Result};

/// How many names a message lists before it says how many more there are.
const LISTED: usize = 8;

/// Pairs each image with the target of the same stem, as [`Discovery::pair`] with nothing said.
///
/// # Errors
/// As [`Discovery::pair`].
pub fn pair(images: &[ImageSource], targets: &[ImageSource]) -> Result<Vec<(ImageSource, ImageSource)>> {
    Discovery::default().pair(images, targets, "target")
}

/// As [`pair`], for partners that messages call `partner`.
///
/// # Errors
/// As [`Discovery::pair`].
pub fn pair_as(
    images: &[ImageSource],
    targets: &[ImageSource],
    partner: &str,
) -> Result<Vec<(ImageSource, ImageSource)>> {
    Discovery::default().pair(images, targets, partner)
}

impl Discovery {
    /// Pairs each image with the partner of the same stem, in the order of the images; messages call it `partner`.
    ///
    /// Where both sides are one stack of several pages, they pair by page, and where both are one image, with each other: the
    /// files' names do not matter then. Stems are equal without `.ome`, however their letters are composed of accents, and
    /// without `target_suffix` at the end of the partner's, or without `_0000` at the end of all images', which are channels of the name
    /// that follows; with `target_suffix`, images and targets may be in one folder. Where `keep_going`
    /// says so, pages of two stacks that one of them lacks are passed over.
    ///
    /// # Errors
    /// [`Error::Mismatch`] naming the images without partner and the partners without image, two files of the
    /// same stem on one side, or two stacks of different length.
    pub fn pair(
        &self,
        images: &[ImageSource],
        targets: &[ImageSource],
        partner: &str,
    ) -> Result<Vec<(ImageSource, ImageSource)>> {
        let images = self.with_targets(images)?;
        let (images, targets) = self.with_pages_alike(&images, targets);
        let (images, targets) = &self.told_apart(images, targets);
        if let (Some(image_stack), Some(target_stack)) = (single_stack(images), single_stack(targets)) {
            if self.keep_going {
                let by_page: BTreeMap<_, _> = targets.iter().map(|target| (target.page, target)).collect();
                let both = images
                    .iter()
                    .filter_map(|image| Some((image.clone(), (*by_page.get(&image.page)?).clone())));
                let pairs: Vec<_> = both.collect();
                if !pairs.is_empty() {
                    return Ok(pairs);
                }
            }
            if images.len() != targets.len() {
                return Err(Error::Mismatch(format!(
                    "{} has {} pages but {} has {}; wanted one {partner} page for each image page, or `slices_of_targets` to say to which of them the {partner}s belong, such as 0..1000..10 for every tenth",
                    image_stack,
                    images.len(),
                    target_stack,
                    targets.len()
                )));
            }
            return Ok(images.iter().cloned().zip(targets.iter().cloned()).collect());
        }
        if let ([image], [target]) = (images.as_slice(), targets.as_slice()) {
            return Ok(vec![(image.clone(), target.clone())]);
        }
        let suffix = self.target_suffix.as_deref().map(composed);
        let target_key = |target: &ImageSource| key(target, suffix.as_deref());
        // Of images that are named by their only channel, as nnU-Net does, targets have the name without it.
        let channel = only_channel(images, &targets.iter().map(target_key).collect());
        let image_key = |image: &ImageSource| key(image, channel);
        let images_by_key = by_key(images, "images", image_key)?;
        let targets_by_key = by_key(targets, &format!("{partner}s"), target_key)?;
        let lonely_images: Vec<_> =
            images.iter().filter(|page| !targets_by_key.contains_key(&image_key(page))).collect();
        let lonely_targets: Vec<_> =
            targets.iter().filter(|page| !images_by_key.contains_key(&target_key(page))).collect();
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
            let way_out = match common_suffix(images, targets) {
                Some(suffix) => {
                    format!(", or `target_suffix {suffix}` where its name has that more at its end")
                }
                None => String::new(),
            };
            return Err(Error::Mismatch(format!(
                "found {}; an image and its {partner} need the same file name but for the ending{way_out}",
                problems.join(", and ")
            )));
        }
        let partner_of =
            |image: &ImageSource| targets_by_key.get(&image_key(image)).map(|target| (*target).clone());
        Ok(images.iter().filter_map(|image| Some((image.clone(), partner_of(image)?))).collect())
    }

    /// As [`Discovery::pair`], with the images beside them that have no partner, because `slices_of_targets` names others or `keep_going`
    /// passes over them: slices of a volume that are seen with those that have one. In the order of the images.
    ///
    /// # Errors
    /// As [`Discovery::pair`].
    pub fn pair_slices(
        &self,
        images: &[ImageSource],
        targets: &[ImageSource],
        partner: &str,
    ) -> Result<Vec<(ImageSource, Option<ImageSource>)>> {
        let pairs = self.pair(images, targets, partner)?;
        let (all, _) = self.told_apart(images.to_vec(), targets.to_vec());
        let place =
            |image: &ImageSource| (image.place().0.to_owned(), image.place().1.to_owned(), image.page);
        let mut partners: BTreeMap<_, _> =
            pairs.iter().map(|(image, target)| (place(image), target.clone())).collect();
        let slices: Vec<_> = all
            .into_iter()
            .map(|image| {
                let target = partners.remove(&place(&image));
                (image, target)
            })
            .collect();
        // Pages that were said to be channels are images of their own in the pairs alone.
        let are_others = !partners.is_empty();
        Ok(match are_others || self.slices_of_targets.is_none() && !self.keep_going {
            true => pairs.into_iter().map(|(image, target)| (image, Some(target))).collect(),
            false => slices,
        })
    }

    /// The slices of the images to which targets belong, where these are said.
    ///
    /// # Errors
    /// [`Error::Setting`] where none is left.
    fn with_targets<'a>(&self, images: &'a [ImageSource]) -> Result<Cow<'a, [ImageSource]>> {
        let Some(text) = &self.slices_of_targets else { return Ok(Cow::Borrowed(images)) };
        let wanted = SliceSelection::of_setting("slices_of_targets", text)?;
        let numbered = images.iter().enumerate();
        let kept: Vec<_> = numbered
            .filter(|(number, image)| wanted.contains(image.page.unwrap_or(*number)))
            .map(|(_, image)| image.clone())
            .collect();
        if kept.is_empty() {
            let problem = format!("there are {} images, of which that names none", images.len());
            return Err(Error::setting("slices_of_targets", wanted, problem));
        }
        Ok(Cow::Owned(kept))
    }

    /// Images without the targets among them, and targets without the images among them, where both were looked for in one
    /// folder: what has `target_suffix` more than the name of an image is a target.
    fn told_apart(
        &self,
        mut images: Vec<ImageSource>,
        mut targets: Vec<ImageSource>,
    ) -> (Vec<ImageSource>, Vec<ImageSource>) {
        let Some(suffix) = self.target_suffix.as_deref().map(composed) else { return (images, targets) };
        let names: BTreeSet<String> = images.iter().map(|image| key(image, None)).collect();
        images.retain(|image| {
            let base = key(image, Some(&suffix));
            base == key(image, None) || !names.contains(&base)
        });
        let places: BTreeSet<_> = images.iter().map(|image| (&image.path, image.page)).collect();
        targets.retain(|target| !places.contains(&(&target.path, target.page)));
        (images, targets)
    }

    /// Takes the pages of one side as images where these are said to be channels of a single image, but are as many as the
    /// other side has images: slices that a program has called channels. What `axes` say holds.
    fn with_pages_alike(
        &self,
        images: &[ImageSource],
        targets: &[ImageSource],
    ) -> (Vec<ImageSource>, Vec<ImageSource>) {
        let pages_of = |one: &[ImageSource], other: &[ImageSource]| match one {
            [only] if only.planes.len() > 1 && only.planes.len() == other.len() && self.axes.is_none() => {
                pages_as_images(one.to_vec())
            }
            _ => one.to_vec(),
        };
        (pages_of(images, targets), pages_of(targets, images))
    }
}

/// The name of the one file that all `pages` are from, where they are pages of a stack.
fn single_stack(pages: &[ImageSource]) -> Option<String> {
    let first = pages.first()?;
    let one_file = pages.iter().all(|page| page.page.is_some() && page.place() == first.place());
    one_file.then(|| first.file_name())
}

/// Text with each accent joined to its letter, as most systems write names; some take them apart.
fn composed(text: &str) -> String {
    text.nfc().collect()
}

/// By what an image and its partner are found to belong together: the stem without what programs add to it, and without
/// `suffix`. The number of a page, at its end, stays.
fn key(page: &ImageSource, suffix: Option<&str>) -> String {
    let stem = composed(&page.stem);
    let file_stem = composed(&page.file_stem());
    let rest = stem.strip_prefix(&file_stem).unwrap_or_default();
    let mut name = if stem.starts_with(&file_stem) { file_stem.as_str() } else { stem.as_str() };
    name = name.strip_suffix(".ome").unwrap_or(name);
    if let Some(suffix) = suffix {
        // A suffix before `.ome` and one behind it are the same.
        name = name.strip_suffix(suffix).filter(|name| !name.is_empty()).unwrap_or(name);
    }
    format!("{name}{rest}")
}

/// What nnU-Net puts behind the name of a case for its first channel.
const FIRST_CHANNEL: &str = "_0000";

/// The end of the names of all images that says which channel they are, where `targets` have the same names without it.
fn only_channel(images: &[ImageSource], targets: &BTreeSet<String>) -> Option<&'static str> {
    let is_channel = |image: &ImageSource| {
        let (whole, case) = (key(image, None), key(image, Some(FIRST_CHANNEL)));
        case != whole && !targets.contains(&whole)
    };
    let has_target = |image: &ImageSource| targets.contains(&key(image, Some(FIRST_CHANNEL)));
    (images.iter().all(is_channel) && images.iter().any(has_target)).then_some(FIRST_CHANNEL)
}

/// What all targets have more than images at the end of their names; `None` where it is not one and the same for all.
fn common_suffix(images: &[ImageSource], targets: &[ImageSource]) -> Option<String> {
    let images: Vec<String> = images.iter().map(|image| key(image, None)).collect();
    let mut common: Option<String> = None;
    for target in targets {
        let name = key(target, None);
        let longest = images
            .iter()
            .filter_map(|image| name.strip_prefix(image.as_str()))
            .min_by_key(|rest| rest.len())?;
        if longest.is_empty() || common.as_ref().is_some_and(|common| common != longest) {
            return None;
        }
        common = Some(longest.to_owned());
    }
    // The flag must be read as it stands here.
    common.filter(|suffix| !suffix.contains(char::is_whitespace))
}

fn by_key<'a>(
    pages: &'a [ImageSource],
    side: &str,
    key: impl Fn(&ImageSource) -> String,
) -> Result<BTreeMap<String, &'a ImageSource>> {
    let mut map = BTreeMap::new();
    for page in pages {
        let name = key(page);
        if let Some(other) = map.insert(name.clone(), page) {
            return Err(Error::Mismatch(format!(
                "two {side} have the stem '{name}': {} and {}; rename or remove one of them",
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
        ImageSource {
            path,
            page: None,
            stem,
            header: None,
            planes: Vec::new(),
            array: None,
            slab: None,
            averaged: None,
            finest: None,
            derived: None,
            stack: None,
        }
    }

    #[test]
    fn pairs_go_by_stem() {
        let pairs = pair(&[page("a/x.tif"), page("a/y.tif")], &[page("b/y.png"), page("b/x.png")]).unwrap();
        assert_eq!(pairs[0].1.path, PathBuf::from("b/x.png"));
        assert_eq!(pairs[1].1.path, PathBuf::from("b/y.png"));
    }

    #[test]
    fn images_that_are_named_by_their_only_channel_have_targets_without_it() {
        let images = [page("a/x_0000.nii.gz"), page("a/y_0000.nii.gz")];
        let targets = [page("b/x.nii.gz"), page("b/y.nii.gz")];
        let pairs = pair(&images, &targets).unwrap();
        assert_eq!((&pairs[0].1, &pairs[1].1), (&targets[0], &targets[1]));
        // Where there are more channels, or targets have the same names, nothing is left out.
        assert!(pair(&[images[0].clone(), page("a/x_0001.nii.gz")], &targets).is_err());
        assert_eq!(pair(&images, &images).unwrap().len(), 2);
        let error = pair(&images, &targets[..1]).unwrap_err().to_string();
        assert!(error.contains("1 image without target: a/y_0000.nii.gz"), "{error}");
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

    #[test]
    fn one_image_and_one_target_belong_together_whatever_their_names() {
        assert_eq!(pair(&[page("a/raw.tif")], &[page("b/seg.png")]).unwrap().len(), 1);
    }

    #[test]
    fn names_that_programs_and_systems_change_are_the_same() {
        let images = [page("a/s0.ome.tif"), page("a/\u{e4}.tif")];
        let targets = [page("b/a\u{308}.tif"), page("b/s0.tif")];
        let pairs = pair(&images, &targets).unwrap();
        assert_eq!([&pairs[0].1, &pairs[1].1], [&targets[1], &targets[0]]);
    }

    #[test]
    fn a_suffix_of_targets_is_taken_off_and_suggested() {
        let images = [page("a/s1.tif"), page("a/s10.tif")];
        let targets = [page("b/s1_mask.tif"), page("b/s10_mask.ome.tif")];
        let with = |suffix: &str| {
            Discovery::new(None, Some(suffix.to_owned()), false).pair(&images, &targets, "target")
        };
        assert_eq!(with("_mask").unwrap()[1].1, targets[1]);
        for error in [pair(&images, &targets).unwrap_err(), with("_seg").unwrap_err()] {
            let text = error.to_string();
            assert!(text.contains("or `target_suffix _mask` where"), "{text}");
        }
        // Others that differ in no such way are not told so.
        let text = pair(&images, &[page("b/x.tif"), page("b/s10_mask.tif")]).unwrap_err().to_string();
        assert!(!text.contains("target_suffix"), "{text}");
        // Targets that lack the suffix pair all the same.
        assert_eq!(with("_mask").unwrap().len(), 2);
        let mixed = [page("b/s1.tif"), page("b/s10_mask.tif")];
        let discovery = Discovery::new(None, Some("_mask".into()), false);
        assert_eq!(discovery.pair(&images, &mixed, "target").unwrap()[0].1, mixed[0]);
    }

    #[test]
    fn a_suffix_tells_images_and_targets_of_one_folder_apart() {
        let all = [page("a/s1.tif"), page("a/s1_mask.tif"), page("a/s2.tif"), page("a/s2_mask.tif")];
        let targets = [all[1].clone(), all[3].clone()];
        let discovery = Discovery::new(None, Some("_mask".into()), false);
        let wanted = [(all[0].clone(), all[1].clone()), (all[2].clone(), all[3].clone())];
        for targets in [&all[..], &targets[..]] {
            assert_eq!(discovery.pair(&all, targets, "target").unwrap(), wanted);
        }
        // An image of such a name whose image is not there is one.
        let alone = [page("a/s1.tif"), page("a/x_mask.tif")];
        let error = discovery.pair(&alone, &[page("b/s1_mask.tif")], "target").unwrap_err().to_string();
        assert!(error.contains("1 image without target: a/x_mask.tif"), "{error}");
    }
}
