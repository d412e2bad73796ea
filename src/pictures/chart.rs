//! Line charts as SVG text, such as the loss over the steps of a training.

use std::fmt::Write;

use super::html::escape;
use super::palette::{hex, line_colour};
use super::ticks::{Scale, label};

/// Width and height of one chart in SVG pixels, and of its margins around the plot.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 168.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 50.0;
const PLOT_WIDTH: f64 = WIDTH - LEFT - RIGHT;
const PLOT_HEIGHT: f64 = HEIGHT - TOP - BOTTOM;

/// A line: its name in the legend and its points (x, y) in the order they are connected.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Points in the units of the axes. Those that are not finite, or not above 0 on a logarithmic axis, are
    /// skipped.
    pub points: Vec<(f64, f64)>,
}

/// A chart with one pair of axes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chart {
    /// Text over the chart.
    pub title: String,
    /// Text under the x axis, with the unit.
    pub x_label: String,
    /// Text beside the y axis, with the unit.
    pub y_label: String,
    /// Whether the y axis is logarithmic.
    pub logarithmic_y: bool,
    /// The lines, in the order of the legend.
    pub series: Vec<Series>,
    /// A place on the x axis that is marked by an upright line, with its name.
    pub mark: Option<(f64, String)>,
}

impl Chart {
    /// The chart as an SVG document.
    pub fn to_svg(&self) -> String {
        charts_to_svg(std::slice::from_ref(self))
    }

