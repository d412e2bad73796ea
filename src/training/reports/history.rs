//! What happened in each epoch: a table for other programs, and curves for people.

use crate::pictures::{Chart, Series, charts_to_svg};
use crate::watcher::Epoch;

/// All epochs of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// Names of the metrics.
    pub metrics: Vec<String>,
    /// The epochs, in order.
    pub epochs: Vec<Epoch>,
}

impl History {
    /// An empty history with metrics of these names.
    pub fn new(metrics: &[&str]) -> Self {
        Self { metrics: metrics.iter().map(ToString::to_string).collect(), epochs: Vec::new() }
    }

    /// The text of `history.csv`; a number that is not defined is left empty.
    pub fn to_csv(&self) -> String {
        let mut text = format!(
            "epoch,step,minutes,training_loss,validation_loss,{},learning_rate,best\n",
            self.metrics.join(",")
        );
        let number = |value: f64| if value.is_nan() { String::new() } else { value.to_string() };
        for e in &self.epochs {
            let metrics: Vec<String> = e.metrics.iter().map(|&(_, value)| number(value)).collect();
            let (training, validation) = (number(e.training_loss), number(e.validation_loss));
            let best = u8::from(e.best);
            let line = [e.epoch.to_string(), e.step.to_string(), number(e.minutes), training, validation];
            let rate = number(e.learning_rate);
            text += &format!("{},{},{rate},{best}\n", line.join(","), metrics.join(","));
        }
        text
    }

    /// Reads the first `count` epochs back from the text of `history.csv`; `None` when they are not all there.
    pub fn from_csv(text: &str, metrics: &[&str], count: usize) -> Option<Self> {
        let mut history = Self::new(metrics);
        for line in text.lines().skip(1).take(count) {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |text: &str| if text.is_empty() { Some(f64::NAN) } else { text.parse().ok() };
            if fields.len() != 7 + metrics.len() {
                return None;
            }
            history.epochs.push(Epoch {
                epoch: fields[0].parse().ok()?,
                step: fields[1].parse().ok()?,
                minutes: number(fields[2])?,
                training_loss: number(fields[3])?,
                validation_loss: number(fields[4])?,
                metrics: metrics
                    .iter()
                    .zip(&fields[5..])
                    .map(|(name, text)| Some((name.to_string(), number(text)?)))
                    .collect::<Option<_>>()?,
                learning_rate: number(fields[5 + metrics.len()])?,
                best: fields[6 + metrics.len()] == "1",
            });
        }
        (history.epochs.len() == count).then_some(history)
    }

    /// The picture `curves.svg`: losses, and below them the metrics.
    pub fn to_svg(&self) -> String {
        let points =
            |value: &dyn Fn(&Epoch) -> f64| self.epochs.iter().map(|e| (e.step as f64, value(e))).collect();
        let mut losses = vec![Series { name: "training".into(), points: points(&|e| e.training_loss) }];
        if self.epochs.iter().any(|e| !e.validation_loss.is_nan()) {
            losses.push(Series { name: "validation".into(), points: points(&|e| e.validation_loss) });
        }
        let best = self.epochs.iter().rev().find(|epoch| epoch.best);
        let mark = best.map(|epoch| (epoch.step as f64, format!("best: epoch {}", epoch.epoch)));
        let chart = |title: &str, y_label: &str, logarithmic_y: bool, series: Vec<Series>| Chart {
            title: title.into(),
            x_label: "step".into(),
            y_label: y_label.into(),
            logarithmic_y,
            series,
            mark: mark.clone(),
        };
        let mut charts = vec![chart("Loss", "loss", true, losses)];
        for (index, name) in self.metrics.iter().enumerate() {
            if self.epochs.iter().any(|e| !e.metrics[index].1.is_nan()) {
                let words = name.replace('_', " ");
                let series =
                    vec![Series { name: "validation".into(), points: points(&|e| e.metrics[index].1) }];
                charts.push(chart(&words, &words, false, series));
            }
        }
        charts_to_svg(&charts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let mut history = History::new(&["psnr", "ssim"]);
        for epoch in 1..4 {
            let metrics = vec![("psnr".into(), 20.0 + epoch as f64 / 3.0), ("ssim".into(), f64::NAN)];
            history.epochs.push(Epoch {
                epoch,
                step: 10 * epoch,
                minutes: 0.1 * epoch as f64,
                training_loss: 1.0 / epoch as f64,
                validation_loss: 1.5 / epoch as f64,
                metrics,
                learning_rate: 0.1 / epoch as f64,
                best: epoch == 2,
            });
        }
        history
    }

    #[test]
    fn the_table_comes_back_to_the_last_bit() {
        let text = history().to_csv();
        let back = History::from_csv(&text, &["psnr", "ssim"], 3).unwrap();
        assert_eq!(format!("{back:?}"), format!("{:?}", history()));
        assert_eq!(History::from_csv(&text, &["psnr", "ssim"], 2).unwrap().epochs.len(), 2);
        assert!(History::from_csv(&text, &["psnr", "ssim"], 4).is_none());
        assert!(History::from_csv("epoch\nx,1", &["psnr"], 1).is_none());
    }

    #[test]
    fn the_curves_show_what_is_defined() {
        let svg = history().to_svg();
        assert!(svg.starts_with("<svg") && svg.contains("psnr") && !svg.contains("ssim"));
        assert_eq!(svg.matches("best: epoch 2").count(), 2);
    }
}
