//! How bright images are, and the pixels of each class in them: by this it is chosen whether each image is normalised by itself.

use ndarray::{Array2, Array3};

/// Images of which the levels of classes are kept.
const MOST_IMAGES: usize = 64;
/// Classes of which they are kept: more are most likely numbers of objects.
const MOST_CLASSES: usize = 256;

/// How the brightness of images differs between them, and within each, channel by channel.
#[derive(Debug, Default)]
pub(super) struct Spread(Vec<ChannelSpread>);

#[derive(Debug, Clone, Default)]
struct ChannelSpread {
    means: Vec<f64>,
    /// The sum of the variances within the images.
    variances: f64,
}

/// How bright the channels of an image are, whose parts are added in the order of its rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Brightness(Vec<Moments>);

#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    /// One of the pixels: distances from it keep the digits that squares of large numbers would lose.
    first: Option<f64>,
    count: f64,
    sum: f64,
    squares: f64,
    /// The largest absolute value.
    largest: f64,
}

impl Brightness {
    pub(super) fn add(&mut self, part: &Array3<f32>) {
        self.0.resize(part.dim().0, Moments::default());
        for (channel, plane) in self.0.iter_mut().zip(part.outer_iter()) {
            plane.iter().for_each(|value| channel.add(*value));
        }
    }

    /// The mean, the deviation and the largest absolute value of each channel; NaN without pixels.
    pub(super) fn of_channels(&self) -> impl Iterator<Item = (f64, f64, f64)> + '_ {
        self.0.iter().map(|of| (of.mean().unwrap_or(f64::NAN), of.variance().sqrt(), of.largest))
    }
}

impl Moments {
    /// Adds a pixel, unless it is a gap.
    fn add(&mut self, value: f32) {
        if value.is_nan() {
            return;
        }
        let value = f64::from(value);
        let first = *self.first.get_or_insert(value);
        self.count += 1.0;
        self.sum += value - first;
        self.squares += (value - first).powi(2);
        self.largest = self.largest.max(value.abs());
    }

    fn mean(&self) -> Option<f64> {
        Some(self.first? + self.sum / self.count)
    }

    /// The mean and the variance; `None` without pixels.
    fn level(&self) -> Option<Level> {
        Some((self.mean()?, self.variance()))
    }

    fn variance(&self) -> f64 {
        (self.squares / self.count - (self.sum / self.count).powi(2)).max(0.0)
    }
}

impl Spread {
    pub(super) fn add(&mut self, image: &Brightness) {
        self.0.resize(image.0.len(), ChannelSpread::default());
        for (channel, of_image) in self.0.iter_mut().zip(&image.0) {
            let Some(mean) = of_image.mean() else { continue };
            channel.means.push(mean);
            channel.variances += of_image.variance();
        }
    }

    pub(super) fn most(&self) -> f32 {
        let of_channel = |channel: &ChannelSpread| {
            let count = channel.means.len() as f64;
            let mean = channel.means.iter().sum::<f64>() / count;
            let between = channel.means.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
            if channel.variances > 0.0 { (between / channel.variances).sqrt() as f32 } else { 0.0 }
        };
        self.0.iter().map(of_channel).fold(0.0, f32::max)
    }
}

/// How bright the pixels of each class are in each image, evenly among all images.
#[derive(Debug, Default)]
pub(super) struct ClassLevels {
    /// How many images were seen.
    count: usize,
    /// Those are kept whose number among all is a multiple of two to the power of this.
    halvings: u32,
    kept: Vec<ImageLevels>,
}

/// Of an image: all its pixels, and those of each class, channel by channel.
#[derive(Debug)]
struct ImageLevels {
    all: Brightness,
    classes: Vec<Option<Brightness>>,
}

/// A mean and a variance.
type Level = (f64, f64);

