//! How much memory this process may still take, and asking before a large piece of it is taken.
//!
//! A system promises more memory than it has, and ends a program that then uses it. A container or a batch job (Slurm) has
//! less than its machine, and the kernel ends what goes beyond. Where the limit is that of `ulimit -v`, the allocator gets
//! nothing more, and Rust aborts the program. So large pieces are checked against the smallest of these limits beforehand,
//! with [`check`] or [`reserve`], and what does not fit is an [`Error::OutOfMemory`] that names the limit.
//!
//! What is read are files of Linux. Where they are missing, as on other systems, nothing is refused beforehand.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// What bounds the memory of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The memory of the machine.
    Machine,
    /// A control group, version 1 or 2: the limit of a container or a batch job.
    Cgroup,
    /// The largest address space of a process (`RLIMIT_AS`).
    AddressSpace,
}

impl Limit {
    /// What is free under this limit, in words: the subject of "is 3.1 GiB".
    pub fn name(self) -> &'static str {
        match self {
            Limit::Machine => "what this machine has free",
            Limit::Cgroup => "what the memory limit of the cgroup (container or batch job) leaves free",
            Limit::AddressSpace => "what the limit of ulimit -v leaves free",
        }
    }
}

/// Memory that this process may still take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// The number of bytes.
    pub bytes: u64,
    /// Which limit leaves no more than that.
    pub limit: Limit,
}

/// What this process may still take under the tightest of its limits; `None` where the system does not report it.
pub fn free() -> Option<Free> {
    free_by(|path| std::fs::read_to_string(path).ok())
}

/// Pieces below this size are not checked: reading the limits takes about as long as filling that much.
const SMALL_BYTES: u64 = 1 << 20;

/// Checks that this process may take `bytes` more. For the error message, `what` names the purpose, as the end of "the memory for",
/// and `way_out` what the user can do.
///
/// # Errors
/// [`Error::OutOfMemory`] when it may not.
pub fn check(what: &str, bytes: u64, way_out: &str) -> Result<()> {
    if bytes < SMALL_BYTES {
        return Ok(());
    }
    match free() {
        Some(free) if bytes > free.bytes => Err(out_of_memory(what, bytes, free, way_out)),
        _ => Ok(()),
    }
}

/// An empty vector with room for `count` elements, or the error of [`check`] where there is no room.
///
/// # Errors
/// [`Error::OutOfMemory`] when this process may not take as much, or the allocator does not get it.
pub fn reserve<T>(what: &str, count: usize, way_out: &str) -> Result<Vec<T>> {
    let bytes = (count as u64).saturating_mul(size_of::<T>() as u64);
    check(what, bytes, way_out)?;
    let mut vector = Vec::new();
    vector.try_reserve_exact(count).map_err(|_| {
        let free = free().unwrap_or(Free { bytes: 0, limit: Limit::Machine });
        out_of_memory(what, bytes, free, way_out)
    })?;
    Ok(vector)
}

/// `count` zeros, or the error of [`check`] where there is no room. Pages of memory that nothing is written to are not taken.
///
/// # Errors
/// As [`reserve`].
pub fn zeros<T: bytemuck::Zeroable>(what: &str, count: usize, way_out: &str) -> Result<Vec<T>> {
    let bytes = (count as u64).saturating_mul(size_of::<T>() as u64);
    check(what, bytes, way_out)?;
    bytemuck::allocation::try_zeroed_vec(count).map_err(|()| {
        let free = free().unwrap_or(Free { bytes: 0, limit: Limit::Machine });
        out_of_memory(what, bytes, free, way_out)
    })
}

fn out_of_memory(what: &str, wanted: u64, free: Free, way_out: &str) -> Error {
    let raise = match free.limit {
        Limit::Machine => "",
        Limit::Cgroup | Limit::AddressSpace => ", or raise that limit",
    };
    Error::OutOfMemory {
        buffer: format!("the memory for {what}"),
        wanted,
        limit_name: free.limit.name().into(),
        limit: free.bytes,
        way_out: format!("{way_out}{raise}"),
    }
}

/// As [`free`], with the files of the system as `read` gives them.
fn free_by(read: impl Fn(&Path) -> Option<String>) -> Option<Free> {
    let of_process = |name: &str| read(&Path::new("/proc/self").join(name));
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| kibibytes(&text, "MemAvailable:"));
    let cgroup = of_process("cgroup")
        .zip(of_process("mountinfo"))
        .and_then(|(groups, mounts)| free_in_cgroups(&groups, &mounts, &read));
    let space = of_process("limits").and_then(|text| address_space(&text)).and_then(|limit| {
        // What is mapped at present counts, whether it is used or not.
        of_process("status")
            .and_then(|text| kibibytes(&text, "VmSize:"))
            .map(|used| limit.saturating_sub(used))
    });
    let limits =
        [(machine, Limit::Machine), (cgroup, Limit::Cgroup), (space, Limit::AddressSpace)].into_iter();
    limits.filter_map(|(bytes, limit)| Some(Free { bytes: bytes?, limit })).min_by_key(|free| free.bytes)
}

