//! The registry of models: listed, added to, removed from, and picked from.

use serde_json::Value;

use super::support::{Bench, regression, segmentation};
use super::train::{bench, model};

/// Runs the program with flags that do not go together; it must name one of them.
fn misuses(bench: &Bench, arguments: &str, name: &str) {
    let outcome = bench.run(arguments);
    assert!(outcome.code == 2 && outcome.stderr.contains(name), "{arguments}: {}", outcome.stderr);
}

/// A folder with two models for values, of which one copies its images and one turns them round, and one for classes.
fn with_models() -> Bench {
    let bench = bench();
    bench.model("copy.safetensors", &regression(1, 1));
    let mut other = regression(1, 1);
    other.parameters.iter_mut().for_each(|parameter| *parameter *= -1.0);
    bench.model("negative.safetensors", &other);
    bench.model("classes.safetensors", &segmentation(&[0, 255]));
    bench.succeeds("models --registry kept add copy.safetensors --key energy=20keV --key scintillator=LuAG");
    bench.succeeds("models add negative.safetensors --name turned --key energy=30keV --registry kept");
    bench.succeeds("models add classes.safetensors --key energy=20keV --registry kept");
    bench
}

#[test]
fn models_are_listed_added_and_removed() {
    let bench = with_models();
    let table = bench.succeeds("models --registry kept");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(lines[0].ends_with("trained on") && lines[1].starts_with("classes "), "{table}");
    assert!(lines[2].contains("regress") && lines[2].ends_with("energy=20keV scintillator=LuAG"), "{table}");

    bench.refuses(
        "models --registry kept add negative.safetensors --name copy --key energy=1keV",
        &["--name", "'copy'", "remove that one"],
    );
    bench.refuses("models --registry kept add copy.safetensors --name ../x --key a=1", &["--name", "'../x'"]);
    bench.refuses("models --registry kept add copy.safetensors --name x --key a", &["--key", "'a'"]);
    bench.refuses("models --registry kept add nothing --key a=1", &["nothing"]);
    bench.refuses("models --registry kept remove ..", &["--name", "'..'"]);
    bench.refuses("models --registry kept remove nothing", &["no model 'nothing'"]);
    assert_eq!(bench.names("kept"), ["classes", "copy", "turned"]);

    bench.bytes("kept/turned/entry.toml", b"keys = 3");
    let outcome = bench.run("models --registry kept --json");
    let found: Vec<Value> = outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found.iter().map(|entry| &entry["name"]).collect::<Vec<_>>(), ["classes", "copy"]);
    assert_eq!((&found[1]["keys"]["energy"], &found[1]["channels"]), (&"20keV".into(), &1.into()));
    assert!(outcome.stderr.contains("passed over: kept/turned/entry.toml"), "{}", outcome.stderr);

    bench.succeeds("models remove copy --registry kept");
    assert_eq!(bench.names("kept"), ["classes", "turned"]);
}

#[test]
fn the_nearest_model_is_applied_and_named() {
    let bench = with_models();
    let apply = |more: &str, out: &str| {
        bench.run(&format!("predict val --out {out} --device cpu --from-registry=kept {more}")).stderr
    };
    let said = apply("--key energy=28keV", "registry");
    assert!(said.contains("turned (energy is 30keV and not 28keV)"), "{said}");
    bench.succeeds("predict val --out named --device cpu --model negative.safetensors");
    assert_eq!(bench.read("registry/0.tif"), bench.read("named/0.tif"));
    let said = apply("--key energy=22keV --key scintillator=LuAG", "second");
    assert!(said.contains("copy (energy is 20keV and not 22keV, scintillator is LuAG)"), "{said}");

    let predict = "predict val --out other --device cpu";
    let from = format!("{predict} --from-registry=kept");
    bench.refuses(&format!("{from} --key sample=foam"), &["none of the 3 models", "sample=foam"]);
    misuses(&bench, &from, "--key");
    misuses(&bench, &format!("{from} --key energy=20keV --model copy.safetensors"), "--model");
    bench.refuses(&format!("{predict} --from-registry=nowhere --key energy=20keV"), &["nowhere", "no model"]);
    misuses(&bench, predict, "--model");
    assert!(bench.names("other").is_empty());
    let scores = bench.succeeds(
        "evaluate --images val --targets val_targets --device cpu --from-registry=kept --key energy=30keV --json",
    );
    assert!(scores.contains("psnr"), "{scores}");
}

#[test]
fn a_training_goes_on_from_the_nearest_model_of_its_task_at_a_lower_rate() {
    let bench = with_models();
    let train = "train regress --images images --targets images_targets --device cpu --crop 16 --max-steps 1";
    bench.succeeds(&format!("{train} --finetune-from-registry=kept --key energy=20keV --out picked"));
    assert!(model(&bench, "picked").provenance["started_from"].contains("copy"));
    bench.succeeds(&format!("{train} --finetune copy.safetensors --out named"));
    bench.succeeds(&format!("{train} --init copy.safetensors --out init"));
    bench.succeeds(&format!("{train} --finetune copy.safetensors --lr 0.02 --out rate"));
    let rate = |run: &str| {
        let text = std::fs::read_to_string(bench.path(run).join("config.toml")).unwrap();
        let line = text.lines().find(|line| line.starts_with("lr = ")).unwrap().to_owned();
        line["lr = ".len()..].parse::<f64>().unwrap()
    };
    assert!((rate("named") - rate("init") / 10.0).abs() < 1e-12);
    assert_eq!((rate("picked"), rate("rate")), (rate("named"), 0.02));
    assert_eq!(model(&bench, "named").parameters, model(&bench, "picked").parameters);
    assert_eq!(model(&bench, "named").input, model(&bench, "init").input);
    misuses(
        &bench,
        &format!("{train} --finetune copy.safetensors --init copy.safetensors --out x"),
        "--init",
    );
    bench.refuses(&format!("{train} --finetune nothing --out x"), &["nothing"]);
    misuses(&bench, &format!("{train} --key energy=20keV --out x"), "--finetune-from-registry");
    assert!(bench.names("x").is_empty());
}
