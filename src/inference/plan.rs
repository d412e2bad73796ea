//! How images are cut into tiles so that they fit into memory, and how much of its surroundings a tile is computed with.

use std::num::NonZero;
use std::str::FromStr;

use log::info;
use ndarray::{Array3, s};

use super::ensemble::{Ensemble, Measured};
use super::memory::image_bytes;
use super::tiling::{LEAST_TILE, Tiling};
use crate::error::Bytes;
use crate::geometry::{Extent, Window};
use crate::pipeline::AHEAD;
use crate::settings::byte_size;
use crate::{Error, Result, memory};

/// How much of its surroundings each tile is computed with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Halo {
    /// All that its result depends on: the result is that of the whole image, to the digits that the order of sums leaves.
    Exact,
    /// As much as keeps the difference below [`BOUND`] of the deviation of the outputs, as measured on parts of the first image
    /// that is cut.
    #[default]
    Auto,
    /// So many pixels on either side.
    Pixels(usize),
}

/// `exact`, `auto`, or a number of pixels.
impl FromStr for Halo {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Halo::Auto),
            "exact" => Ok(Halo::Exact),
            number => number.parse().map(Halo::Pixels).map_err(|_| {
                Error::setting("halo", format!("'{number}'"), "it must be exact, auto or a number of pixels")
            }),
        }
    }
}

/// How far outputs may be from those of the whole image with [`Halo::Auto`], as a share of their standard deviation.
pub const BOUND: f64 = 1e-4;

/// How images are to be cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cutting {
    /// Rows and columns of a tile that are kept; `None` for as many as there is memory for.
    pub tile: Option<usize>,
    /// How much of its surroundings each tile is computed with.
    pub halo: Halo,
    /// How many bytes of memory may be taken; `None` for most of what is free.
    pub memory: Option<u64>,
    /// How many programs of this machine share the memory that is free; `None` for this one alone.
    programs: Option<NonZero<usize>>,
}

impl Cutting {
    /// With these values.
    pub fn new(tile: Option<usize>, halo: Halo, memory: Option<u64>) -> Self {
        Self { tile, halo, memory, programs: None }
    }

    /// The same where so many programs of one machine do as much each at the same time: of the memory that is free, each takes its part.
    #[must_use]
    pub fn beside(self, programs: usize) -> Self {
        Self { programs: NonZero::new(programs), ..self }
    }

    /// How many programs of this machine share its memory.
    pub(super) fn programs(&self) -> u64 {
        self.programs.map_or(1, NonZero::get) as u64
    }

    /// What results depend on, as text.
    pub(super) fn identity(&self) -> String {
        format!("{:?} {:?}", self.tile, self.halo)
    }

    /// With the halo and the memory as people write them: `exact`, `auto` or a number of pixels, and `2GB`. Without a halo, tiles whose
    /// size is named are exact.
    ///
    /// # Errors
    /// [`Error::Setting`] for what is none of these.
    pub fn of_text(tile: Option<usize>, halo: Option<&str>, memory: Option<&str>) -> Result<Self> {
        let bytes = |text: &str| match byte_size("memory", text)? {
            0 => Err(Error::setting(
                "memory",
                format!("'{text}'"),
                "it must be a size above 0, such as 2GB or 500M",
            )),
            bytes => Ok(bytes),
        };
        let memory = memory.map(bytes).transpose()?;
        let halo = match halo {
            Some(halo) => halo.parse()?,
            None if tile.is_some() => Halo::Exact,
            None => Halo::Auto,
        };
        Ok(Self::new(tile, halo, memory))
    }
}

/// What the program takes besides images and the network.
pub(super) const PROGRAM_BYTES: u64 = 64 << 20;
/// The share of the free memory that is taken where nobody says how much, in percent.
const SHARE: u64 = 75;

