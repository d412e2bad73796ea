//! The networks of msd_pytorch (ahendriksen/msd_pytorch), by the names of their tensors.
//!
//! A network is `msd_block` (`weight0`, `weight1`, ... of shape `[width, channels read, 3, 3]`, or `[.., 3, 3, 3]` of a network of
//! volumes, z first, and one `bias`) with `final_layer.linear` after it. A regression is a `Sequential` of scaling, network,
//! scaling: names start with `0.`, `1.` and `2.`; a segmentation one of scaling and (network, log-softmax): `0.` and `1.0.`.
//! Training on several GPUs puts `module.` before all names. All channels of a layer share one dilation, the same along all
//! axes, and the boundary repeats the edge pixel, along z too.

use std::collections::BTreeSet;

use super::found::Found;
use super::pickle::shortened;
use super::scaling::{Scaling, fold_input, fold_output};
use super::tensors::Tensors;
use super::{Problem, dlsia};
use crate::geometry::Boundary;
use crate::network::{Architecture, DilationMode, Model, Normalisation, ParameterLayout, Task, TaskKind};

/// The network whose tensors these are. The file does not hold the dilations; `None` for those of the default, 1 to 10.
pub(super) fn read(tensors: &Tensors, dilations: Option<&[usize]>) -> Problem<Found> {
    let names = Names::find(tensors)?;
    let architecture = architecture(tensors, &names, dilations)?;
    let parameters = parameters(tensors, &names, &architecture)?;
    let (inputs, outputs) = (architecture.inputs, architecture.outputs);
    let mut model = Model {
        architecture,
        parameters,
        task: Task::Regress,
        input: Normalisation::identity(inputs).into(),
        target: Some(Normalisation::identity(outputs)),
        slab: 1,
        self_supervised: None,
        upscaling: None,
        provenance: [("format".to_owned(), "msd_pytorch".to_owned())].into(),
    };
    if let Some(layer) = &names.scale_in {
        let scaling = scaling(tensors, layer, inputs, model.architecture.dimensions)?;
        model.input = fold_input(&scaling, &model.architecture, &mut model.parameters)?.into();
    }
    if let Some(layer) = &names.scale_out {
        let scaling = scaling(tensors, layer, outputs, model.architecture.dimensions)?;
        model.target = Some(fold_output(&scaling, &model.architecture, &mut model.parameters)?);
    }
    let mut assumed = Vec::new();
    if dilations.is_none() {
        assumed.push("the file does not say the dilations: they are taken to be 1..10, msd_pytorch's default; `dilations` names others".into());
    }
    Ok(Found { model, task: names.task, assumed })
}

/// Where in the file's names the parts of the network are.
struct Names {
    /// What stands before `msd_block` and `final_layer`.
    network: String,
    scale_in: Option<String>,
    scale_out: Option<String>,
    task: Option<TaskKind>,
    depth: usize,
}

impl Names {
    fn find(tensors: &Tensors) -> Problem<Self> {
        let all: BTreeSet<&str> = tensors.names().collect();
        if all.iter().any(|name| name.contains("layer_0.conv_0.")) {
            return Err(dlsia());
        }
        let mut networks = all.iter().filter_map(|name| name.strip_suffix("msd_block.weight0"));
        let (Some(network), None) = (networks.next(), networks.next()) else {
            let mut some: Vec<String> = all.iter().take(3).map(|name| shortened(name)).collect();
            if all.len() > some.len() {
                some.push("...".into());
            }
            return Err(format!(
                "has the tensors [{}], which are not those of one msd_pytorch network; wanted one with msd_block and final_layer",
                some.join(", ")
            ));
        };
        let layer = |name: String| all.contains(format!("{name}.weight").as_str()).then_some(name);
        let (scale_in, scale_out, task) = if let Some(outer) = network.strip_suffix("1.0.") {
            (layer(format!("{outer}0")), layer(format!("{outer}2")), Some(TaskKind::Segment))
        } else if let Some(outer) = network.strip_suffix("1.") {
            (layer(format!("{outer}0")), layer(format!("{outer}2")), Some(TaskKind::Regress))
        } else if let Some(outer) = network.strip_suffix("msd.") {
            let after = layer(format!("{outer}scale_out"));
            let task = after.is_some().then_some(TaskKind::Regress);
            (layer(format!("{outer}scale_in")), after, task)
        } else {
            (None, None, None)
        };
        if task == Some(TaskKind::Segment) && scale_out.is_some() {
            return Err("has a ReLU after the network, as early versions of msd_pytorch did, which MS-D networks here have not; train it again".into());
        }
        let depth =
            (0..).take_while(|i| all.contains(format!("{network}msd_block.weight{i}").as_str())).count();
        let names = Self { network: network.to_owned(), scale_in, scale_out, task, depth };
        let known: BTreeSet<String> = names.all().into_iter().collect();
        match all.iter().find(|name| !known.contains(**name)) {
            None => Ok(names),
            Some(other) => Err(format!(
                "has the tensor {}, which no network of msd_pytorch has: it is another architecture; wanted one as msd_pytorch saves it",
                shortened(other)
            )),
        }
    }

