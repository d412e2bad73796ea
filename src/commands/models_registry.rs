//! `msd-gpu models`: the registry of models; and the flags with which other commands take one of it.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};
use serde_json::{Value, json};

use super::{console, table};
use crate::registry::{Entry, Keys, Listing, Registry};
use crate::{Error, Result};

/// The environment variable that names the registry.
const VARIABLE: &str = "MSD_GPU_REGISTRY";

/// Arguments of `models`.
#[derive(Debug, Args)]
pub struct ModelsArguments {
    #[command(subcommand)]
    action: Option<Action>,
    /// Folder of models [default: the one that MSD_GPU_REGISTRY names, else msd-gpu/models in the user's folder for data]
    #[arg(long, value_name = "DIR", global = true)]
    registry: Option<PathBuf>,
    /// Print one JSON object for each model
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Copy a model into the registry, with what it was trained on
    Add {
        /// Run folder or model file
        #[arg(value_name = "MODEL")]
        model: PathBuf,
        /// What it was trained on, for each thing once: any key, and a text or a number with its unit, such as energy=25keV
        #[arg(long = "key", value_name = "KEY=VALUE", required = true)]
        keys: Vec<String>,
        /// What it is called [default: the name of its file or folder]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Remove a model from the registry
    Remove {
        /// What it is called
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Runs the command.
pub fn run(arguments: ModelsArguments) -> Result<()> {
    let ModelsArguments { action, registry, json } = arguments;
    let registry = open(registry.as_deref())?;
    match action {
        None => list(&registry, json),
        Some(Action::Add { model, keys, name }) => {
            let entry = registry.add(&model, &Keys::parse(&keys)?, name.as_deref())?;
            if json {
                console::json(&as_json(&entry));
            }
            log::info!("{} -> {}", model.display(), entry.path.display());
            Ok(())
        }
        Some(Action::Remove { name }) => {
            registry.remove(&name)?;
            if json {
                console::json(&json!({ "removed": name }));
            }
            log::info!("{name} is removed from {}", registry.folder().display());
            Ok(())
        }
    }
}

/// The registry in `folder`, or the usual one.
fn open(folder: Option<&Path>) -> Result<Registry> {
    if let Some(folder) = folder {
        return Ok(Registry::new(folder));
    }
    if let Some(folder) = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
        return Ok(Registry::new(folder));
    }
    let strategy = choose_native_strategy().map_err(|error| {
        let found = format!("not given, and there is no folder of the user for data ({error})");
        Error::setting("--registry", found, "name a folder of models, here or in MSD_GPU_REGISTRY")
    })?;
    Ok(Registry::new(strategy.data_dir().join("msd-gpu").join("models")))
}

fn as_json(entry: &Entry) -> Value {
    let keys: serde_json::Map<String, Value> =
        entry.keys.iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    json!({
        "name": entry.name, "keys": keys, "task": entry.task.to_string(), "channels": entry.inputs,
        "layers": entry.depth, "added": entry.day(), "source": entry.source, "path": entry.path,
    })
}

fn list(registry: &Registry, json: bool) -> Result<()> {
    let Listing { entries, damaged, .. } = registry.list()?;
    damaged.iter().for_each(|error| log::warn!("passed over: {error}"));
    if json {
        entries.iter().for_each(|entry| console::json(&as_json(entry)));
        return Ok(());
    }
    if entries.is_empty() {
        log::info!(
            "{} holds no models; msd-gpu models add MODEL --key KEY=VALUE adds one",
            registry.folder().display()
        );
        return Ok(());
    }
    let heading = ["name", "task", "channels", "layers", "added"].map(str::to_owned).to_vec();
    let row = |entry: &Entry| {
        let numbers = [entry.inputs, entry.depth].map(|number| number.to_string());
        [[entry.name.clone(), entry.task.to_string()].as_slice(), &numbers, &[entry.day()]].concat()
    };
    let rows: Vec<Vec<String>> = std::iter::once(heading).chain(entries.iter().map(row)).collect();
    let keys = std::iter::once("  trained on".to_owned())
        .chain(entries.iter().map(|entry| format!("  {}", entry.keys)));
    for (line, keys) in table::lines(&rows).iter().zip(keys) {
        console::line(format!("{line}{keys}"));
    }
    Ok(())
}

/// Which model of the registry is taken, in the place of one that is named.
#[derive(Debug, Args)]
pub struct RegistryArguments {
    /// Take the model of the registry that is nearest to what --key says, in the place of --model; =DIR names another registry
    ///
    /// Of each key the difference is 0 where the model has the same value, that of two numbers of one unit over the larger of them, and 1
    /// for other values and missing keys. The model of the least mean is taken, and of several the newest.
    #[arg(
        long, value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = "", requires = "keys",
        conflicts_with = "models"
    )]
    from_registry: Option<String>,
    /// What is known of the images, for --from-registry: keys as in msd-gpu models, such as energy=24keV
    #[arg(long = "key", value_name = "KEY=VALUE", requires = "from_registry")]
    keys: Vec<String>,
}

impl RegistryArguments {
    /// The file of the model that is wanted; `None` where none of the registry is.
    pub(super) fn choose(&self) -> Result<Option<PathBuf>> {
        self.from_registry.as_deref().map(|folder| nearest(folder, &self.keys, |_| true)).transpose()
    }
}

/// The file of the model in the registry in `folder`, or the usual one where that is empty, that is nearest to these keys, among those of
/// which `fits` is true. Says which it is.
pub(super) fn nearest(folder: &str, keys: &[String], fits: impl Fn(&Entry) -> bool) -> Result<PathBuf> {
    let registry = open(Some(Path::new(folder)).filter(|folder| !folder.as_os_str().is_empty()))?;
    let nearest = registry.nearest(&Keys::parse(keys)?, fits)?;
    log::info!("the nearest model of {} is {nearest}", registry.folder().display());
    Ok(nearest.entry.path)
}
