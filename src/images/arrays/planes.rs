//! An array as images `[channel][y][x]`, one for each slice and point in time.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use super::axes::axes_of;
use super::blocks::{BlockRoom, Blocks, CACHE, places_of_blocks, ranges_of_block};
use super::numbers::{lengths, with_axes};
use super::source_blocks::SourceBlocks;
use super::{ArrayLayout, StoredArray};
use crate::error::{Bytes, Error, Result};
use crate::images::annotations::{Annotations, channel_names};
use crate::images::decoded::Decoded;
use crate::images::limits::check_bytes;
use crate::images::source::Header;
use crate::images::space::Space;
use crate::images::volume::VoxelSize;

/// The most images of an array, each of which is remembered by name (some hundred bytes), so that a header of a few bytes cannot fill
/// the memory; and the most blocks of one image.
const MOST_IMAGES: usize = 1 << 18;
const MOST_BLOCKS: usize = 1 << 21;
/// Blocks of more bytes may be larger than their array by no more than this: so large ones are unpacked for what is in the array.
const LARGE_BLOCK_BYTES: u64 = 32 << 20;
const MOST_TIMES_ARRAY: u64 = 64;

/// What is wanted of an array, besides what its file says.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::images) struct Wanted<'a> {
    /// The letters of the axes, outermost first.
    pub(in crate::images) axes: Option<&'a str>,
    /// Which level of a pyramid, 0 being the finest.
    pub(in crate::images) level: usize,
}

/// An array in a file, and which of its axes is which.
pub(in crate::images) struct OpenArray {
    path: PathBuf,
    stored: Box<dyn StoredArray>,
    axes: Vec<char>,
    /// Those that are read in one piece.
    blocks: Option<Blocks>,
    /// Whether it was told that blocks of the arrays that it is made of are unpacked several times.
    told: AtomicBool,
}

/// One image of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::images) struct ArrayImage {
    pub(in crate::images) array: Arc<OpenArray>,
    /// Which one, counted along all axes but channels, rows and columns, the last of them fastest.
    pub(in crate::images) number: usize,
    /// The only channel that is wanted; `None` for all.
    pub(in crate::images) channel: Option<usize>,
}

/// What is there of one image of an array that another program may still be writing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Growth {
    /// In how many blocks the image lies, and how many of these are stored.
    pub(crate) blocks: usize,
    pub(crate) stored: usize,
    /// The bytes of the files that these are in, and when the last one was written, as far as the format says.
    pub(crate) bytes: u64,
    pub(crate) modified: Option<SystemTime>,
    /// What images have in common that lie in the same blocks.
    pub(crate) group: Vec<usize>,
    /// Whether there can be other images in the same blocks.
    pub(crate) is_shared: bool,
    /// Whether the array has no axis along which images lie, so that there never are others.
    pub(crate) is_alone: bool,
}

impl fmt::Debug for OpenArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenArray").field("stored", &self.stored).field("axes", &self.axes).finish()
    }
}

/// Arrays are the same that have one place and are taken in one way.
impl PartialEq for OpenArray {
    fn eq(&self, other: &Self) -> bool {
        self.stored.name() == other.stored.name() && self.axes == other.axes
    }
}

impl Eq for OpenArray {}

/// Whether an axis counts channels.
fn is_channel(axis: char) -> bool {
    matches!(axis, 'C' | 'S')
}

impl OpenArray {
    /// The array `stored` in the file at `path`.
    ///
    /// # Errors
    /// [`Error::Setting`] for axes that do not fit, [`Error::Input`] for those that cannot be known and for images that are
    /// larger than what is read.
    pub(in crate::images) fn new(
        path: &Path,
        stored: Box<dyn StoredArray>,
        wanted: Wanted<'_>,
    ) -> Result<Self> {
        let layout = stored.layout();
        let mut shape = layout.shape.clone();
        if layout.columns_first {
            shape.reverse();
        }
        let mut axes = axes_of(stored.name(), &shape, wanted.axes, layout.axes.as_deref())?;
        if layout.columns_first {
            axes.reverse();
        }
        let blocks = blocks_of(layout, &axes);
        let array = Self { path: path.to_path_buf(), stored, axes, blocks, told: AtomicBool::new(false) };
        let header = array.header(None);
        check_bytes(array.name(), header.channels, header.height, header.width, 4)?;
        array.check_counts()?;
        Ok(array)
    }

