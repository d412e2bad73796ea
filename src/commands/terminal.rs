//! A picture in a terminal, in the way that the terminal can show it.

use std::fmt::Write;

use clap::ValueEnum;
use ndarray::{Array3, s};

use crate::pictures::base64;

/// The most columns and rows of a picture in half blocks, two rows in each line.
const BLOCK_COLUMNS: usize = 80;
const BLOCK_ROWS: usize = 60;
/// How wide a small picture is made at least where each of its pixels would be one of the screen.
const LEAST_WIDTH: usize = 320;
/// The most bytes of base64 in one piece of kitty's protocol.
const KITTY_PIECE: usize = 4096;
/// How many greys a picture of sixels has, which is as many colours as all terminals with sixels know.
const GREYS: usize = 64;

/// How a picture is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Graphics {
    /// As the terminal says of itself that it can; not at all where there is none
    Auto,
    /// By the protocol for graphics of kitty, Ghostty and WezTerm
    Kitty,
    /// As sixels: foot, mlterm and xterm where that was built in
    Sixel,
    /// In half blocks of 24-bit colours
    Blocks,
    /// Not at all
    None,
}

impl Graphics {
    /// What a terminal can show by what `variable` says of it; the variables are those that terminals set for programs inside.
    pub(super) fn of_terminal(variable: impl Fn(&str) -> Option<String>) -> Self {
        let text = |name: &str| variable(name).unwrap_or_default();
        let term = text("TERM");
        if term.is_empty() || term == "dumb" || !text("NO_COLOR").is_empty() {
            return Self::None;
        }
        // Between the program and the terminal there is another one, which passes on no graphics.
        if !text("TMUX").is_empty() || term.starts_with("tmux") || term.starts_with("screen") {
            return Self::Blocks;
        }
        let program = text("TERM_PROGRAM").to_lowercase();
        let is_kitty = term == "xterm-kitty" || !text("KITTY_WINDOW_ID").is_empty();
        if is_kitty || term == "xterm-ghostty" || program == "ghostty" || program == "wezterm" {
            return Self::Kitty;
        }
        if term.starts_with("foot") || term.starts_with("mlterm") || term.contains("sixel") {
            return Self::Sixel;
        }
        Self::Blocks
    }

    /// The lines that show `pixels`, `[channel][y][x]` of one grey or three colours.
    pub(super) fn lines(self, pixels: &Array3<u8>) -> Vec<String> {
        if pixels.is_empty() {
            return Vec::new();
        }
        match self {
            Self::Kitty => vec![kitty(pixels)],
            Self::Sixel => vec![sixel(pixels)],
            Self::Blocks => half_blocks(&reduced(pixels)),
            Self::Auto | Self::None => Vec::new(),
        }
    }
}

/// Red, green and blue of a pixel.
fn colour(pixels: &Array3<u8>, y: usize, x: usize) -> [u8; 3] {
    let last = pixels.dim().0 - 1;
    [0, 1, 2].map(|channel: usize| pixels[[channel.min(last), y, x]])
}

/// The picture made so small that half blocks show it in a window.
fn reduced(pixels: &Array3<u8>) -> Array3<u8> {
    let (channels, height, width) = pixels.dim();
    let factor = width.div_ceil(BLOCK_COLUMNS).max(height.div_ceil(BLOCK_ROWS)).max(1);
    let shape = (channels, height.div_ceil(factor), width.div_ceil(factor));
    Array3::from_shape_fn(shape, |(channel, y, x)| {
        let rows = y * factor..((y + 1) * factor).min(height);
        let columns = x * factor..((x + 1) * factor).min(width);
        pixels.slice(s![channel, rows, columns]).mapv(f32::from).mean().unwrap_or(0.0) as u8
    })
}

/// Two pixels, one above the other, in each character.
fn half_blocks(pixels: &Array3<u8>) -> Vec<String> {
    let (_, height, width) = pixels.dim();
    let colour = |y: usize, x: usize| {
        let [red, green, blue] = colour(pixels, y, x);
        format!("{red};{green};{blue}")
    };
    let line = |y: usize| {
        let character = |x: usize| match y + 1 < height {
            true => format!("\x1b[38;2;{};48;2;{}m▀", colour(y, x), colour(y + 1, x)),
            false => format!("\x1b[0;38;2;{}m▀", colour(y, x)),
        };
        (0..width).map(character).collect::<String>() + "\x1b[0m"
    };
    (0..height).step_by(2).map(line).collect()
}

/// Kitty's protocol: the colours of all pixels in base64, in pieces; the terminal makes the picture as wide as so many columns.
fn kitty(pixels: &Array3<u8>) -> String {
    let (_, height, width) = pixels.dim();
    let bytes: Vec<u8> =
        (0..height).flat_map(|y| (0..width).flat_map(move |x| colour(pixels, y, x))).collect();
    let text = base64(&bytes);
    let columns = BLOCK_COLUMNS.min(width);
    let mut shown = String::new();
    let pieces = text.as_bytes().chunks(KITTY_PIECE);
    let last = pieces.len().saturating_sub(1);
    for (number, piece) in pieces.enumerate() {
        let more = u8::from(number < last);
        let head = match number {
            0 => format!("a=T,f=24,s={width},v={height},c={columns},q=2,m={more}"),
            _ => format!("m={more}"),
        };
        shown += &format!("\x1b_G{head};{}\x1b\\", String::from_utf8_lossy(piece));
    }
    shown
}

