//! What others measured of the same cases: lines of JSON, as `bench --json` and the scripts of other tools print them.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::Bytes;
use crate::files::read_text;
use crate::{Error, Result};

/// Most bytes of a file, which holds a hundred thousand measurements, and of one of them.
const MOST_BYTES: u64 = 8 << 20;
const MOST_BYTES_OF_LINE: usize = 64 << 10;

/// What was timed, by what makes two measurements comparable.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Key {
    pub what: String,
    #[serde(default = "two")]
    pub dimensions: usize,
    pub size: usize,
    pub depth: usize,
    #[serde(default = "one")]
    pub width: usize,
    #[serde(default = "one")]
    pub batch: usize,
}

fn one() -> usize {
    1
}

fn two() -> usize {
    2
}

/// One measurement of a peer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct PeerRun {
    #[serde(flatten)]
    key: Key,
    /// The tool and its version.
    #[serde(default)]
    peer: String,
    device: String,
    #[serde(default)]
    compiled: Option<bool>,
    seconds: f64,
}

/// The measurements in a file.
pub(super) struct Peers {
    path: PathBuf,
    runs: Vec<PeerRun>,
}

impl Peers {
    /// Reads a file of lines. What it says of single steps is passed over.
    ///
    /// # Errors
    /// [`Error::Input`] with the line that is no measurement, and for files that are too large.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path, MOST_BYTES)?.ok_or_else(|| {
            let problem = format!(
                "has more than {}; give a file of lines of JSON, one a measurement",
                Bytes(MOST_BYTES)
            );
            Error::input(path, problem)
        })?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let mut runs = Vec::new();
        for (index, line) in lines {
            let wrong = |problem: String| {
                Error::input(
                    path,
                    format!(
                        "line {} is no measurement ({problem}); it must be a JSON object with device, what, size, depth and seconds",
                        index + 1
                    ),
                )
            };
            if line.len() > MOST_BYTES_OF_LINE {
                return Err(wrong(format!("it has {} bytes", line.len())));
            }
            let value: Value = serde_json::from_str(line).map_err(|e| wrong(e.to_string()))?;
            if value.get("step").is_some() {
                continue;
            }
            let run: PeerRun = serde_json::from_value(value).map_err(|e| wrong(e.to_string()))?;
            if !(run.seconds.is_finite() && run.seconds > 0.0) {
                return Err(wrong(format!("its seconds are {}", run.seconds)));
            }
            runs.push(run);
        }
        Ok(Self { path: path.to_path_buf(), runs })
    }

    fn matching<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = &'a PeerRun> {
        self.runs.iter().filter(move |run| run.key == *key)
    }

    /// How `seconds` of ours compares, a line for each measurement of the same case.
    pub fn lines(&self, key: &Key, seconds: f64) -> Vec<String> {
        let line = |run: &PeerRun| {
            let name = if run.peer.is_empty() { "a run" } else { &run.peer };
            let compiled = if run.compiled() && !run.peer.contains("compiled") { ", compiled," } else { "" };
            let ratio = run.seconds / seconds;
            let milliseconds = run.seconds * 1e3;
            format!("  {name} on {}{compiled} took {milliseconds:.2} ms: {ratio:.2} times ours", run.device)
        };
        let lines: Vec<String> = self.matching(key).map(line).collect();
        if lines.is_empty() {
            let Key { what, dimensions, size, depth, width, batch } = key;
            let cubed = if *dimensions == 3 { " of volumes" } else { "" };
            let case = format!("{what} at size {size}{cubed}, depth {depth}, width {width}, batch {batch}");
            return vec![format!("  {} has no line for {case}", self.path.display())];
        }
        lines
    }

    /// The same for programs.
    pub fn json(&self, key: &Key, seconds: f64) -> Value {
        let entry = |run: &PeerRun| {
            json!({
                "peer": run.peer, "device": run.device, "compiled": run.compiled(), "seconds": run.seconds,
                "ratio": run.seconds / seconds,
            })
        };
        self.matching(key).map(entry).collect()
    }
}

impl PeerRun {
    /// Whether the peer compiled its network, which some only tell in their names.
    fn compiled(&self) -> bool {
        self.compiled.unwrap_or_else(|| self.peer.ends_with("compiled"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Peers> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peer.json");
        std::fs::write(&path, text).unwrap();
        Peers::read(&path)
    }

    #[test]
    fn lines_of_the_same_case_are_found_and_compared() {
        let line = |peer: &str, size: usize, seconds: f64| {
            format!(
                "{{\"peer\": \"{peer}\", \"what\": \"forward\", \"size\": {size}, \"depth\": 50, \"batch\": 1, \
                 \"device\": \"cpu\", \"padding\": \"reflect\", \"seconds\": {seconds}, \"peak_bytes\": null}}\n"
            )
        };
        let ours = "{\"step\": \"mix\", \"size\": 256, \"seconds\": 1}\n";
        let text = line("torch 2 eager", 256, 3.0) + "\n" + ours + &line("torch 2 compiled", 256, 1.0);
        let peers = read(&(text + &line("torch 2 eager", 512, 9.0))).unwrap();
        let key = Key { what: "forward".into(), dimensions: 2, size: 256, depth: 50, width: 1, batch: 1 };
        let lines = peers.lines(&key, 2.0);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[0], "  torch 2 eager on cpu took 3000.00 ms: 1.50 times ours");
        let json = peers.json(&key, 2.0);
        assert_eq!((json[0]["compiled"].as_bool(), json[1]["compiled"].as_bool()), (Some(false), Some(true)));
        assert_eq!(json[1]["ratio"], 0.5);
        let other = Key { width: 2, ..key };
        assert!(peers.lines(&other, 2.0)[0].contains("no line for forward at size 256, depth 50, width 2"));
        assert_eq!(peers.json(&other, 2.0).as_array().map(Vec::len), Some(0));
    }

    #[test]
    fn lines_that_are_no_measurements_are_named() {
        for (text, part) in [
            ("nonsense", "line 1"),
            ("{\"what\": \"forward\", \"size\": 1, \"depth\": 1, \"seconds\": 1}", "device"),
            (
                "\n{\"what\": \"forward\", \"size\": 1, \"depth\": 1, \"seconds\": 0, \"device\": \"x\"}",
                "line 2",
            ),
        ] {
            let error = read(text).err().unwrap_or_else(|| panic!("{text} was accepted"));
            assert!(error.to_string().contains(part), "{error}");
            assert!(!error.is_failure());
        }
        let long = "[".repeat(100_000) + "\n";
        let error = read(&long).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("line 1 is no measurement (it has 100000 bytes)"), "{error}");
        let error = read(&long.repeat(90)).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("has more than"), "{error}");
    }
}
