//! Files that other programs stored in random ways: read equal to the bit.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Command;

use msd_gpu::Result;
use msd_gpu::images::{ImageSource, discover, read_image, read_labels, read_values};
use ndarray::Array3;

/// How many files are written, and from which seed.
const FILES: usize = 300;
const SEED: u64 = 11;

/// Compares the numbers `found` with those in the file at `path`, bit by bit; `what` says how the image is stored.
fn compare<T: Debug, const N: usize>(
    path: &Path,
    what: &str,
    found: impl Iterator<Item = T>,
    bytes: impl Fn(&T) -> [u8; N],
    number: impl Fn([u8; N]) -> T,
) {
    let stored = std::fs::read(path).unwrap();
    let mut count = 0;
    for (place, (found, wanted)) in found.zip(stored.as_chunks::<N>().0).enumerate() {
        let wanted = number(*wanted);
        assert_eq!(
            bytes(&found),
            bytes(&wanted),
            "{}: number {place} is {found:?}, wanted {wanted:?}: {what}",
            path.display()
        );
        count += 1;
    }
    assert_eq!(count * N, stored.len(), "{}: {what}", path.display());
}

/// Has a script of `tests/images` write files, and reads those with this ending as `read` does. Python is the one that `MSD_GPU_PYTHON`
/// names, else `python3`; `MSD_GPU_SEED` has other files written.
fn random_files_are_read(script: &str, ending: &str, read: fn(&ImageSource) -> Result<Array3<f32>>) {
    let python = std::env::var("MSD_GPU_PYTHON").unwrap_or_else(|_| "python3".into());
    let seed = std::env::var("MSD_GPU_SEED").ok().map_or(SEED, |seed| seed.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images").join(script);
    let status = Command::new(&python)
        .arg(script)
        .arg(folder.path())
        .args([FILES.to_string(), seed.to_string()])
        .status()
        .unwrap_or_else(|error| panic!("{python}: {error}"));
    assert!(status.success());

    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == ending));
    assert_eq!(paths.len(), FILES);
    for path in paths {
        let what = std::fs::read_to_string(path.with_extension("txt")).unwrap();
        let sides = what.lines().next().unwrap().split(' ').map(|side| side.parse().unwrap());
        let pages = discover(path.to_str().unwrap()).unwrap();
        let images: Vec<_> =
            pages.iter().map(|page| read(page).unwrap_or_else(|error| panic!("{error}: {what}"))).collect();
        let shape: Vec<usize> = [images.len()].iter().chain(images[0].shape()).copied().collect();
        assert_eq!(shape, sides.collect::<Vec<usize>>(), "{}: {what}", path.display());
        let values = path.with_extension("f32");
        let found = images.into_iter().flatten();
        compare(&values, &what, found, |v| v.to_le_bytes(), f32::from_le_bytes);
        let labels = path.with_extension("i64");
        if labels.exists() {
            let label = |page| read_labels(page).unwrap_or_else(|error| panic!("{error}: {what}"));
            let found = pages.iter().flat_map(label);
            compare(&labels, &what, found, |v| v.to_le_bytes(), i64::from_le_bytes);
        }
    }
}

#[test]
#[ignore = "needs Python with tifffile and imagecodecs; tests/run.sh runs it"]
fn random_tiff_files_are_read_equal_to_the_bit() {
    random_files_are_read("random_tiffs.py", "tif", read_image);
}

#[test]
#[ignore = "needs Python with zarr; tests/run.sh runs it"]
fn random_zarr_folders_are_read_equal_to_the_bit() {
    random_files_are_read("random_zarrs.py", "zarr", read_values);
}