    fn layer(&self, index: usize) -> String {
        format!("{}msd_block.weight{index}", self.network)
    }

    fn biases(&self) -> String {
        format!("{}msd_block.bias", self.network)
    }

    fn last(&self, part: &str) -> String {
        format!("{}final_layer.linear.{part}", self.network)
    }

    fn all(&self) -> Vec<String> {
        let mut names: Vec<String> = (0..self.depth).map(|index| self.layer(index)).collect();
        names.extend([self.biases(), self.last("weight"), self.last("bias")]);
        for layer in [&self.scale_in, &self.scale_out].into_iter().flatten() {
            names.extend([format!("{layer}.weight"), format!("{layer}.bias")]);
        }
        names
    }
}

fn architecture(tensors: &Tensors, names: &Names, dilations: Option<&[usize]>) -> Problem<Architecture> {
    let first = tensors.shape(&names.layer(0))?;
    let (width, inputs, dimensions) = match *first {
        [width, inputs, 3, 3] => (width, inputs, 2),
        [width, inputs, 3, 3, 3] => (width, inputs, 3),
        _ => {
            return Err(format!(
                "has a first layer of shape {first:?}; wanted [width, channels, 3, 3], or [width, channels, 3, 3, 3] for volumes"
            ));
        }
    };
    let last = tensors.shape(&names.last("weight"))?;
    let [outputs, ..] = *last else {
        return Err(format!("has a final layer of shape {last:?}; wanted [outputs, channels, 1]"));
    };
    let architecture = Architecture {
        width,
        dimensions,
        dilations: dilations.map_or_else(|| (1..=10).collect(), <[usize]>::to_vec),
        dilation_mode: DilationMode::Layer,
        boundary: Boundary::Symmetric,
        ..Architecture::new(inputs, outputs, names.depth)
    };
    architecture.validate().map_err(|error| format!("has an unusable architecture: {error}"))?;
    Ok(architecture)
}

/// All parameters; a layer's weights lie in the file as they do here.
fn parameters(tensors: &Tensors, names: &Names, architecture: &Architecture) -> Problem<Vec<f32>> {
    let (width, channels, outputs) = (architecture.width, architecture.channels(), architecture.outputs);
    let count = ParameterLayout::of(architecture).count();
    // Tensors may share their numbers, so that a small file could ask for much memory.
    if count > tensors.file_length() / 4 {
        return Err(format!(
            "has {} bytes for a network of {count} parameters; copy the file again",
            tensors.file_length()
        ));
    }
    let mut parameters = Vec::with_capacity(count);
    for layer in 0..architecture.depth {
        let mut shape = vec![width, architecture.sources(layer).len()];
        shape.resize(2 + architecture.dimensions, 3);
        parameters.extend(tensors.read(&names.layer(layer), &shape)?);
    }
    parameters.extend(tensors.read(&names.biases(), &[architecture.hidden()])?);
    parameters.extend(tensors.read(&names.last("weight"), &[outputs, channels, 1])?);
    parameters.extend(tensors.read(&names.last("bias"), &[outputs])?);
    Ok(parameters)
}

