//! Items that several workers compute, each the next one that nobody has begun.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::no_thread;
use crate::Result;

/// What the thread that has called [`pipeline_on`] is told.
pub(crate) enum Event<'i, I, E, W> {
    /// What a worker says of its item while it computes it. Only what is said of the first item that is not computed is passed on.
    Told(E),
    /// The result of an item; items come in order.
    Computed(&'i I, W),
}

/// What a worker sends to the thread that puts results in order.
enum Message<E, W> {
    Told(usize, E),
    Computed(usize, W),
    /// A worker has panicked, so that an item will not come.
    Lost,
}

/// What a worker computes items with: the number of an item, the item, what was read of it, and what takes what there is to say
/// meanwhile.
pub(crate) type Worker<'w, I, R, E, W> = Box<dyn FnMut(usize, &I, R, &dyn Fn(E)) -> W + Send + 'w>;

/// Reads every item on a thread of its own, in order; each of the `workers` computes on a thread of its own the next item that none
/// has begun; `here`, on this thread, is given the results in the order of the items, and what it makes of them is written on one thread
/// more.
///
/// One item more is read ahead than there are workers, and none is begun while twice as many results, less one, are computed or
/// wait for one before them, so that results do not pile up behind a slow worker. `ended` is set once nothing more is wanted, for
/// workers that look at it while they compute.
///
/// # Errors
/// The first that `here` or writing gives; all items before it are written, and none after it.
pub(crate) fn pipeline_on<I: Sync, R: Send, E: Send, W: Send, V: Send>(
    items: &[I],
    mut read: impl FnMut(&I) -> R + Send,
    workers: Vec<Worker<'_, I, R, E, W>>,
    ended: &AtomicBool,
    mut here: impl FnMut(Event<'_, I, E, W>) -> Result<Option<V>>,
    mut write: impl FnMut(&I, V) -> Result<()> + Send,
) -> Result<()> {
    let count = workers.len();
    thread::scope(|scope| {
        let end = End(ended);
        let (to_compute, images) = sync_channel(count);
        let (to_write, results) = sync_channel(0);
        let (messages, told) = channel();
        let (permits, permitted) = channel();
        for _ in 1..2 * count {
            permits.send(()).ok();
        }
        // The receivers are the workers' alone, so that the reader ends when these have ended.
        let queue = Arc::new(Mutex::new(Queue { permitted, images }));
        let reader = move || {
            for (index, item) in items.iter().enumerate() {
                if to_compute.send((index, item, read(item))).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().spawn_scoped(scope, reader).map_err(no_thread)?;
        let writer = move || results.into_iter().try_for_each(|(item, result)| write(item, result));
        let writer = thread::Builder::new().spawn_scoped(scope, writer).map_err(no_thread)?;
        for mut worker in workers {
            let (queue, messages) = (queue.clone(), messages.clone());
            let work = move || {
                let _alarm = Alarm(&messages);
                while let Some((index, item, read)) = next(&queue, ended) {
                    // The other end is gone once nothing more is wanted.
                    let tell = |what| drop(messages.send(Message::Told(index, what)));
                    let result = worker(index, item, read, &tell);
                    drop(messages.send(Message::Computed(index, result)));
                }
            };
            thread::Builder::new().spawn_scoped(scope, work).map_err(no_thread)?;
        }
        drop((queue, messages));
        let computed = in_order(items, &told, |event| {
            let item = match &event {
                Event::Told(_) => None,
                Event::Computed(item, _) => Some(*item),
            };
            let made = here(event)?;
            let Some(item) = item else { return Ok(ControlFlow::Continue(())) };
            // The writer is gone when it failed, and has the error.
            if made.is_some_and(|made| to_write.send((item, made)).is_err()) {
                return Ok(ControlFlow::Break(()));
            }
            permits.send(()).ok();
            Ok(ControlFlow::Continue(()))
        });
        drop(end);
        // Workers that wait for a permit end.
        drop((permits, told, to_write));
        let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written.and(computed)
    })
}

/// What workers take their items from.
struct Queue<T> {
    permitted: Receiver<()>,
    images: Receiver<T>,
}

/// The next item, once one may be begun; `None` where there is none left, or nothing more is wanted.
fn next<T>(queue: &Mutex<Queue<T>>, ended: &AtomicBool) -> Option<T> {
    // One worker waits for an item, the others for it, so that items are begun in order.
    let queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    queue.permitted.recv().ok()?;
    let item = queue.images.recv().ok()?;
    (!ended.load(Ordering::Relaxed)).then_some(item)
}

/// Gives `here` what is told of the first item that is not computed, and results in the order of the items, until it wants no more.
///
/// # Errors
/// The first of `here`.
fn in_order<'i, I, E, W>(
    items: &'i [I],
    told: &Receiver<Message<E, W>>,
    mut here: impl FnMut(Event<'i, I, E, W>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let (mut first, mut waiting) = (0, BTreeMap::new());
    while first < items.len() {
        match told.recv() {
            // The reader or a worker has panicked; that comes up when the threads are joined.
            Err(_) | Ok(Message::Lost) => return Ok(()),
            Ok(Message::Told(index, what)) if index == first => {
                if here(Event::Told(what))?.is_break() {
                    return Ok(());
                }
            }
            Ok(Message::Told(..)) => {}
            Ok(Message::Computed(index, result)) => {
                waiting.insert(index, result);
            }
        }
        while let Some(result) = waiting.remove(&first) {
            if here(Event::Computed(&items[first], result))?.is_break() {
                return Ok(());
            }
            first += 1;
        }
    }
    Ok(())
}

/// Says that nothing more is wanted, whichever way the work ends.
struct End<'e>(&'e AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Says that a worker has panicked, for whoever waits for its item.
struct Alarm<'m, E, W>(&'m Sender<Message<E, W>>);

impl<E, W> Drop for Alarm<'_, E, W> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.send(Message::Lost).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;
    use crate::Error;

    /// Items through so many workers, of which the first is slow; gives what was written, in this order, and the error.
    fn run(
        count: usize,
        workers: usize,
        fails: impl Fn(&str, usize) -> bool + Sync,
    ) -> (Vec<usize>, Result<()>) {
        let items: Vec<usize> = (0..count).collect();
        let check = |stage: &str, item: usize| match fails(stage, item) {
            true => Err(Error::Mismatch(format!("{stage} {item}"))),
            false => Ok(()),
        };
        let (computing, most, ended) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
        let (check, computing, most) = (&check, &computing, &most);
        let worker = |number: usize| -> Worker<'_, usize, Result<()>, f64, Result<usize>> {
            Box::new(move |index, &item, read, tell| {
                assert_eq!(index, item);
                let begun = computing.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(begun, Ordering::SeqCst);
                read?;
                tell(0.5);
                std::thread::sleep(Duration::from_millis(if number == 0 { 20 } else { 1 }));
                check("compute", item)?;
                Ok(10 * item)
            })
        };
        let (mut written, mut next, mut told) = (Vec::new(), 0, 0);
        let result = pipeline_on(
            &items,
            |&item| check("read", item),
            (0..workers).map(worker).collect(),
            &ended,
            |event| match event {
                Event::Told(share) => {
                    assert_eq!(share, 0.5);
                    told += 1;
                    Ok(None)
                }
                Event::Computed(&item, result) => {
                    assert_eq!(item, next);
                    next += 1;
                    computing.fetch_sub(1, Ordering::SeqCst);
                    result.map(Some)
                }
            },
            |&item, result| {
                assert_eq!(result, 10 * item);
                check("write", item)?;
                written.push(item);
                Ok(())
            },
        );
        assert!(most.load(Ordering::SeqCst) < 2 * workers, "results pile up");
        assert!(ended.load(Ordering::SeqCst));
        // Of the first item at least, as no other is before it.
        assert!(told > 0 || result.is_err() || count == 0);
        (written, result)
    }

    #[test]
    fn all_items_are_written_in_order_by_any_number_of_workers() {
        for workers in 1..5 {
            for count in [0, 1, 3, 40] {
                let (written, result) = run(count, workers, |_, _| false);
                assert!(result.is_ok());
                assert_eq!(written, (0..count).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_first_item_that_fails_ends_it_and_those_before_it_are_written() {
        for stage in ["read", "compute", "write"] {
            for item in [0, 1, 7, 11] {
                // A later one fails too, and may do so first.
                let (written, result) =
                    run(12, 3, |at, n| at == stage && n == item || at == "compute" && n == item + 1);
                assert_eq!(result.unwrap_err().to_string(), format!("{stage} {item}"));
                assert_eq!(written, (0..item).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn what_panics_ends_all_others() {
        for stage in ["read", "compute", "write"] {
            let fails = |at: &str, item: usize| {
                assert!(at != stage || item != 5, "on purpose");
                false
            };
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(9, 2, fails)));
            assert!(panic.is_err(), "{stage}");
        }
    }
}