/// What tiles are chosen by: the memory that there may be, and what takes of it.
///
/// The limits of a device, such as its largest buffer, count in any case. How much memory a graphics card of its own has, the
/// system does not say: [`tiling`] tries it. Where there is less later on, [`Predictor`](super::Predictor) halves tiles by itself.
pub(super) struct Budget {
    /// The bytes that may be taken in all; `None` where it is not known how many are free.
    bytes: Option<u64>,
    /// Whether the network takes of these; else its memory is the device's own.
    with_network: bool,
    /// Bytes of the decoded image, and of blocks of its file, that are there as long as its parts are read.
    held: u64,
    /// How many recordings are read of each image; 0 where it is one by itself.
    recordings: usize,
    /// How many devices there are.
    devices: usize,
}

impl Budget {
    /// That of `cutting` on the device of `ensemble`, for images of which `held` bytes are kept decoded.
    pub(super) fn of(cutting: &Cutting, ensemble: &Ensemble, held: u64) -> Self {
        let of_machine = || memory::free().map(|free| free.bytes / 100 * SHARE / cutting.programs());
        let named = cutting.memory.map(|bytes| bytes.saturating_sub(PROGRAM_BYTES));
        // What is named is for all memory, wherever it is.
        let devices = ensemble.devices();
        let with_network = named.is_some() || devices.iter().any(|device| device.shares_memory);
        let bytes = named.or_else(of_machine);
        Self { bytes, with_network, held, recordings: 0, devices: devices.len() }
    }

    /// Whether the network takes of the memory that may be taken.
    pub(super) fn counts_network(&self) -> bool {
        self.with_network
    }

    /// Whether so many bytes may be taken.
    pub(super) fn allows(&self, bytes: u64) -> bool {
        self.bytes.is_none_or(|most| bytes <= most)
    }

    /// Bytes of the decoded image and of blocks of its file.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// The bytes that nothing takes while patches of `extent` are computed; 0 where it is not known.
    pub(super) fn left(&self, ensemble: &Ensemble, extent: Extent) -> u64 {
        let wanted = self.wanted(ensemble, extent).unwrap_or(u64::MAX);
        self.bytes.unwrap_or_default().saturating_sub(wanted)
    }

    /// What all devices take where one takes so many bytes, as each has as many images on their way.
    pub(super) fn on_all_devices(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(self.devices as u64)
    }

    /// The bytes that may be taken, for messages.
    pub(super) fn limit(&self) -> u64 {
        self.bytes.unwrap_or_default().saturating_add(PROGRAM_BYTES)
    }

    /// What helps where that is too little.
    pub(super) fn way_out(&self) -> String {
        let fewer = if self.devices > 1 { ", or name fewer devices" } else { "" };
        format!("give more with `memory`, or a smaller `halo`{fewer}")
    }

    /// The same for images that are the mean of so many recordings, each of which is kept beside it.
    pub(super) fn for_recordings(self, recordings: usize) -> Self {
        Self { recordings, ..self }
    }

    /// Bytes that computing patches of `extent` takes of those that may be taken.
    ///
    /// # Errors
    /// Where a patch is too large for the device.
    fn wanted(&self, ensemble: &Ensemble, extent: Extent) -> Result<u64> {
        let network = ensemble.bytes(extent)?;
        let network = if self.with_network { network } else { 0 };
        // Recordings are read ahead, and those of a part are combined in as many ways.
        let inputs = ensemble.model().architecture.inputs as u64;
        let recordings = (self.recordings * (AHEAD + 2)) as u64 * 4 * inputs;
        let recordings = recordings.saturating_mul(extent.pixels() as u64);
        let parts = part_bytes(ensemble, extent).saturating_add(recordings);
        Ok(self.on_all_devices(network.saturating_add(parts)).saturating_add(self.held))
    }

    /// Whether a patch of `extent` can be computed.
    fn holds(&self, ensemble: &Ensemble, extent: Extent) -> bool {
        let Ok(wanted) = self.wanted(ensemble, extent) else { return false };
        self.bytes.is_none_or(|bytes| wanted <= bytes)
    }
}

/// Bytes for parts of images, each computed on `extent`, and their results. What is kept of a part is there beside all of it, and once
/// more as its file stores it.
fn part_bytes(ensemble: &Ensemble, extent: Extent) -> u64 {
    let outputs = ensemble.model().architecture.outputs as u64;
    let copies = 2 * 4 * outputs * extent.pixels() as u64;
    image_bytes(ensemble.model(), extent, AHEAD).saturating_add(copies)
}

