//! Writes a model as an ONNX graph of standard operators.
//!
//! `image` `[images, channels, height, width]` in its own units goes in, `values` in the units of the targets or
//! `probabilities` of the classes come out, in the same layout; all but the channels may be of any size. Of a network of volumes
//! it is `[images, channels, slices, height, width]`. The file's metadata entry `classes` has the classes' values and names as JSON.
//!
//! The stack of maps has a margin as wide as the largest dilation along each axis, so that each layer is a convolution without
//! padding, cut to the part that it needs. `Pad` may not mirror further than the image is wide, so mirrored margins are gathered by
//! indices that the graph computes from the image's size: exact for any size, however large the dilation.

use super::onnx_stem;
use super::shared_normalisation;
use crate::encoding::Message;
use crate::geometry::Boundary;
use crate::network::{Architecture, Model, Normalisation, ParameterLayout, Task};
use crate::{Error, Result};

/// The version of the operator set that exported graphs need.
pub const OPSET: i64 = 13;

/// The version of the file format that came with that operator set.
const IR_VERSION: i64 = 7;
/// Largest message that protocol buffers allow.
const MAX_BYTES: usize = i32::MAX as usize;

/// The bytes of the ONNX file of `model`.
///
/// # Errors
/// As [`Model::validate`]; [`Error::Mismatch`] for one beyond the 2 GiB of an ONNX file, and for a model that normalises each image by
/// itself.
pub fn to_onnx(model: &Model) -> Result<Vec<u8>> {
    model.validate()?;
    let mut graph = Graph::default();
    let output = network(&mut graph, model, shared_normalisation(model)?);
    let architecture = &model.architecture;
    let graph = Message::default()
        .messages(1, graph.nodes)
        .bytes(2, "mixed_scale_dense")
        .messages(5, graph.constants)
        .message(11, value_info("image", architecture.inputs, architecture.dimensions))
        .message(12, value_info(output, architecture.outputs, architecture.dimensions));
    let classes =
        serde_json::to_string(model.classes()).map_err(|error| Error::Mismatch(error.to_string()))?;
    let note = |key: &str, value: &str| Message::default().bytes(1, key).bytes(2, value);
    let mut file = Message::default()
        .integer(1, IR_VERSION)
        .bytes(2, "msd-gpu")
        .bytes(3, env!("CARGO_PKG_VERSION"))
        .message(7, graph)
        .message(8, Message::default().bytes(1, "").integer(2, OPSET));
    if !model.classes().is_empty() {
        file = file.message(14, note("classes", &classes));
    }
    let bytes = file.finish();
    if bytes.len() > MAX_BYTES {
        let found = bytes.len();
        return Err(Error::Mismatch(format!(
            "the model takes {found} bytes as ONNX, but such a file holds at most {MAX_BYTES}; use export `torch`"
        )));
    }
    Ok(bytes)
}

/// A graph as it grows. Values are known by name.
#[derive(Default)]
pub(super) struct Graph {
    nodes: Vec<Message>,
    constants: Vec<Message>,
}

/// The numbers of ONNX's element types.
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// An attribute of a node.
pub(super) enum Attribute<'a> {
    Integer(&'a str, i64),
    Integers(&'a str, Vec<i64>),
}

impl Attribute<'_> {
    fn message(self) -> Message {
        match self {
            Attribute::Integer(name, value) => {
                Message::default().bytes(1, name).integer(3, value).integer(20, 2)
            }
            Attribute::Integers(name, values) => {
                let message = Message::default().bytes(1, name);
                values.into_iter().fold(message, |message, value| message.integer(8, value)).integer(20, 7)
            }
        }
    }
}

impl Graph {
    /// Adds the operator `operator`, and gives the name of its output, which is `name`.
    pub(super) fn node<const N: usize>(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: [Attribute; N],
        name: &str,
    ) -> String {
        let node = inputs.iter().fold(Message::default(), |node, input| node.bytes(1, input));
        let node = node.bytes(2, name).bytes(3, name).bytes(4, operator);
        self.nodes.push(node.messages(5, attributes.into_iter().map(Attribute::message)));
        name.to_owned()
    }

