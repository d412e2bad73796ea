//! How far the scans of a JPEG stream reach into its image: their Huffman codes are counted, and no pixel is made of them.
//!
//! Decoders take codes that are missing for zeros: a stream that ends early becomes an image of the full size that its header says,
//! grey where nothing was stored. Here it is found out before memory is taken for that image. Counted are the scans that begin the
//! blocks of each channel, the first one of all channels in most files; the others refine what these have stored, and progressive
//! files may end before them.
//!
//! The format is that of ITU-T T.81: <https://www.w3.org/Graphics/JPEG/itu-t81.pdf>, in Huffman codes, sequential or progressive.

use super::START_OF_SCAN;
use super::huffman::{Bits, Table, Tables};
use super::markers::{Segments, is_restart};

const HUFFMAN_TABLES: u8 = 0xc4;
const RESTART_INTERVAL: u8 = 0xdd;

/// Of so many blocks one may be missing: what was damaged a little is left to the decoder.
const MISSING: u64 = 8;

/// Programs write about ten into a progressive file, and one for each channel at most into others.
const MOST_SCANS: usize = 100;

/// Checks that `stream`, which is a JPEG stream from its first marker on, has codes for nearly all blocks of each channel.
///
/// # Errors
/// What is wrong with it, in words that begin with "it".
pub(super) fn check(stream: &[u8]) -> Result<(), String> {
    let mut tables = Tables::default();
    let mut frame: Option<Frame> = None;
    let mut interval = 0;
    let mut segments = Segments { stream, at: 0 };
    while let Some((marker, content)) = segments.next() {
        match marker {
            0xc0..=0xc2 if frame.is_none() => frame = Some(Frame::new(marker, content)?),
            HUFFMAN_TABLES => tables.add(content)?,
            RESTART_INTERVAL => {
                interval = content.first_chunk().map_or(0, |bytes| u64::from(u16::from_be_bytes(*bytes)));
            }
            START_OF_SCAN => {
                let frame = frame.as_mut().ok_or("it has a scan before its size")?;
                if let Some(scan) = Scan::new(frame, &tables, interval, content)? {
                    segments.at += scan.check(&stream[segments.at..])?;
                    frame.note_scan_of(content);
                }
                if frame.channels.iter().all(|channel| channel.has_begun) {
                    return Ok(());
                }
            }
            _ => {}
        }
    }
    Err("it ends before its last channel".into())
}

/// Checks that `stream`, as for [`check`], has no more scans than the decoder should be given: each of them may go through the whole
/// image, however few bytes it has.
///
/// # Errors
/// As [`check`].
pub(super) fn check_count(stream: &[u8]) -> Result<(), String> {
    let mut segments = Segments { stream, at: 0 };
    let markers = std::iter::from_fn(|| segments.next());
    match markers.filter(|(marker, _)| *marker == START_OF_SCAN).nth(MOST_SCANS) {
        Some(_) => Err(format!("it has more than {MOST_SCANS} scans")),
        None => Ok(()),
    }
}

/// The image, as the header says.
struct Frame {
    width: u64,
    height: u64,
    is_progressive: bool,
    channels: Vec<Channel>,
}

struct Channel {
    name: u8,
    /// How many blocks of it lie beside and below each other where all channels come together.
    across: u64,
    down: u64,
    /// Whether a scan that begins its blocks has been seen.
    has_begun: bool,
}

impl Frame {
    fn new(marker: u8, content: &[u8]) -> Result<Self, String> {
        const SHORT: &str = "its header is too short";
        let &[_, high, low, wide, narrow, count, ref channels @ ..] = content else {
            return Err(SHORT.into());
        };
        let channels = channels.chunks_exact(3).take(count.into());
        let channels: Vec<Channel> = channels
            .map(|channel| Channel {
                name: channel[0],
                across: (channel[1] >> 4).into(),
                down: (channel[1] & 15).into(),
                has_begun: false,
            })
            .collect();
        if channels.len() != usize::from(count) {
            return Err(SHORT.into());
        }
        let is_possible = |count: u64| (1..=4).contains(&count);
        if !channels.iter().all(|channel| is_possible(channel.across) && is_possible(channel.down)) {
            return Err("its header says that it has channels of no size".into());
        }
        let (width, height) =
            (u16::from_be_bytes([wide, narrow]).into(), u16::from_be_bytes([high, low]).into());
        Ok(Self { width, height, is_progressive: marker == 0xc2, channels })
    }

