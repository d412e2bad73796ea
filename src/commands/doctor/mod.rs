//! `msd-gpu doctor`: whether the GPUs of this machine can be used, and why not.
//!
//! Drivers may end the program that loads them, or never answer. So everything that loads one is a `part`, which is done by a `child`:
//! this program again, with a limit of time. `outcome` gathers what they say, and `text` writes it for people.

mod child;
mod outcome;
mod parts;
mod text;

use std::time::{Duration, Instant};

use clap::Args;
use log::info;
use serde_json::json;

use self::outcome::{Outcome, Row, ShownDevice};
use self::parts::{Part, run_part};
use super::console;
use crate::doctor::{Finding, Machine, View, findings};
use crate::{Error, Result};

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Check one device alone: auto, cpu, gpu, an index or part of a name from `msd-gpu devices`
    #[arg(long)]
    device: Option<String>,
    /// How long it may take in all, about: with more time, more is checked
    #[arg(long, value_name = "SECONDS", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=86400))]
    seconds: u32,
    /// Compare each step of a network with the reference, too, and name the first one that goes wrong
    #[arg(long)]
    bisect: bool,
    /// Print a text to paste into a report, with all that may matter there
    #[arg(long, conflicts_with = "json")]
    report: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// What this process does for the one that started it
    #[arg(long, hide = true)]
    part: Option<Part>,
}

/// Seconds that starting a driver may take.
const TO_START: Duration = Duration::from_secs(20);
/// Seconds that the speed of a device may take to measure.
const TO_MEASURE: Duration = Duration::from_secs(40);
/// Seconds in which the first wrong step of a device is looked for.
const TO_BISECT: Duration = Duration::from_secs(20);
/// Seconds for what is checked however short the time is.
const AT_LEAST: Duration = Duration::from_secs(30);

/// Looks for what is missing, checks all devices, and prints what it found.
pub fn run(arguments: DoctorArguments) -> Result<()> {
    if let Some(part) = arguments.part {
        return child::run(part, arguments.device.as_deref(), Duration::from_secs(arguments.seconds.into()));
    }
    let begun = Instant::now();
    let mut outcome = look(arguments.device.as_deref());
    let printing = if arguments.json { None } else { Some(arguments.report) };
    if let Some(report) = printing {
        text::beginning(&outcome, report).into_iter().for_each(console::line);
    }
    check(&mut outcome, begun, Duration::from_secs(arguments.seconds.into()));
    if arguments.bisect {
        bisect(&mut outcome);
    }
    match printing {
        Some(report) => text::end(&outcome, report).into_iter().for_each(console::line),
        None => console::json(&outcome.json(begun.elapsed().as_secs_f64())),
    }
    verdict(&outcome, arguments.device.as_deref())
}

/// What there is on the machine, and which devices show.
fn look(wish: Option<&str>) -> Outcome {
    let view = View::of_this_machine();
    let mut machine = Machine::look(&view);
    let variables = text::variables();
    let asked_for = wish.is_some_and(|wish| wish != "auto");
    let arguments = wish.map(|wish| vec!["--device".to_owned(), wish.to_owned()]).unwrap_or_default();
    let listed = run_part(Part::List, &arguments, None, TO_START);
    let mut outcome = match listed {
        Ok(said) => {
            let seen = ShownDevice::all(&said);
            // What was loaded is what counts, whatever was found by looking.
            if let Some(loader) = said["loader"].as_str() {
                machine.loader.library = Some(loader.into());
            }
            let wanted = said["wanted"].as_u64().map(|index| index as usize);
            Outcome {
                machine,
                variables,
                wanted,
                asked_for,
                devices: seen,
                shown: Vec::new(),
                findings: Vec::new(),
            }
        }
        Err(problem) => {
            let what = format!("a driver ended the program that loaded it: {problem}");
            let mend = vec!["VK_LOADER_DEBUG=error,warn,driver msd-gpu devices".to_owned()];
            let findings = vec![Finding { piece: "driver_crashes", what, mend }];
            // The CPU needs no driver.
            let cpu = ShownDevice::of_cpu();
            let wanted = matches!(wish, None | Some("auto" | "cpu" | "0")).then_some(0);
            Outcome { machine, variables, wanted, asked_for, devices: vec![cpu], shown: Vec::new(), findings }
        }
    };
    if !cfg!(feature = "gpu") {
        let what = "this build of msd-gpu has no GPU support; build it with the feature gpu".to_owned();
        outcome.findings = vec![Finding { piece: "no_gpu_support", what, mend: Vec::new() }];
    } else if outcome.findings.is_empty() && !outcome.devices.iter().any(ShownDevice::is_hardware) {
        outcome.findings = findings(&outcome.machine);
    }
    outcome.shown =
        outcome.devices.iter().map(|device| format!("{}: {}", device.index, device.name)).collect();
    if wish.is_some() {
        let wanted = outcome.wanted;
        outcome.devices.retain(|device| Some(device.index) == wanted);
    }
    outcome
}

