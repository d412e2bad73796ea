//! Projects that denoise: with pairs, with several recordings of the same slices, and with noisy images alone.

use std::path::Path;
use std::time::{Duration, Instant};

use msd_gpu::images::{discover, read_image, write_tiff_f32};
use msd_gpu::network::Model;
use ndarray::Array3;
use serde_json::{Value, json};

use crate::client::{Bench, Server, stroke, until};

const SIZE: usize = 48;
const IMAGES: usize = 6;

/// Noise from -0.5 to 0.5 for a pixel.
fn noise(seed: usize, y: usize, x: usize) -> f32 {
    let mut state = (seed * 1_000_003 + y * 7919 + x * 104_729 + 12_345) as u32;
    for _ in 0..4 {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
    }
    (state % 1000) as f32 / 999.0 - 0.5
}

/// Writes `IMAGES` images of stripes into a folder, with noise of this seed; 0 for none.
fn write(folder: &Path, seed: usize) {
    std::fs::create_dir_all(folder).unwrap();
    for number in 1..=IMAGES {
        let pixel = |(_, y, x): (usize, usize, usize)| {
            let clean = if (x + y * number / 4) / 6 % 2 == 0 { 1.0 } else { 3.0 };
            clean + if seed > 0 { noise(seed * 100 + number, y, x) } else { 0.0 }
        };
        write_tiff_f32(folder.join(format!("s{number}.tif")), &Array3::from_shape_fn((1, SIZE, SIZE), pixel))
            .unwrap();
    }
}

/// Writes a stack of slices, `[z][y][x]`, as NumPy does.
fn write_stack(path: &Path, stack: &Array3<f32>) {
    let (slices, height, width) = stack.dim();
    let header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({slices}, {height}, {width}), }}");
    let header = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(stack.iter().flat_map(|value| value.to_le_bytes()));
    std::fs::write(path, bytes).unwrap();
}

/// A server for a project that denoises, with images of these roles, each with noise of a seed.
fn serve(bench: &Bench, learns_from: &str, roles: &[(&str, usize)]) -> Server {
    let server = bench.serve();
    let told = server.send(
        "PATCH",
        "/api/project",
        json!({ "task": "denoise", "learns_from": learns_from }).to_string().as_bytes(),
    );
    assert_eq!(told.json()["learns_from"], learns_from);
    for (role, seed) in roles {
        write(&bench.path(&format!("data/{role}")), *seed);
        let added =
            server.post("/api/images", &json!({ "path": format!("{role}/*.tif"), "role": role })).json();
        assert_eq!(added["images"].as_array().unwrap().len(), IMAGES);
    }
    server
}

fn start(server: &Server) {
    start_with(server, &json!({ "settings": { "depth": "3", "crop": "32" } }));
}

fn start_with(server: &Server, wish: &Value) {
    let mut start = wish.clone();
    start["action"] = "start".into();
    server.post("/api/training", &start).json();
}

/// Pauses training, and waits until the run has judged its network a last time.
fn pause(server: &Server) {
    server.post("/api/training", &json!({ "action": "pause" })).json();
    // There is none before it was judged for the first time, which takes its time on a busy machine.
    let model =
        || Some(server.get("/api/model")).filter(|answer| answer.status == 200).map(|answer| answer.body);
    let (mut before, mut same) = (model(), 0);
    let end = Instant::now() + Duration::from_secs(60);
    while same < 10 {
        assert!(Instant::now() < end, "the network is not judged");
        std::thread::sleep(Duration::from_millis(100));
        let now = model();
        same = if now.is_some() && now == before { same + 1 } else { 0 };
        before = now;
    }
    assert_eq!(server.get("/api/training").json()["state"], "paused");
}

fn step(status: &Value) -> u64 {
    status["step"].as_u64().unwrap()
}

fn model(bench: &Bench, server: &Server, name: &str) -> Model {
    let file = bench.path(name);
    let answer = server.get("/api/model");
    assert_eq!(answer.status, 200, "{}", answer.text());
    std::fs::write(&file, answer.body).unwrap();
    Model::read(&file).unwrap()
}

