//! What `inspect` says of images and stacks.

use std::io::IsTerminal;

use ndarray::Array3;
use serde_json::{Value, json};

use super::console;
use super::progress::ImageProgress;
use super::terminal::Graphics;
use crate::Result;
use crate::images::{ImageSource, Overview, Statistics, overview};

/// Columns and rows of the histogram.
const COLUMNS: usize = 80;
const ROWS: usize = 5;
/// The percentiles that are said.
const PERCENTILES: [f64; 3] = [1.0, 50.0, 99.0];

/// Prints what the stack that `path` names and `pages` are is and holds; a terminal is shown a picture by the `graphics` that are wanted.
pub(super) fn run(path: &str, pages: Vec<ImageSource>, as_json: bool, graphics: Graphics) -> Result<()> {
    let mut progress = ImageProgress::over(1);
    let found = overview(path, pages, &mut progress)?;
    drop(progress);
    if as_json {
        console::json(&json_of(&found));
        return Ok(());
    }
    table(&found).iter().for_each(console::line);
    histogram(&found.statistics).iter().for_each(console::line);
    let graphics = match graphics {
        Graphics::Auto if std::io::stdout().is_terminal() => {
            Graphics::of_terminal(|name| std::env::var(name).ok())
        }
        Graphics::Auto => Graphics::None,
        wanted => wanted,
    };
    graphics.lines(&picture(&found)).iter().for_each(console::line);
    Ok(())
}

fn letters(found: &Overview) -> String {
    found.axes.iter().map(|(letter, _)| *letter).collect()
}

fn json_of(found: &Overview) -> Value {
    let numbers = &found.statistics;
    // JSON has no number for those that are not finite.
    let percentiles: Value = PERCENTILES
        .iter()
        .map(|percent| (percent.to_string(), json!(numbers.percentile(*percent))))
        .collect();
    let shape: Vec<usize> = found.axes.iter().map(|(_, length)| *length).collect();
    let voxel_size = found
        .voxel_size
        .as_ref()
        .map(|size| json!({"z": size.z, "y": size.y, "x": size.x, "unit": size.unit}));
    json!({
        "image": found.name, "axes": letters(found), "shape": shape, "type": found.numbers,
        "voxel_size": voxel_size, "channel_names": found.channel_names, "minimum": numbers.minimum, "maximum": numbers.maximum, "mean": numbers.mean,
        "not_finite": numbers.not_finite, "percentiles": percentiles, "sampled": numbers.samples(),
        "histogram": numbers.histogram(COLUMNS),
    })
}

fn table(found: &Overview) -> Vec<String> {
    let numbers = &found.statistics;
    let lengths: Vec<_> = found.axes.iter().map(|(_, length)| length.to_string()).collect();
    let mut entries = vec![
        ("image", found.name.clone()),
        ("axes", letters(found)),
        ("shape", lengths.join(" x ")),
        ("type", found.numbers.clone()),
    ];
    if let Some(size) = &found.voxel_size {
        let [z, y, x] = [size.z, size.y, size.x].map(short);
        entries.push(("pixel size", format!("{z} x {y} x {x} {} (z, y, x)", size.unit)));
    }
    if !found.channel_names.is_empty() {
        let name = |name: &String| if name.is_empty() { "(no name)".to_owned() } else { name.clone() };
        let names: Vec<String> = found.channel_names.iter().map(name).collect();
        entries.push(("channels", names.join(", ")));
    }
    if numbers.count > 0 {
        entries.push(("range", format!("{} to {}", short(numbers.minimum), short(numbers.maximum))));
        entries.push(("mean", short(numbers.mean)));
        let percentiles =
            PERCENTILES.map(|percent| format!("{percent}%: {}", short(numbers.percentile(percent))));
        let from = numbers.samples().map_or_else(String::new, |count| format!(" (from {count} pixels)"));
        entries.push(("percentiles", percentiles.join(", ") + &from));
    }
    if numbers.not_finite > 0 {
        entries.push(("not finite", format!("{} numbers are NaN or infinite", numbers.not_finite)));
    }
    let width = entries.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    entries.iter().map(|(name, text)| format!("{name:<width$}  {text}")).collect()
}

/// A number in six digits, without zeros at its end.
fn short(value: f64) -> String {
    if value != 0.0 && !(1e-4..1e9).contains(&value.abs()) {
        return format!("{value:.5e}");
    }
    let before = value.abs().max(1.0).log10() as usize + 1;
    let text = format!("{value:.*}", 6_usize.saturating_sub(before));
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The histogram in blocks, with the smallest and the largest number below it.
fn histogram(numbers: &Statistics) -> Vec<String> {
    const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let counts = numbers.histogram(COLUMNS);
    let Some(most) = counts.iter().copied().max().filter(|most| *most > 0) else { return Vec::new() };
    // Few numbers have wide bars.
    let bar = (COLUMNS / counts.len().max(1)).max(1);
    let eighths = |count: u64| {
        // What is there is seen.
        let height = (count as f64 / most as f64 * (ROWS * 8) as f64).round() as usize;
        height.max(usize::from(count > 0))
    };
    let row = |row: usize| {
        let block = |count: &u64| BLOCKS[eighths(*count).saturating_sub(8 * row).min(8)];
        let line: String = counts.iter().flat_map(|count| std::iter::repeat_n(block(count), bar)).collect();
        line.trim_end().to_owned()
    };
    let mut lines = vec![String::new()];
    lines.extend((0..ROWS).rev().map(row));
    let (least, most) = (short(numbers.minimum), short(numbers.maximum));
    let blanks = (bar * counts.len()).saturating_sub(least.len());
    lines.push(if numbers.minimum < numbers.maximum { format!("{least}{most:>blanks$}") } else { least });
    lines
}

/// The small picture in greys or colours as they are shown.
fn picture(found: &Overview) -> Array3<u8> {
    let numbers = &found.statistics;
    let within = (numbers.percentile(1.0), numbers.percentile(99.0));
    let (low, high) = if within.0 < within.1 { within } else { (numbers.minimum, numbers.maximum) };
    let is_colours = found.picture.dim().0 == 3 && found.numbers == "uint8";
    // Colours are shown as they are.
    let (low, high) = if is_colours { (0.0, 255.0) } else { (low, high) };
    let span = if high > low { high - low } else { 1.0 };
    found.picture.mapv(|value| ((value - low) / span * 255.0).clamp(0.0, 255.0) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let all = [0.0, 1.0, -3.5, 124.3456789, 65535.0, 16777217.0, 0.000012, 1e12];
        let texts = ["0", "1", "-3.5", "124.346", "65535", "16777217", "1.20000e-5", "1.00000e12"];
        assert_eq!(all.map(short), texts);
    }
}
