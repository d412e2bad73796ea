//! Axes: which values they span, where their ticks are and how these are written.

/// Ticks that an axis has at most, about.
const TICKS: f64 = 6.0;

/// One axis, linear or logarithmic.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    ticks: Vec<f64>,
    logarithmic: bool,
}

impl Scale {
    /// A linear axis that starts and ends on ticks and holds all values; 0 to 1 if there are none.
    pub(super) fn linear(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = widened(limits(values).unwrap_or((0.0, 1.0)));
        let step = nice_step((high - low) / TICKS);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let ticks: Vec<f64> = (0..=(last - first) as usize).map(|i| (first + i as f64) * step).collect();
        Self { low: first * step, high: last * step, ticks, logarithmic: false }
    }

    /// A logarithmic axis for normal values above 0, with ticks at powers of ten, and at 2 and 5 times these where
    /// there is room for them.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = limits(values).unwrap_or((0.1, 1.0));
        let (low, high) = if low < high { (low, high) } else { (low / 2.0, high * 2.0) };
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let decades = f64::from(last - first);
        let every = (decades / TICKS).ceil().max(1.0) as usize;
        let factors: &[f64] = if decades <= 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let candidates: Vec<f64> = (first..=last)
            .step_by(every)
            .flat_map(|power| factors.iter().map(move |f| f * 10f64.powi(power)))
            .filter(|tick| tick.is_normal())
            .collect();
        // The axis ends on the ticks nearest to the values, where there are such.
        let below = candidates.iter().copied().filter(|&t| t <= low).fold(low, |_, t| t);
        let above = candidates.iter().copied().find(|&t| t >= high).unwrap_or(high);
        let ticks = candidates.into_iter().filter(|t| (below..=above).contains(t)).collect();
        Self { low: below, high: above, ticks, logarithmic: true }
    }

    /// Where a value lies: 0 at the start of the axis, 1 at its end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let (value, low, high) = if self.logarithmic {
            (value.log10(), self.low.log10(), self.high.log10())
        } else {
            (value, self.low, self.high)
        };
        // Halves, so that not even the widest span overflows.
        (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)
    }

    pub(super) fn ticks(&self) -> impl Iterator<Item = f64> + '_ {
        self.ticks.iter().copied()
    }
}

fn limits(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |limits, v| match limits {
        None => Some((v, v)),
        Some((low, high)) => Some((v.min(low), v.max(high))),
    })
}

/// The limits, apart by enough to be divided into steps, and small enough to be subtracted.
fn widened((low, high): (f64, f64)) -> (f64, f64) {
    let (low, high) = (low.clamp(-1e300, 1e300), high.clamp(-1e300, 1e300));
    let least = 1e-9 * low.abs().max(high.abs());
    if high - low > least.max(1e-300) {
        (low, high)
    } else if least > 0.0 {
        let half = 0.5 * low.abs().max(high.abs());
        (low - half, high + half)
    } else {
        (-0.5, 0.5)
    }
}

/// The least of 1, 2 or 5 times a power of ten that is not below `rough`.
fn nice_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0]
        .iter()
        .map(|f| f * power)
        .find(|&step| step >= rough * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

/// A tick's value as text: without the dust of rounding (0.1 + 0.2), with an exponent where it would be long.
pub(super) fn label(value: f64) -> String {
    if value == 0.0 {
        return "0".to_string();
    }
    let plain = |text: String| {
        let text = if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_string()
        } else {
            text
        };
        if text == "-0" { "0".to_string() } else { text }
    };
    if (1e-3..1e6).contains(&value.abs()) {
        return plain(format!("{value:.6}"));
    }
    let text = format!("{value:.4e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => format!("{}e{exponent}", plain(mantissa.to_string())),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks().map(label).collect()
    }

    #[test]
    fn linear_ticks_are_round_numbers() {
        assert_eq!(labels(&Scale::linear([0.0, 1.0].into_iter())), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(
            labels(&Scale::linear([3.0, 1180.0].into_iter())),
            ["0", "200", "400", "600", "800", "1000", "1200"]
        );
        assert_eq!(labels(&Scale::linear([-0.29, 0.3].into_iter()))[3], "0");
    }

    #[test]
    fn logarithmic_ticks_are_decades_or_finer() {
        assert_eq!(
            labels(&Scale::logarithmic([0.03, 1.3].into_iter())),
            ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]
        );
        assert_eq!(
            labels(&Scale::logarithmic([2e-4, 30.0].into_iter())),
            ["1e-4", "0.001", "0.01", "0.1", "1", "10", "100"]
        );
        assert!(Scale::logarithmic([1e-30, 1e30].into_iter()).ticks().count() <= 8);
    }

    #[test]
    fn every_value_lies_on_its_axis() {
        let pairs =
            [(0.0, 0.0), (5.0, 5.0), (-3.0, 17.2), (1e-12, 1.1e-12), (1e6, 1e6 + 1.0), (-1e300, 1e300)];
        for (low, high) in pairs {
            let scale = Scale::linear([low, high].into_iter());
            for value in [low, high] {
                assert!((-1e-9..=1.0 + 1e-9).contains(&scale.place(value)), "{value} in {scale:?}");
            }
            assert!((2..=9).contains(&scale.ticks().count()), "{scale:?}");
        }
        for (low, high) in
            [(0.5, 0.5), (1.0, 1.0), (1e-300, 1e300), (3.0, 3.1), (f64::MIN_POSITIVE, f64::MAX)]
        {
            let scale = Scale::logarithmic([low, high].into_iter());
            for value in [low, high] {
                assert!((-1e-9..=1.0 + 1e-9).contains(&scale.place(value)), "{value} in {scale:?}");
            }
            assert!((1..=9).contains(&scale.ticks().count()), "{scale:?}");
        }
    }

    #[test]
    fn labels_are_short() {
        for (value, wanted) in
            [(0.1 + 0.2, "0.3"), (20000.0, "20000"), (2e6, "2e6"), (1e-4, "1e-4"), (-0.5, "-0.5"), (0.0, "0")]
        {
            assert_eq!(label(value), wanted);
        }
    }
}
