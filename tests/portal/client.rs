//! A folder with images, a server on it, and a small client.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use msd_gpu::images::{write_png_grey8, write_tiff_f32};
use msd_gpu::phantom::shapes;
use ndarray::{Array2, Axis};
use serde_json::{Value, json};

/// A temporary folder with `data/shapes.tif`, `data/steps.png` and a place for a project.
pub struct Bench {
    folder: tempfile::TempDir,
}

/// A server that runs; it is killed with the test.
pub struct Server {
    child: Child,
    pub address: String,
    pub messages: PathBuf,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let phantom = shapes::phantom(300, 0.1, 7);
        write_tiff_f32(data.join("shapes.tif"), &phantom.image.insert_axis(Axis(0))).unwrap();
        write_png_grey8(
            data.join("steps.png"),
            &Array2::from_shape_fn((90, 120), |(_, x)| (x / 10 * 20) as u8),
        )
        .unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, listen: &str) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("msd-gpu"));
        command
            .args(["serve", "--project", "project", "--allow", "data", "--device", "cpu", "--listen", listen])
            .current_dir(self.folder.path())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    /// Starts a server on a port that is free, and waits for its link.
    pub fn serve(&self) -> Server {
        let messages = self.path("messages");
        let mut child = self
            .command("127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&messages).unwrap())
            .spawn()
            .unwrap();
        let mut link = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut link).unwrap();
        let address = link.trim().strip_prefix("http://").and_then(|link| link.strip_suffix('/'));
        let said = || std::fs::read_to_string(&messages).unwrap_or_default();
        let address = address.unwrap_or_else(|| panic!("no link but {link}: {}", said())).to_owned();
        Server { child, address, messages }
    }

    /// A server with the image `shapes.tif` as `i1` and the classes 0 and 1.
    pub fn serve_with_image(&self) -> Server {
        let server = self.serve();
        assert_eq!(
            server.post("/api/images", &json!({ "path": "shapes.tif" })).json()["images"],
            json!(["i1"])
        );
        for (name, colour) in [("background", "#3182bd"), ("shape", "#e6550d")] {
            server.post("/api/classes", &json!({ "name": name, "colour": colour })).json();
        }
        server
    }
}

impl Answer {
    /// The body as JSON of an answer that must be a good one.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// The sentence of an error.
    #[track_caller]
    pub fn error(&self) -> String {
        assert!(self.status >= 400, "{} {}", self.status, self.text());
        let value: Value =
            serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()));
        value["error"].as_str().unwrap().to_owned()
    }
}

/// Sends a request as it is and reads what comes until the other side ends; nothing where it is gone.
pub fn raw(address: &str, request: &[u8]) -> Option<Answer> {
    raw_within(address, request, Duration::from_secs(60))
}

/// As [`raw`], waiting so long at most for more to come.
pub fn raw_within(address: &str, request: &[u8], time: Duration) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(time)).unwrap();
    // A server that refuses a large body answers before it has all.
    let sent = stream.write_all(request);
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    if bytes.is_empty() && (sent.is_err() || read.is_err()) {
        return None;
    }
    let split = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let body = bytes[split + 4..].to_vec();
    let answer = Answer { status, headers, body };
    if answer.header("transfer-encoding") == "chunked" {
        let body = unchunked(&answer.body);
        return Some(Answer { body, ..answer });
    }
    Some(answer)
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(&String::from_utf8_lossy(&bytes[..end]), 16).unwrap();
        if length == 0 {
            break;
        }
        all.extend_from_slice(&bytes[end + 2..end + 2 + length]);
        bytes = &bytes[end + 4 + length..];
    }
    all
}

/// The bytes of a request with these headers beside `Host` and the length.
pub fn request(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text =
        format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text += &format!("Host: {address}\r\n");
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    let mut bytes = format!("{text}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Sends a JSON body with the header that changes need.
pub fn try_send(address: &str, method: &str, path: &str, body: &[u8]) -> Option<Answer> {
    let headers = [("X-Msd-Gpu", "1"), ("Content-Type", "application/json")];
    raw(address, &request(address, method, path, &headers, body))
}

impl Server {
    pub fn get(&self, path: &str) -> Answer {
        raw(&self.address, &request(&self.address, "GET", path, &[], b"")).expect("an answer")
    }

    pub fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        try_send(&self.address, method, path, body).expect("an answer")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body.to_string().as_bytes())
    }

    /// A stroke of the tab `tab` along a row.
    pub fn stroke(&self, tab: &str, class: u8, y: f64) -> Answer {
        self.post("/api/journal", &json!({ "tab": tab, "entries": [stroke(class, y)] }))
    }

    /// The labels of the only tile that the first two rows of tiles have.
    pub fn labels(&self) -> Vec<Vec<u8>> {
        ["0/0", "0/1", "1/0", "1/1"]
            .iter()
            .map(|tile| self.get(&format!("/api/images/i1/0/labels/0/{tile}")).body)
            .collect()
    }

    /// Asks the server to end, and waits for it; gives the exit code.
    #[cfg(unix)]
    pub fn end(mut self) -> i32 {
        let id = libc::pid_t::try_from(self.child.id()).unwrap();
        // SAFETY: this sends a signal to a child that was not waited for yet, so that its number is its own.
        unsafe { libc::kill(id, libc::SIGINT) };
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "the server does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the server without a word, as a power failure does.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A stroke on the first image along a row.
pub fn stroke(class: u8, y: f64) -> Value {
    json!({ "op": "stroke", "image": "i1", "slice": 0, "class": class, "size": 5.0, "points": [[20.5, y], [270.3, y + 8.1]], "depth": 0, "range": null })
}

/// How training goes, once it is as wanted.
pub fn until(server: &Server, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let status = server.get("/api/training").json();
        if wanted(&status) {
            return status;
        }
        assert_ne!(status["state"], "failed", "{status}");
        let short = |status: &Value| format!("{} {} {}", status["state"], status["step"], status["message"]);
        assert!(Instant::now() < end, "{what}: {}", short(&status));
        std::thread::sleep(Duration::from_millis(20));
    }
}
