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
// filters follow each other; so each gradient that is loaded serves CHANNELS sums, each weight ROWS.
// x: tiles of channels, then columns by 64, so that the groups that run together share their gradients in the
// cache; y: rows by ROWS; z: images.

//#include geometry
//#include hidden
//#include mirror

// Keep in sync with `InputGradientParams` in src/gpu/network/params.rs.
struct InputGradientParams {
    geometry: Geometry,
    gradient_start: u32,
    gradient_end: u32,
    gradient_page_start: u32,
    gradient_page_channels: u32,
    channel_start: u32,
    channel_end: u32,
    channel_page_start: u32,
    channel_page_channels: u32,
    // The channels that are complete after this step, and the page of their maps.
    finish_start: u32,
    finish_end: u32,
    map_page_start: u32,
    map_page_channels: u32,
    // Tiles of channels.
    tiles: u32,
    // The largest dilation of the gradients: mirror images farther out are not seen.
    reach: u32,
}

@group(0) @binding(0) var<uniform> params: InputGradientParams;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> hidden: array<HiddenChannel>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;
//#if GRADIENTS_WITHIN
fn gradient_at(place: i32) -> f32 {
    return sums[place];
}
//#else
@group(0) @binding(4) var<storage, read> gradients: array<f32>;

fn gradient_at(place: i32) -> f32 {
    return gradients[place];
}
//#end
//#if MAPS_WITHIN
fn map_at(place: u32) -> f32 {
    return sums[place];
}
//#else
//#if GRADIENTS_WITHIN
@group(0) @binding(4) var<storage, read> maps: array<f32>;
//#else
@group(0) @binding(5) var<storage, read> maps: array<f32>;
//#end

fn map_at(place: u32) -> f32 {
    return maps[place];
}
//#end

@compute @workgroup_size(64)
fn input_gradient(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let channel = params.channel_start + group.x % params.tiles * ${CHANNELS}u;
    let x = group.x / params.tiles * 64u + lane;
    if x >= geometry.columns {
        return;
    }
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
    let plane = gradient_place(params.gradient_page_start, params.gradient_page_channels, image, params.gradient_start);
    let left = lowest_image(i32(x), columns, reach, boundary);
    //#for t in 0..ROWS
    var image_${t} = lowest_image(i32(min(y + ${t}u, geometry.rows - 1u)), rows, reach, boundary);
    //#end
    // Each round takes one mirror image of each row: mostly there is one round. Rows that have no more image are far
    // enough out by then to read only zeros.
    loop {
        for (var column = left; column.x < columns + reach; column = next_image(column)) {
            var at = i32(plane) + column.x;
            for (var gradient = params.gradient_start; gradient < gradient_end; gradient += 1u) {
                let later = hidden[gradient - geometry.inputs];
                let s = i32(later.dilation);
                //#for c in 0..CHANNELS
                let filter_${c} = 9u * (later.first_filter + channel_${c});
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
                        //#for c in 0..CHANNELS
                        let weight_${c} = parameters[filter_${c} + ${3 * r + column}u];
                        //#for t in 0..ROWS
                        sum_${t}_${c} = fma(weight_${c}, value_${t}, sum_${t}_${c});
                        //#end
                        //#end
                    }
                    //#end
                }
                //#end
                at += i32(geometry.gradient_plane);
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

    //#for c in 0..CHANNELS
    if channel + ${c}u <= last {
        let finishes = channel_${c} >= params.finish_start && channel_${c} < params.finish_end;
        let into = gradient_place(params.channel_page_start, params.channel_page_channels, image, channel_${c});
        let map = map_place(params.map_page_start, params.map_page_channels, image, channel_${c});
        //#for t in 0..ROWS
        if y + ${t}u < geometry.rows {
            let pixel = (y + ${t}u) * geometry.pitch + x;
            var sum = sums[into + pixel] + sum_${t}_${c};
            if finishes {
                sum = select(0.0, sum, map_at(map + pixel) > 0.0);
            }
            sums[into + pixel] = sum;
        }
        //#end
    }
    //#end
}
