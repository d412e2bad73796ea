//! `msd-gpu convert`: images and stacks from one format to another.

use std::path::{Path, PathBuf};

use clap::Args;

use super::discovery::DiscoveryArguments;
use super::pixel_size::voxel_size;
use super::progress::ImageProgress;
use crate::images::{Conversion, NewPlace, StackFormat, convert};
use crate::{Error, Result};

/// Arguments of `convert`.
#[derive(Debug, Args)]
pub struct ConvertArguments {
    /// An image, a stack, an array such as scan.h5:/entry/data, or a folder or quoted pattern of slices
    input: String,
    /// The new file, or the folder of an OME-Zarr, whose ending says the format: tif, ome.tif, btf (BigTIFF), png, ome.zarr,
    /// h5, npy, mrc or nii; c.h5:/entry/data names the dataset too, which else is /data
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Format of the file: tiff, ome-tiff, png, zarr, hdf5, npy, mrc or nifti [default: by the ending of --out]
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Write OME-Zarr of version 0.4 for older viewers, or 0.5
    #[arg(long, value_name = "VERSION", default_value = "0.5", value_parser = ["0.4", "0.5"])]
    ome: String,
    /// Type of the numbers: u8, u16, u32, u64, i8, i16, i32, i64, f16, f32 or f64; values are rounded to whole ones, and must
    /// fit [default: as they are stored]
    #[arg(long, value_name = "TYPE")]
    dtype: Option<String>,
    /// Values that become 0 and the largest number of a whole type, such as 0..4095, or percentiles, such as 1%..99%; what
    /// is beyond is clipped
    #[arg(long, value_name = "LOW..HIGH", allow_hyphen_values = true)]
    window: Option<String>,
    /// Take images as labels: the numbers of palettes instead of their colours
    #[arg(long)]
    labels: bool,
    /// How large a pixel is, such as 0.65um, or 2x0.65x0.65um along z, y and x, where the input does not know it, or wrongly
    /// [default: what the input says]
    #[arg(long, value_name = "SIZE")]
    voxel_size: Option<String>,
    #[command(flatten)]
    discovery: DiscoveryArguments,
}

/// Converts the stack.
pub fn run(arguments: ConvertArguments) -> Result<()> {
    let ConvertArguments { input, out, .. } = &arguments;
    let wishes = Conversion {
        format: format(arguments.format.as_deref(), &arguments.ome, out)?,
        numbers: arguments.dtype.as_deref().map(str::parse).transpose()?,
        window: arguments.window.as_deref().map(str::parse).transpose()?,
        labels: arguments.labels,
        voxel_size: arguments.voxel_size.as_deref().map(|text| voxel_size("voxel_size", text)).transpose()?,
    };
    let pages = arguments.discovery.discovery(None).discover(input)?;
    let mut progress = ImageProgress::over(1);
    convert(input, pages, out, &wishes, &mut progress)
}

/// What `--format`, `--ome` and the ending of `--out` say.
pub(super) fn format(format: Option<&str>, ome: &str, out: &Path) -> Result<StackFormat> {
    let NewPlace { path: out, .. } = NewPlace::of(out)?;
    let out = out.as_path();
    let format = match format {
        Some(name) => {
            let all = || StackFormat::NAMES.into_iter().chain([("png", StackFormat::Png)]);
            let known = all().find(|(known, _)| known.eq_ignore_ascii_case(name));
            known.map(|(_, format)| format).ok_or_else(|| {
                let names: Vec<_> = all().map(|(name, _)| name).collect();
                let wanted = format!("it must be one of {}", names.join(", "));
                Error::setting("format", format!("'{name}'"), wanted)
            })?
        }
        None => by_ending(out).ok_or_else(|| {
            Error::setting(
                "out",
                out.display(),
                "its ending must be tif, ome.tif, btf, png, ome.zarr, h5, npy, mrc or nii; give one of these, or `format`",
            )
        })?,
    };
    let is_zarr = format == StackFormat::Zarr;
    if out.is_dir() && !is_zarr {
        return Err(Error::setting("out", out.display(), "that is a folder; give the name of a file"));
    }
    Ok(if is_zarr && ome == "0.4" { StackFormat::Zarr04 } else { format })
}

/// The format by the ending of a name; none for packed files, which are not written.
fn by_ending(out: &Path) -> Option<StackFormat> {
    let ending = out.extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "png" => Some(StackFormat::Png),
        "gz" | "npz" => None,
        _ => StackFormat::of_name(out),
    }
}
