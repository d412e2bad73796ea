//! Projects of the portal: what is in their folders, what they take over from other programs, and what the server is asked.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use msd_gpu::portal::{Options, Project, Server};
use sha2::{Digest, Sha256};

use super::{in_folder, put, smallest, unpacked};

/// The file of a project.
pub fn project(bytes: &[u8]) {
    in_folder(bytes, "project.toml", &[], |folder| {
        put(&folder.join("journal.jsonl"), &[]);
        let _ = Project::as_of(folder, "");
    });
}

/// The journal of a project, which opening it reads.
pub fn journal(bytes: &[u8]) {
    in_folder(bytes, "journal.jsonl", &["a.png"], as_project);
}

/// The entries of a journal, a line each without its hash, to which the right one is added.
pub fn strokes(bytes: &[u8]) {
    journal(&chained(bytes));
}

/// The lines of a journal with their hashes.
fn chained(bytes: &[u8]) -> Vec<u8> {
    let (mut before, mut chained) = (String::new(), Vec::new());
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| line.ends_with(b"}")) {
        let hash = Sha256::new().chain_update(&before).chain_update(line).finalize();
        before = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        chained.extend_from_slice(&line[..line.len() - 1]);
        chained.extend(format!(",\"hash\":\"{before}\"}}\n").bytes());
    }
    chained
}

/// What `project.toml` says of a project with an image of 4 x 6 pixels in so many slices.
fn about(slices: usize) -> String {
    format!(
        r#"
        version = 1
        name = "p"
        next_image = 2
        [[images]]
        id = "i1"
        name = "a"
        path = "a.png"
        came = "copied"
        width = 6
        height = 4
        slices = {slices}
        channels = 1
        lowest = 0.0
        highest = 255.0
        low = 0.0
        high = 255.0
    "#
    )
}

/// The project in a folder with a journal.
fn as_project(folder: &Path) {
    put(&folder.join("project.toml"), about(1).as_bytes());
    let Ok(project) = Project::as_of(folder, "") else { return };
    for image in project.images() {
        let _ = project.labels(&image.id, 0);
        let _ = project.strokes(&image.id, 0);
        let _ = project.labelled(&image.id);
        let _ = project.painted_slices(&image.id);
    }
    let _ = project.drawn_of_classes();
}

/// A project in a folder, with two classes and a stroke in an image of so many slices.
fn in_project(slices: usize, read: impl Fn(&Path)) {
    const ENTRIES: &str = r##"{"seq":1,"tab":"t","op":"class","class":0,"name":"void","colour":"#e6550d","locked":false,"removed":false}
{"seq":2,"tab":"t","op":"class","class":1,"name":"fibre","colour":"#3182bd","locked":false,"removed":false}
{"seq":3,"tab":"t","op":"stroke","image":"i1","slice":0,"class":1,"size":2.5,"points":[[1.5,2.3]],"depth":0,"range":null}
"##;
    in_folder(about(slices).as_bytes(), "project.toml", &["a.png"], |folder| {
        put(&folder.join("journal.jsonl"), &chained(ENTRIES.as_bytes()));
        read(folder);
    });
}

/// Labels that were painted in another program, such as Labkit or ilastik.
pub fn painted(bytes: &[u8]) {
    for slices in [1, 3] {
        in_project(slices, |folder| {
            let path = folder.join("painted");
            put(&path, bytes);
            let project = Project::open(folder, &[]).expect("the project is whole");
            for values in ["", "1:void,2:none"] {
                let _ = project.lay_over("i1", &path, values);
            }
        });
    }
}

/// What the folder of a project says of the files of labels that were written.
pub fn written(bytes: &[u8]) {
    in_project(1, |folder| {
        put(&folder.join("labels/.written.json"), bytes);
        let project = Project::open(folder, &[]).expect("the project is whole");
        project.write_changed_labels().expect("the folder takes labels");
    });
}

/// The file of a job, with the model that it applies and one result.
pub fn job(bytes: &[u8]) {
    in_project(1, |folder| {
        let job = folder.join("results/j1");
        put(&job.join("job.json"), bytes);
        put(&job.join("model.safetensors"), &smallest().to_bytes().expect("the network is whole"));
        put(&job.join("i1.png"), &fs::read(folder.join("a.png")).expect("the image is there"));
        let asked = ["jobs", "jobs/j1/files/i1.png", "jobs/j1/files/a", "images/i1/0/jobs/j1/0/0/0"];
        let asked = asked.map(|address| format!("GET /api/{address}"));
        answer(folder, &asked.each_ref().map(|line| (line.as_str(), &b""[..])));
    });
}

/// Requests to the server, packed as [`pack`](super::pack) does: methods and addresses with the bodies.
pub fn requests(bytes: &[u8]) {
    /// Most requests to one server.
    const MOST: usize = 12;
    // These train, for as long as it takes.
    let takes_long =
        |line: &str| ["/api/training", "/api/sample"].iter().any(|address| line.contains(address));
    let lines = unpacked(bytes).into_iter().filter(|(line, _)| !takes_long(line)).take(MOST);
    let lines: Vec<_> = lines.collect();
    if !lines.is_empty() {
        in_project(1, |folder| answer(folder, &lines));
    }
}

/// Has a server of the project in a folder answer requests: methods and addresses with the bodies.
fn answer(folder: &Path, requests: &[(&str, &[u8])]) {
    /// The longest that is waited for an answer.
    const PATIENCE: Duration = Duration::from_secs(5);
    let options = Options {
        project: folder.to_path_buf(),
        listen: "127.0.0.1:0".into(),
        allow: vec![folder.to_path_buf()],
        device: "cpu".into(),
    };
    let server = Server::open(&options).expect("the project is whole");
    let link = server.link();
    let address = link.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let (sender, answered) = channel::<()>();
    std::thread::scope(|scope| {
        let ask = move || {
            for (line, body) in requests {
                let Ok(mut stream) = TcpStream::connect(&address) else { continue };
                let head = format!(
                    "{line} HTTP/1.1\r\nHost: {address}\r\nX-Msd-Gpu: 1\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let is_sent = stream.set_read_timeout(Some(PATIENCE)).is_ok()
                    && stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).is_ok();
                if is_sent {
                    let _ = stream.read_to_end(&mut Vec::new());
                }
            }
            drop(sender);
        };
        scope.spawn(ask);
        // Ends when all was asked.
        let _ = server.run(move || answered.recv().is_err());
    });
}
