//! What is known of results that are there: by `predict --resume`, `predict --verify` and `watch`.

use std::time::SystemTime;

use msd_gpu::images::write_png_grey8;

use crate::support::{Bench, class_of, pattern, segmentation, truncate};

/// Four images, a stack, and two models with other values.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[0, 7]));
    bench.model("n.safetensors", &segmentation(&[0, 9]));
    for name in ["a", "b", "c", "d"] {
        bench.grey(&format!("in/{name}.png"), (16, 16));
    }
    let page = |z: usize| pattern((40, 40)).mapv(|v| (v as usize * (z + 3) % 251) as u16);
    bench.stack("s.tif", &(0..3).map(page).collect::<Vec<_>>(), "");
    bench
}

/// When files in a folder were written.
fn written(bench: &Bench, folder: &str) -> Vec<(String, SystemTime)> {
    let modified = |name: &String| std::fs::metadata(bench.path(&format!("{folder}/{name}"))).unwrap();
    let names = bench.names(folder).into_iter();
    names.map(|name| (name.clone(), modified(&name).modified().unwrap())).collect()
}

/// Those that were written again between two looks.
fn again(before: &[(String, SystemTime)], after: &[(String, SystemTime)]) -> Vec<String> {
    after.iter().filter(|file| !before.contains(file)).map(|(name, _)| name.clone()).collect()
}

#[test]
fn results_that_are_there_and_unchanged_are_not_made_again() {
    let bench = bench();
    let call = "predict --model m.safetensors in --device cpu --out out";
    bench.succeeds(call);
    let mut before = written(&bench, "out");
    assert_eq!(before.len(), 4);
    let mut made_again = |call: &str| {
        let ended = bench.run(call);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let after = written(&bench, "out");
        let names = again(&before, &after);
        before = after;
        names
    };
    let resumed = format!("{call} --resume");
    assert!(made_again(&resumed).is_empty());
    std::fs::remove_file(bench.path("out/b.png")).unwrap();
    assert_eq!(made_again(&resumed), ["b.png"]);
    truncate(&bench.path("out/c.png"), 0.5);
    assert_eq!(made_again(&resumed), ["c.png"]);
    assert_eq!(bench.read_labels("out/c.png").dim(), (16, 16));
    // Of an image that has changed, at the same size too.
    let other = pattern((16, 16)).mapv(|v| 250 - v as u8);
    write_png_grey8(bench.path("in/d.png"), &other).unwrap();
    assert_eq!(made_again(&resumed), ["d.png"]);
    let wanted = other.mapv(|v| [0, 7][class_of(f32::from(v), 2)]);
    assert_eq!(bench.read_labels("out/d.png"), wanted);
    // By other models or with other settings, and without the flag, all is done.
    let all = ["a.png", "b.png", "c.png", "d.png"];
    assert_eq!(made_again(&resumed.replace("m.saf", "n.saf")), all);
    assert!(bench.read_labels("out/d.png").iter().all(|label| [0, 9].contains(label)));
    assert_eq!(made_again(&format!("{resumed} --tta")), all);
    assert_eq!(made_again(call), all);
    assert!(made_again(&resumed).is_empty());
}

#[test]
fn stacks_that_are_there_are_not_made_again_unless_slices_are_missing_in_them() {
    let bench = bench();
    for format in ["tiff", "zarr", "hdf5", "npy"] {
        let out = format!("out-{format}");
        let call = format!(
            "predict --model m.safetensors s.tif --device cpu --format {format} --out {out} --resume"
        );
        bench.succeeds(&call);
        let before = written(&bench, &out);
        let said = bench.run(&call).stderr;
        assert!(said.contains("3 of 3 images have their results"), "{format}: {said}");
        assert_eq!(again(&before, &written(&bench, &out)), [""; 0], "{format}");
    }
    // A slice that cannot be used has no result.
    let mut pages = vec![pattern((40, 40)); 3];
    pages[1][[3, 4]] = f32::NAN;
    bench.float_stack("gaps.tif", &pages);
    let call = "predict --model m.safetensors gaps.tif --device cpu --out gaps --resume --keep-going";
    for _ in 0..2 {
        let ended = bench.run(call);
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        assert!(!ended.stderr.contains("have their results"), "{}", ended.stderr);
    }
}