    /// Refuses more images and blocks than there can be memory for to list them: where blocks need not be there, as in Zarr, no
    /// file is too short for any shape.
    ///
    /// # Errors
    /// [`Error::Input`].
    fn check_counts(&self) -> Result<()> {
        let images = self.image_count();
        if images > MOST_IMAGES {
            let problem = format!(
                "says that it has {images} slices, wanted at most {MOST_IMAGES}, as each is listed in memory; divide it, or say with `axes` what its axes are"
            );
            return Err(Error::input(self.name(), problem));
        }
        let Some(block) = self.blocks.as_ref().map(Blocks::block) else { return Ok(()) };
        let layout = self.stored.layout();
        let (of_block, of_array) = (bytes_of(layout, block), bytes_of(layout, &layout.shape));
        if of_block > LARGE_BLOCK_BYTES && of_block / MOST_TIMES_ARRAY > of_array {
            let problem = format!(
                "stores its numbers in blocks of {}, but all of it has {}; store it in smaller ones",
                Bytes(of_block),
                Bytes(of_array)
            );
            return Err(Error::input(self.name(), problem));
        }
        let axes = self.axes.iter().zip(&self.stored.layout().shape).zip(block);
        let of_image = axes.filter(|((axis, _), _)| is_of_image(**axis));
        let count = of_image.fold(1_usize, |count, ((_, length), block)| {
            count.saturating_mul(length.div_ceil((*block).max(1)))
        });
        if count > MOST_BLOCKS {
            let problem = format!(
                "stores each image in {count} blocks, wanted at most {MOST_BLOCKS}; store it in larger ones"
            );
            return Err(Error::input(self.name(), problem));
        }
        Ok(())
    }

    /// What messages call it.
    pub(in crate::images) fn name(&self) -> &str {
        self.stored.name()
    }

    /// The file that holds it.
    pub(in crate::images) fn path(&self) -> &Path {
        &self.path
    }

    /// The axes as they are stored, outermost first.
    pub(in crate::images) fn axes(&self) -> String {
        self.axes.iter().collect()
    }

    /// The files that its numbers are in, where links have led there from the one that was named.
    pub(in crate::images) fn linked_files(&self) -> &[PathBuf] {
        &self.stored.layout().linked_files
    }

    /// How large a pixel is, where that is known.
    pub(in crate::images) fn voxel_size(&self) -> Option<&VoxelSize> {
        self.stored.layout().voxel_size.as_ref()
    }

    /// Where it lies in space, where that is known and the axes are those that the file says.
    pub(in crate::images) fn space(&self) -> Option<&Space> {
        let layout = self.stored.layout();
        layout.space.as_ref().filter(|_| layout.axes.as_deref() == Some(self.axes.as_slice()))
    }

    /// What the file says of channels, time and depth, of one `channel` or of all; nothing of axes that are others than those of the file.
    pub(in crate::images) fn annotations(&self, channel: Option<usize>) -> Annotations {
        let layout = self.stored.layout();
        let depth_is_unknown = layout.annotations.depth_is_unknown;
        if layout.axes.as_deref() != Some(self.axes.as_slice()) {
            return Annotations { depth_is_unknown, ..Annotations::default() };
        }
        let mut all = layout.annotations.clone();
        if all.channels.len() != self.header(None).channels {
            all.channels = Vec::new();
        } else if let Some(channel) = channel {
            all.channels = channel_names(all.channels.get(channel).map(String::as_str).into_iter());
        }
        all
    }

    /// Which slice image `number` is, along the axis of depth.
    pub(in crate::images) fn slice_of(&self, number: usize) -> usize {
        let depth = self.axes.iter().position(|axis| *axis == 'Z');
        depth.map_or(0, |depth| self.part_of(number)[depth].start)
    }

    /// How many images it holds.
    pub(in crate::images) fn image_count(&self) -> usize {
        self.outer().map(|(_, length)| length).product()
    }

