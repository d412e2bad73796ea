//! Every setting, in every place where it can be set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::{CommandFactory, Parser};

use super::*;
use crate::commands::Arguments;
use crate::network::TaskKind;

/// Flags of `train` that are no settings.
const OTHERS: [&str; 13] = [
    "out",
    "resume",
    "new-labels",
    "config",
    "finetune",
    "finetune-from-registry",
    "key",
    "preview-augmentation",
    "no-symmetries",
    "no-tune",
    "help",
    "quiet",
    "verbose",
];
/// The types of the Python module.
const STUB: &str = "python/msd_gpu/__init__.pyi";

/// Flags without anything else.
#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    settings: SettingArguments,
}

fn defaults() -> Settings {
    Settings::new(TaskKind::Segment, "images", "targets")
}

/// A value that is not the default, as text.
fn other_value(setting: &Setting) -> String {
    match setting.kind() {
        ValueKind::Switch => "true".into(),
        ValueKind::Count => "7".into(),
        ValueKind::Whole => "-7".into(),
        ValueKind::Number => "0.125".into(),
        ValueKind::Choice(choices) => choices.last().unwrap().name().into(),
        _ if setting.name() == "loss" => "focal:1.5".into(),
        _ => "-9..4".into(),
    }
}

fn with(setting: &Setting) -> Settings {
    let mut settings = defaults();
    settings.set(setting.name(), &other_value(setting)).unwrap();
    settings
}

/// The value in a table of TOML or JSON.
fn in_table<'a, T>(setting: &Setting, get: impl Fn(Option<&'a T>, &str) -> Option<&'a T>) -> Option<&'a T> {
    match setting.part() {
        Some(part) => get(get(None, part), setting.name()),
        None => get(None, setting.name()),
    }
}

/// What stands in `train --help`, by heading.
fn help() -> BTreeMap<String, String> {
    let mut program = Arguments::command();
    program.build();
    let text = program.find_subcommand_mut("train").unwrap().render_long_help().to_string();
    let mut sections = BTreeMap::new();
    let mut heading = String::new();
    for line in text.lines() {
        match line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            Some(title) => heading = title.to_owned(),
            None => {
                let section: &mut String = sections.entry(heading.clone()).or_default();
                *section += &format!("{}\n", line.trim());
            }
        }
    }
    sections
}

/// Words alone, as lines may break anywhere.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn each_has_a_name_of_its_own_and_help() {
    let names: BTreeSet<_> = Settings::all().map(Setting::name).collect();
    assert_eq!(names.len(), Settings::all().count());
    for setting in Settings::all() {
        assert!(!setting.help().is_empty(), "{}", setting.name());
        assert_eq!(
            setting.value_name().is_empty(),
            setting.kind() == ValueKind::Switch,
            "{}",
            setting.name()
        );
    }
}

#[test]
fn each_has_a_flag_under_its_heading_with_its_help_and_default() {
    let help = help();
    for setting in Settings::all().filter(|setting| setting.name() != POSITIONAL) {
        let section = match setting.heading() {
            Heading::Run => &help["Options"],
            heading => &help[heading.title()],
        };
        let flag = format!("--{}", flag_name(setting));
        let line = match setting.kind() {
            ValueKind::Switch => flag,
            ValueKind::Paths => format!("{flag} <{}>...", setting.value_name()),
            _ => format!("{flag} <{}>", setting.value_name()),
        };
        let after = section.split_once(&format!("{line}\n"));
        let (_, after) = after.unwrap_or_else(|| panic!("no {line} in {section}"));
        let text = words(after.split("\n--").next().unwrap());
        if let Some(default) = setting.described().filter(|_| setting.kind() != ValueKind::Switch) {
            assert!(text.contains(&format!(" [{default}]")), "{line}: {text}");
        }
        // Other settings are shown as flags.
        let start = setting.help();
        let start = start.split('`').next().unwrap();
        assert!(text.starts_with(start.trim_end()), "{line}: {text}");
    }
    assert!(help["Arguments"].starts_with("[TASK]"));
}

