//! Files and folders, whatever is in them: writing that leaves nothing half-done, and what a killed program left behind.
//!
//! - `atomic`: files that appear whole or not at all ([`write_bytes_atomic`], [`write_atomic`]).
//! - `leftovers`: unfinished files of a program that was killed ([`remove_unfinished`]).

mod atomic;
mod leftovers;

pub use atomic::{write_atomic, write_bytes_atomic};
pub use leftovers::remove_unfinished;
