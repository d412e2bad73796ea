// copy: copies numbers from one buffer to another: the yardstick of `bench` for what has to be fetched and stored.
//
// Bindings: 1 from, 2 to, both in fours.
// Tiling: each thread takes every so-manieth four, as many further as there are threads.

// Keep in sync with `CopyParams` in src/gpu/runtime/peak.rs.
struct CopyParams {
    // Fours to copy, and threads.
    fours: u32,
    threads: u32,
    unused_0: u32,
    unused_1: u32,
}

@group(0) @binding(0) var<uniform> params: CopyParams;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> copied: array<vec4<f32>>;

@compute @workgroup_size(64)
fn copy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Hidden from lavapipe, as in input_gradient.
    let fours = params.fours * min(arrayLength(&copied), 1u);
    for (var four = group.x * 64u + lane; four < fours; four += params.threads) {
        copied[four] = source[four];
    }
}
