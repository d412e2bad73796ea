//! What a run chooses by the images and labels that it sees, where the settings leave it open.

use std::ops::RangeInclusive;

use super::settings::AUTO;
use super::{ClassShares, MixingStart, Monitor, Optimisation, Optimizer, RateSchedule, Settings, TaskKind};
use crate::engine::Loss;
use crate::geometry::Footprint;
use crate::network::Architecture;
use crate::samples::Symmetries;

/// Layers of a network where much is labelled.
const DEPTH: usize = 50;
/// Layers of networks of volumes, where much is labelled: a layer has three times as many taps.
const DEPTH_OF_VOLUMES: usize = 30;
/// Layers where little is: they learn in seconds, and have less to learn the strokes by heart with.
const DEPTH_OF_FEW: usize = 20;
/// Rows and columns of the pieces that are shown where much is labelled.
const CROP: usize = 256;
/// Slices, rows and columns of those of volumes, which at depth 30 take 1.8 times the multiply-adds of a piece of an image at depth 50.
const CROP_OF_VOLUMES: usize = 48;
/// Those where little is: more steps a second, and still wide enough to see what is around a stroke.
const CROP_OF_FEW: usize = 192;
/// Up to this share of the pixels labelled, labels are strokes.
const FEW: f64 = 0.1;
/// The share that the average of the weights keeps of itself in each step where little is labelled.
const AVERAGE_OF_FEW: f64 = 0.99;
/// How fast weights decay where little is labelled: without, a network that is trained for minutes learns the strokes by heart, and
/// gets worse than it was after ten seconds.
const DECAY_OF_FEW: f64 = 1.0;
/// How often all images are shown until the learning rate is halved where little is labelled, for the same reason: what was seen a hundred
/// times is known by heart. In steps no fewer and no more than these. See `benches/results/2026-11-29-other-kinds-of-images.md`.
const PASSES_OF_FEW: f64 = 20.0;
const STEPS_OF_FEW: RangeInclusive<u64> = 100..=800;
/// Where strokes are on images that differ by more than this ratio, without each being normalised by itself, pieces are shown brighter and
/// darker, with more and less contrast.
const LEAST_SPREAD: f32 = 0.1;
const CONTRAST_OF_FEW: f64 = 0.3;
const BRIGHTNESS_OF_FEW: f64 = 0.2;
/// A class with less of the labelled pixels than this is rare, as are all whose share is below a tenth of what it would be if all classes
/// had the same: the loss of a network that never finds it is hardly larger than that of one that does.
const RARE: f64 = 0.01;
const RARE_AMONG_EQUAL: f64 = 0.1;
/// The share of the pieces that are placed about a pixel of a class drawn evenly, where one is rare.
const FAVOURED_WHERE_RARE: f64 = 0.5;
/// Up to this ratio of the deviation of the images' means to that within images, all images are normalised alike, where labels do not tell
/// more.
const MOST_SPREAD: f32 = 1.0;
/// Each image is normalised by itself where the pixels of a class agree this many times better for it. On twelve data sets the ratio was
/// at most 1.3 where that did not help, and at least 1.6 where it did.
const LEAST_GAIN: f32 = 1.4;

/// What is seen of the training images, and of the model that the run starts from.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// The share of their pixels that have a class; `None` for a regression.
    pub(super) labelled: Option<f64>,
    /// The share of each class in what is labelled; empty for a regression.
    pub(super) shares: Vec<f64>,
    /// The pixels of each image.
    pub(super) pixels: Vec<usize>,
    /// By how much the means of the images differ, in deviations within an image.
    pub(super) spread: f32,
    /// How many times better the pixels of a class agree in all images when each of these is normalised by itself; `None` where labels do
    /// not tell.
    pub(super) gain_by_itself: Option<f32>,
    /// The network that the run starts from, where there is one: its layers and filters stay.
    pub(super) initial: Option<Architecture>,
    /// Which pixels have correlated noise, and how far, where that was looked for.
    pub(super) noise: Option<(Footprint, usize)>,
}

impl Facts {
    /// Steps of one piece of at most `crop` x `crop` pixels that show as many pixels as all images have, so many times.
    fn steps_of_passes(&self, crop: usize, passes: f64) -> u64 {
        let whole = |pixels: usize| if crop == 0 { pixels.max(1) } else { crop * crop };
        let pieces =
            self.pixels.iter().map(|&pixels| (pixels as f64 / whole(pixels) as f64).max(1.0)).sum::<f64>();
        (passes * pieces).round() as u64
    }

