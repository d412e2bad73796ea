//! The connected pixels of like grey.

use std::collections::HashMap;

use ndarray::Array2;

use super::runs::{Run, joined};
use crate::geometry::Window;
use crate::{Error, Result};

/// Most pixels of one fill.
const MOST_PIXELS: usize = 16 << 20;
/// Rows and columns that are read at once.
const BLOCK: usize = 512;
/// Most blocks that are held at a time, 1 MiB each.
const MOST_BLOCKS: usize = 96;

/// Grey values where they are asked for, read block by block.
struct Greys<'a> {
    height: usize,
    width: usize,
    read: &'a dyn Fn(&Window) -> Result<Array2<f32>>,
    blocks: HashMap<(usize, usize), (u64, Array2<f32>)>,
    clock: u64,
    last: Option<((usize, usize), Array2<f32>)>,
}

impl Greys<'_> {
    fn at(&mut self, y: usize, x: usize) -> Result<f32> {
        let block = (y / BLOCK, x / BLOCK);
        if let Some((place, values)) = &self.last
            && *place == block
        {
            return Ok(values[(y % BLOCK, x % BLOCK)]);
        }
        let values = self.block(block)?;
        let value = values[(y % BLOCK, x % BLOCK)];
        self.last = Some((block, values));
        Ok(value)
    }

    fn block(&mut self, block: (usize, usize)) -> Result<Array2<f32>> {
        self.clock += 1;
        // What was used last is taken out of the others and goes back when another one is used.
        if let Some((place, values)) = self.last.take() {
            self.blocks.insert(place, (self.clock, values));
        }
        if let Some((_, values)) = self.blocks.remove(&block) {
            return Ok(values);
        }
        if self.blocks.len() >= MOST_BLOCKS
            && let Some(oldest) =
                self.blocks.iter().min_by_key(|(_, (used, _))| *used).map(|(place, _)| *place)
        {
            self.blocks.remove(&oldest);
        }
        let (top, left) = (block.0 * BLOCK, block.1 * BLOCK);
        let window = Window::plane(top..(top + BLOCK).min(self.height), left..(left + BLOCK).min(self.width));
        (self.read)(&window)
    }
}

/// The pixels of an image of `height` rows and `width` columns that are connected with the pixel at `y`, `x` by their sides
/// and whose grey value differs from that pixel's by at most `tolerance`. `read` gives the grey values of a part.
///
/// # Errors
/// [`Error::Mismatch`] for more than 16 777 216 pixels; what `read` fails with.
pub(super) fn fill(
    (height, width): (usize, usize),
    (y, x): (usize, usize),
    tolerance: f64,
    read: &dyn Fn(&Window) -> Result<Array2<f32>>,
) -> Result<Vec<Run>> {
    let mut greys = Greys { height, width, read, blocks: HashMap::new(), clock: 0, last: None };
    let start = f64::from(greys.at(y, x)?);
    let mut runs: Vec<Run> = Vec::new();
    // The runs that were found in each row, so that none is found twice.
    let mut of_row: HashMap<usize, Vec<(usize, usize)>> = HashMap::new();
    let mut count = 0_usize;
    let mut waiting = vec![(y, x, x + 1)];
    while let Some((y, from, to)) = waiting.pop() {
        let mut x = from;
        while x < to {
            let known = of_row.get(&y).and_then(|runs| runs.iter().find(|run| (run.0..run.1).contains(&x)));
            if let Some(known) = known {
                x = known.1;
                continue;
            }
            let mut is_like =
                |x: usize| Ok::<bool, Error>((f64::from(greys.at(y, x)?) - start).abs() <= tolerance);
            if !is_like(x)? {
                x += 1;
                continue;
            }
            let (mut left, mut right) = (x, x + 1);
            while left > 0 && is_like(left - 1)? {
                left -= 1;
            }
            while right < width && is_like(right)? {
                right += 1;
            }
            count += right - left;
            if count > MOST_PIXELS {
                return Err(Error::Mismatch(format!(
                    "the fill covers more than {MOST_PIXELS} pixels; lower `tolerance`, or draw a polygon"
                )));
            }
            runs.push(Run { y, start: left, end: right });
            of_row.entry(y).or_default().push((left, right));
            if y > 0 {
                waiting.push((y - 1, left, right));
            }
            if y + 1 < height {
                waiting.push((y + 1, left, right));
            }
            x = right;
        }
    }
    Ok(joined(runs))
}

#[cfg(test)]
mod tests {
    use ndarray::s;

    use super::*;

    fn filled(image: &Array2<f32>, at: (usize, usize), tolerance: f64) -> Result<Vec<Run>> {
        fill(image.dim(), at, tolerance, &|window| {
            Ok(image.slice(s![window.rows(), window.columns()]).to_owned())
        })
    }

    #[test]
    fn a_fill_goes_by_sides_and_by_the_first_pixel_alone() {
        let image = ndarray::array![
            [0.0, 1.0, 2.0, 9.0, 0.0],
            [9.0, 9.0, 3.0, 9.0, 9.0],
            [0.0, 1.0, 2.0, 9.0, 1.0_f32],
        ];
        let run = |y, start, end| Run { y, start, end };
        // Neither over a corner nor step by step.
        assert_eq!(filled(&image, (0, 0), 2.0).unwrap(), [run(0, 0, 3)]);
        let all = [run(0, 0, 3), run(1, 2, 3), run(2, 0, 3)];
        assert_eq!(filled(&image, (0, 0), 3.0).unwrap(), all);
        assert_eq!(filled(&image, (2, 1), 2.0).unwrap(), all);
        assert_eq!(filled(&image, (0, 4), 0.0).unwrap(), [run(0, 4, 5)]);
        let gap = Array2::from_elem((1, 3), f32::NAN);
        assert!(filled(&gap, (0, 1), 1.0).unwrap().is_empty());
    }

    #[test]
    fn a_fill_finds_what_a_search_pixel_by_pixel_finds_over_many_blocks() {
        let image = Array2::from_shape_fn((1100, 1030), |(y, x)| {
            // A maze of walls with gaps.
            if (y % 7 == 3 && x % 97 != y % 89) || (x % 83 == 50 && y % 11 != 4) { 1.0 } else { 0.0 }
        });
        let runs = filled(&image, (0, 0), 0.5).unwrap();
        let mut wanted = Array2::from_elem(image.dim(), false);
        let mut waiting = vec![(0_usize, 0_usize)];
        while let Some((y, x)) = waiting.pop() {
            if y < 1100 && x < 1030 && image[(y, x)] == 0.0 && !wanted[(y, x)] {
                wanted[(y, x)] = true;
                waiting.extend([(y + 1, x), (y, x + 1), (y.wrapping_sub(1), x), (y, x.wrapping_sub(1))]);
            }
        }
        let mut found = Array2::from_elem(image.dim(), false);
        runs.iter().for_each(|run| found.slice_mut(s![run.y, run.start..run.end]).fill(true));
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_fill_that_is_too_large_is_refused() {
        let read = |window: &Window| Ok(Array2::zeros((window.extent.y, window.extent.x)));
        let error = fill((5000, 5000), (2, 2), 1.0, &read).unwrap_err().to_string();
        assert!(error.contains("16777216 pixels"), "{error}");
    }
}
