//! Requests that nobody means well: each is refused, and nothing changes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Bench, Server, raw, raw_within, request};

/// All files beneath a folder with what is in them.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.insert(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }
    all
}

/// A server with an image, and what is on the disk.
struct Target {
    bench: Bench,
    server: Server,
    before: BTreeMap<String, Vec<u8>>,
}

impl Target {
    fn new() -> Self {
        let bench = Bench::new();
        std::fs::write(bench.path("secret.png"), b"classified").unwrap();
        let server = bench.serve_with_image();
        server.stroke("a", 1, 20.0).json();
        let before = files(&bench.path("project"));
        Self { bench, server, before }
    }

    /// The request is refused with a 4xx and a sentence, and all files are as they were.
    #[track_caller]
    fn refuses(&self, what: &str, bytes: &[u8]) -> u16 {
        let answer = raw(&self.server.address, bytes).unwrap_or_else(|| panic!("{what}: no answer"));
        assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
        assert!(!answer.text().contains("classified"), "{what}");
        if answer.status != 400 || !answer.body.is_empty() {
            assert!(!answer.error().is_empty(), "{what}");
        }
        self.is_as_before(what);
        answer.status
    }

    #[track_caller]
    fn is_as_before(&self, what: &str) {
        let now = files(&self.bench.path("project"));
        let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&now), names(&self.before), "{what}");
        assert!(now == self.before, "{what} has changed a file");
    }

    #[track_caller]
    fn refuses_change(&self, method: &str, path: &str, body: &str) -> u16 {
        let headers = [("X-Msd-Gpu", "1"), ("Content-Type", "application/json")];
        let bytes = request(&self.server.address, method, path, &headers, body.as_bytes());
        self.refuses(&format!("{method} {path} {}", body.chars().take(80).collect::<String>()), &bytes)
    }
}

#[test]
fn other_places_and_requests_without_the_header_are_refused() {
    let target = Target::new();
    let address = target.server.address.clone();
    let undo = br#"{"tab":"a"}"#;
    let mark = ("X-Msd-Gpu", "1");
    let port = address.rsplit_once(':').unwrap().1;
    for host in
        ["evil.example", &format!("evil.example:{port}"), "127.0.0.1:1", &format!("192.0.2.1:{port}"), ""]
    {
        for (method, path) in [("GET", "/"), ("GET", "/api/project"), ("POST", "/api/undo")] {
            let status =
                target.refuses(host, &request(&address, method, path, &[("Host", host), mark], undo));
            assert_eq!(status, 421);
        }
    }
    for origin in [
        "http://evil.example",
        "null",
        "https://127.0.0.1",
        &format!("http://localhost:{port}"),
        &format!("http://{address}.evil.example"),
    ] {
        let status = target
            .refuses(origin, &request(&address, "POST", "/api/undo", &[("Origin", origin), mark], undo));
        assert_eq!(status, 403);
        assert_eq!(
            target.refuses(origin, &request(&address, "GET", "/api/project", &[("Origin", origin)], b"")),
            403
        );
    }
    for (method, path) in [
        ("POST", "/api/undo"),
        ("POST", "/api/redo"),
        ("POST", "/api/journal"),
        ("POST", "/api/images"),
        ("POST", "/api/classes"),
        ("POST", "/api/jobs"),
        ("POST", "/api/training"),
        ("POST", "/api/sample"),
        ("POST", "/api/import/i1"),
        ("PUT", "/api/upload/a.png"),
        ("PATCH", "/api/project"),
        ("PATCH", "/api/classes/0"),
        ("DELETE", "/api/images/i1"),
        ("PATCH", "/api/images/i1"),
        ("DELETE", "/api/jobs/j1"),
    ] {
        assert_eq!(
            target.refuses(path, &request(&address, method, path, &[("Content-Type", "text/plain")], undo)),
            403
        );
        let cross = [mark, ("Sec-Fetch-Site", "cross-site")];
        assert_eq!(target.refuses(path, &request(&address, method, path, &cross, undo)), 403);
    }
}