#[test]
fn there_are_no_flags_but_those_of_settings_and_of_the_run_itself() {
    let mut program = Arguments::command();
    program.build();
    let train = program.find_subcommand("train").unwrap();
    let found: BTreeSet<String> =
        train.get_arguments().filter_map(Arg::get_long).map(str::to_owned).collect();
    let settings = Settings::all().filter(|setting| setting.name() != POSITIONAL).map(flag_name);
    let of_the_portal: &[&str] =
        if cfg!(feature = "portal") { &["project", "journal", "steps"] } else { &[] };
    let others = OTHERS.iter().chain(of_the_portal).map(|name| (*name).to_owned());
    let wanted: BTreeSet<String> = settings.chain(others).collect();
    assert_eq!(found, wanted);
}

#[test]
fn each_is_set_by_its_flag() {
    let nothing = Flags::parse_from(["train"]).settings;
    let mut unchanged = defaults();
    nothing.override_settings(&mut unchanged).unwrap();
    assert_eq!(unchanged, defaults());
    for setting in Settings::all() {
        let (flag, value) = (format!("--{}", flag_name(setting)), other_value(setting));
        let words = match setting.kind() {
            _ if setting.name() == POSITIONAL => vec![value],
            ValueKind::Switch => vec![flag],
            // A value that begins with a minus sign is no flag only where numbers are expected.
            ValueKind::Path | ValueKind::Paths | ValueKind::Text => vec![format!("{flag}={value}")],
            _ => vec![flag, value],
        };
        let given = Flags::parse_from(["train".to_owned()].into_iter().chain(words)).settings;
        let mut settings = defaults();
        given.override_settings(&mut settings).unwrap();
        assert_ne!(settings, defaults(), "{}", setting.name());
        assert_eq!(settings, with(setting), "{}", setting.name());
    }
}

#[test]
fn each_is_a_key_of_the_configuration_file_that_is_read_back() {
    for setting in Settings::all() {
        let settings = with(setting);
        let text = settings.to_toml().unwrap();
        let table: toml::Table = toml::from_str(&text).unwrap();
        let value = in_table(setting, |inside: Option<&toml::Value>, name| match inside {
            Some(inside) => inside.get(name),
            None => table.get(name),
        });
        assert!(value.is_some(), "{} is not in {text}", setting.name());
        assert_eq!(toml::from_str::<Settings>(&text).unwrap(), settings, "{}", setting.name());
    }
}

/// Programs may keep settings as JSON.
#[test]
fn each_is_read_from_json() {
    for setting in Settings::all() {
        let settings = with(setting);
        let json = serde_json::to_value(&settings).unwrap();
        let value =
            in_table(setting, |inside: Option<&serde_json::Value>, name| inside.unwrap_or(&json).get(name));
        let mut given = serde_json::json!({ "task": "segment", "images": "images", "targets": "targets" });
        match setting.part() {
            Some(part) => given[part][setting.name()] = value.unwrap().clone(),
            None => given[setting.name()] = value.unwrap().clone(),
        }
        assert_eq!(serde_json::from_value::<Settings>(given).unwrap(), settings, "{}", setting.name());
    }
}

/// The type of a setting in Python.
fn python_type(setting: &Setting) -> String {
    match setting.kind() {
        ValueKind::Switch => "bool".into(),
        ValueKind::Count | ValueKind::Whole => "int".into(),
        ValueKind::Number => "float".into(),
        ValueKind::Path => "Path".into(),
        ValueKind::Choice(choices) => {
            let names: Vec<_> = choices.iter().map(|choice| format!("\"{}\"", choice.name())).collect();
            format!("Literal[{}]", names.join(", "))
        }
        _ => "str".into(),
    }
}

