//! Which array of a Zarr folder is meant.

use std::collections::{HashSet, VecDeque};
use std::path::{Component, Path, PathBuf};

use super::metadata::{ArrayJson, Attributes, Node, node};
use super::ome::{letters_of_names, multiscale};
use crate::error::{Error, Result};
use crate::images::annotations::Annotations;
use crate::images::volume::VoxelSize;

/// Of a group no more folders are looked at than these, and no deeper.
const MOST_FOLDERS: usize = 10_000;
const MOST_DEPTH: usize = 8;
/// So many arrays are listed by name.
const LISTED: usize = 12;

/// An array that has been found.
pub(super) struct Found {
    pub(super) folder: PathBuf,
    /// What messages call it.
    pub(super) name: String,
    pub(super) json: ArrayJson,
    pub(super) axes: Option<Vec<char>>,
    pub(super) voxel_size: Option<VoxelSize>,
    /// Where the first pixel lies along x, y and z, in the unit of its size.
    pub(super) origin: Option<[f64; 3]>,
    pub(super) annotations: Annotations,
}

/// The array in the Zarr folder at `path`, at the place `inside` it where one is named; of an image in several sizes the one of
/// number `level`, 0 being the finest.
///
/// # Errors
/// [`Error::Input`] for a place that there is not, and for a group of several arrays; [`Error::Setting`] for a level that there
/// is not.
pub(super) fn find(path: &Path, inside: Option<&str>, level: usize) -> Result<Found> {
    let inside = inside.map(|inside| inside.trim_matches('/')).filter(|inside| !inside.is_empty());
    let folder = inside_of(path, path, inside.unwrap_or_default())?;
    let name = named(path, inside.unwrap_or_default());
    match node(&folder)? {
        Some(Node::Array(json, attributes)) => array(folder, name, json, &attributes, level),
        Some(Node::Group(attributes)) => match multiscale(&attributes) {
            Some(_) => of_image(path, folder, inside.unwrap_or_default(), name, &attributes, level),
            None => only_one(path, inside.unwrap_or_default(), level),
        },
        None if inside.is_some() => {
            let problem = format!("is no array or group; {}", listed(path, &members(path)));
            Err(Error::input(name, problem))
        }
        None => {
            Err(Error::input(path, "is a folder of Zarr without an array or group; copy or export it again"))
        }
    }
}

/// What messages call the place `inside` the folder at `path`.
fn named(path: &Path, inside: &str) -> String {
    if inside.is_empty() { path.display().to_string() } else { format!("{}:/{inside}", path.display()) }
}

/// The folder at the place `inside` the one at `folder`, which is in the Zarr folder at `path`.
///
/// # Errors
/// [`Error::Input`] for one that leads out of it.
fn inside_of(path: &Path, folder: &Path, inside: &str) -> Result<PathBuf> {
    let inside = Path::new(inside);
    if inside.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Ok(folder.join(inside));
    }
    let problem =
        format!("has no place '{}' inside it; name one as in x.zarr:/labels/cells", inside.display());
    Err(Error::input(path, problem))
}

fn array(
    folder: PathBuf,
    name: String,
    json: ArrayJson,
    attributes: &Attributes,
    level: usize,
) -> Result<Found> {
    if level > 0 {
        let problem = format!("{name} has one level, which is 0; leave that out");
        return Err(Error::setting("level", level, problem));
    }
    // The group around a level of an image tells of it.
    let around = folder.file_name().and_then(|name| Some((name.to_str()?, folder.parent()?)));
    let of_image = around.and_then(|(own, parent)| match node(parent) {
        Ok(Some(Node::Group(attributes))) => {
            let image = multiscale(&attributes)?;
            let level = image.levels.into_iter().find(|level| level.path == own)?;
            Some((image.axes, level.voxel_size, level.origin, level.annotations))
        }
        _ => None,
    });
    let (axes, voxel_size, origin, annotations) = of_image.unwrap_or_default();
    let axes = axes.or_else(|| attributes.dimensions.as_ref().and_then(letters_of_names));
    Ok(Found { folder, name, json, axes, voxel_size, origin, annotations })
}

