// By what gradients are multiplied before they are stored as halves, and what is told of them. Keep in sync with
// src/gpu/network/scaling.rs, which says why.
struct Scaling {
    // The bits of the largest output gradient of the batch, without its sign: they are ordered as the numbers are.
    largest: atomic<u32>,
    // 1 when a gradient was beyond the largest half.
    beyond: atomic<u32>,
}

// The power of two by which gradients are multiplied where `largest` are the bits of the largest output gradient: one that brings it to
// between 32 and 64, or 2^0 where it is 0 or no finite number.
fn gradient_power(largest: u32) -> i32 {
    let exponent = i32(largest >> 23u);
    return select(clamp(132 - exponent, -100, 100), 0, exponent == 0 || exponent == 255);
}

fn power_of_two(power: i32) -> f32 {
    return bitcast<f32>(u32(127 + power) << 23u);
}
