//! The images that a page shows: the worst, the median and the best, with pictures of what was found and of how that differs from
//! the target.

use std::borrow::Cow;

use ndarray::{Array2, Array3, ArrayView2, Axis, s};

use crate::error::{Error, Result};
use crate::evaluation::{Evaluation, Found, ImageScores, Judge, Judged, Samples};
use crate::metrics::UNLABELLED;
use crate::network::Task;
use crate::pictures::{
    Chart, Figure, Series, class_colour, difference_picture, grey_of, grey_picture, orthogonal_cuts,
    range_of, reduced, reduced_colours, reduction, stretch_with,
};
use crate::samples::{Sample, Target};
use crate::watcher::Watcher;

/// Longest side of a picture in pixels. Larger images are reduced by a whole number, so that a page stays below some 30 MB.
const MOST_PIXELS: usize = 1024;
/// How much of a class's colour lies over the image, of 256 parts.
const OPACITY: u32 = 128;
/// The colour of wrong pixels, which is that of no class.
pub(super) const WRONG: [u8; 3] = [0xFF, 0x00, 0xC8];
/// The colour of pixels that do not count.
pub(super) const NOT_COUNTED: [u8; 3] = [0xBB, 0xBB, 0xBB];

/// One image of a page.
#[derive(Debug, Clone)]
pub struct Case {
    /// Which one it is: the worst, the median or the best.
    pub word: &'static str,
    /// Its place among the images.
    pub place: usize,
    /// Input, output and target, of one size.
    pub layers: Vec<Figure>,
    /// Where output and target differ.
    pub error: Figure,
    /// The values along the middle row, as SVG, with what it shows in words.
    pub profile: Option<(String, String)>,
}

/// What is wished of pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pictures {
    /// The row of values along which a chart is drawn; `None` for the middle one of each image.
    pub profile_row: Option<usize>,
}

/// How images are shown.
#[derive(Debug, Clone)]
pub(in crate::evaluation) struct Look<'a> {
    task: &'a Task,
    pictures: Pictures,
    /// The channel of the image that is shown as the input; `None` where the images are results.
    input: Option<usize>,
}

/// An image that was judged once more.
struct Shown<'a> {
    sample: &'a Sample,
    target: &'a Target,
    found: &'a Found,
}

impl<'a> Look<'a> {
    /// For results of `task`; `input` is the channel of images that is shown, where they are not the results themselves.
    pub(in crate::evaluation) fn new(task: &'a Task, pictures: Pictures, input: Option<usize>) -> Self {
        Self { task, pictures, input }
    }

    /// Judges the worst, the median and the best of `samples` once more, as `evaluation` has scored them, and makes pictures of
    /// them, one image at a time. Scores are those of the first judging: all that is kept of any image.
    ///
    /// # Errors
    /// As [`Judge::again`]; [`Error::Setting`] for a row that an image does not have.
    pub(in crate::evaluation) fn cases(
        &self,
        judge: &Judge,
        judged: &mut dyn Judged,
        samples: &(impl Samples + ?Sized),
        evaluation: &Evaluation,
        watcher: &mut dyn Watcher,
    ) -> Result<Vec<Case>> {
        let mut cases = Vec::new();
        for (word, place) in worst_median_best(&ImageScores::worst_first(&evaluation.image_scores)) {
            let (sample, target, found) = judge.again(judged, samples, watcher, place)?;
            let (sample, target, found) = in_cuts(sample, target, found);
            let shown = Shown { sample: sample.as_ref(), target: &target, found: &found };
            let height = match &target {
                Target::Classes(target) => target.nrows(),
                Target::Values(target) => target.dim().1,
            };
            if let Some(row) = self.pictures.profile_row.filter(|row| *row >= height) {
                let wanted = format!("{} has rows 0 to {}", sample.name, height.saturating_sub(1));
                return Err(Error::setting("profile_row", row, wanted));
            }
            cases.extend(self.case(word, place, &shown));
        }
        Ok(cases)
    }

    /// Nothing where target and result are of two kinds, which judging has refused.
    fn case(&self, word: &'static str, place: usize, shown: &Shown<'_>) -> Option<Case> {
        match (shown.target, shown.found, self.task) {
            (Target::Classes(target), Found::Classes(found), Task::Segment { .. }) => {
                Some(self.classes(word, place, shown.sample, target, found))
            }
            (Target::Values(target), Found::Values(found), Task::Regress) => {
                self.values(word, place, shown.sample, target, found)
            }
            _ => None,
        }
    }