    /// Notes the channels of the scan whose marker has this content.
    fn note_scan_of(&mut self, content: &[u8]) {
        for name in scan_channels(content).map(|(name, _)| name) {
            self.channels
                .iter_mut()
                .filter(|channel| channel.name == name)
                .for_each(|channel| channel.has_begun = true);
        }
    }
}

/// The names of the channels of a scan whose marker has this content, and which tables each has.
fn scan_channels(content: &[u8]) -> impl Iterator<Item = (u8, u8)> + '_ {
    let count = content.first().copied().unwrap_or(0);
    content.get(1..).unwrap_or_default().chunks_exact(2).take(count.into()).map(|pair| (pair[0], pair[1]))
}

/// A scan that begins blocks.
struct Scan<'a> {
    /// The smallest unit of a scan is a block of one channel, or some of each; so many lie beside and below each other.
    across: u64,
    down: u64,
    /// How many of these come between two marks at which decoding can begin anew; 0 where there are no marks.
    interval: u64,
    /// Of each channel the blocks in a unit and their tables: of the first number in each block, and of the others, which are not
    /// there in progressive files.
    channels: Vec<(u64, &'a Table, Option<&'a Table>)>,
}

impl<'a> Scan<'a> {
    /// The scan whose marker has this `content`; `None` where it goes on with blocks that have begun.
    fn new(frame: &Frame, tables: &'a Tables, interval: u64, content: &[u8]) -> Result<Option<Self>, String> {
        let [count, .., first, _, bits] = *content else { return Err("a scan's header is too short".into()) };
        if frame.is_progressive && (first != 0 || bits >> 4 != 0) {
            return Ok(None);
        }
        let mut channels = Vec::new();
        for (name, numbers) in scan_channels(content) {
            let channel = frame.channels.iter().find(|channel| channel.name == name);
            let channel = channel.ok_or("it has a scan of no channel")?;
            let table = |tables: &'a [Option<Box<Table>>; 4], number: u8| {
                let table = tables.get(usize::from(number)).and_then(Option::as_deref);
                table.ok_or("a Huffman table is missing in it")
            };
            let others = if frame.is_progressive { None } else { Some(table(&tables.others, numbers & 15)?) };
            channels.push((channel, table(&tables.first, numbers >> 4)?, others));
        }
        if channels.is_empty() || channels.len() != usize::from(count) || channels.len() > 4 {
            return Err("it has a scan of no channel".into());
        }
        let largest = |side: fn(&Channel) -> u64| frame.channels.iter().map(side).max().unwrap_or(1);
        let (most_across, most_down) = (largest(|channel| channel.across), largest(|channel| channel.down));
        let is_alone = channels.len() == 1;
        let (across, down) = match channels[..] {
            [(channel, ..)] => (
                (frame.width * channel.across).div_ceil(8 * most_across),
                (frame.height * channel.down).div_ceil(8 * most_down),
            ),
            _ => (frame.width.div_ceil(8 * most_across), frame.height.div_ceil(8 * most_down)),
        };
        let channels = channels
            .into_iter()
            .map(|(channel, first, others)| {
                (if is_alone { 1 } else { channel.across * channel.down }, first, others)
            })
            .collect();
        Ok(Some(Self { across, down, interval, channels }))
    }

    /// Checks that `codes`, which begin with those of the scan, are as many as it should have; how many bytes they are at most.
    fn check(&self, codes: &[u8]) -> Result<usize, String> {
        let mut bits = Bits::new(codes);
        let all = self.across * self.down;
        let interval = if self.interval > 0 { self.interval } else { all };
        let (mut begun, mut found) = (0, 0);
        'intervals: while begun < all {
            if begun > 0 && !bits.go_to_restart() {
                break;
            }
            for _ in 0..interval.min(all - begun) {
                if self.has_unit(&mut bits)? {
                    found += 1;
                    continue;
                }
                // Codes may be missing before a mark, behind which they are right again.
                if bits.marker().is_some_and(is_restart) {
                    break;
                }
                break 'intervals;
            }
            begun += interval;
        }
        if (all - found).saturating_mul(MISSING) > all {
            let (rows, of_rows) = (found / self.across.max(1), self.down);
            return Err(format!("it ends after {rows} of {of_rows} rows of blocks"));
        }
        Ok(bits.at)
    }

    /// Passes over the codes of one unit; whether they were all there.
    fn has_unit(&self, bits: &mut Bits<'_>) -> Result<bool, String> {
        for (blocks, first, others) in &self.channels {
            for _ in 0..*blocks {
                if !bits.pass_over_block(first, *others)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::jpeg::{Colours, END_OF_IMAGE, Stream};

    /// How a stream of one colour is made.
    struct Case {
        frame: u8,
        size: (u16, u16),
        /// The name and the sampling of each channel.
        channels: &'static [(u8, u8)],
        /// Of each scan its channels, how many units it should have and how many bits each of them has.
        scans: &'static [(&'static [u8], usize, usize)],
        interval: usize,
    }

    const GREY: Case =
        Case { frame: 0xc0, size: (80, 44), channels: &[(1, 0x11)], scans: &[(&[1], 60, 2)], interval: 0 };
    const COLOURS: &[(u8, u8)] = &[(1, 0x22), (2, 0x11), (3, 0x11)];

    impl Case {
        /// The stream, of whose last scan so many units are left out at the end.
        fn stream(&self, left_out: usize) -> Vec<u8> {
            let mut bytes = vec![0xff, 0xd8, 0xff, self.frame, 0, 8 + 3 * self.channels.len() as u8, 8];
            bytes.extend(self.size.1.to_be_bytes());
            bytes.extend(self.size.0.to_be_bytes());
            bytes.push(self.channels.len() as u8);
            self.channels.iter().for_each(|(name, sampling)| bytes.extend([*name, *sampling, 0]));
            // A bit that is 0 is the only code: no difference to the block before, and nothing else in the block.
            for class in [0x00, 0x10] {
                bytes.extend([0xff, 0xc4, 0, 20, class, 1]);
                bytes.extend([0; 16]);
            }
            bytes.extend([0xff, 0xdd, 0, 4, 0, self.interval as u8]);
            for (number, (channels, units, bits)) in self.scans.iter().enumerate() {
                bytes.extend([0xff, 0xff, 0xda, 0, 6 + 2 * channels.len() as u8, channels.len() as u8]);
                channels.iter().for_each(|name| bytes.extend([*name, 0]));
                bytes.extend([0, if self.frame == 0xc2 { 0 } else { 63 }, 0]);
                let is_last = number + 1 == self.scans.len();
                let units = units - if is_last { left_out } else { 0 };
                let interval = if self.interval > 0 { self.interval } else { units.max(1) };
                for start in (0..units).step_by(interval) {
                    if start > 0 {
                        bytes.extend([0xff, 0xd0 + (start / interval - 1) as u8 % 8]);
                    }
                    let bits = interval.min(units - start) * bits;
                    bytes.extend(vec![0; bits / 8]);
                    // What is left of the last byte is filled with ones.
                    bytes.extend((bits % 8 > 0).then(|| 0xff >> (bits % 8)));
                }
            }
            bytes.extend([0xff, 0xd9, 1, 2, 3, 0xff, 0xda]);
            bytes
        }
    }

    #[test]
    fn blocks_are_counted_to_the_last() {
        let cases = [
            GREY,
            Case { interval: 7, ..GREY },
            Case { interval: 60, ..GREY },
            // A single channel is stored block by block, whatever sampling is said of it.
            Case { channels: &[(1, 0x22)], ..GREY },
            Case { frame: 0xc1, ..GREY },
            Case { frame: 0xc2, scans: &[(&[1], 60, 1)], ..GREY },
            Case { channels: &[(1, 0x11), (2, 0x11), (3, 0x11)], scans: &[(&[1, 2, 3], 60, 6)], ..GREY },
            Case { channels: COLOURS, scans: &[(&[1, 2, 3], 15, 12)], ..GREY },
            Case { channels: COLOURS, scans: &[(&[1, 2, 3], 15, 12)], interval: 2, ..GREY },
            Case { channels: &[(1, 0x21), (2, 0x11), (3, 0x11)], scans: &[(&[1, 2, 3], 30, 8)], ..GREY },
            Case { channels: &[(1, 0x12), (2, 0x11), (3, 0x11)], scans: &[(&[1, 2, 3], 30, 8)], ..GREY },
            Case { channels: &[(1, 0x41), (2, 0x11), (3, 0x11)], scans: &[(&[1, 2, 3], 18, 12)], ..GREY },
            Case { frame: 0xc2, channels: COLOURS, scans: &[(&[1, 2, 3], 15, 6)], ..GREY },
            Case { channels: COLOURS, scans: &[(&[1], 60, 2), (&[2], 15, 2), (&[3], 15, 2)], ..GREY },
            Case { channels: COLOURS, scans: &[(&[1], 60, 2), (&[2, 3], 15, 4)], interval: 5, ..GREY },
            Case { frame: 0xc2, channels: COLOURS, scans: &[(&[1], 60, 1), (&[2, 3], 15, 2)], ..GREY },
            Case { size: (1, 1), scans: &[(&[1], 1, 2)], ..GREY },
            Case { size: (17, 1), channels: COLOURS, scans: &[(&[1, 2, 3], 2, 12)], ..GREY },
        ];
        for (number, case) in cases.into_iter().enumerate() {
            let (_, units, _) = *case.scans.last().unwrap();
            for left_out in 0..=units {
                let stream = case.stream(left_out);
                let found = check(&stream);
                assert_eq!(
                    found.is_ok(),
                    left_out <= units / 8,
                    "{number}: {left_out} of {units}: {found:?}"
                );
                check_count(&stream).unwrap();
            }
        }
        let error = check(&GREY.stream(25)).unwrap_err();
        assert_eq!(error, "it ends after 3 of 6 rows of blocks");
        let channels = Case { channels: COLOURS, scans: &[(&[1], 60, 2), (&[2], 15, 2)], ..GREY };
        assert_eq!(check(&channels.stream(0)).unwrap_err(), "it ends before its last channel");
    }

    #[test]
    fn codes_that_are_missing_before_a_restart_are_missing_there_alone() {
        let whole = Case { interval: 4, ..GREY }.stream(0);
        let places: Vec<usize> = (0..whole.len()).filter(|at| is_restart(whole[*at])).collect();
        assert_eq!(places.len(), 14);
        let without = |count: usize| {
            let mut stream = whole.clone();
            for at in places[..count].iter().rev() {
                // The only byte of the interval stands before the mark.
                stream.remove(at - 2);
            }
            stream
        };
        check(&without(1)).unwrap();
        assert_eq!(check(&without(14)).unwrap_err(), "it ends after 0 of 6 rows of blocks");
    }

    #[test]
    fn too_many_scans_are_refused() {
        const SCAN: (&[u8], usize, usize) = (&[1], 60, 1);
        check_count(&Case { frame: 0xc2, scans: &[SCAN; 100], ..GREY }.stream(0)).unwrap();
        let error = check_count(&Case { frame: 0xc2, scans: &[SCAN; 101], ..GREY }.stream(0)).unwrap_err();
        assert_eq!(error, "it has more than 100 scans");
    }

    #[test]
    fn files_of_other_programs_are_whole_and_are_not_when_they_are_cut() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/jpeg_scans");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let Ok(stream) = Stream::new(&[], &std::fs::read(&path).unwrap(), Colours::AsMarked) else {
                continue;
            };
            check(&stream.bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            check_count(&stream.bytes).unwrap();
            let mut segments = Segments { stream: &stream.bytes, at: 0 };
            while segments.next().unwrap().0 != START_OF_SCAN {}
            let cut = [&stream.bytes[..segments.at], &[0xff, END_OF_IMAGE]].concat();
            check(&cut).unwrap_err();
            count += 1;
        }
        assert!(count > 10, "{count}");
    }
}
