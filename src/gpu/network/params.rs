//! The parameters of the kernels as they lie in uniform buffers: one struct for each WGSL struct, whose fields
//! are explained there. Keep both in sync; a test compares them by reflection.

use crate::gpu::runtime::kernel::params;

params! {
    /// Keep in sync with shaders/shared/geometry.wgsl.
    Geometry {
        rows: u32, columns: u32, batch: u32, margin: u32,
        pitch: u32, map_plane: u32, map_origin: u32, gradient_plane: u32,
        gradient_origin: u32, output_plane: u32, output_origin: u32, boundary: u32,
        inputs: u32, outputs: u32, channels: u32, first_x: u32,
        first_y: u32, first_z: u32, slice_rows: u32, unused: u32,
    }
}

params! {
    /// Keep in sync with shaders/shared/hidden.wgsl.
    HiddenChannel { dilation: u32, first_filter: u32, sources: u32, dilation_z: u32 }
}

params! {
    /// Keep in sync with shaders/load.wgsl.
    LoadParams {
        geometry: Geometry,
        channel_start: u32, channel_count: u32, page_start: u32, page_channels: u32,
        image_channels: u32, unused_0: u32, unused_1: u32, unused_2: u32,
    }
}

params! {
    /// Keep in sync with shaders/shared/stem.wgsl.
    StemParams {
        geometry: Geometry,
        input: u32, image_channels: u32, radius: u32, scale: f32,
        inverse_sum: f32, first_response: u32, channel_start: u32, channel_count: u32,
        page_start: u32, page_channels: u32, change_start: u32, unused: u32,
    }
}

params! {
    /// Keep in sync with shaders/convolve.wgsl.
    ConvolveParams {
        geometry: Geometry,
        source_start: u32, source_end: u32, source_page_start: u32, source_page_channels: u32,
        output_start: u32, output_end: u32, output_page_start: u32, output_page_channels: u32,
        finish_start: u32, finish_end: u32, first: u32, bias_start: u32,
        groups: u32, span: u32, stride: u32, sum_planes: u32,
    }
}

params! {
    /// Keep in sync with shaders/convolve_layers.wgsl.
    ConvolveLayersParams {
        geometry: Geometry,
        channel_start: u32, channel_end: u32, page_start: u32, page_channels: u32,
        width: u32, sum_planes: u32, tile: u32, reach: u32,
    }
}

params! {
    /// Keep in sync with shaders/convolve_volume.wgsl.
    ConvolveVolumeParams {
        geometry: Geometry,
        source_start: u32, source_end: u32, source_page_start: u32, source_page_channels: u32,
        output_start: u32, output_end: u32, output_page_start: u32, output_page_channels: u32,
        finish_start: u32, finish_end: u32, first: u32, bias_start: u32,
        lattices: u32, sum_planes: u32, unused_1: u32, unused_2: u32,
    }
}

params! {
    /// Keep in sync with shaders/mix.wgsl.
    MixParams {
        geometry: Geometry,
        source_start: u32, source_end: u32, page_start: u32, page_channels: u32,
        first: u32, mix_start: u32, bias_start: u32, tiles: u32,
    }
}

params! {
    /// Keep in sync with shaders/shared/loss.wgsl.
    LossParams { geometry: Geometry, chunks: u32, items: u32, column_tiles: u32, dice_start: u32 }
}

params! {
    /// Keep in sync with shaders/shared/call.wgsl.
    LossCall {
        scale: f32, weighted: u32, number: f32, gradient_factor: f32,
        map_factor: f32, both_factors_inverse: f32, unused_0: f32, unused_1: f32,
    }
}

params! {
    /// Keep in sync with shaders/largest_gradient.wgsl.
    LargestGradientParams { geometry: Geometry, chunks: u32, items: u32, column_tiles: u32 }
}

params! {
    /// Keep in sync with shaders/argmax.wgsl.
    ArgmaxParams { geometry: Geometry, class_start: u32 }
}

params! {
    /// Keep in sync with shaders/mix_input_gradient.wgsl.
    MixInputGradientParams {
        geometry: Geometry,
        channel_start: u32, channel_end: u32, finish_start: u32, finish_end: u32,
        page_start: u32, page_channels: u32, map_page_start: u32, map_page_channels: u32,
        mix_start: u32, tiles: u32, beside: u32, sum_planes: u32,
    }
}

