//! What was done to a project, line by line.
//!
//! - `entry`: what can be done ([`Entry`]), and which numbers are accepted.
//! - `file`: the lines in `journal.jsonl`: on the disk before they are acknowledged, chained by hashes ([`JournalFile`]).
//! - `history`: all entries with what is undone, and which one undo and redo mean ([`History`]).

mod entry;
mod file;
mod history;

pub(super) use entry::{
    Between, ClassChange, Entry, ImageChange, Import, Of, Shape, Stroke, UNLABELLED, check_name, check_tab,
};
#[cfg(test)]
pub(super) use entry::{Fill, Polygon};
pub(super) use file::{JournalFile, Line};
pub use history::Class;
pub(super) use history::History;
