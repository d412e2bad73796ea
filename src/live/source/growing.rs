//! An array or a stack that grows while another program writes it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Look, Source};
use crate::files::{Stamp, nanoseconds};
use crate::images::{Discovery, ImageSource, SliceSelection, is_array_folder, split_place};
use crate::live::arrivals::{Arrivals, Seen, Wait};
use crate::{Error, Result};

/// Behind so many slices of which nothing is stored, only some are looked at, which tells whether more are written.
const EMPTY_SLICES: usize = 64;
const PROBED_SLICES: usize = 256;
/// A file that has changed so long ago is not read again before it changes: until then it may have changed twice with one time
/// written down.
const STILL: Duration = Duration::from_secs(1);

/// A file or a Zarr folder whose slices are written one after the other.
///
/// Of an array in blocks it is known which slices are stored: HDF5 lists its chunks, Zarr has files of them. So the array may
/// have its whole length from the beginning, or become longer.
#[derive(Debug)]
pub(in crate::live) struct Growing {
    /// As it was named, with the place inside.
    input: String,
    path: PathBuf,
    discovery: Discovery,
    slices: Option<SliceSelection>,
    /// The channels that the models take.
    channels: usize,
    patience: Duration,
    /// The file as it was when its slices were listed.
    stamp: Option<Stamp>,
    /// When that was seen first.
    changed: Option<Instant>,
    images: Vec<ImageSource>,
    /// All slices before this one are over, or not wanted.
    first: usize,
    /// How many slices on either side are seen with each.
    reach: usize,
    /// Whether no more slices are expected, so that the last ones are seen with those before them mirrored.
    is_ending: bool,
    /// How many slices wait for others.
    held: usize,
    /// Since when, and why, it cannot be read; and whether that was said.
    trouble: Option<(Instant, Error, bool)>,
    is_overdue: bool,
}

impl Growing {
    /// What `input` names; that it cannot be read for longer than `patience` is told.
    ///
    /// # Errors
    /// [`Error::Setting`] for slices that are none.
    pub(in crate::live) fn new(
        input: &str,
        discovery: Discovery,
        channels: usize,
        patience: Duration,
    ) -> Result<Self> {
        let slices = discovery.slices.as_deref().map(str::parse).transpose()?;
        let reach = discovery.slab / 2;
        Ok(Self {
            input: input.to_owned(),
            path: split_place(input).0,
            // Which of the slices are wanted is known before they are there.
            discovery: Discovery { slices: None, ..discovery },
            slices,
            channels,
            patience,
            stamp: None,
            changed: None,
            images: Vec::new(),
            first: 0,
            reach,
            is_ending: false,
            held: 0,
            trouble: None,
            is_overdue: false,
        })
    }

    /// Lists the slices again where something may have been written.
    fn update(&mut self, now: Instant) -> Result<()> {
        let stamp = self.stamp_of_all();
        // What is written inside a folder does not show in it, and of several files others may be added.
        let is_folder = is_array_folder(&self.path) || self.is_in_several_files();
        if stamp != self.stamp {
            self.changed = Some(now);
        }
        let is_still = self.changed.is_some_and(|changed| now.saturating_duration_since(changed) > STILL);
        if stamp.is_some() && is_still && !is_folder && self.trouble.is_none() {
            return Ok(());
        }
        match self.discovery.discover_for(&self.input, self.channels) {
            Ok(images) => {
                self.images = images;
                self.trouble = None;
            }
            Err(error @ Error::Setting { .. }) => return Err(error),
            // As long as it is not there or begins to be written, and where a writer is in the middle of something.
            Err(error) => {
                let (since, told) =
                    self.trouble.as_ref().map_or((now, false), |(since, _, told)| (*since, *told));
                self.trouble = Some((since, error, told));
            }
        }
        self.stamp = stamp;
        Ok(())
    }

    /// Whether the numbers are in other files than the one that was named.
    fn is_in_several_files(&self) -> bool {
        self.images.first().is_some_and(|image| image.files().nth(1).is_some())
    }

