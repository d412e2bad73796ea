//! Training that starts from a model: fine-tuning.

use msd_gpu::network::{DilationMode, ParameterLayout};
use ndarray::Array2;

use super::support::{Bench, regression};
use super::train::{bench, model, segment};

/// A model of the right width and without the defaults, in the folder `first`.
fn with_first() -> Bench {
    let bench = bench();
    bench.succeeds(&segment(
        "--depth 3 --width 2 --dilations 1,3 --boundary zeros --device cpu --crop 16 --max-steps 40 --lr 0.01 --out first",
    ));
    bench
}

/// A run that starts there.
fn second(more: &str) -> String {
    format!("train segment --init first --device cpu --crop 16 --max-steps 5 --out second {more}")
}

#[test]
fn a_run_starts_where_the_model_stopped() {
    let bench = with_first();
    // Other images, and a rate that moves nothing.
    bench.succeeds(&second("--images val --targets val_labels --lr 1e-30"));
    let (first, second) = (model(&bench, "first"), model(&bench, "second"));
    assert_eq!(second.parameters, first.parameters);
    assert_eq!(
        (second.architecture, second.input, second.task),
        (first.architecture, first.input, first.task)
    );
    assert_eq!(second.provenance["started_from"], "first");
    // Its settings alone repeat it, and it goes on to the same end.
    bench.succeeds("train --config second/config.toml --lr 0.01 --max-steps 12 --out whole");
    bench.succeeds("train --config second/config.toml --lr 0.01 --max-steps 6 --out parts");
    bench.succeeds("train --resume parts --max-steps 12");
    assert_ne!(model(&bench, "whole").parameters, second.parameters);
    assert_eq!(model(&bench, "whole").parameters, model(&bench, "parts").parameters);
}

#[test]
fn images_can_be_normalised_anew() {
    let bench = with_first();
    bench.succeeds(&second("--images val --targets val_labels --normalise mean"));
    bench.succeeds(
        "train segment --images val --targets val_labels --depth 1 --device cpu --max-steps 1 --out anew",
    );
    assert_eq!(model(&bench, "second").input, model(&bench, "anew").input);
    assert_ne!(model(&bench, "second").input, model(&bench, "first").input);
}

#[test]
fn other_classes_start_the_mixing_layer_anew_and_keep_the_layers() {
    let bench = with_first();
    for i in 0..4 {
        let size = if i == 1 { (20, 25) } else { (24, 24) };
        bench.labels(&format!("thirds/{i}.png"), &Array2::from_shape_fn(size, |(_, x)| (x / 9) as i64));
    }
    bench.succeeds(&second("--images images --targets thirds --lr 1e-30 --mixing-start zero"));
    let (first, second) = (model(&bench, "first"), model(&bench, "second"));
    assert_eq!(second.architecture.outputs, 3);
    let layers = ParameterLayout::of(&first.architecture).biases().end;
    assert_eq!(second.parameters[..layers], first.parameters[..layers]);
    // So do the filters in front of the layers.
    let [learnt, stem] = [&second, &first].map(|of| ParameterLayout::of(&of.architecture).stem());
    assert_eq!(second.parameters[learnt.clone()], first.parameters[stem]);
    // What starts anew starts at 0, and a rate of 1e-30 does not take it far.
    assert!(second.parameters[layers..learnt.start].iter().all(|p| p.abs() < 1e-20));
}

#[test]
fn frozen_layers_stay_to_the_last_bit_and_the_others_learn() {
    let bench = with_first();
    bench.succeeds(&second(
        "--images images --targets images_labels --freeze 2 --lr 0.01 --optimizer adamw --weight-decay 0.1 --clip-norm 1",
    ));
    let (first, second) = (model(&bench, "first"), model(&bench, "second"));
    let layout = ParameterLayout::of(&first.architecture);
    let frozen = layout.first_layers(2);
    let moved = |index: &usize| first.parameters[*index] != second.parameters[*index];
    assert!(!frozen.iter().cloned().flatten().any(|index| moved(&index)));
    let learnt = (0..layout.count()).filter(|index| !frozen.iter().any(|range| range.contains(index)));
    let (count, moves) = (learnt.clone().count(), learnt.filter(moved).count());
    assert!(2 * moves > count, "{moves} of {count} parameters moved");
}

#[test]
fn dilations_by_layer_are_kept() {
    let bench = bench();
    let mut by_layer = regression(1, 1);
    by_layer.architecture.dilation_mode = DilationMode::Layer;
    bench.model("layers.safetensors", &by_layer);
    bench.succeeds("train regress --images images --targets images_targets --init layers.safetensors --device cpu --max-steps 1 --out run");
    let run = model(&bench, "run");
    assert_eq!((run.architecture, run.target), (by_layer.architecture, by_layer.target));
}

#[test]
fn what_does_not_fit_the_model_is_named() {
    let bench = with_first();
    let images = "--images images --targets images_labels";
    let refuses = |more: &str, names: &[&str]| bench.refuses(&second(&format!("{images} {more}")), names);
    refuses("--depth 4", &["--depth is 4", "--init has 3"]);
    refuses("--dilations 1..3", &["--dilations", "1,2,3", "1,3"]);
    refuses("--boundary reflect", &["--boundary", "zeros"]);
    refuses("--freeze 4", &["--freeze", "3 layers"]);
    refuses("--normalise-per-image", &["--normalise-per-image", "--init"]);
    bench.refuses(&segment("--depth 3 --freeze 1 --out run"), &["--freeze", "--init"]);
    bench.refuses(&segment("--depth 3 --normalise init --out run"), &["--normalise", "--init"]);
    bench.refuses(&second(images).replace("first", "nothing"), &["nothing"]);
    bench.model("two.safetensors", &regression(2, 1));
    let two = second("--images images --targets images_targets").replace("segment", "regress");
    bench
        .refuses(&two.replace("first", "two.safetensors"), &["1 channel,", "images of 2", "two.safetensors"]);
    assert!(bench.names("second").is_empty());
}
