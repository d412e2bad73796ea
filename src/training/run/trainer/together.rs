//! What the ranks of a run agree on before its first step, and after they have judged the network.

use twox_hash::XxHash3_128;

use crate::devices::Device;
use crate::engine::{DeviceInfo, DeviceKind};
use crate::network::Model;
use crate::peers::{Message, MessageReader, Peers};
use crate::training::run::checkpoint::Checkpoint;
use crate::training::run::folder::read_run_settings;
use crate::training::run::resume::differences;
use crate::training::settings::Settings;
use crate::{Error, Result};

/// Where messages come from, for errors.
const MESSAGE: &str = "the message of rank 0";
/// The way out where ranks differ.
const SAME: &str = "start all ranks with the same command, on the same files";

/// Checks that all ranks are about to make the same run, on devices that compute alike. All start from what rank 0 has: its checkpoint,
/// if it has one, and the parameters of its model.
///
/// # Errors
/// [`Error::Mismatch`] saying what differs, on all ranks.
pub(super) fn agree_on_start(
    peers: &mut dyn Peers,
    settings: &Settings,
    fingerprints: &(String, String),
    device: &DeviceInfo,
    model: &mut Model,
    checkpoint: Option<Checkpoint>,
) -> Result<Option<Checkpoint>> {
    if peers.size() == 1 {
        return Ok(checkpoint);
    }
    let leads = peers.rank() == 0;
    let mut own = Message::new();
    own.bytes(env!("CARGO_PKG_VERSION").as_bytes()).bytes(settings.to_toml()?.as_bytes());
    own.bytes(fingerprints.0.as_bytes()).bytes(fingerprints.1.as_bytes());
    own.bytes(unlike(device).as_bytes());
    if leads {
        own.floats(&model.parameters);
        let bytes = checkpoint.as_ref().map(Checkpoint::to_bytes).transpose()?;
        own.bytes(&bytes.unwrap_or_default());
    }
    let all = peers.gather(own.done())?;
    let mut of_rank = all.iter().enumerate().map(|(rank, bytes)| MessageReader::new(bytes, rank));
    let Some(mut first) = of_rank.next() else { return Ok(checkpoint) };
    let [version, text, network, images, kind] = texts(&mut first)?;
    let settings = read_run_settings(text, MESSAGE.as_ref())?;
    for (mut reader, rank) in of_rank.zip(1..) {
        let [other_version, other_text, other_network, other_images, other_kind] = texts(&mut reader)?;
        let differ = |what: String| Error::Mismatch(format!("rank {rank} {what}"));
        if other_version != version {
            let what = format!(
                "is msd-gpu {other_version}, and rank 0 {version}; start the same program on all of them"
            );
            return Err(differ(what));
        }
        let other = read_run_settings(other_text, MESSAGE.as_ref())?;
        let free = |name: &str| matches!(name, "device" | "tensorboard");
        let found = differences(&settings, &other, |setting| {
            free(setting.name()) || setting.is_for_files() && setting.is_free_on_resume()
        })?;
        if let Some([name, first, other]) = found.first() {
            return Err(differ(format!(
                "has other settings than rank 0: {name} is {other}, not {first}; {SAME}"
            )));
        }
        if (network, images) != (other_network, other_images) {
            return Err(differ(format!("sees other images or classes than rank 0; {SAME}")));
        }
        if other_kind != kind {
            return Err(differ(format!(
                "runs on {other_kind}, and rank 0 on {kind}: their parameters would drift apart by rounding; use processors alone, or GPUs \
                 of one model and driver"
            )));
        }
    }
    if leads {
        return Ok(checkpoint);
    }
    let parameters: Vec<f32> = first.floats()?.collect();
    if parameters.len() != model.parameters.len() {
        return Err(Error::Mismatch(format!("rank 0 has a network of another size; {SAME}")));
    }
    model.parameters = parameters;
    let bytes = first.bytes()?;
    (!bytes.is_empty()).then(|| Checkpoint::from_bytes(bytes, MESSAGE.as_ref())).transpose()
}

fn texts<'a, const N: usize>(reader: &mut MessageReader<'a>) -> Result<[&'a str; N]> {
    let mut texts = [""; N];
    for text in &mut texts {
        *text = reader.text()?;
    }
    Ok(texts)
}

/// What must be the same of all devices of a run, so that each update gives the same bits on all of them. Processors follow one standard.
fn unlike(device: &DeviceInfo) -> String {
    match device.kind {
        DeviceKind::Cpu => "the processor".into(),
        _ if device.driver.is_empty() => device.name.clone(),
        _ => format!("{} ({})", device.name, device.driver),
    }
}

/// The device with the sizes of tiles that rank 0 has decided on: each rank might find others, and other ones give other bits.
pub(super) fn tuned_alike(
    peers: &mut dyn Peers,
    device: Device,
    decide: impl FnOnce(Device) -> Device,
) -> Result<Device> {
    if peers.size() == 1 {
        return Ok(decide(device));
    }
    let leads = peers.rank() == 0;
    let device = if leads { decide(device) } else { device };
    let tuning = device.tuning().filter(|_| leads).unwrap_or_default();
    let all = peers.gather(tuning.into_bytes())?;
    let tuning =
        all.first().and_then(|bytes| std::str::from_utf8(bytes).ok()).filter(|text| !text.is_empty());
    Ok(match tuning {
        Some(tuning) if !leads => device.with_tuning(tuning),
        _ => device,
    })
}

/// Checks that all ranks have the same parameters, as they must after each update.
///
/// # Errors
/// [`Error::Device`] naming the first rank that has others than rank 0.
pub(super) fn check_alike(peers: &mut dyn Peers, parameters: &[f32]) -> Result<()> {
    if peers.size() == 1 {
        return Ok(());
    }
    let print = XxHash3_128::oneshot(bytemuck::cast_slice(parameters));
    let all = peers.gather(print.to_le_bytes().to_vec())?;
    match all.iter().position(|other| *other != all[0]) {
        None => Ok(()),
        Some(rank) => Err(Error::device(
            format!("the device of rank {rank}"),
            "training",
            "its parameters are no longer those of rank 0, as it computes otherwise; train without it, or on processors",
        )),
    }
}
