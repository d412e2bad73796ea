//! Images that we can make ourselves, with their targets: for demonstrations, tests and measurements.
//!
//! Everything is a function of its arguments: the same seed gives the same image on every machine of one
//! floating-point library, whatever the number of threads.

pub mod foam;
pub mod shapes;