    fn constant(&mut self, name: &str, kind: i64, shape: &[usize], bytes: Vec<u8>) -> String {
        let tensor = shape.iter().fold(Message::default(), |tensor, &n| tensor.integer(1, n as i64));
        self.constants.push(tensor.integer(2, kind).bytes(8, name).bytes(9, bytes));
        name.to_owned()
    }

    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        self.constant(name, FLOAT, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    pub(super) fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, INT64, &[values.len()], bytes)
    }

    fn integer(&mut self, name: &str, value: i64) -> String {
        self.constant(name, INT64, &[], value.to_le_bytes().to_vec())
    }
}

/// Adds the whole model; gives the name of its output.
fn network(graph: &mut Graph, model: &Model, input: &Normalisation) -> &'static str {
    let architecture = &model.architecture;
    let dimensions = architecture.dimensions;
    let layout = ParameterLayout::of(architecture);
    let margins = Margins::new(graph, architecture);
    let centred = {
        let means = per_channel(graph, "input_mean", &input.mean, dimensions);
        graph.node("Sub", &["image", &means], [], "image_centred")
    };
    // As the program does it: a multiplication by the inverse.
    let inverse: Vec<f32> = input.deviation.iter().map(|deviation| 1.0 / deviation).collect();
    let factors = per_channel(graph, "input_factor", &inverse, dimensions);
    let normalised = graph.node("Mul", &[&centred, &factors], [], "image_normalised");
    let before = match architecture.stem.is_none() {
        true => normalised,
        false => onnx_stem::add(graph, model, &layout, &normalised),
    };
    let mut stack = margins.add(graph, &before, "image_normalised");
    for layer in 0..architecture.depth {
        let map = layer_maps(graph, model, &layout, &margins, &stack, layer);
        // The mix needs no margins, but it is cheaper to cut its result than the stack.
        let padded = margins.add(graph, &map, &format!("layer{layer}"));
        stack = graph.node(
            "Concat",
            &[&stack, &padded],
            [Attribute::Integer("axis", 1)],
            &format!("stack{layer}"),
        );
    }
    let weights = &model.parameters[layout.mix(0).start..layout.output_biases().start];
    let mut shape = vec![architecture.outputs, architecture.channels()];
    shape.resize(2 + dimensions, 1);
    let weights = graph.floats("mix_weight", &shape, weights);
    let biases = &model.parameters[layout.output_biases()];
    let biases = graph.floats("mix_bias", &[architecture.outputs], biases);
    let mixed = graph.node("Conv", &[&stack, &weights, &biases], [], "mix");
    let outputs = margins.cut(graph, &mixed, &vec![0; dimensions]);
    match (&model.task, &model.target) {
        (Task::Regress, Some(Normalisation { mean, deviation })) => {
            let factors = per_channel(graph, "target_deviation", deviation, dimensions);
            let scaled = graph.node("Mul", &[&outputs, &factors], [], "values_scaled");
            let means = per_channel(graph, "target_mean", mean, dimensions);
            graph.node("Add", &[&scaled, &means], [], "values");
            "values"
        }
        _ => {
            graph.node("Softmax", &[&outputs], [Attribute::Integer("axis", 1)], "probabilities");
            "probabilities"
        }
    }
}

/// How far the taps of hidden channel `hidden` lie apart along each axis: `[y, x]`, or `[z, y, x]` of a network of volumes.
fn reach(architecture: &Architecture, hidden: usize) -> Vec<usize> {
    let mut reach = vec![architecture.dilation(hidden); architecture.dimensions];
    if architecture.is_of_volumes() {
        reach[0] = architecture.dilation_z(hidden);
    }
    reach
}

