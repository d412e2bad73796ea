//! Pages for browsers that need nothing else: headings, tables and pictures inside one file, for light and dark screens and for readers
//! of screens. Whatever text is given is escaped.

use std::fmt::Write;

use ndarray::Array3;

use super::palette::hex;

/// How a page looks.
const STYLE: &str = include_str!("../../assets/report/report.css");
/// What moves on a page: sliders that go from one picture to the next.
const SCRIPT: &str = include_str!("../../assets/report/report.js");

/// What [`Page::finish`] writes near the beginning, by which a page is known as one of this program's.
pub const GENERATOR: &str = r#"<meta name="generator" content="msd-gpu">"#;

/// A page that grows from top to bottom.
#[derive(Debug, Clone)]
pub struct Page {
    title: String,
    body: String,
}

/// A row of a table: its first cell, which may have a colour beside it, and the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// What the row is about.
    pub name: String,
    /// The colour that stands beside the name.
    pub colour: Option<[u8; 3]>,
    /// The other cells.
    pub cells: Vec<String>,
}

impl Row {
    /// A row without a colour.
    pub fn new(name: impl Into<String>, cells: Vec<String>) -> Self {
        Self { name: name.into(), colour: None, cells }
    }
}

/// A picture of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// A word or two: what it is.
    pub name: String,
    /// What it shows, for those who cannot see it.
    pub description: String,
    /// A line below it.
    pub caption: String,
    png: Vec<u8>,
    height: usize,
    width: usize,
}

impl Figure {
    /// The picture `[y][x][3]`, called `name`.
    pub fn new(
        name: impl Into<String>,
        description: impl Into<String>,
        caption: impl Into<String>,
        picture: &Array3<u8>,
    ) -> Self {
        let (height, width, _) = picture.dim();
        let (name, description, caption) = (name.into(), description.into(), caption.into());
        Self { name, description, caption, png: png_bytes(picture), height, width }
    }

    fn image(&self) -> String {
        format!(
            r#"<img src="data:image/png;base64,{}" width="{}" height="{}" alt="{}">"#,
            base64(&self.png),
            self.width,
            self.height,
            escape(&self.description)
        )
    }
}

impl Page {
    /// An empty page under a heading.
    pub fn new(title: impl Into<String>) -> Self {
        let title = title.into();
        let body = format!("<h1>{}</h1>\n", escape(&title));
        Self { title, body }
    }

    /// A heading of a section.
    pub fn section(&mut self, heading: &str) {
        self.line(format!("<h2>{}</h2>", escape(heading)));
    }

    /// A heading inside a section.
    pub fn part(&mut self, heading: &str) {
        self.line(format!("<h3>{}</h3>", escape(heading)));
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) {
        self.line(format!("<p>{}</p>", escape(text)));
    }

