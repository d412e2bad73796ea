//! Texts that say what cannot be, or far more than they should: those that people write, and those that programs leave.

use crate::lies::Files;
use crate::readers::pack;

/// The name of a reader, and what makes such texts for it.
type Lies = (&'static str, fn() -> Files);

/// Those of all readers of texts.
pub const ALL: &[Lies] = &[
    ("angles", angles),
    #[cfg(feature = "cli")]
    ("denoising", toml),
    ("description", description),
    ("history", history),
    #[cfg(feature = "portal")]
    ("job", job),
    #[cfg(feature = "portal")]
    ("labkit", labkit),
    ("machine", machine),
    ("options", options),
    ("pairs", pairs),
    #[cfg(feature = "portal")]
    ("project", toml),
    ("raw_form", raw_form),
    ("reconstruction", reconstruction),
    ("settings", toml),
    #[cfg(feature = "cli")]
    ("timings", timings),
    #[cfg(feature = "gpu")]
    ("tunings", toml),
    ("unfinished", unfinished),
    ("watch", watch),
    #[cfg(feature = "portal")]
    ("written", written),
    ("zarr", zarr),
];

fn named(texts: impl IntoIterator<Item = (&'static str, String)>) -> Files {
    texts.into_iter().map(|(what, text)| (what.to_owned(), text.into_bytes())).collect()
}

/// As [`named`], each text packed as files of these names.
fn packed(texts: impl IntoIterator<Item = (&'static str, String)>, names: &[&str]) -> Files {
    let all = |text: &str| {
        let files: Vec<_> = names.iter().map(|name| (*name, text.as_bytes())).collect();
        pack(&files)
    };
    texts.into_iter().map(|(what, text)| (what.to_owned(), all(&text))).collect()
}

/// What `text` gives for each of so many numbers.
fn numbered(count: u32, text: impl Fn(u32) -> String) -> String {
    (0..count).map(text).collect()
}

fn nested_lists() -> (&'static str, String) {
    ("lists inside lists", "[".repeat(1 << 20))
}

fn toml() -> Files {
    named([
        ("tables inside tables", format!("[a{}]\n", ".a".repeat(100_000))),
        ("keys inside keys", format!("a{} = 1\n", ".a".repeat(100_000))),
        ("lists inside lists", format!("dilations = {}", "[".repeat(200_000))),
        ("tables in lists inside each other", format!("images = {}", "[{a=".repeat(100_000))),
        ("very many keys", numbered(20_000, |n| format!("k{n} = 1\n"))),
        ("very many tables", numbered(20_000, |n| format!("[t{n}]\n"))),
        ("a text without an end", format!("images = \"{}", "a".repeat(1 << 20))),
        ("a number of very many digits", format!("depth = {}", "9".repeat(1 << 20))),
        ("as much as is read", "#".repeat(4 << 20)),
    ])
}

fn rows(first: &str, row: &str, count: usize) -> String {
    format!("{first}\n{}", row.repeat(count))
}

fn history() -> Files {
    let epochs = "epoch,step,minutes,training_loss,validation_loss,psnr,ssim,learning_rate,best";
    named([
        ("very many epochs", rows(epochs, "1,1,,,,,,,\n", 1_200_000)),
        ("as many epochs as are read", rows(epochs, "1,1,,,,,,,\n", 131_072)),
        ("an epoch of very many columns", rows(epochs, &"1,".repeat(1 << 20), 1)),
        ("more than is read", "1".repeat(20 << 20)),
    ])
}

fn pairs() -> Files {
    let pairs = |row: &str, count: usize| rows("image,target", row, count);
    named([
        ("very many columns", ",".repeat(1 << 20)),
        ("quotes without an end", pairs("\"a", 1 << 18)),
        ("a name of very many letters", pairs(&"a".repeat(1 << 20), 1)),
        ("patterns of everything", pairs("*,*\n", 5000)),
        ("stars behind stars", pairs(&format!("{},b.png\n", "*".repeat(5000)), 1)),
        ("folders inside folders", pairs(&format!("{}a.png,b.png\n", "**/".repeat(5000)), 1)),
        ("a folder above all", pairs(&format!("{}*,b.png\n", "../".repeat(2000)), 1)),
    ])
}

fn angles() -> Files {
    named([
        ("very many angles", "0\n".repeat(1 << 20)),
        ("as many angles as are read", "0\n".repeat(8 << 20)),
        ("a line of very many columns", "1,".repeat(1 << 20)),
        ("a number of very many digits", "9".repeat(1 << 20)),
        ("numbers that are none", "1e999999999\n".repeat(1 << 16)),
        ("more than is read", "#".repeat(20 << 20)),
    ])
}

fn raw_form() -> Files {
    named([
        ("a size of very many digits", format!("{}x4:u8", "9".repeat(1 << 20))),
        ("very many sides", format!("4{}:u8", "x4".repeat(1 << 18))),
        ("more numbers than can be counted", "18446744073709551615x18446744073709551615:f64".into()),
        ("very many slices of nothing", "1x1x9223372036854775807:u8".into()),
    ])
}

fn options() -> Files {
    named([
        ("very many slices", "0,".repeat(1 << 19) + "0"),
        ("very many axes", "Z".repeat(1 << 20)),
        ("a length of very many digits", format!("Z{}YX", "9".repeat(1 << 20))),
        ("a number of very many digits", "9".repeat(1 << 20)),
    ])
}

#[cfg(feature = "cli")]
fn timings() -> Files {
    let timing = |more: &str| {
        format!("{{{more}\"device\":\"\",\"what\":\"\",\"size\":1,\"depth\":1,\"seconds\":1}}\n")
    };
    named([
        ("a list of very many numbers", format!("[{}0]", "0,".repeat(4 << 20))),
        ("very many small objects", format!("[{}0]", r#"{"":0},"#.repeat(1 << 20))),
        nested_lists(),
        ("very many measurements", timing("").repeat(1 << 16)),
        ("a measurement of very many other things", timing(&r#""x":0,"#.repeat(1 << 20))),
        ("more than is read", " ".repeat(20 << 20)),
    ])
}

fn watch() -> Files {
    let done = |n| format!("{{\"image\":\"{n}\",\"bytes\":1,\"modified\":1}}\n");
    named([
        ("a line without an end", "a".repeat(16 << 20)),
        ("very many images", numbered(1 << 15, done)),
        nested_lists(),
    ])
}

fn reconstruction() -> Files {
    named([("very many slabs", "1\n".repeat(1 << 20)), ("a line without an end", "1".repeat(16 << 20))])
}

fn description() -> Files {
    let objects = r#"{"":0},"#.repeat(1 << 20);
    named([
        ("very many small objects", format!(r#"{{"training":[{objects}0]}}"#)),
        ("very many labels that are none", format!(r#"{{"labels":{{"a":[{objects}0]}}}}"#)),
        (
            "very many labels",
            format!(r#"{{"labels":{{{}"":0}}}}"#, numbered(1 << 20, |n| format!("\"{n}\":0,"))),
        ),
        nested_lists(),
    ])
}

#[cfg(feature = "portal")]
fn job() -> Files {
    named([
        ("very many images", format!(r#"{{"job":"j1","images":[{}""]}}"#, r#""","#.repeat(1 << 20))),
        nested_lists(),
        ("a name of very many letters", format!(r#"{{"job":"{}"}}"#, "a".repeat(16 << 20))),
    ])
}

#[cfg(feature = "portal")]
fn written() -> Files {
    let images = numbered(1 << 17, |n| format!(r#""{n}":{{"seq":{n},"hash":""}},"#));
    named([
        ("very many images", format!(r#"{{{images}"":{{"seq":1,"hash":""}}}}"#)),
        ("more than is read", " ".repeat(20 << 20)),
    ])
}

#[cfg(feature = "portal")]
fn labkit() -> Files {
    let zeros = "0,".repeat(1 << 20);
    let pixels = "[0,0],".repeat(1 << 18);
    let colours = numbered(1 << 17, |n| format!("\"{n}\":\"\","));
    named([
        ("very many axes", format!(r#"{{"interval":{{"min":[{zeros}0],"max":[0]}},"labels":{{}}}}"#)),
        ("a pixel of very many axes", format!(r#"{{"labels":{{"a":[[{zeros}0]]}}}}"#)),
        ("very many labels", format!(r#"{{"labels":{{{}"":[]}}}}"#, r#""a":[],"#.repeat(1 << 20))),
        ("very many colours", format!(r#"{{"colors":{{{colours}"":""}},"labels":{{}}}}"#)),
        (
            "the same pixel very often",
            format!(r#"{{"interval":{{"min":[0,0],"max":[5,3]}},"labels":{{"void":[{pixels}[0,0]]}}}}"#),
        ),
        ("lists inside lists", format!("{{\"labels\":{}", "[".repeat(1 << 20))),
    ])
}

fn unfinished() -> Files {
    let group = |attributes: String| format!(r#"{{"attributes":{attributes}}}"#);
    let texts = [
        ("a list of very many numbers", group(format!("[{}0]", "0,".repeat(4 << 20)))),
        ("very many small objects", group(format!("[{}0]", r#"{"":0},"#.repeat(1 << 20)))),
        nested_lists(),
        (
            "a work of very many letters",
            group(format!(r#"{{"msd_gpu":{{"work":"{}"}}}}"#, "a".repeat(8 << 20))),
        ),
    ];
    let names =
        ["zarr.json", ".zattrs", "0/zarr.json"].map(|name| format!(".msd-gpu-a.ome.zarr.part/{name}"));
    packed(texts, &names.each_ref().map(String::as_str))
}

fn zarr() -> Files {
    let group = |ome: String| format!(r#"{{"node_type":"group","attributes":{{"ome":[{ome}0]}}}}"#);
    let texts = [
        ("very many small objects", group(r#"{"":0},"#.repeat(290_000))),
        ("very many small lists", group("[0],".repeat(500_000))),
        ("a list of very many numbers", group("0,".repeat(1_000_000))),
    ];
    packed(texts, &["zarr.json"])
}

fn machine() -> Files {
    let texts = [
        ("a file of very many letters", "a".repeat(12 << 20)),
        ("very many lines", "\n".repeat(4 << 20)),
        ("very many ends", "\0/".repeat(1 << 20)),
        nested_lists(),
    ];
    let names = [
        "usr/share/vulkan/icd.d/a.json",
        "etc/ld.so.cache",
        "etc/os-release",
        "proc/driver/nvidia/version",
        "proc/1/cgroup",
    ];
    packed(texts, &names)
}
