// convolve_volume: adds the dilated 3x3x3 convolutions of finished feature maps to the running sums of hidden channels; a
// channel that has all its sources then becomes ReLU of its sum.
//
//     sum_o(p) += sum_k sum_t h_okt z_k(p + s_o t)      k: the sources that come before o's layer
//
// Planes of volumes have no margins: what is seen beyond an edge is looked up for each axis, once for all sources.
//
// Bindings: 1 parameters, 2 hidden channels, 3 page of the outputs, 4 page of the sources; with WITHIN, the sources are in the
// page of the outputs, which is then bound once (no thread reads what another one writes). With HALF, 4 is the sums that are not
// complete, and 5 the page of the sources.
// Tiling: a thread computes ROWS voxels y, y + s, y + 2s, ... of one output from ROWS + 2 rows of three slices.
// x: outputs, then columns by 64, so that the outputs that run together share their sources in the cache; y: slices, then lattice
// rows; z: volumes.

//#include maps
//#include geometry
//#include hidden
//#include boundary

// Keep in sync with `ConvolveVolumeParams` in src/gpu/network/params.rs.
struct ConvolveVolumeParams {
    geometry: Geometry,
    source_start: u32,
    source_end: u32,
    source_page_start: u32,
    source_page_channels: u32,
    output_start: u32,
    output_end: u32,
    output_page_start: u32,
    output_page_channels: u32,
    // The outputs that are complete after this step.
    finish_start: u32,
    finish_end: u32,
    // 1 when the sums start from the biases.
    first: u32,
    // Where the biases start among the parameters.
    bias_start: u32,
    // Lattice rows of a slice in groups of ROWS, for the dilation that has most of them.
    lattices: u32,
    // As in convolve; 0 without HALF, as volumes are computed layer by layer.
    sum_planes: u32,
    unused_1: u32,
    unused_2: u32,
}

@group(0) @binding(0) var<uniform> params: ConvolveVolumeParams;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> hidden: array<HiddenChannel>;
@group(0) @binding(3) var<storage, read_write> maps: array<MapNumber>;
//#if HALF
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;
//#end
//#if WITHIN
fn source_at(place: u32) -> f32 {
    return f32(maps[place]);
}
//#else
//#if HALF
@group(0) @binding(5) var<storage, read> sources: array<f16>;
//#else
@group(0) @binding(4) var<storage, read> sources: array<f32>;
//#end

fn source_at(place: u32) -> f32 {
    return f32(sources[place]);
}
//#end
//#include sums

@compute @workgroup_size(64)
fn convolve_volume(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let outputs = params.output_end - params.output_start;
    let output = params.output_start + group.x % outputs;
    let x = group.x / outputs * 64u + lane;
    let channel = hidden[output - geometry.inputs];
    let s = channel.dilation;
    let slice_rows = geometry.slice_rows;
    let z = group.y / params.lattices;
    let lattice = group.y % params.lattices;
    let y = lattice / s * (${ROWS}u * s) + lattice % s;
    if x >= geometry.columns || y >= slice_rows {
        return;
    }
    let image = group.z;
    // Slices, rows and columns that are read, as places within a plane; -1 where zero is seen, or where there are no taps.
    let slices = i32(geometry.rows / slice_rows);
    //#for k in 0..3
    let far_${k} = (${k} - 1) * i32(channel.dilation_z);
    let z_${k} = select(source(i32(z) + far_${k}, slices), -1, channel.dilation_z == 0u && ${k} != 1);
    let slice_${k} = u32(max(z_${k}, 0)) * slice_rows * geometry.pitch;
    let x_${k} = source(i32(x) + (${k} - 1) * i32(s), i32(geometry.columns));
    let column_${k} = u32(max(x_${k}, 0));
    //#end
    //#for t in 0..ROWS + 2
    let y_${t} = source(i32(y) + (${t} - 1) * i32(s), i32(slice_rows));
    let row_${t} = u32(max(y_${t}, 0)) * geometry.pitch;
    //#end
    let output_plane = map_place(params.output_page_start, params.output_page_channels, image, output);
    let pixel = (z * slice_rows + y) * geometry.pitch + x;
    let into = output_plane + pixel;
    let sums_at = sum_place(output_plane, image, output) + pixel;
    let step = s * geometry.pitch;
    //#for t in 0..ROWS
    var sum_${t} = 0.0;
    //#end
    let source_end = min(params.source_end, channel.sources);
    var plane = map_place(params.source_page_start, params.source_page_channels, image, params.source_start);
    var filter_at = 27u * (channel.first_filter + params.source_start);
    for (var k = params.source_start; k < source_end; k += 1u) {
        //#for deep in 0..3
        if z_${deep} >= 0 {
            //#for across in 0..3
            {
                let at = plane + slice_${deep} + column_${across};
                //#for t in 0..ROWS + 2
                let value_${t} = select(0.0, source_at(at + row_${t}), min(x_${across}, y_${t}) >= 0);
                //#end
                let above = parameters[filter_at + ${9 * deep + across}u];
                let level = parameters[filter_at + ${9 * deep + across + 3}u];
                let below = parameters[filter_at + ${9 * deep + across + 6}u];
                //#for t in 0..ROWS
                sum_${t} = fma(above, value_${t}, fma(level, value_${t + 1}, fma(below, value_${t + 2}, sum_${t})));
                //#end
            }
            //#end
        }
        //#end
        plane += geometry.map_plane;
        filter_at += 27u;
    }
    let finishes = output >= params.finish_start && output < params.finish_end;
    let bias = parameters[params.bias_start + output - geometry.inputs];
    //#for t in 0..ROWS
    if y + ${t}u * s < slice_rows {
        let at = into + ${t}u * step;
        let sum = sum_${t} + select(sum_at(sums_at + ${t}u * step), bias, params.first == 1u);
        store(at, sums_at + ${t}u * step, sum, finishes);
    }
    //#end
}
