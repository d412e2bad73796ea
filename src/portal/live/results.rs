//! What the network gave last, pixel by pixel, in tiles, while there is room for them.

use std::collections::HashMap;
use std::sync::Arc;

use ndarray::{Array3, s};

use crate::portal::tiles::{TILE, tile_extent};

/// Not computed yet.
pub(super) const NONE: u8 = 255;
/// The largest uncertainty and probability as a byte.
const LARGEST: f32 = 254.0;
/// The largest number is a value of 16 bits but for the one of what was not computed.
const MOST_VALUE: f64 = 65534.0;
/// Bytes of tiles that are held.
const MOST_BYTES: usize = 256 << 20;

/// Where a tile of full size is: image, slice, and its row and column among the tiles.
pub(super) type Place = (String, usize, usize, usize);

/// A tile of full size.
#[derive(Debug)]
pub(super) struct ResultTile {
    width: usize,
    classes: Vec<u8>,
    uncertainty: Vec<u8>,
    /// Of each class of the network, by its number, how likely it is.
    probabilities: Vec<(u8, Vec<u8>)>,
    /// Of a network that denoises: a number a pixel, channel by channel.
    values: Vec<u16>,
    /// How many channels these have that are shown.
    channels: usize,
    pub(super) version: u64,
}

/// What a tile shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The class of each pixel.
    Classes,
    /// How unsure it is.
    Uncertainty,
    /// How likely the class of this number is, 0 to 254.
    Probability(u8),
    /// The values that a denoising network gives.
    Values,
}

/// A tile of results, row by row: a byte a pixel, 255 where nothing was computed yet; or of values 16 bits (little endian), channel by
/// channel, 0 where nothing was computed yet, and from 1 to 65535 the image's smallest to its largest number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Channels.
    pub channels: usize,
    /// The numbers.
    pub values: Vec<u8>,
    /// The version of the network that they are of: the newest, where they are of several.
    pub version: u64,
}

/// The tiles that are held.
#[derive(Debug, Default)]
pub(super) struct Results {
    tiles: HashMap<Place, Arc<ResultTile>>,
    /// When each was computed, counted in tiles.
    ages: HashMap<Place, u64>,
    count: u64,
    bytes: usize,
}

impl ResultTile {
    /// Of probabilities `[class][y][x]`, whose classes are `numbers` to people.
    pub(super) fn of(probabilities: &Array3<f32>, numbers: &[u8], version: u64) -> Self {
        let (count, height, width) = probabilities.dim();
        let of_class = |(plane, number): (ndarray::ArrayView2<'_, f32>, &u8)| {
            let bytes = plane.iter().map(|p| (p * LARGEST).round().clamp(0.0, LARGEST) as u8);
            (*number, bytes.collect())
        };
        let mut tile = Self {
            width,
            classes: vec![NONE; height * width],
            uncertainty: vec![0; height * width],
            probabilities: probabilities.outer_iter().zip(numbers).map(of_class).collect(),
            values: Vec::new(),
            channels: 1,
            version,
        };
        let largest = (count.max(2) as f32).ln();
        for y in 0..height {
            for x in 0..width {
                let (mut best, mut entropy) = (0, 0.0_f32);
                for class in 0..count {
                    let p = probabilities[[class, y, x]];
                    if p > probabilities[[best, y, x]] {
                        best = class;
                    }
                    if p > 0.0 {
                        entropy -= p * p.ln();
                    }
                }
                tile.classes[y * width + x] = numbers.get(best).copied().unwrap_or(NONE);
                tile.uncertainty[y * width + x] = (entropy / largest * LARGEST).clamp(0.0, LARGEST) as u8;
            }
        }
        tile
    }

    /// Of values `[channel][y][x]` for an image whose numbers are shown from `lowest` to `highest`; three channels are shown as colours,
    /// of others the first.
    pub(super) fn of_values(values: &Array3<f32>, (lowest, highest): (f64, f64), version: u64) -> Self {
        let (count, _, width) = values.dim();
        let channels = if count == 3 { 3 } else { count.min(1) };
        let span = highest - lowest;
        let number = |value: &f32| {
            let share = if span > 0.0 { (f64::from(*value) - lowest) / span } else { 0.0 };
            // 0 stands for what was not computed.
            1 + (share * MOST_VALUE).round().clamp(0.0, MOST_VALUE) as u16
        };
        let values = values.slice(s![..channels, .., ..]).iter().map(number).collect();
        let (classes, uncertainty, probabilities) = (Vec::new(), Vec::new(), Vec::new());
        Self { width, classes, uncertainty, probabilities, values, channels, version }
    }