    /// Whether labels are strokes rather than whole masks.
    fn has_few_labels(&self) -> bool {
        self.labelled.is_some_and(|share| share <= FEW)
    }

    /// The share of the rarest class, where that is so small that a network might never find it.
    fn rarest(&self) -> Option<f64> {
        let found = || self.shares.iter().copied().filter(|share| *share > 0.0);
        let least = found().fold(1.0, f64::min);
        let classes = found().count();
        (classes > 1 && least < RARE.min(RARE_AMONG_EQUAL / classes as f64)).then_some(least)
    }
}

/// Layers where much is labelled.
pub(super) fn usual_depth(settings: &Settings) -> usize {
    if settings.is_of_volumes() { DEPTH_OF_VOLUMES } else { DEPTH }
}

/// The sides of pieces where much is labelled.
pub(super) fn usual_crop(settings: &Settings) -> usize {
    if settings.is_of_volumes() { CROP_OF_VOLUMES } else { CROP }
}

/// Whether draws may favour some pixels, once it is filled in what `settings` leave open.
pub(super) fn may_favour(settings: &Settings) -> bool {
    let may = |share: Option<f64>| share.is_none_or(|share| share > 0.0);
    settings.crop != Some(0) && (may(settings.favour_rare) || may(settings.favour_labelled))
}

