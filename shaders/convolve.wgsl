// convolve: adds the dilated 3x3 convolutions of finished feature maps to the running sums of hidden
// channels; a channel that has all its sources then becomes ReLU of its sum, mirror images included.
//
//     sum_o(p) += sum_k sum_t h_okt z_k(p + s_o t)      k: the sources that come before o's layer
//
// Bindings: 1 parameters, 2 hidden channels, 3 page of the outputs, 4 page of the sources; with WITHIN, the sources are in the
// page of the outputs, which is then bound once (no thread reads what another one writes). With HALF, 4 is the sums that are not
// complete, and 5 the page of the sources.
// Tiling: a convolution with dilation s is s*s independent dense ones on lattices of stride s, so a thread
// computes ROWS pixels y, y + s, y + 2s, ... from ROWS + 2 rows instead of 3 ROWS, for OUTPUTS outputs of one dilation, which
// share what is loaded. With STAGED, a workgroup first copies the filters of CHUNK sources into its own memory, from where one
// load brings three taps; else each thread loads them one by one.
// x: groups of outputs, then columns by LANES, so that the groups that run together share their sources in the cache;
// y: lattice rows; z: images.

//#include maps
//#include geometry
//#include hidden

// Keep in sync with `ConvolveParams` in src/gpu/network/params.rs.
struct ConvolveParams {
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
    // Groups of outputs. The outputs of group g are first, first + stride, ... with
    // first = output_start + g % span + g / span * OUTPUTS * stride; of those beyond the end nothing is computed.
    groups: u32,
    span: u32,
    stride: u32,
    // With HALF, in how many planes of their own sums lie: those of a block; else how many planes further than the maps that they become.
    sum_planes: u32,
}

@group(0) @binding(0) var<uniform> params: ConvolveParams;
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
//#include fill_margins

//#if STAGED
// Filters by source, column of taps and output: the taps above, at and below.
var<workgroup> filters: array<vec4<f32>, ${3 * OUTPUTS * CHUNK}>;
//#end

@compute @workgroup_size(${LANES})
fn convolve(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let number = group.x % params.groups;
    let column = group.x / params.groups * ${LANES}u + lane;
    let output_0 = params.output_start + number % params.span + number / params.span * params.stride * ${OUTPUTS}u;
    // These are the same for the whole workgroup, so the barriers below are safe.
    if output_0 >= params.output_end {
        return;
    }
    let channel = hidden[output_0 - geometry.inputs];
    let s = channel.dilation;
    let y = group.y / s * (${ROWS}u * s) + group.y % s;
    if y >= geometry.rows {
        return;
    }
    //#if STAGED
    // Lanes beyond the last column compute it again and write nothing.
    let x = min(column, geometry.columns - 1u);
    //#else
    if column >= geometry.columns {
        return;
    }
    let x = column;
    //#end
    // In the place of outputs beyond the end the first is computed again, and not written.
    //#for o in 1..OUTPUTS
    let next_${o} = output_0 + params.stride * ${o}u;
    let output_${o} = select(output_0, next_${o}, next_${o} < params.output_end);
    //#end
    let image = group.z;
    // Rows are counted from the top of the margin; those of pixels below the image stay inside the plane.
    let last_row = geometry.rows + 2u * geometry.margin - 1u;
    //#for t in 0..ROWS + 2
    let row_${t} = min(y + geometry.margin - s + ${t}u * s, last_row) * geometry.pitch;
    //#end
    let top = geometry.margin * geometry.pitch;
    //#for o in 0..OUTPUTS
    let plane_${o} = map_place(params.output_page_start, params.output_page_channels, image, output_${o});
    let sums_${o} = sum_place(plane_${o}, image, output_${o});
    //#for t in 0..ROWS
    var sum_${o}_${t}: f32;
    //#end
    if params.first == 1u {
        let bias = parameters[params.bias_start + output_${o} - geometry.inputs];
        //#for t in 0..ROWS
        sum_${o}_${t} = bias;
        //#end
    } else {
        //#for t in 0..ROWS
        sum_${o}_${t} = sum_at(sums_${o} - top + row_${t + 1} + x);
        //#end
    }
    //#end

    let source_end = min(params.source_end, channel.sources);
    var plane = map_place(params.source_page_start, params.source_page_channels, image, params.source_start) - top;
    //#if STAGED
    for (var chunk = params.source_start; chunk < source_end; chunk += ${CHUNK}u) {
        let chunk_end = min(chunk + ${CHUNK}u, source_end);
        workgroupBarrier();
        for (var item = lane; item < (chunk_end - chunk) * ${3 * OUTPUTS}u; item += ${LANES}u) {
            let next = output_0 + item % ${OUTPUTS}u * params.stride;
            let output = select(output_0, next, next < params.output_end);
            let filter_at = hidden[output - geometry.inputs].first_filter + chunk + item / ${3 * OUTPUTS}u;
            let at = 9u * filter_at + item / ${OUTPUTS}u % 3u;
            filters[item] = vec4<f32>(parameters[at], parameters[at + 3u], parameters[at + 6u], 0.0);
        }
        workgroupBarrier();
        for (var source = 0u; source < chunk_end - chunk; source += 1u) {
            let filter_at = source * ${3 * OUTPUTS}u;
    //#else
    {
        //#for o in 0..OUTPUTS
        var filter_${o} = 9u * (hidden[output_${o} - geometry.inputs].first_filter + params.source_start);
        //#end
        for (var source = params.source_start; source < source_end; source += 1u) {
    //#end
            //#for column in 0..3
            {
                let at = plane + x + ${column}u * s - s;
                //#for t in 0..ROWS + 2
                let value_${t} = source_at(at + row_${t});
                //#end
                //#for o in 0..OUTPUTS
                {
                    //#if STAGED
                    let taps = filters[filter_at + ${column * OUTPUTS + o}u];
                    //#else
                    let taps = vec3<f32>(
                        parameters[filter_${o} + ${column}u],
                        parameters[filter_${o} + ${column + 3}u],
                        parameters[filter_${o} + ${column + 6}u],
                    );
                    //#end
                    //#for t in 0..ROWS
                    sum_${o}_${t} = fma(taps.x, value_${t}, fma(taps.y, value_${t + 1}, fma(taps.z, value_${t + 2}, sum_${o}_${t})));
                    //#end
                }
                //#end
            }
            //#end
            plane += geometry.map_plane;
            //#if STAGED
            //#else
            //#for o in 0..OUTPUTS
            filter_${o} += 9u;
            //#end
            //#end
        }
    }

    if column >= geometry.columns {
        return;
    }
    //#for o in 0..OUTPUTS
    if output_0 + params.stride * ${o}u < params.output_end {
        let finishes = output_${o} >= params.finish_start && output_${o} < params.finish_end;
        //#for t in 0..ROWS
        if y + ${t}u * s < geometry.rows {
            let at_${t} = row_${t + 1} + x - top;
            store(plane_${o} + at_${t}, sums_${o} + at_${t}, sum_${o}_${t}, finishes);
        }
        //#end
        if finishes && geometry.boundary != 0u {
            for (var t = 0u; t < ${ROWS}u; t += 1u) {
                if y + t * s < geometry.rows {
                    fill_margins(plane_${o}, y + t * s, x);
                }
            }
        }
    }
    //#end
}
