//! All datasets of a file or group, where none is named.

use std::collections::{HashMap, HashSet};

use hdf5_pure::{Dataset, Group, Layout};

use super::links::{Followed, Target};
use super::opened::{Object, Opened, Outward};
use super::{sample_type, shape_of};
use crate::error::Result;
use crate::images::arrays::list::Candidate;

/// Groups inside groups are not looked at deeper than this.
const MOST_DEPTH: usize = 16;
/// Of the links that lead elsewhere, so many are followed to see what is there; those to more files are listed without.
const MOST_LOOKED_INTO: usize = 64;

/// Where a dataset is.
pub(super) enum Held {
    Here(Dataset),
    Elsewhere(Outward),
    /// At a path at which another one was found.
    Again,
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
/// Those that links lead to come behind those that are stored there.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) for a damaged file.
pub(super) fn datasets(file: &Opened, path: &str, group: &Group, most: usize) -> Result<Vec<Found>> {
    let mut search = Search { file, most, found: Vec::new(), places: HashMap::new(), groups: HashSet::new() };
    let mut next = vec![Place { path: path.to_owned(), own: path.to_owned(), group: group.clone() }];
    let mut left = MOST_LOOKED_INTO;
    // Links to groups lead to further ones.
    for _ in 0..MOST_DEPTH {
        let mut links = search.stored(next)?;
        links.truncate(most);
        next = search.linked(links, &mut left);
        if next.is_empty() || search.found.len() > most {
            break;
        }
    }
    Ok(search.found)
}

struct Search<'a> {
    file: &'a Opened,
    most: usize,
    found: Vec<Found>,
    /// Which of these is at a path without soft links.
    places: HashMap<String, usize>,
    /// The paths of groups that were looked at.
    groups: HashSet<String>,
}

/// A link: the path at which it was found, that without soft links up to itself, and where it leads.
type Linked = (String, String, Target);

impl Search<'_> {
    /// Finds what is stored in `groups` and in those inside them; the links there.
    fn stored(&mut self, mut groups: Vec<Place>) -> Result<Vec<Linked>> {
        let failed = |error: hdf5_pure::Error| self.file.failed(&error);
        let mut links = Vec::new();
        // The outer ones first, so that groups that contain each other end at some depth.
        for _ in 0..MOST_DEPTH {
            let mut inner = Vec::new();
            for place in groups {
                let below = |name: &str| (format!("{}/{name}", place.path), format!("{}/{name}", place.own));
                for (name, dataset) in place.group.iter_datasets().map_err(failed)? {
                    let (path, own) = below(&name);
                    self.places.entry(own.clone()).or_insert(self.found.len());
                    self.found.push(here(path, own, dataset));
                }
                for (name, group) in place.group.iter_groups().map_err(failed)? {
                    let (path, own) = below(&name);
                    inner.push(Place { path, own, group });
                }
                links.extend(self.file.groups.soft_links(&place.own).into_iter().map(|link| {
                    let (path, own) = below(&link.name);
                    (path, own, link.target)
                }));
                self.groups.insert(place.own);
                if self.found.len() + inner.len() + links.len() > self.most {
                    return Ok(links);
                }
            }
            groups = inner;
        }
        Ok(links)
    }

    /// Finds what links lead to; the groups that were not looked at yet. Up to `left` of them are opened, besides those that are
    /// known.
    fn linked(&mut self, links: Vec<Linked>, left: &mut usize) -> Vec<Place> {
        let mut groups = Vec::new();
        for (path, own, target) in links {
            let followed = match target {
                Target::External { file, place } => Followed::Elsewhere { link: path.clone(), file, place },
                _ => self.file.groups.follow(&own),
            };
            match followed {
                Followed::Here(own) => {
                    if let Some(known) = self.places.get(&own) {
                        let candidate = Candidate { place: path, ..self.found[*known].candidate.clone() };
                        self.found.push(Found { candidate, linked: Some(own), held: Held::Again });
                    } else if !self.groups.contains(&own) && *left > 0 {
                        *left -= 1;
                        match self.file.object(&own) {
                            Some(Object::Dataset(dataset)) => {
                                self.places.insert(own.clone(), self.found.len());
                                self.found.push(here(path, own, dataset));
                            }
                            Some(Object::Group(group)) => {
                                self.groups.insert(own.clone());
                                groups.push(Place { path, own, group });
                            }
                            None => {}
                        }
                    }
                }
                Followed::Elsewhere { link, file, place } => {
                    let look = *left > 0;
                    *left = left.saturating_sub(1);
                    let outward = Outward { link, file, place };
                    self.found.push(elsewhere(self.file, path, outward, look));
                }
                // Links that lead nowhere keep nobody from the rest.
                Followed::Nothing { .. } | Followed::Endless => {}
            }
        }
        groups
    }
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
