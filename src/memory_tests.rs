//! Limits as systems, containers and batch jobs show them in their files.

use std::collections::HashMap;

use super::*;

const MEBIBYTE: u64 = 1 << 20;
const GIBIBYTE: u64 = 1 << 30;
/// What version 1 shows where there is no limit.
const NO_LIMIT: &str = "9223372036854771712\n";

const VERSION_1: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
    32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
    35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n";
const VERSION_2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

/// A system of which these files are known.
struct System(HashMap<PathBuf, String>);

impl System {
    /// One with 8 GiB free and no limit of the address space, whose process is in `groups` at `mounts`.
    fn new(groups: &str, mounts: &str) -> Self {
        Self(HashMap::new())
            .with("/proc/meminfo", "MemTotal:  16777216 kB\nMemFree: 1 kB\nMemAvailable:    8388608 kB\n")
            .with("/proc/self/status", "Name:\tmsd-gpu\nVmPeak:\t  999999 kB\nVmSize:\t  524288 kB\n")
            .with("/proc/self/limits", &limits("unlimited"))
            .with("/proc/self/cgroup", groups)
            .with("/proc/self/mountinfo", mounts)
    }

    fn with(mut self, path: &str, text: &str) -> Self {
        self.0.insert(path.into(), text.into());
        self
    }

    fn group_of_version_1(self, path: &str, limit: &str, used: u64, cache: u64) -> Self {
        let file = |name: &str| format!("/sys/fs/cgroup/memory{path}/memory.{name}");
        self.with(&file("limit_in_bytes"), limit)
            .with(&file("usage_in_bytes"), &format!("{used}\n"))
            .with(&file("stat"), &format!("cache 7\ninactive_file 5\ntotal_inactive_file {cache}\n"))
    }

    fn group_of_version_2(self, path: &str, [max, high]: [&str; 2], used: u64, cache: u64) -> Self {
        let file = |name: &str| format!("/sys/fs/cgroup{path}/memory.{name}");
        self.with(&file("max"), &format!("{max}\n"))
            .with(&file("high"), &format!("{high}\n"))
            .with(&file("current"), &format!("{used}\n"))
            .with(&file("stat"), &format!("anon 12\nactive_file 77\ninactive_file {cache}\n"))
    }

    fn free(&self) -> Option<Free> {
        free_by(|path| self.0.get(path).cloned())
    }

    fn assert_free(&self, bytes: u64, limit: Limit) {
        assert_eq!(self.free(), Some(Free { bytes, limit }));
    }
}

fn limits(address_space: &str) -> String {
    format!(
        "Limit                     Soft Limit           Hard Limit           Units     \n\
         Max data size             12                   unlimited            bytes     \n\
         Max address space         {address_space}           unlimited            bytes     \n"
    )
}

#[test]
fn without_other_limits_the_machine_bounds_what_is_free() {
    for system in [
        System::new("", ""),
        System::new("4:memory:/\n0::/\n", VERSION_1).group_of_version_1("", NO_LIMIT, GIBIBYTE, 0),
        // The outermost group of version 2 has no such files.
        System::new("0::/\n", VERSION_2),
        System::new("0::/a\n", VERSION_2).group_of_version_2("/a", ["max", "max"], GIBIBYTE, 0),
    ] {
        system.assert_free(8 * GIBIBYTE, Limit::Machine);
    }
    assert_eq!(System(HashMap::new()).free(), None);
    let damaged =
        System::new("no colons\n0::/a", "half a line - cgroup2\n").with("/proc/meminfo", "MemAvail");
    assert_eq!(damaged.free(), None);
}

#[test]
fn a_limit_of_version_1_counts_with_those_around_it() {
    let job = |limit: &str, outer: &str| {
        System::new("9:cpu,cpuacct:/x\n4:memory:/slurm/job_7\n0::/\n", VERSION_1)
            .group_of_version_1("/slurm/job_7", limit, 600 * MEBIBYTE, 100 * MEBIBYTE)
            .group_of_version_1("/slurm", outer, 3 * GIBIBYTE, 0)
            .group_of_version_1("", NO_LIMIT, 9 * GIBIBYTE, 0)
    };
    // Copies of files that can be given up at any time are free.
    job("2147483648\n", NO_LIMIT).assert_free(2048 * MEBIBYTE - 500 * MEBIBYTE, Limit::Cgroup);
    job("2147483648\n", "4294967296\n").assert_free(GIBIBYTE, Limit::Cgroup);
    job(NO_LIMIT, "4294967296\n").assert_free(GIBIBYTE, Limit::Cgroup);
    job(NO_LIMIT, "1073741824\n").assert_free(0, Limit::Cgroup);
    job(NO_LIMIT, NO_LIMIT).assert_free(8 * GIBIBYTE, Limit::Machine);
}

