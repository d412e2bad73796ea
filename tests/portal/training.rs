//! Training in a server that is killed, and asked for many tiles meanwhile.

use std::time::{Duration, Instant};

use msd_gpu::network::Model;
use serde_json::{Value, json};

use crate::client::{Bench, Server, raw, request, until};

/// Together with those while strokes come, fifty.
const KILLS: u64 = 25;
const CLIENTS: usize = 50;

/// Starts training of a small network, or goes on with it.
fn start(server: &Server) {
    let settings = json!({ "depth": "3", "crop": "64", "stem": "none" });
    let start = json!({ "action": "start", "depth": "auto", "settings": settings });
    server.post("/api/training", &start).json();
}

fn step(status: &Value) -> u64 {
    status["step"].as_u64().unwrap()
}

fn model(bench: &Bench, server: &Server, name: &str) -> Model {
    let file = bench.path(name);
    std::fs::write(&file, server.get("/api/model").body).unwrap();
    Model::read(&file).unwrap()
}

#[test]
fn training_goes_on_after_kills_and_a_model_is_made_again_from_the_journal() {
    let bench = Bench::new();
    let server = bench.serve_with_image();
    for (class, y) in [(0, 20.0), (1, 120.0)] {
        assert_eq!(server.stroke("a", class, y).status, 200);
    }
    start(&server);
    until(&server, "learns", |status| step(status) >= 60 && status["model"] == true);
    let first = model(&bench, &server, "first.safetensors");
    drop(server);
    for round in 0..KILLS {
        let mut server = bench.serve();
        start(&server);
        let status = until(&server, "goes on", |status| status["state"] == "running" && step(status) > 0);
        assert!(status["journal_seq"].as_u64().unwrap() >= 4 + round, "{status}");
        assert_eq!(server.stroke("a", (round % 2) as u8, 30.0 + 9.0 * round as f64).status, 200);
        std::thread::sleep(Duration::from_millis(37 * round % 90));
        server.kill();
    }
    let server = bench.serve();
    start(&server);
    let entries = 4 + KILLS;
    let seen = until(&server, "goes on", |status| {
        status["journal_seq"].as_u64() == Some(entries) && status["state"] == "running" && step(status) > 0
    });
    until(&server, "shows", |status| step(status) > step(&seen) + 60);
    let last = model(&bench, &server, "last.safetensors");
    let command = server.get("/api/command").json()["command"].as_str().unwrap().to_owned();
    assert!(
        command.starts_with("msd-gpu train --project ") && command.ends_with(" --out again"),
        "{command}"
    );
    assert!(command.contains(" --steps "), "{command}");
    // While the server goes on.
    for (name, known) in [("first", &first), ("last", &last)] {
        let hash = known.provenance["journal"].rsplit(' ').next().unwrap();
        let command = bench.command("");
        let mut again = std::process::Command::new(command.get_program());
        let steps = known.provenance["steps"].as_str();
        again.args(["train", "--project", "project", "--journal", hash, "--steps", steps]);
        again.args(["--out", name, "--device", "cpu"]);
        let done = again.current_dir(command.get_current_dir().unwrap()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let made = Model::read(&bench.path(name)).unwrap();
        assert!(made.parameters == known.parameters, "{name}: {:?}", known.provenance);
    }
}

#[test]
fn many_pages_read_tiles_while_it_trains() {
    let bench = Bench::new();
    let server = bench.serve_with_image();
    for (class, y) in [(0, 20.0), (1, 120.0)] {
        assert_eq!(server.stroke("a", class, y).status, 200);
    }
    start(&server);
    until(&server, "learns", |status| step(status) >= 20);
    let address = server.address.as_str();
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let client = |number: usize| {
            let paths = ["tiles/0/0/0", "labels/0/0/1", "result/0/1/0", "tiles/1/0/0"];
            (0..8).map(move |n| {
                let path = format!("/api/images/i1/0/{}", paths[(number + n) % paths.len()]);
                let begin = Instant::now();
                let answer = raw(address, &request(address, "GET", &path, &[], b"")).expect("an answer");
                assert_eq!(answer.status, 200, "{path}: {}", answer.text());
                begin.elapsed()
            })
        };
        let all: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || client(number).collect::<Vec<_>>())).collect();
        all.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    times.sort();
    println!(
        "{} tiles: median {:?}, p99 {:?}",
        times.len(),
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
    assert_eq!(server.get("/api/training").json()["state"], "running");
}