    /// The axes along which images lie, with their lengths.
    fn outer(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> {
        let axes = self.axes.iter().zip(&self.stored.layout().shape).enumerate();
        axes.filter(|(_, (axis, _))| !is_of_image(**axis)).map(|(place, (_, length))| (place, *length))
    }

    /// The axes along which images lie, of more than one image, with their lengths.
    pub(in crate::images) fn image_axes(&self) -> Vec<(char, usize)> {
        self.outer()
            .map(|(place, length)| (self.axes[place], length))
            .filter(|(_, length)| *length > 1)
            .collect()
    }

    fn length(&self, wanted: char) -> usize {
        let axes = self.axes.iter().zip(&self.stored.layout().shape);
        axes.filter(|(axis, _)| **axis == wanted).map(|(_, length)| *length).product()
    }

    /// What there is to say of each image.
    pub(in crate::images) fn header(&self, channel: Option<usize>) -> Header {
        let place = |wanted: char| self.axes.iter().position(|axis| *axis == wanted);
        let channels = self.axes.iter().position(|axis| is_channel(*axis));
        Header {
            channels: channel.map_or_else(|| self.length('C') * self.length('S'), |_| 1),
            height: self.length('Y'),
            width: self.length('X'),
            samples: self.stored.layout().numbers,
            planar: channels < place('Y'),
            is_turned: false,
            alpha: 0,
            directory: None,
        }
    }

    /// The numbers of a part of an image, all channels or one, those of a channel together.
    ///
    /// # Errors
    /// As [`StoredArray::read`].
    pub(in crate::images) fn decode(
        &self,
        image: &ArrayImage,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Result<Decoded> {
        let shape = &self.stored.layout().shape;
        let mut part = self.part_of(image.number);
        let mut channel = image.channel;
        for (place, axis) in self.axes.iter().enumerate().rev() {
            match axis {
                'Y' => part[place] = rows.clone(),
                'X' => part[place] = columns.clone(),
                axis if is_channel(*axis) => {
                    if let Some(number) = &mut channel {
                        let index = *number % shape[place];
                        *number /= shape[place];
                        part[place] = index..index + 1;
                    }
                }
                _ => {}
            }
        }
        let samples = match &self.blocks {
            Some(blocks) => blocks.read(self.stored.as_ref(), &part)?,
            None => {
                self.tell_of_blocks(BlockRoom::now());
                self.stored.read(&part)?
            }
        };
        // Channels first, then rows, then columns; all others have one number only.
        let rank = |axis: char| match axis {
            'Y' => 2,
            'X' => 3,
            axis if is_channel(axis) => 1,
            _ => 0,
        };
        let mut order: Vec<usize> = (0..self.axes.len()).collect();
        order.sort_by_key(|place| (rank(self.axes[*place]), *place));
        let samples = with_axes(self.name(), samples, &lengths(&part), &order)?;
        let channels = self.header(image.channel).channels;
        Ok(Decoded {
            samples,
            height: rows.len(),
            width: columns.len(),
            stored_channels: channels,
            channels,
            planar: true,
        })
    }

    /// Where image `number` lies, with all its channels, rows and columns.
    fn part_of(&self, number: usize) -> Vec<Range<usize>> {
        let mut part: Vec<Range<usize>> =
            self.stored.layout().shape.iter().map(|length| 0..*length).collect();
        let mut rest = number;
        for (place, length) in self.outer().rev() {
            let index = rest % length.max(1);
            rest /= length.max(1);
            part[place] = index..index + 1;
        }
        part
    }

    /// See [`StoredArray::place`].
    pub(in crate::images) fn place(&self) -> String {
        self.stored.place()
    }

    /// Images for which this is the same lie in the same blocks; empty where the array is in one piece.
    pub(in crate::images) fn group_of(&self, number: usize) -> Vec<usize> {
        let Some(block) = &self.stored.layout().block else { return Vec::new() };
        let part = self.part_of(number);
        self.outer().map(|(place, _)| part[place].start / block[place].max(1)).collect()
    }

    /// What is there of image `number`, where another program may still be writing the array.
    pub(in crate::images) fn growth(&self, number: usize) -> Growth {
        let layout = self.stored.layout();
        let part = self.part_of(number);
        // In one piece, nothing tells which numbers have been written.
        let is_alone = self.outer().next().is_none();
        let Some(block) = &layout.block else {
            let is_shared = self.image_count() > 1;
            return Growth { is_shared, is_alone, blocks: 1, stored: 1, ..Growth::default() };
        };
        let mut growth = Growth { is_alone, ..Growth::default() };
        for (place, length) in self.outer() {
            growth.is_shared |= block[place].min(length) > 1;
            growth.group.push(part[place].start / block[place].max(1));
        }
        for place in places_of_blocks(block, &part) {
            growth.blocks += 1;
            if let Some(found) = self.stored.stored(&ranges_of_block(&place, block, &layout.shape)) {
                growth.stored += 1;
                growth.bytes = growth.bytes.wrapping_add(found.bytes);
                growth.modified = growth.modified.max(found.modified);
            }
        }
        growth
    }

    /// How many rows of an image are in one row of blocks, so that they are unpacked together; 1 where any rows are read by themselves.
    pub(in crate::images) fn rows_together(&self) -> usize {
        let along = self.axes.iter().position(|axis| *axis == 'Y');
        match (&self.blocks, self.stored.source_blocks(), along) {
            (Some(blocks), _, Some(axis)) => blocks.lengths()[axis],
            (_, Some(blocks), _) => blocks.rows(),
            _ => 1,
        }
    }

    /// Whether it is read in blocks, its own or those of the arrays that it is made of; else any part of it is read as quickly as its size
    /// allows.
    pub(in crate::images) fn has_blocks(&self) -> bool {
        self.blocks.is_some() || self.stored.source_blocks().is_some_and(|blocks| blocks.wanted() > 0)
    }

    /// Whether several slices lie in one block.
    pub(in crate::images) fn has_thick_blocks(&self) -> bool {
        self.blocks.as_ref().is_some_and(|blocks| blocks.depth() > 1)
            || self.stored.source_blocks().is_some_and(SourceBlocks::are_thick)
    }

    /// See [`Blocks::wanted_bytes`]; 0 where it is not read in blocks.
    pub(in crate::images) fn wanted_block_bytes(&self) -> u64 {
        let of_sources = || self.stored.source_blocks().map_or(0, SourceBlocks::wanted);
        self.blocks.as_ref().map_or_else(of_sources, Blocks::wanted_bytes)
    }

    /// See [`Blocks::bytes_with`]; 0 where it is not read in blocks.
    pub(in crate::images) fn block_bytes_with(&self, kept: u64) -> u64 {
        let of_sources = || self.stored.source_blocks().map_or(0, |blocks| blocks.bytes_with(kept));
        self.blocks.as_ref().map_or_else(of_sources, |blocks| blocks.bytes_with(kept))
    }

    /// See [`Blocks::tell`].
    pub(in crate::images) fn tell_of_blocks(&self, room: u64) {
        match (&self.blocks, self.stored.source_blocks()) {
            (Some(blocks), _) => blocks.tell(self.name(), room),
            (None, Some(blocks)) => blocks.tell(self.name(), room, &self.told),
            (None, None) => {}
        }
    }

    /// Refuses a channel that there is not.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub(in crate::images) fn check_channel(&self, channel: Option<usize>) -> Result<()> {
        let count = self.header(None).channels;
        match channel {
            Some(channel) if channel >= count => Err(Error::setting(
                "channel",
                channel,
                format!("{} has {count}, counted from 0; name one of these", self.name()),
            )),
            _ => Ok(()),
        }
    }
}

/// How many bytes numbers of an array take that are as many as a part of this shape has.
fn bytes_of(layout: &ArrayLayout, shape: &[usize]) -> u64 {
    let count = shape.iter().fold(1_u64, |count, length| count.saturating_mul(*length as u64));
    count.saturating_mul(u64::from(layout.numbers.bits).div_ceil(8))
}

/// The blocks that an array is read in whose axes are `axes`; `None` where it has none.
pub(super) fn blocks_of(layout: &ArrayLayout, axes: &[char]) -> Option<Blocks> {
    let block = layout.block.clone().or_else(|| block_of_slices(layout, axes))?;
    let outer: Vec<usize> = (0..axes.len()).rev().filter(|place| !is_of_image(axes[*place])).collect();
    let bytes = (slice_bytes(layout, axes, &block), bytes_of(layout, &block));
    // Blocks may be longer than their array.
    let lengths = block.iter().zip(&layout.shape).map(|(block, length)| (*block).clamp(1, (*length).max(1)));
    let lengths = lengths.collect();
    Some(Blocks::new((block, lengths), layout.block.is_some(), outer, bytes, &CACHE))
}

/// Whether an axis lies inside images, and images do not lie along it.
fn is_of_image(axis: char) -> bool {
    is_channel(axis) || matches!(axis, 'Y' | 'X')
}

/// How many bytes one image takes with all of the blocks that it lies in along its own axes.
fn slice_bytes(layout: &ArrayLayout, axes: &[char], block: &[usize]) -> u64 {
    let lengths = axes.iter().zip(&layout.shape).zip(block).map(|((axis, &length), &block)| {
        let block = block.clamp(1, length.max(1));
        if is_of_image(*axis) { length.div_ceil(block).saturating_mul(block) } else { 1 }
    });
    bytes_of(layout, &lengths.collect::<Vec<_>>())
}

/// Of an array whose slices are the fastest axis, as in Fortran order: so many slices that reading them in one piece is worth
/// the way through the file. `None` where slices are compact.
fn block_of_slices(layout: &ArrayLayout, axes: &[char]) -> Option<Vec<usize>> {
    const BLOCK_BYTES: u64 = 128 << 20;
    let (last, length) = (*axes.last()?, *layout.shape.last()?);
    if is_of_image(last) || length == 1 {
        return None;
    }
    let mut block: Vec<usize> = axes
        .iter()
        .zip(&layout.shape)
        .map(|(axis, length)| if is_of_image(*axis) { *length } else { 1 })
        .collect();
    let slice = slice_bytes(layout, axes, &block).max(1);
    *block.last_mut()? = usize::try_from(BLOCK_BYTES / slice).unwrap_or(1).clamp(1, length);
    Some(block)
}
