// adam: one step of Adam (Kingma & Ba 2015, algorithm 1) or AdamW (Loshchilov & Hutter 2019, algorithm 2) over all
// parameters, which then clears the gradients. With CLIP, gradients that are together longer than `clip_norm` are first
// scaled down to it. Gradients of frozen parameters have been cleared before.
//
// Bindings: 1 parameters, 2 gradients, 3 first moments, 4 second moments, 5 average of the parameters; with CLIP:
// 6 the 64 sums of gradient_squares.
// Tiling: a thread for each parameter, over x and y.

//#if CLIP
//#include add_lanes
//#end

// Keep in sync with `AdamParams` in src/gpu/network/params.rs.
struct AdamParams {
    // The learning rate with the start of the first moment corrected.
    rate: f32,
    beta1: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    // Corrects the start of the second moment's root.
    root_correction: f32,
    epsilon: f32,
    count: u32,
    // What weight decay leaves of a parameter.
    kept_share: f32,
    clip_norm: f32,
    // The share of the moved parameters in their average.
    averaged_share: f32,
    // Parameters before this one stay as they are,
    frozen_filters: u32,
    // and those from the first bias to before the second number.
    biases: u32,
    frozen_biases: u32,
    unused_0: u32,
    unused_1: u32,
}

@group(0) @binding(0) var<uniform> params: AdamParams;
@group(0) @binding(1) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradients: array<f32>;
@group(0) @binding(3) var<storage, read_write> first_moments: array<f32>;
@group(0) @binding(4) var<storage, read_write> second_moments: array<f32>;
@group(0) @binding(5) var<storage, read_write> average: array<f32>;
//#if CLIP
@group(0) @binding(6) var<storage, read> squares: array<f32>;
//#end

@compute @workgroup_size(64)
fn adam(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var clip = 1.0;
    //#if CLIP
    lane_sums[lane] = squares[lane];
    workgroupBarrier();
    let norm = sqrt(add_lanes(0u));
    clip = select(1.0, params.clip_norm / norm, norm > params.clip_norm);
    //#end
    let index = (workgroup.y * workgroups.x + workgroup.x) * 64u + lane;
    let frozen = index < params.frozen_filters || (params.biases <= index && index < params.frozen_biases);
    if index >= params.count || frozen {
        return;
    }
    let gradient = clip * gradients[index];
    let first = params.beta1 * first_moments[index] + params.one_minus_beta1 * gradient;
    let second = params.beta2 * second_moments[index] + params.one_minus_beta2 * gradient * gradient;
    first_moments[index] = first;
    second_moments[index] = second;
    let step = params.rate * first / (sqrt(second) * params.root_correction + params.epsilon);
    let moved = params.kept_share * parameters[index] - step;
    parameters[index] = moved;
    average[index] += params.averaged_share * (moved - average[index]);
    gradients[index] = 0.0;
}
