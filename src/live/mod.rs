//! Images that are done as they appear: in a folder that another program writes into, or slice by slice of an array that grows.
//!
//! What appears is found by looking again and again, not by events of the file system: network file systems, which
//! microscopes and beamlines write to, do not tell of what other machines write.
//!
//! - `arrivals`: which files or slices are new, being written, ready, done or given up. It sees no disk and no clock.
//! - `source`: what is there to be looked at: files of a folder, slices of an array.
//! - `queue`: which images are done when more come than can be done ([`Policy`]). `latency`: how long images take ([`Pace`]).
//! - `record`: what is done, in a file, for a watch that goes on after this one.
//! - `watched`: what is watched ([`Watched`]). `viewer`: who is told what happens ([`Viewer`]).
//! - `poller`: the thread that looks. `progress`: what was done so far. `watch`: the loop that computes ([`watch()`]).

mod arrivals;
mod latency;
mod poller;
mod progress;
mod queue;
mod record;
mod source;
mod viewer;
mod watch;
mod watched;

pub use latency::Pace;
pub use queue::Policy;
pub use viewer::{Done, Summary, Viewer};
pub use watch::watch;
pub use watched::Watched;
