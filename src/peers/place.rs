//! Which of several processes this one is, as the variables of their launcher say.

use std::num::NonZero;
use std::thread::available_parallelism;

/// The variable that names the library of MPI where it is not found by itself; `none` says that each process does something by itself.
pub const VARIABLE: &str = "MSD_GPU_MPI";

/// The place of this process among those that are to work together, as [`Place::of_this_process`]; `None` where [`VARIABLE`] says that they
/// are not to.
pub fn launched_together() -> Option<Place> {
    let place = Place::of_this_process()?;
    (std::env::var(VARIABLE).as_deref() != Ok("none")).then_some(place)
}

/// The place of this process among those that a launcher has started together: `mpirun` of Open MPI, of MPICH and its relatives, or
/// `srun` of Slurm with one of the interfaces for MPI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number among all processes, from 0.
    pub rank: usize,
    /// How many processes there are.
    pub size: usize,
    /// Its number among those of this machine, from 0.
    pub local_rank: usize,
    /// How many there are on this machine.
    pub local_size: usize,
    /// Whether Open MPI has started them.
    pub is_open_mpi: bool,
}

impl Place {
    /// That of this process; `None` where it was started by itself.
    pub fn of_this_process() -> Option<Self> {
        Self::of(|name| std::env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let number = |name: &str| variable(name).and_then(|text| text.parse::<usize>().ok());
        let first = |names: &[&str]| names.iter().find_map(|name| number(name));
        let is_open_mpi = variable("OMPI_COMM_WORLD_SIZE").is_some();
        let rank = first(&["OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"])?;
        let size = first(&["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"])?;
        let local_rank = first(&["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"]);
        // Of Slurm's list of tasks on each node, such as 4(x2),3, the first will do.
        let on_a_node = || {
            let text = variable("SLURM_STEP_TASKS_PER_NODE").or_else(|| variable("SLURM_TASKS_PER_NODE"))?;
            text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        let local_size = first(&["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"]).or_else(on_a_node);
        let place = Self {
            rank,
            size,
            local_rank: local_rank.unwrap_or(rank),
            local_size: local_size.unwrap_or(size).clamp(1, size.max(1)),
            is_open_mpi,
        };
        (size > 1 && rank < size).then_some(place)
    }
}

/// How many threads this process should use for parallel work where it shares the machine with others that were started with
/// it; `None` where it was started by itself, and where `RAYON_NUM_THREADS` says how many.
pub fn threads_of_this_process() -> Option<usize> {
    let place = Place::of_this_process()?;
    if std::env::var_os("RAYON_NUM_THREADS").is_some() {
        return None;
    }
    // A launcher may have bound the process to some of the processors, which it then has for itself.
    let bound_to = available_parallelism().map_or(1, NonZero::get);
    let share = processors().unwrap_or(bound_to) / place.local_size;
    Some(bound_to.min(share).max(1))
}

/// Processors of this machine, whether this process may run on them or not.
fn processors() -> Option<usize> {
    count_listed(&std::fs::read_to_string("/sys/devices/system/cpu/online").ok()?)
}

/// How many numbers a list such as 0-3,8 names.
fn count_listed(list: &str) -> Option<usize> {
    let span = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        last.checked_sub(first)?.checked_add(1)
    };
    list.trim().split(',').map(span).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launchers_are_understood_and_a_process_by_itself_has_no_place() {
        let of = |variables: &[(&str, &str)]| {
            Place::of(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
        };
        let place = |rank, size, local_rank, local_size, is_open_mpi| {
            Some(Place { rank, size, local_rank, local_size, is_open_mpi })
        };
        let open_mpi = [
            ("OMPI_COMM_WORLD_RANK", "5"),
            ("OMPI_COMM_WORLD_SIZE", "8"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "4"),
            ("PMIX_RANK", "5"),
        ];
        assert_eq!(of(&open_mpi), place(5, 8, 1, 4, true));
        let hydra =
            [("PMI_RANK", "1"), ("PMI_SIZE", "2"), ("MPI_LOCALRANKID", "1"), ("MPI_LOCALNRANKS", "2")];
        assert_eq!(of(&hydra), place(1, 2, 1, 2, false));
        let slurm = [
            ("PMIX_RANK", "6"),
            ("SLURM_NTASKS", "7"),
            ("SLURM_LOCALID", "2"),
            ("SLURM_TASKS_PER_NODE", "4,3"),
        ];
        assert_eq!(of(&slurm), place(6, 7, 2, 4, false));
        // A job of Slurm whose script runs the program without any launcher.
        assert_eq!(of(&[("SLURM_NTASKS", "7"), ("SLURM_LOCALID", "0")]), None);
        assert_eq!(of(&[("PMI_RANK", "0"), ("PMI_SIZE", "1")]), None);
        assert_eq!(of(&[("PMI_RANK", "2"), ("PMI_SIZE", "2")]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn processors_are_counted_from_their_list() {
        assert_eq!(count_listed("0-127\n"), Some(128));
        assert_eq!(count_listed("0,2-3"), Some(3));
        assert_eq!(count_listed("3-1"), None);
        assert_eq!(count_listed(""), None);
    }
}
