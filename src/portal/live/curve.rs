//! The curve of a run that was made by an earlier server.

use std::path::Path;

/// Points of step, loss and score.
pub(super) type Curve = Vec<(u64, f64, Option<f64>)>;

/// The curve of the run in `folder`, whose score is the metric `metric`, and its seconds, as its history has them; an empty one where there is no history yet.
pub(super) fn read(folder: &Path, metric: &str) -> (Curve, f64) {
    let (mut curve, mut seconds) = (Vec::new(), 0.0);
    let Ok(mut reader) = csv::Reader::from_path(folder.join("history.csv")) else { return (curve, seconds) };
    let Ok(header) = reader.headers().cloned() else { return (curve, seconds) };
    let place = |name: &str| header.iter().position(|column| column == name);
    let (step, minutes, loss, score) =
        (place("step"), place("minutes"), place("training_loss"), place(metric));
    for line in reader.records().map_while(std::result::Result::ok) {
        let number = |place: Option<usize>| line.get(place?)?.parse::<f64>().ok().filter(|x| x.is_finite());
        let of = step.and_then(|place| line.get(place)?.parse::<u64>().ok());
        let (Some(step), Some(loss)) = (of, number(loss)) else { continue };
        seconds = number(minutes).map_or(seconds, |minutes| minutes * 60.0);
        curve.push((step, loss, number(score)));
    }
    (curve, seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_is_that_of_the_history() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path(), "mean_iou"), (Vec::new(), 0.0));
        let text = "epoch,step,minutes,training_loss,validation_loss,mean_iou,learning_rate,best\n\
            1,20,0.5,0.7,,,0.01,1\n2,40,1.5,0.5,0.6,0.75,0.01,1\n3,60,2,,0.6,0.75,0.01,0\n4,x,2";
        std::fs::write(folder.path().join("history.csv"), text).unwrap();
        assert_eq!(read(folder.path(), "mean_iou"), (vec![(20, 0.7, None), (40, 0.5, Some(0.75))], 90.0));
    }
}
