//! Which sizes of tiles suit a device: tries them, and keeps what was found.
//!
//! Every tuning gives the same numbers but for rounding: sums are taken in another order. So the one that a device is
//! given must stay, or the same run would not give the same bits twice: [`Cache`] keeps what [`search`] found.

mod cache;
mod measure;
mod search;

pub use cache::{Bucket, Cache, TuningKey};
pub use measure::search;
pub use search::{Trial, TuningResult};

use std::fmt::Write;

use twox_hash::xxhash3_128::Hasher;

use super::network::shaders::SHADERS;

/// To be raised when the host does other work with the same kernels, so that what was found before is found anew.
const FORMAT: u32 = 1;

/// A hash of all that decides how fast a tuning is on this side: every kernel in every variant, and this crate's version.
pub fn kernel_fingerprint() -> String {
    let mut hasher = Hasher::new();
    let mut add = |text: &str| {
        hasher.write(&(text.len() as u64).to_le_bytes());
        hasher.write(text.as_bytes());
    };
    add(&format!("{FORMAT} {}", env!("CARGO_PKG_VERSION")));
    for shader in SHADERS {
        add(shader.entry);
        for variant in shader.variants {
            // A template that cannot be written out fails when it is used.
            add(shader.expand(variant).as_deref().unwrap_or(shader.source));
        }
    }
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = write!(text, "{:032x}", hasher.finish_128());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_stays() {
        assert_eq!(kernel_fingerprint(), kernel_fingerprint());
        assert_eq!(kernel_fingerprint().len(), 32);
    }
}