/// Measures all devices, and then checks each in every variant: a fair share of what is left of the time for each.
fn check(outcome: &mut Outcome, begun: Instant, limit: Duration) {
    let of =
        |device: &ShownDevice, more: &[String]| [&["--device".to_owned(), device.argument()], more].concat();
    // The CPU first: it is done quickly, and leaves its time to the others.
    outcome.devices.sort_by_key(|device| !device.is_cpu());
    let mut waiting = 0u32;
    for device in &mut outcome.devices {
        info!("measuring {}", device.name);
        device.measured = Some(run_part(Part::Measure, &of(device, &[]), None, TO_MEASURE));
        waiting += device.variants().len() as u32;
    }
    for device in &mut outcome.devices {
        for variant in device.variants() {
            let left = limit.saturating_sub(begun.elapsed()) / waiting.max(1);
            waiting = waiting.saturating_sub(1);
            let seconds = left.as_secs().max(1);
            info!("checking {}: {}, for up to {seconds} s", device.name, variant.name);
            let arguments = of(device, &["--seconds".to_owned(), seconds.to_string()]);
            let said = run_part(variant.part, &arguments, variant.instructions, left + AT_LEAST);
            device.rows.push(Row { variant: variant.name, said });
        }
    }
    outcome.devices.sort_by_key(|device| device.index);
}

/// Looks for the first step that goes wrong on each device.
fn bisect(outcome: &mut Outcome) {
    for device in &mut outcome.devices {
        info!("going through {} step by step, for up to {} s", device.name, TO_BISECT.as_secs());
        let arguments = ["--device", &device.argument(), "--seconds", &TO_BISECT.as_secs().to_string()];
        let said = run_part(Part::Bisect, &arguments.map(str::to_owned), None, TO_BISECT + AT_LEAST);
        device.bisected = Some(said);
    }
}

/// Fails where the device that is asked for does, and where none works.
fn verdict(outcome: &Outcome, wish: Option<&str>) -> Result<()> {
    if let (Some(wish), None) = (wish, outcome.wanted) {
        return Err(Error::NoDevice { wanted: wish.into(), found: outcome.shown.join(", ") });
    }
    if outcome.works() {
        return Ok(());
    }
    let failed = outcome.devices.iter().find_map(|device| Some((device, device.problem()?)));
    let Some((device, problem)) = failed else {
        return Err(Error::device("this machine", "it was checked", "there is no device"));
    };
    let way_out = match device.is_cpu() {
        true => "please report it, with what `msd-gpu doctor --report` prints",
        false => "update its driver, or use `device cpu`",
    };
    Err(Error::device(&device.name, "it was checked", format!("{problem}; {way_out}")))
}

impl Outcome {
    /// Everything, for programs.
    fn json(&self, seconds: f64) -> serde_json::Value {
        let machine = &self.machine;
        let manifests = machine.manifests.found.iter().map(|manifest| {
            json!({
                "path": manifest.path, "library": manifest.named.as_ref().ok(), "found": manifest.library,
                "problem": manifest.named.as_ref().err(),
            })
        });
        let cards = machine.cards.iter().map(
            |card| json!({ "name": card.name(), "place": card.place, "kernel_driver": card.kernel_driver }),
        );
        let nodes = machine.nodes.iter().map(|node| json!({ "path": node.path, "problem": node.problem }));
        let findings = self
            .findings
            .iter()
            .map(|finding| json!({ "piece": finding.piece, "what": finding.what, "mend": finding.mend }));
        json!({
            "version": env!("CARGO_PKG_VERSION"), "system": machine.name, "processor": std::env::consts::ARCH,
            "container": machine.container.map(|container| container.name()), "wsl": machine.wsl,
            "loader": machine.loader.library, "manifests": manifests.collect::<Vec<_>>(),
            "cards": cards.collect::<Vec<_>>(), "files": nodes.collect::<Vec<_>>(),
            "variables": self.variables.iter().cloned().collect::<serde_json::Map<_, _>>(),
            "findings": findings.collect::<Vec<_>>(),
            "devices": self.devices.iter().map(ShownDevice::json).collect::<Vec<_>>(),
            "works": self.works(), "seconds": seconds,
        })
    }
}
