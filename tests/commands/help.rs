//! Help, completions and the manual: they come from the same definitions as the flags.

use crate::support::Bench;

const COMMANDS: [&str; 18] = [
    "demo",
    "devices",
    "doctor",
    "train",
    "predict",
    "watch",
    "serve",
    "evaluate",
    "inspect",
    "models",
    "convert",
    "tomo",
    "import",
    "export",
    "bench",
    "tune",
    "completions",
    "man",
];

#[test]
fn quiet_and_verbose_are_the_last_flags_of_every_help() {
    let bench = Bench::new();
    for command in ["".into()].into_iter().chain(COMMANDS.map(|command| format!("{command} "))) {
        for help in ["-h", "--help"] {
            let text = bench.succeeds(&format!("{command}{help}"));
            let flags: Vec<&str> = text.lines().map(str::trim).filter(|line| line.starts_with('-')).collect();
            let [.., quiet, verbose] = &flags[..] else { panic!("{text}") };
            assert!(quiet.starts_with("-q, --quiet") && verbose.starts_with("-v, --verbose"), "{text}");
        }
    }
}

#[test]
fn the_help_of_train_is_in_order_and_fits_a_narrow_terminal() {
    let mut command = assert_cmd::Command::cargo_bin("msd-gpu").unwrap();
    let output = command.args(["train", "--help"]).env("COLUMNS", "80").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let headings: Vec<&str> =
        text.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
    let wanted = [
        "Arguments",
        "Options",
        "Data",
        "Network",
        "When to stop",
        "Optimisation",
        "Augmentation",
        "Device",
        "Messages",
    ];
    assert_eq!(headings.len(), wanted.len(), "{headings:?}");
    for (heading, wanted) in headings.iter().zip(wanted) {
        assert!(heading.starts_with(wanted), "{headings:?}");
    }
}

#[test]
fn completions_of_every_shell_know_all_commands_and_settings() {
    let bench = Bench::new();
    for (shell, signs) in [
        ("bash", ["complete -F", "symmetric zeros"]),
        ("zsh", ["#compdef msd-gpu", "symmetric"]),
        ("fish", ["complete -c msd-gpu", "symmetric"]),
        // These two do not complete values.
        ("elvish", ["edit:completion", ""]),
        ("powershell", ["Register-ArgumentCompleter", ""]),
    ] {
        let script = bench.succeeds(&format!("completions {shell}"));
        for part in COMMANDS.into_iter().chain(signs).chain(["val-fraction", "no-symmetries"]) {
            assert!(script.contains(part), "{shell} has no {part}");
        }
    }
    let outcome = bench.run("completions csh");
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("powershell"), "{}", outcome.stderr);
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let bench = Bench::new();
    // Lines of roff, in which hyphens are written with a backslash.
    let page = |arguments: &str| bench.succeeds(arguments).replace("\\-", "-");
    let program = page("man");
    assert!(program.lines().any(|line| line.starts_with(".TH msd-gpu 1 ")), "{program}");
    for command in COMMANDS {
        assert!(program.contains(&format!("msd-gpu-{command}(1)")), "{command} is not in {program}");
        assert!(page(&format!("man {command}")).contains(&format!(".TH msd-gpu-{command} 1 ")));
    }
    let train = page("man train");
    for part in [".SH NETWORK", ".SH \"WHEN TO STOP\"", "--val-fraction", "--quiet", "[1..10]"] {
        assert!(train.contains(part), "{part} is not in {train}");
    }
    bench.refuses("man trian", &["'trian'", "train"]);
    bench.succeeds("man --out pages");
    let names = bench.names("pages");
    assert_eq!(names.len(), 1 + COMMANDS.len());
    assert!(COMMANDS.iter().all(|command| names.contains(&format!("msd-gpu-{command}.1"))), "{names:?}");
    let written = std::fs::read_to_string(bench.path("pages/msd-gpu-train.1")).unwrap();
    assert_eq!(written.trim_end(), bench.succeeds("man train").trim_end());
}

#[test]
fn flags_refuse_what_they_cannot_take() {
    let bench = Bench::new();
    let train = "train segment --images images --targets labels --out run";
    for (flag, value) in [
        ("--depth", "x"),
        ("--seed", "1.5"),
        ("--lr", "fast"),
        ("--ignore", "none"),
        ("--boundary", "mirror"),
        ("--monitor", "Loss"),
        ("--val-fraction", "1/4"),
    ] {
        let outcome = bench.run(&format!("{train} {flag} {value}"));
        assert_eq!(outcome.code, 2, "{}", outcome.stderr);
        let start = format!("error: invalid value '{value}' for '{flag} <");
        assert!(outcome.stderr.starts_with(&start), "{}", outcome.stderr);
    }
    // What looks like a number is told by the command itself what it should be.
    for (flag, value, found) in [
        ("--lr", "-1", "-1"),
        ("--lr", "nan", "NaN"),
        ("--rotate", "-3", "-3"),
        ("--ema", "-0.5", "-0.5"),
        ("--loss", "l3", "'l3'"),
    ] {
        bench.refuses(&format!("{train} {flag} {value}"), &[&format!("{flag} is {found}, but ")]);
    }
    let outcome = bench.run("train --resume run --init model");
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("--init is given beside --resume"), "{}", outcome.stderr);
    assert!(bench.names("run").is_empty());
}

#[test]
fn a_mistyped_setting_of_a_file_is_told_the_nearest() {
    let bench = Bench::new();
    for (line, parts) in [
        ("detph = 3", ["'detph'", "'depth'"]),
        ("noise = 0.1", ["'noise'", "'augmentation'"]),
        ("[augmentation]\nnoize = 0.1", ["'noize'", "'noise'"]),
    ] {
        let start = "task = 'segment'\nimages = 'a'\ntargets = 'b'";
        bench.bytes("wrong.toml", format!("{start}\n{line}\n").as_bytes());
        let number = format!("line {}", 3 + line.lines().count());
        bench.refuses("train --config wrong.toml --out x", &["wrong.toml", &number, parts[0], parts[1]]);
    }
}
