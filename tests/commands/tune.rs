//! `tune`, and what the other commands make of its result.

use super::support::{Bench, Outcome};
use super::train::{bench, model, segment};

const CACHE: &str = ".cache/tuning.toml";
const TRAIN: &str = "--depth 3 --device gpu --crop 16 --lr 0.01 --ema 0.9";

/// The tiles that the run was made with, as its checkpoint tells.
fn tiles(bench: &Bench, run: &str) -> Option<String> {
    let file = std::fs::read(bench.path(&format!("{run}/checkpoint.safetensors"))).unwrap();
    let text = String::from_utf8_lossy(&file).into_owned();
    let from = text.find("convolve_rows=")?;
    Some(text[from..].chars().take_while(|c| !"\\\"".contains(*c)).collect())
}

fn cache(bench: &Bench) -> toml::Table {
    std::fs::read_to_string(bench.path(CACHE)).unwrap().parse().unwrap()
}

#[test]
fn what_is_found_is_kept_used_and_stays_with_its_run() {
    let bench = bench();
    let run = |more: &str| bench.succeeds(&segment(&format!("{TRAIN} {more}")));
    run("--max-steps 2 --out before");
    assert!(!bench.path(CACHE).exists(), "a search without being asked, where CI is set");
    let safe = tiles(&bench, "before").unwrap();

    let text = bench.succeeds("tune --device gpu --size 16 --depth 3 --seconds 0.01 --json");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, trials) = lines.split_last().unwrap();
    assert!(trials.iter().all(|t| t["field"].is_string() && t["seconds"].as_f64() > Some(0.0)), "{text}");
    assert!(last["seconds"].as_f64() > Some(0.0) && last["driver"].is_string(), "{text}");
    assert!(last["kept_in"].as_str().unwrap().ends_with("tuning.toml"));
    let kept = last["kept"].as_str().unwrap();
    let table = cache(&bench);
    assert_eq!(table["tuned"][0]["tuning"].as_str(), Some(kept));
    assert_eq!(table["tuned"][0]["adapter"].as_str(), last["device"].as_str());

    // Another one than by default, as a search may or may not find.
    let chosen = kept.replace("block=10", "block=5").replace("gradient_rows=4", "gradient_rows=1");
    let write = |tuning: &str| {
        let text = std::fs::read_to_string(bench.path(CACHE)).unwrap();
        let old = cache(&bench)["tuned"][0]["tuning"].as_str().unwrap().to_owned();
        bench.bytes(CACHE, text.replace(&old, tuning).as_bytes());
    };
    write(&chosen);
    run("--max-steps 9 --out whole");
    run("--max-steps 4 --out parts");
    run("--max-steps 2 --no-tune --out untuned");
    assert_eq!(tiles(&bench, "whole").unwrap(), chosen);
    assert_eq!(tiles(&bench, "untuned").unwrap(), safe);

    // A run goes on with the tiles that it was begun with, whatever is found later: to the same bits.
    write(&safe);
    bench.succeeds("train --resume parts --max-steps 9");
    assert_eq!(tiles(&bench, "parts").unwrap(), chosen);
    assert_eq!(model(&bench, "whole").parameters, model(&bench, "parts").parameters);
    // On the CPU there are none.
    bench.succeeds("train --resume parts --max-steps 10 --device cpu");
    assert_eq!(tiles(&bench, "parts"), None);

    // A file that is damaged, or names what there is not, is told of and ignored.
    for damage in
        ["no file of tunings", &std::fs::read_to_string(bench.path(CACHE)).unwrap().replace("=8", "=3")]
    {
        bench.bytes(CACHE, damage.as_bytes());
        let Outcome { code, stderr, .. } =
            bench.run("predict --model whole images/0.tif --out out --device gpu");
        assert_eq!((code, stderr.contains("ignored")), (0, damage.len() < 30), "{stderr}");
        run("--max-steps 1 --out damaged");
        assert_eq!(tiles(&bench, "damaged").unwrap(), safe);
        std::fs::remove_dir_all(bench.path("damaged")).unwrap();
    }
}

#[test]
fn the_table_is_for_people_and_the_cpu_has_nothing_to_tune() {
    let bench = Bench::new();
    let text = bench.succeeds("tune --device gpu --size 16 --depth 2 --seconds 0");
    for part in ["defaults", "ms", "--seconds", "Fastest: convolve_rows=", "Kept in", "tuning.toml"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(bench.succeeds("tune --device cpu").contains("nothing to tune"));
    let line: serde_json::Value = serde_json::from_str(&bench.succeeds("tune --device cpu --json")).unwrap();
    assert!(line["kept"].is_null() && line["backend"] == "cpu");
    bench.refuses("tune --device gpu --size 0", &["size"]);
    bench.refuses("tune --device gpu --depth 0", &["--depth"]);
    bench.refuses("tune --device gpu --batch 0", &["--batch"]);
    bench.refuses("tune --device gpu --size 4000000000", &["image size"]);
    for seconds in ["-1", "nan", "inf"] {
        bench.refuses(&format!("tune --device gpu --seconds {seconds}"), &["--seconds"]);
    }
    bench.refuses("bench --device gpu --size 16 --depth 2 --tiles block=0", &["--tiles", "msd-gpu tune"]);
    bench.refuses("bench --device cpu --size 16 --depth 2 --tiles block=0", &["--tiles", "for GPUs"]);
    // A place that takes no file is found before anything is timed.
    std::fs::remove_dir_all(bench.path(".cache")).unwrap();
    bench.bytes(".cache", b"x");
    bench.refuses("tune --device gpu --size 16 --depth 2 --seconds 0", &["tuning.toml"]);
}
