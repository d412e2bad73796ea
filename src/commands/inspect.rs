//! `msd-gpu inspect`: what a model is, and what applying and training it take; or what an image or a stack is.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::discovery::DiscoveryArguments;
use super::terminal::Graphics;
use super::{console, look};
use crate::cpu::{CpuEngine, CpuOptions};
use crate::engine::Engine;
use crate::geometry::{Extent, Shape};
use crate::images::{Discovery, ImageSource, is_there, page_size};
use crate::network::{
    Architecture, Coarsening, DilationMode, InputNormalisation, Measure, Model, Normalisation,
    SelfSupervised, Splits, Task, Upscaling,
};
use crate::{Error, Result, inference, training};

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// Run folder or model file; or an image, a stack, an array such as scan.h5:/entry/data, or a folder of slices
    #[arg(value_name = "PATH")]
    model: PathBuf,
    /// Of a model, say what memory an image of H rows and W columns takes, such as 512x640; 2048 is 2048x2048. Of a model of volumes,
    /// slices come first: 64x128x128
    #[arg(long, value_name = "HxW")]
    size: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// How the picture of an image is shown in a terminal
    #[arg(long, value_name = "HOW", default_value = "auto")]
    picture: Graphics,
    #[command(flatten)]
    discovery: DiscoveryArguments,
}

/// Memory for images of one size on the CPU, in bytes; the program itself comes on top.
struct MemoryNeeds {
    extent: Extent,
    /// The network, and the images and results that are there at a time.
    apply: [u64; 2],
    /// The network, and the images of the steps that are made ready.
    train: [u64; 2],
    /// Each training image with its target.
    image: u64,
}

/// What is looked at.
enum Subject {
    Model(Box<Model>),
    Images(Vec<ImageSource>),
}

/// What `path` is: a model where it is named like one or is one, else images.
///
/// # Errors
/// As [`Model::read`] where neither is there, and as [`Discovery::discover`] for images that cannot be read.
fn subject(path: &Path, discovery: &Discovery) -> Result<Subject> {
    let is_model = path.extension().is_some_and(|ending| ending == "safetensors")
        || path.join("model.safetensors").exists();
    if is_model {
        return Model::read(path).map(Box::new).map(Subject::Model);
    }
    let found = discovery.discover(&path.to_string_lossy());
    // Any file is found, also those that are no image.
    let images = found.and_then(|images| match images.first().map(page_size) {
        Some(Err(error)) => Err(error),
        _ => Ok(images),
    });
    images.map(Subject::Images).or_else(|error| {
        // Looking for a model in a pipe would wait for a program that writes to it.
        if path.exists() && !path.is_file() && !path.is_dir() {
            return Err(error);
        }
        let model = Model::read(path).map(Box::new).map(Subject::Model);
        // Of what is no image either, a folder was mostly meant to be that of a run.
        let is_run = path.is_dir() && path.extension().is_none();
        model.map_err(|other| {
            if is_run || !path.exists() && !is_there(&path.to_string_lossy()) { other } else { error }
        })
    })
}

/// Prints what the model file says, and what follows from it.
pub fn run(arguments: InspectArguments) -> Result<()> {
    let model = match subject(&arguments.model, &arguments.discovery.discovery(None))? {
        Subject::Model(model) => model,
        Subject::Images(_) if arguments.size.is_some() => {
            let problem = "an image was named, but this is for models; name a model, or leave it out";
            return Err(Error::setting("size", arguments.size.unwrap_or_default(), problem));
        }
        Subject::Images(images) => {
            let path = arguments.model.to_string_lossy();
            return look::run(&path, images, arguments.json, arguments.picture);
        }
    };
    let of_volumes = model.architecture.is_of_volumes();
    let size = arguments.size.as_deref().map(|text| parse_size(text, of_volumes)).transpose()?;
    let memory = size.map(|size| memory(&model, size)).transpose()?;
    if arguments.json {
        console::json(&as_json(&model, memory.as_ref()));
    } else {
        for line in table_of(&arguments, &model, memory.as_ref()) {
            console::line(line);
        }
    }
    Ok(())
}

