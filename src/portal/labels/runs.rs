//! Pixels as runs along rows: those that a brush or a polygon covers.
//!
//! The page paints by the same rules and with the same arithmetic (`assets/portal/raster.js`), so that both have the same pixels.

use serde::Serialize;

/// Pixels of a row from `start` to `end`, which is not one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// The row.
    pub y: usize,
    /// The first column.
    pub start: usize,
    /// The column behind the last.
    pub end: usize,
}

/// A rectangle of pixels; ends are not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// The first row.
    pub top: usize,
    /// The row behind the last.
    pub bottom: usize,
    /// The first column.
    pub left: usize,
    /// The column behind the last.
    pub right: usize,
}

/// A rectangle of a slice of an image, in pixels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Region {
    /// The image, such as `i1`.
    pub image: String,
    /// The slice, counted from 0.
    pub slice: usize,
    /// The first column.
    pub x: usize,
    /// The first row.
    pub y: usize,
    /// How many columns.
    pub width: usize,
    /// How many rows.
    pub height: usize,
}

impl Rect {
    /// All of an image of `height` rows and `width` columns.
    pub fn whole(height: usize, width: usize) -> Self {
        Self { top: 0, bottom: height, left: 0, right: width }
    }

    /// The smallest one around all runs; `None` where there are none.
    pub fn around(runs: &[Run]) -> Option<Self> {
        let (first, last) = (runs.first()?, runs.last()?);
        let left = runs.iter().map(|run| run.start).min()?;
        let right = runs.iter().map(|run| run.end).max()?;
        Some(Self { top: first.y, bottom: last.y + 1, left, right })
    }

    /// The smallest one around both.
    pub fn union(self, other: Self) -> Self {
        Self {
            top: self.top.min(other.top),
            bottom: self.bottom.max(other.bottom),
            left: self.left.min(other.left),
            right: self.right.max(other.right),
        }
    }

    /// The part of a run that is inside; `None` where nothing is.
    pub fn part_of(&self, run: &Run) -> Option<Run> {
        let (start, end) = (run.start.max(self.left), run.end.min(self.right));
        let is_inside = (self.top..self.bottom).contains(&run.y) && start < end;
        is_inside.then_some(Run { y: run.y, start, end })
    }

    /// The rectangle in the slice `slice` of `image`.
    pub fn of(self, image: &str, slice: usize) -> Region {
        Region {
            image: image.to_owned(),
            slice,
            x: self.left,
            y: self.top,
            width: self.right - self.left,
            height: self.bottom - self.top,
        }
    }
}

/// Brings runs in order and joins those that touch or overlap.
pub(super) fn joined(mut runs: Vec<Run>) -> Vec<Run> {
    runs.sort_unstable();
    let mut all: Vec<Run> = Vec::with_capacity(runs.len());
    for run in runs {
        match all.last_mut() {
            Some(last) if last.y == run.y && last.end >= run.start => last.end = last.end.max(run.end),
            _ => all.push(run),
        }
    }
    all
}

/// The pixels of an image of `height` rows and `width` columns whose centre is at most half of `size` from the line through
/// `points` (x, y).
pub(super) fn brush(points: &[[f64; 2]], size: f64, height: usize, width: usize) -> Vec<Run> {
    let radius = size / 2.0;
    let mut runs = Vec::new();
    match points {
        [] => {}
        [only] => Capsule::new(*only, *only, radius).add(height, width, &mut runs),
        _ => points.windows(2).for_each(|pair| {
            Capsule::new(pair[0], pair[1], radius).add(height, width, &mut runs);
        }),
    }
    joined(runs)
}

/// What is at most `radius` from the segment from a to b.
struct Capsule {
    a: [f64; 2],
    b: [f64; 2],
    radius: f64,
}

impl Capsule {
    fn new(a: [f64; 2], b: [f64; 2], radius: f64) -> Self {
        Self { a, b, radius }
    }

    /// The rule: whether a point is in it.
    fn holds(&self, x: f64, y: f64) -> bool {
        let ([ax, ay], [bx, by]) = (self.a, self.b);
        let (dx, dy) = (bx - ax, by - ay);
        let length2 = dx * dx + dy * dy;
        let along =
            if length2 == 0.0 { 0.0 } else { (((x - ax) * dx + (y - ay) * dy) / length2).clamp(0.0, 1.0) };
        let (ex, ey) = (ax + along * dx - x, ay + along * dy - y);
        ex * ex + ey * ey <= self.radius * self.radius
    }

