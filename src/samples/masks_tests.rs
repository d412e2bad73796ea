//! Tests of what label images look like.

use super::*;

fn inspect(labels: &[(&str, &Array2<i64>)], ignored: Option<i64>) -> Result<Vec<String>> {
    let mut inspection = Inspection::new(ignored);
    labels.iter().for_each(|(name, image)| inspection.add(name, image));
    inspection.problems()
}

/// Discs on a ground of 0, numbered from 1; they do not overlap.
fn discs(count: usize) -> Array2<i64> {
    Array2::from_shape_fn((64, 96), |(y, x)| {
        let (row, column) = (y / 16, x / 16);
        let (dy, dx) = ((y % 16) as i64 - 8, (x % 16) as i64 - 8);
        let number = row * 6 + column;
        if number < count && dy * dy + dx * dx < 30 { 1 + number as i64 } else { 0 }
    })
}

/// A mask of 0 and 255 that was averaged over neighbours.
fn soft(count: usize) -> Array2<i64> {
    let mask = discs(count).mapv(|number| if number > 0 { 255 } else { 0 });
    let (height, width) = mask.dim();
    Array2::from_shape_fn(mask.dim(), |(y, x)| {
        let mut sum = 0;
        for v in y.saturating_sub(1)..(y + 2).min(height) {
            for u in x.saturating_sub(1)..(x + 2).min(width) {
                sum += mask[[v, u]] * (1 + (v * 7 + u * 3 + y) as i64 % 2);
            }
        }
        (sum / 13).min(255)
    })
}

fn said(images: &[Array2<i64>]) -> Vec<String> {
    let names: Vec<String> = (0..images.len()).map(|n| format!("{n}.tif")).collect();
    let named: Vec<_> = names.iter().map(String::as_str).zip(images).collect();
    inspect(&named, None).unwrap()
}

#[track_caller]
fn check(images: &[Array2<i64>], parts: &[&str]) {
    let said = said(images);
    assert_eq!(said.len(), 1, "{said:?}");
    for part in parts {
        assert!(said[0].contains(part), "'{part}' is not in: {said:?}");
    }
}

#[test]
fn soft_edges_are_told_with_threshold_and_classes() {
    check(&[soft(9), soft(12)], &["soft edges", "`threshold 128`", "`classes 0,255`"]);
}

#[test]
fn masks_that_strong_compression_touched_everywhere_are_told() {
    let mask = discs(14).mapv(|number| if number > 0 { 255 } else { 0 });
    let moved = Array2::from_shape_fn(mask.dim(), |(y, x)| {
        let by = (y * 37 + x * 101 + y * x * 7) as i64 % 41 - 20;
        (mask[[y, x]] + by).clamp(0, 255)
    });
    let error = inspect(&[("m.png", &moved)], None).unwrap_err().to_string();
    for part in ["JPEG", "soft edges", "`threshold 128`", "`classes 0,255`", "at most 32"] {
        assert!(error.contains(part), "'{part}' is not in: {error}");
    }
    assert!(!error.contains("grey image"), "{error}");
}

#[test]
fn instances_are_told_with_the_classes_that_merge_them() {
    check(&[discs(8), discs(14)], &["instances", "1.tif has 14", "15 classes", "`classes 0,rest`"]);
}

#[test]
fn grey_images_are_told() {
    let grey = Array2::from_shape_fn((40, 40), |(y, x)| ((y * 37 + x * 101 + y * x * 7) % 30) as i64);
    check(&[grey], &["grey image", "check that these are the targets"]);
}

#[test]
fn masks_of_different_largest_values_are_told() {
    let mask = discs(9).mapv(|number| i64::from(number > 0));
    check(
        &[mask.mapv(|v| 255 * v), mask.clone()],
        &["0 and 1 (1.tif)", "0 and 255 (0.tif)", "`threshold 1`"],
    );
    // 1 and 255 in one image are two classes.
    let both = Array2::from_shape_fn((8, 8), |(y, x)| {
        if y < 4 {
            0
        } else if x < 4 {
            1
        } else {
            255
        }
    });
    assert!(said(&[both, mask]).is_empty());
}

#[test]
fn strokes_on_a_ground_that_nobody_set_to_be_ignored_are_asked_about() {
    let strokes = Array2::from_shape_fn((40, 40), |(y, _)| match y {
        3..6 => 0,
        20..23 => 1,
        _ => 255,
    });
    check(std::slice::from_ref(&strokes), &["85.0 %", "are 255", "0,1", "`ignore 255`"]);
    assert!(inspect(&[("a", &strokes)], Some(255)).unwrap().is_empty());
}

#[test]
fn more_values_than_classes_have_are_refused_with_what_they_look_like() {
    let refusal = |image: &Array2<i64>| inspect(&[("a.tif", image)], None).unwrap_err().to_string();
    let many = Array2::from_shape_fn((80, 80), |(y, x)| {
        let inside = y % 8 < 6 && x % 8 < 6;
        if inside { (1 + y / 8 * 10 + x / 8) as i64 } else { 0 }
    });
    let error = refusal(&many);
    for part in ["101 different values", "a.tif", "at most 32", "instances", "`classes 0,rest`"] {
        assert!(error.contains(part), "{error}");
    }
    let grey = Array2::from_shape_fn((40, 40), |(y, x)| ((y * 37 + x * 101 + y * x * 7) % 251) as i64);
    assert!(refusal(&grey).contains("grey image"), "{}", refusal(&grey));
    // Drawn regions that are no objects can be listed.
    let stripes = Array2::from_shape_fn((320, 8), |(y, _)| (y / 4 % 40) as i64);
    assert!(refusal(&stripes).contains("`classes 0..39`"), "{}", refusal(&stripes));
}

#[test]
fn ordinary_classes_are_passed_in_silence() {
    let regions = Array2::from_shape_fn((40, 60), |(y, x)| (y / 20 * 3 + x / 20) as i64);
    assert!(said(&[regions.mapv(|v| v.min(4))]).is_empty());
    assert!(said(&[discs(9).mapv(|number| i64::from(number > 0))]).is_empty());
    assert!(said(&[discs(9).mapv(|number| number.min(3))]).is_empty());
}

#[test]
fn an_image_that_a_rule_leaves_with_one_class_is_told() {
    let mask = discs(9).mapv(|number| i64::from(number > 0));
    let rule = LabelRule::from_settings(None, Some("0,255"), None).unwrap();
    let mut after = mask.clone();
    rule.apply("a", &mut after, None).unwrap();
    let said = flattened("a.tif", &mask, &after, &rule).unwrap();
    for part in ["a.tif", "class 0", "`classes 0,255`", "holds 0,1"] {
        assert!(said.contains(part), "{said}");
    }
}
