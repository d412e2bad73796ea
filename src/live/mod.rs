//! Images that are done as they appear: in a folder that another program writes into, or slice by slice of an array that grows.
//!
//! What appears is found by looking again and again, not by events of the file system: network file systems, which
//! microscopes and beamlines write to, do not tell of what other machines write.
//!
//! - `arrivals`: which files or slices are new, being written, ready, done or given up. It sees no disk and no clock.
//! - `source`: what is there to be looked at: files of a folder, slices of an array.
//! - `queue`: which images are done when more come than can be done ([`Policy`]). `latency`: how long images take ([`Pace`]).
//! - `record`: what is done, in a file, for a watch that goes on after this one.
//! - `poller`: the thread that looks. `watch`: the loop that computes ([`watch()`]), with a [`Viewer`] that is told.

mod arrivals;
mod latency;
mod poller;
mod queue;
mod record;
mod source;
mod watch;

pub use latency::Pace;
pub use queue::Policy;
pub use watch::{Done, Summary, Viewer, Watched, watch};
