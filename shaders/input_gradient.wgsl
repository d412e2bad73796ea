// input_gradient: adds to gradient maps those of later layers, back-propagated through their convolutions: the exact adjoint
// of convolve, borders included. Channels that are complete after it pass back through the ReLU.
//
//     gradient_c(q) += sum_g sum_t h_gct sum_p gradient_g(p)      p: all pixels with q seen at p + s_g t
//
// q is seen at itself and at its mirror images in the margin, so a border pixel sums over those as well.
//
// Bindings: 1 parameters, 2 hidden channels, 3 page of the gradients that are added to, then the page of those that are read,
// but with GRADIENTS_WITHIN these are in page 3; then the page of the feature maps of the channels that are complete,
// but with MAPS_WITHIN these are in page 3. So a page that is written is bound once (no thread reads what another one
// writes); the two that are read may be the same.
// Tiling: a thread computes ROWS consecutive pixels of a column for CHANNELS consecutive channels, whose
// filters follow each other; so each gradient that is loaded serves CHANNELS sums, each weight ROWS. With STAGED, where channels
// are four for each of QUADS, a workgroup first copies the filters of CHUNK gradients into its own memory, from where one load brings the
// weights of four channels; and away from the upper and lower edges rows are not checked.
// x: tiles of channels, then columns by 64, so that the groups that run together share their gradients in the
// cache; y: rows by ROWS; z: images.

//#include geometry
//#include hidden
//#include mirror
//#include input_gradient_bindings

//#if STAGED
// Weights by gradient, tap and quad of channels.
var<workgroup> weights: array<vec4<f32>, ${9 * QUADS * CHUNK}>;
//#end

