// input_gradient_layers: completes the gradient maps of several consecutive layers, the last ones first: the exact adjoint of convolve_layers,
// borders included. Of the last of these layers the gradient maps are there; of the others the sums over all layers after the last. To
// these it adds the gradients of the layers that it computes itself, and of the last, back-propagated through their convolutions; each
// passes back through the ReLU.
//
//     gradient_c(q) = [z_c(q) > 0] (sum_c(q) + sum_g sum_t h_gct sum_p gradient_g(p))      g: from the layer after c's to the last
//
// where p is all pixels with q seen at p + s_g t: q is seen at itself and at its mirror images in the margin.
//
// Bindings: 1 parameters, 2 hidden channels, 3 the page of all feature maps and gradient maps. Gradient maps lie `gradient_planes` planes
// further than feature maps, and their sums `sum_planes` planes before them, which is before those of these layers: no workgroup writes
// what another one reads.
// Tiling: as in convolve_layers: squares, and around them as much of each layer but the first and the last as earlier layers read. A place
// beyond the edge of the image holds 0. What is read at a mirror image is as near to the pixel as the dilation is large. A thread computes PIXELS pixels at a time; in each round it takes a place at which each of
// them is seen: mostly there is one round.
// x, y: squares; z: images.

//#include geometry
//#include hidden
//#include mirror

// Keep in sync with `InputGradientLayersParams` in src/gpu/network/params.rs.
struct InputGradientLayersParams {
    geometry: Geometry,
    // The channels of all layers, and the page they are in.
    channel_start: u32,
    channel_end: u32,
    page_start: u32,
    page_channels: u32,
    // Channels of a layer.
    width: u32,
    // How many planes further than feature maps gradient maps lie, and how many planes before these their sums.
    gradient_planes: u32,
    sum_planes: u32,
    // Pixels along a side of a square.
    tile: u32,
    // How far around its square a workgroup computes the last layer but one: the sum of the largest dilations from the second layer to it.
    reach: u32,
    // The largest dilation after the first layer: mirror images farther out are not seen.
    farthest: u32,
}

@group(0) @binding(0) var<uniform> params: InputGradientLayersParams;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> hidden: array<HiddenChannel>;
@group(0) @binding(3) var<storage, read_write> planes: array<f32>;