    /// The channel of the image that is shown as the input.
    fn input<'s>(&self, sample: &'s Sample) -> Option<ArrayView2<'s, f32>> {
        let channel = self.input?;
        (channel < sample.image.dim().0).then(|| sample.image.index_axis(Axis(0), channel))
    }

    fn classes(
        &self,
        word: &'static str,
        place: usize,
        sample: &Sample,
        target: &Array2<u32>,
        found: &Array2<u32>,
    ) -> Case {
        let size = target.dim();
        let input = self.input(sample);
        let small = input.map(|input| reduced(input, MOST_PIXELS));
        let range = small.as_ref().and_then(|image| range_of(image.view())).unwrap_or((0.0, 1.0));
        let grey = |y: usize, x: usize| input.map(|input| grey_of(input[[y, x]], range));
        // Colours over the image where there is one; else the classes alone.
        let over = |y, x, class: u32| match (grey(y, x), class) {
            (Some(grey), 0 | UNLABELLED) => [grey; 3],
            (Some(grey), class) => mixed([grey; 3], class_colour(class)),
            (None, UNLABELLED) => NOT_COUNTED,
            (None, class) => class_colour(class),
        };
        let picture =
            |labels: &Array2<u32>| reduced_colours(size, MOST_PIXELS, |y, x| over(y, x, labels[[y, x]]));
        let wrong = reduced_colours(size, MOST_PIXELS, |y, x| match (target[[y, x]], found[[y, x]]) {
            (UNLABELLED, _) => NOT_COUNTED,
            (target, found) if target != found => WRONG,
            // Pale, so that what is wrong stands out.
            _ => grey(y, x).map_or([0xF4; 3], |grey| [128 + grey / 2; 3]),
        });
        let (counted, errors) = target
            .iter()
            .zip(found)
            .filter(|(target, _)| **target != UNLABELLED)
            .fold((0_u64, 0_u64), |(counted, errors), (target, found)| {
                (counted + 1, errors + u64::from(target != found))
            });
        let share = 100.0 * errors as f64 / counted.max(1) as f64;
        let of = if self.input.is_some() { " over the image" } else { "" };
        let mut layers = Vec::new();
        if let Some(image) = &small {
            layers.push(Figure::new(
                "input",
                "The input image in grey.",
                greys(range),
                &grey_picture(stretch_with(image.view(), range).view()),
            ));
        }
        layers.push(Figure::new(
            "output",
            format!("The classes that were found{of}."),
            String::new(),
            &picture(found),
        ));
        layers.push(Figure::new(
            "target",
            format!("The classes of the target{of}."),
            String::new(),
            &picture(target),
        ));
        let error = Figure::new(
            "errors",
            format!(
                "Where the output differs from the target: {errors} of {counted} pixels that count, {share:.2} %."
            ),
            format!("{errors} of {counted} pixels that count are wrong ({share:.2} %)"),
            &wrong,
        );
        Case { word, place, layers, error, profile: None }
    }

    fn values(
        &self,
        word: &'static str,
        place: usize,
        sample: &Sample,
        target: &Array3<f32>,
        found: &Array3<f32>,
    ) -> Option<Case> {
        if target.dim() != found.dim() || target.is_empty() {
            return None;
        }
        // An input in other units has greys of its own, and no place in a chart of values.
        let is_guess = sample.image.dim() == target.dim();
        let (target, found) = (target.index_axis(Axis(0), 0), found.index_axis(Axis(0), 0));
        let (small_target, small_found) = (reduced(target, MOST_PIXELS), reduced(found, MOST_PIXELS));
        // All in the greys of the target, so that they can be compared.
        let range = range_of(small_target.view()).unwrap_or((0.0, 1.0));
        let grey = |image: &Array2<f32>, range| grey_picture(stretch_with(image.view(), range).view());
        let input = self.input(sample);
        let mut layers = Vec::new();
        if let Some(input) = input {
            let small = reduced(input, MOST_PIXELS);
            let own = if is_guess { range } else { range_of(small.view()).unwrap_or((0.0, 1.0)) };
            layers.push(Figure::new("input", "The input image in grey.", greys(own), &grey(&small, own)));
        }
        layers.push(Figure::new(
            "output",
            "The output in the greys of the target.",
            greys(range),
            &grey(&small_found, range),
        ));
        layers.push(Figure::new("target", "The target in grey.", greys(range), &grey(&small_target, range)));
        let difference = &small_found - &small_target;
        let largest =
            target.iter().zip(found).map(|(t, f)| (f - t).abs()).filter(|d| !d.is_nan()).fold(0.0, f32::max);
        let spread = difference.mapv(f32::abs);
        let full = range_of(spread.view()).map_or(0.0, |(_, high)| high);
        let error = Figure::new(
            "output minus target",
            format!(
                "The difference of output and target, from blue at -{full:.4} over white at 0 to orange at {full:.4}."
            ),
            format!("blue -{full:.4}, white 0, orange {full:.4}; the largest difference is {largest:.4}"),
            &difference_picture(difference.view(), full),
        );
        let profile = profile(input.filter(|_| is_guess), found, target, self.pictures.profile_row);
        Some(Case { word, place, layers, error, profile })
    }
}

