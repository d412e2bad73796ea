// sum_partials: adds the partial sums [group][chunk][number] over the chunks in order, and adds the sums to
// where they belong among the gradients, or to the loss.
//
// With SCALED, gradients were multiplied by a power of two before they were stored as halves, by which the sums are divided.
//
// Bindings: 1 partials, 2 gradients of the parameters (or the loss); with FILTERS: 3 hidden channels; with SCALED, the last: scaling.
// Tiling: a thread for each number of each group, over x and y.

//#if FILTERS
//#include hidden
//#end
//#if SCALED
//#include scaling
//#end

// Keep in sync with `SumPartialsParams` in src/gpu/network/params.rs.
struct SumPartialsParams {
    // Numbers in all: groups times elements.
    count: u32,
    // Numbers in a group, and chunks.
    elements: u32,
    chunks: u32,
    // Where number 0 of group 0 goes, or the start of a table of which these are a part.
    target_start: u32,
    // A group is a row of tiles; in each, `across` columns of numbers: channels that filters or weights read from.
    tiles: u32,
    across: u32,
    // Those channels.
    source_start: u32,
    source_end: u32,
    // The rows of the table: gradient channels from here on, or outputs by `down` a tile; with MATRIX, gradients by `down`.
    row_start: u32,
    row_end: u32,
    down: u32,
    // Distance between rows in the table of mixing weights.
    row_length: u32,
    // Channels before the first layer.
    inputs: u32,
}

@group(0) @binding(0) var<uniform> params: SumPartialsParams;
@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;
//#if FILTERS
@group(0) @binding(3) var<storage, read> hidden: array<HiddenChannel>;
//#end
//#if SCALED
//#if FILTERS
@group(0) @binding(4) var<storage, read> scaling: array<u32>;
//#else
@group(0) @binding(3) var<storage, read> scaling: array<u32>;
//#end
//#end

@compute @workgroup_size(64)
fn sum_partials(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = (workgroup.y * workgroups.x + workgroup.x) * 64u + lane;
    if index >= params.count {
        return;
    }
    let group = index / params.elements;
    let element = index % params.elements;
    let tile = group % params.tiles;
    // A tile may reach beyond the table: those of its numbers are left out.
    //#if FILTERS
    //#if MATRIX
    // Lines of the matrix are the taps of one gradient after the other.
    let line = element / params.across;
    let row = params.row_start + group / params.tiles * params.down + line / 9u;
    if line / 9u >= params.down || row >= params.row_end {
        return;
    }
    let channel = hidden[row - params.inputs];
    let source = params.source_start + tile * params.across + element % params.across;
    if source >= min(params.source_end, channel.sources) {
        return;
    }
    let place = 9u * (channel.first_filter + source) + line % 9u;
    //#else
    let channel = hidden[params.row_start + group / params.tiles - params.inputs];
    let source = params.source_start + tile * params.across + element / ${TAPS}u;
    if source >= min(params.source_end, channel.sources) {
        return;
    }
    let place = ${TAPS}u * (channel.first_filter + source) + element % ${TAPS}u;
    //#end
    //#else
    let source = params.source_start + tile * params.across + element % params.across;
    let row = params.row_start + group / params.tiles * params.down + element / params.across;
    if source >= params.source_end || row >= params.row_end {
        return;
    }
    let place = params.target_start + row * params.row_length + source;
    //#end
    var sum = 0.0;
    var at = group * params.chunks * params.elements + element;
    // Eight loads are under way at a time; the order of the sum stays.
    var chunk = 0u;
    for (; chunk + 8u <= params.chunks; chunk += 8u) {
        //#for k in 0..8
        let part_${k} = partials[at + ${k}u * params.elements];
        //#end
        //#for k in 0..8
        sum += part_${k};
        //#end
        at += 8u * params.elements;
    }
    for (; chunk < params.chunks; chunk += 1u) {
        sum += partials[at];
        at += params.elements;
    }
    //#if SCALED
    sum *= power_of_two(-gradient_power(scaling[0]));
    //#end
    sums[place] += sum;
}