/// The tiles of images of `extent`, each computed with `halo` pixels on either side: those of a size that was named, or as large as
/// the budget allows, and halved until the device has the memory for them.
///
/// # Errors
/// [`Error::OutOfMemory`] where not even the smallest tile can be computed.
pub(super) fn tiling(
    ensemble: &mut Ensemble,
    extent: Extent,
    cutting: &Cutting,
    budget: &Budget,
    halo: usize,
) -> Result<Tiling> {
    if let Some(tile) = cutting.tile {
        return Ok(Tiling::cut(Some(tile), halo));
    }
    let planned = within(ensemble, extent, budget, halo)?;
    let mut tiling = planned;
    // Not as large as just has room: other programs need memory too, and a device may go on in the machine's, slowly.
    while !ensemble.reserve(tiling.patch(extent))? {
        // Where none is small enough, the first tile gives the device's own error.
        let Some(smaller) = tiling.halved(extent) else { return Ok(planned) };
        tiling = smaller;
    }
    if tiling != planned {
        ensemble.tell_of_memory(planned.patch(extent));
    }
    Ok(tiling)
}

/// As [`tiling`], by the budget alone.
fn within(ensemble: &Ensemble, extent: Extent, budget: &Budget, halo: usize) -> Result<Tiling> {
    if budget.holds(ensemble, extent) {
        return Ok(Tiling::cut(None, halo));
    }
    let fits = |tile: usize| budget.holds(ensemble, Tiling::cut(Some(tile), halo).patch(extent));
    let (mut low, mut high) = (LEAST_TILE, extent.y.max(extent.x));
    if !fits(low) {
        let patch = Tiling::cut(Some(low), halo).patch(extent);
        let wanted = budget.wanted(ensemble, patch)?;
        return Err(Error::OutOfMemory {
            buffer: match halo {
                0 => format!("the memory for a tile of {LEAST_TILE} x {LEAST_TILE} pixels"),
                _ => format!(
                    "the memory for a tile of {LEAST_TILE} x {LEAST_TILE} pixels with {halo} pixels around it"
                ),
            },
            wanted: wanted.saturating_add(PROGRAM_BYTES),
            limit_name: "what may be taken".into(),
            limit: budget.limit(),
            way_out: budget.way_out(),
        });
    }
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(Tiling::cut(Some(low), halo))
}

/// The memory that is taken, in words: so much for the network and for what else there is, and for blocks of files where there are any.
pub(super) fn memory_in_words(network: u64, others: &str, blocks: u64) -> String {
    let network = Bytes(network);
    match blocks {
        0 => format!(
            "memory: {network} for the network{}{others}",
            if others.is_empty() { "" } else { " and " }
        ),
        _ if others.is_empty() => {
            format!("memory: {network} for the network and {} for blocks of the file", Bytes(blocks))
        }
        _ => format!(
            "memory: {network} for the network, {others} and {} for blocks of the file",
            Bytes(blocks)
        ),
    }
}

/// Says how images of `extent` are cut, of whose files blocks take so many bytes.
pub(super) fn tell(ensemble: &Ensemble, tiling: &Tiling, extent: Extent, reach: usize, blocks: u64) {
    let patch = tiling.patch(extent);
    let bytes = ensemble.bytes(patch).unwrap_or_default();
    let (count, halo) = (tiling.count(extent), tiling.halo());
    let images = Bytes(part_bytes(ensemble, patch));
    if count == 1 {
        info!("{}", memory_in_words(bytes, &format!("{images} for images"), blocks));
        return;
    }
    let exact = if halo >= reach { ", which is all that counts" } else { "" };
    info!(
        "images of {} x {} pixels are cut into {count} tiles, each computed with {halo} pixels around it{exact}; {}",
        extent.x,
        extent.y,
        memory_in_words(bytes, &format!("{images} for tiles"), blocks)
    );
}

/// Rows and columns of the parts whose results are compared.
const COMPARED: usize = 128;
/// Halos that are tried, smallest first.
const TRIED: [usize; 15] = [8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024];
/// What is spent on finding a halo, as a share of the pixels that all tiles of an image have.
const SPENT: f64 = 0.1;

