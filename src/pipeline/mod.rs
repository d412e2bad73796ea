//! Images one after the other, with reading, computing and writing at the same time.
//!
//! While an image is computed, those that come next are read and the one before is written, so that neither files nor
//! the device wait for each other. How far the stages may run apart is bounded, and so is the memory that images take.
//!
//! [`pipeline`] computes on the thread that calls it, [`pipeline_on`] on several workers, which share a queue.

mod several;

use std::sync::mpsc::sync_channel;
use std::thread;

pub(crate) use self::several::{Event, Worker, pipeline_on};
use crate::{Error, Result};

/// How many images may be read ahead of the one that is being computed: one waits in the channel, and the reader holds another one
/// until there is room for it.
pub const AHEAD: usize = 2;

/// Sends every item through `read`, `compute` and `write`, in order: `read` and `write` on threads of their own,
/// `compute` on this one. At most [`AHEAD`] items are read before they are computed, and one result is written
/// while the next is computed.
///
/// # Errors
/// The error of the first item that failed, as if items went through all stages one by one: all before it are written,
/// and none after it.
pub(crate) fn pipeline<I: Sync, R: Send, W: Send>(
    items: &[I],
    mut read: impl FnMut(&I) -> Result<R> + Send,
    mut compute: impl FnMut(&I, R) -> Result<W>,
    mut write: impl FnMut(&I, W) -> Result<()> + Send,
) -> Result<()> {
    thread::scope(|scope| {
        let (to_compute, images) = sync_channel(AHEAD - 1);
        let (to_write, results) = sync_channel(0);
        let reader = move || {
            for item in items {
                // The other end is gone when a result could not be computed or written.
                if to_compute.send((item, read(item))).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().spawn_scoped(scope, reader).map_err(no_thread)?;
        let writer = move || results.into_iter().try_for_each(|(item, result)| write(item, result));
        let writer = thread::Builder::new().spawn_scoped(scope, writer).map_err(no_thread)?;
        let mut computed = Ok(Ok(()));
        for (item, image) in images {
            computed =
                image.and_then(|image| compute(item, image)).map(|result| to_write.send((item, result)));
            // The writer is gone when it failed, and has the error.
            if !matches!(computed, Ok(Ok(()))) {
                break;
            }
        }
        drop(to_write);
        // What is still to be written comes before what could not be computed.
        let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written.and(computed.map(drop))
    })
}

/// The error where a thread cannot be started.
pub(crate) fn no_thread(error: std::io::Error) -> Error {
    let problem = format!("{error}; raise the limit of memory or of processes");
    Error::device("this machine", "starting a thread", problem).caused_by(error)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex};
    use std::time::Duration;

    use super::*;

    /// How many items a stage has begun, for others to wait for.
    #[derive(Default)]
    struct Begun {
        count: Mutex<usize>,
        changed: Condvar,
    }

    impl Begun {
        fn one_more(&self) {
            *self.count.lock().unwrap() += 1;
            self.changed.notify_all();
        }

        /// Waits for `count` items; far longer than any machine takes where the stages overlap.
        fn wait_for(&self, count: usize) {
            let patience = Duration::from_secs(60);
            let begun = self.count.lock().unwrap();
            let (_begun, wait) =
                self.changed.wait_timeout_while(begun, patience, |begun| *begun < count).unwrap();
            assert!(!wait.timed_out(), "the stages do not overlap: {count} items were not begun");
        }
    }

    #[test]
    fn an_item_is_written_while_the_next_is_computed_and_those_after_it_are_read() {
        let items: Vec<usize> = (0..8).collect();
        let (read, computed) = (Begun::default(), Begun::default());
        let mut written = Vec::new();
        let reading = |&item: &usize| {
            read.one_more();
            Ok(item)
        };
        let computing = |_: &usize, image: usize| {
            computed.one_more();
            Ok(10 * image)
        };
        let writing = |&item: &usize, result: usize| {
            assert_eq!(result, 10 * item);
            computed.wait_for((item + 2).min(items.len()));
            read.wait_for((item + 2 + AHEAD).min(items.len()));
            written.push(item);
            Ok(())
        };
        pipeline(&items, reading, computing, writing).unwrap();
        assert_eq!(written, items);
    }

    /// An image that counts how many there are.
    struct Image<'a>(&'a AtomicUsize);

    impl Drop for Image<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn few_images_are_held_at_a_time_however_slow_the_later_stages() {
        let items: Vec<usize> = (0..40).collect();
        let held = AtomicUsize::new(0);
        let read = |_: &usize| {
            let before = held.fetch_add(1, Ordering::SeqCst);
            assert!(before <= AHEAD, "{before} images are held already");
            Ok(Image(&held))
        };
        let compute = |_: &usize, _: Image| {
            thread::sleep(Duration::from_millis(2));
            Ok(())
        };
        pipeline(&items, read, compute, |_, ()| Ok(())).unwrap();
        assert_eq!(held.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn the_first_item_that_fails_ends_it_and_those_before_it_are_written() {
        let items: Vec<usize> = (0..9).collect();
        let stages = ["read", "compute", "write"];
        let every = |item: usize| stages.map(|stage| (stage, item));
        for faults in (0..9).flat_map(every).map(|fault| vec![fault]).chain([
            // What fails later in time may be the earlier item.
            vec![("write", 3), ("compute", 4), ("read", 6)],
            vec![("compute", 3), ("read", 4)],
        ]) {
            let fails = |stage: &str, item: usize| match faults.contains(&(stage, item)) {
                true => Err(Error::Mismatch(format!("{stage} {item}"))),
                false => Ok(()),
            };
            let mut written = Vec::new();
            let ended = pipeline(
                &items,
                |&item| fails("read", item),
                |&item, ()| fails("compute", item),
                |&item, ()| {
                    fails("write", item)?;
                    written.push(item);
                    Ok(())
                },
            );
            let (stage, item) = faults[0];
            assert_eq!(ended.unwrap_err().to_string(), format!("{stage} {item}"));
            assert_eq!(written, items[..item]);
        }
    }

    #[test]
    fn nothing_to_do_is_done() {
        pipeline(&[] as &[usize], |_| Ok(()), |_, ()| Ok(()), |_, ()| Ok(())).unwrap();
    }
}
