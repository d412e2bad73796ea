//! What the program says where memory, a disk or a file's size comes to its end: a sentence and exit code 1.

#![cfg(target_os = "linux")]

use std::process::Command;

use crate::support::{Bench, Outcome, regression};

/// Runs the program in a shell that set a limit before with `limit`. `to` is where standard output goes.
fn under(bench: &Bench, limit: &str, arguments: &str, to: &str) -> Outcome {
    let output = Command::new("sh")
        .args(["-c", &format!("{limit} exec '{}' {arguments} > {to}", env!("CARGO_BIN_EXE_msd-gpu"))])
        .current_dir(bench.path("."))
        .env("RAYON_NUM_THREADS", "2")
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Runs the program as [`under`]; it must end with code 1 and one sentence that names all of `names`.
fn fails_under(bench: &Bench, limit: &str, arguments: &str, to: &str, names: &[&str]) {
    let Outcome { code, stderr, .. } = under(bench, limit, arguments, to);
    assert_eq!(code, 1, "{limit} {arguments}: {stderr}");
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: "), "{limit} {arguments}: {stderr}");
    for name in names {
        assert!(last.contains(name), "{limit} {arguments}: '{name}' is not named in: {stderr}");
    }
}

/// Writes an 8-bit grey TIFF of zeros that takes hardly any place on the disk, however large it is.
fn sparse_tiff(bench: &Bench, path: &str, side: u32) {
    const SHORT: u16 = 3;
    const LONG: u16 = 4;
    // Width, height, bits, compression, interpretation, offset, channels, rows and bytes of the only strip.
    let entries = [
        (256, LONG, side),
        (257, LONG, side),
        (258, SHORT, 8),
        (259, SHORT, 1),
        (262, SHORT, 1),
        (273, LONG, 4096),
        (277, SHORT, 1),
        (278, LONG, side),
        (279, LONG, side * side),
    ];
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, value) in entries {
        let fields = [(tag as u16).to_le_bytes(), kind.to_le_bytes()];
        bytes.extend(fields.concat());
        bytes.extend([1_u32.to_le_bytes(), value.to_le_bytes()].concat());
    }
    bench.bytes(path, &bytes);
    let file = std::fs::File::options().write(true).open(bench.path(path)).unwrap();
    file.set_len(4096 + u64::from(side).pow(2)).unwrap();
}

/// Kibibytes of address space that the program starts with, and in which a large image does not fit.
const TIGHT: &str = "ulimit -v 600000;";

#[test]
fn a_limit_of_the_address_space_is_known_before_it_is_reached() {
    let bench = Bench::new();
    let way_out = ["ulimit -v", "raise that limit"];
    let refuses = |arguments: &str, what: &str| {
        fails_under(&bench, TIGHT, arguments, "/dev/null", &[&way_out[..], &[what]].concat());
    };
    refuses("bench --device cpu --size 1024 --depth 200", "the planes of this network and image size");
    refuses("bench --device cpu --size 16384 --depth 3", "the images");

    // The planes of a network for an image that is there itself.
    bench.grey("images/a.png", (1024, 1024));
    let data = "--images images --targets images --device cpu --max-steps 1";
    refuses(&format!("train regress {data} --crop 0 --depth 200 --out run"), "the planes");
    bench.model("wide.safetensors", &regression(1, 100));
    let predict = "predict --model wide.safetensors images --out out --device cpu";
    refuses(&format!("{predict} --tile 30000"), "the outputs of the network");
    assert_eq!(bench.names("out"), [""; 0]);
    // Where nobody says how large tiles are, they are as large as there is memory for.
    let cut = under(&bench, TIGHT, predict, "/dev/null");
    assert!(cut.code == 0 && cut.stderr.contains("tiles"), "{}", cut.stderr);

    // The images themselves, one and all together.
    sparse_tiff(&bench, "large/a.tif", 20_000);
    bench.model("model.safetensors", &regression(1, 1));
    let whole = "predict --model model.safetensors large --out out --device cpu --tile 30000";
    refuses(whole, "the image large/a.tif");
    let data = "--images large --targets large --device cpu";
    refuses(&format!("train regress {data} --depth 3 --out other"), "the largest image of large");
    refuses(&format!("evaluate --model model.safetensors {data}"), "the largest image of large");
}