/// Reads `HxW`, two whole numbers above 0, or one for both; of volumes `DxHxW`, three of them or one.
fn parse_size(text: &str, of_volumes: bool) -> Result<Extent> {
    let number = |part: &str| {
        // `parse` alone would take a sign too.
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten().filter(|&number: &usize| number > 0)
    };
    let numbers: Option<Vec<usize>> = text.split('x').map(number).collect();
    let size = match (numbers.as_deref(), of_volumes) {
        (Some([side]), false) => Some(Extent::plane(*side, *side)),
        (Some([rows, columns]), false) => Some(Extent::plane(*rows, *columns)),
        (Some([side]), true) => Some(Extent::new(*side, *side, *side)),
        (Some([slices, rows, columns]), true) => Some(Extent::new(*slices, *rows, *columns)),
        _ => None,
    };
    size.ok_or_else(|| {
        let wanted = match of_volumes {
            false => "it must be rows x columns in pixels, such as 512x640, or one number for both",
            true => "it must be slices x rows x columns, such as 64x128x128, or one number for all three",
        };
        Error::setting("--size", format!("'{text}'"), wanted)
    })
}

fn memory(model: &Model, extent: Extent) -> Result<MemoryNeeds> {
    let engine = CpuEngine::new(&model.architecture, &model.parameters, &CpuOptions::default())?;
    let shape = Shape { batch: 1, extent };
    let steps = training::MemoryUse::of_steps(&engine, &model.task, shape)?;
    Ok(MemoryNeeds {
        extent,
        apply: [engine.bytes(shape, false)?, inference::image_bytes(model, extent, inference::AHEAD)],
        train: [steps.network, steps.images],
        image: training::image_bytes(&model.architecture, &model.task, extent),
    })
}

fn as_json(model: &Model, memory: Option<&MemoryNeeds>) -> Value {
    let memory = memory.map(|memory| {
        json!({
            "slices": memory.extent.z, "height": memory.extent.y, "width": memory.extent.x, "device": "cpu",
            "apply_bytes": memory.apply.iter().sum::<u64>(), "apply_network_bytes": memory.apply[0],
            "train_bytes": memory.train.iter().sum::<u64>(), "train_network_bytes": memory.train[0],
            "bytes_per_training_image": memory.image,
        })
    });
    json!({
        "task": model.task, "architecture": model.architecture, "parameters": model.parameters.len(),
        "receptive_field": model.architecture.receptive_field(),
        "receptive_field_z": model.architecture.receptive_field_z(), "input": model.input, "target": model.target,
        "self_supervised": model.self_supervised, "upscaling": model.upscaling, "provenance": model.provenance, "memory": memory,
    })
}

/// What the file of a model says, as names and what they are.
pub(super) fn entries(path: &Path, model: &Model) -> Vec<(String, String)> {
    let architecture = &model.architecture;
    let mut entries = vec![("model".to_owned(), path.display().to_string())];
    let mut say = |name: &str, text: String| entries.push((name.to_owned(), text));
    match &model.task {
        Task::Regress => say("task", "regress".into()),
        Task::Segment { classes } => {
            say("task", format!("segment into {} classes", classes.len()));
            for class in classes {
                say(&format!("class {}", class.value), class.name.clone());
            }
        }
    }
    match model.self_supervised {
        Some(SelfSupervised::Splits(Splits { count, scheme })) => {
            say("learnt from", format!("{count} recordings of each slice, scheme {scheme}"));
        }
        Some(SelfSupervised::BlindSpots { mask, extent }) => {
            say("learnt from", format!("images alone, blind mask {mask} of {extent} pixels to each side"));
        }
        None => {}
    }
    if let Some(Upscaling { factor, coarsening }) = model.upscaling {
        say("makes finer", format!("{factor} times in y and x, from bicubic interpolation"));
        if let Some(Coarsening { blur, noise }) = coarsening {
            say(
                "learnt from",
                format!("fine images made coarse, with a blur of {blur} fine pixels and noise of {noise}"),
            );
        }
    }
    match model.slab {
        1 => say("inputs", channels(architecture.inputs)),
        slab => {
            say("inputs", format!("slabs of {slab} slices, each of {}", channels(architecture.inputs / slab)))
        }
    }
    say("outputs", channels(architecture.outputs));
    say("layers", format!("{} of width {}", architecture.depth, architecture.width));
    if architecture.is_of_volumes() {
        say("dimensions", "3: filters of 3x3x3".into());
    }
    say("dilations", dilations(architecture));
    if !architecture.dilations_z.is_empty() {
        let list: Vec<String> = architecture.dilations_z.iter().map(usize::to_string).collect();
        say("along z", format!("{}, in slices", list.join(",")));
    }
    say("boundary", architecture.boundary.name().into());
    if !architecture.stem.is_none() {
        say("stem", format!("filters of {} pixels", architecture.stem));
    }
    say("parameters", model.parameters.len().to_string());
    let field = architecture.receptive_field();
    if architecture.is_of_volumes() {
        let along_z = architecture.receptive_field_z();
        say("receptive field", format!("{along_z} slices of {field} x {field} pixels"));
    } else {
        say("receptive field", format!("{field} x {field} pixels"));
    }
    let input = match &model.input {
        InputNormalisation::Set(normalisation) => Some(normalisation),
        InputNormalisation::PerImage { per_image } => {
            say("input", format!("each image by its own {}", in_words(*per_image)));
            None
        }
    };
    for (side, normalisation) in [("input", input), ("target", model.target.as_ref())] {
        for (channel, text) in normalisation.map(normalisations).unwrap_or_default().into_iter().enumerate() {
            say(&format!("{side} channel {channel}"), text);
        }
    }
    for (name, text) in &model.provenance {
        say(name, text.clone());
    }
    entries
}

