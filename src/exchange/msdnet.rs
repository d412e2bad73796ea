//! The networks of msdnet (dmpelt/msdnet) in its HDF5 files.
//!
//! The group `network` has the attributes `d` (depth), `nin` and `nout` (channels), and the datasets `dl` (dilations),
//! `w` (mix, `[nout, nin + d]`), `o` and `oo` (biases), `f/00000`, `f/00001`, ... (filters, `[channels read, 3, 3]`) and,
//! where it was normalised, `gam_in`, `off_in`, `gam_out` and `off_out`: an image enters as gam_in x + off_in and
//! leaves as gam_out y + off_out. The width is 1 and the boundary does not repeat the edge pixel. A segmentation
//! never has `gam_out`.

use hdf5_pure::{AttrValue, Dataset, File, Group};

use super::Problem;
use super::found::Found;
use super::scaling::{Scaling, fold_input, fold_output};
use crate::geometry::Boundary;
use crate::network::{Architecture, DilationMode, Model, Normalisation, ParameterLayout, Task, TaskKind};

/// How an HDF5 file starts.
pub(super) const HDF5_START: &[u8] = b"\x89HDF\r\n\x1a\n";

/// The network in an HDF5 file.
pub(super) fn read(bytes: Vec<u8>) -> Problem<Found> {
    let length = bytes.len();
    let file = File::from_bytes(bytes).map_err(damaged)?;
    let group = file.group("network").map_err(|error| {
        format!("is an HDF5 file without a readable group 'network' ({error}); wanted a file of msdnet")
    })?;
    let attributes = group.attrs().map_err(damaged)?;
    let size = |name: &str| {
        let value = attributes.get(name).and_then(whole);
        value.ok_or_else(|| {
            format!("has no whole number '{name}' in its group 'network'; wanted a file of msdnet")
        })
    };
    let mut architecture = Architecture {
        dilation_mode: DilationMode::Layer,
        boundary: Boundary::Reflect,
        ..Architecture::new(size("nin")?, size("nout")?, size("d")?)
    };
    let check = |architecture: &Architecture| {
        architecture.validate().map_err(|error| format!("has an unusable architecture: {error}"))
    };
    check(&architecture)?;
    let count = ParameterLayout::of(&architecture).count();
    if count > length / 4 {
        return Err(format!("has {length} bytes for a network of {count} parameters; copy the file again"));
    }
    let (inputs, outputs, depth) = (architecture.inputs, architecture.outputs, architecture.depth);
    let dilations = open(&group, "dl", &[depth])?.read_i64().map_err(damaged)?;
    // Anything unusable becomes 0, which no dilation may be.
    architecture.dilations = cycle(dilations.iter().map(|&s| usize::try_from(s).unwrap_or(0)).collect());
    check(&architecture)?;

    let numbers =
        |group: &Group, name: &str, shape: &[usize]| open(group, name, shape)?.read_f32().map_err(damaged);
    let mut parameters = Vec::with_capacity(count);
    let filters = group.group("f").map_err(damaged)?;
    for layer in 0..depth {
        parameters.extend(numbers(&filters, &format!("{layer:05}"), &[inputs + layer, 3, 3])?);
    }
    for (name, shape) in [("o", vec![depth]), ("w", vec![outputs, inputs + depth]), ("oo", vec![outputs])] {
        parameters.extend(numbers(&group, name, &shape)?);
    }

    let names = group.datasets().map_err(damaged)?;
    let scaling = |factor: &str, offset: &str, channels: usize| -> Problem<Option<Scaling>> {
        if !names.iter().any(|name| name == factor) {
            return Ok(None);
        }
        let factors = numbers(&group, factor, &[channels])?;
        Ok(Some(Scaling::diagonal(&factors, numbers(&group, offset, &[channels])?)))
    };
    let (before, after) = (scaling("gam_in", "off_in", inputs)?, scaling("gam_out", "off_out", outputs)?);
    let input = match before {
        Some(scaling) => fold_input(&scaling, &architecture, &mut parameters)?,
        None => Normalisation::identity(inputs),
    };
    let task = after.is_some().then_some(TaskKind::Regress);
    let target = match after {
        Some(scaling) => fold_output(&scaling, &architecture, &mut parameters)?,
        None => Normalisation::identity(outputs),
    };
    let provenance = [("format".to_owned(), "msdnet".to_owned())].into();
    let model = Model {
        architecture,
        parameters,
        task: Task::Regress,
        input: input.into(),
        target: Some(target),
        slab: 1,
        self_supervised: None,
        upscaling: None,
        provenance,
    };
    Ok(Found { model, task, assumed: Vec::new() })
}

/// The dataset `name`, whose shape must be `shape`: checked before memory is taken for its numbers.
fn open(group: &Group, name: &str, shape: &[usize]) -> Problem<Dataset> {
    let dataset = group.dataset(name).map_err(damaged)?;
    let found = dataset.shape().map_err(damaged)?;
    if !found.iter().copied().eq(shape.iter().map(|&length| length as u64)) {
        return Err(format!(
            "has the dataset '{name}' of shape {found:?}; wanted {shape:?}, as its depth and channels say"
        ));
    }
    Ok(dataset)
}

/// The shortest list that gives `dilations` when it is cycled through.
fn cycle(mut dilations: Vec<usize>) -> Vec<usize> {
    let repeats = |period: &usize| dilations.iter().enumerate().all(|(i, s)| *s == dilations[i % period]);
    let period = (1..dilations.len()).find(repeats).unwrap_or(dilations.len());
    dilations.truncate(period);
    dilations
}

fn whole(value: &AttrValue) -> Option<usize> {
    match *value {
        AttrValue::I64(value) => usize::try_from(value).ok(),
        AttrValue::I32(value) => usize::try_from(value).ok(),
        AttrValue::U64(value) => usize::try_from(value).ok(),
        AttrValue::U32(value) => usize::try_from(value).ok(),
        _ => None,
    }
}

fn damaged(error: hdf5_pure::Error) -> String {
    format!("is not a whole HDF5 file of msdnet ({error}); copy the file again")
}

#[cfg(test)]
mod tests {
    #[test]
    fn dilations_are_kept_as_their_shortest_cycle() {
        assert_eq!(super::cycle(vec![1, 2, 3, 1, 2, 3, 1]), [1, 2, 3]);
        assert_eq!(super::cycle(vec![4, 4, 4]), [4]);
        assert_eq!(super::cycle(vec![1, 2, 1, 3]), [1, 2, 1, 3]);
        assert_eq!(super::cycle(vec![7]), [7]);
    }
}
