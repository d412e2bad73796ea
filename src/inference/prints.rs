//! A number for the images that a result is made of, which is another where they are others or have changed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_128;

use super::grouping::Grouping;
use super::volumes::volume_of_each;
use crate::files::{Stamp, nanoseconds};
use crate::images::ImageSource;

/// The numbers of the images that results are made of.
#[derive(Debug)]
pub(super) struct Prints {
    /// For each image by itself.
    pub(super) images: Vec<u128>,
    /// For each stack.
    pub(super) stacks: Vec<u128>,
}

impl Prints {
    /// Those of the results of `images`, which belong together as `grouping` says; `of_volumes` tells that each result depends on all
    /// slices of its volume.
    pub(super) fn of(images: &[ImageSource], grouping: &Grouping, of_volumes: bool) -> Self {
        let mut known = Known::default();
        let mut prints: Vec<u128> = images.iter().map(|image| print_of(image, &mut known)).collect();
        // What is wrong with a volume is told when it is read.
        if of_volumes && let Ok(volumes) = volume_of_each(images) {
            let mut wholes: HashMap<usize, XxHash3_128> = HashMap::new();
            for (volume, print) in volumes.iter().zip(&prints) {
                wholes.entry(*volume).or_default().write(&print.to_le_bytes());
            }
            let wholes: HashMap<usize, u128> =
                wholes.into_iter().map(|(volume, hash)| (volume, hash.finish_128())).collect();
            for (volume, print) in volumes.iter().zip(&mut prints) {
                *print = XxHash3_128::oneshot(format!("{print} {}", wholes[volume]).as_bytes());
            }
        }
        let stack = |members: &[usize]| {
            let mut hash = XxHash3_128::new();
            members.iter().for_each(|image| hash.write(&prints[*image].to_le_bytes()));
            hash.finish_128()
        };
        let stacks = grouping.stacks.iter().map(|source| stack(&source.members)).collect();
        Self { stacks, images: prints }
    }
}

/// What was looked at before, as many images have one file, or blocks of it, together.
#[derive(Default)]
struct Known {
    files: HashMap<PathBuf, String>,
    /// By array and by the blocks in it.
    blocks: HashMap<(usize, Vec<usize>), String>,
}

/// The number of an image.
fn print_of(image: &ImageSource, known: &mut Known) -> u128 {
    let mut hash = XxHash3_128::new();
    let mut add = |text: &str| {
        hash.write(text.as_bytes());
        hash.write(&[0]);
    };
    add(&image.identity_as_read());
    let mut is_folder = false;
    let mut last: Option<&Path> = None;
    for path in image.files() {
        if last == Some(path) {
            continue;
        }
        last = Some(path);
        let state = known.files.entry(path.to_path_buf()).or_insert_with(|| {
            // Where it lies does not count: the same images may be looked at from another machine.
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            format!("{} {:?} {}", name.unwrap_or_default(), Stamp::at(path), path.is_dir())
        });
        is_folder |= state.ends_with("true");
        add(state);
    }
    if !is_folder {
        return hash.finish_128();
    }
    // Of a Zarr folder, its blocks are files that can change by themselves.
    for stored in image.stored_images() {
        let Some(place) = stored.blocks_of_growth() else { continue };
        let state = known.blocks.entry(place).or_insert_with(|| {
            let growth = stored.growth().unwrap_or_default();
            format!("{} {} {}", growth.stored, growth.bytes, nanoseconds(growth.modified))
        });
        add(state);
    }
    hash.finish_128()
}
