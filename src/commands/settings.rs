//! The flags of `train` for its settings: one for each in the library's list, with its help from there.

use std::collections::BTreeSet;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueHint};

use super::errors::with_flags;
use crate::Result;
use crate::network::TaskKind;
use crate::settings::{Choice, Heading, Setting, ValueKind};
use crate::training::Settings;

/// The setting that has no flag, but is the first word of the command.
const POSITIONAL: &str = "task";
/// Other names of a regression.
const DENOISE: &str = "denoise";
const UPSCALE: &str = "upscale";

/// The settings that were given as flags, as text that their flags have accepted.
#[derive(Debug, Clone, Default)]
pub(super) struct SettingArguments {
    given: Vec<(&'static Setting, String)>,
    /// Whether the task was called denoising.
    pub(super) denoises: bool,
    /// Whether the task was called upscaling.
    pub(super) upscales: bool,
}

impl SettingArguments {
    /// What was given for the setting of this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(setting, _)| setting.name() == name).map(|(_, text)| text.as_str())
    }

    /// Takes away what was given for the setting of this name.
    pub(super) fn forget(&mut self, name: &str) {
        self.given.retain(|(setting, _)| setting.name() != name);
    }

    /// Puts what was given in the place of what is set.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for a text that the setting does not take.
    pub(super) fn override_settings(&self, settings: &mut Settings) -> Result<()> {
        self.given.iter().try_for_each(|(setting, text)| settings.set(setting.name(), text))
    }
}

impl Args for SettingArguments {
    fn augment_args(command: Command) -> Command {
        let flags: BTreeSet<String> = Settings::all().map(flag_name).collect();
        let of = |&heading: &Heading| Settings::all().filter(move |setting| setting.heading() == heading);
        Heading::ALL
            .iter()
            .flat_map(of)
            .fold(command, |command, setting| command.arg(argument(setting, &flags)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingArguments {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let given = |setting: &'static Setting| {
            let text = match setting.kind() {
                ValueKind::Switch => matches.get_flag(setting.name()).then(|| "true".to_owned()),
                ValueKind::Paths => {
                    let paths = matches.get_many::<String>(setting.name());
                    paths.map(|paths| paths.cloned().collect::<Vec<_>>().join("\n"))
                }
                _ => matches.get_one::<String>(setting.name()).cloned(),
            };
            text.map(|text| (setting, text))
        };
        let mut given: Vec<_> = Settings::all().filter_map(given).collect();
        let task = given.iter_mut().find(|(setting, _)| setting.name() == POSITIONAL);
        let [denoises, upscales] =
            [DENOISE, UPSCALE].map(|name| task.as_ref().is_some_and(|(_, text)| text == name));
        if let Some((_, text)) = task.filter(|_| denoises || upscales) {
            *text = TaskKind::Regress.to_string();
        }
        Ok(Self { given, denoises, upscales })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The long name of the flag: `val-fraction` for `val_fraction`. Switches are off by default.
fn flag_name(setting: &Setting) -> String {
    setting.name().replace('_', "-")
}

/// The flag of a setting; `flags` are the names of all.
fn argument(setting: &'static Setting, flags: &BTreeSet<String>) -> Arg {
    let help = setting.help();
    let default = setting.described().filter(|_| setting.kind() != ValueKind::Switch);
    let default = default.map_or(String::new(), |default| format!(" [{default}]"));
    let arg = Arg::new(setting.name()).help(with_flags(&help, flags) + &default);
    let arg = if setting.name() == POSITIONAL { arg } else { arg.long(flag_name(setting)) };
    // What a run leaves behind stands with the folder that it is left in.
    let arg = match setting.heading() {
        _ if setting.name() == POSITIONAL => arg,
        Heading::Run => arg,
        heading => arg.help_heading(heading.title()),
    };
    if setting.kind() == ValueKind::Switch {
        return arg.action(ArgAction::SetTrue);
    }
    let arg = arg.value_name(setting.value_name());
    match setting.kind() {
        ValueKind::Count => arg.value_parser(checked::<u64>()),
        ValueKind::Whole => arg.value_parser(checked::<i64>()).allow_negative_numbers(true),
        ValueKind::Number => arg.value_parser(checked::<f64>()).allow_negative_numbers(true),
        ValueKind::Numbers => arg.allow_hyphen_values(true),
        ValueKind::Path => arg.value_hint(ValueHint::AnyPath),
        ValueKind::Paths => arg.value_hint(ValueHint::AnyPath).num_args(1..),
        ValueKind::Choice(choices) if setting.name() == POSITIONAL => {
            let denoise = PossibleValue::new(DENOISE)
                .help("regress, with clean images as targets or without any (see --splits and --alone)");
            let upscale =
                PossibleValue::new(UPSCALE).help("regress, from coarse images to fine ones (see --factor)");
            let names = choices.iter().map(|choice| PossibleValue::new(choice.name()).help(choice.help()));
            arg.value_parser(PossibleValuesParser::new(names.chain([denoise, upscale])))
        }
        ValueKind::Choice(choices) => arg.value_parser(names_of(choices)),
        _ => arg,
    }
}

/// Takes text that can be read as a `T`.
fn checked<T>() -> ValueParser
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    ValueParser::new(|text: &str| text.parse::<T>().map(|_| text.to_owned()))
}

/// Takes the names of `choices`, and shows them in the help.
fn names_of(choices: &[Choice]) -> PossibleValuesParser {
    PossibleValuesParser::new(
        choices.iter().map(|choice| PossibleValue::new(choice.name()).help(choice.help())),
    )
}

/// Reads one of the values that `choices` name.
pub(super) fn one_of<T>(choices: &[Choice]) -> impl TypedValueParser<Value = T> + use<T>
where
    T: std::str::FromStr<Err = crate::Error> + Clone + Send + Sync + 'static,
{
    names_of(choices).try_map(|name| name.parse::<T>())
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
