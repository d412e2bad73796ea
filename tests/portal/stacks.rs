//! Stacks over plain HTTP: slices that are sent one by one, and what lies over cuts.

use msd_gpu::images::write_png_grey8;
use ndarray::Array2;
use serde_json::{Value, json};

use crate::client::{Bench, Server};

/// A slice of 60 x 50 pixels as a PNG file.
fn slice(bench: &Bench, grey: u8, height: usize) -> Vec<u8> {
    let path = bench.path("slice.png");
    write_png_grey8(&path, &Array2::from_elem((height, 60), grey)).unwrap();
    std::fs::read(path).unwrap()
}

fn send(bench: &Bench, server: &Server, key: &str, heights: [usize; 3]) {
    for ((name, height), grey) in ["s2.png", "s10.png", "s1.png"].iter().zip(heights).zip([20, 100, 10]) {
        let sent =
            server.send("PUT", &format!("/api/upload/{name}?stack={key}"), &slice(bench, grey, height));
        assert_eq!(sent.json()["images"], json!([]));
    }
}

#[test]
fn slices_that_are_sent_one_by_one_become_one_image() {
    let bench = Bench::new();
    let server = bench.serve();
    send(&bench, &server, "aaaa1111", [50; 3]);
    assert_eq!(server.get("/api/project").json()["images"], json!([]));
    let added = server.post("/api/upload-stack/aaaa1111", &json!({ "name": "my scan/1" })).json();
    assert_eq!(added["images"], json!(["i1"]));
    let image = server.get("/api/project").json()["images"][0].clone();
    assert_eq!((&image["name"], &image["slices"]), (&json!("my scan_1"), &json!(3)));
    // In the order in which people count.
    let greys: Vec<u8> =
        (0..3).map(|z| server.get(&format!("/api/images/i1/{z}/tiles/0/0/0")).body[1]).collect();
    assert!(greys[0] < greys[1] && greys[1] < greys[2], "{greys:?}");

    // Labels lie over the cuts that go through them.
    server.post("/api/classes", &json!({ "name": "a", "colour": "#000000" })).json();
    let stroke = json!({ "op": "stroke", "image": "i1", "slice": 1, "class": 0, "size": 3.0, "points": [[10.5, 20.5], [30.5, 20.5]], "depth": 0, "range": null });
    server.post("/api/journal", &json!({ "tab": "a", "entries": [stroke] })).json();
    let cut = server.get("/api/images/i1/views/xz/20/0/labels");
    assert_eq!((cut.header("x-width"), cut.header("x-height"), cut.body.len()), ("60", "3", 180));
    let labelled = |body: &[u8]| {
        body.iter().enumerate().filter(|(_, label)| **label == 0).map(|(at, _)| at).collect::<Vec<_>>()
    };
    let found = labelled(&cut.body);
    assert!(found.contains(&(60 + 20)) && found.iter().all(|at| (60 + 9..60 + 32).contains(at)), "{found:?}");
    assert!(labelled(&server.get("/api/images/i1/views/xz/40/0/labels").body).is_empty());
    let across = server.get("/api/images/i1/views/yz/20/0/labels");
    assert_eq!((across.header("x-width"), labelled(&across.body)), ("50", vec![50 + 19, 50 + 20, 50 + 21]));
    // Of the network nothing is known yet.
    for query in ["", "?what=uncertainty", "?what=probability&class=0"] {
        let cut = server.get(&format!("/api/images/i1/views/xz/20/0/result{query}"));
        assert!(cut.status == 200 && cut.body.iter().all(|byte| *byte == 255), "{query}");
    }
    for (path, status) in [
        ("i1/views/xz/50/0/labels", 404),
        ("i1/views/xz/1/9/labels", 404),
        ("i1/views/zz/1/0/labels", 404),
        ("i9/views/xz/1/0/labels", 404),
        ("i1/views/xz/1/0/j9", 404),
        ("i1/views/xz/1/0/result?what=probability", 400),
        ("i1/views/xz/1/0/result?what=all", 400),
    ] {
        assert_eq!(server.get(&format!("/api/images/{path}")).status, status, "{path}");
    }
    // What was taken out is named, so that it can be put back.
    server.send("DELETE", "/api/images/i1", b"").json();
    let project = server.get("/api/project").json();
    let facts = json!({ "id": "i1", "name": "my scan_1", "width": 60, "height": 50, "slices": 3 });
    assert_eq!((&project["images"], &project["taken_out"]), (&json!([]), &json!([facts])));
}