/// The smallest halo of which tiles differ from the whole image by less than [`BOUND`] of the deviation of the outputs, as found on
/// parts of an image of `extent` that `read` gives, all of which has `measured`. `reach` is how far outputs look.
///
/// # Errors
/// Those of `read` and of the device.
pub(super) fn effective_halo(
    ensemble: &mut Ensemble,
    extent: Extent,
    measured: &Measured,
    budget: &Budget,
    reach: usize,
    read: &mut dyn FnMut(&Window) -> Result<Array3<f32>>,
) -> Result<usize> {
    // What is compared with is computed with all that counts, or with as much as there is memory for.
    let around = |core: &Window, halo: usize| {
        let side = |start: usize, length: usize, whole: usize| {
            start.saturating_sub(halo)..(start + length + halo).min(whole)
        };
        Window::plane(side(core.y, core.extent.y, extent.y), side(core.x, core.extent.x, extent.x))
    };
    let mut far = reach;
    let middle = place(extent, 1, 2);
    while far > LEAST_TILE && !budget.holds(ensemble, around(&middle, far).extent) {
        far = far / 4 * 3;
    }
    let cost = around(&middle, far).extent.pixels() as f64;
    let places = ((extent.pixels() as f64 * SPENT / cost) as usize).clamp(1, 3);
    let cores: Vec<Window> = (1..=places).map(|number| place(extent, number, places + 1)).collect();
    let mut outputs = |core: &Window, halo: usize, ensemble: &mut Ensemble| {
        let patch = around(core, halo);
        let image = read(&patch)?;
        let found = ensemble.outputs_of_models((&image, 1), measured)?;
        let inside = core.counted_from(&patch).unwrap_or(*core);
        Ok(found
            .into_iter()
            .map(|outputs| outputs.slice(s![.., inside.rows(), inside.columns()]).to_owned())
            .collect::<Vec<_>>())
    };
    let mut exact = Vec::new();
    for core in &cores {
        exact.push(outputs(core, far, ensemble)?);
    }
    let models = exact.first().map_or(0, Vec::len);
    let deviations: Vec<f64> =
        (0..models).map(|model| deviation(exact.iter().map(|all| &all[model]))).collect();
    for halo in TRIED.into_iter().filter(|halo| *halo < far) {
        let mut most = 0.0_f64;
        for (core, exact) in cores.iter().zip(&exact) {
            for ((found, exact), deviation) in
                outputs(core, halo, ensemble)?.iter().zip(exact).zip(&deviations)
            {
                let apart =
                    found.iter().zip(exact).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
                most = most.max(apart / deviation);
            }
        }
        // Half of it, as other parts of the image may need more.
        if most <= BOUND / 2.0 {
            info!(
                "{halo} pixels around each tile keep its outputs within {most:.1e} of their deviation, as measured on {places} part{} of the image; all that counts would be {reach} (`halo exact`)",
                if places == 1 { "" } else { "s" }
            );
            return Ok(halo);
        }
    }
    Ok(reach)
}

/// A part of an image that is compared: the `number`-th of `count - 1` along its diagonal.
fn place(extent: Extent, number: usize, count: usize) -> Window {
    let along = |length: usize| {
        let size = length.min(COMPARED);
        let start = (length / count * number).saturating_sub(size / 2).min(length - size);
        start..start + size
    };
    Window::plane(along(extent.y), along(extent.x))
}

/// The standard deviation of all numbers, which is not 0.
fn deviation<'a>(outputs: impl Iterator<Item = &'a Array3<f32>> + Clone) -> f64 {
    let (mut count, mut sum) = (0.0, 0.0);
    for value in outputs.clone().flatten() {
        count += 1.0;
        sum += f64::from(*value);
    }
    let mean = sum / f64::max(count, 1.0);
    let squares: f64 = outputs.flatten().map(|value| (f64::from(*value) - mean).powi(2)).sum();
    (squares / f64::max(count, 1.0)).sqrt().max(f64::MIN_POSITIVE)
}
