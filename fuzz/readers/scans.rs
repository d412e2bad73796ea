//! Scans, and how far work on them is.

use std::path::Path;

use msd_gpu::images::StackFormat;
use msd_gpu::tomography::{
    Numbers, Reconstructor, Scan, ScanFiles, ScanGeometry, ScanWishes, Share, reconstruct_scan,
};
use msd_gpu::watcher::Watcher;

use super::images::MOST_NUMBERS;
use super::{StopsAt, first_line, in_file, in_folder, put};

/// A scan, of which the rows in the middle are read.
pub fn scan(bytes: &[u8]) {
    in_file(bytes, |path| scan_in(path, &ScanFiles::default()));
}

/// A file of angles, of three projections.
pub fn angles(bytes: &[u8]) {
    in_folder(bytes, "angles.txt", &["a.png", "b.png", "c.png"], |folder| {
        let mut files = ScanFiles::default();
        files.angles = Some(folder.join("angles.txt").display().to_string());
        scan_in(&folder.join("*.png"), &files);
    });
}

fn scan_in(path: &Path, files: &ScanFiles) {
    let Some(place) = path.to_str() else { return };
    let Ok(scan) = Scan::open(place, files) else { return };
    let (rows, columns) = scan.size();
    let (projections, (flats, darks)) = (scan.angles().len(), scan.frames());
    let count = projections.saturating_add(flats).saturating_add(darks).saturating_mul(columns);
    if rows > 0 && count <= MOST_NUMBERS {
        let row = rows / 2..rows / 2 + 1;
        let _ = scan.projections(row.clone());
        let _ = scan.flats(row.clone());
        let _ = scan.darks(row);
    }
}

/// The lines of the journal of a reconstruction that was stopped, behind the first one, which tells what it is of.
pub fn reconstruction(bytes: &[u8]) {
    in_folder(b"0\n60\n120\n", "angles.txt", &["a.png", "b.png", "c.png"], |folder| {
        let journal = folder.join(".msd-gpu-out.npy.slices.part");
        reconstruct(folder, false, &mut StopsAt(0.6));
        let first = first_line(&journal);
        for lines in [bytes, &[first.as_bytes(), bytes].concat()] {
            put(&journal, lines);
            reconstruct(folder, true, &mut ());
        }
    });
}

/// Reconstructs a scan of three projections, a row of the detector at a time.
fn reconstruct(folder: &Path, resume: bool, watcher: &mut dyn Watcher) {
    /// Enough for one row and its slice.
    const MEMORY: u64 = 1500;
    let mut files = ScanFiles::default();
    files.angles = Some(folder.join("angles.txt").display().to_string());
    let scan = Scan::open(&folder.join("*.png").display().to_string(), &files).expect("the scan is there");
    let angles = scan.angles().to_vec();
    let projections = (0..angles.len()).collect();
    let geometry = ScanGeometry::new(angles, scan.size().1, 2.5);
    let reconstructor = geometry.and_then(|geometry| Reconstructor::new(geometry, Default::default()));
    let reconstructor = reconstructor.expect("the scan has an axis");
    let share = Share { projections, reconstructor, out: folder.join("out.npy") };
    let mut wishes = ScanWishes::new(0..scan.size().0, StackFormat::Npy);
    (wishes.resume, wishes.memory) = (resume, Some(MEMORY));
    wishes.corrections.numbers = Numbers::Absorption;
    let _ = reconstruct_scan(&scan, &[share], &wishes, watcher);
}

/// The plan of `tomo denoise`, behind the line that tells what it is of.
#[cfg(feature = "cli")]
pub fn denoising(bytes: &[u8]) {
    in_folder(b"0\n45\n90\n135\n", "angles.txt", &["a.png", "b.png", "c.png", "d.png"], |folder| {
        let place = |name: &str| folder.join(name).display().to_string();
        let scan = [place("*.png"), "--angles".into(), place("angles.txt"), "--centre".into(), "2.5".into()];
        let to = [
            "--out".into(),
            place("out.tif"),
            "--work".into(),
            place("work"),
            "--device".into(),
            "cpu".into(),
        ];
        let how = ["--numbers", "absorption", "--steps", "1"].map(String::from);
        let arguments = [&["tomo".into(), "denoise".into()][..], &scan, &to, &how].concat();
        let plan = folder.join("work/plan.toml");
        // Folders in the places of the reconstructions end the work behind the plan.
        ["work/share_0.tif/x", "work/share_1.tif/x"].iter().for_each(|name| put(&folder.join(name), &[]));
        super::run(&arguments);
        let asked = first_line(&plan);
        for lines in [bytes, &[asked.as_bytes(), bytes].concat()] {
            put(&plan, lines);
            super::run(&[&arguments[..], &["--resume".into()]].concat());
        }
    });
}
