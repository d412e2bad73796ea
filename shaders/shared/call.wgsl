// What changes from call to call. Keep in sync with `LossCall` in src/gpu/network/params.rs.
struct LossCall {
    scale: f32,
    // 1 when the pixels have weights; else all weigh 1.
    weighted: u32,
    // Gamma, delta or epsilon, where the loss has one.
    number: f32,
    // Powers of two by which gradient maps and feature maps are multiplied before they are split into halves, so that most of
    // their numbers come near 1, and one over both.
    gradient_factor: f32,
    map_factor: f32,
    both_factors_inverse: f32,
    unused_0: f32,
    unused_1: f32,
}
