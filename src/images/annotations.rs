//! What the metadata of images in OME-TIFF and OME-Zarr say besides how large pixels are and where they lie.

/// What is said of channels, time and depth.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Annotations {
    /// The name of each channel, an empty one where it has none; nothing where none has a name.
    pub(super) channels: Vec<String>,
    /// How long it is from one point in time to the next.
    pub(super) time_step: Option<TimeStep>,
    /// Whether nothing tells how far apart slices lie, so that the size of pixels along z is not that of the file.
    pub(super) depth_is_unknown: bool,
}

/// A length of time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TimeStep {
    pub(super) length: f64,
    /// The sign of its unit, such as `s` or `ms`, or as the file spells it where it is another one.
    pub(super) unit: String,
}

impl Annotations {
    /// Whether there is something that a file of OME metadata should keep.
    pub(super) fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.time_step.is_none()
    }
}

/// These names of channels, without characters that terminals and XML take for something else; nothing where all are empty.
pub(super) fn channel_names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let plain = |name: &str| {
        let kept: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        kept.trim().to_owned()
    };
    let names: Vec<String> = names.map(plain).collect();
    if names.iter().all(String::is_empty) { Vec::new() } else { names }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_no_control_characters() {
        assert_eq!(channel_names(["DAPI\u{1b}[2J", " GFP\n"].into_iter()), ["DAPI [2J", "GFP"]);
        assert_eq!(channel_names(["", " "].into_iter()), [""; 0]);
        assert_eq!(channel_names(["", "GFP"].into_iter()), ["", "GFP"]);
    }
}
