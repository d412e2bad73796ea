//! Lines for standard output.

use std::io::{ErrorKind, Write};

/// Prints one line. A reader that has gone away (`| head`) ends the program quietly, as other tools do.
pub(super) fn line(text: impl std::fmt::Display) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        let code = if error.kind() == ErrorKind::BrokenPipe { 0 } else { 1 };
        std::process::exit(code);
    }
}

/// Prints one JSON object on a line of its own.
pub(super) fn json(value: &serde_json::Value) {
    line(value);
}