/// The values along a row, or the middle one, as a chart, with what it shows in words.
fn profile(
    input: Option<ArrayView2<f32>>,
    found: ArrayView2<f32>,
    target: ArrayView2<f32>,
    wanted: Option<usize>,
) -> Option<(String, String)> {
    let (height, width) = target.dim();
    let row = wanted.unwrap_or(height / 2);
    let side = reduction((1, width), MOST_PIXELS);
    let series = |name: &str, image: ArrayView2<f32>| {
        let values = reduced(image.slice(s![row..=row, ..]), MOST_PIXELS);
        let place = |index: usize| (index * side) as f64 + (side - 1) as f64 / 2.0;
        let points = values.iter().enumerate().map(|(index, &value)| (place(index), f64::from(value)));
        Series { name: name.into(), points: points.collect() }
    };
    if row >= height || width < 2 {
        return None;
    }
    // The noisiest first, so that it does not cover the others.
    let mut lines: Vec<_> = input.map(|input| series("input", input)).into_iter().collect();
    lines.extend([series("output", found), series("target", target)]);
    let chart = Chart {
        title: format!("Values along row {row}{}", if wanted.is_none() { ", the middle one" } else { "" }),
        x_label: "column in pixels".into(),
        y_label: "value".into(),
        series: lines,
        ..Chart::default()
    };
    Some((
        chart.to_svg(),
        format!("The values of target, output and, where it can be compared, input along row {row}."),
    ))
}

/// In which range of values a picture is grey, for its caption.
fn greys((black, white): (f32, f32)) -> String {
    format!("black {black:.4}, white {white:.4}")
}

fn mixed(grey: [u8; 3], colour: [u8; 3]) -> [u8; 3] {
    let mix = |(grey, colour): (u8, u8)| {
        ((u32::from(grey) * (256 - OPACITY) + u32::from(colour) * OPACITY + 128) / 256) as u8
    };
    [0, 1, 2].map(|c| mix((grey[c], colour[c])))
}

/// Of a volume, what three cuts through its middle show of it; an image as it is.
fn in_cuts<'a>(sample: Cow<'a, Sample>, target: Target, found: Found) -> (Cow<'a, Sample>, Target, Found) {
    let slices = sample.slices;
    if slices == 1 {
        return (sample, target, found);
    }
    let classes = |classes: &Array2<u32>| orthogonal_cuts(classes.view(), slices, UNLABELLED);
    let values = |values: &Array3<f32>, background: f32| {
        let cuts: Vec<_> =
            values.outer_iter().map(|plane| orthogonal_cuts(plane, slices, background)).collect();
        let views: Vec<_> = cuts.iter().map(|cut| cut.view()).collect();
        // Cuts of one volume are of one size.
        ndarray::stack(Axis(0), &views).unwrap_or_default()
    };
    let target = match &target {
        Target::Classes(target) => Target::Classes(classes(target)),
        Target::Values(target) => Target::Values(values(target, f32::NAN)),
    };
    let found = match &found {
        Found::Classes(found) => Found::Classes(classes(found)),
        Found::Values(found) => Found::Values(values(found, 0.0)),
    };
    let image = values(&sample.image, 0.0);
    let shown = Sample { image, slices: 1, target: target.clone(), weights: None, ..sample.into_owned() };
    (Cow::Owned(shown), target, found)
}

