// What the losses of classes share: their bindings, and the softmax over the outputs of a pixel. With JUDGE there are no output
// gradients; with WITHIN the outputs are written too.

//#include loss

//#if WITHIN
@group(0) @binding(3) var<storage, read_write> outputs: array<f32>;
//#else
@group(0) @binding(3) var<storage, read> outputs: array<f32>;
//#end
@group(0) @binding(4) var<storage, read> classes: array<u32>;
//#if JUDGE
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;
//#else
@group(0) @binding(5) var<storage, read_write> output_gradients: array<f32>;
@group(0) @binding(6) var<storage, read_write> partials: array<f32>;
//#end

// Pixels of this class do not count, nor do those of weight 0.
const ignored: u32 = 0xffffffffu;

// The largest output of the pixel whose first output is at `first`.
fn largest_output(first: u32) -> f32 {
    var largest = outputs[first];
    for (var k = 1u; k < params.geometry.outputs; k += 1u) {
        largest = max(largest, outputs[first + k * params.geometry.output_plane]);
    }
    return largest;
}

// sum_k exp(y_k - largest) over all outputs of the pixel but one; pass `outputs` or more to leave none out.
fn sum_of_exponentials(first: u32, largest: f32, but: u32) -> f32 {
    var sum = 0.0;
    for (var k = 0u; k < params.geometry.outputs; k += 1u) {
        if k != but {
            sum += exp(outputs[first + k * params.geometry.output_plane] - largest);
        }
    }
    return sum;
}
