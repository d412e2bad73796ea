//! Networks from other tools, and models for them: what comes over must compute what it computed there.

mod support;

#[path = "exchange/export.rs"]
mod export;
#[path = "exchange/golden.rs"]
mod golden;
#[path = "exchange/import.rs"]
mod import;
#[path = "exchange/volumes.rs"]
mod volumes;

use ndarray::{Array, Dimension};

/// How far, relative to what is wanted, a float32 result may be from one that another program computed.
const TOLERANCE: f64 = 1e-5;

/// The distance of two images or volumes, relative to the length of the second.
fn relative_distance<D: Dimension>(found: &Array<f32, D>, wanted: &Array<f32, D>) -> f64 {
    assert_eq!(found.shape(), wanted.shape());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let apart = norm(&mut found.iter().zip(wanted).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    apart / norm(&mut wanted.iter().map(|v| f64::from(*v)))
}
