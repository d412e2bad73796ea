// How the planes of the present schedule lie in memory; each shader's params begin with it.
// Keep in sync with `Geometry` in src/gpu/network/params.rs.
struct Geometry {
    // Rows and columns of an image; in a volume, the rows of all slices, one below the other.
    rows: u32,
    columns: u32,
    // Images in the batch.
    batch: u32,
    // Width of the margins around feature maps: the largest dilation.
    margin: u32,
    // Distance between rows, of all planes.
    pitch: u32,
    // Numbers in a plane, and place of row 0, column 0 of a page's first plane: feature maps, ...
    map_plane: u32,
    map_origin: u32,
    // ... gradient maps, which lie as feature maps do where they share planes, ...
    gradient_plane: u32,
    gradient_origin: u32,
    // ... and outputs and output gradients, which have no margin above.
    output_plane: u32,
    output_origin: u32,
    // 0 zeros, 1 reflect, 2 symmetric.
    boundary: u32,
    // The network: channels before the first layer (of the image and of the stem), of the output, and inputs plus hidden ones.
    inputs: u32,
    outputs: u32,
    channels: u32,
    // The first workgroup of this dispatch among those of the whole: what is too much for one is cut into several.
    first_x: u32,
    first_y: u32,
    first_z: u32,
    // Rows of one slice.
    slice_rows: u32,
    unused: u32,
}

// The place of a dispatch's workgroup in the whole.
fn place_in_whole(workgroup: vec3<u32>) -> vec3<u32> {
    return workgroup + vec3<u32>(params.geometry.first_x, params.geometry.first_y, params.geometry.first_z);
}

// Place of row 0, column 0 of a feature map in a page that holds `page_channels` channels from `page_start`.
fn map_place(page_start: u32, page_channels: u32, image: u32, channel: u32) -> u32 {
    return params.geometry.map_origin + (image * page_channels + channel - page_start) * params.geometry.map_plane;
}

// The same for gradient maps. Where these share the planes of feature maps, `page_start` is the channel whose gradient map
// would lie in the first plane of the page; it may be below 0, and wraps.
fn gradient_place(page_start: u32, page_channels: u32, image: u32, channel: u32) -> u32 {
    return params.geometry.gradient_origin
        + (image * page_channels + channel - page_start) * params.geometry.gradient_plane;
}

// The same for outputs and output gradients.
fn output_place(image: u32, output: u32) -> u32 {
    return params.geometry.output_origin
        + (image * params.geometry.outputs + output) * params.geometry.output_plane;
}
