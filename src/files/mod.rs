//! Files and folders, whatever is in them: writing that leaves nothing half-done, and what a killed program left behind.
//!
//! - `atomic`: files that appear whole or not at all ([`write_bytes_atomic`], [`write_atomic`]), bit by bit
//!   too ([`UnfinishedFile`]).
//! - `folder`: folders for results, made and tried beforehand ([`make_and_try`]), and taken by one program at a time
//!   ([`FolderLock`]).
//! - `resumable`: files that are written at any places, and that another run goes on with ([`ResumableFile`]).
//! - `leftovers`: unfinished files of a program that was killed ([`remove_unfinished`]).
//! - `stamp`: what tells one state of a file from another ([`Stamp`]).
//! - `lines`: lines of files that are not trusted ([`read_line`]).

mod atomic;
mod folder;
mod leftovers;
mod lines;
mod resumable;
mod stamp;
mod text;

pub use atomic::{UnfinishedFile, write_atomic, write_bytes_atomic};
pub use folder::{FolderLock, make_and_try};
pub use leftovers::remove_unfinished;
pub use lines::read_line;
pub use resumable::{ResumableFile, read_exact_at, unfinished_name, write_all_at};
pub use stamp::{Stamp, nanoseconds};
pub use text::read_text;
