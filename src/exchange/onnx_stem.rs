//! The stem of a network as operators of an ONNX graph: Gaussians and differences as convolutions with fixed weights, of each
//! channel by itself.

use super::onnx::{Attribute, Graph, Margins, per_channel};
use crate::network::{Model, ParameterLayout, RESPONSES, Scale};

/// Adds the responses to `image`, and gives the name of the image with its responses behind it.
pub(super) fn add(graph: &mut Graph, model: &Model, layout: &ParameterLayout, image: &str) -> String {
    let architecture = &model.architecture;
    let axis = || [Attribute::Integer("axis", 1)];
    // A convolution of groups would give the responses channel by channel, so that they would have to be sorted.
    let single = Margins::of_widths(graph, architecture.boundary, &[1; 2], "stem_");
    let mut parts = vec![image.to_owned()];
    for input in 0..architecture.inputs {
        let plane = match architecture.inputs {
            1 => image.to_owned(),
            _ => {
                let place = graph.integers(&format!("stem{input}_channel"), &[input as i64]);
                graph.node("Gather", &[image, &place], axis(), &format!("stem{input}_image"))
            }
        };
        for (index, scale) in architecture.stem.scales.iter().enumerate() {
            let name = format!("stem{input}_{index}");
            let radius = [scale.radius(); 2];
            let around = Margins::of_widths(graph, architecture.boundary, &radius, &format!("{name}_"));
            let padded = around.add(graph, &plane, &name);
            let smooth = smoothed(graph, *scale, &padded, &name);
            let smooth_padded = single.add(graph, &smooth, &format!("{name}_smooth"));
            parts.extend(responses(graph, *scale, &smooth, &smooth_padded, &name));
        }
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let raw = graph.node("Concat", &parts, axis(), "stem_raw");
    // The channels of the image stay as they are.
    let mut changes = vec![[0.0, 1.0]; architecture.inputs];
    changes.extend(model.parameters[layout.stem()].as_chunks::<2>().0);
    debug_assert_eq!(
        changes.len() - architecture.inputs,
        architecture.inputs * architecture.stem.scales.len() * RESPONSES
    );
    let [shifts, factors] =
        [0, 1].map(|which| changes.iter().map(|change| change[which]).collect::<Vec<f32>>());
    let shifts = per_channel(graph, "stem_shifts", &shifts, architecture.dimensions);
    let factors = per_channel(graph, "stem_factors", &factors, architecture.dimensions);
    let shifted = graph.node("Sub", &[&raw, &shifts], [], "stem_shifted");
    graph.node("Mul", &[&shifted, &factors], [], "stem")
}

/// `plane` without its margins, smoothed along rows and columns.
fn smoothed(graph: &mut Graph, scale: Scale, plane: &str, name: &str) -> String {
    let weights = scale.weights();
    let radius = scale.radius();
    let line: Vec<f32> = (0..2 * radius + 1).map(|at| weights[at.abs_diff(radius)] as f32).collect();
    let length = line.len();
    let along_rows = graph.floats(&format!("{name}_row_weights"), &[1, 1, 1, length], &line);
    let along_columns = graph.floats(&format!("{name}_column_weights"), &[1, 1, length, 1], &line);
    let rows = graph.node("Conv", &[plane, &along_rows], [], &format!("{name}_smooth_rows"));
    graph.node("Conv", &[&rows, &along_columns], [], &format!("{name}_smooth"))
}

/// The four responses of one scale; `padded` is the smoothed image with a margin of one pixel.
fn responses(graph: &mut Graph, scale: Scale, smooth: &str, padded: &str, name: &str) -> [String; RESPONSES] {
    let (s, q) = (scale.pixels() as f32, 0.25);
    let square = s * s;
    let of_edge = s * 0.5;
    // s g_x, s g_y; s² (g_xx + g_yy) / 2, s² (g_xx - g_yy) / 2 and s² g_xy.
    let (half, mixed) = (square * 0.5, square * q);
    #[rustfmt::skip]
    let taps = [
        [0.0, 0.0, 0.0, -of_edge, 0.0, of_edge, 0.0, 0.0, 0.0],
        [0.0, -of_edge, 0.0, 0.0, 0.0, 0.0, 0.0, of_edge, 0.0],
        [0.0, half, 0.0, half, -4.0 * half, half, 0.0, half, 0.0],
        [0.0, -half, 0.0, half, 0.0, half, 0.0, -half, 0.0],
        [mixed, 0.0, -mixed, 0.0, 0.0, 0.0, -mixed, 0.0, mixed],
    ];
    let names = ["x", "y", "mean", "half", "mixed"];
    let [x, y, mean, half, mixed] = std::array::from_fn(|at| {
        let weights = graph.floats(&format!("{name}_{}_taps", names[at]), &[1, 1, 3, 3], &taps[at]);
        graph.node("Conv", &[padded, &weights], [], &format!("{name}_{}", names[at]))
    });
    let mut length = |a: &str, b: &str, what: &str| {
        let squares = [a, b].map(|part| graph.node("Mul", &[part, part], [], &format!("{part}_square")));
        let sum = graph.node("Add", &[&squares[0], &squares[1]], [], &format!("{name}_{what}_square"));
        graph.node("Sqrt", &[&sum], [], &format!("{name}_{what}"))
    };
    let edge = length(&x, &y, "edge");
    let apart = length(&half, &mixed, "apart");
    let larger = graph.node("Add", &[&mean, &apart], [], &format!("{name}_larger"));
    let smaller = graph.node("Sub", &[&mean, &apart], [], &format!("{name}_smaller"));
    [smooth.to_owned(), edge, larger, smaller]
}