impl ClassLevels {
    /// Adds an image `[channel][y][x]` with its `labels`, of which those of weight 0 do not count. Volumes, whose labels are read apart
    /// from them, are not added. Images of other channels than the first one's, and pixels of very many classes, are passed over.
    pub(super) fn add(&mut self, image: &Array3<f32>, labels: &Array2<u32>, weights: Option<&Array2<f32>>) {
        let is_kept = self.count.is_multiple_of(1 << self.halvings);
        self.count += 1;
        let (channels, rows, columns) = image.dim();
        let is_alike = self.kept.first().is_none_or(|first| first.all.0.len() == channels);
        if !is_kept || !is_alike || labels.dim() != (rows, columns) {
            return;
        }
        let mut all = Brightness::default();
        all.add(image);
        let mut classes: Vec<Option<Brightness>> = Vec::new();
        for (place, &class) in labels.indexed_iter() {
            let counts = weights.is_none_or(|weights| weights[place] > 0.0);
            let class = class as usize;
            if !counts || class >= MOST_CLASSES {
                continue;
            }
            classes.resize_with(classes.len().max(class + 1), || None);
            let of_class =
                classes[class].get_or_insert_with(|| Brightness(vec![Moments::default(); channels]));
            for (channel, moments) in of_class.0.iter_mut().enumerate() {
                moments.add(image[[channel, place.0, place.1]]);
            }
        }
        if classes.is_empty() {
            return;
        }
        self.kept.push(ImageLevels { all, classes });
        if self.kept.len() > MOST_IMAGES {
            let mut number = 0;
            self.kept.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.halvings += 1;
        }
    }

    /// How much better the classes are told apart by brightness in all images alike when each of these is brought to mean 0 and deviation 1 by
    /// itself, than when all are by the same numbers: the ratio of what [`ClassLevels::separation`] gives for both. `None` where that
    /// cannot be told, as no class is in two images or there is one class alone.
    pub(super) fn gain(&self) -> Option<f32> {
        let channels = self.kept.first()?.all.0.len();
        let together: Vec<Level> =
            (0..channels).map(|channel| self.together(channel)).collect::<Option<_>>()?;
        let alike = self.separation(|_, channel| Some(together[channel]))?;
        let by_itself = self.separation(|image, channel| image.all.0[channel].level())?;
        let gain = (by_itself / alike) as f32;
        gain.is_finite().then_some(gain)
    }

    /// The mean and the variance of a channel over all images that are kept.
    fn together(&self, channel: usize) -> Option<Level> {
        let levels = || {
            self.kept.iter().filter_map(|image| {
                let of_channel = &image.all.0[channel];
                Some((of_channel.count, of_channel.level()?))
            })
        };
        let count: f64 = levels().map(|(count, _)| count).sum();
        let mean = levels().map(|(count, (mean, _))| count * mean).sum::<f64>() / count;
        let squares =
            |(count, (of_image, variance)): (f64, Level)| count * (variance + (of_image - mean).powi(2));
        (count > 0.0).then(|| (mean, levels().map(squares).sum::<f64>() / count))
    }

    /// The variance between the means of classes, by what the pixels of one class vary: within images, and between these. All channels count
    /// alike. `scale` is the mean and the variance that a channel of an image is normalised by.
    fn separation(&self, scale: impl Fn(&ImageLevels, usize) -> Option<Level>) -> Option<f64> {
        let channels = self.kept.first()?.all.0.len();
        let classes = self.kept.iter().map(|image| image.classes.len()).max()?;
        let (mut between_classes, mut within, mut between_images) = (0.0, 0.0, 0.0);
        for channel in 0..channels {
            let (mut means, mut variances, mut varying) = (Vec::new(), Vec::new(), Vec::new());
            for class in 0..classes {
                let of_image = |image: &ImageLevels| {
                    let (mean, variance) = image.classes.get(class)?.as_ref()?.0[channel].level()?;
                    let (centre, square) = scale(image, channel)?;
                    (square > 0.0).then(|| ((mean - centre) / square.sqrt(), variance / square))
                };
                let levels: Vec<Level> = self.kept.iter().filter_map(of_image).collect();
                if levels.is_empty() {
                    continue;
                }
                means.push(levels.iter().map(|(mean, _)| mean).sum::<f64>() / levels.len() as f64);
                variances
                    .push(levels.iter().map(|(_, variance)| variance).sum::<f64>() / levels.len() as f64);
                varying.extend(variance_of(levels.iter().map(|(mean, _)| *mean)));
            }
            if varying.is_empty() || means.len() < 2 {
                continue;
            }
            between_classes += variance_of(means.iter().copied())?;
            within += variances.iter().sum::<f64>() / variances.len() as f64;
            between_images += varying.iter().sum::<f64>() / varying.len() as f64;
        }
        let varies = within + between_images;
        (varies > 0.0 && between_classes > 0.0).then(|| between_classes / varies)
    }
}

