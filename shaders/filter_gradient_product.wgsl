// filter_gradient_product: what filter_gradient computes, as a product of two matrices: shifted gradients by pixels, and pixels
// by feature maps.
//
//     dh_gct = sum_q gradient_g(q - s_g t) z_c(q)      q: all pixels, those of the margins included
//
// Bindings: 1 hidden channels, 2 page of gradients, 3 page of feature maps (which may be the same one), 4 partials
// [gradient][four sources][chunk][source][tap], which sum_partials adds up.
// Tiling: a workgroup takes ten gradients and 64 QUADS sources, a thread one gradient and 4 QUADS sources: 36 QUADS sums. PIXELS
// pixels of a row at a time are copied into the workgroup's memory, gradients once for each tap with its shift: each number that
// is loaded from there serves 4 QUADS or nine sums, whatever the dilations. Work items are (image, columns by PIXELS, rows); each
// chunk takes `items_of_chunk` consecutive ones, so that it finds in the cache the rows that it has read before.
// x: tiles of sources, then tiles of gradients; y: chunks.

//#include maps
//#include geometry
//#include hidden

// Keep in sync with `FilterProductParams` in src/gpu/network/params.rs.
struct FilterProductParams {
    geometry: Geometry,
    gradient_start: u32,
    gradient_end: u32,
    gradient_page_start: u32,
    gradient_page_channels: u32,
    source_start: u32,
    source_end: u32,
    source_page_start: u32,
    source_page_channels: u32,
    // Groups of four sources, and tiles of 64 QUADS.
    tiles: u32,
    wide_tiles: u32,
    // Workgroups that share the pixels, their items, and how many of these each takes.
    chunks: u32,
    items: u32,
    items_of_chunk: u32,
    // The largest dilation of the gradients: how far into the margins pixels count. 0 where margins are zeros.
    reach: u32,
    // Columns by PIXELS, margins included.
    column_tiles: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> params: FilterProductParams;
@group(0) @binding(1) var<storage, read> hidden: array<HiddenChannel>;
@group(0) @binding(2) var<storage, read> gradients: array<MapNumber>;
@group(0) @binding(3) var<storage, read> maps: array<MapNumber>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;

// By pixel and gradient: its nine taps and three zeros. One more than there are, so that neighbouring pixels are in other banks.
var<workgroup> shifted: array<vec4<f32>, ${31 * PIXELS}>;
// By pixel: sources in fours.
var<workgroup> sources: array<vec4<f32>, ${(16 * QUADS + 1) * PIXELS}>;

@compute @workgroup_size(160)
fn filter_gradient_product(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let first_source = params.source_start + group.x % params.wide_tiles * ${64 * QUADS}u;
    let first_gradient = params.gradient_start + group.x / params.wide_tiles * 10u;
    let last_source = params.source_end - 1u;
    let rows = i32(geometry.rows);
    let columns = i32(geometry.columns);
    let pitch = i32(geometry.pitch);
    let reach = i32(params.reach);
    // What this thread adds up.
    let own_gradient = first_gradient + lane % 10u;
    let own_source = first_source + lane / 10u * ${4 * QUADS}u;
    let own = min(own_gradient, params.gradient_end - 1u);
    // sum_partials skips what is not written.
    let counts = own_gradient < params.gradient_end
        && own_source < min(params.source_end, hidden[own - geometry.inputs].sources);
    // What it copies: a pixel of GRADIENTS gradients, and of every so-manieth group of four sources.
    let pixel = lane % ${PIXELS}u;
    let part = lane / ${PIXELS}u;
    //#for k in 0..GRADIENTS
    let copied_${k} = min(first_gradient + part + ${PARTS * k}u, params.gradient_end - 1u);
    let s_${k} = i32(hidden[copied_${k} - geometry.inputs].dilation);
    //#end
    let fours = min((params.source_end - first_source + 3u) / 4u, ${16 * QUADS}u);
    //#for c in 0..4 * QUADS
    //#for tap in 0..9
    var sum_${c}_${tap} = 0.0;
    //#end
    //#end

    let tall = geometry.rows + 2u * params.reach;
    let start = group.y * params.items_of_chunk;
    let end = min(start + params.items_of_chunk, params.items);
    // Each round loads what the next one needs while it computes, and stores it in the workgroup's memory afterwards.
    //#for k in 0..GRADIENTS
    //#for part in 0..3
    var shifted_${k}_${part}: vec4<f32>;
    //#end
    //#end
    //#for j in 0..4
    var sources_${j}: vec4<f32>;
    //#end
    for (var item = start; item <= end; item += 1u) {
        if item < end {
            let y = i32(item % tall) - reach;
            let column = i32(item / tall % params.column_tiles * ${PIXELS}u + pixel) - reach;
            let image = item / (tall * params.column_tiles);
            let inside = column < columns + reach;
            let x = min(column, columns + reach - 1);
            //#for k in 0..GRADIENTS
            {
                let plane = i32(gradient_place(params.gradient_page_start, params.gradient_page_channels, image, copied_${k})) + x;
                //#for r in 0..3
                let row_${r} = y - s_${k} * (${r} - 1);
                let counts_${r} = inside && row_${r} >= 0 && row_${r} < rows;
                let at_${r} = plane + select(0, row_${r}, counts_${r}) * pitch;
                // Beside the rows there are zeros, so columns need no check.
                //#for column in 0..3
                let value_${3 * r + column} = select(0.0, f32(gradients[at_${r} - s_${k} * (${column} - 1)]), counts_${r});
                //#end
                //#end
                shifted_${k}_0 = vec4<f32>(value_0, value_1, value_2, value_3);
                shifted_${k}_1 = vec4<f32>(value_4, value_5, value_6, value_7);
                shifted_${k}_2 = vec4<f32>(value_8, 0.0, 0.0, 0.0);
            }
            //#end
            //#for j in 0..4
            if part + ${PARTS * j}u < fours {
                let source = first_source + (part + ${PARTS * j}u) * 4u;
                //#for c in 0..4
                let plane_${c} = map_place(params.source_page_start, params.source_page_channels, image, min(source + ${c}u, last_source));
                let value_${c} = f32(maps[i32(plane_${c}) + y * pitch + x]);
                //#end
                sources_${j} = vec4<f32>(value_0, value_1, value_2, value_3);
            }
            //#end
        }
        if counts && item > start {
            var shifted_at = lane % 10u * 3u;
            var source_at = lane / 10u * ${QUADS}u;
            for (var k = 0u; k < ${PIXELS}u; k += 1u) {
                let above = shifted[shifted_at];
                let middle = shifted[shifted_at + 1u];
                let below = shifted[shifted_at + 2u].x;
                //#for quad in 0..QUADS
                {
                    let four = sources[source_at + ${quad}u];
                    //#for c in 0..4
                    sum_${4 * quad + c}_0 = fma(above.x, four[${c}], sum_${4 * quad + c}_0);
                    sum_${4 * quad + c}_1 = fma(above.y, four[${c}], sum_${4 * quad + c}_1);
                    sum_${4 * quad + c}_2 = fma(above.z, four[${c}], sum_${4 * quad + c}_2);
                    sum_${4 * quad + c}_3 = fma(above.w, four[${c}], sum_${4 * quad + c}_3);
                    sum_${4 * quad + c}_4 = fma(middle.x, four[${c}], sum_${4 * quad + c}_4);
                    sum_${4 * quad + c}_5 = fma(middle.y, four[${c}], sum_${4 * quad + c}_5);
                    sum_${4 * quad + c}_6 = fma(middle.z, four[${c}], sum_${4 * quad + c}_6);
                    sum_${4 * quad + c}_7 = fma(middle.w, four[${c}], sum_${4 * quad + c}_7);
                    sum_${4 * quad + c}_8 = fma(below, four[${c}], sum_${4 * quad + c}_8);
                    //#end
                }
                //#end
                shifted_at += 31u;
                source_at += ${16 * QUADS + 1}u;
            }
        }
        workgroupBarrier();
        if item < end {
            //#for k in 0..GRADIENTS
            {
                let into = pixel * 31u + (part + ${PARTS * k}u) * 3u;
                //#for part in 0..3
                shifted[into + ${part}u] = shifted_${k}_${part};
                //#end
            }
            //#end
            //#for j in 0..4
            if part + ${PARTS * j}u < fours {
                sources[pixel * ${16 * QUADS + 1}u + part + ${PARTS * j}u] = sources_${j};
            }
            //#end
        }
        workgroupBarrier();
    }
    if counts {
        //#for quad in 0..QUADS
        {
            let tile = group.x % params.wide_tiles * ${16 * QUADS}u + lane / 10u * ${QUADS}u + ${quad}u;
            let at = (((own_gradient - params.gradient_start) * params.tiles + tile) * params.chunks + group.y) * 36u;
            if tile < params.tiles {
                //#for c in 0..4
                //#for tap in 0..9
                partials[at + ${9 * c + tap}u] = sum_${4 * quad + c}_${tap};
                //#end
                //#end
            }
        }
        //#end
    }
}
