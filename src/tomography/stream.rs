//! Volumes from scans, a few rows of the detector at a time.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ndarray::{Array3, Axis};

use super::corrections::Corrections;
use super::journal::Journal;
use super::normalise::Repairs;
use super::reconstruct::{Reconstructor, SLICES_TOGETHER};
use super::scan::Scan;
use crate::devices::Device;
use crate::error::{Bytes, Error, Result};
use crate::geometry::{Extent, Window};
use crate::images::{NewStack, Sink, StackFormat, StackLayout, StackSink, VoxelSize};
use crate::memory;
use crate::pipeline::pipeline;
use crate::watcher::{ImageReport, ImageWork, Watcher};

/// The most memory that is taken where nobody says how much: what more would not make quicker.
const MOST_BYTES: u64 = 4 << 30;
/// What is taken where the system does not say what is free.
const USUAL_BYTES: u64 = 1 << 30;

/// More clipped values than this, in percent, are worth a warning.
const MUCH_CLIPPED: f64 = 1.0;

/// A volume that is made of some of the projections.
pub struct Share {
    /// Their numbers.
    pub projections: Vec<usize>,
    /// What reconstructs them.
    pub reconstructor: Reconstructor,
    /// The file or folder that the volume goes to.
    pub out: PathBuf,
}

impl Share {
    /// The same, reconstructed on this device.
    ///
    /// # Errors
    /// As [`Reconstructor::on`].
    pub fn on(self, device: &Device) -> Result<Self> {
        Ok(Self { reconstructor: self.reconstructor.on(device)?, ..self })
    }
}

/// How volumes are made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScanWishes {
    /// The rows of the detector, each of which becomes a slice.
    pub rows: Range<usize>,
    /// What is done to projections.
    pub corrections: Corrections,
    /// The format of the volumes.
    pub format: StackFormat,
    /// Go on where an earlier run was stopped.
    pub resume: bool,
    /// How much memory may be taken, in bytes; `None` for half of what is free, and at most 4 GiB.
    pub memory: Option<u64>,
}

impl ScanWishes {
    /// Of these rows, to files of `format`.
    pub fn new(rows: Range<usize>, format: StackFormat) -> Self {
        Self { rows, corrections: Corrections::default(), format, resume: false, memory: None }
    }
}

/// Reconstructs `scan`: one volume for each of the `shares`. Rows are read, corrected, reconstructed and written as many at a time as
/// memory allows.
///
/// # Errors
/// [`Error::Setting`] for rows that there are not, [`Error::Output`] for a volume in the place of what is read, [`Error::OutOfMemory`] for
/// too little memory for one row, what comes of reading the scan and writing the volumes, and [`Error::Stopped`].
pub fn reconstruct_scan(
    scan: &Scan,
    shares: &[Share],
    wishes: &ScanWishes,
    watcher: &mut dyn Watcher,
) -> Result<()> {
    let rows = &wishes.rows;
    if rows.is_empty() || rows.end > scan.size().0 {
        let wanted = format!("the detector has rows 0..{}", scan.size().0);
        return Err(Error::setting("rows", format!("{}..{}", rows.start, rows.end), wanted));
    }
    wishes.corrections.check(scan)?;
    shares.iter().try_for_each(|share| scan.check_other(&share.out))?;
    let at_a_time = rows_at_a_time(scan, shares, wishes)?;
    let work = work(scan, shares, wishes);
    let first_out = shares.first().map_or(Path::new("."), |share| share.out.as_path());
    let mut journal = Journal::open(first_out, &work, wishes.resume)?;
    let done = journal.done().min(rows.len());
    let mut sinks = Vec::new();
    for share in shares {
        sinks.push(sink(scan, share, wishes, done)?);
    }
    journal.begin()?;
    let slabs: Vec<Range<usize>> = (done..rows.len())
        .step_by(at_a_time)
        .map(|first| first..(first + at_a_time).min(rows.len()))
        .collect();
    let watcher = Mutex::new(watcher);
    let tell = |done: usize, files: &[PathBuf]| {
        let report = ImageReport {
            work: ImageWork::Reconstruct,
            name: scan.name(),
            index: 0,
            count: 1,
            done: done as f64 / rows.len() as f64,
            score: None,
            files,
        };
        // A panic elsewhere has ended the work already.
        let stop = watcher.lock().is_ok_and(|mut watcher| watcher.image(&report).is_break());
        if stop { Err(Error::Stopped { done, count: rows.len() }) } else { Ok(()) }
    };
    let (mut repairs, mut zingers) = (Repairs::default(), 0);
    let written = pipeline(
        &slabs,
        |slab| wishes.corrections.read(scan, rows.start + slab.start..rows.start + slab.end),
        |slab, corrected| {
            repairs = repairs + corrected.repairs;
            zingers += corrected.zingers;
            let sinograms = corrected.sinograms;
            let volumes: Result<Vec<Array3<f32>>> = shares
                .iter()
                .map(|share| match share.projections.len() == sinograms.dim().0 {
                    true => share.reconstructor.reconstruct(sinograms.view()),
                    false => {
                        let part = sinograms.select(Axis(0), &share.projections);
                        share.reconstructor.reconstruct(part.view())
                    }
                })
                .collect();
            if slab.end < rows.len() {
                // What is on its way is written all the same.
                tell(slab.end, &[])?;
            }
            volumes
        },
        |slab, volumes| {
            for (sink, volume) in sinks.iter_mut().zip(&volumes) {
                let (_, height, width) = volume.dim();
                let window = Window::new(slab.clone(), 0..height, 0..width);
                sink.write(window, volume.view().insert_axis(Axis(0)))?;
            }
            journal.add(slab.end)
        },
    );
    if let Err(error) = written {
        // Where nothing is done there is nothing to go on with.
        if journal.done() > 0 {
            sinks.iter_mut().for_each(StackSink::keep);
            journal.keep();
        }
        return Err(error);
    }
    for sink in sinks {
        Box::new(sink).done()?;
    }
    say_repairs(repairs, zingers);
    let files: Vec<PathBuf> = shares.iter().map(|share| share.out.clone()).collect();
    // The volumes are there: whoever stops the work now has come too late.
    let _ = tell(rows.len(), &files);
    Ok(())
}

