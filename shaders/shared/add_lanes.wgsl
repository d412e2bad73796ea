// Adds SUMS numbers over the 64 threads of a workgroup in a fixed order. Each thread stores its numbers at
// lane_sums[number * 65 + lane] (65, so that neighbouring threads read different banks), then after one
// barrier thread `number` adds up its 64.
var<workgroup> lane_sums: array<f32, ${SUMS * 65}>;

fn add_lanes(number: u32) -> f32 {
    var sum = 0.0;
    for (var lane = 0u; lane < 64u; lane += 1u) {
        sum += lane_sums[number * 65u + lane];
    }
    return sum;
}
