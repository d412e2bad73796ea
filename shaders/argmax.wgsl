// argmax: the most likely class of each pixel, which is the index of its largest output: the lowest where several are equal, and
// never one that is NaN. 0 where no output is above minus infinity.
//
// Bindings: 1 outputs, 2 the results of judging: the classes [image][y][x] from class_start on.
// Tiling: a thread takes one pixel. x: columns by 64; y: rows; z: images.
//
// With PACKED, for networks with at most 255 outputs, the classes are bytes, four of neighbouring columns in a number, the first in
// the lowest byte; a row starts with a number of its own. 255 stands where an output is infinite or NaN.
//
// Bindings: 1 outputs, 2 the numbers [image][y][x / 4] from class_start on.
// Tiling: a thread takes four pixels. x: these by 64; y: rows; z: images.

//#include geometry

// Keep in sync with `ArgmaxParams` in src/gpu/network/params.rs.
struct ArgmaxParams {
    geometry: Geometry,
    // Where the classes start.
    class_start: u32,
}

@group(0) @binding(0) var<uniform> params: ArgmaxParams;
// The bits of float32 numbers: shaders may be compiled as if there were no NaN, and may take tiny numbers for 0.
@group(0) @binding(1) var<storage, read> outputs: array<u32>;
@group(0) @binding(2) var<storage, read_write> found: array<u32>;

// The bits of infinity without their sign; those of numbers that are none are larger.
const infinity: i32 = 0x7f800000;

// A whole number for the bits of a float32 number, in the same order, equal for both zeros.
fn rank(bits: u32) -> i32 {
    let magnitude = i32(bits & 0x7fffffffu);
    if magnitude > infinity {
        return -infinity;
    }
    return select(magnitude, -magnitude, (bits >> 31u) == 1u);
}

//#if PACKED
// What stands for the class of a pixel of which an output is not finite.
const not_finite: u32 = 255u;

// The class of the pixel whose first output is at `first`.
fn class_of_finite(first: u32) -> u32 {
    var largest = -infinity;
    var chosen = 0u;
    for (var k = 0u; k < params.geometry.outputs; k += 1u) {
        let bits = outputs[first + k * params.geometry.output_plane];
        if i32(bits & 0x7fffffffu) >= infinity {
            return not_finite;
        }
        let value = rank(bits);
        if value > largest {
            largest = value;
            chosen = k;
        }
    }
    return chosen;
}

@compute @workgroup_size(64)
fn argmax(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let words = (geometry.columns + 3u) / 4u;
    let word = group.x * 64u + lane;
    if word >= words {
        return;
    }
    let y = group.y;
    let image = group.z;
    let first = output_place(image, 0u) + y * geometry.pitch + 4u * word;
    let count = min(4u, geometry.columns - 4u * word);
    var packed = 0u;
    for (var t = 0u; t < count; t += 1u) {
        packed |= class_of_finite(first + t) << (8u * t);
    }
    found[params.class_start + (image * geometry.rows + y) * words + word] = packed;
}
//#else
@compute @workgroup_size(64)
fn argmax(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let x = group.x * 64u + lane;
    if x >= geometry.columns {
        return;
    }
    let y = group.y;
    let image = group.z;
    let first = output_place(image, 0u) + y * geometry.pitch + x;
    var largest = -infinity;
    var chosen = 0u;
    for (var k = 0u; k < geometry.outputs; k += 1u) {
        let value = rank(outputs[first + k * geometry.output_plane]);
        if value > largest {
            largest = value;
            chosen = k;
        }
    }
    found[params.class_start + (image * geometry.rows + y) * geometry.columns + x] = chosen;
}
//#end