    /// The stamp of the file that was named, or of all files that its numbers are in together; `None` where one is not there.
    fn stamp_of_all(&self) -> Option<Stamp> {
        let one = |path: &Path| std::fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata));
        match self.images.first() {
            Some(first) if self.is_in_several_files() => {
                first.files().map(one).try_fold(Stamp::default(), |all, one| {
                    let one = one?;
                    let bytes = all.bytes.wrapping_add(one.bytes);
                    Some(Stamp { bytes, modified: all.modified.max(one.modified) })
                })
            }
            _ => one(&self.path),
        }
    }

    /// The slices that are stored, of those that are not over and their neighbours, each with its stamp and how long it has to wait.
    fn stored(&self) -> Vec<(usize, Stamp, Wait)> {
        let file = self.stamp.unwrap_or_default();
        let mut found = Vec::new();
        let mut empty = 0;
        for (number, image) in self.images.iter().enumerate().skip(self.first.saturating_sub(self.reach)) {
            let growth = image.growth();
            empty = if growth.as_ref().is_some_and(|growth| growth.stored == 0) { empty + 1 } else { 0 };
            if empty == EMPTY_SLICES {
                let rest = &self.images[number..];
                let mut probed = rest.iter().step_by((rest.len() / PROBED_SLICES).max(1));
                if !probed.any(|image| image.growth().is_some_and(|growth| growth.stored > 0)) {
                    break;
                }
            }
            found.push((number, growth));
        }
        // From the last one back, as what comes later tells that a slice is complete.
        let mut later: Option<Vec<usize>> = None;
        let mut has_later_page = false;
        let mut all = Vec::new();
        for (number, growth) in found.into_iter().rev() {
            let Some(growth) = growth else {
                let (stamp, wait) = match has_later_page {
                    true => (Stamp::default(), Wait::None),
                    false => (file, Wait::Settle),
                };
                has_later_page = true;
                all.push((number, stamp, wait));
                continue;
            };
            let is_passed = later.as_ref().is_some_and(|later| *later != growth.group);
            let stamp = Stamp { bytes: growth.bytes, modified: nanoseconds(growth.modified) };
            let of_file =
                Stamp { bytes: stamp.bytes ^ file.bytes, modified: stamp.modified.max(file.modified) };
            // Where the format does not say when an image was written, its file does, if it holds no other.
            let is_of_file = growth.modified.is_none() && self.images.len() == 1;
            let stamp = if is_of_file { of_file } else { stamp };
            match (growth.stored, is_passed) {
                // Nothing is stored of what is all zeros, perhaps; or it is on its way.
                (0, true) => all.push((number, stamp, Wait::Patience)),
                (0, false) => continue,
                (stored, _) if stored < growth.blocks => all.push((number, stamp, Wait::Patience)),
                (_, true) => all.push((number, stamp, Wait::None)),
                (_, false) if growth.is_shared => all.push((number, of_file, Wait::Patience)),
                (_, false) => all.push((number, stamp, Wait::Settle)),
            }
            later = later.or(Some(growth.group));
        }
        all.reverse();
        all
    }

    /// Of the slices that are `stored` and awaited, those whose neighbours are there too, whether these are wanted or not: each waits as
    /// long as the one of these that waits longest. Behind the last slice there may be more, and how they are to be mirrored is known at
    /// the end only.
    fn with_neighbours(
        &mut self,
        stored: Vec<(usize, Stamp, Wait)>,
        arrivals: &Arrivals,
    ) -> Vec<(usize, Stamp, Wait)> {
        self.held = 0;
        let known: HashMap<usize, (Stamp, Wait)> =
            stored.iter().map(|(place, stamp, wait)| (*place, (*stamp, *wait))).collect();
        let end = self.images.len();
        let mut ready = Vec::new();
        for (place, stamp, wait) in stored {
            if !self.is_awaited(place, arrivals) {
                continue;
            }
            let needed = place.saturating_sub(self.reach)..=place + self.reach;
            // Those before the first one that is awaited may be over without being there, as they were given up.
            let is_over = |place: usize| place < self.first && arrivals.is_over(&key_of(self.number(place)));
            let mut together = Some((stamp, wait));
            for neighbour in needed.filter(|neighbour| *neighbour != place && !is_over(*neighbour)) {
                let found = known.get(&neighbour).copied();
                together = match (together, found) {
                    (Some((stamp, wait)), Some((other, longer))) => {
                        let (bytes, modified) =
                            (stamp.bytes ^ other.bytes, stamp.modified.max(other.modified));
                        Some((Stamp { bytes, modified }, wait.max(longer)))
                    }
                    (together, None) if self.is_ending && neighbour >= end => together,
                    _ => None,
                };
            }
            match together {
                Some((stamp, wait)) => ready.push((place, stamp, wait)),
                None => self.held += 1,
            }
        }
        ready
    }

    /// The number that a slice has in the array.
    fn number(&self, place: usize) -> usize {
        self.images.get(place).and_then(|image| image.page).unwrap_or(place)
    }

    /// Whether a slice is wanted and not over. An array that is one image, and never has more, may be written again, as files are.
    fn is_awaited(&self, place: usize, arrivals: &Arrivals) -> bool {
        let number = self.number(place);
        let is_wanted = self.slices.as_ref().is_none_or(|slices| slices.contains(number));
        let is_alone = || self.images[place].growth().is_some_and(|growth| growth.is_alone);
        is_wanted && (!arrivals.is_over(&key_of(number)) || self.images.len() == 1 && is_alone())
    }
}