/// Says what was no measurement, where it is more than a trifle.
fn say_repairs(repairs: Repairs, zingers: u64) {
    let share = |count: u64| 100.0 * count as f64 / repairs.of.max(1) as f64;
    if zingers > 0 {
        log::info!("{zingers} bright specks were taken out of projections");
    }
    if repairs.bridged > 0 {
        let (count, share) = (repairs.bridged, share(repairs.bridged));
        log::info!(
            "{count} values of projections ({share:.2} %) had no beam or no number, and are from their neighbours"
        );
    }
    if share(repairs.clipped) > MUCH_CLIPPED {
        let (count, share) = (repairs.clipped, share(repairs.clipped));
        log::warn!(
            "{count} values of projections ({share:.1} %) let no light through, or less than one count: the object is too dense for this beam, or the flat and dark fields do not belong to it"
        );
    }
}

/// What tells this work from another: not how many rows are done at a time, as the memory that is free differs from run to run.
fn work(scan: &Scan, shares: &[Share], wishes: &ScanWishes) -> String {
    let shares: Vec<String> = shares
        .iter()
        .map(|share| {
            let reconstructor = &share.reconstructor;
            let (scan, settings) = (reconstructor.scan(), reconstructor.settings());
            format!("{:?} {scan:?} {settings:?} {}", share.projections, share.out.display())
        })
        .collect();
    let (rows, corrections) = (&wishes.rows, &wishes.corrections);
    let all = format!("{} {rows:?} {corrections:?} {shares:?}", scan.name());
    format!("msd-gpu tomo {:032x}", twox_hash::XxHash3_128::oneshot(all.as_bytes()))
}

/// As many rows as fit into the memory there is, in whole groups of those that are done together where possible.
fn rows_at_a_time(scan: &Scan, shares: &[Share], wishes: &ScanWishes) -> Result<usize> {
    let free = memory::free().map_or(USUAL_BYTES, |free| (free.bytes / 2).min(MOST_BYTES));
    let room = wishes.memory.unwrap_or(free);
    let (_, columns) = scan.size();
    let number = size_of::<f32>() as u64;
    let row = number * scan.angles().len() as u64 * columns as u64;
    let slice = |share: &Share| number * (share.reconstructor.size() as u64).pow(2);
    let slices: u64 = shares.iter().map(slice).sum();
    // Two slabs are read ahead beside the one that is computed and its copy, and of slices one is written while the next is
    // computed.
    let each = 5 * row + 2 * slices;
    let fixed = |rows: usize| shares.iter().map(|share| share.reconstructor.bytes(rows)).max().unwrap_or(0);
    let fits = |rows: usize| (rows as u64).saturating_mul(each).saturating_add(fixed(rows)) <= room;
    let most = wishes.rows.len();
    if !fits(1) {
        return Err(Error::OutOfMemory {
            buffer: format!("reconstructing one row of {}", scan.name()),
            wanted: each + fixed(1),
            limit_name: "the memory that may be taken".into(),
            limit: room,
            way_out: "give more with `memory`, or use fewer projections with `every`".into(),
        });
    }
    let left = room.saturating_sub(fixed(SLICES_TOGETHER));
    let rows = usize::try_from(left / each.max(1)).unwrap_or(most).min(most);
    let rows = match rows {
        0 => (1..SLICES_TOGETHER).rev().find(|rows| fits(*rows)).unwrap_or(1),
        rows if rows > SLICES_TOGETHER && rows < most => rows - rows % SLICES_TOGETHER,
        rows => rows,
    };
    log::info!(
        "{rows} rows at a time, in about {}",
        Bytes((rows as u64).saturating_mul(each).saturating_add(fixed(rows)))
    );
    Ok(rows)
}

