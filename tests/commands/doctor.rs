//! The command that says whether GPUs work: on the CPU and on the software Vulkan of the machine that runs the tests.

use assert_cmd::Command;
use serde_json::Value;

/// How a run ended: exit code, standard output, standard error.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("msd-gpu").unwrap();
    command.arg("doctor").args(arguments).env_remove("RUST_LOG").envs(environment.iter().copied());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn json(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, Value) {
    let (code, text, errors) = run(&[arguments, &["--json", "--seconds", "1"]].concat(), environment);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1, "{text}{errors}");
    (code, serde_json::from_str(lines[0]).unwrap())
}

/// Every device passes, in every variant, and says how closely.
#[test]
fn all_devices_are_checked_in_one_object() {
    let (code, found) = json(&[], &[]);
    assert_eq!(code, 0, "{found:#}");
    let devices = found["devices"].as_array().unwrap();
    let kinds: Vec<&str> = devices.iter().map(|device| device["kind"].as_str().unwrap()).collect();
    assert!(
        kinds.contains(&"cpu") && kinds.iter().any(|kind| *kind != "cpu"),
        "no GPU was found; install lavapipe"
    );
    for device in devices {
        assert_eq!(device["works"], true, "{device:#}");
        let rows = device["checks"].as_array().unwrap();
        if device["kind"] != "cpu" {
            let variants: Vec<&Value> = rows.iter().map(|row| &row["variant"]).collect();
            assert_eq!(variants, ["unchecked", "checked"]);
            assert!(
                device["measured"]["limits"]["binding_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20)
            );
        }
        for row in rows {
            assert!(row["networks"][0].as_u64().is_some_and(|done| done >= 4), "{row}");
            for (name, most) in [("forward", 5e-6), ("gradients", 1e-5)] {
                assert!(row[name].as_f64().is_some_and(|error| error > 1e-9 && error <= most), "{row}");
            }
        }
        for name in ["peak_gflops", "peak_gbytes_per_second", "step_seconds", "fraction_of_peak"] {
            assert!(device["measured"][name].as_f64().is_some_and(|value| value > 0.0), "{device:#}");
        }
    }
    // What is missing is said where hardware is, and nowhere else.
    assert_eq!(found["findings"].as_array().unwrap().is_empty(), kinds.contains(&"gpu"), "{found:#}");
    assert_eq!(found["works"], true);
}

/// Without any driver the CPU is checked, and the variable that leaves all drivers out is named.
#[test]
fn a_variable_that_names_no_driver_is_found() {
    let (code, found) = json(&[], &[("VK_DRIVER_FILES", "/nonexistent")]);
    assert_eq!(code, 0);
    assert_eq!(found["devices"].as_array().map(Vec::len), Some(1), "{found:#}");
    assert_eq!(
        (&found["devices"][0]["kind"], &found["variables"]["VK_DRIVER_FILES"]),
        (&"cpu".into(), &"/nonexistent".into())
    );
    if cfg!(target_os = "linux") {
        let findings = found["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["piece"] == "no_manifest").unwrap();
        assert!(finding["what"].as_str().unwrap().contains("/nonexistent"), "{finding}");
        assert_eq!(finding["mend"][0], "unset VK_DRIVER_FILES");
    }
    let (code, _, errors) =
        run(&["--device", "gpu", "--seconds", "1"], &[("VK_DRIVER_FILES", "/nonexistent")]);
    assert_eq!(code, 2, "{errors}");
    assert!(errors.lines().last().unwrap().starts_with("error: no device matches 'gpu'"), "{errors}");
}

#[test]
fn people_read_a_table_and_paste_a_report() {
    let (code, text, errors) = run(&["--device", "cpu", "--seconds", "1"], &[]);
    assert_eq!(code, 0, "{errors}");
    for part in
        ["Devices\n", "Memory and limits\n", "GFLOP/s", "against float64", "networks", "right", "--report"]
    {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let lines_fit = text.lines().all(|line| line.chars().count() <= 80);
    assert!(lines_fit, "{text}");
    let variables = [("VK_LOADER_DEBUG", "none"), ("UNRELATED", "secret")];
    let (code, text, errors) = run(&["--device", "cpu", "--seconds", "1", "--report"], &variables);
    assert_eq!(code, 0, "{errors}");
    assert!(
        text.starts_with("```\n") && text.ends_with("```\n") && text.contains("VK_LOADER_DEBUG=none"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
    assert!(text.contains(concat!("msd-gpu ", env!("CARGO_PKG_VERSION"), " on ")), "{text}");
}
