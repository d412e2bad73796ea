//! Schedules as text, against golden files: a change of plan shows as a difference. Set `MSD_GPU_WRITE_GOLDEN=1`
//! to write them anew.

use std::path::Path;

use msd_gpu::geometry::{Extent, Shape};
use msd_gpu::network::Architecture;
use msd_gpu::schedule::{Options, Schedule};

fn check(name: &str, schedule: &Schedule) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    let found = schedule.to_string();
    if std::env::var_os("MSD_GPU_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "the schedule is not that of {}", path.display());
}

fn options(block: usize, max_page_bytes: u64) -> Options {
    Options { block, max_page_bytes, alignment: 16, share_planes: false, half_maps: false }
}

#[test]
fn layer_by_layer() {
    let shape = Shape { batch: 1, extent: Extent::plane(32, 32) };
    let schedule = Schedule::training(&Architecture::new(1, 2, 4), shape, &options(1, u64::MAX)).unwrap();
    check("layer_by_layer", &schedule);
}

#[test]
fn blocks_of_three_layers() {
    let shape = Shape { batch: 1, extent: Extent::plane(32, 32) };
    let schedule = Schedule::training(&Architecture::new(1, 2, 7), shape, &options(3, u64::MAX)).unwrap();
    check("blocks_of_three_layers", &schedule);
}

#[test]
fn blocks_over_pages() {
    let shape = Shape { batch: 2, extent: Extent::plane(16, 16) };
    let architecture = Architecture { width: 2, dilations: vec![1, 2], ..Architecture::new(1, 1, 4) };
    let schedule = Schedule::training(&architecture, shape, &options(2, 40_000)).unwrap();
    assert!(schedule.map_pages.len() > 1 && schedule.gradient_pages.len() > 1);
    check("blocks_over_pages", &schedule);
}

/// The steps are those of `blocks_of_three_layers`; gradient maps lie where feature maps were.
#[test]
fn shared_planes() {
    let shape = Shape { batch: 1, extent: Extent::plane(32, 32) };
    let options = Options { share_planes: true, ..options(3, u64::MAX) };
    let schedule = Schedule::training(&Architecture::new(1, 2, 7), shape, &options).unwrap();
    assert!(schedule.gradient_pages.is_empty());
    check("shared_planes", &schedule);
}

#[test]
fn shared_planes_over_pages() {
    let shape = Shape { batch: 2, extent: Extent::plane(16, 16) };
    let architecture = Architecture { width: 2, dilations: vec![1, 2], ..Architecture::new(1, 1, 4) };
    let options = Options { share_planes: true, ..options(2, 40_000) };
    let schedule = Schedule::training(&architecture, shape, &options).unwrap();
    assert!(schedule.map_pages.len() > 1 && schedule.gradient_pages.is_empty());
    check("shared_planes_over_pages", &schedule);
}

/// Of volumes: the same steps over planes without margins, cut over pages.
#[test]
fn volumes_over_pages() {
    let shape = Shape { batch: 1, extent: Extent::new(8, 10, 12) };
    let dilations_z = vec![1, 0];
    let architecture = Architecture { dimensions: 3, dilations_z, ..Architecture::new(1, 2, 5) };
    let options = Options { share_planes: true, ..options(2, 30_000) };
    let schedule = Schedule::training(&architecture, shape, &options).unwrap();
    assert!(schedule.map_pages.len() > 1 && schedule.margin == 0);
    check("volumes_over_pages", &schedule);
}

#[test]
fn forward_only() {
    let shape = Shape { batch: 1, extent: Extent::plane(32, 32) };
    let schedule = Schedule::forward(&Architecture::new(3, 2, 3), shape, &options(2, u64::MAX)).unwrap();
    assert!(!schedule.trains() && schedule.gradient_pages.is_empty());
    check("forward_only", &schedule);
}