fn key_of(number: usize) -> String {
    format!("slice {number}")
}

impl Source for Growing {
    fn look(&mut self, arrivals: &Arrivals, now: Instant) -> Result<Look> {
        self.update(now)?;
        while self.first < self.images.len() && !self.is_awaited(self.first, arrivals) {
            self.first += 1;
        }
        self.is_overdue = self
            .trouble
            .as_ref()
            .is_some_and(|(since, ..)| now.saturating_duration_since(*since) >= self.patience);
        let stored = self.stored();
        let ready = self.with_neighbours(stored, arrivals).into_iter();
        let seen = ready.map(|(place, stamp, wait)| Seen { key: key_of(self.number(place)), stamp, wait });
        Ok(Look { seen: seen.collect(), names: None })
    }

    fn name(&self, key: &str) -> String {
        format!("{} {key}", self.input)
    }

    fn image(&self, key: &str) -> Option<ImageSource> {
        let number: usize = key.rsplit(' ').next()?.parse().ok()?;
        // Mostly its place is its number.
        let is_it = |place: &usize| self.number(*place) == number;
        let place = Some(number)
            .filter(|place| *place < self.images.len() && is_it(place))
            .or_else(|| (0..self.images.len()).find(is_it))?;
        Some(self.images[place].as_slice(number))
    }

    fn held(&self) -> usize {
        self.held
    }

    fn end(&mut self) {
        self.is_ending = true;
    }