fn scaling(tensors: &Tensors, layer: &str, channels: usize, dimensions: usize) -> Problem<Scaling> {
    let mut shape = vec![channels; 2];
    shape.resize(2 + dimensions, 1);
    let matrix = tensors.read(&format!("{layer}.weight"), &shape)?;
    Ok(Scaling::full(&matrix, tensors.read(&format!("{layer}.bias"), &[channels])?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tensors::{Element, Place, dense};
    use super::*;

    /// What is read from tensors of zeros under these names, all of them views of the same `length` bytes.
    fn read_zeros(length: usize, tensors: &[(&str, &[usize])]) -> Problem<Found> {
        let bytes = vec![0; length];
        let place = |shape: &[usize]| Place {
            element: Element::Float32,
            storage: 0..length,
            offset: 0,
            shape: shape.to_vec(),
            strides: dense(shape).unwrap(),
        };
        let places = tensors.iter().map(|(name, shape)| ((*name).to_owned(), place(shape)));
        read(&Tensors::new(&bytes, places.collect::<BTreeMap<_, _>>()), None)
    }

    /// A network of two layers of width 3 for images of one channel, with three outputs.
    const NETWORK: [(&str, &[usize]); 5] = [
        ("msd_block.weight0", &[3, 1, 3, 3]),
        ("msd_block.weight1", &[3, 4, 3, 3]),
        ("msd_block.bias", &[6]),
        ("final_layer.linear.weight", &[3, 7, 1]),
        ("final_layer.linear.bias", &[3]),
    ];

    fn refusal(change: impl FnOnce(&mut Vec<(&str, &[usize])>)) -> String {
        let mut tensors = NETWORK.to_vec();
        change(&mut tensors);
        read_zeros(4096, &tensors).err().expect("it was read")
    }

    #[test]
    fn a_network_alone_is_read_and_does_not_say_what_it_is_for() {
        let found = read_zeros(4096, &NETWORK).ok().unwrap();
        assert!(found.task.is_none());
        let architecture = &found.model.architecture;
        assert_eq!(
            (architecture.inputs, architecture.outputs, architecture.width, architecture.depth),
            (1, 3, 3, 2)
        );
        assert_eq!(found.model.input, Normalisation::identity(1).into());
    }

    #[test]
    fn a_network_of_volumes_is_read() {
        let mut tensors = NETWORK.to_vec();
        tensors[0].1 = &[3, 1, 3, 3, 3];
        tensors[1].1 = &[3, 4, 3, 3, 3];
        let architecture = read_zeros(8192, &tensors).ok().unwrap().model.architecture;
        assert!(architecture.is_of_volumes() && architecture.dilations_z.is_empty());
        assert_eq!(ParameterLayout::of(&architecture).filters().len(), 27 * (3 + 12));
        tensors[1].1 = &[3, 4, 3, 3];
        assert!(read_zeros(8192, &tensors).err().unwrap().contains("[3, 4, 3, 3]"));
    }

    #[test]
    fn other_networks_are_named() {
        assert!(refusal(|t| t.truncate(4)).contains("no tensor final_layer.linear.bias"));
        assert!(refusal(|t| t[1].1 = &[3, 5, 3, 3]).contains("[3, 5, 3, 3]"));
        assert!(refusal(|t| t[0].1 = &[3, 1, 5, 5]).contains("[3, 1, 5, 5]"));
        assert!(refusal(|t| t[0].1 = &[0, 1, 3, 3]).contains("width"));
        assert!(refusal(|t| t.push(("msd_block.weight7", &[1]))).contains("msd_block.weight7"));
        assert!(
            refusal(|t| t.push(("1.msd_block.weight0", &[3, 1, 3, 3]))).contains("one msd_pytorch network")
        );
        let named: Vec<_> = NETWORK.iter().map(|(name, shape)| (format!("1.0.{name}"), *shape)).collect();
        let mut early: Vec<_> = named.iter().map(|(name, shape)| (name.as_str(), *shape)).collect();
        early.extend([("2.weight", &[3, 3, 1, 1][..]), ("2.bias", &[3])]);
        assert!(read_zeros(4096, &early).err().unwrap().contains("ReLU"));
    }

    #[test]
    fn a_small_file_that_shows_its_numbers_over_and_over_is_refused() {
        assert!(read_zeros(540, &NETWORK).err().unwrap().contains("540 bytes"));
    }
}
