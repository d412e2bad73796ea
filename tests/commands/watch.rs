//! `msd-gpu watch`: images that another program writes meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use msd_gpu::images::{write_png_grey8, write_png_rgb8};
use msd_gpu::network::Model;
use ndarray::{Array2, Array3};
use serde_json::Value;

use crate::support::{Bench, class_of, pattern, regression, segmentation};

/// A file must rest for less long than usual, so that the tests are quick.
const QUICK: &str = "--device cpu --json --poll 0.02 --settle 0.2 --patience 1";
const SIDE: usize = 16;

/// A watch that runs while the test goes on; it is ended with the test.
struct Running {
    child: Child,
    output: PathBuf,
    messages: PathBuf,
}

impl Running {
    /// Starts a watch whose output goes to a file called `name`.
    fn start(bench: &Bench, name: &str, arguments: &str) -> Self {
        let (output, messages) = (bench.path(&format!("{name}.out")), bench.path(&format!("{name}.err")));
        let child = Command::new(assert_cmd::cargo::cargo_bin("msd-gpu"))
            .args(arguments.split_whitespace())
            .current_dir(bench.path("."))
            .env_remove("RUST_LOG")
            .env("MSD_GPU_CACHE", bench.path(".cache"))
            .env("CI", "true")
            .stdin(Stdio::null())
            .stdout(File::create(&output).unwrap())
            .stderr(File::create(&messages).unwrap())
            .spawn()
            .unwrap();
        Self { child, output, messages }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.messages).unwrap()
    }

    /// What it has printed so far.
    fn lines(&self) -> Vec<Value> {
        lines(&std::fs::read_to_string(&self.output).unwrap())
    }

    /// Waits for something to come true, far longer than it takes.
    fn wait_until(&self, what: &str, is_true: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_true(self) {
            assert!(Instant::now() < deadline, "{what}: {:?}\n{}", self.lines(), self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for the end; gives the exit code.
    fn ended(&mut self) -> i32 {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "no end: {}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The whole lines of JSON.
fn lines(text: &str) -> Vec<Value> {
    let end = text.rfind('\n').map_or(0, |end| end + 1);
    text[..end].lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The images of which a line has something, in order; for those in folders their file names.
fn images(lines: &[Value], what: impl Fn(&Value) -> bool) -> Vec<String> {
    let name = |line: &Value| line["image"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    lines.iter().filter(|line| what(line)).map(name).collect()
}

fn is_computed(line: &Value) -> bool {
    line["latency_seconds"].is_number()
}

fn is_done(line: &Value) -> bool {
    line["results"].is_array()
}

fn is_failed(line: &Value) -> bool {
    line["error"].is_string()
}

fn is_passed_over(line: &Value) -> bool {
    line["passed_over"] == true
}

/// An image that differs from those of other numbers.
fn content(number: usize) -> Array2<f32> {
    pattern((SIDE, SIDE)).mapv(|pixel| (pixel + 7.0 * number as f32) % 251.0)
}

fn labels(number: usize) -> Array2<i64> {
    content(number).mapv(|pixel| [0, 128, 255][class_of(pixel, 3)])
}

/// A folder with a model and an empty folder to watch.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[0, 128, 255]));
    std::fs::create_dir(bench.path("in")).unwrap();
    bench
}

/// Writes image `number` as a PNG file.
fn write(bench: &Bench, path: &str, number: usize) {
    write_png_grey8(bench.path(path), &content(number).mapv(|pixel| pixel as u8)).unwrap();
}

/// The bytes of image `number` as a PNG file.
fn png(bench: &Bench, number: usize) -> Vec<u8> {
    write(bench, "made.png", number);
    std::fs::read(bench.path("made.png")).unwrap()
}

/// How an image comes into the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    Renamed,
    AtOnce,
    /// In pieces, with pauses that are longer than a file is given to settle.
    Slow,
    /// Its end never comes.
    Truncated,
    /// A text with the name of an image.
    Text,
    /// Of three colours, where the model takes grey.
    Coloured,
}

impl Arrival {
    fn of(number: usize) -> Self {
        match number % 10 {
            0 => Arrival::Slow,
            3 => Arrival::Truncated,
            5 => Arrival::Text,
            7 => Arrival::Coloured,
            1 | 4 => Arrival::AtOnce,
            _ => Arrival::Renamed,
        }
    }

    fn is_good(self) -> bool {
        matches!(self, Arrival::Renamed | Arrival::AtOnce | Arrival::Slow)
    }
}

/// What a writer does, and when.
enum Act {
    Append(String, Vec<u8>),
    Rename(String, String),
    /// The image is complete.
    Complete(String),
}

/// All that is written of `count` images, one each `pace`.
fn story(bench: &Bench, count: usize, pace: Duration) -> Vec<(Duration, Act)> {
    let mut acts = Vec::new();
    for number in 0..count {
        let name = format!("image_{number}.png");
        let begin = pace * number as u32;
        let whole = png(bench, number);
        match Arrival::of(number) {
            Arrival::Renamed => {
                acts.push((begin, Act::Append(format!("{name}.tmp"), whole)));
                acts.push((begin, Act::Rename(format!("{name}.tmp"), name.clone())));
                acts.push((begin, Act::Complete(name)));
            }
            Arrival::AtOnce => {
                acts.push((begin, Act::Append(name.clone(), whole)));
                acts.push((begin, Act::Complete(name)));
            }
            Arrival::Slow => {
                const PIECES: usize = 4;
                let mut when = begin;
                for piece in whole.chunks(whole.len().div_ceil(PIECES)) {
                    when += Duration::from_millis(350);
                    acts.push((when, Act::Append(name.clone(), piece.to_vec())));
                }
                acts.push((when, Act::Complete(name)));
            }
            Arrival::Truncated => {
                let cut = whole.len() * 3 / 5;
                acts.push((begin, Act::Append(name, whole[..cut].to_vec())));
            }
            Arrival::Text => acts.push((begin, Act::Append(name, b"no image at all\n".to_vec()))),
            Arrival::Coloured => {
                let picture = Array3::from_shape_fn((SIDE, SIDE, 3), |(y, x, c)| (y * 3 + x + 50 * c) as u8);
                write_png_rgb8(bench.path("made.png"), &picture).unwrap();
                acts.push((begin, Act::Append(name, std::fs::read(bench.path("made.png")).unwrap())));
            }
        }
    }
    // What is hidden or temporary is no image, however long it stays.
    acts.push((Duration::ZERO, Act::Append(".hidden.png".into(), b"x".to_vec())));
    acts.push((Duration::ZERO, Act::Append("unfinished.png.part".into(), b"x".to_vec())));
    acts.sort_by_key(|(when, _)| *when);
    acts
}

/// Writes all of that into `folder`; gives when each image was complete.
fn tell(folder: &Path, acts: Vec<(Duration, Act)>) -> BTreeMap<String, Duration> {
    let begin = Instant::now();
    let mut complete = BTreeMap::new();
    for (when, act) in acts {
        std::thread::sleep(when.saturating_sub(begin.elapsed()));
        match act {
            Act::Append(name, bytes) => {
                let file = File::options().create(true).append(true).open(folder.join(name));
                file.unwrap().write_all(&bytes).unwrap();
            }
            Act::Rename(from, to) => std::fs::rename(folder.join(from), folder.join(to)).unwrap(),
            Act::Complete(name) => {
                complete.insert(name, begin.elapsed());
            }
        }
    }
    complete
}

/// The whole story: slow, truncated, renamed and wrong files, and a watch that is killed twice.
#[test]
fn images_of_a_busy_writer_are_done_once_in_order_and_none_is_lost_by_kills() {
    const COUNT: usize = 300;
    let bench = bench();
    let acts = story(&bench, COUNT, Duration::from_millis(25));
    // More patience than the slowest writer needs on a busy machine.
    let watch =
        format!("watch in --model m.safetensors --out out {}", QUICK.replace("patience 1", "patience 3"));
    let folder = bench.path("in");
    let mut running = Running::start(&bench, "run0", &watch);
    let writer = std::thread::spawn(move || tell(&folder, acts));
    let mut said = Vec::new();
    for (number, next) in ["run1", "run2"].iter().enumerate() {
        running.wait_until("a share of the images", |running| {
            images(&running.lines(), is_computed).len() > 40 && !writer.is_finished()
        });
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        said.push(running.lines());
        // Some images come while nobody watches.
        std::thread::sleep(Duration::from_millis(300));
        let end = if number == 1 { " --until-idle 2.5" } else { "" };
        running = Running::start(&bench, next, &format!("{watch}{end}"));
    }
    let complete = writer.join().unwrap();
    assert_eq!(running.ended(), 1, "{}", running.said());
    said.push(running.lines());

    // Each good one was computed once, and told at least once: of the one that was being told when a kill came, the next watch
    // tells that its result is there.
    let all: Vec<Value> = said.iter().flatten().cloned().collect();
    let computed = images(&all, is_computed);
    let unique: BTreeSet<_> = computed.iter().cloned().collect();
    assert_eq!(computed.len(), unique.len(), "{computed:?}");
    let good: BTreeSet<_> = (0..COUNT).filter(|number| Arrival::of(*number).is_good()).collect();
    let told: BTreeSet<_> = images(&all, is_done).into_iter().collect();
    assert_eq!(told, good.iter().map(|number| format!("image_{number}.png")).collect());
    assert!(told.len() - unique.len() <= 2, "{} of {} were computed", unique.len(), told.len());
    // In the order in which they were complete, as far as looking each 20 ms tells.
    for (place, early) in computed.iter().enumerate() {
        for late in &computed[place + 1..] {
            let (early_at, late_at) = (complete[early], complete[late]);
            assert!(
                early_at <= late_at + Duration::from_millis(400),
                "{early}, complete at {early_at:?}, was done before {late}, complete at {late_at:?}"
            );
        }
    }
    // The results are right, and there is nothing else.
    let mut names: Vec<String> = good.iter().map(|number| format!("image_{number}.png")).collect();
    names.push(".msd-gpu-watch.jsonl".into());
    names.sort();
    assert_eq!(bench.names("out"), names);
    for number in good.iter().filter(|number| *number % 7 == 0 || *number % 10 == 0) {
        assert_eq!(bench.read_labels(&format!("out/image_{number}.png")), labels(*number), "{number}");
    }
    // The bad ones are named, with what is wrong with them, and no other.
    let failed: BTreeSet<_> = images(said.last().unwrap(), is_failed).into_iter().collect();
    let bad = (0..COUNT).filter(|number| !Arrival::of(*number).is_good());
    assert_eq!(failed, bad.map(|number| format!("image_{number}.png")).collect());
    assert!(images(&all, is_failed).iter().all(|name| !unique.contains(name)));
    let text = running.said();
    assert!(text.contains("image_5.png: is not a PNG or TIFF image"), "{text}");
    assert!(text.contains("image_7.png") && text.contains("3 channels"), "{text}");
    let summary = text.lines().find(|line| line.contains("images done (latency p50")).unwrap();
    assert!(summary.contains("90 could not be used"), "{summary}");
    // Nothing is left to do.
    let outcome = bench.run(&format!("{watch} --until-idle 0.3"));
    assert!(images(&lines(&outcome.stdout), is_done).is_empty(), "{}", outcome.stdout);
}

#[test]
fn a_file_that_is_completed_or_written_again_is_done_then() {
    let bench = bench();
    let watch = format!("watch in --model m.safetensors --out out {QUICK}");
    let whole = png(&bench, 1);
    bench.bytes("in/a.png", &whole[..40]);
    let mut running = Running::start(&bench, "run", &watch);
    running.wait_until("a.png is given up", |running| images(&running.lines(), is_failed) == ["a.png"]);
    std::fs::write(bench.path("in/a.png"), &whole).unwrap();
    running.wait_until("a.png is done", |running| images(&running.lines(), is_done) == ["a.png"]);
    assert_eq!(bench.read_labels("out/a.png"), labels(1));
    write(&bench, "in/a.png", 2);
    running.wait_until("a.png is done again", |running| images(&running.lines(), is_done).len() == 2);
    assert_eq!(bench.read_labels("out/a.png"), labels(2));
    // Another image of that name has no place for its result.
    bench.floats("in/a.tif", &content(3).insert_axis(ndarray::Axis(0)));
    running.wait_until("a.tif is given up", |running| images(&running.lines(), is_failed).len() == 2);
    assert!(running.said().contains("a.tif and a.png would both be written to a.png"), "{}", running.said());
    running.child.kill().unwrap();
    running.ended();
    // While nobody watches, too; and a result that was taken away is made again.
    write(&bench, "in/a.png", 4);
    std::fs::remove_file(bench.path("in/a.tif")).unwrap();
    write(&bench, "in/b.png", 5);
    bench.succeeds(&format!("{watch} --count 2"));
    assert_eq!(bench.read_labels("out/a.png"), labels(4));
    std::fs::remove_file(bench.path("out/b.png")).unwrap();
    let again = lines(&bench.succeeds(&format!("{watch} --until-idle 0.3")));
    assert_eq!(images(&again, is_done), ["b.png"]);
    assert_eq!(bench.read_labels("out/b.png"), labels(5));
}

#[test]
fn the_newest_or_each_third_is_done_where_that_is_wanted() {
    let bench = bench();
    for number in 0..7 {
        write(&bench, &format!("in/z{number}.png"), number);
        // By the time of writing, not by name.
        std::thread::sleep(Duration::from_millis(10));
    }
    write(&bench, "in/a.png", 7);
    let run = |out: &str, flags: &str| {
        let watch = format!("watch in --model m.safetensors --out {out} {QUICK} --until-idle 0.3 {flags}");
        lines(&bench.succeeds(&watch))
    };
    let said = run("latest", "--latest");
    assert_eq!(images(&said, is_done), ["a.png"]);
    let names = ["z0.png", "z1.png", "z2.png", "z3.png", "z4.png", "z5.png", "z6.png"];
    assert_eq!(images(&said, is_passed_over), names);
    assert_eq!(bench.names("latest"), [".msd-gpu-watch.jsonl", "a.png"]);
    assert_eq!(images(&run("every", "--every 3"), is_done), ["z0.png", "z3.png", "z6.png"]);
    // What was passed over stays so, and counts.
    write(&bench, "in/b.png", 8);
    assert_eq!(images(&run("latest", ""), is_done), ["b.png"]);
    assert!(run("latest", "").is_empty());
    assert!(run("every", "--every 3").iter().all(|line| !is_done(line)));
    write(&bench, "in/c.png", 9);
    assert_eq!(images(&run("every", "--every 3"), is_done), ["c.png"]);
    bench.refuses(
        "watch in --model m.safetensors --out every --device cpu --overlay",
        &["--out", "other models or settings"],
    );
    bench.refuses("watch in --model m.safetensors --out in --device cpu", &["--out is in", "another folder"]);
    bench.refuses("watch no --model m.safetensors --out out --device cpu", &["no such folder"]);
}

#[cfg(unix)]
#[test]
fn a_command_is_run_once_for_each_result_whatever_files_are_called() {
    use std::os::unix::fs::PermissionsExt;
    let bench = bench();
    let script = "#!/bin/sh\necho said by the script\nprintf '%s|' \"$@\" >> log\n\
                  echo \"$MSD_GPU_IMAGE $MSD_GPU_RESULT\" >> log\ncase $2 in *bad*) exit 3;; esac\n";
    bench.bytes("each.sh", script.as_bytes());
    let path = bench.path("each.sh");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let name = "a $(touch evil); touch evil 'x.png";
    write(&bench, &format!("in/{name}"), 1);
    std::thread::sleep(Duration::from_millis(10));
    write(&bench, "in/bad.png", 2);
    std::thread::sleep(Duration::from_millis(10));
    write(&bench, "in/c.png", 3);
    let mut command = assert_cmd::Command::cargo_bin("msd-gpu").unwrap();
    command.current_dir(bench.path(".")).env("CI", "true");
    command.args("watch in --model m.safetensors --out out --until-idle 0.3".split(' '));
    let output = command.args(QUICK.split(' ')).args(["--exec", "./each.sh -v"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("./each.sh ended with exit status: 3 for in/bad.png"), "{said}");
    // What the command prints is not among the lines of JSON.
    assert_eq!(images(&lines(&String::from_utf8(output.stdout).unwrap()), is_done).len(), 3);
    assert!(said.contains("said by the script"), "{said}");
    let wanted: String = [name, "bad.png", "c.png"]
        .map(|name| format!("-v|in/{name}|out/{name}|in/{name} out/{name}\n"))
        .concat();
    assert_eq!(std::fs::read_to_string(bench.path("log")).unwrap(), wanted);
    assert!(!bench.names(".").contains(&"evil".to_owned()));
    // Nothing is run again.
    bench.succeeds(&format!(
        "watch in --model m.safetensors --out out {QUICK} --until-idle 0.3 --exec ./each.sh"
    ));
    assert_eq!(std::fs::read_to_string(bench.path("log")).unwrap(), wanted);
    bench.refuses(
        &format!("watch in --model m.safetensors --out other {QUICK} --exec ./no.sh"),
        &["--exec is './no.sh'", "no program"],
    );
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_watch_in_good_order_and_another_goes_on() {
    let bench = bench();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        write(&bench, &format!("in/{signal}.png"), 1);
        bench.bytes(&format!("in/{signal}_cut.png"), &png(&bench, 2)[..40]);
        let watch = format!("watch in --model m.safetensors --out out {QUICK} --patience 60");
        let watch = watch.replace("--patience 1 ", "");
        let mut running = Running::start(&bench, signal, &watch);
        running.wait_until("an image", |running| images(&running.lines(), is_done).len() == 1);
        assert_eq!(images(&running.lines(), is_done), [format!("{signal}.png")]);
        let line = &running.lines()[0];
        for name in ["latency_seconds", "latency_p50_seconds", "latency_p95_seconds"] {
            let seconds = line[name].as_f64().unwrap();
            // It was to rest for so long.
            assert!((0.2..30.0).contains(&seconds), "{name}: {line}");
        }
        assert_eq!(line["results"][0], format!("out/{signal}.png"));
        let kill = Command::new("kill").args([format!("-{signal}"), running.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        assert_eq!(running.ended(), code, "{}", running.said());
        let said = running.said();
        assert!(said.contains("stopping once the image in progress is done"), "{said}");
        assert!(said.contains("1 image done (latency p50"), "{said}");
        // What could not be read so far is named, though it might still have been written.
        assert!(said.contains(&format!("{signal}_cut.png")) && said.contains("could not be used"), "{said}");
    }
    assert_eq!(bench.names("out"), [".msd-gpu-watch.jsonl", "INT.png", "TERM.png"]);
}

/// The description of a Zarr array of version 2 with these slices, one in a chunk.
fn zarr_v2(slices: usize) -> String {
    format!(
        r#"{{"zarr_format": 2, "shape": [{slices}, {SIDE}, {SIDE}], "chunks": [1, {SIDE}, {SIDE}], "dtype": "|u1",
            "compressor": null, "fill_value": 0, "order": "C", "filters": null}}"#
    )
}

#[test]
fn slices_of_a_zarr_array_that_becomes_longer_are_done_as_they_come() {
    let bench = bench();
    let watch = format!("watch in/scan.zarr --model m.safetensors --out out {QUICK}");
    let chunk = |number: usize, bytes: usize| {
        let pixels: Vec<u8> = content(number).iter().map(|pixel| *pixel as u8).collect();
        std::fs::write(bench.path(&format!("in/scan.zarr/{number}.0.0")), &pixels[..bytes]).unwrap();
    };
    let describe = |slices: usize| bench.bytes("in/scan.zarr/.zarray", zarr_v2(slices).as_bytes());
    // It is waited for before it is there.
    let mut running = Running::start(&bench, "run", &watch);
    std::thread::sleep(Duration::from_millis(100));
    for number in 0..6 {
        describe(number + 1);
        chunk(number, SIDE * SIDE);
        let count = number + 1;
        running.wait_until("the slices", |running| images(&running.lines(), is_done).len() == count);
    }
    let slices = |numbers: std::ops::Range<usize>| numbers.map(|n| format!("scan.zarr slice {n}"));
    assert_eq!(images(&running.lines(), is_computed), slices(0..6).collect::<Vec<_>>());
    // The length comes before the numbers, of which only a part is there when the watch is killed.
    describe(9);
    chunk(6, SIDE);
    std::thread::sleep(Duration::from_millis(500));
    running.child.kill().unwrap();
    running.ended();
    let mut running = Running::start(&bench, "again", &watch);
    std::thread::sleep(Duration::from_millis(400));
    assert!(running.lines().is_empty(), "{:?}", running.lines());
    for number in 6..9 {
        chunk(number, SIDE * SIDE);
    }
    running.wait_until("the rest", |running| images(&running.lines(), is_done).len() == 3);
    assert_eq!(images(&running.lines(), is_computed), slices(6..9).collect::<Vec<_>>());
    running.child.kill().unwrap();
    running.ended();
    for number in 0..9 {
        assert_eq!(bench.read_labels(&format!("out/scan_p{number:04}.png")), labels(number), "{number}");
    }
}

/// A model of slabs takes a slice once those beside it are there, and the last one when no more come.
#[test]
fn slices_are_seen_with_their_neighbours_once_these_are_there() {
    const COUNT: usize = 5;
    let bench = bench();
    bench.model("slab.safetensors", &Model { slab: 3, ..regression(3, 1) });
    let watch = format!("watch in/scan.zarr --model slab.safetensors --out out {QUICK} --until-idle 5");
    let mut running = Running::start(&bench, "run", &watch);
    for number in 0..COUNT {
        bench.bytes("in/scan.zarr/.zarray", zarr_v2(number + 1).as_bytes());
        let pixels: Vec<u8> = content(number).iter().map(|pixel| *pixel as u8).collect();
        std::fs::write(bench.path(&format!("in/scan.zarr/{number}.0.0")), pixels).unwrap();
        running.wait_until("those before", |running| images(&running.lines(), is_done).len() == number);
    }
    assert_eq!(running.ended(), 0, "{}", running.said());
    let wanted: Vec<_> = (0..COUNT).map(|number| format!("scan.zarr slice {number}")).collect();
    assert_eq!(images(&running.lines(), is_computed), wanted, "{}", running.said());
    bench.succeeds("predict --model slab.safetensors in/scan.zarr --device cpu --pages --out whole");
    for number in 0..COUNT {
        let name = format!("scan_p{number:04}.tif");
        assert_eq!(bench.read(&format!("out/{name}")), bench.read(&format!("whole/{name}")), "{number}");
    }
    // A stack that comes as a whole is done as a whole; an image by itself has no neighbours.
    let pages: Vec<_> = (0..4).map(|number| content(number).mapv(|pixel| pixel as u16)).collect();
    bench.stack("stacks/s.tif", &pages, "");
    write(&bench, "stacks/one.png", 1);
    let outcome =
        bench.run(&format!("watch stacks --model slab.safetensors --out of-stacks {QUICK} --until-idle 1"));
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("one.png is a single slice"), "{}", outcome.stderr);
    bench.succeeds("predict --model slab.safetensors stacks/s.tif --device cpu --out stack");
    for page in 0..4 {
        let of = |folder: &str| bench.read_page(&format!("{folder}/s.tif"), page);
        assert_eq!(of("of-stacks"), of("stack"), "{page}");
    }
}

#[test]
fn slices_of_a_zarr_array_that_is_filled_are_done_once_they_are_stored() {
    let bench = bench();
    let v3 = format!(
        r#"{{"zarr_format": 3, "node_type": "array", "shape": [200, {SIDE}, {SIDE}], "data_type": "uint8",
            "chunk_grid": {{"name": "regular", "configuration": {{"chunk_shape": [1, {SIDE}, 8]}}}},
            "chunk_key_encoding": {{"name": "default"}}, "codecs": [{{"name": "bytes"}}], "fill_value": 0}}"#
    );
    bench.bytes("in/scan.zarr/zarr.json", v3.as_bytes());
    let half = |number: usize, half: usize| {
        let pixels = content(number);
        let columns = 8 * half..8 * half + 8;
        let bytes: Vec<u8> =
            pixels.slice(ndarray::s![.., columns]).iter().map(|pixel| *pixel as u8).collect();
        bench.bytes(&format!("in/scan.zarr/c/{number}/0/{half}"), &bytes);
    };
    let watch =
        "watch in/scan.zarr --model m.safetensors --out out --device cpu --json --poll 0.02 --settle 0.2";
    let mut running = Running::start(&bench, "run", &format!("{watch} --patience 3"));
    for number in 0..3 {
        half(number, 0);
        std::thread::sleep(Duration::from_millis(300));
        // Half of a slice is none.
        assert_eq!(images(&running.lines(), is_done).len(), number);
        half(number, 1);
        running.wait_until("a slice", |running| images(&running.lines(), is_done).len() == number + 1);
    }
    // Slices that are all zeros are not stored: it takes patience to know.
    (0..2).for_each(|side| half(4, side));
    running.wait_until("the last", |running| images(&running.lines(), is_done).len() == 5);
    running.child.kill().unwrap();
    running.ended();
    assert_eq!(images(&running.lines(), is_done)[3..], ["scan.zarr slice 4", "scan.zarr slice 3"]);
    assert!(bench.read_labels("out/scan_p0003.png").iter().all(|label| *label == 0));
    for number in [0, 1, 2, 4] {
        assert_eq!(bench.read_labels(&format!("out/scan_p{number:04}.png")), labels(number), "{number}");
    }
}

/// `MSD_GPU_PYTHON` names a Python with h5py.
#[test]
#[ignore = "needs Python with h5py; tests/run.sh runs it"]
fn slices_of_a_growing_hdf5_dataset_are_done_as_they_come() {
    let bench = bench();
    let python = std::env::var("MSD_GPU_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/growing_hdf5.py");
    // With and without the mode in which one program writes and others read; with thick chunks; with its whole length at once.
    for (kind, count) in [("swmr", 20), ("plain", 12), ("thick", 20), ("filled", 12)] {
        let file = format!("in/{kind}.h5");
        let arguments =
            format!("watch {file}:/entry/data --model m.safetensors --out {kind} {QUICK} --count {count}");
        let mut running = Running::start(&bench, kind, &arguments);
        let written = Command::new(&python)
            .arg(&script)
            .args([bench.path(&file).to_str().unwrap(), kind, &count.to_string(), &SIDE.to_string()])
            .status()
            .unwrap_or_else(|error| panic!("{python}: {error}"));
        assert!(written.success());
        assert_eq!(running.ended(), 0, "{}", running.said());
        let names: Vec<_> = (0..count).map(|number| format!("data slice {number}")).collect();
        assert_eq!(images(&running.lines(), is_computed), names, "{}", running.said());
        for number in 0..count {
            // As the script has it.
            let wanted = Array2::from_shape_fn((SIDE, SIDE), |(y, x)| (37 * y + 101 * x + 7 * number) % 251);
            let wanted = wanted.mapv(|pixel| [0, 128, 255][class_of(pixel as f32, 3)]);
            assert_eq!(
                bench.read_labels(&format!("{kind}/{kind}_p{number:04}.png")),
                wanted,
                "{kind} {number}"
            );
        }
    }
}
