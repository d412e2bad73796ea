//! Which sizes of tiles suit a device: tries them, and keeps what was found.
//!
//! All tunings give the same results up to rounding, as sums are taken in another order. For a run to give the same bits twice, a
//! device must keep its tuning: [`Cache`] stores the one that [`search`] found.

mod cache;
mod measure;
mod search;

pub use cache::{Bucket, Cache, TuningKey};
pub use measure::search;
pub use search::{Trial, TuningResult};

use std::fmt::Write;

use twox_hash::xxhash3_128::Hasher;

use super::network::shaders::SHADERS;

/// To be raised when the host side changes so that the same kernels may be faster with another tuning: the tunings that were found
/// before are then looked for again.
const FORMAT: u32 = 1;

/// A hash of everything in this crate that decides how fast a tuning is: every kernel in every variant, and the crate's version.
pub fn kernel_fingerprint() -> String {
    let mut texts = vec![format!("{FORMAT} {}", env!("CARGO_PKG_VERSION"))];
    for shader in SHADERS {
        texts.push(shader.entry.to_string());
        // A template that cannot be written out fails when it is used.
        let written = |variant| shader.expand(variant).unwrap_or_else(|_| shader.source.to_string());
        texts.extend(shader.variants.iter().map(|variant| written(variant)));
    }
    fingerprint(&texts)
}

/// A hash of texts, in hexadecimal, that depends on where each of them ends.
fn fingerprint(texts: &[String]) -> String {
    let mut hasher = Hasher::new();
    for text in texts {
        hasher.write(&(text.len() as u64).to_le_bytes());
        hasher.write(text.as_bytes());
    }
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = write!(text, "{:032x}", hasher.finish_128());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept is looked up by it in later runs, so it must be the same for the same kernels, whatever the compiler or
    /// the machine, and another one for others.
    #[test]
    fn the_fingerprint_tells_kernels_apart_and_stays() {
        let of = |texts: &[&str]| fingerprint(&texts.iter().map(|text| text.to_string()).collect::<Vec<_>>());
        assert_eq!(of(&["1 0.1.0", "load", "fn load() {}"]), "cd3736f685ecf59e842f7931b9438b75");
        let all = [
            of(&[]),
            of(&[""]),
            of(&["load"]),
            of(&["lo", "ad"]),
            of(&["ad", "lo"]),
            of(&["load", ""]),
            of(&["Load"]),
            kernel_fingerprint(),
        ];
        for (index, one) in all.iter().enumerate() {
            assert_eq!(one.len(), 32, "{one}");
            assert!(one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
            assert!(!all[..index].contains(one), "number {index} is that of another: {one}");
        }
    }
}
