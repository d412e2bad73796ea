// filter_gradient_volume: partial sums of the gradients of the 3x3x3 filters that lead from feature maps to hidden channels.
//
//     dh_gct = sum_p gradient_g(p) z_c(p + s_g t)
//
// Planes of volumes have no margins: what is seen beyond an edge is looked up for each voxel and axis.
//
// Bindings: 1 hidden channels, 2 page of gradients, 3 page of feature maps (which may be the same one), 4 partials
// [gradient][source][chunk][tap], which sum_partials adds up.
// Tiling: a workgroup takes one gradient channel and one source, so a thread has 27 sums. Work items are (volume, row of a slice,
// columns by 64); each chunk takes every `chunks`-th item. x: sources, then gradients, so that groups that run together share their
// gradients in the cache; y: chunks.

//#include maps
//#include geometry
//#include hidden
//#include boundary
//#include add_lanes

// Keep in sync with `FilterGradientVolumeParams` in src/gpu/network/params.rs.
struct FilterGradientVolumeParams {
    geometry: Geometry,
    gradient_start: u32,
    gradient_page_start: u32,
    gradient_page_channels: u32,
    source_start: u32,
    source_end: u32,
    source_page_start: u32,
    source_page_channels: u32,
    // Workgroups that share the voxels.
    chunks: u32,
    // Columns by 64.
    column_tiles: u32,
    unused_0: u32,
    unused_1: u32,
    unused_2: u32,
}

@group(0) @binding(0) var<uniform> params: FilterGradientVolumeParams;
@group(0) @binding(1) var<storage, read> hidden: array<HiddenChannel>;
@group(0) @binding(2) var<storage, read> gradients: array<MapNumber>;
@group(0) @binding(3) var<storage, read> maps: array<MapNumber>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(64)
fn filter_gradient_volume(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let count = params.source_end - params.source_start;
    let source_channel = params.source_start + group.x % count;
    let gradient = params.gradient_start + group.x / count;
    let channel = hidden[gradient - geometry.inputs];
    // The same for the whole workgroup, so the barrier below is safe. sum_partials skips these as well.
    if source_channel >= channel.sources {
        return;
    }
    let s = i32(channel.dilation);
    let along_z = i32(channel.dilation_z);
    let height = i32(geometry.slice_rows);
    let slices = i32(geometry.rows) / height;
    let columns = i32(geometry.columns);
    let pitch = i32(geometry.pitch);
    //#for tap in 0..27
    var sum_${tap} = 0.0;
    //#end

    let items = geometry.batch * params.column_tiles * geometry.rows;
    for (var item = group.y; item < items; item += params.chunks) {
        let line = item / params.column_tiles;
        let image = line / geometry.rows;
        let row_of_all = i32(line % geometry.rows);
        let x = i32(item % params.column_tiles * 64u + lane);
        if x < columns {
            let plane = i32(gradient_place(params.gradient_page_start, params.gradient_page_channels, image, gradient));
            let value = f32(gradients[plane + row_of_all * pitch + x]);
            let map = i32(map_place(params.source_page_start, params.source_page_channels, image, source_channel));
            let z = row_of_all / height;
            let y = row_of_all % height;
            //#for k in 0..3
            let x_${k} = source(x + (${k} - 1) * s, columns);
            let y_${k} = source(y + (${k} - 1) * s, height);
            // With a dilation of 0 along z there are no taps beside the slice.
            let z_${k} = select(source(z + (${k} - 1) * along_z, slices), -1, along_z == 0 && ${k} != 1);
            //#end
            //#for deep in 0..3
            //#for down in 0..3
            if min(z_${deep}, y_${down}) >= 0 {
                let row = map + (z_${deep} * height + y_${down}) * pitch;
                //#for across in 0..3
                if x_${across} >= 0 {
                    sum_${9 * deep + 3 * down + across} = fma(value, f32(maps[row + x_${across}]), sum_${9 * deep + 3 * down + across});
                }
                //#end
            }
            //#end
            //#end
        }
    }

    //#for tap in 0..27
    lane_sums[${tap * 65}u + lane] = sum_${tap};
    //#end
    workgroupBarrier();
    if lane < ${SUMS}u {
        partials[(group.x * params.chunks + group.y) * ${SUMS}u + lane] = add_lanes(lane);
    }
}
