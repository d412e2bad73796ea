//! The portal: a project is labelled, trained on and looked at in a browser.
//!
//! A project is a folder of plain files. What a person does becomes lines of a journal, from which everything else follows: labels,
//! undo and redo, and the hash by which a result is made again. The page in `assets/portal/` talks to the server over plain HTTP.
//!
//! The rooms, each using only those before it:
//!
//! - `cache`: what was computed last, while there is room for it. `events`: news for all pages that are open.
//! - `journal`: what was done, line by line in a file: written before it is acknowledged, chained by hashes; undo and redo.
//! - `labels`: from entries of the journal to the label of each pixel.
//! - `tiles`: slices of images as tiles of 256 x 256 pixels, at full size and made smaller.
//! - [`project`]: the folder with its images and classes, and the journal with its labels ([`Project`]).
//! - [`live`]: training while labels are drawn ([`Live`]).
//! - `jobs`: predictions over whole images, one after the other, which survive a restart.
//! - `web`: the server ([`Server`]): addresses, who may ask, and what is answered.

mod cache;
pub mod events;
mod jobs;
mod journal;
mod labels;
pub mod live;
pub mod project;
mod tiles;
mod web;

pub use events::Events;
pub use live::Live;
pub use project::Project;
pub use web::{Options, Server};