/// The level that is wanted of the image that the group at `folder` is.
fn of_image(
    path: &Path,
    folder: PathBuf,
    inside: &str,
    name: String,
    attributes: &Attributes,
    level: usize,
) -> Result<Found> {
    let image = multiscale(attributes);
    let (axes, levels) = image.map(|image| (image.axes, image.levels)).unwrap_or_default();
    let Some(wanted) = levels.get(level) else {
        let problem = match levels.len() {
            1 => format!("{name} has one level, which is 0; leave that out"),
            count => format!("{name} has {count} levels, 0 to {}; name one of these", count - 1),
        };
        return Err(Error::setting("level", level, problem));
    };
    let folder = inside_of(path, &folder, &wanted.path)?;
    let name = match level {
        0 => name,
        _ => named(path, format!("{inside}/{}", wanted.path).trim_matches('/')),
    };
    match node(&folder)? {
        Some(Node::Array(json, _)) => {
            let (voxel_size, origin) = (wanted.voxel_size.clone(), wanted.origin);
            let annotations = wanted.annotations.clone();
            Ok(Found { folder, name, json, axes, voxel_size, origin, annotations })
        }
        _ => {
            let problem = format!(
                "says that an array called '{}' is in it, which is not there; copy or export it again",
                wanted.path
            );
            Err(Error::input(name, problem))
        }
    }
}

/// The only image or array in the group at the place `inside`.
fn only_one(path: &Path, inside: &str, level: usize) -> Result<Found> {
    let group = inside_of(path, path, inside)?;
    let members = members(&group);
    match members.as_slice() {
        [only] => find(path, Some(&format!("{inside}/{only}")), level),
        [] => Err(Error::input(named(path, inside), "holds no array; name the folder of an image")),
        _ => {
            let members: Vec<String> = members
                .iter()
                .map(|member| format!("{inside}/{member}").trim_start_matches('/').to_owned())
                .collect();
            Err(Error::input(
                named(path, inside),
                format!("is a group of several; {}", listed(path, &members)),
            ))
        }
    }
}

/// A list of what is in a folder, as the end of a message.
fn listed(path: &Path, members: &[String]) -> String {
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let mut names: Vec<String> = members.iter().take(LISTED).map(|member| format!("/{member}")).collect();
    if members.len() > LISTED {
        names.push(format!("{} more", members.len() - LISTED));
    }
    match members {
        [] => "there is no array in it".to_owned(),
        [first, ..] => format!("it holds {}: name one of them, as in {file}:/{first}", names.join(", ")),
    }
}

/// The places of all images and of all arrays that are not part of one, inside the group at `group`, in the order of names.
fn members(group: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = VecDeque::from([(String::new(), group.to_path_buf(), 0)]);
    // Links may lead round in a circle.
    let mut seen: HashSet<PathBuf> = group.canonicalize().into_iter().collect();
    let mut left = MOST_FOLDERS;
    while let Some((place, folder, depth)) = folders.pop_front() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if left == 0 {
                break;
            }
            left -= 1;
            let path = entry.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if !path.is_dir() || !path.canonicalize().is_ok_and(|path| seen.insert(path)) {
                continue;
            }
            let inside = if place.is_empty() { name.to_owned() } else { format!("{place}/{name}") };
            match node(&path) {
                Ok(Some(Node::Group(attributes))) if multiscale(&attributes).is_none() => {
                    if depth < MOST_DEPTH {
                        folders.push_back((inside, path, depth + 1));
                    }
                }
                // One whose metadata cannot be read is one all the same: opening it tells what is wrong.
                Ok(Some(_)) | Err(_) => found.push(inside),
                Ok(None) => {}
            }
        }
    }
    found.sort();
    found
}
