//! A run on several devices of this machine: each is a rank on a thread of its own.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::folder::RunFolder;
use super::outcome::Outcome;
use super::trainer::{self, Start};
use crate::Result;
use crate::devices::Device;
use crate::peers::{Peers, on_threads};
use crate::training::prepare::Prepared;
use crate::training::settings::Settings;
use crate::watcher::{Epoch, Flow, ImageReport, ImageWork, StepReport, TrainingPlan, Watcher};

/// Trains on all `devices`; `watcher` is called by this thread, as it would be for one device.
pub(super) fn train(
    prepared: &Prepared,
    settings: &Settings,
    folder: Option<&RunFolder>,
    devices: &[Device],
    start: Start,
    watcher: &mut dyn Watcher,
) -> Result<Outcome> {
    let relabelled = start.relabelled;
    let (asks, asked) = channel();
    // Rank 0 takes these.
    let leader = Mutex::new(Some((start, asks)));
    let work = |mut peers| {
        let peers: &mut dyn Peers = &mut peers;
        let device = &devices[peers.rank()];
        let own =
            if peers.rank() == 0 { leader.lock().ok().and_then(|mut leader| leader.take()) } else { None };
        match own {
            Some((start, asks)) => {
                let mut relay = Relay { asks, ranks: devices.len() as u64 };
                trainer::train(prepared, settings, folder, device, start, peers, &mut relay, &mut ())
            }
            None => {
                let start = Start { checkpoint: None, relabelled };
                trainer::train(prepared, settings, None, device, start, peers, &mut (), &mut ())
            }
        }
    };
    on_threads(devices.len(), work, || answer(asked, watcher))
}

/// A call of a watcher, and where its answer is waited for.
struct Ask {
    call: Call,
    answer: SyncSender<Flow>,
}

enum Call {
    Started(TrainingPlan),
    Step(StepReport),
    Epoch(Epoch),
    Image {
        work: ImageWork,
        name: String,
        at: (usize, usize),
        done: f64,
        score: Option<(&'static str, f64)>,
        files: Vec<PathBuf>,
    },
}

/// Calls `watcher` as long as somebody asks. Where it panics, whoever asks next is told to stop.
fn answer(asked: Receiver<Ask>, watcher: &mut dyn Watcher) {
    for Ask { call, answer } in asked {
        let flow = match call {
            Call::Started(plan) => watcher.started(&plan),
            Call::Step(step) => watcher.step(&step),
            Call::Epoch(epoch) => watcher.epoch(&epoch),
            Call::Image { work, name, at: (index, count), done, score, files } => {
                watcher.image(&ImageReport { work, name: &name, index, count, done, score, files: &files })
            }
        };
        // Where nobody waits for the answer any more, the run has ended.
        let _ = answer.send(flow);
    }
}

/// Has a watcher called by another thread: that of a program need not be able to leave its own.
struct Relay {
    asks: Sender<Ask>,
    ranks: u64,
}

impl Relay {
    fn ask(&self, call: Call) -> Flow {
        let (answer, answered) = sync_channel(1);
        match self.asks.send(Ask { call, answer }) {
            Ok(()) => answered.recv().unwrap_or(Flow::Break(())),
            Err(_) => Flow::Break(()),
        }
    }
}

impl Watcher for Relay {
    fn started(&mut self, plan: &TrainingPlan) -> Flow {
        // Each rank has planes of its own.
        let network_bytes = plan.network_bytes.saturating_mul(self.ranks);
        self.ask(Call::Started(TrainingPlan { network_bytes, ..plan.clone() }))
    }

    fn step(&mut self, step: &StepReport) -> Flow {
        self.ask(Call::Step(*step))
    }

    fn epoch(&mut self, epoch: &Epoch) -> Flow {
        self.ask(Call::Epoch(epoch.clone()))
    }

    fn image(&mut self, image: &ImageReport<'_>) -> Flow {
        let ImageReport { work, name, index, count, done, score, files } = *image;
        self.ask(Call::Image {
            work,
            name: name.to_owned(),
            at: (index, count),
            done,
            score,
            files: files.to_vec(),
        })
    }
}