/// Fills in what `settings` leave open; gives lines that say what was chosen.
pub(super) fn choose(settings: &mut Settings, facts: &Facts) -> Vec<String> {
    let segments = settings.task == TaskKind::Segment;
    let few = segments && facts.has_few_labels();
    let (mut chosen, mut lines) = (Vec::new(), Vec::new());
    lines.extend(find_rare_classes(settings, facts.rarest().filter(|_| segments)));
    if let Some(initial) = &facts.initial {
        settings.depth.get_or_insert(initial.depth);
        if settings.stem == AUTO {
            settings.stem = initial.stem.to_string();
        }
    }
    if settings.depth.is_none() {
        settings.depth = Some(if few { DEPTH_OF_FEW } else { usual_depth(settings) });
        if few {
            chosen.push(format!("`depth` {DEPTH_OF_FEW}"));
        }
    }
    if settings.crop.is_none() {
        let small = few && !settings.is_of_volumes();
        settings.crop = Some(if small { CROP_OF_FEW } else { usual_crop(settings) });
        if small {
            chosen.push(format!("`crop` {CROP_OF_FEW}"));
        }
    }
    if settings.favour_labelled.is_none() {
        let share = if few && settings.crop != Some(0) { 1.0 } else { 0.0 };
        settings.favour_labelled = Some(share);
        if share > 0.0 {
            chosen.push("`favour_labelled` 1".into());
        }
    }
    if settings.optimisation.ema.is_none() {
        settings.optimisation.ema = Some(if few { AVERAGE_OF_FEW } else { 0.0 });
        if few {
            chosen.push(format!("`ema` {AVERAGE_OF_FEW}"));
        }
    }
    if few && settings.optimisation.optimizer.is_none() {
        settings.optimisation.optimizer = Some(Optimizer::AdamW);
        let decay = *settings.optimisation.weight_decay.get_or_insert(DECAY_OF_FEW);
        chosen.push(format!("`weight_decay` {decay}"));
    }
    settings.optimisation.optimizer.get_or_insert_default();
    if few && settings.optimisation.schedule.is_none() {
        settings.optimisation.schedule = Some(RateSchedule::Step);
        let steps = match settings.is_of_volumes() {
            true => *STEPS_OF_FEW.end(),
            false => facts
                .steps_of_passes(settings.crop.unwrap_or(0), PASSES_OF_FEW / settings.batch.max(1) as f64),
        };
        let steps = steps.clamp(*STEPS_OF_FEW.start(), *STEPS_OF_FEW.end());
        settings.optimisation.lr_steps = Some(steps);
        let mut line = "`schedule` step".to_owned();
        if settings.optimisation.lr_factor == Optimisation::default().lr_factor {
            settings.optimisation.lr_factor = 0.5;
            line += &format!(", which halves the learning rate every {steps} steps");
        }
        chosen.push(line);
    }
    settings.optimisation.schedule.get_or_insert_default();
    if settings.mixing_start == MixingStart::Auto {
        let fits = segments && !settings.is_of_volumes();
        settings.mixing_start = if fits { MixingStart::Fitted } else { MixingStart::Zero };
    }
    if settings.class_shares == ClassShares::Auto {
        let looks = few && !settings.is_of_volumes();
        settings.class_shares = if looks { ClassShares::Images } else { ClassShares::Labels };
        if looks {
            chosen.push("`class_shares` images".into());
        }
    }
    let by_itself = settings.normalises_by_itself(facts);
    let augmentation = &mut settings.augmentation;
    if few && !by_itself && facts.spread > LEAST_SPREAD {
        // A few labelled images do not tell how bright others are.
        if augmentation.contrast.is_none() {
            chosen.push(format!("`contrast` {CONTRAST_OF_FEW}"));
        }
        if augmentation.brightness.is_none() {
            chosen.push(format!("`brightness` {BRIGHTNESS_OF_FEW}"));
        }
        augmentation.contrast.get_or_insert(CONTRAST_OF_FEW);
        augmentation.brightness.get_or_insert(BRIGHTNESS_OF_FEW);
    }
    augmentation.contrast.get_or_insert(0.0);
    augmentation.brightness.get_or_insert(0.0);
    if !chosen.is_empty() {
        let percent = 100.0 * facts.labelled.unwrap_or(1.0);
        let chosen = chosen.join(", ");
        lines.push(format!("{percent:.2} % of the pixels are labelled, so this is chosen: {chosen}"));
    }
    if let (Some((footprint, extent)), true, Footprint::Auto) =
        (facts.noise, settings.alone, settings.blind_mask)
    {
        settings.blind_mask = footprint;
        lines.push(match footprint {
            Footprint::Point => "the noise of each pixel is its own (`blind_mask point`)".into(),
            _ => {
                let extent = *settings.blind_extent.get_or_insert(extent);
                let over = if extent == 1 { "neighbours".into() } else { format!("{extent} pixels") };
                // What is hidden on all sides is missing from what the network foresees a pixel by.
                let better = match footprint {
                    Footprint::Cross | Footprint::Square => {
                        "; where the images are reconstructions, or can be recorded twice, learning from recordings of the same slices (`splits`) leaves less noise"
                    }
                    _ => "",
                };
                format!(
                    "the noise is correlated over {over}, so those are hidden with each (`blind_mask {footprint}`, `blind_extent {extent}`){better}"
                )
            }
        });
    }
    if settings.is_of_volumes() && settings.symmetries == Symmetries::All && !settings.has_cubic_voxels() {
        settings.symmetries = Symmetries::KeepZ;
    }
    if settings.normalise == AUTO {
        settings.normalise = "mean".into();
        if by_itself && !settings.normalise_per_image {
            settings.normalise_per_image = true;
            let why = match facts.gain_by_itself {
                Some(gain) => {
                    let times = if gain > 100.0 { "more than 100".into() } else { format!("{gain:.1}") };
                    format!(
                        "the pixels of a class agree {times} times better in all images where each is normalised by itself, so it is"
                    )
                }
                None => format!(
                    "the images differ in brightness by {:.1} times the contrast within one, so each is normalised by itself",
                    facts.spread
                ),
            };
            lines.push(format!("{why} (`normalise mean` measures all together)"));
        }
    }
    // The same text whatever later versions choose.
    if let Ok(stem) = settings.stem() {
        settings.stem = stem.to_string();
    }
    lines
}

/// Fills in what makes a network find a class of the share `rarest`; gives a line that says so. On phantoms with a class of 0.15 and of
/// 0.35 % Dice in the loss found more of it and cost the others next to nothing, where weights that give all classes the same part
/// found it nearly everywhere. Pieces about rare pixels are for large images in which such a class is in few places.
fn find_rare_classes(settings: &mut Settings, rarest: Option<f64>) -> Option<String> {
    let mut chosen = Vec::new();
    if let Some(rarest) = rarest {
        if settings.optimisation.loss.is_none() && settings.class_weights.is_none() {
            settings.optimisation.loss = Some(Loss::CrossEntropyDice);
            chosen.push(format!("`loss` {}", Loss::CrossEntropyDice));
        }
        if settings.favour_rare.is_none() && settings.crop != Some(0) {
            settings.favour_rare = Some(FAVOURED_WHERE_RARE);
            chosen.push(format!("`favour_rare` {FAVOURED_WHERE_RARE}"));
        }
        if settings.monitor.is_none() {
            settings.monitor = Some(Monitor::Iou);
            chosen.push(format!("`monitor` {}", Monitor::Iou.name()));
        }
        settings.favour_rare.get_or_insert(0.0);
        settings.monitor.get_or_insert_default();
        let percent = 100.0 * rarest;
        return (!chosen.is_empty()).then(|| {
            format!(
                "a class has {percent:.2} % of the labelled pixels, so this is chosen for it to be found: {}",
                chosen.join(", ")
            )
        });
    }
    settings.favour_rare.get_or_insert(0.0);
    settings.monitor.get_or_insert_default();
    None
}

