//! Images one behind the other as a volume: a single image, the pages of a stack, or a folder of slices.

use ndarray::{Array3, Array4, Axis};

use super::decode::header;
use super::discovery::discover;
use super::read::{check_gaps, read_image_with_gaps, read_part_with_gaps};
use super::read_labels::read_part_of_labels;
use super::source::{Header, ImageSource};
use super::tiff::voxel_size;
use super::volume::{Volume, VoxelSize, check_window, zeros};
use crate::error::{Error, Result};
use crate::geometry::{Extent, Window};

/// A volume whose slices are images of one size and type, each in a file or page of its own.
///
/// Of a slice only the strips, tiles or blocks are read that a part lies in, where its file has such; PNG and JPEG files are
/// decoded whole.
#[derive(Debug, Clone)]
pub struct Slices {
    name: String,
    /// Each with its header.
    pages: Vec<ImageSource>,
    first: Header,
    axes: String,
    voxel_size: Option<VoxelSize>,
}

/// The volume that `path` names: an image (of one slice), a TIFF stack, or a folder or pattern of slices, in natural
/// order of their names.
///
/// # Errors
/// [`Error::Mismatch`] for slices that differ in size or type, and for several stacks; else as
/// [`discover`](super::discover) and [`page_size`](super::page_size).
pub fn open_volume(path: &str) -> Result<Box<dyn Volume>> {
    let pages = discover(path)?;
    check_one_volume(path, &pages)?;
    Slices::new(path, pages).map(|slices| Box::new(slices) as Box<dyn Volume>)
}

/// Refuses `pages` of several stacks; `path` is what named them.
///
/// # Errors
/// [`Error::Mismatch`].
pub(crate) fn check_one_volume(path: &str, pages: &[ImageSource]) -> Result<()> {
    if let Some(stack) = pages.iter().find(|page| page.page.is_some())
        && let Some(other) = pages.iter().find(|page| page.place() != stack.place())
    {
        return Err(Error::Mismatch(format!(
            "{path} names the stack {} and {}, which are not one volume; name one of them",
            stack.path.display(),
            other.path.display()
        )));
    }
    Ok(())
}

impl Slices {
    /// The volume that is called `name` and has the images `pages` as its slices, in this order. Its pixels are as large as the
    /// file of the first one says.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for no slices and for slices that differ in size, channels or type of number, [`Error::Input`]
    /// for those whose header cannot be read.
    pub fn new(name: impl Into<String>, mut pages: Vec<ImageSource>) -> Result<Self> {
        let name = name.into();
        let Some(first) = pages.first().map(header).transpose()? else {
            return Err(Error::Mismatch(format!("{name} has no slices; wanted at least one")));
        };
        let first_name = pages[0].name();
        for page in &mut pages {
            let found = header(page)?;
            first.check_slice(&first_name, &page.name(), &found)?;
            page.header = Some(found);
        }
        let voxel_size = match pages.first() {
            Some(ImageSource { array: Some(image), .. }) => image.array.voxel_size().cloned(),
            Some(page) => voxel_size(&page.path),
            None => None,
        };
        let fineness = pages.first().map_or(1.0, ImageSource::fineness);
        let voxel_size = voxel_size.map(|size| size.finer(fineness));
        let voxel_size = voxel_size.zip(pages.first()).map(|(size, page)| page.at_level(size));
        let axes = match pages.as_slice() {
            [ImageSource { array: Some(image), .. }, ..] => image.array.axes(),
            _ => axes_of(pages.len(), &first).to_owned(),
        };
        Ok(Self { name, pages, first, axes, voxel_size })
    }

    /// Where the slices are.
    pub fn pages(&self) -> &[ImageSource] {
        &self.pages
    }
}

/// The axes of `count` images as files have them.
fn axes_of(count: usize, header: &Header) -> &'static str {
    match (count, header.channels, header.planar) {
        (1, 1, _) => "YX",
        (1, _, false) => "YXC",
        (1, _, true) => "CYX",
        (_, 1, _) => "ZYX",
        (_, _, false) => "ZYXC",
        (_, _, true) => "ZCYX",
    }
}

impl Volume for Slices {
    fn name(&self) -> &str {
        &self.name
    }

    fn extent(&self) -> Extent {
        Extent::new(self.pages.len(), self.first.height, self.first.width)
    }

    fn channels(&self) -> usize {
        self.first.channels
    }

    fn axes(&self) -> &str {
        &self.axes
    }

    fn voxel_size(&self) -> Option<&VoxelSize> {
        self.voxel_size.as_ref()
    }

    fn read(&self, window: Window) -> Result<Array4<f32>> {
        check_window(&self.name, self.extent(), &window)?;
        let Extent { z, y, x } = window.extent;
        let part = Window { z: 0, extent: Extent::plane(y, x), ..window };
        let read = |page| {
            let image = match part == Window::whole(Extent::plane(self.first.height, self.first.width)) {
                true => read_image_with_gaps(page),
                false => read_part_with_gaps(page, &part),
            }?;
            check_gaps(&page.name(), &image, |_, _| true)?;
            Ok(image)
        };
        if z == 1 {
            return Ok(read(&self.pages[window.z])?.insert_axis(Axis(1)));
        }
        let mut slices: Array4<f32> = zeros(&self.name, (self.first.channels, z, y, x))?;
        for (mut slice, page) in slices.axis_iter_mut(Axis(1)).zip(&self.pages[window.slices()]) {
            slice.assign(&read(page)?);
        }
        Ok(slices)
    }

