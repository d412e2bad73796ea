//! What a denoiser was trained on that never saw a clean image, as far as applying it depends on that.

use serde::{Deserialize, Serialize};

use crate::geometry::Footprint;
use crate::settings::named_choices;
use crate::{Error, Result};

named_choices! {
    /// Which of several recordings of a slice a network is shown, and which it is to give for them (Hendriksen, Pelt &
    /// Batenburg, "Noise2Inverse: Self-supervised deep convolutional denoising for tomography", IEEE Transactions on
    /// Computational Imaging 6, 2020, section III).
    pub enum SplitScheme of "scheme", default FromOthers {
        /// Each recording from the mean of all others.
        FromOthers = "x:1",
        /// The mean of all others from each recording.
        FromOne = "1:x",
    }
}

/// Recordings of the same slices that were each other's targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Splits {
    /// How many there are, at least two.
    pub count: usize,
    /// Which of them are shown, and which are wanted.
    pub scheme: SplitScheme,
}

/// One way of dividing recordings, counted from 0, into those whose mean is shown and those whose mean is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combination {
    /// Those whose mean the network is shown.
    pub input: Vec<usize>,
    /// Those whose mean it is to give.
    pub target: Vec<usize>,
}

impl Splits {
    /// All ways of dividing the recordings, one for each of them.
    pub fn combinations(&self) -> impl ExactSizeIterator<Item = Combination> + use<> {
        let Self { count, scheme } = *self;
        (0..count).map(move |one| {
            let others = (0..count).filter(|other| *other != one).collect();
            match scheme {
                SplitScheme::FromOthers => Combination { input: others, target: vec![one] },
                SplitScheme::FromOne => Combination { input: vec![one], target: others },
            }
        })
    }

    /// Checks that there are recordings to learn from each other.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for fewer than two.
    pub(super) fn validate(&self) -> Result<()> {
        if self.count >= 2 {
            return Ok(());
        }
        let found = self.count;
        Err(Error::Mismatch(format!(
            "the model was trained on {found} recordings of each slice, where at least two are needed; train it again"
        )))
    }
}

/// Without clean images, what a network learnt from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SelfSupervised {
    /// From recordings of the same slices with noise of their own.
    Splits(Splits),
    /// From the neighbours of pixels that were hidden.
    BlindSpots {
        /// The pixels that were hidden together.
        mask: Footprint,
        /// How far from the one in the middle.
        extent: usize,
    },
}

impl SelfSupervised {
    /// The recordings that were each other's targets, where it learnt from such.
    pub fn splits(&self) -> Option<Splits> {
        match self {
            Self::Splits(splits) => Some(*splits),
            Self::BlindSpots { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_recording_is_alone_on_one_side_once() {
        let all = |scheme| Splits { count: 3, scheme }.combinations().collect::<Vec<_>>();
        let sides = [(vec![1, 2], vec![0]), (vec![0, 2], vec![1]), (vec![0, 1], vec![2])];
        for (found, (others, one)) in all(SplitScheme::FromOthers).into_iter().zip(sides.clone()) {
            assert_eq!(found, Combination { input: others, target: one });
        }
        for (found, (others, one)) in all(SplitScheme::FromOne).into_iter().zip(sides) {
            assert_eq!(found, Combination { input: one, target: others });
        }
    }
}