/// The maps of layer `layer`, without margins: one convolution for each run of channels that share their dilations.
fn layer_maps(
    graph: &mut Graph,
    model: &Model,
    layout: &ParameterLayout,
    margins: &Margins,
    stack: &str,
    layer: usize,
) -> String {
    let architecture = &model.architecture;
    let sources = architecture.sources(layer).len();
    let channels: Vec<usize> = (layer * architecture.width..(layer + 1) * architecture.width).collect();
    let mut runs = Vec::new();
    for run in channels.chunk_by(|a, b| reach(architecture, *a) == reach(architecture, *b)) {
        let (first, last) = (run[0], run[run.len() - 1]);
        let reach = reach(architecture, first);
        let taps = &model.parameters[layout.filter(first, 0).start..layout.filter(last, sources - 1).end];
        let mut shape = vec![run.len(), sources];
        shape.resize(2 + reach.len(), 3);
        let name = format!("filters{first}");
        let filters = if reach[0] == 0 {
            // No operator has a dilation of 0. The nine taps in the middle are a third of the work, and whatever the others are, they
            // have no part in it.
            shape[2] = 1;
            let middle: Vec<f32> =
                taps.as_chunks::<27>().0.iter().flat_map(|filter| &filter[9..18]).copied().collect();
            graph.floats(&name, &shape, &middle)
        } else {
            graph.floats(&name, &shape, taps)
        };
        let biases = layout.biases().start + first..layout.biases().start + last + 1;
        let biases = graph.floats(&format!("biases{first}"), &[run.len()], &model.parameters[biases]);
        let dilations = reach.iter().map(|&apart| apart.max(1) as i64).collect();
        let attribute = Attribute::Integers("dilations", dilations);
        let sums = graph.node("Conv", &[stack, &filters, &biases], [attribute], &format!("sums{first}"));
        runs.push(margins.cut(graph, &sums, &reach));
    }
    let runs: Vec<&str> = runs.iter().map(String::as_str).collect();
    let sums = match runs[..] {
        [single] => single.to_owned(),
        _ => graph.node("Concat", &runs, [Attribute::Integer("axis", 1)], &format!("layer{layer}_sums")),
    };
    graph.node("Relu", &[&sums], [], &format!("layer{layer}"))
}

/// The margins around maps, along each axis as wide as the largest dilation.
pub(super) struct Margins {
    /// For each axis.
    widths: Vec<i64>,
    seen: Seen,
}

/// What is seen in margins.
enum Seen {
    /// Zeros: the name of the widths at all sides.
    Zeros(String),
    /// Mirrors: for each axis that has margins its number, and the name of the indices that a padded map shows along it.
    Mirror(Vec<(i64, String)>),
}

impl Margins {
    fn new(graph: &mut Graph, architecture: &Architecture) -> Self {
        let axes: Vec<i64> = (0..architecture.dimensions as i64).map(|axis| axis + 2).collect();
        graph.integers("crop_axes", &axes);
        let mut widths = vec![0; architecture.dimensions];
        for hidden in 0..architecture.hidden() {
            for (width, reach) in widths.iter_mut().zip(reach(architecture, hidden)) {
                *width = reach.max(*width);
            }
        }
        Self::of_widths(graph, architecture.boundary, &widths, "")
    }

    /// Margins of other widths, one for each axis; `prefix` is before the names of all that belongs to them.
    pub(super) fn of_widths(graph: &mut Graph, boundary: Boundary, widths: &[usize], prefix: &str) -> Self {
        let widths: Vec<i64> = widths.iter().map(|&width| width as i64).collect();
        let seen = match boundary {
            Boundary::Zeros => {
                // Nothing at the sides of images and channels; the margin before and behind slices, rows and columns.
                let side = [vec![0, 0], widths.clone()].concat();
                Seen::Zeros(graph.integers(&format!("{prefix}margin_pads"), &side.repeat(2)))
            }
            mirror => {
                let names = &["slices", "rows", "columns"][3 - widths.len()..];
                let axes = (2..).zip(&widths).zip(names).filter(|((_, width), _)| **width > 0);
                let indices = axes.map(|((axis, &width), name)| {
                    (axis, mirrored(graph, mirror, width, &format!("{prefix}{name}"), axis))
                });
                Seen::Mirror(indices.collect())
            }
        };
        Self { widths, seen }
    }

