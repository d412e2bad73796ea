use super::*;
use crate::geometry::Extent;
use crate::schedule::LayersAtOnce;

fn options(block: usize, max_page_bytes: u64) -> Options {
    Options { block, max_page_bytes, alignment: 4, share_planes: false, half_maps: false }
}

fn shape() -> Shape {
    Shape { batch: 2, extent: Extent::plane(6, 7) }
}

/// What a plane holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Held {
    Nothing,
    Map(usize),
    Gradient(usize),
    /// What is not complete, where it lies apart.
    Sum(usize),
    GradientSum(usize),
}

/// Which plane holds what, by the kind of page, the page and the plane.
struct Planes<'a> {
    schedule: &'a Schedule,
    held: Vec<((bool, usize, usize), Held)>,
}

impl Planes<'_> {
    fn place(&self, what: Held) -> (bool, usize, usize) {
        let schedule = self.schedule;
        let (separate, page, plane) = match (what, schedule.gradient_shift) {
            (Held::Map(c), _) => (false, schedule.map_page(c), c),
            (Held::Gradient(c), Some(shift)) => (false, schedule.gradient_page(c), c + shift),
            (Held::Gradient(c), None) => (true, schedule.gradient_page(c), c),
            (Held::Sum(c), _) => (false, 0, c + schedule.sum_shift),
            (Held::GradientSum(c), shift) => (false, 0, c + shift.unwrap_or(0) - schedule.gradient_sum_shift),
            (Held::Nothing, _) => unreachable!(),
        };
        let pages = if separate { &schedule.gradient_pages } else { &schedule.map_pages };
        assert!(pages[page].channels.contains(&plane), "{what:?} is not in page {page}");
        (separate, page, plane)
    }

    fn write(&mut self, what: Held) {
        let place = self.place(what);
        self.held.retain(|(other, _)| *other != place);
        self.held.push((place, what));
    }

    /// Nothing may be read after its plane was taken.
    fn read(&self, what: Held) {
        let place = self.place(what);
        let held = self.held.iter().find(|(other, _)| *other == place).map_or(Held::Nothing, |h| h.1);
        assert_eq!(held, what, "the plane {place:?} of {what:?} was taken");
    }

    fn read_maps(&self, channels: impl Iterator<Item = usize>) {
        channels.for_each(|c| self.read(Held::Map(c)));
    }

    fn read_gradients(&self, channels: &Range<usize>) {
        channels.clone().for_each(|c| self.read(Held::Gradient(c)));
    }
}

