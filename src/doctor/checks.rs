//! A device against the reference in float64, for as long as it is given.

use std::time::{Duration, Instant};

use crate::Result;
use crate::devices::{Device, Variant};
use crate::engine::{Engine, Precision};
use crate::geometry::{Extent, Shape};
use crate::network::Architecture;
use crate::selftest::{
    Agreement, Case, Compared, Outcome, Setting, adam_agrees, check_case, classes_agree, halves_agree,
    random_network_agrees, random_network_in_order, steps_in_order, training_follows_float64,
};

/// Random networks that are checked where there is time, and those that are in any case.
const NETWORKS: u64 = 24;
const FEWEST_NETWORKS: u64 = 4;

/// What was checked, and how it went.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checked {
    /// Random networks that agreed, and how many there are.
    pub networks: (usize, usize),
    /// Sizes of tiles, which between them run every kernel, that agreed, and how many there are: none on the CPU.
    pub tiles: (usize, usize),
    /// Other checks that agreed: classes, the optimiser, twenty steps of training, and halves where the device has them.
    pub others: (usize, usize),
    /// The largest error of feature maps and outputs, relative to the largest value.
    pub forward: f64,
    /// The largest error of gradients, relative to the largest value.
    pub gradients: f64,
    /// The first difference, with what was being checked.
    pub difference: Option<String>,
}

/// Opens engines on a device in a variant.
struct Opening<'a> {
    device: &'a Device,
    checked: bool,
    precision: Precision,
}

impl Opening<'_> {
    fn open(
        &self,
        architecture: &Architecture,
        parameters: &[f32],
        setting: Setting,
        tiles: Option<&str>,
    ) -> Result<Box<dyn Engine>> {
        let variant = Variant {
            // Tiles come with blocks of their own.
            block: tiles.is_none().then_some(setting.block),
            max_page_bytes: setting.max_page_bytes,
            checked: self.checked,
            tiles: tiles.map(str::to_owned),
            precision: self.precision,
        };
        self.device.open_variant(architecture, parameters, &variant)
    }
}

/// One of the things to check.
enum Check {
    Network(u64),
    Tiles(String),
    Classes,
    Optimiser,
    Training,
    Halves,
}

impl Check {
    fn name(&self) -> String {
        match self {
            Check::Network(seed) => format!("random network {seed}"),
            Check::Tiles(tiles) => format!("tiles {tiles}"),
            Check::Classes => "classes".into(),
            Check::Optimiser => "the optimiser".into(),
            Check::Training => "twenty steps of training".into(),
            Check::Halves => "maps and gradients as halves".into(),
        }
    }

    fn run(&self, opening: &Opening) -> Outcome<Agreement> {
        let open = |architecture: &Architecture, parameters: &[f32], setting: Setting| {
            opening.open(architecture, parameters, setting, None)
        };
        match self {
            Check::Network(seed) => random_network_agrees(&open, *seed),
            Check::Tiles(tiles) => {
                let open = |architecture: &Architecture, parameters: &[f32], setting: Setting| {
                    opening.open(architecture, parameters, setting, Some(tiles))
                };
                check_case(&open, SEED, &every_kernel(), Setting { block: 0, max_page_bytes: u64::MAX })
            }
            Check::Classes => classes_agree(&open).map(|()| Agreement::default()),
            Check::Optimiser => adam_agrees(&open).map(|()| Agreement::default()),
            Check::Training => training_follows_float64(&open, true).map(|()| Agreement::default()),
            Check::Halves => {
                let opening = Opening { precision: Precision::Half, ..*opening };
                let open = |architecture: &Architecture, parameters: &[f32], setting: Setting| {
                    opening.open(architecture, parameters, setting, None)
                };
                halves_agree(&open, 0..FEWEST_NETWORKS).map(|_| Agreement::default())
            }
        }
    }
}

/// The other checks that every device goes through.
const OTHERS: [Check; 3] = [Check::Classes, Check::Optimiser, Check::Training];
const SEED: u64 = 5;

/// A network and a batch on which the tiles of [`Device::every_kernel`] run every kernel, but that of 16x16 matrices for more than 64
/// sources, for which it has too few channels.
fn every_kernel() -> Case {
    let architecture = Architecture { width: 4, dilations: vec![1, 2], ..Architecture::new(2, 5, 10) };
    Case::new(architecture, Shape { batch: 2, extent: Extent::plane(18, 70) }, true, SEED)
}

