//! Large things one after the other, read by all threads ahead of their turn.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::Result;

/// Bytes of what is read ahead at most, where one by itself does not need more.
const BYTES_AHEAD: u64 = 96 << 20;

/// How many things of `bytes` each are read at the same time.
fn at_a_time(bytes: u64) -> usize {
    let fit = usize::try_from(BYTES_AHEAD / bytes.max(1)).unwrap_or(usize::MAX);
    fit.clamp(1, rayon::current_num_threads().max(1))
}

/// Calls `visit` with each of `count` things in order, while the next ones are read. Each is about `bytes` large.
///
/// # Errors
/// The first error of `read` or `visit`, in order.
pub(super) fn in_order<T: Send>(
    count: usize,
    bytes: u64,
    read: impl Fn(usize) -> Result<T> + Sync,
    mut visit: impl FnMut(usize, T) -> Result<()> + Send,
) -> Result<()> {
    let read_some = |range: Range<usize>| -> Vec<(usize, Result<T>)> {
        range.into_par_iter().map(|index| (index, read(index))).collect()
    };
    // Of the things in memory, half wait for their turn and half are being read.
    let some = at_a_time(bytes.saturating_mul(2));
    let mut next = some.min(count);
    let mut ready = read_some(0..next);
    while !ready.is_empty() {
        let end = (next + some).min(count);
        let visit = &mut visit;
        let (visited, following) = rayon::join(
            move || ready.into_iter().try_for_each(|(index, thing)| visit(index, thing?)),
            || read_some(next..end),
        );
        visited?;
        (ready, next) = (following, end);
    }
    Ok(())
}

/// What `measure` gives for each of `count` things, in order, of which so many are measured at the same time as fit where each takes
/// `bytes` meanwhile.
///
/// # Errors
/// The first error of `measure`, in order.
pub(super) fn measured<T: Send>(
    count: usize,
    bytes: u64,
    measure: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let mut all = Vec::with_capacity(count);
    in_order(count, bytes, measure, |_, found| {
        all.push(found);
        Ok(())
    })?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn things_come_in_order_and_the_first_error_ends_it() {
        for bytes in [0, BYTES_AHEAD / 3, u64::MAX] {
            assert_eq!(
                measured(23, bytes, |index| Ok(index * 2)).unwrap(),
                Vec::from_iter((0..46).step_by(2))
            );
            let bad = |index: usize| match index {
                7.. => Err(Error::Mismatch(format!("{index}"))),
                _ => Ok(index),
            };
            let mut seen = 0;
            let error = in_order(23, bytes, bad, |_, _| {
                seen += 1;
                Ok(())
            });
            assert_eq!((error.unwrap_err().to_string().as_str(), seen), ("7", 7));
        }
        assert!(measured(0, 1, Ok).unwrap().is_empty());
    }
}
