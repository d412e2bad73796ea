//! Whether the devices of this machine work: what there is of drivers and cards, which piece is missing, and whether a device computes
//! what the reference does.
//!
//! - `view` is how files and the environment are read: of this machine, or of a folder that stands in for one in tests.
//! - `manifests` finds the loader of Vulkan and the drivers that it is told of, `cards` the graphics cards and the files that
//!   programs open to use them, `machine` everything else.
//! - `findings` makes sentences of it, each with the commands that mend it.
//! - `checks` compares a device with the reference, for as long as it is given.
//!
//! Nothing but `checks` loads a driver, so looking for what is missing works where drivers do not.

mod cards;
mod checks;
mod findings;
mod machine;
mod manifests;
mod view;

pub use cards::{Card, CardKind, Node};
pub use checks::{Bisected, Checked, bisect, check};
pub use findings::{Finding, findings};
pub use machine::{Container, Machine, Packages, System};
pub use manifests::{Loader, Manifest, Manifests};
pub use view::View;