fn sink(scan: &Scan, share: &Share, wishes: &ScanWishes, written: usize) -> Result<StackSink<f32>> {
    let size = share.reconstructor.size();
    let extent = Extent::new(wishes.rows.len(), size, size);
    let voxel_size =
        scan.voxel_size().map(|size| VoxelSize { z: size.y, y: size.x, x: size.x, unit: size.unit.clone() });
    let new = NewStack {
        layout: Some(StackLayout::slices(extent.z).with_voxel_size(voxel_size)),
        resume: written > 0,
        written,
        ..NewStack::new(&share.out, extent)
    };
    new.values(wishes.format)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::images::open_volume;
    use crate::tomography::{ReconstructionSettings, ScanFiles, ScanGeometry};
    use crate::watcher::Flow;

    /// Memory for one row at a time of the scan below.
    const FOR_ONE_ROW: u64 = 75_000;

    fn scan() -> Scan {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/scans/dxchange.h5");
        Scan::open(path, &ScanFiles::default()).unwrap()
    }

    fn make(out: &Path, resume: bool, watcher: &mut dyn Watcher) -> Result<()> {
        let scan = scan();
        let geometry = ScanGeometry::new(scan.angles().to_vec(), scan.size().1, 22.0).unwrap();
        let reconstructor = Reconstructor::new(geometry, ReconstructionSettings::default()).unwrap();
        let share = Share { projections: (0..45).collect(), reconstructor, out: out.to_path_buf() };
        let format = StackFormat::of_name(out).unwrap();
        // Who goes on may have more memory than who began.
        let memory = (!resume).then_some(FOR_ONE_ROW);
        let wishes = ScanWishes { resume, memory, ..ScanWishes::new(0..3, format) };
        reconstruct_scan(&scan, &[share], &wishes, watcher)
    }

    fn values(path: &Path) -> Vec<f32> {
        let volume = open_volume(path.to_str().unwrap()).unwrap();
        volume.read(Window::whole(volume.extent())).unwrap().into_raw_vec_and_offset().0
    }

    /// Stops the work after some reports.
    struct Stop(usize);

    impl Watcher for Stop {
        fn image(&mut self, _: &ImageReport<'_>) -> Flow {
            self.0 -= 1;
            if self.0 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }

    #[test]
    fn work_that_was_stopped_goes_on_and_ends_the_same() {
        let folder = tempfile::tempdir().unwrap();
        for ending in ["tif", "npy", "h5", "ome.zarr", "mrc"] {
            let at = |name: &str| folder.path().join(format!("{name}.{ending}"));
            make(&at("whole"), false, &mut ()).unwrap();
            for after in [1, 2] {
                let out = at(&format!("parts{after}"));
                let stopped = make(&out, false, &mut Stop(after)).unwrap_err();
                assert!(matches!(stopped, Error::Stopped { count: 3, .. }), "{stopped}");
                assert!(!out.exists());
                make(&out, true, &mut ()).unwrap();
                assert_eq!(values(&out), values(&at("whole")), "{ending}");
            }
        }
        let left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 15, "{left:?}");
    }

    #[test]
    fn other_work_does_not_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("v.tif");
        make(&out, false, &mut Stop(2)).unwrap_err();
        let scan = scan();
        let geometry = ScanGeometry::new(scan.angles().to_vec(), scan.size().1, 23.0).unwrap();
        let reconstructor = Reconstructor::new(geometry, ReconstructionSettings::default()).unwrap();
        let share = Share { projections: (0..45).collect(), reconstructor, out };
        let wishes = ScanWishes { resume: true, ..ScanWishes::new(0..3, StackFormat::Tiff) };
        let error = reconstruct_scan(&scan, &[share], &wishes, &mut ()).unwrap_err().to_string();
        assert!(error.contains("resume"), "{error}");
    }
}