impl Settings {
    /// Whether each image is normalised by itself, by how the images differ, and the pixels of one class in them.
    fn normalises_by_itself(&self, facts: &Facts) -> bool {
        let is_open = self.normalise == AUTO && self.task == TaskKind::Segment;
        let helps = facts.gain_by_itself.map_or(facts.spread > MOST_SPREAD, |gain| gain > LEAST_GAIN);
        self.normalise_per_image || is_open && helps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(task: TaskKind, labelled: Option<f64>, spread: f32) -> Settings {
        let mut settings = Settings::in_memory(task);
        choose(&mut settings, &Facts { labelled, spread, pixels: vec![1 << 18; 3], ..Facts::default() });
        settings
    }

    #[test]
    fn strokes_get_a_small_network_whose_weights_are_averaged_and_pieces_about_them() {
        let strokes = chosen(TaskKind::Segment, Some(0.004), 0.2);
        assert_eq!((strokes.depth, strokes.crop), (Some(DEPTH_OF_FEW), Some(CROP_OF_FEW)));
        assert_eq!(strokes.optimisation.optimizer, Some(Optimizer::AdamW));
        assert_eq!(
            (strokes.optimisation.schedule(), strokes.optimisation.lr_steps),
            (RateSchedule::Step, Some(427))
        );
        assert_eq!((strokes.favour_labelled, strokes.optimisation.ema), (Some(1.0), Some(AVERAGE_OF_FEW)));
        assert_eq!((strokes.augmentation.contrast, strokes.augmentation.brightness), (Some(0.3), Some(0.2)));
        assert_eq!(chosen(TaskKind::Segment, Some(0.004), 0.05).augmentation.contrast, Some(0.0));
        assert_eq!(chosen(TaskKind::Segment, Some(0.004), 1.5).augmentation.contrast, Some(0.0));
        assert_eq!(strokes.class_shares, ClassShares::Images);
        for masks in [Some(0.5), None] {
            let whole = chosen(TaskKind::Segment, masks, 0.2);
            assert_eq!(
                (whole.depth, whole.crop, whole.favour_labelled),
                (Some(DEPTH), Some(CROP), Some(0.0))
            );
            assert_eq!(
                (whole.optimisation.ema, whole.optimisation.optimizer),
                (Some(0.0), Some(Optimizer::Adam))
            );
            assert_eq!(whole.class_shares, ClassShares::Labels);
        }
    }

    #[test]
    fn rare_classes_are_looked_for() {
        let of_shares = |shares: &[f64], mut settings: Settings| {
            let facts = Facts { labelled: Some(1.0), shares: shares.to_vec(), ..Facts::default() };
            let lines = choose(&mut settings, &facts);
            ((settings.optimisation.loss, settings.favour_rare, settings.monitor), lines)
        };
        let plain = || Settings::in_memory(TaskKind::Segment);
        let rare = (Some(Loss::CrossEntropyDice), Some(0.5), Some(Monitor::Iou));
        let (found, lines) = of_shares(&[0.5, 0.497, 0.003], plain());
        assert_eq!(found, rare);
        assert_eq!(
            lines,
            [
                "a class has 0.30 % of the labelled pixels, so this is chosen for it to be found: `loss` cross-entropy+dice, `favour_rare` 0.5, `monitor` iou"
            ]
        );
        let usual = (None, Some(0.0), Some(Monitor::Loss));
        // A class of which nothing is labelled is not looked for, and of many classes each has little.
        for shares in [vec![0.98, 0.02], vec![0.5, 0.5, 0.0], vec![1.0], vec![0.005; 200], Vec::new()] {
            assert_eq!(of_shares(&shares, plain()), (usual, Vec::new()), "{shares:?}");
        }
        let weighed = Settings { class_weights: Some("balanced".into()), crop: Some(0), ..plain() };
        assert_eq!(of_shares(&[0.999, 0.001], weighed).0, (None, Some(0.0), Some(Monitor::Iou)));
        let mut set = Settings { favour_rare: Some(0.2), monitor: Some(Monitor::Dice), ..plain() };
        set.optimisation.loss = Some(Loss::Dice);
        assert_eq!(
            of_shares(&[0.999, 0.001], set),
            ((Some(Loss::Dice), Some(0.2), Some(Monitor::Dice)), Vec::new())
        );
        assert_eq!(of_shares(&[], Settings::in_memory(TaskKind::Regress)), (usual, Vec::new()));
    }

    #[test]
    fn the_rate_for_strokes_falls_the_sooner_the_fewer_images_there_are() {
        let steps = |pixels: &[usize], change: fn(&mut Settings)| {
            let mut settings = Settings::in_memory(TaskKind::Segment);
            change(&mut settings);
            let facts = Facts { labelled: Some(0.004), pixels: pixels.to_vec(), ..Facts::default() };
            choose(&mut settings, &facts);
            settings.optimisation.lr_steps
        };
        // Three images of 512 x 512 pixels, as a step shows 192 x 192: 21 steps show all of them.
        assert_eq!(steps(&[1 << 18; 3], |_| ()), Some(427));
        assert_eq!(steps(&[1 << 18; 3], |settings| settings.batch = 4), Some(107));
        assert_eq!(steps(&[1 << 18; 3], |settings| settings.dimensions = 3), Some(800));
        assert_eq!(steps(&[1 << 18; 100], |_| ()), Some(800));
        // An image that is smaller than a piece takes a step all the same, as one that is shown whole does.
        assert_eq!(steps(&[96 * 96; 10], |_| ()), Some(200));
        assert_eq!(steps(&[1 << 18; 10], |settings| settings.crop = Some(0)), Some(200));
        assert_eq!(steps(&[96 * 96], |_| ()), Some(100));
    }

    #[test]
    fn images_of_other_brightness_are_normalised_one_by_one_unless_that_is_refused() {
        assert!(chosen(TaskKind::Segment, None, 1.5).normalise_per_image);
        assert!(!chosen(TaskKind::Segment, None, 0.9).normalise_per_image);
        // What a regression gives is in the units of its images.
        assert!(!chosen(TaskKind::Regress, None, 1.5).normalise_per_image);
        let mut settings = Settings { normalise: "mean".into(), ..Settings::in_memory(TaskKind::Segment) };
        choose(&mut settings, &Facts { spread: 1.5, ..Facts::default() });
        assert!(!settings.normalise_per_image);
        // Labels tell better than the brightness of all: images may differ in what they show.
        for (gain, by_itself) in [(1.0, false), (1.3, false), (1.6, true)] {
            for spread in [0.2, 1.5] {
                let mut settings = Settings::in_memory(TaskKind::Segment);
                choose(&mut settings, &Facts { spread, gain_by_itself: Some(gain), ..Facts::default() });
                assert_eq!(settings.normalise_per_image, by_itself, "{gain} {spread}");
            }
        }
    }

    #[test]
    fn what_is_set_stays() {
        let mut settings = Settings { depth: Some(7), ..Settings::in_memory(TaskKind::Segment) };
        (settings.favour_labelled, settings.crop) = (Some(0.5), Some(0));
        settings.optimisation.ema = Some(0.9);
        settings.optimisation.optimizer = Some(Optimizer::Adam);
        settings.optimisation.schedule = Some(RateSchedule::Constant);
        (settings.augmentation.contrast, settings.augmentation.brightness) = (Some(0.0), Some(0.7));
        settings.stem = "1,2".into();
        settings.mixing_start = MixingStart::Zero;
        settings.class_shares = ClassShares::Labels;
        let before = settings.clone();
        choose(&mut settings, &Facts { labelled: Some(0.001), ..Facts::default() });
        let filled = (Some(0.0), Some(Monitor::Loss));
        let (favour_rare, monitor) = filled;
        let before = Settings { normalise: "mean".into(), favour_rare, monitor, ..before };
        assert_eq!(settings, before);
    }

    #[test]
    fn layers_and_filters_of_a_model_to_start_from_stay() {
        let mut settings = Settings::in_memory(TaskKind::Segment);
        let initial = Architecture { stem: "1,2".parse().unwrap(), ..Architecture::new(1, 2, 7) };
        choose(&mut settings, &Facts { labelled: Some(0.001), initial: Some(initial), ..Facts::default() });
        assert_eq!((settings.depth, settings.stem.as_str()), (Some(7), "1,2"));
    }
}
