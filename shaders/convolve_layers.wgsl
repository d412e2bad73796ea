// convolve_layers: completes several consecutive layers. Of the first of them the maps are there; of the others the sums over all sources
// before the first. To these it adds the dilated 3x3 convolutions of the layers that it computes itself, and of the first; each becomes ReLU
// of its sum, mirror images included.
//
//     z_o(p) = relu(sum_o(p) + sum_k sum_t h_okt z_k(p + s_o t))      k: from the first layer to the one before o's
//
// Bindings: 1 parameters, 2 hidden channels, 3 the page of all feature maps. Sums lie `sum_planes` planes further than the maps that they
// become, and that is further than the last layer: no workgroup writes what another one reads.
// Tiling: a workgroup computes a square of `tile` x `tile` pixels of all layers. Of each layer but the last it keeps the map in its own memory,
// around the square too, as far as later layers read: so pixels around the square are computed by several workgroups, and written by
// one. A place beyond the edge of the image holds what is seen there: the thread computes the pixel that is seen once more, and so no
// later layer needs a case for the edge; that pixel lies no farther from the square than the place. The first layer is read from its plane, margins included. A thread computes PIXELS pixels at a
// time, which share the taps.
// x, y: squares; z: images.

//#include geometry
//#include hidden
//#include boundary
//#include fill_margins

// Keep in sync with `ConvolveLayersParams` in src/gpu/network/params.rs.
struct ConvolveLayersParams {
    geometry: Geometry,
    // The channels of all layers, and the page they are in.
    channel_start: u32,
    channel_end: u32,
    page_start: u32,
    page_channels: u32,
    // Channels of a layer.
    width: u32,
    // How many planes further than the maps that they become sums lie.
    sum_planes: u32,
    // Pixels along a side of a square.
    tile: u32,
    // How far around its square a workgroup computes the second layer: the sum of the largest dilations of the later ones.
    reach: u32,
}

@group(0) @binding(0) var<uniform> params: ConvolveLayersParams;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> hidden: array<HiddenChannel>;
@group(0) @binding(3) var<storage, read_write> maps: array<f32>;

// The maps from the second layer to the last but one, channel after channel, each as far around the square as it is needed.
var<workgroup> kept: array<f32, ${NUMBERS}>;

// The largest dilation in the layer that begins with channel `layer`.
fn largest_dilation(layer: u32) -> i32 {
    var largest = 0u;
    for (var channel = layer; channel < layer + params.width; channel += 1u) {
        largest = max(largest, hidden[channel - params.geometry.inputs].dilation);
    }
    return i32(largest);
}

@compute @workgroup_size(${THREADS})
fn convolve_layers(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let image = group.z;
    let tile = i32(params.tile);
    let first_row = i32(group.y * params.tile);
    let first_column = i32(group.x * params.tile);
    let rows = i32(geometry.rows);
    let columns = i32(geometry.columns);
    let pitch = i32(geometry.pitch);
    // Always 1, but not for a compiler to know; see input_gradient.
    let one = min(arrayLength(&hidden), 1u);
    let second = params.channel_start + params.width;
    let end = params.channel_end * one;
    let first_plane = map_place(params.page_start, params.page_channels, image, params.channel_start);
    let to_sums = params.sum_planes * geometry.map_plane;
    // How far around the square the present layer is computed, and where its first map is kept.
    var halo = i32(params.reach);
    var keep_at = 0;
    // The bounds of this loop are the same for the whole workgroup, so the barrier is safe.
    for (var layer = second; layer < end; layer += params.width) {
        let is_last = layer + params.width >= end;
        let side = tile + 2 * halo;
        let area = side * side;
        for (var output = layer; output < layer + params.width; output += 1u) {
            let channel = hidden[output - geometry.inputs];
            let s = i32(channel.dilation);
            let plane = first_plane + (output - params.channel_start) * geometry.map_plane;
            for (var item = i32(lane); item < area; item += ${THREADS * PIXELS}) {
                //#for t in 0..PIXELS
                // In the place of items beyond the end the last is computed again, and not kept.
                let item_${t} = min(item + ${t * THREADS}, area - 1);
                // The place as it is counted from the square's first pixel, and the pixel of the image that is seen there.
                let down_${t} = item_${t} / side - halo;
                let across_${t} = item_${t} % side - halo;
                let seen_y_${t} = source(first_row + down_${t}, rows);
                let seen_x_${t} = source(first_column + across_${t}, columns);
                // Where zero is seen, some pixel is computed for nothing.
                let y_${t} = select(clamp(first_row + down_${t}, 0, rows - 1), seen_y_${t}, seen_y_${t} >= 0);
                let x_${t} = select(clamp(first_column + across_${t}, 0, columns - 1), seen_x_${t}, seen_x_${t} >= 0);
                let at_${t} = y_${t} * pitch + x_${t};
                var sum_${t} = maps[i32(plane + to_sums) + at_${t}];
                //#end
                for (var before = params.channel_start; before < second; before += 1u) {
                    let plane_before = i32(first_plane + (before - params.channel_start) * geometry.map_plane);
                    let filter_at = 9u * (channel.first_filter + before);
                    //#for row in 0..3
                    //#for column in 0..3
                    {
                        let tap = parameters[filter_at + ${3 * row + column}u];
                        let from_pixel = plane_before + (${row} - 1) * s * pitch + (${column} - 1) * s;
                        //#for t in 0..PIXELS
                        sum_${t} = fma(tap, maps[from_pixel + at_${t}], sum_${t});
                        //#end
                    }
                    //#end
                    //#end
                }
                var kept_halo = i32(params.reach);
                var map_before = 0;
                for (var layer_before = second; layer_before < layer; layer_before += params.width) {
                    let kept_side = tile + 2 * kept_halo;
                    //#for t in 0..PIXELS
                    let kept_at_${t} = (y_${t} - first_row + kept_halo) * kept_side + x_${t} - first_column + kept_halo;
                    //#end
                    for (var before = layer_before; before < layer_before + params.width; before += 1u) {
                        let filter_at = 9u * (channel.first_filter + before);
                        //#for row in 0..3
                        //#for column in 0..3
                        {
                            let tap = parameters[filter_at + ${3 * row + column}u];
                            let from_pixel = map_before + (${row} - 1) * s * kept_side + (${column} - 1) * s;
                            //#for t in 0..PIXELS
                            sum_${t} = fma(tap, kept[from_pixel + kept_at_${t}], sum_${t});
                            //#end
                        }
                        //#end
                        //#end
                        map_before += kept_side * kept_side;
                    }
                    kept_halo -= largest_dilation(layer_before + params.width);
                }
                //#for t in 0..PIXELS
                if item + ${t * THREADS} < area {
                    // ReLU by comparison: max() may turn NaN into 0, and hide that training has failed.
                    let value = select(sum_${t}, 0.0, sum_${t} < 0.0);
                    if !is_last {
                        let shown = seen_y_${t} >= 0 && seen_x_${t} >= 0;
                        kept[keep_at + item_${t}] = select(0.0, value, shown);
                    }
                    let inside = down_${t} >= 0 && down_${t} < tile && across_${t} >= 0 && across_${t} < tile;
                    if inside && first_row + down_${t} < rows && first_column + across_${t} < columns {
                        maps[i32(plane) + at_${t}] = value;
                        if geometry.boundary != 0u {
                            fill_margins(plane, u32(y_${t}), u32(x_${t}));
                        }
                    }
                }
                //#end
            }
            keep_at += area;
        }
        if !is_last {
            halo -= largest_dilation(layer + params.width);
            workgroupBarrier();
        }
    }
}