/// Plays a schedule with bookkeeping instead of numbers: every pair of channels must be connected exactly once,
/// forward, backward and in the filter gradients, and nothing may be read before it is finished, nor after its plane
/// was taken by something else.
fn check(architecture: &Architecture, options: &Options, layers: LayersAtOnce) {
    let schedule = Schedule::training(architecture, shape(), options).unwrap();
    let schedule = schedule.with_sums_apart(layers, options.max_page_bytes);
    let sum = |c: usize| if schedule.sum_shift > 0 { Held::Sum(c) } else { Held::Map(c) };
    let gradient_sum =
        |c: usize| if schedule.gradient_sum_shift > 0 { Held::GradientSum(c) } else { Held::Gradient(c) };
    let (channels, inputs) = (architecture.channels(), architecture.stem_channels());
    let layer_start = |c: usize| architecture.sources(architecture.layer_of(c - inputs)).end;
    let mut forward = vec![vec![0; channels]; channels];
    let (mut backward, mut filters) = (forward.clone(), forward.clone());
    let mut finished: Vec<bool> = (0..channels).map(|c| c < inputs).collect();
    let mut started = finished.clone();
    let (mut finished_gradient, mut started_gradient) = (vec![false; channels], vec![false; channels]);
    let mut planes = Planes { schedule: &schedule, held: Vec::new() };
    for step in &schedule.steps {
        match step {
            Step::Load => (0..schedule.architecture.inputs).for_each(|c| planes.write(Held::Map(c))),
            Step::Stem => {
                (schedule.architecture.inputs..inputs).for_each(|c| planes.write(Held::Map(c)));
            }
            Step::Convolve { sources, outputs, first, finishes } => {
                for o in outputs.clone() {
                    assert_ne!(started[o], *first, "sum of {o} started twice or not at all");
                    started[o] = true;
                    assert!(!finished[o]);
                    if *first {
                        planes.write(sum(o));
                    }
                    planes.read(sum(o));
                    for s in sources.clone().filter(|&s| s < layer_start(o)) {
                        assert!(finished[s], "{o} reads {s} before it is finished");
                        planes.read(Held::Map(s));
                        forward[o][s] += 1;
                    }
                }
                finishes.clone().for_each(|o| {
                    finished[o] = true;
                    planes.write(Held::Map(o));
                });
            }
            Step::Mix { sources, .. } | Step::MixWeightGradient { sources, .. } => {
                planes.read_maps(sources.clone());
            }
            Step::Loss => {}
            Step::MixInputGradient { channels, finishes } => {
                channels.clone().for_each(|c| assert!(!std::mem::replace(&mut started_gradient[c], true)));
                channels.clone().for_each(|c| planes.write(gradient_sum(c)));
                planes.read_maps(finishes.clone());
                finishes.clone().for_each(|c| {
                    finished_gradient[c] = true;
                    planes.write(Held::Gradient(c));
                });
            }
            Step::InputGradient { gradients, channels, finishes } => {
                for (g, c) in gradients.clone().flat_map(|g| channels.clone().map(move |c| (g, c))) {
                    assert!(finished_gradient[g] && started_gradient[c] && !finished_gradient[c]);
                    assert!(c < layer_start(g));
                    backward[g][c] += 1;
                }
                planes.read_gradients(gradients);
                channels.clone().for_each(|c| planes.read(gradient_sum(c)));
                planes.read_maps(finishes.clone());
                finishes.clone().for_each(|c| {
                    finished_gradient[c] = true;
                    planes.write(Held::Gradient(c));
                });
            }
            Step::FilterGradient { gradients, sources } => {
                planes.read_gradients(gradients);
                for g in gradients.clone() {
                    assert!(finished_gradient[g]);
                    let read = sources.clone().filter(|&s| s < layer_start(g));
                    planes.read_maps(read.clone());
                    read.for_each(|s| filters[g][s] += 1);
                }
            }
            Step::BiasGradient { gradients } => planes.read_gradients(gradients),
        }
    }
    for c in inputs..channels {
        assert!(finished[c] && finished_gradient[c]);
        planes.read(Held::Gradient(c));
        for s in 0..channels {
            let connected = usize::from(s < layer_start(c));
            assert_eq!(forward[c][s], connected);
            assert_eq!(filters[c][s], connected);
            assert_eq!(backward[c][s], connected * usize::from(s >= inputs));
        }
    }
    planes.read_maps((0..channels).filter(|&c| schedule.keeps_map(c)));
}

