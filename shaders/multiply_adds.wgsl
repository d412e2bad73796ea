// multiply_adds: as many multiply-adds as a device can do when nothing has to be fetched: the yardstick of `bench`.
//
// Bindings: 1 a number of each thread.
// Tiling: a thread keeps 12 sums in registers that do not wait for each other, enough to fill the pipelines of any
// device and few enough for the 16 vector registers of a processor that runs a software implementation.

// Keep in sync with `MultiplyAddsParams` in src/gpu/runtime/peak.rs.
struct MultiplyAddsParams {
    // Passed in as parameters, so that no compiler can compute the result beforehand.
    factor: f32,
    more: f32,
    // Each of ROUNDS multiply-adds of every sum.
    rounds: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> params: MultiplyAddsParams;
@group(0) @binding(1) var<storage, read_write> results: array<f32>;

@compute @workgroup_size(64)
fn multiply_adds(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let factor = vec4<f32>(params.factor);
    let more = vec4<f32>(params.more);
    let start = vec4<f32>(f32(lane), 1.0, 2.0, 3.0);
    //#for sum in 0..3
    var sum_${sum} = start + ${4 * sum}.0;
    //#end
    // Hidden from lavapipe, as in input_gradient.
    let rounds = params.rounds * min(arrayLength(&results), 1u);
    for (var round = 0u; round < rounds; round += 1u) {
        //#for step in 0..ROUNDS
        //#for sum in 0..3
        sum_${sum} = fma(sum_${sum}, factor, more);
        //#end
        //#end
    }
    let sums = sum_0 + sum_1 + sum_2;
    results[group.x * 64u + lane] = sums.x + sums.y + sums.z + sums.w;
}
