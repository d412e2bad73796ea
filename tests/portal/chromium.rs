//! Chromium, driven by ChromeDriver over plain HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::request;

/// A browser with a page; it ends with the test.
pub struct Browser {
    driver: Child,
    address: String,
    session: String,
}

impl Browser {
    pub fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .args(["--port=0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("ChromeDriver is not there: apt-get install chromium chromium-driver");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.ok()?;
            line.rsplit_once("successfully on port ").map(|(_, port)| port.trim_end_matches('.').to_owned())
        });
        // What it says later would stop it, were it not read.
        std::thread::spawn(move || lines.for_each(drop));
        let mut browser =
            Self { driver, address: format!("127.0.0.1:{}", port.expect("a port")), session: String::new() };
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,720",
        ];
        let options = json!({ "args": arguments });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let found = browser.ask("POST", "/session", &wanted);
        browser.session = format!("/session/{}", found["sessionId"].as_str().unwrap());
        browser
    }

    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let headers = [("Content-Type", "application/json")];
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(&request(&self.address, method, path, &headers, body.as_bytes())).unwrap();
        // ChromeDriver leaves the connection open: it says how long its answer is.
        let mut answer = BufReader::new(stream);
        let (mut status, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            answer.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
            if status.is_empty() {
                status = line;
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).unwrap();
        assert!(status.contains(" 200 "), "{path}: {status}{}", String::from_utf8_lossy(&body));
        serde_json::from_slice::<Value>(&body).unwrap()["value"].take()
    }

    #[track_caller]
    pub fn tell(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("{}{path}", self.session), body)
    }

    /// What a script in the page returns.
    #[track_caller]
    pub fn script(&self, text: &str) -> Value {
        self.tell("/execute/sync", &json!({ "script": text, "args": [] }))
    }

    /// Waits until a script returns true.
    #[track_caller]
    pub fn until(&self, seconds: u64, text: &str) {
        let end = Instant::now() + Duration::from_secs(seconds);
        while self.script(text) != json!(true) {
            assert!(Instant::now() < end, "in vain: {text}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn open(&self, address: &str) {
        self.tell("/url", &json!({ "url": format!("http://{address}/") }));
        self.ready();
    }

    pub fn ready(&self) {
        self.until(60, "return document.documentElement.dataset.ready === 'yes'");
    }

    #[track_caller]
    pub fn element(&self, selector: &str) -> String {
        let found = self.tell("/element", &json!({ "using": "css selector", "value": selector }));
        found.as_object().and_then(|object| object.values().next()).unwrap().as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.tell(&format!("/element/{element}/click"), &json!({}));
    }

    pub fn key(&self, key: &str) {
        let press = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        self.tell("/actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": press }] }));
    }

    /// Draws with the mouse from one place of the screen to another.
    pub fn drag(&self, from: (f64, f64), to: (f64, f64)) {
        let place = |(x, y): (f64, f64), duration: u32| json!({ "type": "pointerMove", "duration": duration, "x": x.round() as i64, "y": y.round() as i64 });
        let actions = json!([
            place(from, 0),
            { "type": "pointerDown", "button": 0 },
            place(((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0), 60),
            place(to, 60),
            { "type": "pointerUp", "button": 0 },
        ]);
        let mouse = json!({ "type": "pointer", "id": "mouse", "parameters": { "pointerType": "mouse" }, "actions": actions });
        self.tell("/actions", &json!({ "actions": [mouse] }));
    }

    /// The picture as it is on the screen: width, height, and red, green and blue of each pixel.
    pub fn picture(&self) -> (u32, u32, Vec<u8>) {
        let element = self.element("#picture");
        let shot = self.ask("GET", &format!("{}/element/{element}/screenshot", self.session), &Value::Null);
        let image = image::load_from_memory(&decoded(shot.as_str().unwrap())).unwrap().to_rgb8();
        (image.width(), image.height(), image.into_raw())
    }

    /// Keeps a picture of the whole page, where somebody asked for it by MSD_GPU_SCREENSHOTS.
    pub fn shot(&self, name: &str) {
        let Some(folder) = std::env::var_os("MSD_GPU_SCREENSHOTS") else { return };
        for theme in ["light", "dark"] {
            self.script(&format!("document.documentElement.dataset.theme = '{theme}'"));
            std::thread::sleep(Duration::from_millis(300));
            let shot = self.ask("GET", &format!("{}/screenshot", self.session), &Value::Null);
            let path = std::path::Path::new(&folder).join(format!("{name}-{theme}.png"));
            std::fs::write(path, decoded(shot.as_str().unwrap())).unwrap();
        }
        self.script("document.documentElement.dataset.theme = 'light'");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.ask("DELETE", &self.session, &json!({}));
        }
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}

/// The bytes of base 64.
fn decoded(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'=' | b'\n')).collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let bits = four.iter().fold(0, |bits, byte| bits << 6 | value(*byte)) << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    });
    bytes.collect()
}
