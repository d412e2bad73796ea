//! A few neighbouring slices, back-projected together.
//!
//! All slices of a scan have the same rays, so that the place where a ray meets a row of detectors is found once for several slices,
//! whose numbers lie side by side in the registers of the processor.

use rayon::prelude::*;

use super::geometry::ScanGeometry;

/// Rows and columns of the tiles that an image is computed in: sums of as many slices as are done together stay in the cache nearest
/// but one.
const TILE: usize = 32;
/// Angles whose contributions are added while a sum is in registers.
const TOGETHER: usize = 4;

/// Filtered rows of `LANES` slices: `[angle][column][lane]`, with zeros beside the detectors wherever a ray of the image may
/// fall.
pub(super) struct Rows<const LANES: usize> {
    pub(super) values: Vec<[f32; LANES]>,
    pub(super) margins: Margins,
}

/// How many columns of zeros lie before and behind those of a detector, and all of them together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Margins {
    pub(super) before: usize,
    pub(super) total: usize,
}

impl Margins {
    /// So that every pixel that is computed finds two neighbours, by `reach` from the axis.
    pub(super) fn new(scan: &ScanGeometry, reach: f64) -> Self {
        let (missing_before, missing_behind) = scan.missing();
        let before = ((reach - scan.centre()).ceil().max(0.0) as usize).max(missing_before) + 2;
        let columns = scan.columns() + missing_behind;
        let end = ((scan.centre() + reach).floor() as usize + 3).max(columns + 2);
        Self { before, total: before + end }
    }
}

/// The pixels that are computed: `[from, to)` of each row.
pub(super) struct Image<'a> {
    pub(super) size: usize,
    pub(super) spans: &'a [(usize, usize)],
}

/// Sums the rows up along the rays of each pixel, interpolated linearly between columns: `[lane][y][x]` of `image.size` squared each.
/// Pixels that are not in the spans stay as they are.
pub(super) fn back_project<const LANES: usize>(
    rows: &Rows<LANES>,
    scan: &ScanGeometry,
    image: &Image,
    slices: &mut [&mut [f32]],
) {
    let size = image.size;
    let directions: Vec<(f64, f64)> = scan.angles().iter().map(|angle| angle.sin_cos()).collect();
    let axis = scan.centre() + rows.margins.before as f64;
    // Bands of rows are the pieces that threads take: each slice is divided along them.
    let mut bands: Vec<Vec<&mut [f32]>> = (0..size.div_ceil(TILE)).map(|_| Vec::new()).collect();
    for slice in slices.iter_mut() {
        let pieces = slice.chunks_mut((TILE * size).max(1));
        bands.iter_mut().zip(pieces).for_each(|(band, piece)| band.push(piece));
    }
    bands.into_par_iter().enumerate().for_each(|(number, mut band)| {
        let first_row = number * TILE;
        let lines = TILE.min(size - first_row);
        let mut sums = vec![[0.0; LANES]; TILE * TILE];
        for first_column in (0..size).step_by(TILE) {
            let end = (first_column + TILE).min(size);
            let spans: Vec<(usize, usize)> = image.spans[first_row..first_row + lines]
                .iter()
                .map(|&(from, to)| (from.clamp(first_column, end), to.clamp(first_column, end)))
                .collect();
            if spans.iter().all(|(from, to)| from >= to) {
                continue;
            }
            sums.fill([0.0; LANES]);
            let tile = Tile { first_row, first_column, spans: &spans, middle: (size as f64 - 1.0) / 2.0 };
            add_angles(&Work { rows, directions: &directions, axis, tile: &tile }, &mut sums);
            for (line, &(from, to)) in spans.iter().enumerate() {
                for (lane, slice) in band.iter_mut().enumerate() {
                    for x in from..to {
                        slice[line * size + x] = sums[line * TILE + x - first_column][lane];
                    }
                }
            }
        }
    });
}

/// A part of the image.
struct Tile<'a> {
    first_row: usize,
    first_column: usize,
    /// Of each of its rows, in columns of the image.
    spans: &'a [(usize, usize)],
    /// Where the middle of the image is.
    middle: f64,
}

/// What is to be added to the sums of a tile.
struct Work<'a, const LANES: usize> {
    rows: &'a Rows<LANES>,
    /// Sine and cosine of each angle.
    directions: &'a [(f64, f64)],
    /// The column of the axis, margins counted.
    axis: f64,
    tile: &'a Tile<'a>,
}

/// Adds what all angles say of the pixels of a tile, by the widest instructions that there are.
fn add_angles<const LANES: usize>(work: &Work<LANES>, sums: &mut [[f32; LANES]]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
        fn with_avx512<const LANES: usize>(work: &Work<LANES>, sums: &mut [[f32; LANES]]) {
            add_all::<LANES, true>(work, sums);
        }
        #[target_feature(enable = "avx2,fma")]
        fn with_avx2<const LANES: usize>(work: &Work<LANES>, sums: &mut [[f32; LANES]]) {
            add_all::<LANES, true>(work, sums);
        }
        let has_avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw");
        if has_avx512 {
            // SAFETY: the processor was asked for these instructions.
            return unsafe { with_avx512(work, sums) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: as above.
            return unsafe { with_avx2(work, sums) };
        }
    }
    add_all::<LANES, { cfg!(target_arch = "aarch64") }>(work, sums);
}