    /// Where the row at `y` meets it, about. It is convex, so that this is one stretch.
    fn row(&self, y: f64) -> Option<(f64, f64)> {
        let ([ax, ay], [bx, by], radius) = (self.a, self.b, self.radius);
        let (mut from, mut to) = (f64::INFINITY, f64::NEG_INFINITY);
        for [x, centre] in [self.a, self.b] {
            let across = radius * radius - (y - centre) * (y - centre);
            if across >= 0.0 {
                from = from.min(x - across.sqrt());
                to = to.max(x + across.sqrt());
            }
        }
        let (dx, dy) = (bx - ax, by - ay);
        let length = dx.hypot(dy);
        if length > 0.0 {
            // The rectangle between the two discs: between its ends along the segment, and at most `radius` beside it.
            let along = between(dx, (y - ay) * dy - ax * dx, 0.0, length * length);
            let beside = between(dy, -(y - ay) * dx - ax * dy, -radius * length, radius * length);
            let (low, high) = (along.0.max(beside.0), along.1.min(beside.1));
            if low <= high {
                (from, to) = (from.min(low), to.max(high));
            }
        }
        (from <= to).then_some((from, to))
    }

    fn add(&self, height: usize, width: usize, runs: &mut Vec<Run>) {
        let (low, high) = (self.a[1].min(self.b[1]), self.a[1].max(self.b[1]));
        let first = (low - self.radius - 1.5).ceil().max(0.0) as usize;
        let last = (high + self.radius + 0.5).floor().min(height as f64 - 1.0);
        if last < 0.0 || width == 0 {
            return;
        }
        for row in first..=last as usize {
            let y = row as f64 + 0.5;
            let Some((from, to)) = self.row(y) else { continue };
            // Square roots are rounded, so the ends are settled by the rule itself.
            let mut start = ((from - 0.5).ceil() - 1.0).max(0.0) as usize;
            let end = ((to - 0.5).floor() + 1.0).min(width as f64 - 1.0);
            if end < 0.0 {
                continue;
            }
            let mut end = end as usize + 1;
            while start < end && !self.holds(start as f64 + 0.5, y) {
                start += 1;
            }
            while start < end && !self.holds(end as f64 - 0.5, y) {
                end -= 1;
            }
            if start < end {
                runs.push(Run { y: row, start, end });
            }
        }
    }
}

/// The x for which low <= factor x + offset <= high.
fn between(factor: f64, offset: f64, low: f64, high: f64) -> (f64, f64) {
    if factor == 0.0 {
        let all = low <= offset && offset <= high;
        return if all { (f64::NEG_INFINITY, f64::INFINITY) } else { (f64::INFINITY, f64::NEG_INFINITY) };
    }
    let (a, b) = ((low - offset) / factor, (high - offset) / factor);
    (a.min(b), a.max(b))
}

