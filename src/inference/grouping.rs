//! Which images come from one file, so that their results become one too.

use std::collections::BTreeMap;

use twox_hash::XxHash3_128;

use super::parts::bands;
use crate::Result;
use crate::geometry::Extent;
use crate::images::{ImageSource, PartReader, StackFormat, page_size};

/// Which images are pages of one file, whose results are pages of one file too.
#[derive(Debug, Default)]
pub(super) struct Grouping {
    /// For each image, which stack it belongs to and which slice of it it is; `None` for an image by itself.
    pub(super) places: Vec<Option<(usize, usize)>>,
    pub(super) stacks: Vec<StackOf>,
}

/// The images of one file.
#[derive(Debug)]
pub(super) struct StackOf {
    /// What messages call it.
    pub(super) name: String,
    /// The file's name without its ending.
    pub(super) stem: String,
    /// The first of the images.
    pub(super) first: usize,
    /// All of them, in order.
    pub(super) members: Vec<usize>,
    pub(super) height: usize,
    pub(super) width: usize,
    /// The format of the file, where results can have the same.
    pub(super) format: StackFormat,
}

impl Grouping {
    /// Images of one file and one size belong together, unless results are wanted by `pages`.
    pub(super) fn of(images: &[ImageSource], pages: bool) -> Self {
        let mut all = Self { places: vec![None; images.len()], stacks: Vec::new() };
        if pages {
            return all;
        }
        let mut files: Vec<Vec<usize>> = Vec::new();
        let mut known = BTreeMap::new();
        for (index, image) in images.iter().enumerate().filter(|(_, image)| image.page.is_some()) {
            let file = *known.entry(image.place()).or_insert_with(|| {
                files.push(Vec::new());
                files.len() - 1
            });
            files[file].push(index);
        }
        for members in files {
            // An image that cannot be read is of the size of the others.
            let mut sizes = members.iter().filter_map(|index| page_size(&images[*index]).ok());
            let Some((_, height, width)) = sizes.next() else { continue };
            if members.len() < 2 || sizes.any(|(_, y, x)| (y, x) != (height, width)) {
                continue;
            }
            for (slice, index) in members.iter().enumerate() {
                all.places[*index] = Some((all.stacks.len(), slice));
            }
            let first = &images[members[0]];
            let (name, stem) = (first.file_name(), first.file_stem());
            let format = StackFormat::of_name(&first.path).unwrap_or(StackFormat::Tiff);
            all.stacks.push(StackOf { name, stem, first: members[0], members, height, width, format });
        }
        all
    }
}

impl StackOf {
    /// Whether its images follow each other among all images.
    pub(super) fn is_in_order(&self) -> bool {
        self.members.last().is_some_and(|last| last - self.first + 1 == self.members.len())
    }

    /// What tells its results from those of other images, wherever the file lies, and from what else than `work` gives. Of the numbers of
    /// the images some tell that the file was made anew.
    pub(super) fn work(&self, images: &[ImageSource], work: &str) -> String {
        let mut hash = XxHash3_128::new();
        let (path, inside) = images[self.first].place();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let pages: Vec<_> = self.members.iter().map(|image| images[*image].page).collect();
        let version = env!("CARGO_PKG_VERSION");
        let text = format!("{version} {work} {name} {inside} {}x{} {pages:?}", self.height, self.width);
        hash.write(text.as_bytes());
        let last = self.members.len() - 1;
        for place in [0, last / 2, last] {
            // What cannot be read is told when its turn comes.
            add_numbers(&mut hash, &images[self.members[place]]).ok();
        }
        format!("{:032x}", hash.finish_128())
    }
}

/// Adds the numbers of an image, of which a band is in memory at a time.
fn add_numbers(hash: &mut XxHash3_128, image: &ImageSource) -> Result<()> {
    let (channels, height, width) = page_size(image)?;
    let mut reader = PartReader::open(image)?;
    for band in bands(channels, Extent::plane(height, width)) {
        reader.read(&band)?.iter().for_each(|value| hash.write(&value.to_le_bytes()));
    }
    Ok(())
}