/// The variance of numbers, as is expected of all from which these were drawn; `None` of fewer than two.
fn variance_of(numbers: impl Iterator<Item = f64> + Clone) -> Option<f64> {
    let count = numbers.clone().count() as f64;
    let mean = numbers.clone().sum::<f64>() / count;
    (count > 1.0).then(|| numbers.map(|number| (number - mean).powi(2)).sum::<f64>() / (count - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::UNLABELLED;

    /// An image of 16 x 16 pixels, of which two rows are labelled as class 0 and two as class 1; class 1 is brighter by 2, and `change` is made
    /// to all pixels.
    fn image(number: usize, change: impl Fn(f32) -> f32) -> (Array3<f32>, Array2<u32>) {
        let is_bright = |y: usize| y % 4 >= 2;
        let noise = |y: usize, x: usize| ((y * 31 + x * 17 + number * 7) % 11) as f32 / 11.0;
        let image = Array3::from_shape_fn((1, 16, 16), |(_, y, x)| {
            change(if is_bright(y) { 2.0 } else { 0.0 } + noise(y, x))
        });
        let labels =
            Array2::from_shape_fn(
                (16, 16),
                |(y, _)| if y < 4 { u32::from(is_bright(y)) } else { UNLABELLED },
            );
        (image, labels)
    }

    fn gain(images: impl IntoIterator<Item = (Array3<f32>, Array2<u32>)>) -> Option<f32> {
        let mut levels = ClassLevels::default();
        images.into_iter().for_each(|(image, labels)| levels.add(&image, &labels, None));
        levels.gain()
    }

    #[test]
    fn classes_agree_better_one_by_one_where_images_differ_in_light_alone() {
        let same = gain((0..4).map(|number| image(number, |value| value))).unwrap();
        assert!((same - 1.0).abs() < 0.02, "{same}");
        let brighter = gain((0..4).map(|number| image(number, |value| value + number as f32))).unwrap();
        let stronger = gain((0..4).map(|number| image(number, |value| value * (1 + number) as f32))).unwrap();
        assert!(brighter > 3.0 && stronger > 3.0, "{brighter} {stronger}");
        // The unit of the images does not matter.
        let scaled = gain((0..4).map(|number| image(number, |value| 1e4 + 50.0 * (value + number as f32))));
        assert!((scaled.unwrap() / brighter - 1.0).abs() < 1e-3);
    }

    #[test]
    fn images_with_other_shares_of_the_same_levels_agree_better_together() {
        let bright_rows = |rows: usize| {
            let image = Array3::from_shape_fn((1, 16, 16), |(_, y, x)| {
                (if y < rows { 2.0 } else { 0.0 }) + ((y * 31 + x * 17) % 11) as f32 / 11.0
            });
            (image, Array2::from_shape_fn((16, 16), |(y, _)| u32::from(y < rows)))
        };
        let gain = gain([2, 6, 10, 14].map(bright_rows)).unwrap();
        assert!(gain < 0.7, "{gain}");
    }

    #[test]
    fn what_labels_do_not_tell_is_none() {
        assert_eq!(gain([]), None);
        assert_eq!(gain([image(0, |value| value)]), None);
        let dark = |(image, labels): (Array3<f32>, Array2<u32>)| {
            (image, labels.mapv(|label| if label == 1 { UNLABELLED } else { label }))
        };
        let bright = |(image, labels): (Array3<f32>, Array2<u32>)| {
            (image, labels.mapv(|label| if label == 0 { UNLABELLED } else { label }))
        };
        assert_eq!(gain([dark(image(0, |value| value)), dark(image(1, |value| value))]), None);
        assert_eq!(gain([dark(image(0, |value| value)), bright(image(1, |value| value))]), None);
        // What has no weight does not count, and neither do gaps.
        let mut levels = ClassLevels::default();
        for number in 0..3 {
            let (mut pixels, labels) = image(number, |value| value);
            pixels[[0, 0, 0]] = f32::NAN;
            levels.add(&pixels, &labels, Some(&labels.mapv(|label| if label == 0 { 1.0 } else { 0.0 })));
        }
        assert_eq!(levels.gain(), None);
    }

    #[test]
    fn of_many_images_some_are_kept_evenly() {
        let mut levels = ClassLevels::default();
        for number in 0..1000 {
            let (pixels, labels) = image(number, |value| value + (number % 5) as f32);
            levels.add(&pixels, &labels, None);
        }
        assert!((MOST_IMAGES / 2..=MOST_IMAGES).contains(&levels.kept.len()), "{}", levels.kept.len());
        assert!(levels.gain().unwrap() > 3.0);
    }
}
