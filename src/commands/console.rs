//! Lines for standard output.

use std::io::{ErrorKind, Write};

/// Prints one line. A reader that has gone away (`| head`) ends the program quietly, as other tools do; a full disk ends it
/// with a sentence.
pub(super) fn line(text: impl std::fmt::Display) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        eprintln!("error: cannot write to standard output: {error}; check the free space and try again");
        std::process::exit(1);
    }
}

/// Prints one JSON object on a line of its own.
pub(super) fn json(value: &serde_json::Value) {
    line(value);
}
