//! Arrays as pictures for human eyes: grey values, labels, overlays, differences, montages and charts, and pages that hold them.
//!
//! Everything comes back as an array or as text; nothing here writes files. A picture is an array
//! `[y][x][3]` of red, green and blue.

pub mod chart;
pub mod difference;
mod font;
pub mod grey;
pub mod html;
pub mod legend;
pub mod montage;
pub mod orthogonal;
pub mod overlay;
pub mod palette;
pub mod reduce;
mod text;
mod ticks;

pub use chart::{Chart, Series, charts_to_svg};
pub use difference::difference_picture;
pub use grey::{grey_of, grey_picture, range_of, stretch, stretch_with};
#[cfg(feature = "cli")]
pub(crate) use html::base64;
pub use html::{Figure, Page, Row};
pub use legend::{legend, over_legend};
pub use montage::{captioned_montage, montage};
pub use orthogonal::orthogonal_cuts;
pub use overlay::{label_picture, overlay, overlay_with};
pub use palette::{class_colour, hex, line_colour};
pub use reduce::{reduced, reduced_colours, reduction};