/// Checks a device with run-time checks in its shaders, or without, until `limit` is over: a few networks, whatever the time, and then
/// tiles, other checks and further networks in turn. `tell` is called with the name of each check before it begins, so that it is
/// known where a driver ends the program. Stops at the first difference.
pub fn check(device: &Device, checked: bool, limit: Duration, tell: &mut dyn FnMut(&str)) -> Checked {
    let begun = Instant::now();
    let opening = Opening { device, checked, precision: Precision::Full };
    let every_tiles = device.every_kernel();
    let mut all = Checked {
        networks: (0, NETWORKS as usize),
        tiles: (0, every_tiles.len()),
        others: (0, OTHERS.len() + usize::from(device.has_halves())),
        ..Checked::default()
    };
    let first = (0..FEWEST_NETWORKS).map(Check::Network);
    for check in first.chain(in_turn(every_tiles, device.has_halves())) {
        let is_due = matches!(check, Check::Network(seed) if seed < FEWEST_NETWORKS);
        if !is_due && begun.elapsed() > limit {
            break;
        }
        tell(&check.name());
        match check.run(&opening) {
            Ok(agreement) => {
                all.forward = all.forward.max(agreement.forward);
                all.gradients = all.gradients.max(agreement.gradients);
                match check {
                    Check::Network(_) => all.networks.0 += 1,
                    Check::Tiles(_) => all.tiles.0 += 1,
                    Check::Classes | Check::Optimiser | Check::Training | Check::Halves => all.others.0 += 1,
                }
            }
            Err(difference) => {
                all.difference = Some(format!("{}: {difference}", check.name()));
                break;
            }
        }
    }
    all
}

/// What comparing a device step by step gave.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bisected {
    /// Networks that were gone through.
    pub networks: usize,
    /// Quantities that were compared in them.
    pub quantities: usize,
    /// The network in which something is off, and the first quantity of it that is.
    pub first_wrong: Option<(String, Compared)>,
}

/// Goes through networks and tiles as [`check`] does, without run-time checks in shaders, until `limit` is over, and compares every
/// quantity of a training step in the order in which they are computed. Stops at the first that is off.
///
/// # Errors
/// What the device refuses.
pub fn bisect(device: &Device, limit: Duration, tell: &mut dyn FnMut(&str)) -> Outcome<Bisected> {
    let begun = Instant::now();
    let opening = Opening { device, checked: false, precision: Precision::Full };
    let open = |architecture: &Architecture, parameters: &[f32], setting: Setting| {
        opening.open(architecture, parameters, setting, None)
    };
    let mut all = Bisected::default();
    for check in (0..FEWEST_NETWORKS).map(Check::Network).chain(in_turn(device.every_kernel(), false)) {
        if all.networks > 0 && begun.elapsed() > limit {
            break;
        }
        tell(&check.name());
        let compared = match &check {
            Check::Network(seed) => random_network_in_order(&open, *seed)?,
            Check::Tiles(tiles) => {
                let open = |architecture: &Architecture, parameters: &[f32], setting: Setting| {
                    opening.open(architecture, parameters, setting, Some(tiles))
                };
                steps_in_order(&open, &every_kernel(), Setting { block: 0, max_page_bytes: u64::MAX })?
            }
            Check::Classes | Check::Optimiser | Check::Training | Check::Halves => continue,
        };
        all.networks += 1;
        all.quantities += compared.len();
        if let Some(wrong) = compared.into_iter().find(|compared| !compared.is_right()) {
            all.first_wrong = Some((check.name(), wrong));
            break;
        }
    }
    Ok(all)
}

/// What is checked after the first networks: three tiles, then another network, and the other checks early. Tiles are taken in an order
/// in which neighbours differ much, so that the first of them run many kernels. Halves are checked where the device has `halves`.
fn in_turn(tiles: Vec<String>, halves: bool) -> Vec<Check> {
    // A prime that does not divide their number comes to all of them.
    let step = [7, 11, 13].into_iter().find(|&step: &usize| !tiles.len().is_multiple_of(step)).unwrap_or(1);
    let mut tiles = (0..tiles.len()).map(|n| Check::Tiles(tiles[n * step % tiles.len()].clone()));
    let mut networks = (FEWEST_NETWORKS..NETWORKS).map(Check::Network);
    let mut all = Vec::from(OTHERS);
    all.extend(halves.then_some(Check::Halves));
    loop {
        let before = all.len();
        all.extend(tiles.by_ref().take(3));
        all.extend(networks.by_ref().take(1));
        if all.len() == before {
            return all;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_cpu_agrees_and_says_how_closely() {
        let mut told = Vec::new();
        let checked = check(&Device::cpu(), false, Duration::ZERO, &mut |name| told.push(name.to_owned()));
        assert_eq!(checked.difference, None);
        assert_eq!((checked.networks, checked.tiles), ((4, 24), (0, 0)));
        assert_eq!(told, (0..4).map(|seed| format!("random network {seed}")).collect::<Vec<_>>());
        let is_rounding = |error: f64| error > 1e-9 && error < 1e-5;
        assert!(is_rounding(checked.forward) && is_rounding(checked.gradients), "{checked:?}");
    }

    #[test]
    fn the_cpu_is_right_step_by_step() {
        let found = bisect(&Device::cpu(), Duration::ZERO, &mut |_| ()).unwrap();
        assert_eq!((found.networks, &found.first_wrong), (1, &None));
        assert!(found.quantities > 5, "{found:?}");
    }

    #[test]
    fn everything_has_its_turn() {
        for count in [0, 1, 7, 14, 49, 69, 77] {
            let tiles: Vec<String> = (0..count).map(|n| format!("number {n}")).collect();
            for (halves, others) in [(false, 3), (true, 4)] {
                let names: Vec<String> = in_turn(tiles.clone(), halves).iter().map(Check::name).collect();
                let different: BTreeSet<&String> = names.iter().collect();
                let wanted = others + 20 + count;
                assert_eq!((names.len(), different.len()), (wanted, wanted), "{count}");
            }
        }
    }
}
