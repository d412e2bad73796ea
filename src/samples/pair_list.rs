//! A list of images with their targets, weights and groups, in a file of comma-separated values.

use std::collections::HashSet;
use std::path::Path;

use crate::error::{Error, Result};
use crate::files::read_text;
use crate::images::{Discovery, ImageSource};

/// A page of an image, and the page of its target.
pub(super) type Pair = (ImageSource, ImageSource);

/// A list of a million long paths is shorter.
const MAX_BYTES: u64 = 1 << 28;
const COLUMNS: [&str; 4] = ["image", "target", "weight", "group"];

/// An image of a list.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) pair: Pair,
    pub(super) weights: Option<ImageSource>,
    /// What the image belongs to; those of one group are never divided between training and validation.
    pub(super) group: String,
}

/// Reads the list at `path`. Its first line names the columns: `image` and `target`, and where wanted `weight` and `group`; files
/// are looked for from the list's folder. A line of two stacks pairs their pages.
///
/// Several lines may name one target: repeated scans, or reconstructions of parts of the data. Without a group, images of one target
/// are one.
///
/// # Errors
/// [`Error::Input`] for a list that cannot be read, with the number of the line that is wrong; else as [`Discovery::pair`].
pub(super) fn read(path: &str, discovery: &Discovery, regression: bool) -> Result<Vec<Listed>> {
    let wrong = |problem: String| Error::input(path, problem);
    let text = read_text(Path::new(path), MAX_BYTES)?.ok_or_else(|| {
        wrong("is longer than any list of images; name a list of lines image,target".into())
    })?;
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut lines =
        csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(text.as_bytes());
    let damaged =
        |error: csv::Error| wrong(format!("is no list of comma-separated values ({error}); correct it"));
    let header = lines.headers().map_err(damaged)?.clone();
    // A byte order mark is what Excel begins a file with.
    let names: Vec<String> =
        header.iter().map(|name| name.trim_start_matches('\u{feff}').to_lowercase()).collect();
    let column = |name: &str| names.iter().position(|known| known == name);
    let unknown = names.iter().find(|name| !COLUMNS.contains(&name.as_str()));
    let (Some(image), Some(target), None) = (column("image"), column("target"), unknown) else {
        return Err(wrong(format!(
            "begins with the line '{}'; wanted the names of its columns, image,target and perhaps weight and group",
            names.join(",")
        )));
    };
    let (weight, group) = (column("weight"), column("group"));
    let mut all: Vec<Listed> = Vec::new();
    let mut known = HashSet::new();
    for line in lines.records() {
        let line = line.map_err(damaged)?;
        let number = line.position().map_or(0, csv::Position::line);
        let of = |column: Option<usize>| {
            column.and_then(|column| line.get(column)).filter(|text| !text.is_empty())
        };
        let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let (Some(image), Some(target)) = (of(Some(image)), of(Some(target))) else {
            return Err(wrong(format!(
                "line {number} has no image or no target; give both, or take the line out"
            )));
        };
        // What is wrong with a file is said with the place in the list that names it.
        let named = |error: Error| wrong(format!("names in line {number} what cannot be used: {error}"));
        let found = discovery.discover(&file(image)).map_err(named)?;
        let targets = match regression {
            true => discovery.discover_targets(&file(target), &found),
            false => discovery.discover_single_channel(&file(target)),
        };
        let targets = targets.map_err(named)?;
        let pairs = discovery.pair(&found, &targets, "target")?;
        let weights = match of(weight) {
            None => pairs.iter().map(|_| None).collect(),
            Some(weight) => {
                let pages = discovery.discover_single_channel(&file(weight)).map_err(named)?;
                let images: Vec<_> = pairs.iter().map(|(image, _)| image.clone()).collect();
                let weighted = discovery.pair(&images, &pages, "weight image")?;
                weighted.into_iter().map(|(_, page)| Some(page)).collect::<Vec<_>>()
            }
        };
        for (pair, weights) in pairs.into_iter().zip(weights) {
            let own = || format!("{} {}", pair.1.real_path().display(), pair.1.page.unwrap_or(0));
            let group = of(group).map_or_else(own, str::to_owned);
            let place = |source: &ImageSource| (source.path.clone(), source.page);
            if !known.insert((place(&pair.0), place(&pair.1))) {
                return Err(wrong(format!(
                    "line {number} names {} with {} a second time; take one of the lines out",
                    pair.0.name(),
                    pair.1.name()
                )));
            }
            all.push(Listed { pair, weights, group });
        }
    }
    if all.is_empty() {
        return Err(wrong("lists no images; give a line image,target for each".into()));
    }
    Ok(all)
}
