//! How scores are measured, besides what they are of.

use std::borrow::Cow;

use crate::metrics::circle::{blank_outside, unlabel_outside};
use crate::metrics::{DataRange, SsimWindow};
use crate::samples::Target;

/// How scores are measured. A report of scores has to state it, as all of this changes them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Measures {
    /// What PSNR and SSIM refer to; `None` for the range of the targets, of those pixels that count.
    pub range: Option<DataRange>,
    /// The windows of SSIM.
    pub window: SsimWindow,
    /// Whether only pixels inside the inscribed circle count ([`crate::metrics::InscribedCircle`]); windows of SSIM then lie wholly
    /// inside it.
    pub circle: bool,
    /// How large a pixel is along z, y and x, where the distances between the surfaces of classes are wanted.
    pub surfaces: Option<[f64; 3]>,
}

impl Measures {
    /// The target with nothing that does not count: of a circle, only what is inside.
    pub(super) fn counted<'a>(&self, target: Cow<'a, Target>) -> Cow<'a, Target> {
        if !self.circle {
            return target;
        }
        let mut target = target.into_owned();
        match &mut target {
            Target::Classes(classes) => unlabel_outside(classes),
            Target::Values(values) => blank_outside(values),
        }
        Cow::Owned(target)
    }
}
