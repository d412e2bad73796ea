//! What was found out.

use serde_json::{Value, json};

use super::parts::{Answer, Part};
use crate::doctor::{Finding, Machine};

/// All of it.
pub(super) struct Outcome {
    pub machine: Machine,
    /// Variables of the environment that decide about drivers.
    pub variables: Vec<(String, Value)>,
    /// The index of the device that was asked for, or that is taken where nobody asks.
    pub wanted: Option<usize>,
    /// Whether one was asked for.
    pub asked_for: bool,
    pub devices: Vec<ShownDevice>,
    /// The devices that show, also where others are not asked for: `0: CPU, 2 threads, AVX2`.
    pub shown: Vec<String>,
    pub findings: Vec<Finding>,
}

impl Outcome {
    /// Whether some device passes all its checks.
    pub fn works(&self) -> bool {
        self.devices.iter().any(|device| device.problem().is_none())
    }
}

/// A device that shows.
pub(super) struct ShownDevice {
    pub index: usize,
    pub name: String,
    pub backend: String,
    /// `cpu`, `gpu` or `software`.
    pub kind: String,
    pub driver: String,
    /// The known fault of its driver, in words that follow its name.
    pub fault: Option<String>,
    /// What it allows and how fast it is, once that was measured.
    pub measured: Option<Answer>,
    /// What was checked.
    pub rows: Vec<Row>,
    /// The first step that goes wrong, where that was asked for.
    pub bisected: Option<Answer>,
}

/// A variant to check.
pub(super) struct Variant {
    pub name: String,
    pub part: Part,
    /// What the CPU is to be run with.
    pub instructions: Option<&'static str>,
}

/// How a variant of a device was checked.
pub(super) struct Row {
    pub variant: String,
    pub said: Answer,
}

impl Row {
    /// What went wrong.
    pub fn problem(&self) -> Option<String> {
        match &self.said {
            Ok(said) => said["difference"].as_str().map(str::to_owned),
            Err(problem) => Some(problem.clone()),
        }
    }

    /// Two numbers: what agreed, and what there is.
    pub fn counts(&self, name: &str) -> Option<(u64, u64)> {
        let pair = &self.said.as_ref().ok()?[name];
        Some((pair[0].as_u64()?, pair[1].as_u64()?))
    }

    pub fn number(&self, name: &str) -> Option<f64> {
        self.said.as_ref().ok()?[name].as_f64()
    }

    fn json(&self) -> Value {
        let mut all =
            json!({ "variant": self.variant, "right": self.problem().is_none(), "problem": self.problem() });
        for name in ["networks", "tiles", "others", "forward", "gradients"] {
            all[name] = self.said.as_ref().map(|said| said[name].clone()).unwrap_or_default();
        }
        all
    }
}

/// `AVX2` of `CPU, 2 threads, AVX2`.
fn last_part(name: &str) -> &str {
    name.rsplit(", ").next().unwrap_or(name)
}

impl ShownDevice {
    /// What a list of devices holds.
    pub fn all(said: &Value) -> Vec<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let devices = said["devices"].as_array().into_iter().flatten();
        let seen = |device: &Value| Self {
            index: device["index"].as_u64().unwrap_or_default() as usize,
            name: text(&device["name"]),
            backend: text(&device["backend"]),
            kind: text(&device["kind"]),
            driver: text(&device["driver"]),
            fault: device["fault"].as_str().map(str::to_owned),
            measured: None,
            rows: Vec::new(),
            bisected: None,
        };
        devices.map(seen).collect()
    }

    /// The CPU, where no list of devices can be had.
    pub fn of_cpu() -> Self {
        let info = crate::devices::Device::cpu().info;
        Self {
            index: 0,
            name: info.name,
            backend: info.backend,
            kind: "cpu".into(),
            driver: info.driver,
            fault: None,
            measured: None,
            rows: Vec::new(),
            bisected: None,
        }
    }

    pub fn is_cpu(&self) -> bool {
        self.kind == "cpu"
    }

    pub fn is_hardware(&self) -> bool {
        self.kind == "gpu"
    }

    /// How another process is told which device it is.
    pub fn argument(&self) -> String {
        if self.is_cpu() { "cpu".into() } else { self.index.to_string() }
    }

    /// The variants to check: of a GPU, kernels without run-time checks and with them; of the CPU, its instructions and those of
    /// older processors.
    pub fn variants(&self) -> Vec<Variant> {
        let variant = |name: &str, part, instructions| Variant { name: name.into(), part, instructions };
        if !self.is_cpu() {
            return vec![
                variant("unchecked", Part::Check, None),
                variant("checked", Part::CheckChecked, None),
            ];
        }
        let own = last_part(&self.name);
        let older: &[(&str, &str)] = match own {
            _ if std::env::var_os("MSD_GPU_INSTRUCTIONS").is_some() => &[],
            "AVX-512" => &[("AVX2", "avx2"), ("baseline", "baseline")],
            "AVX2" => &[("baseline", "baseline")],
            _ => &[],
        };
        let older = older.iter().map(|&(name, wish)| variant(name, Part::Check, Some(wish)));
        std::iter::once(variant(own, Part::Check, None)).chain(older).collect()
    }

    /// What went wrong first.
    pub fn problem(&self) -> Option<String> {
        if let Some(Err(problem)) = &self.measured {
            return Some(problem.clone());
        }
        if self.rows.is_empty() {
            return Some("nothing was checked".into());
        }
        self.rows.iter().find_map(Row::problem)
    }

    pub fn json(&self) -> Value {
        json!({
            "index": self.index, "name": self.name, "backend": self.backend, "kind": self.kind, "driver": self.driver,
            "fault": self.fault, "measured": self.measured.as_ref().and_then(|said| said.as_ref().ok()),
            "checks": self.rows.iter().map(Row::json).collect::<Vec<_>>(), "problem": self.problem(),
            "bisected": self.bisected.as_ref().and_then(|said| said.as_ref().ok()), "works": self.problem().is_none(),
        })
    }
}