#[inline(always)]
fn add_all<const LANES: usize, const FUSED: bool>(work: &Work<LANES>, sums: &mut [[f32; LANES]]) {
    let &Work { rows, directions, axis, tile } = work;
    let width = rows.margins.total;
    for (group, directions) in directions.chunks(TOGETHER).enumerate() {
        let values = |number: usize| {
            let from = (group * TOGETHER + number) * width;
            &rows.values[from..from + width]
        };
        for (line, &(from, to)) in tile.spans.iter().enumerate() {
            if from >= to {
                continue;
            }
            let sums = &mut sums[line * TILE + from - tile.first_column..][..to - from];
            let y = (tile.first_row + line) as f64 - tile.middle;
            let x = from as f64 - tile.middle;
            let start = |(sine, cosine): (f64, f64)| (x * cosine + y * sine + axis, cosine);
            if let &[a, b, c, d] = directions {
                let places = [a, b, c, d].map(|direction| Places::along(start(direction), to - from));
                let rows = [values(0), values(1), values(2), values(3)];
                let rows: [&[[f32; LANES]]; 4] = std::array::from_fn(|i| places[i].of(rows[i]));
                for (at, sum) in sums.iter_mut().enumerate() {
                    let mut total = *sum;
                    for (row, places) in rows.iter().zip(&places) {
                        add::<LANES, FUSED>(&mut total, row, places, at);
                    }
                    *sum = total;
                }
            } else {
                for (number, &direction) in directions.iter().enumerate() {
                    let places = Places::along(start(direction), to - from);
                    let row = places.of(values(number));
                    for (at, sum) in sums.iter_mut().enumerate() {
                        add::<LANES, FUSED>(sum, row, &places, at);
                    }
                }
            }
        }
    }
}

/// Where the pixels of a line of a tile fall on a row of detectors.
struct Places {
    /// The column that `left` counts from: small numbers keep more digits.
    base: usize,
    left: [i32; TILE],
    /// What the right neighbour counts.
    fraction: [f32; TILE],
}

impl Places {
    #[inline(always)]
    fn along((start, step): (f64, f64), count: usize) -> Self {
        let least = start.min(start + step * (count as f64 - 1.0));
        // A column less, so that no rounding leads below it.
        let base = least.floor() - 1.0;
        let (start, step) = ((start - base) as f32, step as f32);
        let mut left = [0; TILE];
        let mut fraction = [0.0; TILE];
        for at in 0..TILE {
            let place = start + at as f32 * step;
            left[at] = place as i32;
            fraction[at] = place - left[at] as f32;
        }
        Self { base: base.max(0.0) as usize, left, fraction }
    }

    /// The part of a row that these places lie in.
    #[inline(always)]
    fn of<'a, const LANES: usize>(&self, row: &'a [[f32; LANES]]) -> &'a [[f32; LANES]] {
        &row[self.base.min(row.len())..]
    }
}

#[inline(always)]
fn add<const LANES: usize, const FUSED: bool>(
    sum: &mut [f32; LANES],
    row: &[[f32; LANES]],
    places: &Places,
    at: usize,
) {
    let left = places.left[at].max(0) as usize;
    let right_share = places.fraction[at];
    let left_share = 1.0 - right_share;
    // The margins hold every place; were one outside, it would see nothing.
    let Some([left, right]) = row.get(left..left + 2) else { return };
    for lane in 0..LANES {
        sum[lane] = if FUSED {
            right[lane].mul_add(right_share, left[lane].mul_add(left_share, sum[lane]))
        } else {
            sum[lane] + left[lane] * left_share + right[lane] * right_share
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANES: usize = 4;

    /// Numbers between -1 and 1 without a pattern.
    fn random(count: usize, mut state: u32) -> Vec<f64> {
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1 << 23) - 1.0
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    /// <B r, f> = <r, B' f> for any rows r and image f, where B' gives each column what the pixels on its rays are worth to it.
    #[test]
    fn back_projection_is_the_adjoint_of_projection() {
        let (size, columns, count) = (45, 45, 23);
        let angles: Vec<f64> = (0..count).map(|i| 0.3 + 2.9 * i as f64 / count as f64).collect();
        let scan = ScanGeometry::new(angles.clone(), columns, 20.6).unwrap();
        let margins = Margins::new(&scan, 0.75 * size as f64);
        let width = margins.total;
        let values = random(count * width * LANES, 1);
        let rows = Rows::<LANES> {
            values: values
                .chunks(LANES)
                .map(|lanes| std::array::from_fn(|lane| lanes[lane] as f32))
                .collect(),
            margins,
        };
        let spans = vec![(0, size); size];
        let mut slices = vec![vec![0.0_f32; size * size]; LANES];
        let mut planes: Vec<&mut [f32]> = slices.iter_mut().map(Vec::as_mut_slice).collect();
        back_project(&rows, &scan, &Image { size, spans: &spans }, &mut planes);

        let image = random(size * size, 2);
        let middle = (size as f64 - 1.0) / 2.0;
        let mut projections = vec![0.0; count * width];
        for (pixel, value) in image.iter().enumerate() {
            let (x, y) = ((pixel % size) as f64 - middle, (pixel / size) as f64 - middle);
            for (number, angle) in angles.iter().enumerate() {
                let place = x * angle.cos() + y * angle.sin() + 20.6 + margins.before as f64;
                let fraction = place - place.floor();
                let at = number * width + place as usize;
                projections[at] += (1.0 - fraction) * value;
                projections[at + 1] += fraction * value;
            }
        }
        for (lane, slice) in slices.iter().enumerate() {
            let in_images: f64 = slice.iter().zip(&image).map(|(a, b)| f64::from(*a) * b).sum();
            let of_lane = values.iter().skip(lane).step_by(LANES);
            let in_rows: f64 = of_lane.clone().zip(&projections).map(|(a, b)| a * b).sum();
            let scale: f64 = of_lane.zip(&projections).map(|(a, b)| (a * b).abs()).sum();
            assert!((in_images - in_rows).abs() < 1e-6 * scale, "{in_images} is not {in_rows}");
        }
    }
}