/// The pixels of an image of `height` rows and `width` columns whose centre is inside the polygon with the corners `points` (x, y),
/// by the even-odd rule. On an edge, those on the left are inside.
pub(super) fn polygon(points: &[[f64; 2]], height: usize, width: usize) -> Vec<Run> {
    // The crossings of each row with all edges.
    let mut crossings: Vec<(usize, f64)> = Vec::new();
    for (i, &[xi, yi]) in points.iter().enumerate() {
        let [xj, yj] = points[(i + points.len() - 1) % points.len()];
        let first = (yi.min(yj) - 1.5).ceil().max(0.0) as usize;
        let last = (yi.max(yj) + 0.5).floor().min(height as f64 - 1.0);
        if last < 0.0 {
            continue;
        }
        for row in first..=last as usize {
            let y = row as f64 + 0.5;
            if (yi > y) != (yj > y) {
                crossings.push((row, (xj - xi) * (y - yi) / (yj - yi) + xi));
            }
        }
    }
    crossings.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut runs = Vec::new();
    for pair in crossings.chunks_exact(2) {
        let (y, from, to) = (pair[0].0, pair[0].1, pair[1].1);
        let start = (from - 0.5).ceil().max(0.0) as usize;
        let end = (to - 0.5).ceil().clamp(0.0, width as f64) as usize;
        if start < end {
            runs.push(Run { y, start, end });
        }
    }
    joined(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The runs as a picture, a row a line.
    fn drawn(runs: &[Run], height: usize, width: usize) -> Vec<String> {
        let mut rows = vec![vec![b'.'; width]; height];
        for run in runs {
            for place in &mut rows[run.y][run.start..run.end] {
                assert_eq!(*place, b'.', "{run:?} overlaps another one");
                *place = b'#';
            }
        }
        rows.into_iter().map(|row| String::from_utf8(row).unwrap()).collect()
    }

    #[test]
    fn a_brush_paints_what_its_rule_says() {
        // A diameter of 3 around the centre of a pixel: those at a distance of 1 and of the square root of 2.
        assert_eq!(
            drawn(&brush(&[[2.5, 2.5]], 3.0, 5, 5), 5, 5),
            [".....", ".###.", ".###.", ".###.", "....."]
        );
        // At exactly half the size a pixel is painted.
        assert_eq!(
            drawn(&brush(&[[2.5, 2.5]], 2.0, 5, 5), 5, 5),
            [".....", "..#..", ".###.", "..#..", "....."]
        );
        assert_eq!(drawn(&brush(&[[2.0, 2.0]], 2.0, 4, 4), 4, 4), ["....", ".##.", ".##.", "...."]);
        assert_eq!(drawn(&brush(&[[1.5, 0.5], [3.5, 0.5]], 1.0, 2, 5), 2, 5), [".###.", "....."]);
        assert_eq!(
            drawn(&brush(&[[0.5, 0.5], [3.5, 3.5]], 1.5, 4, 4), 4, 4),
            ["##..", "###.", ".###", "..##"]
        );
        // What is outside is not painted, and a brush between the centres may paint nothing.
        assert_eq!(drawn(&brush(&[[-4.0, -4.0], [0.5, -4.0]], 9.0, 2, 3), 2, 3), ["#..", "..."]);
        assert!(brush(&[[1.0, 1.0]], 0.5, 4, 4).is_empty());
        assert!(brush(&[[-50.0, 1.0]], 9.0, 4, 4).is_empty() && brush(&[[1.0, 50.0]], 9.0, 4, 4).is_empty());
    }

    #[test]
    fn a_brush_paints_each_pixel_as_the_distance_from_it_says() {
        let mut state = 7_u64;
        let mut random = |scale: f64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) as f64 / f64::from(u32::MAX >> 1) * scale * 10.0).round() / 10.0
        };
        let (height, width) = (40, 50);
        for _ in 0..200 {
            let points: Vec<[f64; 2]> =
                (0..1 + random(4.0) as usize).map(|_| [random(70.0) - 10.0, random(60.0) - 10.0]).collect();
            let radius = random(12.0).max(0.1) / 2.0;
            let found = drawn(&brush(&points, 2.0 * radius, height, width), height, width);
            let wanted: Vec<String> = (0..height)
                .map(|y| {
                    let is_near = |x: usize| {
                        let (x, y) = (x as f64 + 0.5, y as f64 + 0.5);
                        let last = points.len().max(2) - 1;
                        (0..last).any(|i| {
                            let (a, b) = (points[i], points[(i + 1).min(points.len() - 1)]);
                            Capsule::new(a, b, radius).holds(x, y)
                        })
                    };
                    (0..width).map(|x| if is_near(x) { '#' } else { '.' }).collect()
                })
                .collect();
            assert_eq!(found, wanted, "{points:?} {radius}");
        }
    }

    #[test]
    fn a_polygon_holds_the_centres_inside_it_by_the_even_odd_rule() {
        let square = [[1.0, 1.0], [4.0, 1.0], [4.0, 3.0], [1.0, 3.0]];
        assert_eq!(drawn(&polygon(&square, 4, 5), 4, 5), [".....", ".###.", ".###.", "....."]);
        // Twice around is outside: a square within a square.
        let ring = [
            [0.0, 0.0],
            [5.0, 0.0],
            [5.0, 5.0],
            [0.0, 5.0],
            [0.0, 0.0],
            [1.0, 1.0],
            [4.0, 1.0],
            [4.0, 4.0],
            [1.0, 4.0],
            [1.0, 1.0],
        ];
        assert_eq!(drawn(&polygon(&ring, 5, 5), 5, 5), ["#####", "#...#", "#...#", "#...#", "#####"]);
        let triangle = [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]];
        assert_eq!(drawn(&polygon(&triangle, 4, 4), 4, 4), ["###.", "##..", "#...", "...."]);
        // Neighbours that share an edge through centres share no pixel and leave none out.
        let (left, right) = (
            [[0.0, 0.0], [2.5, 0.0], [2.5, 2.0], [0.0, 2.0]],
            [[2.5, 0.0], [5.0, 0.0], [5.0, 2.0], [2.5, 2.0]],
        );
        assert_eq!(drawn(&polygon(&left, 2, 5), 2, 5), ["##...", "##..."]);
        assert_eq!(drawn(&polygon(&right, 2, 5), 2, 5), ["..###", "..###"]);
        let outside = [[-9.0, -9.0], [90.0, -9.0], [90.0, 90.0], [-9.0, 90.0]];
        assert_eq!(drawn(&polygon(&outside, 2, 3), 2, 3), ["###", "###"]);
        assert!(polygon(&[[9.0, 9.0], [12.0, 9.0], [12.0, 12.0]], 4, 4).is_empty());
    }

    #[test]
    fn rectangles_are_around_runs_and_cut_them() {
        let runs = [Run { y: 1, start: 3, end: 9 }, Run { y: 4, start: 0, end: 2 }];
        let around = Rect::around(&runs).unwrap();
        assert_eq!(around, Rect { top: 1, bottom: 5, left: 0, right: 9 });
        let part = Rect { top: 0, bottom: 2, left: 4, right: 5 };
        assert_eq!(part.part_of(&runs[0]), Some(Run { y: 1, start: 4, end: 5 }));
        assert_eq!(part.part_of(&runs[1]), None);
        assert_eq!(around.union(Rect::whole(2, 12)), Rect { top: 0, bottom: 5, left: 0, right: 12 });
        assert_eq!(Rect::around(&[]), None);
    }
}
