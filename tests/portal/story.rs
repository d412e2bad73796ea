//! From an empty folder to labels, and the same project after the server was started anew.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use msd_gpu::images::{discover, read_image, read_labels, write_png_grey8};
use ndarray::Array2;
use serde_json::{Value, json};

use crate::client::{Bench, Server, request, stroke};

fn values(body: &[u8]) -> Vec<u16> {
    body.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

#[test]
#[cfg(unix)]
fn a_project_from_the_first_image_to_labels_that_survive_a_restart() {
    let bench = Bench::new();
    let server = bench.serve_with_image();
    let page = server.get("/");
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").starts_with("default-src 'self'"));
    let project = server.get("/api/project").json();
    let image = &project["images"][0];
    assert_eq!((&image["id"], &image["width"], &image["slices"]), (&json!("i1"), &json!(300), &json!(1)));
    assert_eq!(
        project["classes"][1],
        json!({ "class": 1, "name": "shape", "colour": "#e6550d", "locked": false })
    );
    assert!(project["device"].as_str().is_some_and(|device| !device.is_empty()));

    // A tile has the numbers of the file.
    let source = &discover(bench.path("data/shapes.tif").to_str().unwrap()).unwrap()[0];
    let pixels = read_image(source).unwrap();
    let tile = server.get("/api/images/i1/0/tiles/0/1/1");
    assert_eq!(
        (tile.header("x-width"), tile.header("x-height"), tile.header("x-channels")),
        ("44", "44", "1")
    );
    let (lowest, highest) = (image["lowest"].as_f64().unwrap(), image["highest"].as_f64().unwrap());
    for (place, value) in values(&tile.body).into_iter().enumerate() {
        let pixel = f64::from(pixels[(0, 256 + place / 44, 256 + place % 44)]);
        let found = lowest + f64::from(value) / 65535.0 * (highest - lowest);
        assert!((found - pixel).abs() <= (highest - lowest) / 65535.0, "{found} {pixel}");
    }
    let small = server.get("/api/images/i1/0/tiles/1/0/0");
    assert_eq!((small.header("x-width"), values(&small.body).len()), ("150", 150 * 150));

    // Strokes, undo and redo.
    let first = server.stroke("a", 0, 40.5).json();
    assert_eq!(first["seq"], 3);
    assert_eq!(first["changed"][0]["image"], "i1");
    let one = server.labels();
    assert!(one[0].contains(&0) && !one[0].contains(&1));
    server.stroke("a", 1, 44.0).json();
    let two = server.labels();
    assert!(two[0].contains(&1));
    let undone = server.post("/api/undo", &json!({ "tab": "a" })).json();
    assert_eq!((&undone["entry"]["seq"], &undone["seq"]), (&json!(4), &json!(5)));
    assert_eq!(server.labels(), one);
    server.post("/api/redo", &json!({ "tab": "a" })).json();
    assert_eq!(server.labels(), two);
    let nothing = server.post("/api/redo", &json!({ "tab": "a" }));
    assert_eq!((nothing.status, nothing.error().is_empty()), (409, false));
    // Classes can be locked: what is drawn over them later leaves them.
    server.send("PATCH", "/api/classes/1", br#"{"locked":true,"name":"<script>alert(1)</script>"}"#).json();
    server.stroke("b", 0, 44.0).json();
    assert_eq!(server.labels(), two);

    let state = server.get("/api/project").json()["journal"].clone();
    let lines = server.get("/api/journal?from=4").text();
    assert_eq!(lines.lines().count() as u64, state["seq"].as_u64().unwrap() - 3);
    let last: Value = serde_json::from_str(lines.lines().next_back().unwrap()).unwrap();
    assert_eq!(last["hash"], state["hash"]);
    let nothing = server.get("/api/command");
    assert!(nothing.status == 404 && nothing.error().contains("train one first"), "{}", nothing.text());
    let messages = server.messages.clone();
    assert_eq!(server.end(), 130);
    let said = std::fs::read_to_string(messages).unwrap();
    assert!(!said.contains("error") && !said.contains("panicked"), "{said}");
    // Labels are a file for other programs.
    let file = &discover(bench.path("project/labels/i1.tif").to_str().unwrap()).unwrap()[0];
    let labels = read_labels(file).unwrap();
    assert!(labels.iter().any(|label| *label == 1) && labels[(0, 0)] == 255);

    let server = bench.serve();
    let again = server.get("/api/project").json();
    assert_eq!(
        (&again["journal"], &again["images"][0]["labelled"].as_u64().is_some_and(|n| n > 1000)),
        (&state, &true)
    );
    assert_eq!(server.labels(), two);
    assert_eq!(server.post("/api/undo", &json!({ "tab": "a" })).json()["entry"]["seq"], 4);
    assert_ne!(server.labels(), two);
}

#[test]
fn images_come_by_path_by_upload_and_as_a_sample() {
    let bench = Bench::new();
    let server = bench.serve();
    let listing = server.get("/api/browse?path=").json();
    assert_eq!(listing["images"], json!(["shapes.tif", "steps.png"]));
    let path = format!("{}/*", listing["path"].as_str().unwrap());
    assert_eq!(
        server.post("/api/images", &json!({ "path": path, "copy": true })).json()["images"],
        json!(["i1", "i2"])
    );
    assert!(bench.path("project/images/steps.png").exists());
    let bytes = std::fs::read(bench.path("data/steps.png")).unwrap();
    let added = server.send("PUT", "/api/upload/my%20steps.png", &bytes).json();
    assert_eq!(added["images"], json!(["i3"]));
    assert_eq!(server.post("/api/sample", &json!({})).json()["images"].as_array().unwrap().len(), 4);
    assert_eq!(server.post("/api/sample", &json!({})).json()["images"][0], "i4");
    assert_eq!(server.send("DELETE", "/api/images/i3", b"").status, 200);
    assert_eq!(server.send("DELETE", "/api/images/i3", b"").status, 404);
    let images = server.get("/api/project").json()["images"].as_array().unwrap().len();
    assert_eq!(images, 6);
    // Cuts and tiles that browsers have already.
    let cut = server.get("/api/images/i2/views/yz/5/0");
    assert_eq!((cut.header("x-width"), cut.header("x-height")), ("90", "1"));
    let tile = server.get("/api/images/i2/0/tiles/0/0/0");
    let known = [("If-None-Match", tile.header("etag"))];
    let again = crate::client::raw(
        &server.address,
        &request(&server.address, "GET", "/api/images/i2/0/tiles/0/0/0", &known, b""),
    );
    assert_eq!(again.unwrap().status, 304);
    // Fill by grey: a step of ten columns.
    server.post("/api/classes", &json!({ "name": "a", "colour": "#000000" })).json();
    let fill =
        json!({ "op": "fill", "image": "i2", "slice": 0, "class": 0, "x": 15, "y": 4, "tolerance": 3.0 });
    let filled = server.post("/api/journal", &json!({ "tab": "a", "entries": [fill] })).json();
    assert_eq!(
        filled["changed"],
        json!([{ "image": "i2", "slice": 0, "x": 10, "y": 0, "width": 10, "height": 90 }])
    );
    // Labels leave and come back.
    let archive = server.get("/api/export/labels?format=tif");
    assert!(archive.body.starts_with(b"PK") && archive.header("content-disposition").contains("labels.zip"));
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(archive.body)).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert!(names.contains(&"classes.csv".into()) && names.contains(&"i2.tif".into()), "{names:?}");
    let mut labels = Vec::new();
    std::io::copy(&mut archive.by_name("i2.tif").unwrap(), &mut labels).unwrap();
    server.post("/api/undo", &json!({ "tab": "a" })).json();
    assert_eq!(server.get("/api/project").json()["images"][1]["labelled"], 0);
    server.send("POST", "/api/import/i2?tab=a", &labels).json();
    assert_eq!(server.get("/api/project").json()["images"][1]["labelled"], 900);
    assert_eq!(server.send("POST", "/api/import/i1", &labels).status, 400);
}

#[test]
fn pages_hear_of_what_others_do() {
    let bench = Bench::new();
    let server = bench.serve_with_image();
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(&request(&server.address, "GET", "/api/events", &[], b"")).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.to_ascii_lowercase().starts_with("content-type: text/event-stream")));
    let done = server.stroke("other-tab", 0, 9.0).json();
    let line = lines.find(|line| line.starts_with("data:")).unwrap();
    let event: Value = serde_json::from_str(line.trim_start_matches("data:").trim()).unwrap();
    assert_eq!(
        (&event["type"], &event["tab"], &event["seq"]),
        (&json!("journal"), &json!("other-tab"), &done["seq"])
    );
    assert_eq!(event["changed"], done["changed"]);
}