    /// The chart's elements, its upper left corner at y = `top`.
    fn draw(&self, svg: &mut String, top: f64) {
        let lines: Vec<Vec<(f64, f64)>> = self.series.iter().map(|s| self.usable(&s.points)).collect();
        let all = || lines.iter().flatten();
        let x_scale = Scale::linear(all().map(|p| p.0));
        let y_scale = if self.logarithmic_y {
            Scale::logarithmic(all().map(|p| p.1))
        } else {
            Scale::linear(all().map(|p| p.1))
        };
        let x_of = |x: f64| LEFT + PLOT_WIDTH * x_scale.place(x);
        let y_of = |y: f64| top + TOP + PLOT_HEIGHT * (1.0 - y_scale.place(y));
        let (plot_top, plot_bottom) = (top + TOP, top + TOP + PLOT_HEIGHT);
        let plot_right = LEFT + PLOT_WIDTH;

        let title = escape(&self.title);
        add(svg, format!(r##"<text x="{LEFT}" y="{}" class="title">{title}</text>"##, top + 23.0));
        for tick in x_scale.ticks() {
            let (x, text) = (x_of(tick), label(tick));
            add(svg, format!(r##"<path d="M{x:.1} {plot_top:.1}V{plot_bottom:.1}" class="grid"/>"##));
            let y = plot_bottom + 17.0;
            add(svg, format!(r##"<text x="{x:.1}" y="{y:.1}" text-anchor="middle">{text}</text>"##));
        }
        for tick in y_scale.ticks() {
            let (y, text) = (y_of(tick), label(tick));
            add(svg, format!(r##"<path d="M{LEFT} {y:.1}H{plot_right:.1}" class="grid"/>"##));
            let (x, y) = (LEFT - 7.0, y + 4.0);
            add(svg, format!(r##"<text x="{x:.1}" y="{y:.1}" text-anchor="end">{text}</text>"##));
        }
        add(
            svg,
            format!(r##"<path d="M{LEFT} {plot_top:.1}V{plot_bottom:.1}H{plot_right:.1}" class="axis"/>"##),
        );
        let (x_middle, y_middle) = (LEFT + PLOT_WIDTH / 2.0, plot_top + PLOT_HEIGHT / 2.0);
        let x_label = escape(&self.x_label);
        let below = plot_bottom + 38.0;
        add(svg, format!(r##"<text x="{x_middle}" y="{below:.1}" text-anchor="middle">{x_label}</text>"##));
        let y_label = escape(&self.y_label);
        let turn = format!("translate(16 {y_middle:.1}) rotate(-90)");
        add(svg, format!(r##"<text transform="{turn}" text-anchor="middle">{y_label}</text>"##));

        if all().next().is_none() {
            add(
                svg,
                format!(r##"<text x="{x_middle}" y="{y_middle:.1}" text-anchor="middle">no data</text>"##),
            );
        }
        let mark = self.mark.as_ref().filter(|(x, _)| (0.0..=1.0).contains(&x_scale.place(*x)));
        if let Some((x, name)) = mark {
            let (x, y, name) = (x_of(*x), plot_top - 4.0, escape(name));
            add(svg, format!(r##"<path d="M{x:.1} {plot_top:.1}V{plot_bottom:.1}" class="mark"/>"##));
            add(svg, format!(r##"<text x="{x:.1}" y="{y:.1}" text-anchor="middle">{name}</text>"##));
        }
        for (i, (series, points)) in self.series.iter().zip(&lines).enumerate() {
            let colour = hex(line_colour(i));
            match points[..] {
                [] => {}
                [(x, y)] => {
                    let (x, y) = (x_of(x), y_of(y));
                    add(svg, format!(r##"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{colour}"/>"##));
                }
                _ => {
                    let places: Vec<String> =
                        points.iter().map(|&(x, y)| format!("{:.1},{:.1}", x_of(x), y_of(y))).collect();
                    let places = places.join(" ");
                    add(svg, format!(r##"<polyline points="{places}" stroke="{colour}" class="line"/>"##));
                }
            }
            let (left, y) = (plot_right + 14.0, plot_top + 10.0 + 20.0 * i as f64);
            add(svg, format!(r##"<path d="M{left:.1} {y:.1}h20" stroke="{colour}" class="line"/>"##));
            let (x, y, name) = (left + 26.0, y + 4.0, escape(&series.name));
            add(svg, format!(r##"<text x="{x:.1}" y="{y:.1}">{name}</text>"##));
        }
    }

    /// The points that have a place on the axes.
    fn usable(&self, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        // Values too small to be normal numbers are as good as 0.
        let has_place = |y: f64| if self.logarithmic_y { y >= f64::MIN_POSITIVE } else { true };
        let fits = |&(x, y): &(f64, f64)| x.is_finite() && y.is_finite() && has_place(y);
        points.iter().copied().filter(fits).collect()
    }
}

/// Several charts below each other, as one SVG document.
pub fn charts_to_svg(charts: &[Chart]) -> String {
    let height = HEIGHT * charts.len().max(1) as f64;
    let mut svg = String::new();
    add(
        &mut svg,
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">"##
        ),
    );
    add(
        &mut svg,
        "<style>text{font:12px sans-serif;fill:#333}.title{font-size:15px;font-weight:bold}\
         .grid{stroke:#e4e4e4;fill:none}.axis{stroke:#777;fill:none}\
         .mark{stroke:#777;fill:none;stroke-dasharray:4 3}\
         .line{stroke-width:1.8;fill:none;stroke-linejoin:round}</style>"
            .to_string(),
    );
    add(&mut svg, r##"<rect width="100%" height="100%" fill="#fff"/>"##.to_string());
    for (i, chart) in charts.iter().enumerate() {
        chart.draw(&mut svg, HEIGHT * i as f64);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Adds a line. Writing to a string cannot fail.
fn add(svg: &mut String, line: String) {
    let _ = writeln!(svg, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>, logarithmic_y: bool) -> Chart {
        Chart {
            title: "Loss".into(),
            x_label: "step".into(),
            y_label: "cross-entropy".into(),
            logarithmic_y,
            series: vec![Series { name: "training".into(), points }],
            mark: None,
        }
    }

    /// The places of the first polyline.
    fn places(svg: &str) -> Vec<(f64, f64)> {
        let start = svg.find("points=\"").expect("a line") + 8;
        let list = svg[start..].split('"').next().unwrap();
        let number = |text: &str| text.parse::<f64>().unwrap();
        list.split(' ').map(|p| p.split_once(',').map(|(x, y)| (number(x), number(y))).unwrap()).collect()
    }

    #[test]
    fn points_lie_where_the_axes_say() {
        let svg = chart(vec![(0.0, 0.0), (50.0, 5.0), (100.0, 10.0)], false).to_svg();
        let found = places(&svg);
        assert_eq!(found[0], (LEFT, TOP + PLOT_HEIGHT));
        assert_eq!(found[1], (LEFT + PLOT_WIDTH / 2.0, TOP + PLOT_HEIGHT / 2.0));
        assert_eq!(found[2], (LEFT + PLOT_WIDTH, TOP));
        assert!(svg.contains(">Loss<") && svg.contains(">step<") && svg.contains(">training<"));
    }

    #[test]
    fn a_logarithmic_axis_spaces_decades_evenly() {
        let svg = chart(vec![(0.0, 0.01), (1.0, 0.1), (2.0, 1.0), (3.0, 0.0), (4.0, -1.0)], true).to_svg();
        let found = places(&svg);
        assert_eq!(found.len(), 3, "values that have no logarithm are skipped");
        assert!(((found[0].1 - found[1].1) - (found[1].1 - found[2].1)).abs() < 0.11);
        assert!(svg.contains(">0.01<") && svg.contains(">0.1<") && svg.contains(">1<"));
    }

    #[test]
    fn points_that_are_not_finite_are_skipped() {
        let svg = chart(vec![(0.0, 1.0), (1.0, f64::NAN), (f64::INFINITY, 2.0), (3.0, 4.0)], false).to_svg();
        assert_eq!(places(&svg).len(), 2);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn one_point_is_a_dot_and_none_says_so() {
        for logarithmic in [false, true] {
            let one = chart(vec![(3.0, 0.5)], logarithmic).to_svg();
            assert!(one.contains("<circle") && !one.contains("NaN"));
            let none = chart(vec![], logarithmic).to_svg();
            assert!(none.contains("no data") && !none.contains("NaN"));
        }
    }

    #[test]
    fn text_is_escaped() {
        let mut made = chart(vec![], false);
        made.title = "a < b & \"c\"\u{0}".into();
        made.series[0].name = "</text><script>".into();
        let svg = made.to_svg();
        assert!(svg.contains("a &lt; b &amp; &quot;c&quot;<"));
        assert!(!svg.contains("<script>"));
    }

    #[test]
    fn charts_are_stacked() {
        let single = chart(vec![(0.0, 0.0), (1.0, 1.0)], false);
        let svg = charts_to_svg(&[single.clone(), single.clone()]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains(&format!("height=\"{}\"", 2.0 * HEIGHT)));
        assert!(charts_to_svg(&[]).ends_with("</svg>\n"));
        assert_eq!(svg.matches("<svg").count(), 1);
    }
}