    /// The numbers of a channel, row by row.
    fn plane(&self, channel: usize) -> &[u16] {
        let each = self.values.len() / self.channels.max(1);
        self.values.get(channel * each..(channel + 1) * each).unwrap_or_default()
    }

    fn at(&self, what: What, y: usize, x: usize) -> u8 {
        let values = match what {
            What::Classes => Some(&self.classes),
            What::Uncertainty => Some(&self.uncertainty),
            What::Probability(class) => {
                self.probabilities.iter().find(|(number, _)| *number == class).map(|(_, values)| values)
            }
            What::Values => None,
        };
        values.and_then(|values| values.get(y * self.width + x)).copied().unwrap_or(NONE)
    }

    fn bytes(&self) -> usize {
        self.classes.len() * (2 + self.probabilities.len()) + 2 * self.values.len()
    }
}

impl Results {
    /// Holds a tile, in the place of the oldest where there is no room.
    pub(super) fn put(&mut self, place: Place, tile: ResultTile) {
        self.count += 1;
        self.ages.insert(place.clone(), self.count);
        self.bytes += tile.bytes();
        if let Some(before) = self.tiles.insert(place, Arc::new(tile)) {
            self.bytes -= before.bytes();
        }
        while self.bytes > MOST_BYTES && self.tiles.len() > 1 {
            let Some(oldest) = self.ages.iter().min_by_key(|(_, age)| **age).map(|(place, _)| place.clone())
            else {
                return;
            };
            self.ages.remove(&oldest);
            self.bytes -= self.tiles.remove(&oldest).map_or(0, |tile| tile.bytes());
        }
    }

