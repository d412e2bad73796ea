//! All datasets of a file or group, where none is named.

use std::collections::HashSet;

use hdf5_pure::{Dataset, Group, Layout};

use super::links::Target;
use super::opened::{At, Object, Opened, Outward};
use super::{sample_type, shape_of};
use crate::error::Result;
use crate::images::arrays::list::Candidate;

/// Groups inside groups are not looked at deeper than this.
const MOST_DEPTH: usize = 16;
/// Of the links to other files, so many are followed to see what is there; more are listed without.
const MOST_LOOKED_INTO: usize = 64;

/// Where a dataset is.
pub(super) enum Held {
    Here(Dataset),
    Elsewhere(Outward),
}

/// A dataset that was found.
pub(super) struct Found {
    /// By the path at which it was found.
    pub(super) candidate: Candidate,
    /// The path without soft links, where it was found by one.
    pub(super) linked: Option<String>,
    pub(super) held: Held,
}

/// A group whose members are looked at.
struct Place {
    /// The path at which it was found, and that without soft links.
    path: String,
    own: String,
    group: Group,
}

/// The datasets of the group at `path` and of those inside it, the outer ones first, up to about `most`; `path` has no soft links.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) for a damaged file.
pub(super) fn datasets(file: &Opened, path: &str, group: &Group, most: usize) -> Result<Vec<Found>> {
    let failed = |error: hdf5_pure::Error| file.failed(&error);
    let mut found: Vec<Found> = Vec::new();
    let mut looked_into = 0;
    let mut linked_groups = HashSet::from([path.to_owned()]);
    let mut groups = vec![Place { path: path.to_owned(), own: path.to_owned(), group: group.clone() }];
    // The outer ones first, so that groups that contain each other end at some depth.
    for _ in 0..MOST_DEPTH {
        let mut inner = Vec::new();
        for place in groups {
            for (name, dataset) in place.group.iter_datasets().map_err(failed)? {
                let own = format!("{}/{name}", place.own);
                found.push(here(format!("{}/{name}", place.path), own, dataset));
            }
            for (name, group) in place.group.iter_groups().map_err(failed)? {
                let (path, own) = (format!("{}/{name}", place.path), format!("{}/{name}", place.own));
                inner.push(Place { path, own, group });
            }
            for link in file.groups.soft_links(&place.own) {
                let path = format!("{}/{}", place.path, link.name);
                let at = match link.target {
                    Target::External { file, place } => {
                        Some(At::Elsewhere(Outward { link: path.clone(), file, place }))
                    }
                    // Links that lead nowhere keep nobody from the rest.
                    _ => file.at(&format!("{}/{}", place.own, link.name)).ok().flatten(),
                };
                match at {
                    Some(At::Here(own, Object::Dataset(dataset))) => found.push(here(path, own, dataset)),
                    Some(At::Here(own, Object::Group(group))) => {
                        if linked_groups.insert(own.clone()) {
                            inner.push(Place { path, own, group });
                        }
                    }
                    Some(At::Elsewhere(outward)) => {
                        looked_into += 1;
                        let look = looked_into <= MOST_LOOKED_INTO;
                        found.push(elsewhere(file, path, outward, look));
                    }
                    None => {}
                }
            }
            if found.len() + inner.len() > most {
                return Ok(found);
            }
        }
        groups = inner;
    }
    Ok(found)
}

/// A dataset of the file itself.
fn here(path: String, own: String, dataset: Dataset) -> Found {
    let linked = (path != own).then_some(own);
    Found { candidate: candidate(path, &dataset), linked, held: Held::Here(dataset) }
}

/// What a link leads to in another file; with `look` it is opened to know what it is.
fn elsewhere(file: &Opened, path: String, outward: Outward, look: bool) -> Found {
    let linked = if look { file.linked(&outward).ok().flatten() } else { None };
    let candidate = match linked {
        Some((_, _, dataset)) => candidate(path, &dataset),
        None => Candidate { place: path, shape: Vec::new(), is_readable: false },
    };
    Found { candidate, linked: None, held: Held::Elsewhere(outward) }
}

fn candidate(place: String, dataset: &Dataset) -> Candidate {
    let shape = dataset.shape().ok().and_then(|shape| shape_of(&shape)).unwrap_or_default();
    let is_readable = dataset.datatype().is_ok_and(|datatype| sample_type(&datatype).is_some());
    Candidate { place, shape, is_readable }
}

/// Has each dataset once, by its path without soft links.
pub(super) fn drop_doubles(found: &mut Vec<Found>) {
    for found in found.iter_mut() {
        if let Some(own) = found.linked.take() {
            found.candidate.place = own;
        }
    }
    let mut places = HashSet::new();
    let mut addresses = HashSet::new();
    let alike =
        |all: &[Found], shape: &[usize]| all.iter().filter(|other| other.candidate.shape == shape).count();
    let unique: Vec<bool> = found
        .iter()
        .map(|one| {
            if !places.insert(one.candidate.place.clone()) {
                return false;
            }
            let is_single = one.candidate.shape.len() < 2 || alike(found, &one.candidate.shape) < 2;
            let Held::Here(dataset) = &one.held else { return true };
            is_single || first_address(dataset).is_none_or(|address| addresses.insert(address))
        })
        .collect();
    let mut unique = unique.into_iter();
    found.retain(|_| unique.next().unwrap_or(true));
}

/// Where the first numbers of a dataset are; `None` where there are none, or they are in its header.
fn first_address(dataset: &Dataset) -> Option<u64> {
    match dataset.layout().ok()? {
        Layout::Contiguous { address, .. } => address,
        Layout::Chunked { .. } => dataset.chunks().ok()?.first().map(|chunk| chunk.address),
        _ => None,
    }
}
