// What input_gradient and input_gradient_volume are given, and how they read it: the same buffers in the same places. It needs the
// pieces maps, geometry and hidden. With GRADIENTS_WITHIN, the gradients that are read are in the page of those that are added to; with
// MAPS_WITHIN, the feature maps are.

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
    // The largest dilation of the gradients: mirror images farther out are not seen. 0 for volumes, where each gradient's own bounds them.
    reach: u32,
    // Where sums lie that are not complete: how many planes before the gradient maps that they become; with HALF, how many channels of a
    // block there is room for. 0 for volumes of full numbers.
    sum_planes: u32,
}
//#if HALF
//#include scaling
//#end

@group(0) @binding(0) var<uniform> params: InputGradientParams;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> hidden: array<HiddenChannel>;
@group(0) @binding(3) var<storage, read_write> page: array<MapNumber>;
//#if HALF
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;
@group(0) @binding(5) var<storage, read_write> scaling: Scaling;
//#end
//#if GRADIENTS_WITHIN
fn gradient_at(place: i32) -> f32 {
    return f32(page[place]);
}
//#else
//#if HALF
@group(0) @binding(6) var<storage, read> gradients: array<f16>;
//#else
@group(0) @binding(4) var<storage, read> gradients: array<f32>;
//#end

fn gradient_at(place: i32) -> f32 {
    return f32(gradients[place]);
}
//#end
//#if MAPS_WITHIN
fn map_at(place: u32) -> f32 {
    return f32(page[place]);
}
//#else
//#if HALF
//#if GRADIENTS_WITHIN
@group(0) @binding(6) var<storage, read> maps: array<f16>;
//#else
@group(0) @binding(7) var<storage, read> maps: array<f16>;
//#end
//#else
//#if GRADIENTS_WITHIN
@group(0) @binding(4) var<storage, read> maps: array<f32>;
//#else
@group(0) @binding(5) var<storage, read> maps: array<f32>;
//#end
//#end

fn map_at(place: u32) -> f32 {
    return f32(maps[place]);
}
//#end
//#include gradient_sums