/// A number of bytes that stands as `name 123 kB` on a line of its own.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let number = text.lines().find_map(|line| line.strip_prefix(name))?.trim().strip_suffix("kB")?;
    number.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The soft limit of the address space in bytes, from `/proc/self/limits`; `None` where there is none.
fn address_space(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The least that the control groups of a process leave free, from `/proc/self/cgroup`, `/proc/self/mountinfo` and the files
/// of the groups; `None` where no group has a limit.
///
/// A group's limit holds for all groups inside it together, so those around the process's own count as well.
fn free_in_cgroups(groups: &str, mounts: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let versions = [
        (group_of_version_1(groups).zip(mount(mounts, is_memory_of_version_1)), free_in_version_1 as FreeIn),
        (group_of_version_2(groups).zip(mount(mounts, is_version_2)), free_in_version_2),
    ];
    let folders = versions.into_iter().filter_map(|(place, free)| {
        let (group, mount) = place?;
        Some(mount.with_parents(group).into_iter().map(move |folder| (folder, free)))
    });
    folders.flatten().filter_map(|(folder, free)| free(&|name| read(&folder.join(name)))).min()
}

/// What one group leaves free, by its files.
type FreeIn = fn(&dyn Fn(&str) -> Option<String>) -> Option<u64>;

fn free_in_version_1(file: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    // Where there is no limit, the number is larger than any memory.
    let limit = number(&file("memory.limit_in_bytes")?)?;
    let used = number(&file("memory.usage_in_bytes")?)?;
    // "total" counts the groups inside too, as the usage does.
    let cache = file("memory.stat").and_then(|stat| named(&stat, "total_inactive_file"));
    Some(left_of(limit, used, cache))
}

fn free_in_version_2(file: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    // Beyond "high" a program is slowed down until it hardly moves; beyond "max" it is ended. Both may be the word "max".
    let limits = ["memory.max", "memory.high"].map(|name| file(name).and_then(|text| number(&text)));
    let limit = limits.into_iter().flatten().min()?;
    let used = number(&file("memory.current")?)?;
    let cache = file("memory.stat").and_then(|stat| named(&stat, "inactive_file"));
    Some(left_of(limit, used, cache))
}

/// Copies of files that were not used lately count as used, but the kernel gives them up before it refuses anything.
fn left_of(limit: u64, used: u64, cache: Option<u64>) -> u64 {
    limit.saturating_sub(used.saturating_sub(cache.unwrap_or(0)))
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The number that stands as `name 123` on a line of its own.
fn named(text: &str, name: &str) -> Option<u64> {
    text.lines().filter_map(|line| line.split_once(' ')).find(|(key, _)| *key == name)?.1.trim().parse().ok()
}

/// The path of the memory group of version 1, from a line such as `4:memory:/docker/12ab`.
fn group_of_version_1(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|controller| controller == "memory").then_some(path)
    })
}

/// The path of the group of version 2, from the line `0::/user.slice`.
fn group_of_version_2(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::"))
}

/// Where a file system of control groups is mounted.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// The group that is at the mount point: not always the outermost one, in containers.
    root: PathBuf,
    point: PathBuf,
}

impl Mount {
    /// The folder of `group`, and those of the groups around it up to the mount point. A group that is not below the mount
    /// is shown to containers at times; then the mount point is the best that is known.
    fn with_parents(&self, group: &str) -> Vec<PathBuf> {
        let inside = Path::new(group).strip_prefix(&self.root).unwrap_or(Path::new(""));
        inside.ancestors().map(|path| self.point.join(path)).collect()
    }
}

/// The first mount that `fits` by the type of its file system and its options, from `/proc/self/mountinfo`.
fn mount(mounts: &str, fits: impl Fn(&str, &str) -> bool) -> Option<Mount> {
    mounts.lines().find_map(|line| {
        // Number, parent, device, root, mount point, options and more; then, after a dash, type, source and options.
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        if !fits(kind.next()?, kind.nth(1)?) {
            return None;
        }
        let mut place = place.split(' ').skip(3);
        Some(Mount { root: unescaped(place.next()?), point: unescaped(place.next()?) })
    })
}

fn is_memory_of_version_1(kind: &str, options: &str) -> bool {
    kind == "cgroup" && options.split(',').any(|option| option == "memory")
}

fn is_version_2(kind: &str, _: &str) -> bool {
    kind == "cgroup2"
}

/// A path of `/proc/self/mountinfo`, in which blanks and the like stand as `\040`.
fn unescaped(path: &str) -> PathBuf {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(path.to_owned(), |path, (code, character)| path.replace(code, character)).into()
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
