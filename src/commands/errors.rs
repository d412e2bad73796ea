//! Errors of the library as users of the command line read them: settings as flags, and exit codes.

use std::collections::BTreeSet;

use clap::{Command, CommandFactory};

use super::{Arguments, interrupt};
use crate::error::with_settings;
use crate::{Error, Result};

/// The sentence of `error`, with settings as the flags that set them.
pub fn sentence(error: &Error) -> String {
    let flags = flags();
    let text = match error {
        Error::Setting { setting, found, wanted } => match flag_of(setting, &flags) {
            Some(flag) => format!("{flag} is {found}, but {wanted}"),
            None => error.to_string(),
        },
        other => other.to_string(),
    };
    with_flags(&text, &flags)
}

/// A sentence of the library with settings as the flags that set them.
pub fn in_flags(text: &str) -> String {
    if text.contains('`') { with_flags(text, &flags()) } else { text.to_owned() }
}

/// The exit code of the program: 0 for success, 1 when running failed, 2 when the request, its input or the place for its output
/// cannot be used, and 128 with the number of the signal where one ended the work in good order.
pub fn exit_code(result: &Result<()>) -> u8 {
    match result {
        Ok(()) | Err(Error::Stopped { .. }) if interrupt::exit_code().is_some() => {
            interrupt::exit_code().unwrap_or_default()
        }
        Ok(()) => 0,
        Err(error) if error.is_failure() => 1,
        Err(_) => 2,
    }
}

/// The long names of all flags of all subcommands.
fn flags() -> BTreeSet<String> {
    fn collect(command: &Command, flags: &mut BTreeSet<String>) {
        flags.extend(command.get_arguments().filter_map(|argument| argument.get_long()).map(str::to_owned));
        command.get_subcommands().for_each(|subcommand| collect(subcommand, flags));
    }
    let mut flags = BTreeSet::new();
    collect(&Arguments::command(), &mut flags);
    flags
}

/// The flag of a setting: `--val-fraction` for `val_fraction`.
fn flag_of(setting: &str, flags: &BTreeSet<String>) -> Option<String> {
    let name = setting.replace('_', "-");
    flags.contains(&name).then(|| format!("--{name}"))
}

/// Puts flags in the place of settings in backquotes, which may have a value with them; all else stays.
pub(super) fn with_flags(text: &str, flags: &BTreeSet<String>) -> String {
    with_settings(text, |name, value| {
        let flag = flag_of(name, flags)?;
        Some(value.map_or_else(|| flag.clone(), |value| format!("{flag} {value}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_shown_as_flags_and_nothing_else_is_changed() {
        let error = Error::setting("val_fraction", 2, "give `val_images`, `device cpu` or `something`");
        let text = "--val-fraction is 2, but give --val-images, --device cpu or `something`";
        assert_eq!(sentence(&error), text);
        let error = Error::setting("the image size", "0x3", "it has a ` alone");
        assert_eq!(sentence(&error), "the image size is 0x3, but it has a ` alone");
        let error = Error::Mismatch("`schedule step` needs `lr_steps`".into());
        assert_eq!(sentence(&error), "--schedule step needs --lr-steps");
        assert_eq!(exit_code(&Err(error)), 2);
        assert_eq!(exit_code(&Err(Error::device("a", "b", "c"))), 1);
        assert_eq!(exit_code(&Ok(())), 0);
    }
}