#[test]
fn two_tabs_draw_at_once_and_each_undoes_its_own() {
    let bench = Bench::new();
    let server = bench.serve_with_image();
    std::thread::scope(|scope| {
        for (tab, class) in [("a", 0), ("b", 1)] {
            let server = &server;
            scope.spawn(move || {
                (0..10).for_each(|n| drop(server.stroke(tab, class, f64::from(n) * 20.0 + 9.0).json()))
            });
        }
    });
    assert_eq!(server.get("/api/project").json()["journal"]["seq"], 22);
    for _ in 0..10 {
        assert_eq!(server.post("/api/undo", &json!({ "tab": "a" })).json()["entry"]["tab"], "a");
    }
    let labels = server.labels();
    assert!(labels.iter().all(|tile| !tile.contains(&0)) && labels[0].contains(&1));
}

#[test]
fn an_address_that_is_taken_and_a_project_that_is_open_are_told() {
    let bench = Bench::new();
    let server = bench.serve();
    let refused = |listen: &str| {
        let output = bench.command(listen).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = refused(&server.address);
    assert!(said.contains("--listen is") && said.contains("another program has that port"), "{said}");
    let said = refused("127.0.0.1:0");
    assert!(said.contains("another msd-gpu has it open"), "{said}");
    assert!(refused("nonsense").contains("--listen is nonsense"));
    // A server that others can reach prints a token.
    drop(server);
    let mut child = bench
        .command("0.0.0.0:0")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut link = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut link).unwrap();
    let (place, token) = link.trim().split_once("/?token=").unwrap();
    let port = place.rsplit_once(':').unwrap().1;
    let address = format!("127.0.0.1:{port}");
    let status = |headers: &[(&str, &str)]| {
        crate::client::raw(&address, &request(&address, "GET", "/api/project", headers, b"")).unwrap().status
    };
    assert_eq!((status(&[]), status(&[("Authorization", &format!("Bearer {token}"))])), (401, 200));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn many_entries_come_in_one_request_or_none_of_them() {
    let bench = Bench::new();
    let server = bench.serve_with_image();
    let many: Vec<Value> = (0..200).map(|n| stroke(u8::from(n % 2 == 0), f64::from(n))).collect();
    assert_eq!(server.post("/api/journal", &json!({ "tab": "a", "entries": many })).json()["seq"], 202);
    let mut bad = many;
    bad[199]["class"] = json!(9);
    assert!(
        server.post("/api/journal", &json!({ "tab": "a", "entries": bad })).error().contains("no class 9")
    );
    assert_eq!(server.get("/api/project").json()["journal"]["seq"], 202);
}

/// Opens the stream of news of a tab, which is open as long as this is.
fn listen(server: &Server, tab: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let path = format!("/api/events?tab={tab}");
    stream.write_all(&request(&server.address, "GET", &path, &[], b"")).unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert!(line.contains("200"), "{line}");
    stream
}

#[test]
fn what_another_open_page_has_drawn_is_not_undone() {
    let bench = Bench::new();
    let server = bench.serve_with_image();
    let undo = || server.post("/api/undo", &json!({ "tab": "a" }));
    let other = listen(&server, "b");
    server.stroke("b", 0, 40.5).json();
    let refused = undo();
    assert_eq!(refused.status, 409);
    assert!(refused.error().contains("other pages that are open"), "{}", refused.error());
    assert_eq!(server.get("/api/events?tab=no%20name").status, 400);
    // Once it is closed, somebody has to be able to.
    drop(other);
    let deadline = Instant::now() + Duration::from_secs(40);
    while undo().status != 200 {
        assert!(Instant::now() < deadline, "the page that was closed counts as open");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(undo().error().contains("nothing to undo"));
}

#[test]
fn images_and_classes_that_were_removed_are_put_back_with_their_labels() {
    let bench = Bench::new();
    let server = bench.serve_with_image();
    server.stroke("a", 1, 40.5).json();
    let labels = server.labels();
    let journal = server.send("DELETE", "/api/images/i1", b"").json();
    assert_eq!(journal["seq"], 4);
    assert_eq!(server.post("/api/undo", &json!({ "tab": "a" })).status, 409);
    assert_eq!(server.get("/api/project").json()["images"], json!([]));
    assert_eq!(server.send("PATCH", "/api/images/i1", br#"{"removed":false}"#).json()["seq"], 5);
    assert_eq!(server.labels(), labels);
    assert_eq!(server.send("PATCH", "/api/images/i9", br#"{"removed":false}"#).status, 404);
    server.send("PATCH", "/api/images/i1", br#"{"removed":true}"#).json();
    assert_eq!(server.post("/api/images", &json!({ "path": "shapes.tif" })).json()["images"], json!(["i1"]));
    assert_eq!(server.labels(), labels);

    server.send("PATCH", "/api/classes/1", br#"{"removed":true}"#).json();
    assert_ne!(server.labels(), labels);
    assert_eq!(server.send("PATCH", "/api/classes/1", br#"{"name":"x"}"#).status, 404);
    server.send("PATCH", "/api/classes/1", br#"{"removed":false}"#).json();
    assert_eq!(server.labels(), labels);
    assert_eq!(server.get("/api/project").json()["classes"][1]["name"], "shape");
    assert_eq!(server.send("PATCH", "/api/classes/7", br#"{"removed":false}"#).status, 404);
}

#[test]
fn labels_are_exported_by_many_at_once() {
    let bench = Bench::new();
    let server = bench.serve_with_image();
    server.stroke("a", 1, 40.5).json();
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..6).map(|_| scope.spawn(|| server.get("/api/export/labels"))).collect();
        for one in asking {
            let answer = one.join().unwrap();
            assert_eq!((answer.status, answer.body.starts_with(b"PK")), (200, true), "{}", answer.text());
        }
    });
}

#[test]
fn a_mask_is_laid_over_once_it_is_said_what_its_values_mean() {
    let bench = Bench::new();
    let server = bench.serve_with_image();
    let mask = bench.path("mask.png");
    write_png_grey8(&mask, &Array2::from_shape_fn((300, 300), |(y, _)| if y < 10 { 255 } else { 0 }))
        .unwrap();
    let mask = std::fs::read(mask).unwrap();
    let unclear = server.send("POST", "/api/import/i1?tab=a", &mask);
    assert_eq!(unclear.status, 409);
    assert!(unclear.error().contains("values"), "{}", unclear.error());
    let values = json!([{ "value": 0, "pixels": 87_000 }, { "value": 255, "pixels": 3000 }]);
    let answer: Value = serde_json::from_slice(&unclear.body).unwrap();
    assert_eq!(answer["values"], values);
    assert_eq!(server.get("/api/project").json()["images"][0]["labelled"], 0);
    for (meanings, labelled) in [
        ("0:none,255:shape", 3000),
        ("%7B%220%22%3Anull%2C%22255%22%3A1%7D", 3000),
        ("0:background,255:1", 90_000),
    ] {
        let laid = server.send("POST", &format!("/api/import/i1?tab=a&values={meanings}"), &mask).json();
        assert_eq!(laid["values"], values, "{meanings}");
        assert_eq!(server.get("/api/project").json()["images"][0]["labelled"], labelled);
        server.post("/api/undo", &json!({ "tab": "a" })).json();
    }
    let unknown = server.send("POST", "/api/import/i1?values=0:none,255:fibre", &mask);
    assert_eq!(unknown.status, 400);
    assert!(unknown.error().contains("'fibre'"), "{}", unknown.error());
    assert_eq!(server.send("POST", "/api/import/i1?values=0", &mask).status, 400);
}
