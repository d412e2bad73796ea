//! Every kernel of this crate, for checks that need no device.

use super::network::shaders::SHADERS as NETWORK;
pub use super::network::shaders::{MATRIX_BYTES, MATRIX_THREADS, PRODUCT_BYTES, PRODUCT_THREADS};
pub use super::runtime::kernel::{Binding, Kernel, Shader, StructLayout, Variant};
use super::runtime::peak::{COPY, MULTIPLY_ADDS};

/// How many there are.
const COUNT: usize = NETWORK.len() + 2;

/// Every kernel: those of networks, and the yardsticks.
pub static SHADERS: [&Shader; COUNT] = {
    let mut all = [&MULTIPLY_ADDS; COUNT];
    let mut index = 0;
    while index < NETWORK.len() {
        all[index] = NETWORK[index];
        index += 1;
    }
    all[index] = &COPY;
    all
};