    /// A table of numbers, or of texts where `numbers` is false, under its caption. `header` has the first column too.
    pub fn table(&mut self, caption: &str, header: &[&str], rows: &[Row], numbers: bool) {
        let class = if numbers { "numbers" } else { "texts" };
        self.line(format!(
            r#"<div class="scroll"><table class="{class}"><caption>{}</caption>"#,
            escape(caption)
        ));
        if !header.is_empty() {
            let cells: String =
                header.iter().map(|cell| format!(r#"<th scope="col">{}</th>"#, escape(cell))).collect();
            self.line(format!("<thead><tr>{cells}</tr></thead>"));
        }
        self.line("<tbody>".into());
        for row in rows {
            let colour = row.colour.map_or(String::new(), |colour| {
                format!(r#"<span class="colour" style="background:{}"></span>"#, hex(colour))
            });
            let cells: String = row.cells.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
            self.line(format!(r#"<tr><th scope="row">{colour}{}</th>{cells}</tr>"#, escape(&row.name)));
        }
        self.line("</tbody></table></div>".into());
    }

    /// Colours with what they stand for.
    pub fn legend(&mut self, entries: &[(String, [u8; 3])]) {
        let item = |(name, colour): &(String, [u8; 3])| {
            format!(
                r#"<li><span class="colour" style="background:{}"></span>{}</li>"#,
                hex(*colour),
                escape(name)
            )
        };
        let items: String = entries.iter().map(item).collect();
        self.line(format!(r#"<ul class="legend">{items}</ul>"#));
    }

    /// Pictures of one size that lie on each other, with a slider that goes from one to the next; side by side where no scripts run.
    /// `label` says what the slider is for, and `start` which is shown first.
    pub fn slider(&mut self, label: &str, figures: &[Figure], start: usize) {
        let label = escape(label);
        self.line(format!(r#"<div class="slider" data-start="{start}"><div class="layers">"#));
        for figure in figures {
            let (name, caption) = (escape(&figure.name), escape(&figure.caption));
            self.line(format!(
                r#"<figure data-name="{name}">{}<figcaption><b>{name}</b> {caption}</figcaption></figure>"#,
                figure.image()
            ));
        }
        let last = figures.len().saturating_sub(1);
        self.line(format!(
            r#"</div><div class="control" hidden><label>{label} <input type="range" min="0" max="{last}" step="0.1" value="{start}"></label> <output></output></div></div>"#
        ));
    }

    /// What `add` adds, side by side where the screen is wide enough.
    pub fn pair(&mut self, add: impl FnOnce(&mut Self)) {
        self.line(r#"<div class="pair">"#.into());
        add(self);
        self.line("</div>".into());
    }

    /// Pictures side by side.
    pub fn figures(&mut self, figures: &[Figure]) {
        self.line(r#"<div class="figures">"#.into());
        for figure in figures {
            let (name, caption) = (escape(&figure.name), escape(&figure.caption));
            self.line(format!(
                "<figure>{}<figcaption><b>{name}</b> {caption}</figcaption></figure>",
                figure.image()
            ));
        }
        self.line("</div>".into());
    }

    /// A chart, which is an SVG document; `description` says what it shows.
    pub fn chart(&mut self, svg: &str, description: &str) {
        self.line(format!(
            r#"<p><img class="chart" src="data:image/svg+xml;base64,{}" alt="{}"></p>"#,
            base64(svg.as_bytes()),
            escape(description)
        ));
    }

    /// A long text under a line that opens it.
    pub fn details(&mut self, summary: &str, text: &str) {
        let lines: Vec<String> = text.lines().map(escape).collect();
        self.line(format!(
            "<details><summary>{}</summary><pre>{}</pre></details>",
            escape(summary),
            lines.join("\n")
        ));
    }

    /// The page as a file.
    pub fn finish(self) -> String {
        let title = escape(&self.title);
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{GENERATOR}\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
            self.body
        )
    }

    /// Writing to a string cannot fail.
    fn line(&mut self, text: String) {
        let _ = writeln!(self.body, "{text}");
    }
}

/// A picture `[y][x][3]` as the bytes of a PNG file, grey where all its colours are; nothing for one without pixels.
pub fn png_bytes(picture: &Array3<u8>) -> Vec<u8> {
    let (height, width, colours) = picture.dim();
    let (Ok(rows), Ok(columns)) = (u32::try_from(height), u32::try_from(width)) else { return Vec::new() };
    if rows == 0 || columns == 0 || colours != 3 {
        return Vec::new();
    }
    let is_grey = picture.rows().into_iter().all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]);
    let kept = if is_grey { 1 } else { 3 };
    let samples: Vec<u8> =
        picture.rows().into_iter().flat_map(|pixel| pixel.to_vec().into_iter().take(kept)).collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, columns, rows);
    encoder.set_color(if is_grey { png::ColorType::Grayscale } else { png::ColorType::Rgb });
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(&samples)?;
        writer.finish()
    });
    // A vector takes all that is written, and the sizes are those of the samples.
    if written.is_err() { Vec::new() } else { bytes }
}

/// Bytes as text of 64 signs (RFC 4648, section 4), as addresses that hold data have them.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |place: usize| u32::from(group.get(place).copied().unwrap_or(0));
        let number = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let sign = SIGNS[(number >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(sign) } else { '=' });
        }
    }
    text
}

/// Text as HTML and XML may hold it: the five special characters escaped, characters that XML forbids left out.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        // The examples of RFC 4648, section 10.
        let pairs = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ];
        for (plain, wanted) in pairs {
            assert_eq!(base64(plain.as_bytes()), wanted);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
    }

    #[test]
    fn pictures_come_back_from_their_bytes() {
        let colours = Array3::from_shape_fn((3, 5, 3), |(y, x, c)| (y * 50 + x * 7 + c) as u8);
        let grey = Array3::from_shape_fn((3, 5, 3), |(y, x, _)| (y * 50 + x * 7) as u8);
        for (picture, channels) in [(colours, 3), (grey, 1)] {
            let bytes = png_bytes(&picture);
            let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
            let mut samples = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut samples).unwrap();
            let wanted: Vec<u8> = picture
                .rows()
                .into_iter()
                .flat_map(|pixel| pixel.to_vec().into_iter().take(channels))
                .collect();
            assert_eq!(samples, wanted);
        }
        assert!(png_bytes(&Array3::zeros((0, 5, 3))).is_empty());
    }

    #[test]
    fn whatever_text_is_given_stays_text() {
        let bad = "<script>alert('x')</script>\" onload=\"y & \u{0}";
        let mut page = Page::new(bad);
        page.section(bad);
        page.part(bad);
        page.paragraph(bad);
        page.table(bad, &[bad], &[Row::new(bad, vec![bad.into()])], true);
        page.legend(&[(bad.into(), [1, 2, 3])]);
        let figure = Figure::new(bad, bad, bad, &Array3::zeros((2, 2, 3)));
        page.slider(bad, std::slice::from_ref(&figure), 0);
        page.figures(&[figure]);
        page.chart("<svg></svg>", bad);
        page.details(bad, bad);
        let text = page.finish();
        assert_eq!(text.matches("<script>").count(), 1, "the page's own alone");
        assert!(!text.contains("alert('x')") && !text.contains("onload=\"y") && !text.contains('\u{0}'));
        assert!(
            text.contains("&lt;script&gt;alert(&apos;x&apos;)&lt;/script&gt;&quot; onload=&quot;y &amp; ")
        );
    }

    #[test]
    fn a_page_needs_nothing_else() {
        let text = Page::new("A page").finish();
        assert!(text[..300].contains(GENERATOR));
        for sign in ["http://", "https://", "src=\"/", "url(", "@import", "<link"] {
            assert!(!text.contains(sign), "{sign}");
        }
    }
}