#[test]
fn paths_that_lead_out_are_refused() {
    let target = Target::new();
    let secret = target.bench.path("secret.png").display().to_string();
    for path in [
        "../secret.png",
        &secret,
        "/etc/passwd",
        "../*.png",
        "*/../../secret.png",
        "..",
        "/",
        "\0",
        "shapes.tif/../../secret.png",
    ] {
        target.refuses_change("POST", "/api/images", &json!({ "path": path }).to_string());
        target.refuses_change("POST", "/api/images", &json!({ "path": path, "copy": true }).to_string());
        let encoded: String = path.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let browse = format!("/api/browse?path={encoded}");
        if path != "shapes.tif" {
            target.refuses(&browse, &request(&target.server.address, "GET", &browse, &[], b""));
        }
    }
    for name in [
        "..%2Fa.png",
        "%2Fetc%2Fpasswd.png",
        "..",
        ".hidden.png",
        "a.sh",
        "a%00.png",
        "a%5Cb.png",
        "%3Cscript%3E.png",
        "project.toml",
        "%FF.png",
    ] {
        target.refuses_change("PUT", &format!("/api/upload/{name}"), "x");
    }
    for path in [
        "/static/..%2F..%2FCargo.toml",
        "/static/../../Cargo.toml",
        "/static/%2Fetc%2Fpasswd",
        "/../secret.png",
        "//etc/passwd",
        "/api/jobs/..%2F..%2Fx/files/job.json",
        "/api/jobs/j1/files/..%2Fjob.json",
        "/api/nothing",
        "/project/journal.jsonl",
        "/api/images/..%2Fi1/0/tiles/0/0/0",
    ] {
        target.refuses(path, &request(&target.server.address, "GET", path, &[], b""));
    }
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let target = Target::new();
    let large = "99999999999999999999999999";
    for kind in ["tiles", "labels", "result"] {
        for place in [
            "0/9/0",
            "0/0/9",
            "9/0/0",
            "-1/0/0",
            "0/-1/0",
            "x/0/0",
            "0/0/1e3",
            "0/0/",
            "18446744073709551615/0/0",
            "64/0/0",
            "32/0/0",
            "0/18446744073709551615/0",
            "0/0/72057594037927936",
            &format!("{large}/0/0"),
            &format!("0/{large}/0"),
            "0/+1/0",
            "%30/0/0x",
        ] {
            let path = format!("/api/images/i1/0/{kind}/{place}");
            target.refuses(&path, &request(&target.server.address, "GET", &path, &[], b""));
        }
        for image in ["i2", "i0", "I1", "1", "i1%00", "%2e%2e"] {
            let path = format!("/api/images/{image}/0/{kind}/0/0/0");
            target.refuses(&path, &request(&target.server.address, "GET", &path, &[], b""));
        }
        let path = format!("/api/images/i1/1/{kind}/0/0/0");
        target.refuses(&path, &request(&target.server.address, "GET", &path, &[], b""));
    }
    for view in ["xz/300/0", "yz/300/0", "xy/0/0", "xz/0/9", "xz/-1/0", "xz/99999999999999999999/0"] {
        let path = format!("/api/images/i1/views/{view}");
        target.refuses(&path, &request(&target.server.address, "GET", &path, &[], b""));
    }
}

