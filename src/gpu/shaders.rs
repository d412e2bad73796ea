//! Every kernel of this crate, for checks that need no device.

use super::back_projection::BACK_PROJECT;
use super::network::shaders::SHADERS as NETWORK;
pub use super::network::shaders::{
    LAYERS_BYTES, LAYERS_THREADS, MATRIX_BYTES, MATRIX_THREADS, PRODUCT_BYTES, PRODUCT_THREADS,
};
pub use super::runtime::kernel::{Binding, Kernel, Shader, StructLayout, Variant};
use super::runtime::peak::{COPY, MULTIPLY_ADDS};

/// How many there are.
const COUNT: usize = NETWORK.len() + 3;

/// Every kernel: those of networks, the yardsticks, and that of tomography.
pub static SHADERS: [&Shader; COUNT] = {
    let mut all = [&MULTIPLY_ADDS; COUNT];
    let mut index = 0;
    while index < NETWORK.len() {
        all[index] = NETWORK[index];
        index += 1;
    }
    all[index] = &COPY;
    all[index + 1] = &BACK_PROJECT;
    all
};
