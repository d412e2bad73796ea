//! A server that is killed while strokes come: all that it has acknowledged are there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Bench, stroke, try_send};

/// Together with those while it trains, fifty.
const KILLS: u64 = 25;

#[test]
fn every_stroke_that_was_acknowledged_survives_a_kill() {
    let bench = Bench::new();
    let mut server = bench.serve_with_image();
    let mut acknowledged: Vec<(u64, Value)> = Vec::new();
    for round in 0..KILLS {
        let address = server.address.clone();
        let killed = AtomicBool::new(false);
        let new = std::thread::scope(|scope| {
            let drawing = scope.spawn(|| {
                let mut new = Vec::new();
                for n in 0.. {
                    if killed.load(Ordering::Relaxed) {
                        break;
                    }
                    let entries: Vec<Value> =
                        (0..1 + n % 3).map(|k| stroke(1, (n * 7 + k + round) as f64 % 250.0)).collect();
                    let body = json!({ "tab": "a", "entries": entries }).to_string();
                    let Some(answer) = try_send(&address, "POST", "/api/journal", body.as_bytes()) else {
                        break;
                    };
                    let Ok(answer) = serde_json::from_slice::<Value>(&answer.body) else { break };
                    let last = answer["seq"].as_u64().unwrap();
                    let first = last + 1 - entries.len() as u64;
                    new.extend((first..=last).zip(entries));
                }
                new
            });
            std::thread::sleep(Duration::from_millis(20 + round * 13 % 90));
            // While a stroke is on its way, as the other thread goes on until then.
            server.kill();
            killed.store(true, Ordering::Relaxed);
            drawing.join().unwrap()
        });
        acknowledged.extend(new);
        server = bench.serve();
        let text = server.get("/api/journal").text();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for (seq, entry) in &acknowledged {
            let line = &lines[usize::try_from(*seq).unwrap() - 1];
            assert_eq!(line["seq"].as_u64(), Some(*seq));
            for field in ["op", "points", "size", "class"] {
                assert_eq!(line[field], entry[field], "entry {seq} after {round} kills");
            }
        }
        // One more can be drawn behind them.
        assert_eq!(server.stroke("b", 0, 5.0).json()["seq"].as_u64(), Some(lines.len() as u64 + 1));
    }
    assert!(acknowledged.len() as u64 > KILLS, "{}", acknowledged.len());
}

#[test]
fn labels_after_a_kill_are_those_before_it() {
    let bench = Bench::new();
    let mut server = bench.serve_with_image();
    for n in 0..20 {
        server.stroke("a", n % 2, f64::from(n) * 11.0).json();
        if n % 4 == 3 {
            server.post("/api/undo", &json!({ "tab": "a" })).json();
        }
    }
    let (labels, state) = (server.labels(), server.get("/api/project").json()["journal"].clone());
    server.kill();
    let server = bench.serve();
    assert_eq!((server.labels(), &server.get("/api/project").json()["journal"]), (labels, &state));
}

#[test]
#[cfg(unix)]
fn labels_that_a_kill_has_kept_from_their_file_are_written_at_the_next_end() {
    let bench = Bench::new();
    let mut server = bench.serve_with_image();
    server.stroke("a", 1, 40.0).json();
    server.kill();
    let file = bench.path("project/labels/i1.tif");
    assert!(!file.exists());
    assert_eq!(bench.serve().end(), 130);
    assert!(file.exists());
}