#[test]
fn bodies_that_cannot_be_meant_are_refused() {
    let target = Target::new();
    let stroke = |change: &str| {
        let mut entry = crate::client::stroke(1, 5.0);
        let change: serde_json::Value = serde_json::from_str(change).unwrap();
        for (name, value) in change.as_object().unwrap() {
            entry[name] = value.clone();
        }
        json!({ "tab": "a", "entries": [entry] }).to_string()
    };
    let deep = format!(r#"{{"tab":"a","entries":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    for body in [
        "",
        "{",
        "null",
        "[]",
        "7",
        "\"a\"",
        r#"{"tab":"a"}"#,
        r#"{"tab":"a","entries":[]}"#,
        r#"{"tab":"a","entries":{}}"#,
        &deep,
        r#"{"tab":7,"entries":[]}"#,
        r#"{"tab":"a","entries":[],"more":1}"#,
        r#"{"tab":"a","entries":[{"op":"delete"}]}"#,
        r#"{"tab":"a","entries":[{"op":"undo","of":3}]}"#,
        r#"{"tab":"a","entries":[{"op":"redo","of":3}]}"#,
        r#"{"tab":"a","entries":[{"op":"import","image":"i1","file":"../secret.png"}]}"#,
        r#"{"tab":"a","entries":[{"op":"import","image":"i1","file":"labels/import-1.tif"}]}"#,
        r#"{"tab":"a","entries":[{"op":"between","image":"i1","class":1,"from":0,"to":9}]}"#,
        r#"{"tab":"a","entries":[{"op":"fill","image":"i1","slice":0,"class":1,"x":4000000000,"y":0,"tolerance":1}]}"#,
        r##"{"tab":"a","entries":[{"op":"class","class":9,"name":"x","colour":"#000000"}]}"##,
        &stroke(r#"{"image":"i2"}"#),
        &stroke(r#"{"image":"<script>"}"#),
        &stroke(r#"{"slice":1}"#),
        &stroke(r#"{"slice":-1}"#),
        &stroke(r#"{"slice":18446744073709551615}"#),
        &stroke(r#"{"class":7}"#),
        &stroke(r#"{"class":255}"#),
        &stroke(r#"{"class":"1"}"#),
        &stroke(r#"{"size":0}"#),
        &stroke(r#"{"size":-3}"#),
        &stroke(r#"{"size":1e300}"#),
        &stroke(r#"{"size":null}"#),
        &stroke(r#"{"points":[]}"#),
        &stroke(r#"{"points":[[1]]}"#),
        &stroke(r#"{"points":[[1,2,3]]}"#),
        &stroke(r#"{"points":[[1e300,2]]}"#),
        &stroke(r#"{"points":"all"}"#),
        &stroke(r#"{"range":[2,1]}"#),
        &stroke(r#"{"range":[0]}"#),
        &stroke(r#"{"depth":-1}"#),
        &stroke(r#"{"seq":1}"#),
        &stroke(r#"{"hash":"0"}"#),
    ] {
        assert!(target.refuses_change("POST", "/api/journal", body) < 413);
    }
    for tab in ["", "a b", "<script>", "../..", &"a".repeat(65)] {
        target.refuses_change("POST", "/api/undo", &json!({ "tab": tab }).to_string());
        target.refuses_change(
            "POST",
            "/api/journal",
            &json!({ "tab": tab, "entries": [crate::client::stroke(1, 5.0)] }).to_string(),
        );
    }
    for (method, path, body) in [
        ("PATCH", "/api/project", r#"{"name":""}"#),
        ("PATCH", "/api/project", "{\"name\":\"a\\nb\"}"),
        ("PATCH", "/api/project", r#"{"name":7}"#),
        ("PATCH", "/api/project", r#"{"folder":"/etc"}"#),
        ("PATCH", "/api/classes/9", "{}"),
        ("PATCH", "/api/classes/-1", "{}"),
        ("PATCH", "/api/classes/0", r#"{"colour":"javascript:alert(1)"}"#),
        ("PATCH", "/api/classes/0", r#"{"name":""}"#),
        ("POST", "/api/classes", r#"{"name":"a"}"#),
        ("POST", "/api/classes", r#"{"name":"a","colour":"red"}"#),
        ("POST", "/api/images", r#"{"path":7}"#),
        ("POST", "/api/images", r#"{"path":"none.png"}"#),
        ("POST", "/api/images", r#"{"path":"shapes.tif","out":"x"}"#),
        ("POST", "/api/training", r#"{"action":"explode"}"#),
        ("POST", "/api/training", r#"{"action":"start","depth":"abyss"}"#),
        ("POST", "/api/training", r#"{"action":"start","settings":{"lr":{}}}"#),
        ("POST", "/api/view", r#"{"tab":"a","image":"i9","slice":0,"x":0,"y":0,"width":1,"height":1}"#),
        ("POST", "/api/view", r#"{"tab":"a","image":"i1","slice":7,"x":0,"y":0,"width":1,"height":1}"#),
        ("POST", "/api/jobs", r#"{"kind":"predict","images":["i9"]}"#),
        ("POST", "/api/jobs", r#"{"kind":"shell","images":"all"}"#),
        ("POST", "/api/jobs", r#"{"kind":"predict","images":"all"}"#),
        ("DELETE", "/api/jobs/j1", ""),
        ("DELETE", "/api/jobs/..", ""),
        ("DELETE", "/api/images/i9", ""),
        ("POST", "/api/import/i9", "x"),
        ("POST", "/api/import/i1", "x"),
        ("PUT", "/api/upload/a.png", "no image"),
        ("PUT", "/api/upload/a.tif", "II*\0"),
        ("DELETE", "/api/project", ""),
        ("PUT", "/", ""),
    ] {
        target.refuses_change(method, path, body);
    }
}

#[test]
fn bodies_that_are_too_large_or_end_too_early_leave_nothing() {
    let target = Target::new();
    let address = &target.server.address;
    let huge = vec![b' '; 17 << 20];
    let headers = [("X-Msd-Gpu", "1")];
    // The answer may be lost when the rest of the body is thrown away, and nothing may have changed.
    for path in ["/api/journal", "/api/undo", "/api/classes"] {
        if let Some(answer) = raw(address, &request(address, "POST", path, &headers, &huge)) {
            assert_eq!(answer.status, 413, "{}", answer.text());
        }
        target.is_as_before(path);
    }
    let points = vec!["[1,2]"; 2_700_000].join(",");
    let stroke = r#"{"op":"stroke","image":"i1","slice":0,"class":0,"size":9,"points":["#;
    let strokes = format!(r#"{{"tab":"a","entries":[{stroke}{points}]}}]}}"#);
    let answer = target.server.send("POST", "/api/journal", strokes.as_bytes());
    assert!(answer.status == 413 && answer.error().contains("fewer points"), "{}", answer.text());
    target.is_as_before("very many points");
    for (path, length) in [("/api/upload/a.png", "99999999999999"), ("/api/import/i1", "99999999999999")] {
        let method = if path.contains("upload") { "PUT" } else { "POST" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nX-Msd-Gpu: 1\r\nConnection: close\r\nContent-Length: {length}\r\n\r\nx"
        );
        assert_eq!(raw(address, head.as_bytes()).unwrap().status, 413);
        target.is_as_before(path);
    }
    // Half-sent files.
    for path in ["/api/upload/half.png", "/api/import/i1"] {
        let method = if path.contains("upload") { "PUT" } else { "POST" };
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nX-Msd-Gpu: 1\r\nContent-Length: 100000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&[7; 5000]).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        drop(stream);
        std::thread::sleep(Duration::from_millis(300));
        target.is_as_before(path);
    }
    // What is no HTTP at all.
    for bytes in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
    ] {
        if let Some(answer) = raw_within(address, bytes, Duration::from_secs(1)) {
            assert!((400..506).contains(&answer.status), "{}", answer.status);
        }
    }
    target.is_as_before("no HTTP");
    assert_eq!(target.server.get("/api/project").status, 200);
    let said = std::fs::read_to_string(&target.server.messages).unwrap();
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn files_that_lie_about_their_size_are_refused_and_do_not_stay() {
    let target = Target::new();
    let headers = [("X-Msd-Gpu", "1")];
    let address = &target.server.address;
    // A PNG header of so many rows and columns, with hardly any data behind it.
    for side in [60_000_u32, 200_000, u32::MAX] {
        let mut head = b"IHDR".to_vec();
        head.extend([side.to_be_bytes(), side.to_be_bytes()].concat());
        head.extend([8, 0, 0, 0, 0]);
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
        png.extend(&head);
        png.extend(crc32(&head).to_be_bytes());
        png.extend(b"\0\0\0\x0bIDAT\x78\x9c\x63\0\0\0\x01\0\x01\0\0\0\0\0\0\0\0IEND\xaeB`\x82");
        target.refuses(&side.to_string(), &request(address, "PUT", "/api/upload/lie.png", &headers, &png));
        target.refuses(&side.to_string(), &request(address, "POST", "/api/import/i1", &headers, &png));
    }
    // A NumPy array of as many numbers.
    let words = b"{'descr': '<f4', 'fortran_order': False, 'shape': (900000, 900000, 900000), }";
    let mut array = b"\x93NUMPY\x01\0".to_vec();
    array.extend(u16::try_from(words.len() + 1).unwrap().to_le_bytes());
    array.extend(words);
    array.extend(b"\n0000");
    target.refuses("npy", &request(address, "PUT", "/api/upload/lie.npy", &headers, &array));
    // Labels that are packed a thousandfold.
    let bomb = zip_of_zeros(64 << 20);
    target.refuses("npz", &request(address, "POST", "/api/import/i1", &headers, &bomb));
    target.refuses("npz", &request(address, "PUT", "/api/upload/bomb.npz", &headers, &bomb));
}

#[test]
fn clients_that_take_for_ever_to_ask_are_let_go_and_others_are_answered() {
    const MORE_THAN_THERE_IS_ROOM_FOR: usize = 540;
    let bench = Bench::new();
    let server = bench.serve_with_image();
    let connect = || {
        let stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    };
    let start = Instant::now();
    let silent: Vec<TcpStream> = (0..MORE_THAN_THERE_IS_ROOM_FOR).map(|_| connect()).collect();
    // One says a little now and then.
    let mut slow = &silent[0];
    let head = format!("GET /api/project HTTP/1.1\r\nHost: {}\r\nX-Slow: ", server.address);
    slow.write_all(head.as_bytes()).unwrap();
    std::thread::scope(|scope| {
        let answered = scope.spawn(|| server.get("/api/project").status);
        let mut sent = 0;
        while start.elapsed() < Duration::from_secs(40) && slow.write_all(b"a").is_ok() {
            sent += 1;
            std::thread::sleep(Duration::from_millis(500));
        }
        assert!((10..70).contains(&sent), "the slow client was let go after {sent} bytes");
        assert_eq!(answered.join().unwrap(), 200);
    });
    // All the others are let go too.
    for mut stream in silent {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    assert_eq!(server.get("/api/project").status, 200);
}

#[test]
fn a_client_that_never_sends_its_body_is_let_go() {
    let bench = Bench::new();
    let server = bench.serve_with_image();
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = format!(
        "POST /api/journal HTTP/1.1\r\nHost: {}\r\nX-Msd-Gpu: 1\r\nContent-Type: application/json\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{{",
        server.address
    );
    let start = Instant::now();
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    assert!(start.elapsed() < Duration::from_secs(50), "{:?}", start.elapsed());
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("not come in time"), "{answer}");
    assert_eq!(server.get("/api/project").status, 200);
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

fn zip_of_zeros(count: usize) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file("a.npy", zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(&vec![0; count]).unwrap();
    writer.finish().unwrap().into_inner()
}

#[test]
fn names_with_script_stay_text() {
    let bench = Bench::new();
    let server = bench.serve();
    let name = "<img src=x onerror=alert(1)>";
    server.send("PATCH", "/api/project", json!({ "name": name }).to_string().as_bytes()).json();
    let answer = server.get("/api/project");
    assert_eq!(
        (answer.header("content-type"), answer.header("x-content-type-options")),
        ("application/json", "nosniff")
    );
    assert_eq!(answer.json()["name"], name);
    let policy = answer.header("content-security-policy").to_owned();
    assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
}
