//! New stacks by what they hold and the format that is wanted.

use std::path::{Path, PathBuf};

use ::tiff::decoder::DecodingResult;

use super::png_file::{self, PngColours, PngFile};
use super::zarr::{OmeVersion, ZarrFile};
use super::{NewStack, StackFile, StackSink, Store, TypedStack, hdf5, mrc, nifti, npy, store_labels};
use crate::error::{Error, Result};
use crate::geometry::Extent;
use crate::images::label_format::LabelFormat;
use crate::images::labels::Palette;
use crate::images::number_type::NumberType;
use crate::images::source::{SampleKind, SampleType};
use crate::images::tiff;

/// The dataset of HDF5 files.
const DATASET: &str = "/data";

/// The formats in which stacks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StackFormat {
    /// A TIFF file of a page for each plane; by the ending of its name with OME-XML, or BigTIFF whatever its size.
    Tiff,
    /// A TIFF file of a page for each plane, with OME-XML whatever it is called.
    OmeTiff,
    /// A PNG file, of one image only.
    Png,
    /// HDF5, the dataset `/data`.
    Hdf5,
    /// NumPy's format.
    Npy,
    /// MRC, of one channel.
    Mrc,
    /// NIfTI-1.
    Nifti,
    /// OME-Zarr 0.5, a folder of Zarr version 3.
    Zarr,
    /// OME-Zarr 0.4, a folder of Zarr version 2.
    Zarr04,
}

impl StackFormat {
    /// The formats that people may ask for, by name.
    pub const NAMES: [(&'static str, StackFormat); 7] = [
        ("tiff", StackFormat::Tiff),
        ("ome-tiff", StackFormat::OmeTiff),
        ("zarr", StackFormat::Zarr),
        ("hdf5", StackFormat::Hdf5),
        ("npy", StackFormat::Npy),
        ("mrc", StackFormat::Mrc),
        ("nifti", StackFormat::Nifti),
    ];

    /// What the ending of a name says, such as that of `a.ome.zarr`; `None` for endings of other files. OME-TIFF is TIFF here.
    pub fn of_name(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match ending.as_str() {
            "tif" | "tiff" | "btf" | "tf8" => StackFormat::Tiff,
            "zarr" => StackFormat::Zarr,
            "h5" | "hdf5" | "hdf" | "nxs" | "he5" => StackFormat::Hdf5,
            "npy" | "npz" => StackFormat::Npy,
            "mrc" | "mrcs" | "rec" | "map" => StackFormat::Mrc,
            "nii" => StackFormat::Nifti,
            "gz" => {
                let inner = Self::of_name(&path.with_extension(""))?;
                return matches!(inner, StackFormat::Nifti | StackFormat::Mrc | StackFormat::Npy)
                    .then_some(inner);
            }
            _ => return None,
        })
    }

    /// The ending of its files, without the dot.
    pub fn ending(self) -> &'static str {
        match self {
            StackFormat::Tiff => "tif",
            StackFormat::OmeTiff => "ome.tif",
            StackFormat::Png => "png",
            StackFormat::Hdf5 => "h5",
            StackFormat::Npy => "npy",
            StackFormat::Mrc => "mrc",
            StackFormat::Nifti => "nii",
            StackFormat::Zarr | StackFormat::Zarr04 => "ome.zarr",
        }
    }

    /// The type in which numbers of the type `numbers` are stored in the file `path`: that one, or where the format does not have it the
    /// next one that holds all of them, or the largest.
    pub(in crate::images) fn type_for(self, numbers: NumberType, path: &Path) -> NumberType {
        let is_ome = self == StackFormat::OmeTiff || self == StackFormat::Tiff && tiff::has_ome_name(path);
        match (self, numbers) {
            (
                StackFormat::Mrc,
                NumberType::U32 | NumberType::U64 | NumberType::I32 | NumberType::I64 | NumberType::F64,
            ) => NumberType::F32,
            (StackFormat::Nifti, NumberType::F16) => NumberType::F32,
            (_, NumberType::F16) if is_ome => NumberType::F32,
            (_, NumberType::U64 | NumberType::I64) if is_ome => NumberType::F64,
            _ => numbers,
        }
    }

    /// Whether a file holds several channels of each pixel.
    pub fn holds_channels(self) -> bool {
        self != StackFormat::Mrc
    }

    /// Whether parts of images stay where a program is killed; else images do that are complete.
    pub fn keeps_parts(self) -> bool {
        !matches!(self, StackFormat::Zarr | StackFormat::Zarr04 | StackFormat::Hdf5)
    }

    /// Whether several programs can fill a stack together, each with images of its own.
    pub fn can_be_shared(self) -> bool {
        matches!(self, StackFormat::Zarr | StackFormat::Zarr04)
    }

    /// The name that the unfinished file of `path` is made of.
    pub fn unfinished(self, path: &Path) -> PathBuf {
        match self {
            StackFormat::Png => png_file::rows_of(path),
            _ => path.to_path_buf(),
        }
    }
}

/// What the numbers of a new stack are.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// Labels in so many bits, shown in the colours of a palette where there is one.
    Labels(LabelFormat, Option<&'a Palette>),
    /// Values, any number of channels.
    Values,
    /// Red, green and blue.
    Colours,
    /// Numbers of one type, any number of channels.
    Numbers(NumberType),
}

impl Content<'_> {
    /// The type of the numbers.
    pub(super) fn numbers(self) -> SampleType {
        let (kind, bits) = match self {
            Content::Labels(LabelFormat::Png8, _) | Content::Colours => (SampleKind::Unsigned, 8),
            Content::Labels(LabelFormat::Png16, _) => (SampleKind::Unsigned, 16),
            Content::Labels(LabelFormat::Tiff32, _) => (SampleKind::Signed, 32),
            Content::Values => (SampleKind::Float, 32),
            Content::Numbers(numbers) => return numbers.sample(),
        };
        SampleType { kind, bits }
    }
}

