// The places at which a pixel of a line is seen when the line is continued by its boundary: itself and its
// mirror images. They alternate between two distances, so a place is kept with the distance to the next
// place above (y) and below (z); going one place on swaps the two.

const far_away: i32 = 1 << 29;

// The lowest place at or above -reach at which pixel `place` of a line of `length` pixels is seen.
fn lowest_image(place: i32, length: i32, reach: i32, boundary: u32) -> vec3<i32> {
    if boundary == 0u {
        return vec3<i32>(place, far_away, far_away);
    }
    // A symmetric mirror stands half a pixel beyond the edge, a reflecting one on the edge pixel.
    let beyond = i32(boundary) - 1;
    var up = 2 * (length - 1 - place) + beyond;
    var down = 2 * place + beyond;
    // A pixel on a mirror is its own image: it must be seen once, so that distance does not count.
    if up == 0 && down == 0 {
        up = 1;
        down = 1;
    } else if up == 0 {
        up = down;
    } else if down == 0 {
        down = up;
    }
    var image = vec3<i32>(place, up, down);
    while image.x - image.z >= -reach {
        image = vec3<i32>(image.x - image.z, image.z, image.y);
    }
    return image;
}

// The next place up.
fn next_image(image: vec3<i32>) -> vec3<i32> {
    return vec3<i32>(image.x + image.y, image.z, image.y);
}
