// input_gradient_volume: adds to gradient maps of volumes those of later layers, back-propagated through their convolutions: the
// exact adjoint of convolve_volume, borders included. Channels that are complete after it pass back through the ReLU.
//
//     gradient_c(q) += sum_g sum_t h_gct sum_p gradient_g(p)      p: all voxels with q seen at p + s_g t
//
// q is seen at itself and at its mirror images, along each axis by itself.
//
// Bindings: 1 parameters, 2 hidden channels, 3 page of the gradients that are added to, then the page of those that are read,
// but with GRADIENTS_WITHIN these are in page 3; then the page of the feature maps of the channels that are complete,
// but with MAPS_WITHIN these are in page 3. So a page that is written is bound once (no thread reads what another one
// writes); the two that are read may be the same. With HALF, 4 is the sums that are not complete and 5 scaling, before what is read.
// Tiling: a thread computes one voxel of CHANNELS consecutive channels, whose filters follow each other; so each gradient that is
// loaded serves CHANNELS sums. x: tiles of channels, then columns by 64, so that the groups that run together share their gradients in
// the cache; y: rows of all slices; z: volumes.

//#include maps
//#include geometry
//#include hidden
//#include mirror
//#include input_gradient_bindings

@compute @workgroup_size(64)
fn input_gradient_volume(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let channel = params.channel_start + group.x % params.tiles * ${CHANNELS}u;
    let x = group.x / params.tiles * 64u + lane;
    if x >= geometry.columns {
        return;
    }
    let image = group.z;
    let height = i32(geometry.slice_rows);
    let slices = i32(geometry.rows) / height;
    let columns = i32(geometry.columns);
    let pitch = i32(geometry.pitch);
    let z = i32(group.y) / height;
    let y = i32(group.y) % height;
    let boundary = geometry.boundary;
    // Beyond the last channel a tile computes the last again and writes nothing.
    let last = params.channel_end - 1u;
    //#for c in 0..CHANNELS
    let channel_${c} = min(channel + ${c}u, last);
    var sum_${c} = 0.0;
    //#end
    for (var g = params.gradient_start; g < params.gradient_end; g += 1u) {
        let later = hidden[g - geometry.inputs];
        let s = i32(later.dilation);
        let along_z = i32(later.dilation_z);
        let plane = i32(gradient_place(params.gradient_page_start, params.gradient_page_channels, image, g));
        // With a dilation of 0 there is the middle tap alone along z.
        let first_tap = select(0, 1, along_z == 0);
        //#for c in 0..CHANNELS
        let filter_${c} = 27u * (later.first_filter + channel_${c});
        //#end
        for (var image_z = lowest_image(z, slices, along_z, boundary); image_z.x < slices + along_z; image_z = next_image(image_z)) {
            for (var deep = first_tap; deep < 3 - first_tap; deep += 1) {
                let from_z = image_z.x - (deep - 1) * along_z;
                if from_z < 0 || from_z >= slices {
                    continue;
                }
                for (var image_y = lowest_image(y, height, s, boundary); image_y.x < height + s; image_y = next_image(image_y)) {
                    for (var down = 0; down < 3; down += 1) {
                        let from_y = image_y.x - (down - 1) * s;
                        if from_y < 0 || from_y >= height {
                            continue;
                        }
                        let row = plane + (from_z * height + from_y) * pitch;
                        let tap_of_row = u32(9 * deep + 3 * down);
                        for (var image_x = lowest_image(i32(x), columns, s, boundary); image_x.x < columns + s; image_x = next_image(image_x)) {
                            //#for across in 0..3
                            {
                                let from_x = image_x.x - (${across} - 1) * s;
                                if from_x >= 0 && from_x < columns {
                                    let value = gradient_at(row + from_x);
                                    //#for c in 0..CHANNELS
                                    sum_${c} = fma(parameters[filter_${c} + tap_of_row + ${across}u], value, sum_${c});
                                    //#end
                                }
                            }
                            //#end
                        }
                    }
                }
            }
        }
    }
    let voxel = group.y * geometry.pitch + x;
    //#for c in 0..CHANNELS
    if channel + ${c}u <= last {
        let finishes = channel_${c} >= params.finish_start && channel_${c} < params.finish_end;
        let into = gradient_place(params.channel_page_start, params.channel_page_channels, image, channel_${c});
        let sums_into = sum_place(into, image, channel_${c}) + voxel;
        let map = map_place(params.map_page_start, params.map_page_channels, image, channel_${c}) + voxel;
        var sum = sum_at(sums_into) + sum_${c};
        if finishes {
            sum = select(0.0, sum, map_at(map) > 0.0);
        }
        store(into + voxel, sums_into, sum, finishes);
    }
    //#end
}
