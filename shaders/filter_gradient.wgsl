// filter_gradient: partial sums of the gradients of the filters that lead from feature maps to hidden channels.
//
//     dh_gct = sum_p gradient_g(p) z_c(p + s_g t)
//
// Bindings: 1 hidden channels, 2 page of gradients, 3 page of feature maps (which may be the same one), 4 partials
// [gradient][tile of sources][chunk][source][tap], which sum_partials adds up.
// Tiling: a workgroup takes one gradient channel and CHANNELS consecutive sources: 9 CHANNELS sums a thread. A
// thread walks down a column of the lattice of stride s: at each row it loads the three columns of each map and
// one new gradient, and keeps the gradients of the rows above, at and below: 3 CHANNELS + 1 loads for 9 CHANNELS
// multiply-adds. Work items are (image, columns by 64, lattice rows by `segment`, lattice offset); each chunk takes
// every `chunks`-th item. x: tiles of sources, then gradients, so that groups that run together share maps and
// gradients in the cache; y: chunks.

//#include maps
//#include geometry
//#include hidden
//#include add_lanes

// Keep in sync with `FilterGradientParams` in src/gpu/network/params.rs.
struct FilterGradientParams {
    geometry: Geometry,
    gradient_start: u32,
    gradient_page_start: u32,
    gradient_page_channels: u32,
    source_start: u32,
    source_end: u32,
    source_page_start: u32,
    source_page_channels: u32,
    // Tiles of sources.
    tiles: u32,
    // Workgroups that share the pixels.
    chunks: u32,
    // Lattice rows in a work item.
    segment: u32,
    // Columns by 64.
    column_tiles: u32,
}

@group(0) @binding(0) var<uniform> params: FilterGradientParams;
@group(0) @binding(1) var<storage, read> hidden: array<HiddenChannel>;
@group(0) @binding(2) var<storage, read> gradients: array<MapNumber>;
@group(0) @binding(3) var<storage, read> maps: array<MapNumber>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(64)
fn filter_gradient(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let source = params.source_start + group.x % params.tiles * ${CHANNELS}u;
    let gradient = params.gradient_start + group.x / params.tiles;
    let channel = hidden[gradient - geometry.inputs];
    let s = channel.dilation;
    let source_end = min(params.source_end, channel.sources);
    // The same for the whole workgroup, so the barrier below is safe. sum_partials skips these as well.
    if source >= source_end {
        return;
    }
    //#for c in 0..CHANNELS
    //#for tap in 0..9
    var sum_${c}_${tap} = 0.0;
    //#end
    //#end

    // Every lattice has a row above and a row below the image whose maps count, but not their gradients.
    let offsets = min(s, geometry.rows);
    let longest = (geometry.rows - 1u) / s + 3u;
    let segments = (longest + params.segment - 1u) / params.segment;
    let items = geometry.batch * params.column_tiles * segments * offsets;
    for (var item = group.y; item < items; item += params.chunks) {
        let offset = item % offsets;
        let segment = item / offsets % segments;
        let column = item / (offsets * segments) % params.column_tiles * 64u + lane;
        let image = item / (offsets * segments * params.column_tiles);
        let counts = column < geometry.columns;
        let x = min(column, geometry.columns - 1u);
        // Lattice rows are counted from the one above the image.
        let lattice_rows = (geometry.rows - 1u - offset) / s + 1u;
        let start = segment * params.segment;
        let end = min(start + params.segment, lattice_rows + 2u);
        let step = s * geometry.pitch;
        // Place of the gradient at lattice row 1, which is row `offset` of the image.
        let gradient_at = gradient_place(params.gradient_page_start, params.gradient_page_channels, image, gradient)
            + offset * geometry.pitch + x - step;
        //#for c in 0..CHANNELS
        let map_${c} = map_place(params.source_page_start, params.source_page_channels, image, min(source + ${c}u, source_end - 1u))
            + offset * geometry.pitch + x - step;
        //#end
        var above = 0.0;
        var level = 0.0;
        if counts && start >= 2u && start <= lattice_rows + 1u {
            above = f32(gradients[gradient_at + (start - 1u) * step]);
        }
        if counts && start >= 1u && start <= lattice_rows {
            level = f32(gradients[gradient_at + start * step]);
        }
        for (var row = start; row < end; row += 1u) {
            let along = row * step;
            var below = 0.0;
            if counts && row < lattice_rows {
                below = f32(gradients[gradient_at + along + step]);
            }
            //#for c in 0..CHANNELS
            {
                let at = map_${c} + along;
                let left = f32(maps[at - s]);
                let middle = f32(maps[at]);
                let right = f32(maps[at + s]);
                // The tap above reaches this row from the gradient below it.
                sum_${c}_0 = fma(below, left, sum_${c}_0);
                sum_${c}_1 = fma(below, middle, sum_${c}_1);
                sum_${c}_2 = fma(below, right, sum_${c}_2);
                sum_${c}_3 = fma(level, left, sum_${c}_3);
                sum_${c}_4 = fma(level, middle, sum_${c}_4);
                sum_${c}_5 = fma(level, right, sum_${c}_5);
                sum_${c}_6 = fma(above, left, sum_${c}_6);
                sum_${c}_7 = fma(above, middle, sum_${c}_7);
                sum_${c}_8 = fma(above, right, sum_${c}_8);
            }
            //#end
            above = level;
            level = below;
        }
    }

    //#for c in 0..CHANNELS
    //#for tap in 0..9
    lane_sums[${(9 * c + tap) * 65}u + lane] = sum_${c}_${tap};
    //#end
    //#end
    workgroupBarrier();
    if lane < ${SUMS}u {
        partials[(group.x * params.chunks + group.y) * ${SUMS}u + lane] = add_lanes(lane);
    }
}
