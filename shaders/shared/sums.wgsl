// Where the convolutions leave sums that are not complete: in the planes of the maps that they become, or, where several layers are computed
// at once, so many planes further; with HALF, as halves would be rounded again with each addition, in f32 apart, in as many planes as a block
// of layers has channels.

// The place of row 0, column 0 of the sums of `output`, whose feature map begins at `map`.
fn sum_place(map: u32, image: u32, output: u32) -> u32 {
    //#if HALF
    let plane = image * params.sum_planes + (output - params.geometry.inputs) % params.sum_planes;
    return params.geometry.map_origin + plane * params.geometry.map_plane;
    //#else
    return map + params.sum_planes * params.geometry.map_plane;
    //#end
}

fn sum_at(place: u32) -> f32 {
    //#if HALF
    return sums[place];
    //#else
    return maps[place];
    //#end
}

// Stores a sum: at `sums_at` where it is not complete, else as a map at `map_at`. ReLU by comparison: max() may turn NaN into 0, and
// hide that training has failed.
fn store(map_at: u32, sums_at: u32, sum: f32, finishes: bool) {
    //#if HALF
    if finishes {
        maps[map_at] = f16(select(sum, 0.0, sum < 0.0));
    } else {
        sums[sums_at] = sum;
    }
    //#else
    maps[select(sums_at, map_at, finishes)] = select(sum, 0.0, finishes && sum < 0.0);
    //#end
}