/// Of places from the worst to the best, the first, the middle (of an even number, the worse) and the last; fewer of one or two.
fn worst_median_best(places: &[usize]) -> Vec<(&'static str, usize)> {
    match *places {
        [] => Vec::new(),
        [only] => vec![("only", only)],
        [worst, best] => vec![("worst", worst), ("best", best)],
        [worst, .., best] => {
            vec![("worst", worst), ("median", places[(places.len() - 1) / 2]), ("best", best)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::Measures;
    use crate::network::Class;

    /// Finds what the image says.
    struct Copies {
        segments: bool,
    }

    impl Judged for Copies {
        fn apply(
            &mut self,
            sample: &Sample,
            _: &mut dyn FnMut(f64) -> crate::watcher::Flow,
        ) -> Result<crate::evaluation::ImageResult> {
            let found = match self.segments {
                true => Found::Classes(sample.image.index_axis(Axis(0), 0).mapv(|value| value as u32)),
                false => Found::Values(sample.image.mapv(|value| value + 1.0)),
            };
            Ok(crate::evaluation::ImageResult { found, probabilities: None, loss: None })
        }
    }

    fn cases(segments: bool, wrong: &[usize], input: Option<usize>) -> Vec<Case> {
        let task = match segments {
            true => Task::Segment {
                classes: [0, 1].map(|value| Class { value, name: value.to_string() }).to_vec(),
            },
            false => Task::Regress,
        };
        let sample = |(index, &wrong): (usize, &usize)| {
            let image = Array3::from_shape_fn((1, 6, 2050), |(_, y, x)| ((y + x) % 2) as f32);
            let mut target = image.clone();
            target.iter_mut().take(wrong).for_each(|value| *value = 1.0 - *value);
            let target = match segments {
                true => Target::Classes(target.index_axis(Axis(0), 0).mapv(|value| value as u32)),
                false => Target::Values(target),
            };
            Sample::new(format!("{index}"), image, target)
        };
        let samples: Vec<Sample> = wrong.iter().enumerate().map(sample).collect();
        let judge = Judge::new(&task).with_measures(Measures::default());
        let mut judged = Copies { segments };
        let evaluation = judge.run(&mut judged, &samples, &mut (), |_, _| ()).unwrap();
        Look::new(&task, Pictures::default(), input)
            .cases(&judge, &mut judged, samples.as_slice(), &evaluation, &mut ())
            .unwrap()
    }

    #[test]
    fn the_worst_the_median_and_the_best_are_shown() {
        for segments in [true, false] {
            let found = cases(segments, &[5, 90, 1, 20], Some(0));
            let words: Vec<_> = found.iter().map(|case| (case.word, case.place)).collect();
            if segments {
                assert_eq!(words, [("worst", 1), ("median", 3), ("best", 2)]);
            }
            let names: Vec<_> = found[0].layers.iter().map(|layer| layer.name.as_str()).collect();
            assert_eq!(names, ["input", "output", "target"]);
            assert_eq!(found[0].profile.is_some(), !segments);
        }
        assert_eq!(cases(true, &[5, 90], None).len(), 2);
        assert_eq!(cases(true, &[5], None)[0].layers.len(), 2);
        assert!(cases(true, &[], None).is_empty());
    }

    #[test]
    fn errors_are_counted_and_differences_stated() {
        let case = &cases(true, &[123], Some(0))[0];
        assert!(case.error.caption.contains("123 of 12300 pixels that count are wrong (1.00 %)"), "{case:?}");
        let case = &cases(false, &[0], Some(0))[0];
        assert!(case.error.caption.contains("orange 1.0000; the largest difference is 1.0000"), "{case:?}");
        let (svg, words) = case.profile.as_ref().unwrap();
        assert!(words.contains("along row 3") && svg.matches("<polyline").count() == 3);
    }

    #[test]
    fn colours_are_mixed_with_greys() {
        assert_eq!(mixed([100; 3], [0, 200, 100]), [50, 150, 100]);
    }
}
