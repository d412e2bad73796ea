//! `msd-gpu tomo simulate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use log::info;
use ndarray::Axis;

use crate::commands::convert::format;
use crate::error::Bytes;
use crate::geometry::{Extent, Window};
use crate::images::{NewStack, Sink, StackLayout, VoxelSize};
use crate::memory;
use crate::phantom::{Phantom, PhantomKind, Scanner};
use crate::{Error, Result};

/// The most rows and columns of a slice, slices and projections.
const MOST: usize = 1 << 16;

/// Arguments of `tomo simulate`.
#[derive(Debug, Args)]
pub struct SimulateArguments {
    /// What is scanned
    #[arg(value_enum)]
    phantom: Kind,
    /// The new scan, an HDF5 file as DXchange lays it out
    #[arg(long, value_name = "FILE.h5")]
    out: PathBuf,
    /// Also write the phantom itself, in 1/pixel as a reconstruction shows it; the ending says the format
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Rows and columns of a slice
    #[arg(long, value_name = "N", default_value_t = 256)]
    size: usize,
    /// Slices, which are the rows of the detector
    #[arg(long, value_name = "N", default_value_t = 8)]
    slices: usize,
    /// How far slices are from each other, in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 1.0, allow_negative_numbers = true)]
    spacing: f64,
    /// Columns of the detector [as many as a slice has]
    #[arg(long, value_name = "N")]
    columns: Option<usize>,
    /// Projections, evenly over --range
    #[arg(long, value_name = "N", default_value_t = 512)]
    projections: usize,
    /// Degrees that the scan covers: 180, or 360 for a full turn
    #[arg(long, value_name = "DEGREES", default_value_t = 180.0, allow_negative_numbers = true)]
    range: f64,
    /// Photons for each pixel of the detector and projection, where nothing is in the way
    #[arg(long, value_name = "N", default_value_t = 10_000.0, allow_negative_numbers = true)]
    photons: f64,
    /// Measure without noise
    #[arg(long, conflicts_with = "photons")]
    noise_free: bool,
    /// The natural logarithm by which rays are weakened in as much material of value 1 as the phantom is wide
    #[arg(long, value_name = "X", default_value_t = 2.0, allow_negative_numbers = true)]
    attenuation: f64,
    /// Relative deviation of the pixels' counts that flat fields do not know of, which makes rings, such as 0.02
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, allow_negative_numbers = true)]
    rings: f64,
    /// How far the axis of rotation is from the middle of the detector, in columns
    #[arg(long, value_name = "COLUMNS", default_value_t = 0.0, allow_negative_numbers = true)]
    offset: f64,
    /// How far the axis moves from the first projection to the last, in columns
    #[arg(long, value_name = "COLUMNS", default_value_t = 0.0, allow_negative_numbers = true)]
    drift: f64,
    /// How wide a pixel of the detector is, in micrometres
    #[arg(long, value_name = "MICROMETRES", allow_negative_numbers = true)]
    pixel_size: Option<f64>,
    /// What the phantom and its noise follow from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// What is scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A round piece of material full of round voids
    Foam,
    /// Coated fibres in a matrix with pores
    Fibres,
    /// The head of Shepp and Logan, in space
    SheppLogan,
}

/// Runs the command.
pub fn run(arguments: &SimulateArguments) -> Result<()> {
    let sizes = [
        ("size", arguments.size),
        ("slices", arguments.slices),
        ("columns", arguments.columns.unwrap_or(1)),
        ("projections", arguments.projections),
    ];
    if let Some((name, value)) = sizes.into_iter().find(|(_, value)| !(1..=MOST).contains(value)) {
        return Err(Error::setting(name, value, format!("wanted from 1 to {MOST}")));
    }
    let spacing = arguments.spacing;
    if !(spacing.is_finite() && spacing > 0.0) {
        return Err(Error::setting("spacing", spacing, "it must be a number above 0"));
    }
    if let Some(pixel) = arguments.pixel_size.filter(|pixel| !(pixel.is_finite() && *pixel > 0.0)) {
        return Err(Error::setting("pixel_size", pixel, "it must be a number above 0"));
    }
    let kind = match arguments.phantom {
        Kind::Foam => PhantomKind::Foam,
        Kind::Fibres => PhantomKind::Fibres,
        Kind::SheppLogan => PhantomKind::SheppLogan,
    };
    let truth = arguments.truth.as_ref().map(|path| Ok((path, format(None, "0.5", path)?)));
    let truth = truth.transpose()?;
    let phantom = Phantom::new(kind, arguments.size, arguments.slices, spacing, arguments.seed);
    let scanner = Scanner {
        projections: arguments.projections,
        range: arguments.range,
        columns: arguments.columns,
        photons: (!arguments.noise_free).then_some(arguments.photons),
        attenuation: arguments.attenuation,
        rings: arguments.rings,
        offset: arguments.offset,
        drift: arguments.drift,
        seed: arguments.seed,
    };
    let (wanted, free) = (scanner.bytes(&phantom), memory::free().map(|free| free.bytes));
    if wanted.is_none() || free.is_some_and(|free| wanted > Some(free)) {
        return Err(Error::OutOfMemory {
            buffer: "a scan of this size".into(),
            wanted: wanted.unwrap_or(u64::MAX),
            limit_name: "the memory that is free".into(),
            limit: free.unwrap_or(u64::MAX),
            way_out: "ask for fewer slices or projections".into(),
        });
    }
    info!(
        "{} projections of {} rows and {} columns, {}",
        scanner.projections,
        arguments.slices,
        arguments.columns.unwrap_or(arguments.size),
        Bytes(wanted.unwrap_or(0) / 2)
    );
    scanner.scan(&phantom)?.write_dxchange(&arguments.out, arguments.pixel_size)?;
    let axis = scanner.axis(arguments.columns.unwrap_or(arguments.size), 0);
    match scanner.drift == 0.0 {
        true => info!("the axis is at column {axis:.2}; the scan is in {}", arguments.out.display()),
        false => info!(
            "the axis moves from column {axis:.2} to {:.2}; the scan is in {}",
            axis + scanner.drift,
            arguments.out.display()
        ),
    }
    let Some((path, stack_format)) = truth else { return Ok(()) };
    let size = arguments.size;
    let voxel_size = arguments.pixel_size.map(|pixel| VoxelSize {
        z: spacing * pixel,
        y: pixel,
        x: pixel,
        unit: "\u{b5}m".into(),
    });
    let new = NewStack {
        layout: Some(StackLayout::slices(phantom.slices()).with_voxel_size(voxel_size)),
        ..NewStack::new(path, Extent::new(phantom.slices(), size, size))
    };
    let mut sink = new.values(stack_format)?;
    let line = scanner.attenuation_of_a_pixel(&phantom);
    for slice in 0..phantom.slices() {
        let image = phantom.section(slice).image(size).mapv(|value| (line * f64::from(value)) as f32);
        let window = Window::new(slice..slice + 1, 0..size, 0..size);
        sink.write(window, image.view().insert_axis(Axis(0)).insert_axis(Axis(0)))?;
    }
    Box::new(sink).done()
}