@compute @workgroup_size(64)
fn input_gradient(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let channel = params.channel_start + group.x % params.tiles * ${CHANNELS}u;
    let column_of_lane = group.x / params.tiles * 64u + lane;
    //#if STAGED
    // Lanes beyond the last column compute it again and write nothing, as all have to meet at barriers.
    let x = min(column_of_lane, geometry.columns - 1u);
    //#else
    if column_of_lane >= geometry.columns {
        return;
    }
    let x = column_of_lane;
    //#end
    let y = group.y * ${ROWS}u;
    let image = group.z;
    let rows = i32(geometry.rows);
    let columns = i32(geometry.columns);
    let pitch = i32(geometry.pitch);
    let reach = i32(params.reach);
    // Beyond the last channel and row a tile computes the last again and writes nothing.
    let last = params.channel_end - 1u;
    //#for c in 0..CHANNELS
    let channel_${c} = min(channel + ${c}u, last);
    //#for t in 0..ROWS
    var sum_${t}_${c} = 0.0;
    //#end
    //#end

    // Always 1, but not for a compiler to know: Mesa's lavapipe compiles a kernel anew at each dispatch when parameters alone
    // decide how often a loop runs.
    let one = min(arrayLength(&hidden), 1u);
    let boundary = geometry.boundary * one;
    let gradient_end = params.gradient_end * one;
    let first_plane = gradient_place(params.gradient_page_start, params.gradient_page_channels, image, params.gradient_start);
    let left = lowest_image(i32(x), columns, reach, boundary);
    //#if STAGED
    // Whether a row has a mirror image within reach, or a tap falls outside; the same for the whole workgroup. A reflecting mirror stands
    // on the edge pixel, so the image of row `reach` is seen.
    let near_edge = i32(y) <= reach || i32(y) + ${ROWS} + reach >= rows;
    for (var chunk = params.gradient_start; chunk < gradient_end; chunk += ${CHUNK}u) {
        let chunk_end = min(chunk + ${CHUNK}u, gradient_end);
        workgroupBarrier();
        for (var item = lane; item < (chunk_end - chunk) * ${9 * QUADS}u; item += 64u) {
            let first_filter = hidden[chunk + item / ${9 * QUADS}u - geometry.inputs].first_filter;
            let quad_start = channel + item % ${QUADS}u * 4u;
            let at = 9u * first_filter + item / ${QUADS}u % 9u;
            weights[item] = vec4<f32>(
                parameters[at + 9u * min(quad_start, last)],
                parameters[at + 9u * min(quad_start + 1u, last)],
                parameters[at + 9u * min(quad_start + 2u, last)],
                parameters[at + 9u * min(quad_start + 3u, last)],
            );
        }
        workgroupBarrier();
    //#else
    {
        let chunk = params.gradient_start;
        let chunk_end = gradient_end;
    //#end
        let plane = i32(first_plane + (chunk - params.gradient_start) * geometry.gradient_plane);
        //#if STAGED
        if !near_edge {
            let first_row = i32(y) * pitch;
            for (var column = left; column.x < columns + reach; column = next_image(column)) {
                for (var gradient = 0u; gradient < chunk_end - chunk; gradient += 1u) {
                    let s = i32(hidden[chunk + gradient - geometry.inputs].dilation);
                    // Most mirror images are too far out to be seen by most gradients.
                    if column.x < -s || column.x >= columns + s {
                        continue;
                    }
                    let at = plane + i32(gradient * geometry.gradient_plane) + first_row + column.x;
                    let weights_at = gradient * ${9 * QUADS}u;
                    //#for r in 0..3
                    //#for column in 0..3
                    {
                        let at_tap = at - s * (${r} - 1) * pitch - s * (${column} - 1);
                        //#for t in 0..ROWS
                        let value_${t} = gradient_at(at_tap + ${t} * pitch);
                        //#end
                        //#for quad in 0..QUADS
                        {
                            let four = weights[weights_at + ${(3 * r + column) * QUADS}u + ${quad}u];
                            //#for k in 0..4
                            //#for t in 0..ROWS
                            sum_${t}_${4 * quad + k} = fma(four[${k}], value_${t}, sum_${t}_${4 * quad + k});
                            //#end
                            //#end
                        }
                        //#end
                    }
                    //#end
                    //#end
                }
            }
            continue;
        }
        //#end
        //#for t in 0..ROWS
        var image_${t} = lowest_image(i32(min(y + ${t}u, geometry.rows - 1u)), rows, reach, boundary);
        //#end
        // Each round takes one mirror image of each row: mostly there is one round. Rows that have no more image are far
        // enough out by then to read only zeros.
        loop {
            for (var column = left; column.x < columns + reach; column = next_image(column)) {
                for (var gradient = chunk; gradient < chunk_end; gradient += 1u) {
                    let later = hidden[gradient - geometry.inputs];
                    let s = i32(later.dilation);
                    var seen = false;
                    //#for t in 0..ROWS
                    seen = seen || (image_${t}.x >= -s && image_${t}.x < rows + s);
                    //#end
                    if !seen || column.x < -s || column.x >= columns + s {
                        continue;
                    }
                    let at = plane + i32((gradient - chunk) * geometry.gradient_plane) + column.x;
                    //#if STAGED
                    let weights_at = (gradient - chunk) * ${9 * QUADS}u;
                    //#else
                    //#for c in 0..CHANNELS
                    let filter_${c} = 9u * (later.first_filter + channel_${c});
                    //#end
                    //#end
                    //#for r in 0..3
                    {
                        //#for t in 0..ROWS
                        let row_${t} = image_${t}.x - s * (${r} - 1);
                        let inside_${t} = row_${t} >= 0 && row_${t} < rows;
                        let row_at_${t} = at + select(0, row_${t}, inside_${t}) * pitch;
                        //#end
                        //#for column in 0..3
                        {
                            // Beside the rows there are zeros, so columns need no check.
                            //#for t in 0..ROWS
                            let value_${t} = select(0.0, gradient_at(row_at_${t} - s * (${column} - 1)), inside_${t});
                            //#end
                            //#if STAGED
                            //#for quad in 0..QUADS
                            {
                                let four = weights[weights_at + ${(3 * r + column) * QUADS}u + ${quad}u];
                                //#for k in 0..4
                                //#for t in 0..ROWS
                                sum_${t}_${4 * quad + k} = fma(four[${k}], value_${t}, sum_${t}_${4 * quad + k});
                                //#end
                                //#end
                            }
                            //#end
                            //#else
                            //#for c in 0..CHANNELS
                            let weight_${c} = parameters[filter_${c} + ${3 * r + column}u];
                            //#for t in 0..ROWS
                            sum_${t}_${c} = fma(weight_${c}, value_${t}, sum_${t}_${c});
                            //#end
                            //#end
                            //#end
                        }
                        //#end
                    }
                    //#end
                }
            }
            var more = false;
            //#for t in 0..ROWS
            image_${t} = next_image(image_${t});
            more = more || image_${t}.x < rows + reach;
            //#end
            if !more {
                break;
            }
        }
    }
    if column_of_lane >= geometry.columns {
        return;
    }

    //#for c in 0..CHANNELS
    if channel + ${c}u <= last {
        let finishes = channel_${c} >= params.finish_start && channel_${c} < params.finish_end;
        let into = gradient_place(params.channel_page_start, params.channel_page_channels, image, channel_${c});
        let sums_at = into - params.sum_planes * geometry.gradient_plane;
        let map = map_place(params.map_page_start, params.map_page_channels, image, channel_${c});
        //#for t in 0..ROWS
        if y + ${t}u < geometry.rows {
            let pixel = (y + ${t}u) * geometry.pitch + x;
            var sum = sums[sums_at + pixel] + sum_${t}_${c};
            if finishes {
                sum = select(0.0, sum, map_at(map + pixel) > 0.0);
            }
            sums[select(sums_at, into, finishes) + pixel] = sum;
        }
        //#end
    }
    //#end
}
