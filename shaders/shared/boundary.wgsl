// What is seen beyond the edge of an image. Needs `params` with a Geometry.

// The pixel of a line of `length` pixels that is seen at `place`, or -1 where zero is seen.
fn source(place: i32, length: i32) -> i32 {
    if place >= 0 && place < length {
        return place;
    }
    if params.geometry.boundary == 0u {
        return -1;
    }
    // A symmetric mirror stands half a pixel beyond the edge, a reflecting one on the edge pixel.
    let beyond = i32(params.geometry.boundary) - 1;
    if length == 1 {
        return 0;
    }
    let period = 2 * (length - 1 + beyond);
    // Counted upwards from a mirror on either side: Vulkan leaves remainders of negative numbers open.
    var phase = place % period;
    if place < 0 {
        phase = period - 1 - (-1 - place) % period;
    }
    return min(phase, period - beyond - phase);
}
