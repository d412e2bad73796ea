// Repeats what a kernel writes in the margins. Needs `params` with a Geometry, and the feature maps as `maps`.

//#include mirror

// Repeats a finished pixel at its mirror images in the margins of the plane at `plane`.
fn fill_margins(plane: u32, y: u32, x: u32) {
    let geometry = params.geometry;
    let margin = i32(geometry.margin);
    let rows = i32(geometry.rows) + margin;
    let columns = i32(geometry.columns) + margin;
    let pitch = i32(geometry.pitch);
    let value = maps[plane + y * geometry.pitch + x];
    let left = lowest_image(i32(x), i32(geometry.columns), margin, geometry.boundary);
    for (var row = lowest_image(i32(y), i32(geometry.rows), margin, geometry.boundary); row.x < rows; row = next_image(row)) {
        for (var column = left; column.x < columns; column = next_image(column)) {
            if row.x != i32(y) || column.x != i32(x) {
                maps[i32(plane) + row.x * pitch + column.x] = value;
            }
        }
    }
}
