// convolve: adds the dilated 3x3 convolutions of finished feature maps to the running sums of hidden
// channels; a channel that has all its sources then becomes ReLU of its sum, mirror images included.
//
//     sum_o(p) += sum_k sum_t h_okt z_k(p + s_o t)      k: the sources that come before o's layer
//
// Bindings: 1 parameters, 2 hidden channels, 3 page of the outputs, 4 page of the sources; with WITHIN, the sources are in the
// page of the outputs, which is then bound once (no thread reads what another one writes).
// Tiling: a convolution with dilation s is s*s independent dense ones on lattices of stride s, so a thread
// computes ROWS pixels y, y + s, y + 2s, ... of one output from ROWS + 2 rows instead of 3 ROWS.
// x: outputs, then columns by 64, so that the groups that run together share their sources in the cache;
// y: lattice rows; z: images.

//#include geometry
//#include hidden
//#include mirror

// Keep in sync with `ConvolveParams` in src/gpu/network/params.rs.
struct ConvolveParams {
    geometry: Geometry,
    source_start: u32,
    source_end: u32,
    source_page_start: u32,
    source_page_channels: u32,
    output_start: u32,
    output_count: u32,
    output_page_start: u32,
    output_page_channels: u32,
    // The outputs that are complete after this step.
    finish_start: u32,
    finish_end: u32,
    // 1 when the sums start from the biases.
    first: u32,
    // Where the biases start among the parameters.
    bias_start: u32,
}

@group(0) @binding(0) var<uniform> params: ConvolveParams;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> hidden: array<HiddenChannel>;
@group(0) @binding(3) var<storage, read_write> maps: array<f32>;
//#if WITHIN
fn source_at(place: u32) -> f32 {
    return maps[place];
}
//#else
@group(0) @binding(4) var<storage, read> sources: array<f32>;

fn source_at(place: u32) -> f32 {
    return sources[place];
}
//#end

// Repeats a finished pixel at its mirror images in the margins of the plane at `plane`.
fn fill_margins(plane: u32, y: u32, x: u32) {
    let geometry = params.geometry;
    let margin = i32(geometry.margin);
    let rows = i32(geometry.rows) + margin;
    let columns = i32(geometry.columns) + margin;
    let pitch = i32(geometry.pitch);
    let value = maps[plane + y * geometry.pitch + x];
    let left = lowest_image(i32(x), i32(geometry.columns), margin, geometry.boundary);
    for (var row = lowest_image(i32(y), i32(geometry.rows), margin, geometry.boundary); row.x < rows; row = next_image(row)) {
        for (var column = left; column.x < columns; column = next_image(column)) {
            if row.x != i32(y) || column.x != i32(x) {
                maps[i32(plane) + row.x * pitch + column.x] = value;
            }
        }
    }
}

@compute @workgroup_size(64)
fn convolve(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let output = params.output_start + group.x % params.output_count;
    let x = group.x / params.output_count * 64u + lane;
    let channel = hidden[output - geometry.inputs];
    let s = channel.dilation;
    let y = group.y / s * (${ROWS}u * s) + group.y % s;
    if x >= geometry.columns || y >= geometry.rows {
        return;
    }
    let image = group.z;
    // Rows are counted from the top of the margin; those of pixels below the image stay inside the plane.
    let last_row = geometry.rows + 2u * geometry.margin - 1u;
    //#for t in 0..ROWS + 2
    let row_${t} = min(y + geometry.margin - s + ${t}u * s, last_row) * geometry.pitch;
    //#end
    let output_plane = map_place(params.output_page_start, params.output_page_channels, image, output);
    let top = geometry.margin * geometry.pitch;

    //#for t in 0..ROWS
    var sum_${t}: f32;
    //#end
    if params.first == 1u {
        let bias = parameters[params.bias_start + output - geometry.inputs];
        //#for t in 0..ROWS
        sum_${t} = bias;
        //#end
    } else {
        //#for t in 0..ROWS
        sum_${t} = maps[output_plane - top + row_${t + 1} + x];
        //#end
    }

    let source_end = min(params.source_end, channel.sources);
    var plane = map_place(params.source_page_start, params.source_page_channels, image, params.source_start) - top;
    var filter_at = 9u * (channel.first_filter + params.source_start);
    for (var source = params.source_start; source < source_end; source += 1u) {
        //#for column in 0..3
        {
            let at = plane + x + ${column}u * s - s;
            let above = parameters[filter_at + ${column}u];
            let level = parameters[filter_at + ${column + 3}u];
            let below = parameters[filter_at + ${column + 6}u];
            //#for t in 0..ROWS + 2
            let value_${t} = source_at(at + row_${t});
            //#end
            //#for t in 0..ROWS
            sum_${t} = fma(above, value_${t}, fma(level, value_${t + 1}, fma(below, value_${t + 2}, sum_${t})));
            //#end
        }
        //#end
        plane += geometry.map_plane;
        filter_at += 9u;
    }

    // ReLU by comparison: max() may turn NaN into 0, and hide that training has failed.
    let finishes = output >= params.finish_start && output < params.finish_end;
    //#for t in 0..ROWS
    if y + ${t}u * s < geometry.rows {
        maps[output_plane - top + row_${t + 1} + x] = select(sum_${t}, 0.0, finishes && sum_${t} < 0.0);
    }
    //#end
    if finishes && geometry.boundary != 0u {
        for (var t = 0u; t < ${ROWS}u; t += 1u) {
            if y + t * s < geometry.rows {
                fill_margins(output_plane, y + t * s, x);
            }
        }
    }
}
