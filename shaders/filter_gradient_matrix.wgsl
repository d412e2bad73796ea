enable f16;
enable wgpu_cooperative_matrix;
// filter_gradient_matrix: what filter_gradient computes, by a device's matrix units: shifted gradients by pixels, times pixels by
// feature maps.
//
//     dh_gct = sum_q gradient_g(q - s_g t) z_c(q)      q: all pixels, those of the margins included
//
// The units multiply halves (f16) and add in f32. A number is split into two halves, its first eleven bits and the rest, and three
// products (first by first, first by rest, rest by first) have all but 2^-21 of it. Units round sums towards zero, so
// that long sums would be too small: the products of SIZE pixels are added to the sum by an ordinary addition.
//
// Bindings: 1 the call, 2 hidden channels, 3 page of gradients, 4 page of feature maps (which may be the same one), 5 partials
// [tile of gradients and sources][chunk][gradient, tap][source], which sum_partials adds up.
// Tiling: a workgroup of eight subgroups, four by two, computes GRADIENTS gradients with nine taps each, which are rows of a
// matrix of 12 SIZE rows, by SOURCES sources: 3 by ACROSS matrices a subgroup. PIXELS pixels of a row at a time are copied into
// the workgroup's memory, gradients once for each tap with its shift, in pairs of pixels PAIRS apart, while those before are
// multiplied. Work items are (image, rows, columns by PIXELS); each chunk takes `items_of_chunk` consecutive ones.
// x: tiles of sources, then tiles of gradients; y: chunks.

//#include geometry
//#include hidden
//#include call

// Keep in sync with `FilterMatrixParams` in src/gpu/network/params.rs.
struct FilterMatrixParams {
    geometry: Geometry,
    gradient_start: u32,
    gradient_end: u32,
    gradient_page_start: u32,
    gradient_page_channels: u32,
    source_start: u32,
    source_end: u32,
    source_page_start: u32,
    source_page_channels: u32,
    // Tiles of sources.
    tiles: u32,
    // Workgroups that share the pixels, their items, and how many of these each takes.
    chunks: u32,
    items: u32,
    items_of_chunk: u32,
    // The largest dilation of the gradients: how far into the margins pixels count. 0 where margins are zeros.
    reach: u32,
    // Columns by PIXELS, margins included.
    column_tiles: u32,
    unused_0: u32,
    unused_1: u32,
}

@group(0) @binding(0) var<uniform> params: FilterMatrixParams;
@group(0) @binding(1) var<uniform> call: LossCall;
@group(0) @binding(2) var<storage, read> hidden: array<HiddenChannel>;
@group(0) @binding(3) var<storage, read> gradients: array<f32>;
@group(0) @binding(4) var<storage, read> maps: array<f32>;
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;

// Shifted gradients, then sources: pairs of pixels by row, with four more, so that rows start in different banks.
var<workgroup> first_halves: array<vec2<f16>, ${(12 * SIZE + SOURCES) * STRIDE}>;
var<workgroup> second_halves: array<vec2<f16>, ${(12 * SIZE + SOURCES) * STRIDE}>;

// The numbers without the last twelve bits, after rounding: they are halves, unless they are smaller than most.
fn first_bits(numbers: vec2<f32>) -> vec2<f32> {
    return bitcast<vec2<f32>>((bitcast<vec2<u32>>(numbers) + vec2<u32>(0x1000u)) & vec2<u32>(0xffffe000u));
}