/// Sixels: of each six rows, for each grey that is in them, which pixels have it.
fn sixel(pixels: &Array3<u8>) -> String {
    let (_, height, width) = pixels.dim();
    let scale = LEAST_WIDTH.div_ceil(width).clamp(1, 8);
    let grey = |y: usize, x: usize| {
        let [red, green, blue] = colour(pixels, y / scale, x / scale).map(u32::from);
        ((299 * red + 587 * green + 114 * blue) / 1000) as usize * GREYS / 256
    };
    let (height, width) = (height * scale, width * scale);
    let mut shown = format!("\x1bPq\"1;1;{width};{height}");
    for level in 0..GREYS {
        let percent = level * 100 / (GREYS - 1);
        write!(shown, "#{level};2;{percent};{percent};{percent}").ok();
    }
    for top in (0..height).step_by(6) {
        // For each grey, the pixels of each column that have it, a bit each.
        let mut bits = vec![Vec::new(); GREYS];
        for x in 0..width {
            for y in top..(top + 6).min(height) {
                let of_grey: &mut Vec<u8> = &mut bits[grey(y, x)];
                of_grey.resize(width, 0);
                of_grey[x] |= 1 << (y - top);
            }
        }
        for (level, bits) in bits.iter().enumerate().filter(|(_, bits)| !bits.is_empty()) {
            write!(shown, "#{level}").ok();
            for run in bits.chunk_by(|a, b| a == b) {
                let character = char::from(b'?' + run[0]);
                match run.len() {
                    1 => shown.push(character),
                    count => write!(shown, "!{count}{character}").unwrap_or_default(),
                }
            }
            shown.push('$');
        }
        shown.push('-');
    }
    shown + "\x1b\\"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_can_show_follows_from_its_variables() {
        let of = |variables: &[(&str, &str)]| {
            Graphics::of_terminal(|wanted| {
                let found = variables.iter().find(|(name, _)| *name == wanted);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        for (variables, wanted) in [
            (&[][..], Graphics::None),
            (&[("TERM", "dumb")], Graphics::None),
            (&[("TERM", "xterm-256color")], Graphics::Blocks),
            (&[("TERM", "xterm-256color"), ("NO_COLOR", "1")], Graphics::None),
            (&[("TERM", "xterm-kitty")], Graphics::Kitty),
            (&[("TERM", "xterm-256color"), ("KITTY_WINDOW_ID", "1")], Graphics::Kitty),
            (&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "WezTerm")], Graphics::Kitty),
            (&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "ghostty")], Graphics::Kitty),
            (&[("TERM", "tmux-256color"), ("KITTY_WINDOW_ID", "1")], Graphics::Blocks),
            (&[("TERM", "foot")], Graphics::Sixel),
            (&[("TERM", "mlterm")], Graphics::Sixel),
        ] {
            assert_eq!(of(variables), wanted, "{variables:?}");
        }
    }

    #[test]
    fn each_character_shows_two_pixels_of_a_picture_that_fits() {
        let pixels = Array3::from_shape_vec((1, 3, 1), vec![1, 2, 3]).unwrap();
        let lines = Graphics::Blocks.lines(&pixels);
        assert_eq!(lines, ["\x1b[38;2;1;1;1;48;2;2;2;2m▀\x1b[0m", "\x1b[0;38;2;3;3;3m▀\x1b[0m"]);
        let lines = Graphics::Blocks.lines(&Array3::from_elem((3, 480, 640), 9));
        assert_eq!((lines.len(), lines[0].matches('▀').count()), (30, 80));
        assert!(Graphics::None.lines(&pixels).is_empty());
    }

    #[test]
    fn kitty_gets_all_colours_in_pieces() {
        let pixels = Array3::from_shape_vec((3, 1, 2), vec![1, 4, 2, 5, 3, 6]).unwrap();
        assert_eq!(Graphics::Kitty.lines(&pixels), ["\x1b_Ga=T,f=24,s=2,v=1,c=2,q=2,m=0;AQIDBAUG\x1b\\"]);
        let shown = Graphics::Kitty.lines(&Array3::from_elem((1, 60, 80), 7)).concat();
        let pieces: Vec<&str> = shown.split("\x1b\\").filter(|piece| !piece.is_empty()).collect();
        let (first, rest) = pieces.split_first().unwrap();
        assert!(first.contains("m=1;") && rest.iter().all(|piece| piece.starts_with("\x1b_Gm=")));
        assert!(pieces.last().unwrap().starts_with("\x1b_Gm=0;"));
        let text: usize = pieces.iter().map(|piece| piece.split_once(';').unwrap().1.len()).sum();
        assert_eq!(text, 60 * 80 * 3 / 3 * 4);
    }

    #[test]
    fn sixels_are_those_of_the_pixels() {
        // Black and white, each eight pixels wide and high.
        let pixels = Array3::from_shape_vec((1, 1, 2), vec![0, 255]).unwrap();
        let shown = Graphics::Sixel.lines(&pixels).concat();
        assert!(shown.starts_with("\x1bPq\"1;1;16;8#0;2;0;0;0") && shown.contains("#63;2;100;100;100"));
        let bands = shown.split("#63;2;100;100;100").nth(1).unwrap();
        // Six rows, and the two that are left.
        assert_eq!(bands, "#0!8~!8?$#63!8?!8~$-#0!8B!8?$#63!8?!8B$-\x1b\\");
    }
}
