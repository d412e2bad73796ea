//! How long work takes in all and how much of that is left, from how far it is, and when a line about it is due.

use std::time::Duration;

/// Before so much time nothing is said: the first pieces of work are slower than others, and short work needs no line.
const FIRST: Duration = Duration::from_secs(3);
/// Time between two lines.
const BETWEEN: Duration = Duration::from_secs(60);
/// Of less time left than that nothing is said.
const LEAST_LEFT: Duration = Duration::from_secs(10);

/// The pace of work, which is told how far it is now and then.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the first piece was done, and how far the work was then: it may have gone on from before.
    first: Option<(Duration, f64)>,
    /// The largest share so far: reports of pieces and of what is written come side by side.
    done: f64,
    /// When the last line was said.
    said: Option<Duration>,
}

impl Pace {
    /// The work is at `done`, from 0 to 1, after `elapsed`; gives a line where one is due.
    pub(super) fn line(&mut self, elapsed: Duration, done: f64) -> Option<String> {
        self.done = self.done.max(done);
        let (first_elapsed, first_done) = *self.first.get_or_insert((elapsed, done));
        let (took, did) = ((elapsed - first_elapsed).as_secs_f64(), self.done - first_done);
        let due = elapsed >= self.said.map_or(FIRST, |said| said + BETWEEN);
        if !due || took <= 0.0 || did <= 0.0 {
            return None;
        }
        let left = Duration::try_from_secs_f64(took * (1.0 - self.done).max(0.0) / did).ok()?;
        if left < LEAST_LEFT {
            return None;
        }
        self.said = Some(elapsed);
        let (left, all, percent) =
            (in_words(left), in_words(elapsed.saturating_add(left)), 100.0 * self.done);
        Some(format!("{percent:.0} % done, about {left} left; it takes about {all} in all"))
    }
}

/// A time as people say it.
fn in_words(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 100.0 => format!("{seconds:.0} seconds"),
        seconds if seconds < 100.0 * 60.0 => format!("{:.0} minutes", seconds / 60.0),
        seconds => format!("{:.1} hours", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn time_left_is_said_after_the_first_pieces_and_then_once_a_minute() {
        let mut pace = Pace::default();
        // The first piece is slow, and does not count.
        assert_eq!(pace.line(seconds(20.0), 0.01), None);
        let line = pace.line(seconds(21.0), 0.02).unwrap();
        assert_eq!(line, "2 % done, about 98 seconds left; it takes about 2 minutes in all");
        assert_eq!(pace.line(seconds(50.0), 0.3), None);
        let line = pace.line(seconds(81.0), 0.41).unwrap();
        assert_eq!(line, "41 % done, about 90 seconds left; it takes about 3 minutes in all");
        // What is written is reported later than what is computed.
        let line = pace.line(seconds(141.0), 0.2).unwrap();
        assert!(line.starts_with("41 % done"), "{line}");
        assert_eq!(pace.line(seconds(300.0), 0.99), None);
    }

    #[test]
    fn short_work_gets_no_line_and_work_that_goes_on_counts_from_there() {
        let mut short = Pace::default();
        for tenth in 0..=10 {
            assert_eq!(short.line(seconds(f64::from(tenth)), f64::from(tenth) / 10.0), None);
        }
        let mut resumed = Pace::default();
        assert_eq!(resumed.line(seconds(1.0), 0.5), None);
        let line = resumed.line(seconds(11.0), 0.501).unwrap();
        assert_eq!(line, "50 % done, about 83 minutes left; it takes about 83 minutes in all");
        assert_eq!(in_words(seconds(7200.0)), "2.0 hours");
    }
}