    /// `map` with margins; `name` names the result.
    pub(super) fn add(&self, graph: &mut Graph, map: &str, name: &str) -> String {
        let padded = format!("{name}_padded");
        let indices = match &self.seen {
            Seen::Zeros(pads) => return graph.node("Pad", &[map, pads], [], &padded),
            Seen::Mirror(indices) => indices,
        };
        let gather = |map: String, (axis, indices): &(i64, String)| {
            let name = format!("{padded}_{indices}");
            graph.node("Gather", &[&map, indices], [Attribute::Integer("axis", *axis)], &name)
        };
        indices.iter().fold(map.to_owned(), gather)
    }

    /// The part without margins of what a convolution made of maps with margins whose taps lie `reach` apart along each axis; 0 for
    /// one tap.
    fn cut(&self, graph: &mut Graph, map: &str, reach: &[usize]) -> String {
        let left: Vec<i64> =
            self.widths.iter().zip(reach).map(|(width, reach)| width - *reach as i64).collect();
        if left.iter().all(|&left| left == 0) {
            return map.to_owned();
        }
        let starts = graph.integers(&format!("{map}_starts"), &left);
        // Nothing is before the end where nothing is left over, but -0 would be the beginning.
        let ends: Vec<i64> = left.iter().map(|&left| if left == 0 { i64::MAX } else { -left }).collect();
        let ends = graph.integers(&format!("{map}_ends"), &ends);
        graph.node("Slice", &[map, &starts, &ends, "crop_axes"], [], &format!("{map}_cut"))
    }
}

/// The indices, under the name `name`, that a map with a mirrored margin shows along `axis`, as [`Boundary::source`] gives them.
fn mirrored(graph: &mut Graph, boundary: Boundary, width: i64, name: &str, axis: i64) -> String {
    let named = |part: &str| format!("{name}_{part}");
    let axis = graph.integer(&named("axis"), axis);
    let shape = graph.node("Shape", &["image"], [], &named("shape"));
    let length = graph.node("Gather", &[&shape, &axis], [Attribute::Integer("axis", 0)], &named("length"));
    let margin = graph.integer(&named("margin"), width);
    let start = graph.integer(&named("start"), -width);
    let one = graph.integer(&named("one"), 1);
    let end = graph.node("Add", &[&length, &margin], [], &named("end"));
    let positions = graph.node("Range", &[&start, &end, &one], [], &named("positions"));
    let two = graph.integer(&named("two"), 2);
    let twice = graph.node("Mul", &[&length, &two], [], &named("twice"));
    // The mirror repeats after `period`, and the last place before it shows index 0 or 1.
    let (period, last) = match boundary {
        Boundary::Symmetric => (twice.clone(), graph.node("Sub", &[&twice, &one], [], &named("last"))),
        _ => {
            let less = graph.node("Sub", &[&twice, &two], [], &named("less"));
            // One pixel alone mirrors itself.
            let period = graph.node("Max", &[&less, &one], [], &named("period"));
            (period.clone(), period)
        }
    };
    let phase = graph.node("Mod", &[&positions, &period], [], &named("phase"));
    let back = graph.node("Sub", &[&last, &phase], [], &named("back"));
    graph.node("Min", &[&phase, &back], [], name)
}

/// One number for each channel, shaped so that it applies to all pixels of images of so many dimensions.
pub(super) fn per_channel(graph: &mut Graph, name: &str, values: &[f32], dimensions: usize) -> String {
    let mut shape = vec![1, values.len()];
    shape.resize(2 + dimensions, 1);
    graph.floats(name, &shape, values)
}

/// An input or output `[images, channels, height, width]`, with slices before the height in three dimensions, of which only the
/// channels are fixed.
fn value_info(name: &str, channels: usize, dimensions: usize) -> Message {
    let any = |name: &str| Message::default().bytes(2, name);
    let mut sizes = vec![any("images"), Message::default().integer(1, channels as i64)];
    sizes.extend(["slices", "height", "width"][3 - dimensions..].iter().copied().map(any));
    let tensor = Message::default().integer(1, FLOAT).message(2, Message::default().messages(1, sizes));
    Message::default().bytes(1, name).message(2, Message::default().message(1, tensor))
}