fn table_of(arguments: &InspectArguments, model: &Model, memory: Option<&MemoryNeeds>) -> Vec<String> {
    let mut entries = entries(&arguments.model, model);
    let mut say = |name: &str, text: String| entries.push((name.to_owned(), text));
    if let Some(memory) = memory {
        let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64);
        let parts = |[network, images]: [u64; 2]| {
            let all = mebibytes(network + images);
            // Short enough for a line of 80 characters.
            format!("{all}: network {}, images {}", mebibytes(network), mebibytes(images))
        };
        let Extent { z, y, x } = memory.extent;
        say(
            "memory",
            match model.architecture.is_of_volumes() {
                true => format!("for volumes of {z} x {y} x {x} voxels (slices x rows x columns)"),
                false => format!("for images of {y} x {x} pixels (rows x columns)"),
            },
        );
        say("", "on the CPU, besides the program".into());
        say("  to apply", parts(memory.apply));
        let each = mebibytes(memory.image);
        say("  to train", parts(memory.train));
        say("", format!("and {each} for each training image"));
    }
    let width = entries.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    entries.iter().map(|(name, text)| format!("{name:<width$}  {text}")).collect()
}

fn channels(count: usize) -> String {
    format!("{count} channel{}", if count == 1 { "" } else { "s" })
}

/// The dilations as the command line takes them, and what they cycle over.
fn dilations(architecture: &Architecture) -> String {
    let list = &architecture.dilations;
    let text = match list[..] {
        [first, .., last] if list.iter().copied().eq(first..=last) => format!("{first}..{last}"),
        _ => list.iter().map(usize::to_string).collect::<Vec<_>>().join(","),
    };
    match architecture.dilation_mode {
        DilationMode::Channel => format!("{text}, one for each channel in turn"),
        DilationMode::Layer => format!("{text}, one for each layer in turn"),
    }
}

fn in_words(measure: Measure) -> String {
    match measure {
        Measure::MeanDeviation => "mean and standard deviation".into(),
        Measure::Percentiles { low, high } => format!("percentiles {low} and {high}"),
    }
}

/// What becomes 0 and 1 in each channel, in words.
fn normalisations(normalisation: &Normalisation) -> Vec<String> {
    let pairs = normalisation.mean.iter().zip(&normalisation.deviation);
    pairs.map(|(mean, deviation)| format!("(x - {mean}) / {deviation}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_strictly() {
        assert_eq!(parse_size("512x640", false).unwrap(), Extent::plane(512, 640));
        assert_eq!(parse_size("2048", false).unwrap(), Extent::plane(2048, 2048));
        assert_eq!(parse_size("2x3x4", true).unwrap(), Extent::new(2, 3, 4));
        assert_eq!(parse_size("96", true).unwrap(), Extent::new(96, 96, 96));
        assert!(parse_size("512x640", true).unwrap_err().to_string().contains("slices x rows x columns"));
        for bad in [
            "",
            "x",
            "512x",
            "x640",
            "0x5",
            "5x0",
            "+5x5",
            "-5x5",
            "5X5",
            "5x5x5",
            "5 x 5",
            "5.0x5",
            "99999999999999999999x1",
        ] {
            let error = parse_size(bad, false).unwrap_err().to_string();
            assert!(error.contains(&format!("--size is '{bad}'")), "{error}");
        }
    }

    #[test]
    fn dilations_read_as_they_are_given() {
        let of = |list: &[usize]| {
            dilations(&Architecture { dilations: list.to_vec(), ..Architecture::new(1, 1, 1) })
        };
        assert!(of(&[1, 2, 3]).starts_with("1..3,"));
        assert!(of(&[1, 2, 4]).starts_with("1,2,4,"));
        assert!(of(&[7]).starts_with("7,"));
    }
}