impl NewStack {
    /// Opens the file in `format` for labels in the bits of `label_format`.
    ///
    /// # Errors
    /// [`crate::Error::Output`] for a file that cannot be written, or that the format cannot hold.
    pub fn labels(
        &self,
        format: StackFormat,
        label_format: LabelFormat,
        palette: Option<&Palette>,
    ) -> Result<StackSink<i64>> {
        self.open(format, Content::Labels(label_format, palette), store_labels(label_format))
    }

    /// As [`NewStack::labels`], for values.
    ///
    /// # Errors
    /// As [`NewStack::labels`].
    pub fn values(&self, format: StackFormat) -> Result<StackSink<f32>> {
        self.open(format, Content::Values, |values| Ok(DecodingResult::F32(values.iter().copied().collect())))
    }

    /// As [`NewStack::labels`], for red, green and blue.
    ///
    /// # Errors
    /// As [`NewStack::labels`].
    pub fn colours(&self, format: StackFormat) -> Result<StackSink<u8>> {
        self.open(format, Content::Colours, |values| Ok(DecodingResult::U8(values.iter().copied().collect())))
    }

    /// As [`NewStack::labels`], for numbers of the type `numbers`, rounded to whole ones where it has no others; those that it does
    /// not hold are refused. Three channels of 8 bits may be red, green and blue (`colours`).
    ///
    /// # Errors
    /// As [`NewStack::labels`].
    pub fn numbers(&self, format: StackFormat, numbers: NumberType, colours: bool) -> Result<StackSink<f64>> {
        self.stored(format, numbers, colours, numbers.store())
    }

    /// As [`NewStack::numbers`], of numbers that are stored as `store` does it.
    ///
    /// # Errors
    /// As [`NewStack::labels`].
    pub(in crate::images) fn stored<T: Copy + Default>(
        &self,
        format: StackFormat,
        numbers: NumberType,
        colours: bool,
        store: Store<T>,
    ) -> Result<StackSink<T>> {
        if format == StackFormat::Png {
            self.check_png(numbers)?;
        }
        let colours = colours && numbers == NumberType::U8 && self.channels == 3;
        let content = if colours { Content::Colours } else { Content::Numbers(numbers) };
        self.open(format, content, store)
    }

    /// Refuses what no PNG file holds.
    fn check_png(&self, numbers: NumberType) -> Result<()> {
        let Extent { z, .. } = self.extent;
        let problem = if z != 1 {
            format!("a PNG file holds one image, not {z}; write .tif, or choose one of them with `slices`")
        } else if !matches!(self.channels, 1 | 3) {
            format!(
                "a PNG file holds 1 or 3 channels, not {}; write .tif, or choose one of them with `channel`",
                self.channels
            )
        } else if !matches!(numbers, NumberType::U8 | NumberType::U16) {
            format!(
                "a PNG file holds no {numbers}; write .tif, or give `dtype u16`, with `window LOW..HIGH` where values have to be scaled"
            )
        } else {
            return Ok(());
        };
        Err(Error::output(&self.path, problem))
    }

    fn open<T: Copy + Default>(
        &self,
        format: StackFormat,
        content: Content<'_>,
        store: Store<T>,
    ) -> Result<StackSink<T>> {
        let Extent { y, x, .. } = self.extent;
        if let Some(dataset) = &self.dataset
            && format != StackFormat::Hdf5
        {
            let problem = format!("only HDF5 files have places inside, such as {dataset}; leave it out");
            return Err(Error::output(&self.path, problem));
        }
        let file: Box<dyn StackFile> = match format {
            StackFormat::Tiff => Box::new(tiff::new_stack(self, content, false)?),
            StackFormat::OmeTiff => Box::new(tiff::new_stack(self, content, true)?),
            StackFormat::Png => {
                let colours = match content {
                    Content::Labels(LabelFormat::Png8, Some(palette)) => {
                        PngColours::Palette(Box::new(*palette))
                    }
                    Content::Colours => PngColours::Rgb,
                    Content::Numbers(_) if self.channels == 3 => PngColours::Rgb,
                    _ => PngColours::Grey,
                };
                Box::new(PngFile::new(&self.path, self.resume, (y, x), content.numbers(), colours)?)
            }
            other => open_typed(self.of_type(content.numbers()), other)?,
        };
        let own = self.own_images();
        let next = own.start + self.written;
        Ok(StackSink::new(&self.path, Extent { z: own.end, ..self.extent }, self.channels, file, store, next))
    }
}

/// Opens the file of a stack in one of the formats of arrays.
///
/// # Errors
/// [`crate::Error::Output`] for a file that cannot be written, or that the format cannot hold.
pub(super) fn open_typed(stack: TypedStack, format: StackFormat) -> Result<Box<dyn StackFile>> {
    match format {
        StackFormat::Hdf5 => {
            let dataset = stack.dataset.clone().unwrap_or_else(|| DATASET.to_owned());
            hdf5::create(stack, &dataset)
        }
        StackFormat::Npy => npy::create(stack),
        StackFormat::Mrc => mrc::create(stack),
        StackFormat::Nifti => nifti::create(stack),
        StackFormat::Zarr => Ok(Box::new(ZarrFile::begin(stack, OmeVersion::V05)?)),
        StackFormat::Zarr04 => Ok(Box::new(ZarrFile::begin(stack, OmeVersion::V04)?)),
        StackFormat::Tiff | StackFormat::OmeTiff | StackFormat::Png => {
            Err(Error::output(&stack.path, "is written page by page; this is for arrays"))
        }
    }
}