#[test]
fn a_limit_of_version_2_counts_with_those_around_it() {
    let job = |limits: [&str; 2], outer: [&str; 2]| {
        System::new("0::/system.slice/job.scope\n", VERSION_2)
            .group_of_version_2("/system.slice/job.scope", limits, 600 * MEBIBYTE, 100 * MEBIBYTE)
            .group_of_version_2("/system.slice", outer, 3 * GIBIBYTE, GIBIBYTE)
    };
    let none = ["max", "max"];
    job(["2147483648", "max"], none).assert_free(2048 * MEBIBYTE - 500 * MEBIBYTE, Limit::Cgroup);
    job(["2147483648", "1073741824"], none).assert_free(1024 * MEBIBYTE - 500 * MEBIBYTE, Limit::Cgroup);
    job(["max", "1073741824"], none).assert_free(1024 * MEBIBYTE - 500 * MEBIBYTE, Limit::Cgroup);
    job(["2147483648", "max"], ["3221225472", "max"]).assert_free(GIBIBYTE, Limit::Cgroup);
    job(none, none).assert_free(8 * GIBIBYTE, Limit::Machine);
    // Files that are missing, as in old kernels, are no limit.
    let mut half = job(["2147483648", "max"], none);
    half.0.remove(Path::new("/sys/fs/cgroup/system.slice/job.scope/memory.stat"));
    half.assert_free(2048 * MEBIBYTE - 600 * MEBIBYTE, Limit::Cgroup);
    half.0.remove(Path::new("/sys/fs/cgroup/system.slice/job.scope/memory.current"));
    half.assert_free(8 * GIBIBYTE, Limit::Machine);
}

#[test]
fn a_container_sees_its_group_at_the_mount_point() {
    let limited = |groups: &str, root: &str| {
        let mounts = format!("35 31 0:32 {root} /sys/fs/cgroup/memory ro - cgroup cgroup ro,memory\n");
        System::new(groups, &mounts).group_of_version_1("", "1073741824\n", 24 * MEBIBYTE, 0)
    };
    for (groups, root) in [
        ("4:memory:/docker/12ab\n", "/docker/12ab"),
        ("4:memory:/docker/a b\n", "/docker/a\\040b"),
        ("4:memory:/\n", "/"),
        // A group outside the mount, and one that cannot be found below it.
        ("4:memory:/elsewhere\n", "/docker/12ab"),
        ("4:memory:/docker/12ab\n", "/"),
    ] {
        limited(groups, root).assert_free(1000 * MEBIBYTE, Limit::Cgroup);
    }
    let inner = limited("4:memory:/docker/12ab/job\n", "/docker/12ab");
    inner.group_of_version_1("/job", "104857600\n", 0, 0).assert_free(100 * MEBIBYTE, Limit::Cgroup);
}

#[test]
fn the_limit_of_the_address_space_counts_beside_what_is_mapped() {
    let system = |limit: &str| System::new("", "").with("/proc/self/limits", &limits(limit));
    system("1073741824").assert_free(512 * MEBIBYTE, Limit::AddressSpace);
    system("1").assert_free(0, Limit::AddressSpace);
    system("1099511627776").assert_free(8 * GIBIBYTE, Limit::Machine);
}

#[test]
fn what_does_not_fit_is_refused_with_the_limit_that_it_breaks() {
    let free = |limit| Free { bytes: 512 * MEBIBYTE, limit };
    let sentence = |limit| {
        let error = out_of_memory("a plane", 2 * GIBIBYTE, free(limit), "use smaller images");
        assert!(error.is_failure());
        error.to_string()
    };
    assert_eq!(
        sentence(Limit::Machine),
        "the memory for a plane needs 2.0 GiB, but what this machine has free is 512.0 MiB; use smaller images"
    );
    assert!(sentence(Limit::Cgroup).contains("cgroup (container or batch job) leaves free is 512.0 MiB"));
    assert!(sentence(Limit::AddressSpace).ends_with("use smaller images, or raise that limit"));

    assert!(check("nothing", 0, "").is_ok());
    assert!(reserve::<u64>("a few", 100, "").unwrap().capacity() >= 100);
    for count in [1 << 58, usize::MAX] {
        let error = reserve::<u64>("too many", count, "use fewer").unwrap_err();
        assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    }
}