/// Tiles were chosen by the memory that was free when a prediction was begun; with more of it, it goes on with the same tiles.
#[test]
fn a_prediction_that_was_killed_goes_on_with_its_tiles_whatever_memory_is_free_then() {
    let bench = Bench::new();
    bench.grey("a.png", (1024, 1024));
    bench.model("wide.safetensors", &regression(1, 100));
    let call = "predict --model wide.safetensors a.png --device cpu --out";
    let program = env!("CARGO_BIN_EXE_msd-gpu");
    let mut child = Command::new("sh")
        .args(["-c", &format!("{TIGHT} exec '{program}' {call} out 2>/dev/null")])
        .current_dir(bench.path("."))
        .env("RAYON_NUM_THREADS", "2")
        .spawn()
        .unwrap();
    let journal = bench.path("out/.msd-gpu-predict.part");
    let begun = |text: String| text.lines().any(|line| line == "0 0");
    for _ in 0..3000 {
        if std::fs::read_to_string(&journal).is_ok_and(begun) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(std::fs::read_to_string(&journal).is_ok_and(begun), "{:?}", bench.names("out"));
    let said = bench.run(&format!("{call} out --resume")).stderr;
    let going_on =
        said.lines().find_map(|line| line.split_once("going on: ")).unwrap_or_else(|| panic!("{said}"));
    assert!(!going_on.1.starts_with("0 of") && !going_on.1.contains("of 1 parts"), "{said}");
    bench.succeeds(&format!("{call} whole"));
    let (whole, parts) = (bench.read("whole/a.tif"), bench.read("out/a.tif"));
    let most = (&whole - &parts).mapv(f32::abs).fold(0.0_f32, |most, value| most.max(*value));
    assert!(most <= 1e-5 * whole.fold(0.0, |most: f32, value| most.max(value.abs())), "{most}");
    assert_eq!(bench.names("out"), ["a.tif"]);
}

/// What is left over is too little for some small piece or other, wherever a run is.
#[test]
fn whatever_the_limit_is_a_run_succeeds_or_ends_in_words() {
    let bench = Bench::new();
    bench.grey("images/a.png", (512, 512));
    let train =
        "train regress --images images --targets images --device cpu --crop 0 --depth 5 --max-steps 1";
    // With less the system cannot load the program, whose size differs from build to build.
    let loads = |kibibytes: &usize| {
        under(&bench, &format!("ulimit -v {kibibytes};"), "--version", "/dev/null").code == 0
    };
    let least = (40_000..90_000).step_by(1000).find(loads).unwrap();
    let codes: Vec<i32> = (least..140_000)
        .step_by(5000)
        .map(|kibibytes| {
            let limit = format!("ulimit -v {kibibytes};");
            let Outcome { code, stderr, .. } =
                under(&bench, &limit, &format!("{train} --out run-{kibibytes}"), "/dev/null");
            let last = stderr.lines().last().unwrap_or_default();
            assert!(code == 0 || code == 1 && last.starts_with("error: "), "{limit} {code} {stderr}");
            code
        })
        .collect();
    assert_eq!((codes.first(), codes.last()), (Some(&1), Some(&0)), "{codes:?}");
}

#[test]
fn a_file_that_cannot_be_written_whole_leaves_nothing_and_is_a_failure() {
    let bench = Bench::new();
    bench.grey("images/a.png", (128, 128));
    bench.model("model.safetensors", &regression(1, 1));
    // Files of at most 16 blocks, of 512 or 1024 bytes; beyond, writing fails as on a full disk.
    let limit = "trap '' XFSZ; ulimit -f 16;";
    let predict = "predict --model model.safetensors images --out out --device cpu";
    fails_under(&bench, limit, predict, "/dev/null", &["cannot write", "a.tif", "free space"]);
    assert_eq!(bench.names("out"), [""; 0]);
    let train =
        "train regress --images images --targets images --device cpu --depth 50 --max-steps 1 --out run";
    fails_under(&bench, limit, train, "/dev/null", &["cannot write", "run/", "free space"]);
    let whole = bench.names("run");
    assert!(whole.iter().all(|name| !name.contains("part") && !name.contains("lock")), "{whole:?}");

    fails_under(&bench, "", "inspect model.safetensors", "/dev/full", &["standard output", "free space"]);
}

/// Of a large slice there are its stored numbers and some rows as float64, not all of it.
#[test]
fn looking_at_a_stack_and_converting_it_take_little_more_than_the_stored_numbers_of_a_slice() {
    let bench = Bench::new();
    // 100 MB, which take 800 MB as float64.
    sparse_tiff(&bench, "large/a.tif", 10_000);
    for arguments in
        ["inspect large/a.tif", "convert large/a.tif --out out.npy", "convert large/a.tif --out out.ome.zarr"]
    {
        let Outcome { code, stderr, .. } = under(&bench, "ulimit -v 880000;", arguments, "/dev/null");
        assert_eq!(code, 0, "{arguments}: {stderr}");
    }
    assert!(bench.path("out.npy").metadata().unwrap().len() > 100_000_000);
}

/// Chunks that were never written need no files.
#[test]
fn blocks_that_are_kept_of_a_file_are_part_of_the_memory_that_is_announced() {
    let bench = Bench::new();
    bench.model("model.safetensors", &regression(1, 1));
    let array = r#"{"zarr_format": 2, "shape": [64, 512, 512], "chunks": [64, 64, 64], "dtype": "<u2",
        "compressor": null, "fill_value": 7, "order": "C", "filters": null}"#;
    bench.bytes("thick.zarr/.zarray", array.as_bytes());
    let predict = "predict --model model.safetensors thick.zarr --slices 0..3 --device cpu --out";
    let Outcome { code, stderr: said, .. } = bench.run(&format!("{predict} usual"));
    assert_eq!(code, 0, "{said}");
    // All blocks of a slice take 32 MiB, and a quarter of that is there for the next ones.
    assert!(said.contains("for blocks of the file") && !said.contains("each block is unpacked"), "{said}");
    let Outcome { code, stderr: said, .. } = bench.run(&format!("{predict} little --memory 100MB"));
    assert_eq!(code, 0, "{said}");
    let (first, _) = said.split_once("thick.zarr -> ").unwrap_or_else(|| panic!("{said}"));
    assert!(first.contains("for blocks of the file") && first.contains("touches 32.0 MiB"), "{said}");
    for slice in 0..3 {
        let [usual, little] =
            ["usual", "little"].map(|out| bench.read_page(&format!("{out}/thick.ome.zarr"), slice));
        assert_eq!(usual, little);
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_in_words_and_nothing_waits_for_it() {
    let bench = Bench::new();
    bench.model("model.safetensors", &regression(1, 1));
    bench.grey("a.png", (8, 8));
    assert!(Command::new("mkfifo").arg(bench.path("pipe.tif")).status().unwrap().success());
    let predict = "predict --model model.safetensors pipe.tif --out out --device cpu";
    for arguments in ["inspect pipe.tif", "convert pipe.tif --out a.npy", predict] {
        let Outcome { code, stderr, .. } = bench.run(arguments);
        assert!(code != 0 && stderr.contains("is a pipe, a socket or a device"), "{arguments}: {stderr}");
    }
}