#[test]
fn slices_that_are_no_stack_do_not_stay() {
    let bench = Bench::new();
    let server = bench.serve();
    let end = |key: &str| server.post(&format!("/api/upload-stack/{key}"), &json!({ "name": "scan" }));
    send(&bench, &server, "bbbb2222", [50, 40, 50]);
    assert!(end("bbbb2222").error().contains("the same in all slices"));
    // They are gone.
    assert!(end("bbbb2222").error().contains("no slices"));
    send(&bench, &server, "cccc3333", [50; 3]);
    server.send("DELETE", "/api/upload-stack/cccc3333", b"").json();
    assert!(end("cccc3333").error().contains("no slices"));
    for key in ["short", "..%2F..%2Fa", "a%2Fbbbbbbbb", "aaaa.bbb"] {
        let sent = server.send("PUT", &format!("/api/upload/a.png?stack={key}"), &slice(&bench, 1, 5));
        assert!(sent.status == 400 && sent.error().contains("stack must be"), "{key}: {}", sent.text());
        assert!(end(key).status >= 400, "{key}");
    }
    send(&bench, &server, "dddd4444", [50; 3]);
    let name = json!({ "name": "\n" });
    assert_eq!(server.post("/api/upload-stack/dddd4444", &name).status, 400);
    // Those of a server that was ended meanwhile do not stay either.
    send(&bench, &server, "eeee5555", [50; 3]);
    drop(server);
    drop(bench.serve());
    let left = |folder: &str| std::fs::read_dir(bench.path(folder)).unwrap().count();
    assert_eq!((left("project/images"), left("project/cache")), (0, 0));
}

#[test]
fn the_slices_of_a_folder_are_predicted_as_one_stack() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("data/scan")).unwrap();
    for (name, grey) in [("a2.png", 20), ("a10.png", 200), ("a1.png", 90)] {
        std::fs::write(bench.path(&format!("data/scan/{name}")), slice(&bench, grey, 50)).unwrap();
    }
    let server = bench.serve();
    let added = server.post("/api/images", &json!({ "path": "scan", "stack": true })).json();
    assert_eq!(added["images"], json!(["i1"]));
    for name in ["dark", "bright"] {
        server.post("/api/classes", &json!({ "name": name, "colour": "#e6550d" })).json();
    }
    let stroke = |class: u8, slice: usize| json!({ "op": "stroke", "image": "i1", "slice": slice, "class": class, "size": 9.0, "points": [[10.5, 20.5], [50.5, 30.5]], "depth": 0, "range": null });
    let entries = [stroke(0, 1), stroke(1, 2), stroke(0, 0)];
    server.post("/api/journal", &json!({ "tab": "a", "entries": entries })).json();
    let settings = json!({ "depth": "2", "crop": "48", "stem": "none" });
    server.post("/api/training", &json!({ "action": "start", "depth": "auto", "settings": settings })).json();
    let until = |what: &str, path: &str, wanted: &dyn Fn(&Value) -> bool| {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(120);
        loop {
            let found = server.get(path).json();
            if wanted(&found) {
                return found;
            }
            assert!(std::time::Instant::now() < end, "{what}: {found}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    until("a network", "/api/training", &|status| {
        status["model"] == true && status["step"].as_u64() > Some(5)
    });
    let job = json!({ "kind": "predict", "images": ["i1"] });
    assert_eq!(server.post("/api/jobs", &job).json()["job"], "j1");
    let done =
        until("the job", "/api/jobs", &|jobs| jobs[0]["state"] == "done" || jobs[0]["state"] == "failed");
    assert_eq!(done[0]["state"], "done", "{done}");
    let files = done[0]["files"].as_array().unwrap();
    assert!(files.contains(&json!("scan.tif")), "{files:?}");
    let path = bench.path("found.tif");
    std::fs::write(&path, server.get("/api/jobs/j1/files/scan.tif").body).unwrap();
    assert_eq!(msd_gpu::images::discover(path.to_str().unwrap()).unwrap().len(), 3);
    let cut = server.get("/api/images/i1/views/xz/20/0/j1");
    assert_eq!((cut.status, cut.body.len()), (200, 180));
    let tiles: Vec<Vec<u8>> =
        (0..3).map(|z| server.get(&format!("/api/images/i1/{z}/jobs/j1/0/0/0")).body).collect();
    for (line, tile) in cut.body.chunks(60).zip(&tiles) {
        assert_eq!(line, &tile[20 * 60..21 * 60]);
    }
}
