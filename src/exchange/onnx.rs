//! Writes a model as an ONNX graph of standard operators.
//!
//! `image` `[images, channels, height, width]` in its own units goes in, `values` in the units of the targets or
//! `probabilities` of the classes come out, in the same layout; all but the channels may be of any size. The file's metadata
//! entry `classes` has the classes' values and names as JSON.
//!
//! The stack of maps has a margin as wide as the largest dilation, so that each layer is a convolution without padding,
//! cut to the part that it needs. `Pad` may not mirror further than the image is wide, so mirrored margins are gathered by
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
/// As [`Model::validate`]; [`Error::Mismatch`] for a network of volumes, for one beyond the 2 GiB of an ONNX file, and for a model that
/// normalises each image by itself.
pub fn to_onnx(model: &Model) -> Result<Vec<u8>> {
    model.validate()?;
    super::of_images(model)?;
    let mut graph = Graph::default();
    let output = network(&mut graph, model, shared_normalisation(model)?);
    let architecture = &model.architecture;
    let graph = Message::default()
        .messages(1, graph.nodes)
        .bytes(2, "mixed_scale_dense")
        .messages(5, graph.constants)
        .message(11, value_info("image", architecture.inputs))
        .message(12, value_info(output, architecture.outputs));
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
    let layout = ParameterLayout::of(architecture);
    let margins = Margins::new(graph, architecture);
    let centred = {
        let means = per_channel(graph, "input_mean", &input.mean);
        graph.node("Sub", &["image", &means], [], "image_centred")
    };
    // As the program does it: a multiplication by the inverse.
    let inverse: Vec<f32> = input.deviation.iter().map(|deviation| 1.0 / deviation).collect();
    let factors = per_channel(graph, "input_factor", &inverse);
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
    let shape = [architecture.outputs, architecture.channels(), 1, 1];
    let weights = graph.floats("mix_weight", &shape, weights);
    let biases = &model.parameters[layout.output_biases()];
    let biases = graph.floats("mix_bias", &[architecture.outputs], biases);
    let mixed = graph.node("Conv", &[&stack, &weights, &biases], [], "mix");
    let outputs = margins.cut(graph, &mixed, 0);
    match (&model.task, &model.target) {
        (Task::Regress, Some(Normalisation { mean, deviation })) => {
            let factors = per_channel(graph, "target_deviation", deviation);
            let scaled = graph.node("Mul", &[&outputs, &factors], [], "values_scaled");
            let means = per_channel(graph, "target_mean", mean);
            graph.node("Add", &[&scaled, &means], [], "values");
            "values"
        }
        _ => {
            graph.node("Softmax", &[&outputs], [Attribute::Integer("axis", 1)], "probabilities");
            "probabilities"
        }
    }
}

/// The maps of layer `layer`, without margins: one convolution for each run of channels that share a dilation.
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
    for run in channels.chunk_by(|a, b| architecture.dilation(*a) == architecture.dilation(*b)) {
        let (first, last) = (run[0], run[run.len() - 1]);
        let dilation = architecture.dilation(first);
        let filters = layout.filter(first, 0).start..layout.filter(last, sources - 1).end;
        let shape = [run.len(), sources, 3, 3];
        let filters = graph.floats(&format!("filters{first}"), &shape, &model.parameters[filters]);
        let biases = layout.biases().start + first..layout.biases().start + last + 1;
        let biases = graph.floats(&format!("biases{first}"), &[run.len()], &model.parameters[biases]);
        let attribute = Attribute::Integers("dilations", vec![dilation as i64; 2]);
        let sums = graph.node("Conv", &[stack, &filters, &biases], [attribute], &format!("sums{first}"));
        runs.push(margins.cut(graph, &sums, dilation));
    }
    let runs: Vec<&str> = runs.iter().map(String::as_str).collect();
    let sums = match runs[..] {
        [single] => single.to_owned(),
        _ => graph.node("Concat", &runs, [Attribute::Integer("axis", 1)], &format!("layer{layer}_sums")),
    };
    graph.node("Relu", &[&sums], [], &format!("layer{layer}"))
}

/// The margins around maps, as wide as the largest dilation.
pub(super) struct Margins {
    width: i64,
    /// The name of the margins where they are zeros.
    pads: String,
    /// The names of the indices of rows and of columns that a padded map shows, for mirrors.
    indices: Option<[String; 2]>,
}

impl Margins {
    fn new(graph: &mut Graph, architecture: &Architecture) -> Self {
        graph.integers("crop_axes", &[2, 3]);
        Self::of_width(graph, architecture.boundary, architecture.largest_dilation(), "")
    }

    /// Margins of another width; `prefix` is before the names of all that belongs to them.
    pub(super) fn of_width(graph: &mut Graph, boundary: Boundary, width: usize, prefix: &str) -> Self {
        let width = width as i64;
        let pads = format!("{prefix}margin_pads");
        let indices = match boundary {
            Boundary::Zeros => {
                // Nothing at the sides of images and channels; the margin before and behind rows and columns.
                graph.integers(&pads, &[0, 0, width, width, 0, 0, width, width]);
                None
            }
            mirror => Some(["rows", "columns"].map(|axis| mirrored(graph, mirror, width, prefix, axis))),
        };
        Self { width, pads, indices }
    }

    /// `map` with margins; `name` names the result.
    pub(super) fn add(&self, graph: &mut Graph, map: &str, name: &str) -> String {
        let padded = format!("{name}_padded");
        let Some([rows, columns]) = &self.indices else {
            return graph.node("Pad", &[map, &self.pads], [], &padded);
        };
        let tall =
            graph.node("Gather", &[map, rows], [Attribute::Integer("axis", 2)], &format!("{name}_tall"));
        graph.node("Gather", &[&tall, columns], [Attribute::Integer("axis", 3)], &padded)
    }

    /// The part without margins of what a convolution with `dilation` made of maps with margins; 0 for one of 1x1.
    fn cut(&self, graph: &mut Graph, map: &str, dilation: usize) -> String {
        let left = self.width - dilation as i64;
        if left == 0 {
            return map.to_owned();
        }
        let starts = graph.integers(&format!("{map}_starts"), &[left, left]);
        let ends = graph.integers(&format!("{map}_ends"), &[-left, -left]);
        graph.node("Slice", &[map, &starts, &ends, "crop_axes"], [], &format!("{map}_cut"))
    }
}

/// The indices of the rows or columns that a map with a mirrored margin shows, as [`Boundary::source`] gives them.
fn mirrored(graph: &mut Graph, boundary: Boundary, width: i64, prefix: &str, axis: &str) -> String {
    let name = &format!("{prefix}{axis}");
    let named = |part: &str| format!("{name}_{part}");
    let axis = graph.integer(&named("axis"), if axis == "rows" { 2 } else { 3 });
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

/// One number for each channel, shaped so that it applies to all pixels.
pub(super) fn per_channel(graph: &mut Graph, name: &str, values: &[f32]) -> String {
    graph.floats(name, &[1, values.len(), 1, 1], values)
}

/// An input or output `[images, channels, height, width]` of which only the channels are fixed.
fn value_info(name: &str, channels: usize) -> Message {
    let any = |name: &str| Message::default().bytes(2, name);
    let dimensions =
        [any("images"), Message::default().integer(1, channels as i64), any("height"), any("width")];
    let tensor = Message::default().integer(1, FLOAT).message(2, Message::default().messages(1, dimensions));
    Message::default().bytes(1, name).message(2, Message::default().message(1, tensor))
}