#[test]
fn every_pair_of_channels_is_connected_exactly_once() {
    for width in 1..4 {
        for depth in [1, 2, 5, 8] {
            let architecture = Architecture { width, ..Architecture::new(2, 3, depth) };
            for block in [1, 2, 3, 100] {
                for most in [u64::MAX, 60_000, 16_000] {
                    for share_planes in [false, true] {
                        for (forward, backward) in [(1, 1), (3, 1), (1, 5), (7, 3)] {
                            let options = Options { share_planes, ..options(block, most) };
                            check(&architecture, &options, LayersAtOnce { forward, backward });
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn shared_planes_take_one_for_each_channel_and_a_block_more() {
    let architecture = Architecture { width: 2, ..Architecture::new(1, 3, 9) };
    let shape = Shape { batch: 2, extent: Extent::plane(60, 70) };
    let with = |share_planes, block| {
        let options = Options { share_planes, ..options(block, u64::MAX) };
        Schedule::training(&architecture, shape, &options).unwrap()
    };
    for block in [1, 4, 100] {
        let (apart, shared) = (with(false, block), with(true, block));
        assert_eq!(apart.steps, shared.steps);
        assert_eq!(shared.map_pages[0].channels, 0..19 + 2 * block.min(9));
        let plane = 4 * shape.batch * shared.map_layout.plane;
        let outputs = 2 * 4 * shared.output_length();
        let guards = 2 * 4 * shared.map_layout.guard;
        assert_eq!(shared.bytes() as usize, (19 + 2 * block.min(9)) * plane + outputs + guards);
        assert_eq!(shared.clone().into_forward().steps, apart.clone().into_forward().steps);
    }
    assert!(with(true, 4).bytes() < with(false, 4).bytes());
}

#[test]
fn recordings_cover_all_steps_and_end_with_layers() {
    let schedule = Schedule::training(&Architecture::new(1, 2, 5), shape(), &options(1, u64::MAX)).unwrap();
    let pieces = schedule.recordings();
    assert_eq!(pieces.iter().map(Range::len).sum::<usize>(), schedule.steps.len());
    assert_eq!(pieces.len(), 5 + 5 + 1, "five layers forward, five backward, and the last gradients");
}

/// Sums take the room of a block, which is smaller where a buffer has no room for it.
#[test]
fn halves_take_half_and_the_sums_of_a_block() {
    let architecture = Architecture { width: 2, ..Architecture::new(1, 2, 12) };
    let shape = Shape { batch: 2, extent: Extent::plane(30, 40) };
    let of = |block, most, half_maps| {
        let options = Options { half_maps, ..options(block, most) };
        Schedule::forward(&architecture, shape, &options)
    };
    let full = of(10, u64::MAX, false).unwrap();
    let half = of(10, u64::MAX, true).unwrap();
    assert_eq!((full.map_bytes(), half.map_bytes(), full.sums.is_none()), (4, 2, true));
    assert_eq!((&full.steps, &full.map_pages), (&half.steps, &half.map_pages));
    let sums = half.sums.clone().unwrap();
    assert_eq!(sums.channels, 0..20);
    let maps: usize = full.map_pages.iter().map(|page| page.length).sum();
    assert_eq!(half.bytes() + 2 * maps as u64, full.bytes() + 4 * sums.length as u64);
    // Room for the sums of three layers and a bit.
    let planes = 7 * shape.batch * half.map_layout.plane + 2 * half.map_layout.guard;
    let small = of(10, 4 * planes as u64, true).unwrap();
    assert_eq!(small.sums.clone().unwrap().channels, 0..6);
    assert!(small.sums.iter().all(|page| page.length <= planes));
    assert_eq!(small.steps, of(3, 4 * planes as u64, true).unwrap().steps);
    assert!(of(1, 4 * half.map_layout.plane as u64, true).is_err());
}

/// Gradient maps lie in the planes of feature maps, in blocks as large as those whose sums there is room for.
#[test]
fn training_with_halves_takes_half_and_the_sums_of_a_block() {
    let architecture = Architecture { width: 2, ..Architecture::new(1, 2, 12) };
    let shape = Shape { batch: 2, extent: Extent::plane(30, 40) };
    let of = |block, most, half_maps| {
        let options = Options { half_maps, share_planes: true, ..options(block, most) };
        Schedule::training(&architecture, shape, &options).unwrap()
    };
    let (full, half) = (of(10, u64::MAX, false), of(10, u64::MAX, true));
    assert_eq!((&full.steps, &full.map_pages), (&half.steps, &half.map_pages));
    let sums = half.sums.clone().unwrap();
    let maps: usize = full.map_pages.iter().map(|page| page.length).sum();
    assert_eq!(half.bytes() + 2 * maps as u64, full.bytes() + 4 * sums.length as u64);
    let apart = Options { half_maps: true, share_planes: false, ..options(10, u64::MAX) };
    assert_eq!(Schedule::training(&architecture, shape, &apart).unwrap(), half);
    // Room for the sums of three layers and a bit: gradient maps lie as far from feature maps as a block of three has channels.
    let most = 4 * (7 * shape.batch * half.map_layout.plane + 2 * half.map_layout.guard) as u64;
    let small = of(10, most, true);
    assert_eq!((small.sums.clone().unwrap().channels, small.gradient_shift), (0..6, Some(6)));
    assert_eq!(small.steps, of(3, most, true).steps);
    assert_eq!(half.clone().into_forward().sums, half.sums);
}
