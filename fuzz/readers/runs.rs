//! Runs of training: their settings, images and classes, and what their folders keep.

use std::path::Path;
use std::sync::Arc;

use msd_gpu::devices::Device;
use msd_gpu::peers::{Gathered, Message, Peers};
use msd_gpu::samples::Measurements;
use msd_gpu::training::{Prepared, Run, RunFolder, Settings, TaskKind, read_settings};

use super::{in_folder, smallest};

/// A list of images with their targets, beside two images.
pub fn pairs(bytes: &[u8]) {
    in_folder(bytes, "list.csv", &["a.png", "b.png"], |folder| {
        let list = folder.join("list.csv").display().to_string();
        let mut settings = Settings::new(TaskKind::Regress, list.clone(), list.clone());
        (settings.pairs, settings.depth) = (Some(list), Some(1));
        let _ = Prepared::load(&settings);
    });
}

/// The settings of a run, given by hand and in its folder.
pub fn settings(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(settings) = read_settings(text, Path::new("config.toml"))
    {
        let _ = settings.validate();
        let _ = settings.to_toml();
    }
    in_folder(bytes, "config.toml", &[], |folder| {
        let _ = RunFolder::settings(folder);
    });
}

/// The history of a run.
pub fn history(bytes: &[u8]) {
    in_folder(bytes, "history.csv", &[], |folder| {
        let _ = RunFolder::history(folder, &["psnr", "ssim"]);
    });
}

/// What a run goes on from.
pub fn checkpoint(bytes: &[u8]) {
    in_folder(bytes, "checkpoint.safetensors", &[], |folder| {
        let _ = RunFolder::steps_made(folder);
    });
}

/// What was measured over the images of a run.
pub fn measurements(bytes: &[u8]) {
    let _ = Measurements::from_bytes(bytes).to_bytes();
    in_folder(bytes, "measurements.json", &["a.png", "b.png"], |folder| {
        let place = |name: &str| folder.join(name).display().to_string();
        let mut settings = Settings::new(TaskKind::Regress, place("a.png"), place("b.png"));
        (settings.depth, settings.cache) = (Some(1), Some("0".into()));
        let _ = Prepared::resumed(&settings, folder);
    });
}

/// What the folder of targets says of their classes.
pub fn description(bytes: &[u8]) {
    in_folder(bytes, "dataset.json", &["a.png"], |folder| {
        let place = folder.join("a.png").display().to_string();
        let _ = Settings::new(TaskKind::Segment, place.clone(), place).take_description();
    });
}

/// What another rank sends that trains with this one: the messages of this rank, changed.
///
/// A change has twelve bytes: which message, what is done to it, a place of two bytes, and eight bytes that are written there.
pub fn messages(bytes: &[u8]) {
    in_folder(&[], "unused", &["a.png", "b.png"], |folder| {
        let place = |name: &str| folder.join(name).display().to_string();
        let mut settings = Settings::new(TaskKind::Regress, place("a.png"), place("b.png"));
        (settings.depth, settings.max_steps, settings.device) = (Some(1), Some(2), "cpu".into());
        let prepared = Prepared::load(&settings).expect("the images are there");
        for rank in [0, 1] {
            let mut peers = ChangedPeers { rank, count: 0, changes: bytes };
            let _ = Run::new(settings.clone(), &prepared).on(&Device::cpu()).among(&mut peers).train();
        }
    });
}

/// Two ranks, of which the other one says what this one says, with changes.
struct ChangedPeers<'a> {
    rank: usize,
    /// Messages so far.
    count: u8,
    changes: &'a [u8],
}

impl Peers for ChangedPeers<'_> {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        2
    }

    fn gather(&mut self, own: Vec<u8>) -> msd_gpu::Result<Gathered> {
        /// Ranks that disagree might go on forever.
        const MOST_MESSAGES: u8 = 40;
        if self.count == MOST_MESSAGES {
            return Err(msd_gpu::Error::LostRank { rank: 1 - self.rank });
        }
        let mut other = own.clone();
        if self.count == 0 && self.rank == 1 {
            // The first rank sends its parameters, and its checkpoint where it has one.
            other.extend(Message::new().floats(&smallest().parameters).bytes(&[]).done());
        }
        for change in self.changes.as_chunks::<12>().0.iter().filter(|change| change[0] == self.count) {
            let place = usize::from(u16::from_le_bytes([change[2], change[3]])).min(other.len());
            match change[1] % 3 {
                0 => other.truncate(place),
                1 => drop(other.splice(place..place, change[4..].iter().copied())),
                _ => other[place..].iter_mut().zip(&change[4..]).for_each(|(byte, new)| *byte = *new),
            }
        }
        self.count += 1;
        let mut all = vec![Arc::new(own), Arc::new(other)];
        if self.rank == 1 {
            all.reverse();
        }
        Ok(all)
    }
}