@compute @workgroup_size(${8 * LANES})
fn filter_gradient_matrix(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let first_source = params.source_start + group.x % params.tiles * ${SOURCES}u;
    let first_gradient = params.gradient_start + group.x / params.tiles * ${GRADIENTS}u;
    let rows = i32(geometry.rows);
    let columns = i32(geometry.columns);
    let pitch = i32(geometry.pitch);
    let reach = i32(params.reach);
    // What this thread copies: a pair of pixels of every so-manieth row. Beyond the last gradient and source it copies the last
    // again; sum_partials skips what comes of it.
    let pair = i32(lane % ${PAIRS}u);
    let part = lane / ${PAIRS}u;
    //#for k in 0..GRADIENT_COPIES
    let row_${k} = part + ${STEP * k}u;
    let gradient_${k} = min(first_gradient + row_${k} / 9u, params.gradient_end - 1u);
    let s_${k} = i32(hidden[gradient_${k} - geometry.inputs].dilation);
    let shift_${k} = s_${k} * (1 - i32(row_${k} % 9u / 3u));
    let place_${k} = i32(gradient_place(params.gradient_page_start, params.gradient_page_channels, 0u, gradient_${k}))
        + s_${k} * (1 - i32(row_${k} % 3u));
    var gradients_${k}: vec2<f32>;
    //#end
    //#for k in 0..SOURCE_COPIES
    let source_${k} = min(first_source + part + ${STEP * k}u, params.source_end - 1u);
    let map_${k} = i32(map_place(params.source_page_start, params.source_page_channels, 0u, source_${k}));
    var sources_${k}: vec2<f32>;
    //#end
    // What its subgroup multiplies.
    let subgroup = lane / ${LANES}u;
    let below = subgroup / 2u * ${3 * SIZE}u;
    let along = subgroup % 2u * ${ACROSS * SIZE}u;
    //#for i in 0..3
    //#for j in 0..ACROSS
    var sum_${i}_${j} = coop_mat${SIZE}x${SIZE}<f32, C>();
    //#end
    //#end

    // Always 1, but not for a compiler to know: Mesa's lavapipe compiles a kernel anew at each dispatch when parameters alone
    // decide how often a loop runs.
    let one = min(arrayLength(&hidden), 1u);
    let tall = geometry.rows + 2u * params.reach;
    let start = group.y * params.items_of_chunk;
    let end = min(start + params.items_of_chunk, params.items) * one;
    // Each round loads what the next one needs while it multiplies, and stores it in the workgroup's memory afterwards. The first
    // one multiplies zeros: nothing that multiplies may stand behind a condition.
    //#for k in 0..GRADIENT_COPIES
    first_halves[row_${k} * ${STRIDE}u + u32(pair)] = vec2<f16>();
    second_halves[row_${k} * ${STRIDE}u + u32(pair)] = vec2<f16>();
    //#end
    //#for k in 0..SOURCE_COPIES
    first_halves[(part + ${12 * SIZE + STEP * k}u) * ${STRIDE}u + u32(pair)] = vec2<f16>();
    second_halves[(part + ${12 * SIZE + STEP * k}u) * ${STRIDE}u + u32(pair)] = vec2<f16>();
    //#end
    workgroupBarrier();
    for (var item = start; item <= end; item += 1u) {
        if item < end {
            let y = i32(item / params.column_tiles % tall) - reach;
            let column = i32(item % params.column_tiles * ${PIXELS}u) + pair - reach;
            let image = item / (tall * params.column_tiles);
            // Beyond the last column the last is taken again, and counts no more.
            let last = columns + reach - 1;
            let x = vec2<i32>(min(column, last), min(column + ${PAIRS}, last));
            let inside = vec2<bool>(column <= last, column + ${PAIRS} <= last);
            let gradient_image = i32(image * params.gradient_page_channels * geometry.gradient_plane);
            let map_image = i32(image * params.source_page_channels * geometry.map_plane) + y * pitch;
            //#for k in 0..GRADIENT_COPIES
            {
                let row = y + shift_${k};
                let counts = row >= 0 && row < rows;
                let at = vec2<i32>(place_${k} + gradient_image + select(0, row, counts) * pitch) + x;
                // Beside the rows there are zeros.
                let values = vec2<f32>(gradients[at.x], gradients[at.y]) * call.gradient_factor;
                gradients_${k} = select(vec2<f32>(0.0), values, inside & vec2<bool>(counts));
            }
            //#end
            //#for k in 0..SOURCE_COPIES
            {
                let at = vec2<i32>(map_${k} + map_image) + x;
                sources_${k} = vec2<f32>(maps[at.x], maps[at.y]) * call.map_factor;
            }
            //#end
        }
        //#for step in 0..STEPS
        {
            //#for j in 0..ACROSS
            let right_at_${j} = (${12 * SIZE + j * SIZE}u + along) * ${STRIDE}u + ${step * HALF_SIZE}u;
            let right_${j} = coopLoad<coop_mat${SIZE}x${SIZE}<f16, B>>(&first_halves[right_at_${j}], ${STRIDE}u);
            let right_rest_${j} = coopLoad<coop_mat${SIZE}x${SIZE}<f16, B>>(&second_halves[right_at_${j}], ${STRIDE}u);
            //#end
            //#for i in 0..3
            let left_at_${i} = (below + ${i * SIZE}u) * ${STRIDE}u + ${step * HALF_SIZE}u;
            let left_${i} = coopLoadT<coop_mat${SIZE}x${SIZE}<f16, A>>(&first_halves[left_at_${i}], ${STRIDE}u);
            let left_rest_${i} = coopLoadT<coop_mat${SIZE}x${SIZE}<f16, A>>(&second_halves[left_at_${i}], ${STRIDE}u);
            //#for j in 0..ACROSS
            let rests_${i}_${j} = coopMultiplyAdd(left_rest_${i}, right_${j}, coop_mat${SIZE}x${SIZE}<f32, C>());
            let smaller_${i}_${j} = coopMultiplyAdd(left_${i}, right_rest_${j}, rests_${i}_${j});
            sum_${i}_${j} = sum_${i}_${j} + coopMultiplyAdd(left_${i}, right_${j}, smaller_${i}_${j});
            //#end
            //#end
        }
        //#end
        workgroupBarrier();
        if item < end {
            //#for k in 0..GRADIENT_COPIES
            {
                let into = row_${k} * ${STRIDE}u + u32(pair);
                let first = first_bits(gradients_${k});
                first_halves[into] = vec2<f16>(first);
                second_halves[into] = vec2<f16>(gradients_${k} - first);
            }
            //#end
            //#for k in 0..SOURCE_COPIES
            {
                let into = (part + ${12 * SIZE + STEP * k}u) * ${STRIDE}u + u32(pair);
                let first = first_bits(sources_${k});
                first_halves[into] = vec2<f16>(first);
                second_halves[into] = vec2<f16>(sources_${k} - first);
            }
            //#end
        }
        workgroupBarrier();
    }
    let tile = (group.x * params.chunks + group.y) * ${12 * SIZE * SOURCES}u + below * ${SOURCES}u + along;
    //#for i in 0..3
    //#for j in 0..ACROSS
    let result_${i}_${j} = sum_${i}_${j} * call.both_factors_inverse;
    let into_${i}_${j} = tile + ${i * SIZE * SOURCES + j * SIZE}u;
    coopStoreT(result_${i}_${j}, &partials[into_${i}_${j}], ${SOURCES}u);
    //#end
    //#end
}
