// What kernels need of a hidden channel. Keep in sync with `HiddenChannel` in src/gpu/network/params.rs.
struct HiddenChannel {
    dilation: u32,
    // Index, in whole filters, of the filter that reads channel 0.
    first_filter: u32,
    // It reads the channels 0..sources.
    sources: u32,
    // Along z, in slices; 0 where there are no taps beside the slice.
    dilation_z: u32,
}
