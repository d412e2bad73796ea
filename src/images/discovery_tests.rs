//! Which files a folder, a pattern or a stack of files gives.

use super::*;

fn touch(folder: &Path, names: &[&str]) {
    for name in names {
        std::fs::write(folder.join(name), b"\x89PNG\r\n\x1a\n").unwrap();
    }
}

fn stems(pages: &[ImageSource]) -> Vec<&str> {
    pages.iter().map(|page| page.stem.as_str()).collect()
}

#[test]
fn a_folder_is_listed_in_natural_order_without_hidden_and_other_files() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["z10.png", "z2.PNG", "z1.png", ".z3.png", "notes.txt"]);
    std::fs::create_dir(folder.path().join("z5.png")).unwrap();
    let found = discover(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(stems(&found), ["z1", "z2", "z10"]);
    let pattern = format!("{}/z1*", folder.path().display());
    assert_eq!(stems(&discover(&pattern).unwrap()), ["z1", "z10"]);
    let file = folder.path().join("z10.png");
    assert_eq!(stems(&discover(file.to_str().unwrap()).unwrap()), ["z10"]);
}

#[test]
fn files_can_be_the_slices_of_one_stack() {
    let folder = tempfile::tempdir().unwrap();
    let scan = folder.path().join("scan");
    std::fs::create_dir(&scan).unwrap();
    let name = scan.to_str().unwrap();
    for number in [10_usize, 2, 1] {
        let plane = ndarray::Array2::from_elem((4, 5), number as u8);
        crate::images::write_png_grey8(scan.join(format!("z{number}.png")), &plane).unwrap();
    }
    let one_stack = Discovery { one_stack: true, ..Discovery::default() };
    for place in [name.to_owned(), format!("{name}/z*.png")] {
        let found = one_stack.discover(&place).unwrap();
        assert_eq!(stems(&found), ["scan_p0000", "scan_p0001", "scan_p0002"]);
        assert!(found.iter().all(|slice| slice.place() == (scan.as_path(), "")));
        for (slice, number) in found.iter().zip([1.0, 2.0, 10.0]) {
            assert_eq!(crate::images::read_image(slice).unwrap()[(0, 0, 0)], number);
        }
        assert!(found[2].name().ends_with("z10.png"), "{}", found[2].name());
    }
    // The pages of a file are no slices beside other files.
    let stack = ndarray::Array3::zeros((1, 4, 5));
    crate::images::write_tiff_f32(scan.join("z3.tif"), &stack).unwrap();
    assert_eq!(one_stack.discover(name).unwrap().len(), 4);
    let npy = scan.join("volume.npy");
    let words = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 4, 5), }\n";
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend(u16::try_from(words.len()).unwrap().to_le_bytes());
    bytes.extend(words);
    bytes.extend([0; 40]);
    std::fs::write(npy, bytes).unwrap();
    let error = one_stack.discover(&format!("{name}/*.npy")).unwrap_err().to_string();
    assert!(error.contains("volume.npy is a stack itself"), "{error}");
}

#[test]
fn natural_order_counts_and_is_total() {
    let mut names = ["b", "a10b2", "a2", "a10b10", "a", "a01", "a1", "10", "9"];
    names.sort_by(|a, b| natural_order(a, b));
    assert_eq!(names, ["9", "10", "a", "a01", "a1", "a2", "a10b2", "a10b10", "b"]);
}

#[test]
fn what_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap().to_owned();
    let error = discover(&root).unwrap_err().to_string();
    assert!(error.contains(".png, .tif or .tiff"), "{error}");
    let error = discover(&format!("{root}/missing")).unwrap_err().to_string();
    assert!(error.contains("missing") && error.contains("no such file or folder"), "{error}");
    let error = discover(&format!("{root}/*.tif")).unwrap_err().to_string();
    assert!(error.contains("matches no file"), "{error}");
}
