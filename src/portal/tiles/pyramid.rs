//! The smaller levels of a slice, made in one pass from bands of it.

use super::levels::{Scale, TILE, halved, last_level, side_at, tile_extent};

/// Most bytes of the levels of a slice that are kept. Tiles of larger levels are made from the image itself.
const MOST_BYTES: usize = 48 << 20;

/// Levels of a slice as 16-bit numbers.
#[derive(Debug)]
pub(super) struct Pyramid {
    height: usize,
    width: usize,
    first: u32,
    /// From the first level on, for each the channels, row by row.
    levels: Vec<Vec<Vec<u16>>>,
}

/// The first level that is kept of a slice of `height` rows, `width` columns and `channels` channels. It is 1 at least: tiles of level
/// 0 are read from the image.
pub(super) fn first_kept(height: usize, width: usize, channels: usize) -> u32 {
    let last = last_level(height, width);
    let bytes = |level: u32| {
        side_at(height, level).saturating_mul(side_at(width, level)).saturating_mul(channels * 2)
    };
    (1..=last).find(|level| bytes(*level) / 3 * 4 <= MOST_BYTES).unwrap_or(last.max(1))
}

impl Pyramid {
    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.levels.iter().flatten().map(|plane| plane.len() * 2).sum()
    }

    /// A tile of a level that is kept, as bytes; `None` where there is no such tile.
    pub(super) fn tile(&self, level: u32, ty: usize, tx: usize) -> Option<(Vec<u8>, usize, usize)> {
        let (height, width) = tile_extent(self.height, self.width, level, ty, tx)?;
        let planes = self.levels.get(level.checked_sub(self.first)? as usize)?;
        let row = side_at(self.width, level);
        let mut bytes = Vec::with_capacity(planes.len() * height * width * 2);
        for plane in planes {
            for y in ty * TILE..ty * TILE + height {
                let start = y * row + tx * TILE;
                bytes.extend(plane[start..start + width].iter().flat_map(|value| value.to_le_bytes()));
            }
        }
        Some((bytes, height, width))
    }
}

/// Makes a [`Pyramid`] from the rows of a slice.
pub(super) struct Builder {
    scale: Scale,
    first: u32,
    last: u32,
    /// Of each channel and level the row that waits for its neighbour.
    waiting: Vec<Vec<Option<Vec<f32>>>>,
    made: Pyramid,
}

impl Builder {
    pub(super) fn new(height: usize, width: usize, channels: usize, scale: Scale) -> Self {
        let (first, last) = (first_kept(height, width, channels), last_level(height, width));
        let count = (last + 1).saturating_sub(first) as usize;
        let made = Pyramid { height, width, first, levels: vec![vec![Vec::new(); channels]; count] };
        Self { scale, first, last, waiting: vec![vec![None; last as usize]; channels], made }
    }

    /// The next row of a channel.
    pub(super) fn add(&mut self, channel: usize, row: Vec<f32>) {
        self.add_at(channel, 0, row);
    }

    fn add_at(&mut self, channel: usize, level: u32, row: Vec<f32>) {
        if let Some(kept) =
            level.checked_sub(self.first).and_then(|kept| self.made.levels.get_mut(kept as usize))
        {
            kept[channel].extend(row.iter().map(|value| self.scale.of(*value)));
        }
        if level == self.last {
            return;
        }
        let waiting = &mut self.waiting[channel][level as usize];
        match waiting.take() {
            None => *waiting = Some(row),
            Some(before) => self.add_at(channel, level + 1, halved(&before, Some(&row))),
        }
    }

    /// All rows have come.
    pub(super) fn done(mut self) -> Pyramid {
        for channel in 0..self.waiting.len() {
            for level in 0..self.last {
                if let Some(row) = self.waiting[channel][level as usize].take() {
                    self.add_at(channel, level + 1, halved(&row, None));
                }
            }
        }
        self.made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_large_slices_are_kept_from_where_they_are_small() {
        assert_eq!(first_kept(100, 100, 1), 1);
        assert_eq!(first_kept(4096, 4096, 1), 1);
        assert_eq!(first_kept(16384, 16384, 1), 2);
        assert_eq!(first_kept(16384, 16384, 3), 3);
        assert_eq!(first_kept(1 << 20, 1 << 20, 3), 9);
    }
}
