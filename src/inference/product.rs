//! The kinds of results of an image, and what their files are called.

use crate::images::{LabelFormat, StackFormat};

/// A file that is written for each image.
#[derive(Debug, Clone, Copy)]
pub(super) enum Product {
    Labels(LabelFormat),
    Values,
    Probabilities,
    Overlay,
    Deviation,
    Entropy,
}

impl Product {
    /// Whether it is what the models give, and not what is said of it besides.
    pub(super) fn is_main(self) -> bool {
        matches!(self, Product::Labels(_) | Product::Values)
    }

    pub(super) fn file_name(self, stem: &str) -> String {
        match self {
            Product::Labels(format) => format!("{stem}.{}", format.ending()),
            Product::Values => format!("{stem}.tif"),
            Product::Probabilities => format!("{stem}_probabilities.tif"),
            Product::Overlay => format!("{stem}_overlay.png"),
            Product::Deviation => format!("{stem}_deviation.tif"),
            Product::Entropy => format!("{stem}_entropy.tif"),
        }
    }

    /// The name of the file that holds this of all images of a stack.
    pub(super) fn stack_name(self, stem: &str) -> String {
        match self {
            Product::Labels(_) => format!("{stem}.tif"),
            Product::Overlay => format!("{stem}_overlay.tif"),
            other => other.file_name(stem),
        }
    }

    /// Its format: the `wanted` one, or TIFF where that cannot hold it; values and probabilities have so many `channels`.
    pub(super) fn format(self, wanted: StackFormat, channels: usize) -> StackFormat {
        let holds = match (self, wanted) {
            (Product::Overlay, StackFormat::OmeTiff | StackFormat::Png) => true,
            (Product::Overlay, _) => false,
            (Product::Labels(LabelFormat::Tiff32), StackFormat::Mrc | StackFormat::Png) => false,
            (Product::Labels(_), _) => true,
            (_, StackFormat::Png) => false,
            (Product::Entropy, _) => true,
            _ => wanted.holds_channels() || channels == 1,
        };
        if holds { wanted } else { StackFormat::Tiff }
    }
}
