// What kernels need of a hidden channel. Keep in sync with `HiddenChannel` in src/gpu/network/params.rs.
struct HiddenChannel {
    dilation: u32,
    // Index, in filters of nine taps, of the filter that reads channel 0.
    first_filter: u32,
    // It reads the channels 0..sources.
    sources: u32,
    unused: u32,
}