    fn trouble(&mut self) -> Option<String> {
        let (_, error, told) = self.trouble.as_mut().filter(|(_, _, told)| self.is_overdue && !told)?;
        *told = true;
        Some(format!("waiting for {}, which cannot be read so far: {error}", self.input))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An array of `slices` slices of 2 x 2 pixels, `depth` of them in each chunk.
    fn describe(folder: &std::path::Path, slices: usize, depth: usize) {
        let text = format!(
            r#"{{"zarr_format": 2, "shape": [{slices}, 2, 2], "chunks": [{depth}, 2, 2], "dtype": "|u1",
                "compressor": null, "fill_value": 0, "order": "C", "filters": null}}"#
        );
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(".zarray"), text).unwrap();
    }

    /// The slices that are seen, and how long each has to wait.
    fn seen(source: &mut Growing, arrivals: &Arrivals) -> Vec<(String, Wait)> {
        let look = source.look(arrivals, Instant::now()).unwrap();
        look.seen.into_iter().map(|seen| (seen.key, seen.wait)).collect()
    }

    fn growing(folder: &std::path::Path, slices: Option<&str>) -> Growing {
        let discovery = Discovery { slices: slices.map(str::to_owned), ..Discovery::default() };
        Growing::new(folder.to_str().unwrap(), discovery, 1, Duration::ZERO).unwrap()
    }

    fn slice(number: usize, wait: Wait) -> (String, Wait) {
        (key_of(number), wait)
    }

    #[test]
    fn slices_are_seen_once_they_are_stored_and_those_before_the_last_do_not_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zarr");
        let mut arrivals = Arrivals::new(Duration::ZERO, Duration::ZERO);
        let mut source = growing(&path, None);
        assert!(seen(&mut source, &arrivals).is_empty());
        assert!(source.trouble().is_some_and(|text| text.starts_with("waiting for ")));
        describe(&path, 300, 1);
        assert!(seen(&mut source, &arrivals).is_empty() && source.trouble().is_none());
        let write = |number: usize| std::fs::write(path.join(format!("{number}.0.0")), [1; 4]).unwrap();
        write(0);
        assert_eq!(seen(&mut source, &arrivals), [slice(0, Wait::Settle)]);
        write(2);
        let with_gap = [slice(0, Wait::None), slice(1, Wait::Patience), slice(2, Wait::Settle)];
        assert_eq!(seen(&mut source, &arrivals), with_gap);
        // However far behind the next one is.
        write(299);
        let all = seen(&mut source, &arrivals);
        assert_eq!((all.len(), all[299].clone()), (300, slice(299, Wait::Settle)));
        let image = source.image("slice 7").unwrap();
        assert_eq!((image.page, image.stem.as_str()), (Some(7), "a_p0007"));
        // What is over is not looked at again.
        (0..299).for_each(|n| arrivals.done_before(key_of(n), Stamp::default(), Instant::now()));
        assert_eq!(seen(&mut source, &arrivals), [slice(299, Wait::Settle)]);
        assert_eq!(seen(&mut growing(&path, Some("299..400")), &arrivals), [slice(299, Wait::Settle)]);
    }

    #[test]
    fn slices_of_slabs_wait_for_their_neighbours_and_the_last_for_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zarr");
        let arrivals = Arrivals::new(Duration::ZERO, Duration::ZERO);
        let slabs = || {
            let discovery = Discovery::default().of_slabs(3);
            Growing::new(path.to_str().unwrap(), discovery, 3, Duration::ZERO).unwrap()
        };
        describe(&path, 3, 1);
        let write = |number: usize| std::fs::write(path.join(format!("{number}.0.0")), [1; 4]).unwrap();
        let mut source = slabs();
        write(0);
        assert_eq!((seen(&mut source, &arrivals), source.held()), (vec![], 1));
        write(1);
        assert_eq!((seen(&mut source, &arrivals), source.held()), (vec![slice(0, Wait::Settle)], 1));
        // A slice that was never written is no neighbour, at the end neither.
        let mut ended = slabs();
        ended.end();
        assert_eq!((seen(&mut ended, &arrivals), ended.held()), (vec![slice(0, Wait::Settle)], 1));
        write(2);
        let first = [slice(0, Wait::None), slice(1, Wait::Settle)];
        assert_eq!((seen(&mut source, &arrivals), source.held()), (first.to_vec(), 1));
        source.end();
        let all = [&first[..], &[slice(2, Wait::Settle)]].concat();
        assert_eq!((seen(&mut source, &arrivals), source.held()), (all, 0));
    }

    #[test]
    fn slices_that_are_not_wanted_are_waited_for_as_neighbours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zarr");
        let mut arrivals = Arrivals::new(Duration::ZERO, Duration::ZERO);
        describe(&path, 8, 1);
        let write = |number: usize| std::fs::write(path.join(format!("{number}.0.0")), [1; 4]).unwrap();
        let discovery = Discovery { slices: Some("3..5".into()), ..Discovery::default() };
        let discovery = discovery.of_slabs(3);
        let mut source = Growing::new(path.to_str().unwrap(), discovery, 3, Duration::ZERO).unwrap();
        write(3);
        write(4);
        // Slice 2 may be all zeros, or on its way.
        assert_eq!((seen(&mut source, &arrivals), source.held()), (vec![slice(3, Wait::Patience)], 1));
        write(2);
        assert_eq!((seen(&mut source, &arrivals), source.held()), (vec![slice(3, Wait::Settle)], 1));
        write(5);
        let both = vec![slice(3, Wait::None), slice(4, Wait::Settle)];
        assert_eq!((seen(&mut source, &arrivals), source.held()), (both, 0));
        // What nobody wants waits for nothing.
        write(7);
        arrivals.done_before(key_of(3), Stamp::default(), Instant::now());
        assert_eq!((seen(&mut source, &arrivals), source.held()), (vec![slice(4, Wait::None)], 0));
    }

    #[test]
    fn slices_of_several_files_are_changed_where_any_of_these_is() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/hdf5/virtual");
        for name in ["sets_v114.h5", "frames_v114_0.h5", "frames_v114_1.h5", "frames_v114_2.h5"] {
            std::fs::copy(corpus.join(name), folder.path().join(name)).unwrap();
        }
        let arrivals = Arrivals::new(Duration::ZERO, Duration::ZERO);
        let mut source = growing(&folder.path().join("sets_v114.h5:one_after_the_other"), None);
        source.look(&arrivals, Instant::now()).unwrap();
        // Long enough for a file by itself to be left alone.
        let later = Instant::now() + 2 * STILL;
        let mut look = || source.look(&arrivals, later).unwrap().seen;
        let before = look();
        assert_eq!(before.len(), 12);
        let other = std::fs::File::options().append(true).open(folder.path().join("frames_v114_1.h5"));
        std::io::Write::write_all(&mut other.unwrap(), b"more").unwrap();
        let after = look();
        assert!(before.iter().zip(&after).all(|(before, after)| before.stamp != after.stamp));
    }

    #[test]
    fn an_array_of_one_image_is_seen_again_when_it_was_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let zarr = folder.path().join("a.zarr");
        std::fs::create_dir(&zarr).unwrap();
        let text = r#"{"zarr_format": 2, "shape": [2, 2], "chunks": [2, 2], "dtype": "|u1",
            "compressor": null, "fill_value": 0, "order": "C", "filters": null}"#;
        std::fs::write(zarr.join(".zarray"), text).unwrap();
        std::fs::write(zarr.join("0.0"), [1; 4]).unwrap();
        let npy = folder.path().join("a.npy");
        let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), }";
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(format!("{text:<117}\n1234").into_bytes());
        std::fs::write(&npy, bytes).unwrap();
        for (path, written) in [(&npy, &npy), (&zarr, &zarr.join("0.0"))] {
            let (now, later) = (Instant::now(), Instant::now() + 2 * STILL);
            let mut arrivals = Arrivals::new(Duration::ZERO, Duration::ZERO);
            let mut source = growing(path, None);
            let first = source.look(&arrivals, now).unwrap().seen;
            assert_eq!((first.len(), first[0].wait), (1, Wait::Settle), "{path:?}");
            let stamp = first[0].stamp;
            assert!(stamp.modified > 0, "{path:?}");
            assert_eq!(arrivals.observe(first, now).0.len(), 1);
            arrivals.done(&key_of(0), stamp);
            let mut ready = |source: &mut Growing| {
                let seen = source.look(&arrivals, later).unwrap().seen;
                arrivals.observe(seen, later).0.len()
            };
            assert_eq!(ready(&mut source), 0, "{path:?}");
            // Of the same size, a second later.
            let again = std::fs::File::options().write(true).open(written).unwrap();
            again.set_modified(std::time::SystemTime::now() + Duration::from_secs(1)).unwrap();
            assert_eq!(ready(&mut source), 1, "{path:?}");
        }
    }

    #[test]
    fn slices_in_one_chunk_wait_for_the_next_chunk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zarr");
        let arrivals = Arrivals::new(Duration::ZERO, Duration::ZERO);
        let mut source = growing(&path, None);
        describe(&path, 3, 2);
        std::fs::write(path.join("0.0.0"), [1; 8]).unwrap();
        let waits = |source: &mut Growing| -> Vec<Wait> {
            seen(source, &arrivals).into_iter().map(|(_, wait)| wait).collect()
        };
        assert_eq!(waits(&mut source), [Wait::Patience, Wait::Patience]);
        std::fs::write(path.join("1.0.0"), [1; 8]).unwrap();
        assert_eq!(waits(&mut source), [Wait::None, Wait::None, Wait::Patience]);
    }
}
