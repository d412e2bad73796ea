// gradient_squares: the squares of the gradients of all parameters, added up into 64 sums, from which adam makes their
// length.
//
// Bindings: 1 gradients, 2 the sums.
// Tiling: a workgroup for each sum; it takes every 64th of the groups of 64 gradients.

//#include add_lanes

// Keep in sync with `GradientSquaresParams` in src/gpu/network/params.rs.
struct GradientSquaresParams {
    count: u32,
    unused_0: u32,
    unused_1: u32,
    unused_2: u32,
}

@group(0) @binding(0) var<uniform> params: GradientSquaresParams;
@group(0) @binding(1) var<storage, read> gradients: array<f32>;
@group(0) @binding(2) var<storage, read_write> squares: array<f32>;

@compute @workgroup_size(64)
fn gradient_squares(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var index = 64u * group.x + lane; index < params.count; index += 4096u) {
        sum += gradients[index] * gradients[index];
    }
    lane_sums[lane] = sum;
    workgroupBarrier();
    if lane == 0u {
        squares[group.x] = add_lanes(0u);
    }
}