    fn read_labels(&self, window: Window) -> Result<Array3<i64>> {
        check_window(&self.name, self.extent(), &window)?;
        let Extent { z, y, x } = window.extent;
        let part = Window { z: 0, extent: Extent::plane(y, x), ..window };
        let mut slices: Array3<i64> = zeros(&self.name, (z, y, x))?;
        for (mut slice, page) in slices.axis_iter_mut(Axis(0)).zip(&self.pages[window.slices()]) {
            slice.assign(&read_part_of_labels(page, &part)?);
        }
        Ok(slices)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ndarray::{Array2, Array4, s};

    use super::*;
    use crate::images::file::openings::counted;
    use crate::images::{Sink, TiffSink, write_png_grey8, write_png_rgb8, write_tiff_f32};

    fn open(path: &Path) -> Result<Box<dyn Volume>> {
        open_volume(path.to_str().unwrap())
    }

    fn refusal(path: &Path) -> String {
        open(path).err().map(|error| error.to_string()).unwrap_or_default()
    }

    /// Numbers that are different everywhere, `[channel][z][y][x]`.
    fn numbers(shape: (usize, usize, usize, usize)) -> Array4<f32> {
        let (_, z, y, x) = shape;
        Array4::from_shape_fn(shape, |(c, k, j, i)| (((c * z + k) * y + j) * x + i) as f32)
    }

    fn stack(path: &Path, volume: &Array4<f32>) {
        let (channels, z, y, x) = volume.dim();
        let mut sink = TiffSink::values(path, Extent::new(z, y, x), channels).unwrap();
        sink.write(Window::whole(Extent::new(z, y, x)), volume.view()).unwrap();
        Box::new(sink).done().unwrap();
    }

    #[test]
    fn any_part_of_a_stack_is_that_part_of_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tif");
        for channels in [1, 3] {
            let whole = numbers((channels, 4, 5, 6));
            stack(&path, &whole);
            let volume = open(&path).unwrap();
            assert_eq!((volume.extent(), volume.channels()), (Extent::new(4, 5, 6), channels));
            assert_eq!(volume.axes(), if channels == 1 { "ZYX" } else { "ZYXC" });
            assert_eq!(volume.voxel_size(), None);
            for window in
                [Window::whole(volume.extent()), Window::new(2..3, 0..5, 0..6), Window::new(1..4, 2..5, 3..4)]
            {
                let part = whole.slice(s![.., window.slices(), window.rows(), window.columns()]);
                assert_eq!(volume.read(window).unwrap(), part, "{window}");
                if channels == 1 {
                    let labels = part.index_axis(Axis(0), 0).mapv(|v| v as i64);
                    assert_eq!(volume.read_labels(window).unwrap(), labels);
                }
            }
            for window in [Window::new(3..5, 0..1, 0..1), Window::new(0..0, 0..1, 0..1)] {
                let error = volume.read(window).unwrap_err().to_string();
                assert!(error.contains("6 x 5 x 4 pixels") && error.contains("z "), "{error}");
                assert_eq!(volume.read_labels(window).unwrap_err().to_string(), error);
            }
        }
    }

    #[test]
    fn a_folder_of_slices_is_a_volume_and_only_the_slices_that_are_wanted_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for z in 0..12_u8 {
            let slice = Array2::from_elem((3, 2), z);
            write_png_grey8(folder.path().join(format!("z{z}.png")), &slice).unwrap();
        }
        let (volume, opened) = counted(|| open(folder.path()).unwrap());
        assert_eq!((volume.extent(), opened), (Extent::new(12, 3, 2), 12));
        let window = Window::new(9..11, 0..3, 1..2);
        let (part, opened) = counted(|| volume.read(window).unwrap());
        assert_eq!((part, opened), (Array4::from_shape_fn((1, 2, 3, 1), |(_, z, ..)| 9.0 + z as f32), 2));
        // One image is a volume of one slice.
        let one = open(&folder.path().join("z3.png")).unwrap();
        assert_eq!((one.extent(), one.axes()), (Extent::plane(3, 2), "YX"));
        assert_eq!(one.read(Window::whole(one.extent())).unwrap(), Array4::from_elem((1, 1, 3, 2), 3.0));
        assert_eq!(one.read_labels(Window::plane(0..1, 0..1)).unwrap()[[0, 0, 0]], 3);
    }

    #[test]
    fn what_is_not_one_volume_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        write_png_grey8(path("a.png"), &Array2::zeros((3, 2))).unwrap();
        write_png_grey8(path("b.png"), &Array2::zeros((3, 4))).unwrap();
        let error = refusal(folder.path());
        assert!(error.contains("b.png has 4 x 3 pixels of 1 uint8 but"), "{error}");
        write_png_rgb8(path("b.png"), &Array3::zeros((3, 2, 3))).unwrap();
        assert!(refusal(folder.path()).contains("2 x 3 pixels of 3 uint8"));
        std::fs::remove_file(path("b.png")).unwrap();
        write_tiff_f32(path("b.tif"), &Array3::zeros((1, 3, 2))).unwrap();
        assert!(refusal(folder.path()).contains("1 float32"));
        stack(&path("b.tif"), &numbers((1, 2, 3, 2)));
        let error = refusal(folder.path());
        assert!(error.contains("the stack") && error.contains("name one of them"), "{error}");
        std::fs::write(path("b.tif"), b"").unwrap();
        assert!(refusal(folder.path()).contains("is empty (0 bytes)"));
        assert!(Slices::new("nothing", vec![]).unwrap_err().to_string().contains("no slices"));
    }
}
