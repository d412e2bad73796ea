// adam: one step of Adam (Kingma & Ba 2015, algorithm 1) over all parameters, which then clears the gradients.
//
// Bindings: 1 parameters, 2 gradients, 3 first moments, 4 second moments.
// Tiling: a thread for each parameter, over x and y.

// Keep in sync with `AdamParams` in src/gpu/params.rs.
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
}

@group(0) @binding(0) var<uniform> params: AdamParams;
@group(0) @binding(1) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradients: array<f32>;
@group(0) @binding(3) var<storage, read_write> first_moments: array<f32>;
@group(0) @binding(4) var<storage, read_write> second_moments: array<f32>;

@compute @workgroup_size(64)
fn adam(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = (workgroup.y * workgroups.x + workgroup.x) * 64u + lane;
    if index >= params.count {
        return;
    }
    let gradient = gradients[index];
    let first = params.beta1 * first_moments[index] + params.one_minus_beta1 * gradient;
    let second = params.beta2 * second_moments[index] + params.one_minus_beta2 * gradient * gradient;
    first_moments[index] = first;
    second_moments[index] = second;
    parameters[index] -= params.rate * first / (sqrt(second) * params.root_correction + params.epsilon);
    gradients[index] = 0.0;
}