/// The parts that settings are in, with the names of their types in Python.
fn parts() -> Vec<(&'static str, String)> {
    let mut parts: Vec<_> = Settings::all().filter_map(Setting::part).collect();
    parts.dedup();
    let class = |part: &str| format!("_{}{}", part[..1].to_uppercase(), &part[1..]);
    parts.into_iter().map(|part| (part, class(part))).collect()
}

/// Checks that `wanted` is what stands in the stub between two comments.
fn check_block(first: &str, last: &str, wanted: &str) {
    let stub = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(STUB)).unwrap();
    let (_, after) = stub.split_once(&format!("{first}\n")).unwrap_or_else(|| panic!("no {first} in {STUB}"));
    let (found, _) = after.split_once(last).unwrap_or_else(|| panic!("no {last} in {STUB}"));
    assert!(found == wanted, "{STUB} must have this between {first} and {last}\n{wanted}");
}

#[test]
fn each_has_a_line_in_the_stub_of_the_python_module() {
    // What is required, and what names files, are parameters of their own, or have no meaning with arrays.
    let keywords = Settings::SETTINGS.iter().filter(|s| !s.is_required() && !s.is_for_files());
    let line = |setting: &Setting| format!("    {}: {} = ...,\n", setting.name(), python_type(setting));
    let parts = parts();
    let part_lines = parts.iter().map(|(part, class)| format!("    {part}: {class} = ...,\n"));
    let wanted: String = keywords.map(line).chain(part_lines).collect();
    let stub = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(STUB)).unwrap();
    let named = Settings::SETTINGS.iter().filter(|s| s.is_required() || s.is_for_files());
    // How files are found and taken has no meaning with arrays.
    let only_files = [
        "pairs",
        "splits",
        "scheme",
        "alone",
        "blind_spot",
        "blind_mask",
        "blind_extent",
        "factor",
        "coarse_blur",
        "coarse_noise",
        "at",
        "fold",
        "folds",
        "axes",
        "target_suffix",
        "channel",
        "slices",
        "slices_of_targets",
        "level",
        "raw",
        "keep_going",
        "cache",
        "slab",
    ];
    for setting in named.filter(|setting| !only_files.contains(&setting.name())) {
        assert!(stub.contains(&format!("    {}: ", setting.name())), "{} is not in {STUB}", setting.name());
    }
    check_block("    # Settings, from the library's list.", "    # End of the settings.", &wanted);
    let classes: Vec<_> = parts
        .iter()
        .map(|(part, class)| {
            let inside = Settings::all().filter(|setting| setting.part() == Some(part));
            let line = |setting: &Setting| format!("    {}: {}\n", setting.name(), python_type(setting));
            format!("class {class}(TypedDict, total=False):\n{}", inside.map(line).collect::<String>())
        })
        .collect();
    check_block(
        "# Parts of the settings, from the library's list.",
        "# End of the parts.",
        &(classes.join("\n") + "\n"),
    );
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_or_its_place() {
    for (line, parts) in [
        ("deepth = 3", vec!["'deepth'", "'depth'"]),
        ("rotate = 3", vec!["'rotate'", "'augmentation'"]),
        ("rotat = 3", vec!["'rotat'", "'rotate' in 'augmentation'"]),
        ("optimization.lr_factor = 3", vec!["'optimization'", "'optimisation'"]),
        ("augmentation.rotat = 3", vec!["'rotat' in 'augmentation'", "'rotate'"]),
        ("something_else = 3", vec!["'something_else'"]),
    ] {
        let text = format!("task = 'segment'\nimages = 'a'\ntargets = 'b'\n{line}");
        let error = toml::from_str::<Settings>(&text).unwrap_err();
        assert!(parts.iter().all(|part| error.message().contains(part)), "{}", error.message());
        assert!(error.span().is_some_and(|span| text[..span.start].matches('\n').count() == 3), "{error}");
    }
    let error = defaults().set("deepth", "3").unwrap_err().to_string();
    assert_eq!(error, "there is no setting 'deepth'; the nearest is 'depth'");
}