params! {
    /// Keep in sync with shaders/input_gradient.wgsl.
    InputGradientParams {
        geometry: Geometry,
        gradient_start: u32, gradient_end: u32, gradient_page_start: u32, gradient_page_channels: u32,
        channel_start: u32, channel_end: u32, channel_page_start: u32, channel_page_channels: u32,
        finish_start: u32, finish_end: u32, map_page_start: u32, map_page_channels: u32,
        tiles: u32, reach: u32, sum_planes: u32,
    }
}

params! {
    /// Keep in sync with shaders/input_gradient_layers.wgsl.
    InputGradientLayersParams {
        geometry: Geometry,
        channel_start: u32, channel_end: u32, page_start: u32, page_channels: u32,
        width: u32, gradient_planes: u32, sum_planes: u32, tile: u32,
        reach: u32, farthest: u32,
    }
}

params! {
    /// Keep in sync with shaders/filter_gradient.wgsl.
    FilterGradientParams {
        geometry: Geometry,
        gradient_start: u32, gradient_page_start: u32, gradient_page_channels: u32,
        source_start: u32, source_end: u32, source_page_start: u32, source_page_channels: u32,
        tiles: u32, chunks: u32, segment: u32, column_tiles: u32,
    }
}

params! {
    /// Keep in sync with shaders/filter_gradient_volume.wgsl.
    FilterGradientVolumeParams {
        geometry: Geometry,
        gradient_start: u32, gradient_page_start: u32, gradient_page_channels: u32, source_start: u32,
        source_end: u32, source_page_start: u32, source_page_channels: u32, chunks: u32,
        column_tiles: u32, unused_0: u32, unused_1: u32, unused_2: u32,
    }
}

params! {
    /// Keep in sync with shaders/filter_gradient_product.wgsl.
    FilterProductParams {
        geometry: Geometry,
        gradient_start: u32, gradient_end: u32, gradient_page_start: u32, gradient_page_channels: u32,
        source_start: u32, source_end: u32, source_page_start: u32, source_page_channels: u32,
        tiles: u32, wide_tiles: u32, chunks: u32, items: u32,
        items_of_chunk: u32, reach: u32, column_tiles: u32, unused: u32,
    }
}

params! {
    /// Keep in sync with shaders/filter_gradient_matrix.wgsl.
    FilterMatrixParams {
        geometry: Geometry,
        gradient_start: u32, gradient_end: u32, gradient_page_start: u32, gradient_page_channels: u32,
        source_start: u32, source_end: u32, source_page_start: u32, source_page_channels: u32,
        tiles: u32, chunks: u32, items: u32, items_of_chunk: u32,
        reach: u32, column_tiles: u32, unused_0: u32, unused_1: u32,
    }
}

params! {
    /// Keep in sync with shaders/mix_weight_gradient.wgsl.
    MixWeightGradientParams {
        geometry: Geometry,
        source_start: u32, source_end: u32, page_start: u32, page_channels: u32,
        tiles: u32, chunks: u32, items: u32, column_tiles: u32,
    }
}

params! {
    /// Keep in sync with shaders/bias_gradient.wgsl.
    BiasGradientParams {
        geometry: Geometry,
        channel_start: u32, page_start: u32, page_channels: u32, chunks: u32,
        items: u32, column_tiles: u32,
    }
}

params! {
    /// Keep in sync with shaders/sum_partials.wgsl.
    SumPartialsParams {
        count: u32, elements: u32, chunks: u32, target_start: u32,
        tiles: u32, across: u32, source_start: u32, source_end: u32,
        row_start: u32, row_end: u32, down: u32, row_length: u32, inputs: u32,
    }
}

params! {
    /// Keep in sync with shaders/adam.wgsl.
    AdamParams {
        rate: f32, beta1: f32, one_minus_beta1: f32, beta2: f32,
        one_minus_beta2: f32, root_correction: f32, epsilon: f32, count: u32,
        kept_share: f32, clip_norm: f32, averaged_share: f32, frozen_filters: u32,
        biases: u32, frozen_biases: u32, unused_0: u32, unused_1: u32,
    }
}

params! {
    /// Keep in sync with shaders/gradient_squares.wgsl.
    GradientSquaresParams { count: u32, unused_0: u32, unused_1: u32, unused_2: u32 }
}
