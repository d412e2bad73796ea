// Where the kernels that add to gradient maps leave sums that are not complete: in the planes of the gradient maps that they become,
// or so many planes before these where several layers are computed at once; with HALF in f32 apart, as shared/sums.wgsl does for feature maps. Needs `page`, where gradient maps are written, and with HALF `sums`
// and `scaling`.

// The place of row 0, column 0 of the sums of `channel`, whose gradient map begins at `gradient`.
fn sum_place(gradient: u32, image: u32, channel: u32) -> u32 {
    //#if HALF
    let plane = image * params.sum_planes + (channel - params.geometry.inputs) % params.sum_planes;
    return params.geometry.gradient_origin + plane * params.geometry.gradient_plane;
    //#else
    return gradient - params.sum_planes * params.geometry.gradient_plane;
    //#end
}

fn sum_at(place: u32) -> f32 {
    //#if HALF
    return sums[place];
    //#else
    return page[place];
    //#end
}

// Stores a sum: at `sums_at` where it is not complete, else as a gradient map at `gradient_at`. What is beyond the largest half becomes the
// largest half, and the host is told: so that no gradient becomes infinite. NaN stays what it is, as training has failed then.
fn store(gradient_at: u32, sums_at: u32, sum: f32, finishes: bool) {
    //#if HALF
    if !finishes {
        sums[sums_at] = sum;
        return;
    }
    let largest_half = 65504.0;
    if abs(sum) > largest_half {
        atomicStore(&scaling.beyond, 1u);
        page[gradient_at] = f16(select(largest_half, -largest_half, sum < 0.0));
    } else {
        page[gradient_at] = f16(sum);
    }
    //#else
    page[select(sums_at, gradient_at, finishes)] = sum;
    //#end
}