fn values(body: &[u8]) -> Vec<u16> {
    body.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// The values of a tile of the network of now, once it is computed.
fn shown(server: &Server, image: &str) -> Vec<u16> {
    server
        .post(
            "/api/view",
            &json!({ "tab": "a", "image": image, "slice": 0, "x": 0, "y": 0, "width": SIZE, "height": SIZE }),
        )
        .json();
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let tile = server.get(&format!("/api/images/{image}/0/result/0/0/0"));
        assert_eq!((tile.status, tile.header("x-width"), tile.header("x-channels")), (200, "48", "1"));
        let numbers = values(&tile.body);
        assert_eq!(numbers.len(), SIZE * SIZE);
        if numbers.iter().all(|number| *number > 0) {
            assert!(tile.header("x-version").parse::<u64>().unwrap() > 0);
            return numbers;
        }
        assert!(Instant::now() < end, "the network is not shown");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs the network over images, and gives the job when it is done.
fn run(server: &Server, wish: &Value) -> Value {
    let name = server.post("/api/jobs", wish).json()["job"].clone();
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let jobs = server.get("/api/jobs").json();
        let job = jobs.as_array().unwrap().iter().find(|job| job["job"] == name).unwrap().clone();
        match job["state"].as_str().unwrap() {
            "done" => return job,
            "failed" | "stopped" => panic!("{job}"),
            _ => assert!(Instant::now() < end, "{job}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Carries out a line that the page shows, on the processor.
#[cfg(unix)]
fn in_a_shell(bench: &Bench, line: &str) {
    let command = bench.command("");
    let program = command.get_program().to_string_lossy().into_owned();
    let line = line.replacen("msd-gpu", &format!("'{program}'"), 1) + " --device cpu";
    let mut shell = std::process::Command::new("sh");
    let done = shell.args(["-c", &line]).current_dir(command.get_current_dir().unwrap()).output().unwrap();
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
}

fn deviation(numbers: &[f32], from: &[f32]) -> f32 {
    let squares = numbers.iter().zip(from).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
    (squares / numbers.len() as f32).sqrt()
}

#[test]
#[cfg(unix)]
fn a_denoiser_is_learnt_from_pairs_applied_and_made_again() {
    let bench = Bench::new();
    let wish = json!({ "depth": "small", "settings": { "crop": "32", "seed": 5 } });
    let server = serve(&bench, "pairs", &[("noisy", 1)]);
    // What is missing is said before anything is started.
    let refused = server.post("/api/training", &json!({ "action": "start" }));
    assert!(refused.status == 400 && refused.error().contains("no clean images"), "{}", refused.text());
    write(&bench.path("clean"), 0);
    for number in 1..=IMAGES {
        let bytes = std::fs::read(bench.path(&format!("clean/s{number}.tif"))).unwrap();
        server.send("PUT", &format!("/api/upload/s{number}.tif?role=clean"), &bytes).json();
    }
    assert!(bench.path("project/images/clean/s6.tif").exists());
    let project = server.get("/api/project").json();
    assert_eq!(
        (&project["task"], &project["images"][0]["role"], &project["images"][6]["role"]),
        (&json!("denoise"), &json!("noisy"), &json!("clean"))
    );

    start_with(&server, &wish);
    until(&server, "learns", |status| step(status) >= 150 && status["score"].is_number());
    shown(&server, "i1");
    pause(&server);
    let status = server.get("/api/training").json();
    assert!(
        status["score"].as_f64().unwrap() > 5.0 && status["score_note"].as_str().unwrap().contains("PSNR"),
        "{status}"
    );
    assert!(status["curve"].as_array().unwrap().len() > 2, "{status}");
    let job = run(&server, &json!({ "kind": "predict", "images": "all" }));
    // Of all images the noisy ones, and no table of classes.
    assert_eq!((job["images"].as_array().unwrap().len(), &job["table"]), (IMAGES, &json!([])));
    let file = bench.path("denoised.tif");
    std::fs::write(&file, server.get("/api/jobs/j1/files/s1.tif").body).unwrap();
    let read = |path: &Path| {
        read_image(&discover(path.to_str().unwrap()).unwrap()[0]).unwrap().into_raw_vec_and_offset().0
    };
    let [denoised, noisy, clean] =
        [&file, &bench.path("data/noisy/s1.tif"), &bench.path("clean/s1.tif")].map(|path| read(path));
    assert!(
        deviation(&denoised, &clean) < 0.8 * deviation(&noisy, &clean),
        "{} {}",
        deviation(&denoised, &clean),
        deviation(&noisy, &clean)
    );
    // Tiles of the job are what is in the file, as those of images.
    let image = &project["images"][0];
    let (lowest, highest) = (image["lowest"].as_f64().unwrap(), image["highest"].as_f64().unwrap());
    let tile = values(&server.get("/api/images/i1/0/jobs/j1/0/0/0").body);
    for (number, value) in tile.iter().zip(&denoised) {
        let wanted = ((f64::from(*value) - lowest) / (highest - lowest)).clamp(0.0, 1.0) * 65535.0;
        assert!((f64::from(*number) - wanted).abs() <= 1.0, "{number} {wanted}");
    }

    // The lines that are shown make the same again.
    let lines = server.get("/api/command").json();
    let line = lines["command"].as_str().unwrap();
    assert!(line.starts_with("msd-gpu train denoise --pairs ") && line.ends_with(" --out again"), "{line}");
    assert_eq!(job["command"], line);
    let known = model(&bench, &server, "model.safetensors");
    in_a_shell(&bench, line);
    assert!(
        Model::read(&bench.path("again")).unwrap().parameters == known.parameters,
        "{line}: {:?}",
        known.provenance
    );
    in_a_shell(&bench, lines["predict"].as_str().unwrap());
    assert_eq!(read(&bench.path("results/s1.tif")), denoised);

    // All is there after an end, and training goes on from where it was.
    assert_eq!(server.end(), 130);
    let server = bench.serve();
    assert_eq!(server.get("/api/project").json()["learns_from"], "pairs");
    assert!(model(&bench, &server, "after.safetensors").parameters == known.parameters);
    assert_eq!(server.get("/api/jobs").json()[0]["state"], "done");
    assert_eq!(values(&server.get("/api/images/i1/0/jobs/j1/0/0/0").body), tile);
    let before = step(&server.get("/api/training").json());
    start_with(&server, &wish);
    let status =
        until(&server, "goes on", |status| status["state"] == "running" && step(status) > before + 10);
    assert!(status["curve"].as_array().unwrap().len() > 2);
    assert!(!bench.path("project/runs/live-2").exists());
    pause(&server);
    // With fewer images a new run begins, from the layers of this one.
    server.send("DELETE", "/api/images/i2", b"").json();
    start_with(&server, &wish);
    until(&server, "begins anew", |status| {
        status["state"] == "running" && step(status) > 10 && step(status) < before
    });
    assert!(bench.path("project/runs/live-2").exists());
    pause(&server);
    let line = server.get("/api/command").json()["command"].as_str().unwrap().to_owned();
    assert!(line.contains(" --init "), "{line}");
}

#[test]
#[cfg(unix)]
fn a_denoiser_is_learnt_from_two_recordings() {
    let bench = Bench::new();
    let server = serve(&bench, "splits", &[("split-1", 1), ("split-2", 2)]);
    start(&server);
    until(&server, "learns", |status| step(status) >= 60 && status["score"].is_number());
    pause(&server);
    // Each slice once, as the mean of what is made of both recordings.
    let job = run(&server, &json!({ "kind": "predict", "images": "all", "format": "npy" }));
    assert_eq!(job["images"], json!(["i1", "i2", "i3", "i4", "i5", "i6"]));
    assert_eq!(server.get("/api/images/i1/0/jobs/j1/0/0/0").status, 200);
    let lines = server.get("/api/command").json();
    let line = lines["command"].as_str().unwrap();
    assert!(line.starts_with("msd-gpu train denoise --splits "), "{line}");
    in_a_shell(&bench, line);
    let known = model(&bench, &server, "model.safetensors");
    assert!(Model::read(&bench.path("again")).unwrap().parameters == known.parameters, "{line}");
    in_a_shell(&bench, lines["predict"].as_str().unwrap());
    let file = bench.path("one.npy");
    std::fs::write(&file, server.get("/api/jobs/j1/files/s3.npy").body).unwrap();
    let read = |path: &Path| read_image(&discover(path.to_str().unwrap()).unwrap()[0]).unwrap();
    assert_eq!(read(&file), read(&bench.path("results/s3.tif")));
    // What it learns from may be changed while it is not trained, and then it begins from nothing.
    let change = br#"{"learns_from":"alone"}"#;
    start(&server);
    assert_eq!(server.send("PATCH", "/api/project", change).status, 409);
    pause(&server);
    server.send("PATCH", "/api/project", change).json();
    start(&server);
    until(&server, "begins anew", |status| status["state"] == "running" && (1..60).contains(&step(status)));
    pause(&server);
    let line = server.get("/api/command").json()["command"].as_str().unwrap().to_owned();
    assert!(line.contains("--alone --images ") && !line.contains("--init"), "{line}");
}

#[test]
#[cfg(unix)]
fn a_denoiser_is_learnt_from_a_noisy_stack_alone() {
    let bench = Bench::new();
    let pixel = |(z, y, x): (usize, usize, usize)| (x / 8 % 2) as f32 + noise(z + 1, y, x);
    write_stack(&bench.path("data/stack.npy"), &Array3::from_shape_fn((6, SIZE, SIZE), pixel));
    let server = serve(&bench, "alone", &[]);
    server.post("/api/images", &json!({ "path": "stack.npy" })).json();
    start(&server);
    until(&server, "learns", |status| step(status) >= 60 && status["score"].is_number());
    shown(&server, "i1");
    pause(&server);
    let job = run(&server, &json!({ "kind": "predict", "images": ["i1"], "format": "ome-zarr" }));
    assert!(job["files"][0].as_str().unwrap().ends_with(".zip"), "{job}");
    for slice in [0, 5] {
        let tile = server.get(&format!("/api/images/i1/{slice}/jobs/j1/0/0/0"));
        assert_eq!((tile.status, values(&tile.body).len()), (200, SIZE * SIZE));
    }
    assert_eq!(server.get("/api/images/i1/6/jobs/j1/0/0/0").status, 404);
    let line = server.get("/api/command").json()["command"].as_str().unwrap().to_owned();
    let known = model(&bench, &server, "model.safetensors");
    in_a_shell(&bench, &line);
    assert!(Model::read(&bench.path("again")).unwrap().parameters == known.parameters, "{line}");
    // The sample is of the same kind.
    assert_eq!(server.post("/api/sample", &json!({})).json()["images"].as_array().unwrap().len(), 6);
}

#[test]
fn what_a_project_that_denoises_has_not_is_refused_with_a_sentence() {
    let bench = Bench::new();
    std::fs::write(bench.path("secret.tif"), b"classified").unwrap();
    let server = serve(&bench, "alone", &[("noisy", 1)]);
    let refuses = |method: &str, path: &str, body: &Value, words: &str| {
        let answer = server.send(method, path, body.to_string().as_bytes());
        assert!((400..500).contains(&answer.status), "{path} {body}: {}", answer.text());
        assert!(answer.error().contains(words), "{path} {body}: {}", answer.text());
    };
    refuses("POST", "/api/journal", &json!({ "tab": "a", "entries": [stroke(0, 9.0)] }), "no labels");
    refuses("POST", "/api/classes", &json!({ "name": "a", "colour": "#000000" }), "no labels");
    refuses("POST", "/api/import/i1", &json!([]), "no labels");
    refuses("POST", "/api/images", &json!({ "path": ".", "stack": true }), "each file is an image");
    refuses("PUT", "/api/upload/a.tif?stack=abcdefgh1", &json!("II*"), "each file is an image");
    refuses("POST", "/api/upload-stack/abcdefgh1", &json!({ "name": "a" }), "each file is an image");
    refuses("POST", "/api/images", &json!({ "path": ".", "stack": true, "role": "clean" }), "no role");
    refuses("POST", "/api/undo", &json!({ "tab": "a" }), "nothing to undo");
    refuses("POST", "/api/least-sure", &json!({}), "no labels");
    assert!(server.get("/api/export/labels").error().contains("no labels"));
    for role in ["", "split-0", "split-10", "../x", "Clean", "noisy/.."] {
        refuses("POST", "/api/images", &json!({ "path": "shapes.tif", "role": role }), "role");
        refuses("PATCH", "/api/images/i1", &json!({ "role": role }), "role");
    }
    refuses("PUT", "/api/upload/a.tif?role=..%2F..%2Fout", &json!("II*"), "role");
    refuses("PUT", "/api/upload/a.tif?role=clean", &json!("II*"), "");
    refuses("PATCH", "/api/images/i99", &json!({ "role": "clean" }), "no such image");
    refuses("PATCH", "/api/images/i1", &json!({}), "nothing to change");
    refuses("PATCH", "/api/project", &json!({ "task": "regress" }), "unknown variant");
    refuses("PATCH", "/api/project", &json!({ "learns_from": "strokes" }), "");
    for (name, value) in [
        ("images", "../secret.tif"),
        ("pairs", "list.csv"),
        ("val_images", "data"),
        ("init", "model"),
        ("splits", "a,b"),
        ("slab", "3"),
        ("folds", "5"),
    ] {
        let start = json!({ "action": "start", "settings": { name: value } });
        refuses("POST", "/api/training", &start, name);
    }
    refuses("POST", "/api/jobs", &json!({ "kind": "predict", "images": "all", "format": "png" }), "PNG");
    refuses("POST", "/api/jobs", &json!({ "kind": "predict", "images": "all" }), "train one first");
    assert_eq!(server.get("/api/images/i1/0/result/9/9/9").status, 404);
    assert_eq!(server.get("/api/images/i1/0/result/4294967295/0/0").status, 404);
    assert_eq!(server.get("/api/training").json()["state"], "idle");
    // Pairs of which none belong together, and recordings that do not fit.
    server.send("PATCH", "/api/project", br#"{"learns_from":"pairs"}"#).json();
    server.post("/api/images", &json!({ "path": "shapes.tif", "role": "clean" })).json();
    refuses("POST", "/api/training", &json!({ "action": "start" }), "the name of a clean one");
    server.send("PATCH", "/api/project", br#"{"learns_from":"splits"}"#).json();
    refuses("POST", "/api/training", &json!({ "action": "start" }), "two recordings");
    for (id, role) in [("i1", "split-1"), ("i2", "split-1"), ("i3", "split-2")] {
        server
            .send("PATCH", &format!("/api/images/{id}"), json!({ "role": role }).to_string().as_bytes())
            .json();
    }
    refuses("POST", "/api/training", &json!({ "action": "start" }), "has 5 images but split-2 has 1");
    // It may still become one that segments, where images have no roles that could be given.
    server.send("PATCH", "/api/project", br#"{"task":"segment"}"#).json();
    refuses("PATCH", "/api/images/i1", &json!({ "role": "clean" }), "denoise only");
    refuses("PATCH", "/api/project", &json!({ "learns_from": "pairs" }), "what is drawn");
    server.post("/api/classes", &json!({ "name": "a", "colour": "#000000" })).json();
    refuses("PATCH", "/api/project", &json!({ "task": "denoise" }), "another project");
}
