//! Checks whether a run may be resumed with the given settings and images.

use std::collections::BTreeSet;

use crate::network::Model;
use crate::settings::Setting;
use crate::training::Settings;
use crate::{Error, Result};

/// The way out where images cannot be those of a run.
const OR_ANEW: &str =
    "or train on with the new ones in a new folder, with `out`, from the model of this run, with `init`";

/// Checks that a resumed run keeps the settings that it was started with, but for its limits, patience, device, what it shows
/// and where its files lie.
///
/// # Errors
/// [`Error::Mismatch`] with all differences.
pub fn check_same_settings(started: &Settings, now: &Settings) -> Result<()> {
    let differences = differences(started, now, Setting::is_free_on_resume)?;
    if differences.is_empty() {
        return Ok(());
    }
    let lines = differences.iter().map(|[name, then, now]| format!("{name} is {now} and was {then}"));
    Err(Error::Mismatch(format!(
        "`resume` with other settings would be another run: {}; only limits, patience, device and the places of files may change, start a new run with `out`",
        lines.collect::<Vec<_>>().join(", ")
    )))
}

/// In which settings `now` differs from `then`, but for those that are `free` to: the name of each, and what it was and is.
pub(in crate::training) fn differences(
    then: &Settings,
    now: &Settings,
    free: impl Fn(&Setting) -> bool,
) -> Result<Vec<[String; 3]>> {
    let (then, now) = (numbers(then)?, numbers(now)?);
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let mut differences = Vec::new();
    let is_free = |name: &str| Settings::all().any(|setting| free(setting) && setting.name() == name);
    for name in names.into_iter().filter(|name| !is_free(name)) {
        let text = |table: &toml::Table| table.get(name).map_or("not set".into(), ToString::to_string);
        if then.get(name) != now.get(name) {
            differences.push([name.clone(), text(&then), text(&now)]);
        }
    }
    Ok(differences)
}

/// All settings in one table, those of its parts by the names of part and setting.
fn numbers(settings: &Settings) -> Result<toml::Table> {
    let unusual = |e: toml::ser::Error| Error::Mismatch(format!("the settings cannot be compared: {e}"));
    let mut flat = toml::Table::new();
    for (name, value) in toml::Table::try_from(settings).map_err(unusual)? {
        match value {
            toml::Value::Table(part) => {
                flat.extend(part.into_iter().map(|(setting, value)| (format!("{name}.{setting}"), value)));
            }
            value => {
                flat.insert(name, value);
            }
        }
    }
    Ok(flat)
}

/// Texts that identify a run's network and its images, in this order.
pub(in crate::training) fn fingerprints(model: &Model) -> Result<(String, String)> {
    let unusual = |e: serde_json::Error| Error::Mismatch(format!("the model cannot be compared: {e}"));
    let images = ["training_fingerprint", "validation_fingerprint"].map(|name| model.provenance.get(name));
    Ok((
        serde_json::to_string(&(&model.architecture, &model.task)).map_err(unusual)?,
        serde_json::to_string(&(&model.input, &model.target, images)).map_err(unusual)?,
    ))
}

/// Checks by their fingerprints that a run continues with the network and the images that it was started with.
pub(in crate::training) fn check_same_data(started: &(String, String), now: &(String, String)) -> Result<()> {
    check_same_network(started, now)?;
    if started.1 == now.1 {
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "the training images (or their targets, their weights or the validation images) are not those that the run was started with; bring them back, go on with the new ones by `new_labels`, {OR_ANEW}"
    )))
}

/// Checks that a run whose labels are others continues with the network that it was started with, for images of the same kind.
///
/// # Errors
/// [`Error::Mismatch`] where it does not.
pub(in crate::training) fn check_same_network(
    started: &(String, String),
    now: &(String, String),
) -> Result<()> {
    if started.0 == now.0 {
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "the classes or channels are not those that the run was started with; bring them back, {OR_ANEW}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::{Optimisation, TaskKind};

    #[test]
    fn other_images_are_refused_with_the_way_to_train_on() {
        let print = |images: &str| ("network".to_owned(), images.to_owned());
        assert!(check_same_data(&print("a"), &print("a")).is_ok());
        let error = check_same_data(&print("a"), &print("b")).unwrap_err().to_string();
        assert!(error.contains("`out`") && error.contains("`init`"), "{error}");
    }

    #[test]
    fn limits_may_change_and_all_else_is_shown() {
        let started = Settings::new(TaskKind::Segment, "images", "labels");
        let longer = Settings {
            max_epochs: Some(9),
            max_minutes: Some(1.0),
            max_steps: Some(3),
            patience: 1,
            device: "gpu".into(),
            tensorboard: true,
            ..started.clone()
        };
        assert!(check_same_settings(&started, &longer).is_ok());
        let optimisation = Optimisation { ema: Some(0.9), ..Default::default() };
        let other = Settings { depth: Some(9), optimisation, ..started.clone() };
        let error = check_same_settings(&started, &other).unwrap_err().to_string();
        for part in ["depth is 9 and was not set", "optimisation.ema is 0.9 and was not set", "out"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