#[test]
fn what_is_wrong_with_a_result_is_said_and_what_cannot_be_known() {
    let bench = bench();
    let call = "predict --model m.safetensors s.tif --device cpu --out out";
    bench.succeeds(call);
    let verify = format!("{call} --verify");
    let sound = bench.run(&verify);
    assert_eq!((sound.code, sound.stdout.as_str()), (0, ""), "{}", sound.stderr);
    assert!(sound.stderr.contains("all 1 results are there") && !sound.stderr.contains("names"));
    let others = bench.run(&verify.replace("m.saf", "n.saf"));
    assert_eq!(others.code, 1, "{}", others.stderr);
    assert!(
        others.stdout.starts_with("differs: ") && others.stdout.contains("other models"),
        "{}",
        others.stdout
    );
    // Without a record names are all there is.
    let record = bench.path("out/.msd-gpu-results.jsonl");
    let kept = std::fs::read(&record).unwrap();
    std::fs::remove_file(&record).unwrap();
    let unknown = bench.run(&verify);
    assert_eq!(unknown.code, 0, "{}", unknown.stderr);
    assert!(unknown.stderr.contains("only the names were compared"), "{}", unknown.stderr);
    std::fs::write(&record, kept).unwrap();
    truncate(&bench.path("out/s.tif"), 0.5);
    let cut = bench.run(&verify);
    assert_eq!(cut.code, 1, "{}", cut.stderr);
    assert!(
        cut.stdout.contains("bytes of the") && cut.stderr.contains("missing or differ"),
        "{}",
        cut.stdout
    );
    std::fs::remove_file(bench.path("out/s.tif")).unwrap();
    assert!(bench.run(&verify).stdout.starts_with("missing: "));
}

#[test]
fn a_watch_takes_over_results_of_its_own_models_only() {
    let bench = bench();
    bench.succeeds("predict --model m.safetensors in --device cpu --out out");
    let before = written(&bench, "out");
    let watch =
        "watch in --model m.safetensors --out out --device cpu --poll 0.02 --settle 0.1 --until-idle 0.4";
    bench.refuses(&watch.replace("m.saf", "n.saf"), &["--out", "other models or settings", "another folder"]);
    // One that has changed since is done again.
    bench.grey("in/b.png", (12, 12));
    let taken = bench.run(watch);
    assert_eq!(taken.code, 0, "{}", taken.stderr);
    assert!(
        taken.stderr.contains("1 image done") && taken.stderr.contains("3 there before"),
        "{}",
        taken.stderr
    );
    assert!(!taken.stderr.contains("taken over"), "{}", taken.stderr);
    let names = again(&before, &written(&bench, "out"));
    assert!(names.contains(&"b.png".to_owned()) && !names.contains(&"a.png".to_owned()), "{names:?}");
    // What a watch has done is known to a prediction.
    let said = bench.run("predict --model m.safetensors in --device cpu --out out --resume").stderr;
    assert!(said.contains("4 of 4 images have their results"), "{said}");
    // Where nothing is known, that is said once.
    for name in [".msd-gpu-results.jsonl", ".msd-gpu-watch.jsonl"] {
        std::fs::remove_file(bench.path(&format!("out/{name}"))).unwrap();
    }
    let taken = bench.run(&watch.replace("m.saf", "n.saf"));
    assert_eq!(taken.code, 0, "{}", taken.stderr);
    assert_eq!(taken.stderr.matches("are taken over").count(), 1, "{}", taken.stderr);
    assert!(taken.stderr.contains("4 there before (4 of them not known"), "{}", taken.stderr);
}

#[test]
fn a_log_has_a_line_for_a_stack_and_none_for_each_page() {
    let bench = bench();
    let said = bench.run("predict --model m.safetensors s.tif in --device cpu --out out").stderr;
    assert_eq!(said.matches(" -> ").count(), 5, "{said}");
    assert!(said.contains("s.tif -> ") && !said.contains("page"), "{said}");
}
