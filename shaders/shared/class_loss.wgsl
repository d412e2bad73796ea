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

// log sum_k exp(y_k - largest), to the last bits also where one output is far above all others: a device's logarithm may be off by
// 5e-7 near 1, where this is the whole loss of a pixel.
fn log_of_sum(first: u32, largest: f32) -> f32 {
    // The largest adds exp(0) = 1.
    var others = 0.0;
    var left_out = false;
    for (var k = 0u; k < params.geometry.outputs; k += 1u) {
        let output = outputs[first + k * params.geometry.output_plane];
        if !left_out && output == largest {
            left_out = true;
        } else {
            others += exp(output - largest);
        }
    }
    if others < 1.0 {
        // log(1 + x) = 2 artanh(x / (2 + x)), whose argument is below 1/3.
        let ratio = others / (2.0 + others);
        let square = ratio * ratio;
        var series = 1.0 / 15.0;
        series = fma(series, square, 1.0 / 13.0);
        series = fma(series, square, 1.0 / 11.0);
        series = fma(series, square, 1.0 / 9.0);
        series = fma(series, square, 1.0 / 7.0);
        series = fma(series, square, 1.0 / 5.0);
        series = fma(series, square, 1.0 / 3.0);
        return 2.0 * ratio * fma(series, square, 1.0);
    }
    return log(1.0 + others);
}