// The gradient maps from the last layer but one down to the second, layer by layer, each as far around the square as it is needed.
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
fn input_gradient_layers(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let image = group.z;
    let tile = i32(params.tile);
    let first_row = i32(group.y * params.tile);
    let first_column = i32(group.x * params.tile);
    let rows = i32(geometry.rows);
    let columns = i32(geometry.columns);
    let pitch = i32(geometry.pitch);
    let farthest = i32(params.farthest);
    // Always 1, but not for a compiler to know; see input_gradient.
    let one = min(arrayLength(&hidden), 1u);
    let boundary = geometry.boundary * one;
    let end = params.channel_end * one;
    let last_layer = end - params.width;
    let first_map = map_place(params.page_start, params.page_channels, image, params.channel_start);
    let to_gradients = params.gradient_planes * geometry.map_plane;
    let to_sums = (params.gradient_planes - params.sum_planes) * geometry.map_plane;
    // How far around the square the present layer is computed, and where its first gradient map is kept.
    var halo = i32(params.reach);
    var keep_at = 0;
    // The bounds of this loop are the same for the whole workgroup, so the barrier is safe.
    for (var layer_after = last_layer; layer_after > params.channel_start; layer_after -= params.width) {
        let layer = layer_after - params.width;
        let is_first = layer == params.channel_start;
        let side = tile + 2 * halo;
        let area = side * side;
        for (var channel = layer; channel < layer_after; channel += 1u) {
            let map = i32(first_map + (channel - params.channel_start) * geometry.map_plane);
            for (var item = i32(lane); item < area; item += ${THREADS * PIXELS}) {
                //#for t in 0..PIXELS
                // In the place of items beyond the end the last is computed again, and not kept; in that of pixels beyond the edge, one at
                // the edge.
                let item_${t} = min(item + ${t * THREADS}, area - 1);
                let down_${t} = item_${t} / side - halo;
                let across_${t} = item_${t} % side - halo;
                let y_${t} = clamp(first_row + down_${t}, 0, rows - 1);
                let x_${t} = clamp(first_column + across_${t}, 0, columns - 1);
                var sum_${t} = planes[map + i32(to_sums) + y_${t} * pitch + x_${t}];
                // The places at which the pixel is seen, one after the other: columns, then rows.
                let left_${t} = lowest_image(x_${t}, columns, farthest, boundary);
                var row_${t} = lowest_image(y_${t}, rows, farthest, boundary);
                var column_${t} = left_${t};
                //#end
                loop {
                    for (var after = last_layer; after < end; after += 1u) {
                        let later = hidden[after - geometry.inputs];
                        let s = i32(later.dilation);
                        let gradient = i32(first_map + to_gradients + (after - params.channel_start) * geometry.map_plane);
                        let filter_at = 9u * (later.first_filter + channel);
                        //#for row in 0..3
                        {
                            //#for t in 0..PIXELS
                            let from_row_${t} = row_${t}.x - s * (${row} - 1);
                            let row_inside_${t} = from_row_${t} >= 0 && from_row_${t} < rows;
                            //#end
                            //#for column in 0..3
                            {
                                let tap = parameters[filter_at + ${3 * row + column}u];
                                //#for t in 0..PIXELS
                                let from_column_${t} = column_${t}.x - s * (${column} - 1);
                                let inside_${t} = row_inside_${t} && from_column_${t} >= 0 && from_column_${t} < columns;
                                let at_${t} = gradient + select(0, from_row_${t} * pitch + from_column_${t}, inside_${t});
                                sum_${t} = fma(tap, select(0.0, planes[at_${t}], inside_${t}), sum_${t});
                                //#end
                            }
                            //#end
                        }
                        //#end
                    }
                    var kept_halo = i32(params.reach);
                    var gradient_after = 0;
                    for (var other = last_layer - params.width; other > layer; other -= params.width) {
                        let kept_side = tile + 2 * kept_halo;
                        for (var after = other; after < other + params.width; after += 1u) {
                            let later = hidden[after - geometry.inputs];
                            let s = i32(later.dilation);
                            let filter_at = 9u * (later.first_filter + channel);
                            //#for row in 0..3
                            {
                                //#for t in 0..PIXELS
                                let from_row_${t} = row_${t}.x - s * (${row} - 1);
                                let row_inside_${t} = from_row_${t} >= 0 && from_row_${t} < rows;
                                let row_at_${t} = (from_row_${t} - first_row + kept_halo) * kept_side - first_column + kept_halo;
                                //#end
                                //#for column in 0..3
                                {
                                    let tap = parameters[filter_at + ${3 * row + column}u];
                                    //#for t in 0..PIXELS
                                    let from_column_${t} = column_${t}.x - s * (${column} - 1);
                                    let inside_${t} = row_inside_${t} && from_column_${t} >= 0 && from_column_${t} < columns;
                                    let at_${t} = gradient_after + select(0, row_at_${t} + from_column_${t}, inside_${t});
                                    sum_${t} = fma(tap, select(0.0, kept[at_${t}], inside_${t}), sum_${t});
                                    //#end
                                }
                                //#end
                            }
                            //#end
                            gradient_after += kept_side * kept_side;
                        }
                        kept_halo -= largest_dilation(other);
                    }
                    var more = false;
                    //#for t in 0..PIXELS
                    column_${t} = next_image(column_${t});
                    if column_${t}.x >= columns + farthest {
                        let next_row_${t} = next_image(row_${t});
                        if next_row_${t}.x < rows + farthest {
                            column_${t} = left_${t};
                        }
                        row_${t} = next_row_${t};
                    }
                    more = more || row_${t}.x < rows + farthest;
                    //#end
                    if !more {
                        break;
                    }
                }
                //#for t in 0..PIXELS
                if item + ${t * THREADS} < area {
                    let pixel = y_${t} * pitch + x_${t};
                    let value = select(0.0, sum_${t}, planes[map + pixel] > 0.0);
                    let inside_image = y_${t} == first_row + down_${t} && x_${t} == first_column + across_${t};
                    if !is_first {
                        kept[keep_at + item_${t}] = select(0.0, value, inside_image);
                    }
                    let inside = down_${t} >= 0 && down_${t} < tile && across_${t} >= 0 && across_${t} < tile;
                    if inside && inside_image {
                        planes[map + i32(to_gradients) + pixel] = value;
                    }
                }
                //#end
            }
            keep_at += area;
        }
        if !is_first {
            halo -= largest_dilation(layer);
            workgroupBarrier();
        }
    }
}
