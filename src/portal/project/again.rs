//! How a model of the page is made again.

use std::path::Path;

use super::{LearnsFrom, Project};
use crate::network::Model;
use crate::settings::ValueKind;
use crate::training::{RunFolder, Settings};

/// Limits of runs of the page are not kept: they end where people say so.
const LIMITS: [&str; 4] = ["max_epochs", "max_minutes", "max_steps", "patience"];

/// What names a model of the page: the journal that it has seen, and its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::portal) struct Seen {
    /// The hash of the journal's last entry.
    pub(in crate::portal) journal: String,
    pub(in crate::portal) steps: u64,
}

impl Seen {
    /// What a model says of itself; `None` for one that is not of a page.
    pub(in crate::portal) fn of(model: &Model) -> Option<Self> {
        let journal = model.provenance.get("journal")?.rsplit(' ').next()?.to_owned();
        Some(Self { journal, steps: model.provenance.get("steps")?.parse().ok()? })
    }
}

/// The steps that a model has made.
pub(in crate::portal) fn steps_of(model: &Model) -> Option<u64> {
    model.provenance.get("steps")?.parse().ok()
}

impl Project {
    /// The command that makes a model of the page again, for a shell; `None` for one that does not say how it was made.
    pub(in crate::portal) fn command_of(&self, model: &Model) -> Option<String> {
        match self.denoises() {
            true => self.denoising_command(model),
            false => Some(self.command(&Seen::of(model)?)),
        }
    }

    fn denoising_command(&self, model: &Model) -> Option<String> {
        let run = self.folder.join("runs").join(model.provenance.get("run")?);
        let (steps, settings) = (steps_of(model)?, RunFolder::settings(&run).ok()?);
        let (depth, kept) = (self.training().0, self.settings());
        let mut words = vec!["msd-gpu train denoise".to_owned()];
        if let Some(list) = &settings.pairs {
            words.push(format!("--pairs {}", quoted(list)));
        } else if settings.alone {
            words.push(format!("--alone --images {}", quoted(&settings.images)));
        } else {
            words.push("--splits".into());
            words.extend(settings.splits.iter().map(|place| quoted(place)));
        }
        if let Some(init) = &settings.init {
            words.push(format!("--init {}", quoted(init)));
        } else if let (true, Some(layers)) = (["small", "large"].contains(&depth.as_str()), settings.depth) {
            words.push(format!("--depth {layers}"));
        }
        if let (Some(share), false) = (settings.val_fraction, kept.contains_key("val_fraction")) {
            words.push(format!("--val-fraction {share}"));
        }
        for (name, text) in &kept {
            let is_taken_over = settings.init.is_some() && name.starts_with("normalise");
            if is_taken_over || LIMITS.contains(&name.as_str()) {
                continue;
            }
            let flag = name.replace('_', "-");
            let setting = Settings::all().find(|setting| setting.name() == name)?;
            match setting.kind() {
                ValueKind::Switch if text == "true" => words.push(format!("--{flag}")),
                ValueKind::Switch => {}
                _ => words.push(format!("--{flag} {}", quoted(text))),
            }
        }
        words.push(format!("--max-steps {steps} --out again"));
        Some(words.join(" "))
    }

    /// The command that applies a model of the page which denoises, once it was made again, to the images that it has learnt from; `None`
    /// where these are not known.
    pub(in crate::portal) fn predict_command(&self, model: &Model) -> Option<String> {
        let run = model.provenance.get("run")?;
        let settings = RunFolder::settings(&self.folder.join("runs").join(run)).ok()?;
        let images = match self.purpose().1 {
            LearnsFrom::Splits => settings.splits.iter().map(|place| quoted(place)).collect(),
            LearnsFrom::Alone => vec![quoted(&settings.images)],
            LearnsFrom::Pairs => {
                let names = Path::new(settings.pairs.as_ref()?).parent()?.join("noisy");
                let only = self.images_to_work_on().into_iter().next()?;
                let place =
                    if names.is_dir() { names.display().to_string() } else { only.place(&self.folder) };
                vec![quoted(&place)]
            }
        };
        Some(format!("msd-gpu predict --model again {} --out results", images.join(" ")))
    }

    /// The command that makes a model again from what was drawn, for a shell.
    pub(in crate::portal) fn command(&self, Seen { journal, steps }: &Seen) -> String {
        let folder = quoted(&self.folder.display().to_string());
        format!("msd-gpu train --project {folder} --journal {journal} --steps {steps} --out again")
    }
}

/// Text as one word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | ':');
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}
