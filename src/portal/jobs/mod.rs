//! Predictions over whole images, one after the other. They survive a closed page and a restart of the server.
//!
//! - `job`: what is asked for and what has become of it, as it is kept in `results/<job>/job.json`.
//! - `queue`: the jobs of a project, and the thread that does them ([`Jobs`]).
//! - `work`: one job, image by image, as `msd-gpu predict` does it.
//! - `objects`: pixels and connected objects of each class.
//! - `looks`: tiles of results.

mod job;
mod looks;
mod objects;
mod queue;
mod work;

pub(super) use job::{Job, Wish};
pub(super) use queue::{Jobs, Stopping};
