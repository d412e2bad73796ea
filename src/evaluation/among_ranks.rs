//! Judging on several ranks, each of which takes a share of the samples.

use ndarray::ArrayView3;

use super::judge::{Judge, Judged, JudgedOne, Samples, Together};
use super::scores::Evaluation;
use crate::metrics::TargetLimits;
use crate::peers::{Message, MessageReader, Peers, share};
use crate::watcher::Watcher;
use crate::{Error, Result};

impl Judge {
    /// As [`Judge::run_over`], on several ranks: each applies its `judged` to its share of the samples, and gets the result of all of
    /// them, with the same bits as one rank alone would.
    ///
    /// # Errors
    /// As [`Judge::run_over`], and as [`Peers::gather`].
    pub fn run_among(
        &self,
        judged: &mut dyn Judged,
        samples: &(impl Samples + ?Sized),
        peers: &mut dyn Peers,
        watcher: &mut dyn Watcher,
    ) -> Result<Evaluation> {
        if peers.size() == 1 {
            return self.score_over(judged, samples, watcher);
        }
        self.check_classes()?;
        let count = samples.count();
        let own = share(count, peers.rank(), peers.size());
        let range = match self.known_range() {
            Some(range) => range,
            None => {
                let (smallest, largest) = self.limits_of_targets(judged, samples, own.clone())?.ends();
                let mut limits = TargetLimits::default();
                for (rank, ends) in
                    peers.gather(Message::new().floats(&[smallest, largest]).done())?.iter().enumerate()
                {
                    // Those of a rank without samples are infinite, and do not count.
                    let ends: Vec<f32> = MessageReader::new(ends, rank).floats()?.collect();
                    limits.include(ArrayView3::from_shape((1, 1, ends.len()), &ends).map_err(unreadable)?);
                }
                limits.data_range()
            }
        };
        let mut message = Message::new();
        let mut compares_input = false;
        for index in own {
            let (name, one) = self.score_one(judged, samples, index, range, &mut compares_input, watcher)?;
            message.bytes(name.as_bytes());
            let losses = one.loss.map_or(Vec::new(), |(loss, weight)| vec![loss.to_bits(), weight.to_bits()]);
            for numbers in [losses, one.scores.numbers()] {
                message.number(numbers.len() as u64);
                for number in numbers {
                    message.number(number);
                }
            }
        }
        let mut all = Together::new(self.no_scores(range));
        for (rank, bytes) in peers.gather(message.done())?.iter().enumerate() {
            let mut reader = MessageReader::new(bytes, rank);
            while !reader.is_empty() {
                let name = reader.text()?;
                let mut numbers =
                    || -> Result<Vec<u64>> { (0..reader.number()?).map(|_| reader.number()).collect() };
                let (losses, numbers) = (numbers()?, numbers()?);
                let loss = match losses[..] {
                    [loss, weight] => Some((f64::from_bits(loss), f64::from_bits(weight))),
                    _ => None,
                };
                all.add(
                    name,
                    &JudgedOne {
                        scores: self.no_scores(range).with_numbers(&numbers)?,
                        loss,
                        surfaces: Vec::new(),
                    },
                )?;
            }
        }
        Ok(all.evaluation())
    }
}

fn unreadable(error: ndarray::ShapeError) -> Error {
    Error::Mismatch(format!("the limits of the targets cannot be read: {error}"))
}