    /// The version that the tile at `place` is of.
    pub(super) fn version(&self, place: &Place) -> Option<u64> {
        self.tiles.get(place).map(|tile| tile.version)
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The tiles of values that a tile of a level of a slice is made of, with their rows and columns among the tiles of full size; see
    /// [`values_tile`]. `None` where there is no such tile.
    pub(super) fn values(
        &self,
        (image, slice): (&str, usize),
        (height, width): (usize, usize),
        (level, ty, tx): (u32, usize, usize),
    ) -> Option<Vec<(usize, usize, Arc<ResultTile>)>> {
        tile_extent(height, width, level, ty, tx)?;
        let side = 1_usize.checked_shl(level)?;
        let is_in = |(y, x): (usize, usize)| y / side == ty && x / side == tx;
        let of = |(place, tile): (&Place, &Arc<ResultTile>)| {
            let known = place.0 == image && place.1 == slice && is_in((place.2, place.3));
            (known && !tile.values.is_empty()).then(|| (place.2, place.3, Arc::clone(tile)))
        };
        Some(self.tiles.iter().filter_map(of).collect())
    }

    /// A tile of a level of a slice of `height` rows and `width` columns: on level n every 2^n-th pixel in both directions. `None`
    /// where there is no such tile.
    pub(super) fn tile(
        &self,
        (image, slice): (&str, usize),
        (height, width): (usize, usize),
        (level, ty, tx): (u32, usize, usize),
        what: What,
    ) -> Option<Tile> {
        let (rows, columns) = tile_extent(height, width, level, ty, tx)?;
        let step = 1_usize.checked_shl(level)?;
        let along = |number: usize, count: usize, side: usize| {
            (0..count).map(move |at| ((number * TILE + at) * step).min(side - 1))
        };
        let places = along(ty, rows, height).flat_map(|y| along(tx, columns, width).map(move |x| (y, x)));
        let (values, version) = self.pixels((image, slice), places, what);
        Some(Tile { width: columns, height: rows, channels: 1, values, version })
    }

    /// What is known of pixels of a slice, by their rows and columns, and the newest version among them.
    pub(super) fn pixels(
        &self,
        (image, slice): (&str, usize),
        places: impl Iterator<Item = (usize, usize)>,
        what: What,
    ) -> (Vec<u8>, u64) {
        let mut known: HashMap<(usize, usize), Option<&ResultTile>> = HashMap::new();
        let mut newest = 0;
        let pixel = |(y, x): (usize, usize)| {
            let of = (y / TILE, x / TILE);
            let source = *known
                .entry(of)
                .or_insert_with(|| self.tiles.get(&(image.to_owned(), slice, of.0, of.1)).map(AsRef::as_ref));
            source.map_or(NONE, |source| {
                newest = newest.max(source.version);
                source.at(what, y % TILE, x % TILE)
            })
        };
        let values = places.map(pixel).collect();
        (values, newest)
    }
}

/// A tile of values of a level of a slice of `height` rows and `width` columns, from the tiles of full size in it that were computed: on
/// level n the mean of 2^n x 2^n pixels. `None` where there is no such tile.
pub(super) fn values_tile(
    tiles: &[(usize, usize, Arc<ResultTile>)],
    (height, width): (usize, usize),
    (level, ty, tx): (u32, usize, usize),
) -> Option<Tile> {
    let (rows, columns) = tile_extent(height, width, level, ty, tx)?;
    let side = 1_usize.checked_shl(level)?;
    let channels = tiles.first().map_or(1, |(.., tile)| tile.channels);
    let (mut sums, mut counts) = (vec![0_u64; channels * rows * columns], vec![0_u64; rows * columns]);
    let mut version = 0;
    for (y, x, tile) in tiles.iter().filter(|(.., tile)| tile.channels == channels) {
        version = version.max(tile.version);
        let (top, left) = (y * TILE - ty * TILE * side, x * TILE - tx * TILE * side);
        for channel in 0..channels {
            for (place, value) in tile.plane(channel).iter().enumerate() {
                let (row, column) = ((top + place / tile.width) / side, (left + place % tile.width) / side);
                if row >= rows || column >= columns {
                    continue;
                }
                let at = row * columns + column;
                sums[channel * rows * columns + at] += u64::from(*value);
                counts[at] += u64::from(channel == 0);
            }
        }
    }
    let mean =
        |(place, sum): (usize, &u64)| sum.checked_div(counts[place % (rows * columns)]).unwrap_or(0) as u16;
    let values = sums.iter().enumerate().map(mean).flat_map(u16::to_le_bytes).collect();
    Some(Tile { width: columns, height: rows, channels, values, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_show_the_likeliest_class_and_how_unsure_it_is() {
        // Sure of the first class on the left, of neither on the right.
        let probabilities =
            Array3::from_shape_fn((2, 1, 2), |(class, _, x)| if x == 1 { 0.5 } else { [1.0, 0.0][class] });
        let tile = ResultTile::of(&probabilities, &[4, 9], 3);
        assert_eq!((tile.at(What::Classes, 0, 0), tile.at(What::Uncertainty, 0, 0)), (4, 0));
        assert_eq!(tile.at(What::Uncertainty, 0, 1), 254);
        let likely = |class| [0, 1].map(|x| tile.at(What::Probability(class), 0, x));
        assert_eq!([likely(4), likely(9), likely(0)], [[254, 127], [0, 127], [NONE, NONE]]);
        let mut results = Results::default();
        results.put(("i1".into(), 0, 0, 1), ResultTile::of(&Array3::from_elem((2, 10, 44), 0.5), &[4, 9], 7));
        // Two tiles side by side, of which one is known; smaller, they are one.
        let of = |level, tx| results.tile(("i1", 0), (10, 300), (level, 0, tx), What::Classes);
        assert_eq!(of(0, 0).unwrap().values, vec![NONE; 2560]);
        assert_eq!((of(0, 1).unwrap().values, of(0, 1).unwrap().version), (vec![4; 440], 7));
        let half = of(1, 0).unwrap();
        assert_eq!((half.height, half.width), (5, 150));
        assert!(half.values.chunks(150).all(|row| row[..128] == [NONE; 128] && row[128..] == [4; 22]));
        assert_eq!(of(0, 2), None);
    }

    #[test]
    fn tiles_of_values_are_means_of_what_was_computed() {
        let mut results = Results::default();
        let values = Array3::from_shape_fn((1, 10, 44), |(_, y, _)| if y % 2 == 0 { -1.0 } else { 7.0 });
        results.put(("i1".into(), 0, 0, 1), ResultTile::of_values(&values, (0.0, 4.0), 9));
        let of = |level, tx| {
            let tiles = results.values(("i1", 0), (10, 300), (level, 0, tx))?;
            values_tile(&tiles, (10, 300), (level, 0, tx))
        };
        let numbers = |tile: &Tile| -> Vec<u16> {
            tile.values.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
        };
        let whole = of(0, 1).unwrap();
        assert_eq!((whole.width, whole.height, whole.channels, whole.version), (44, 10, 1, 9));
        assert_eq!((numbers(&whole)[0], numbers(&whole)[44]), (1, 65535));
        let half = of(1, 0).unwrap();
        assert_eq!((half.width, half.height), (150, 5));
        let half = numbers(&half);
        assert!(half.chunks(150).all(|row| row[..128] == [0; 128] && row[128..] == [32768; 22]), "{half:?}");
        assert!(numbers(&of(0, 0).unwrap()).iter().all(|value| *value == 0));
        assert_eq!(of(0, 2), None);
    }
}
