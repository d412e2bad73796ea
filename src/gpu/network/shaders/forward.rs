//! The kernels of a forward pass, for feature maps of four bytes a number and of two.

use super::super::params::*;
use super::{CHUNK, PLAIN, shared};
use crate::gpu::runtime::kernel::Binding::{Read, ReadWrite, Uniform};
use crate::gpu::runtime::kernel::{Shader, source};

shader!(
    /// Copies images into the input channels.
    LOAD, "load", "load",
    &[Uniform, Read, ReadWrite],
    &[Geometry::LAYOUT, LoadParams::LAYOUT],
    PLAIN
);
shader!(
    /// The same where feature maps are halves.
    LOAD_HALF, "load", "load",
    &[Uniform, Read, ReadWrite],
    &[Geometry::LAYOUT, LoadParams::LAYOUT],
    &[&[("HALF", 1)]]
);
shader!(
    /// Smooths a channel of the images along rows.
    STEM_ROWS, "stem_rows", "stem_rows",
    &[Uniform, Read, ReadWrite],
    &[Geometry::LAYOUT, StemParams::LAYOUT],
    PLAIN
);
shader!(
    /// Smooths it along columns.
    STEM_COLUMNS, "stem_columns", "stem_columns",
    &[Uniform, ReadWrite],
    &[Geometry::LAYOUT, StemParams::LAYOUT],
    PLAIN
);
shader!(
    /// The responses of the stem to it.
    STEM_RESPONSES, "stem_responses", "stem_responses",
    &[Uniform, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, StemParams::LAYOUT],
    PLAIN
);
shader!(
    /// The same where feature maps are halves.
    STEM_RESPONSES_HALF, "stem_responses", "stem_responses",
    &[Uniform, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, StemParams::LAYOUT],
    &[&[("HALF", 1)]]
);
/// The tiles of convolve, with the flags of a shader: rows and outputs a thread, staged or not, and threads.
macro_rules! convolve_tiles {
    ($flags:tt: $(($rows:literal, $outputs:literal, $staged:literal, $lanes:literal)),* $(,)?) => {
        &[$(convolve_tiles!(one $rows $outputs $staged $lanes $flags)),*]
    };
    (one $rows:literal $outputs:literal $staged:literal $lanes:literal [$($flag:literal),*]) => {
        &[
            ("ROWS", $rows), ("OUTPUTS", $outputs), ("STAGED", $staged), ("LANES", $lanes), ("CHUNK", CHUNK),
            $(($flag, 1)),*
        ]
    };
    ($flags:tt) => {
        convolve_tiles!($flags:
            (8, 1, 0, 64), (4, 1, 0, 64), (2, 1, 0, 64), (1, 1, 0, 64),
            (16, 1, 1, 64), (8, 1, 1, 64), (4, 1, 1, 64), (2, 1, 1, 64), (1, 1, 1, 64),
            (16, 2, 1, 64), (8, 2, 1, 64), (4, 2, 1, 64), (2, 2, 1, 64), (1, 2, 1, 64),
            (8, 3, 1, 64), (4, 3, 1, 64), (2, 3, 1, 64), (1, 3, 1, 64),
            (8, 5, 1, 64), (4, 5, 1, 64), (2, 5, 1, 64), (1, 5, 1, 64),
            (16, 1, 1, 128), (8, 1, 1, 128), (4, 1, 1, 128), (2, 1, 1, 128), (1, 1, 1, 128),
            (16, 2, 1, 128), (8, 2, 1, 128), (4, 2, 1, 128), (2, 2, 1, 128), (1, 2, 1, 128),
            (8, 3, 1, 128), (4, 3, 1, 128), (2, 3, 1, 128), (1, 3, 1, 128),
            (8, 5, 1, 128), (4, 5, 1, 128), (2, 5, 1, 128), (1, 5, 1, 128),
        )
    };
}

shader!(
    /// Adds dilated convolutions; `ROWS` pixels of `OUTPUTS` outputs a thread.
    CONVOLVE, "convolve", "convolve",
    &[Uniform, Read, Read, ReadWrite, Read],
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, ConvolveParams::LAYOUT],
    convolve_tiles!([])
);
shader!(
    /// The same where sources and outputs are in one page.
    CONVOLVE_WITHIN, "convolve", "convolve",
    &[Uniform, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, ConvolveParams::LAYOUT],
    convolve_tiles!(["WITHIN"])
);
shader!(
    /// The same where feature maps are halves, and sums that are not complete lie apart.
    CONVOLVE_HALF, "convolve", "convolve",
    &[Uniform, Read, Read, ReadWrite, ReadWrite, Read],
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, ConvolveParams::LAYOUT],
    convolve_tiles!(["HALF"])
);
shader!(
    /// The same where sources and outputs are in one page.
    CONVOLVE_HALF_WITHIN, "convolve", "convolve",
    &[Uniform, Read, Read, ReadWrite, ReadWrite],
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, ConvolveParams::LAYOUT],
    convolve_tiles!(["HALF", "WITHIN"])
);
/// The tiles of convolve_volume, with the flags of a shader: rows a thread.
macro_rules! convolve_volume_tiles {
    ($($flag:literal),*) => {
        &[&[("ROWS", 4), $(($flag, 1)),*], &[("ROWS", 2), $(($flag, 1)),*], &[("ROWS", 1), $(($flag, 1)),*]]
    };
}

shader!(
    /// Adds dilated convolutions of volumes; `ROWS` voxels a thread.
    CONVOLVE_VOLUME, "convolve_volume", "convolve_volume",
    &[Uniform, Read, Read, ReadWrite, Read],
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, ConvolveVolumeParams::LAYOUT],
    convolve_volume_tiles!()
);
shader!(
    /// The same where sources and outputs are in one page.
    CONVOLVE_VOLUME_WITHIN, "convolve_volume", "convolve_volume",
    &[Uniform, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, ConvolveVolumeParams::LAYOUT],
    convolve_volume_tiles!("WITHIN")
);
shader!(
    /// The same where feature maps are halves, and sums that are not complete lie apart.
    CONVOLVE_VOLUME_HALF, "convolve_volume", "convolve_volume",
    &[Uniform, Read, Read, ReadWrite, ReadWrite, Read],
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, ConvolveVolumeParams::LAYOUT],
    convolve_volume_tiles!("HALF")
);
shader!(
    /// The same where sources and outputs are in one page.
    CONVOLVE_VOLUME_HALF_WITHIN, "convolve_volume", "convolve_volume",
    &[Uniform, Read, Read, ReadWrite, ReadWrite],
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, ConvolveVolumeParams::LAYOUT],
    convolve_volume_tiles!("HALF", "WITHIN")
);
shader!(
    /// Adds the 1x1 mix; `OUTPUTS` outputs a thread.
    MIX, "mix", "mix_maps",
    &[Uniform, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, MixParams::LAYOUT],
    &[&[("OUTPUTS", 1)], &[("OUTPUTS", 2)], &[("OUTPUTS", 4)]]
);
shader!(
    /// The same where feature maps are halves.
    MIX_HALF, "mix", "mix_maps",
    &[Uniform, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, MixParams::LAYOUT],
    &[&[("OUTPUTS", 1), ("HALF", 1)], &[("OUTPUTS", 2), ("HALF", 1)], &[("OUTPUTS", 4), ("HALF", 1)]]
);
