//! A machine, as far as it matters to graphics drivers.

use std::path::{Path, PathBuf};

use super::cards::{Card, Node};
use super::manifests::{Loader, Manifests, library};
use super::view::View;

/// Operating systems that differ in how GPUs are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Vulkan, by drivers that are installed.
    Linux,
    /// Metal, which is part of the system.
    MacOs,
    /// DX12, which is part of the system, and Vulkan.
    Windows,
    /// Anything else.
    Other,
}

/// What a program may run in that shares the kernel of its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// Docker, or what looks like it.
    Docker,
    /// Podman.
    Podman,
    /// Apptainer, or Singularity as it was called.
    Apptainer,
    /// A pod of Kubernetes.
    Kubernetes,
    /// Another one.
    Other,
}

impl Container {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Container::Docker => "Docker",
            Container::Podman => "Podman",
            Container::Apptainer => "Apptainer",
            Container::Kubernetes => "Kubernetes",
            Container::Other => "of some kind",
        }
    }
}

/// What installs packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packages {
    /// apt-get of Debian.
    Debian,
    /// apt-get of Ubuntu, which has other drivers.
    Ubuntu,
    /// dnf of Fedora and Red Hat.
    Fedora,
    /// pacman of Arch.
    Arch,
    /// zypper of SUSE.
    Suse,
    /// apk of Alpine.
    Alpine,
    /// Something else.
    Other,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The operating system.
    pub system: System,
    /// Its name and version.
    pub name: String,
    /// What installs packages.
    pub packages: Packages,
    /// The container that this runs in.
    pub container: Option<Container>,
    /// Whether this is Linux inside Windows.
    pub wsl: bool,
    /// The loader of Vulkan.
    pub loader: Loader,
    /// The drivers that it is told of.
    pub manifests: Manifests,
    /// The graphics cards.
    pub cards: Vec<Card>,
    /// The files through which programs use them.
    pub nodes: Vec<Node>,
    /// The version of NVIDIA's driver in the kernel.
    pub nvidia_version: Option<String>,
    /// NVIDIA's library for Vulkan.
    pub nvidia_library: Option<PathBuf>,
    /// Whether there is a library that NVIDIA's needs, `libXext.so.6`.
    pub has_xext: bool,
}

impl Machine {
    /// Looks at a machine. No driver is loaded.
    pub fn look(view: &View) -> Self {
        let system = match view.system.as_str() {
            "linux" => System::Linux,
            "macos" => System::MacOs,
            "windows" => System::Windows,
            _ => System::Other,
        };
        let release = view.text("/etc/os-release").unwrap_or_default();
        let field = |name: &str| {
            let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.map(|value| value.trim_matches('"').to_owned())
        };
        let kernel = view.text("/proc/sys/kernel/osrelease").ok();
        let name = match (field("PRETTY_NAME"), &kernel) {
            (Some(name), Some(kernel)) => format!("{name}, Linux {kernel}"),
            (Some(name), None) => name,
            (None, Some(kernel)) => format!("Linux {kernel}"),
            (None, None) => view.system.clone(),
        };
        let alike = format!("{} {}", field("ID").unwrap_or_default(), field("ID_LIKE").unwrap_or_default());
        let wsl = view.exists("/dev/dxg")
            || kernel.is_some_and(|kernel| kernel.to_lowercase().contains("microsoft"));
        let is_linux = system == System::Linux;
        let linux = |found: Option<PathBuf>| found.filter(|_| is_linux);
        Self {
            system,
            name,
            packages: packages(&alike),
            container: container(view),
            wsl,
            loader: if is_linux { Loader::find(view) } else { Loader::default() },
            manifests: if is_linux { Manifests::find(view) } else { Manifests::default() },
            cards: Card::all(view),
            nodes: Node::all(view),
            nvidia_version: nvidia_version(view),
            nvidia_library: linux(library(view, "libGLX_nvidia.so.0")),
            has_xext: library(view, "libXext.so.6").is_some(),
        }
    }
}

fn packages(alike: &str) -> Packages {
    let is = |name: &str| alike.split_whitespace().any(|word| word == name);
    match () {
        () if is("ubuntu") => Packages::Ubuntu,
        () if is("debian") => Packages::Debian,
        () if is("fedora") || is("rhel") || is("centos") => Packages::Fedora,
        () if is("arch") => Packages::Arch,
        () if is("suse") || is("opensuse") => Packages::Suse,
        () if is("alpine") => Packages::Alpine,
        () => Packages::Other,
    }
}

fn container(view: &View) -> Option<Container> {
    let groups = view.text("/proc/1/cgroup").unwrap_or_default();
    let set = |name: &str| view.variable(name).is_some();
    if set("APPTAINER_CONTAINER") || set("SINGULARITY_CONTAINER") || view.exists("/.singularity.d") {
        Some(Container::Apptainer)
    } else if set("KUBERNETES_SERVICE_HOST") || groups.contains("kubepods") {
        Some(Container::Kubernetes)
    } else if view.exists("/run/.containerenv") {
        Some(Container::Podman)
    } else if view.exists("/.dockerenv") || groups.contains("docker") {
        Some(Container::Docker)
    } else {
        (set("container") || groups.contains("/lxc")).then_some(Container::Other)
    }
}

/// The version in a line such as `NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Tue ...`.
fn nvidia_version(view: &View) -> Option<String> {
    let text = view.text(Path::new("/proc/driver/nvidia/version")).ok()?;
    let is_version =
        |word: &&str| word.contains('.') && word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.lines().next()?.split_whitespace().find(is_version).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)], environment: &[(&str, &str)]) -> Machine {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Machine::look(&View::of_folder(folder.path(), environment))
    }

    #[test]
    fn systems_and_what_installs_their_packages_are_known() {
        let of = |release: &str| machine(&[("etc/os-release", release)], &[]);
        let debian = of("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n");
        assert_eq!(
            (debian.name.as_str(), debian.packages),
            ("Debian GNU/Linux 12 (bookworm)", Packages::Debian)
        );
        for (release, packages) in [
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"", Packages::Ubuntu),
            ("ID=rocky\nID_LIKE=\"rhel centos fedora\"", Packages::Fedora),
            ("ID=manjaro\nID_LIKE=arch", Packages::Arch),
            ("ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"", Packages::Suse),
            ("ID=alpine", Packages::Alpine),
            ("ID=nixos", Packages::Other),
            ("", Packages::Other),
        ] {
            assert_eq!(of(release).packages, packages, "{release}");
        }
    }

    #[test]
    fn containers_and_wsl_are_recognised() {
        let of = |files: &[(&str, &str)], environment: &[(&str, &str)]| machine(files, environment).container;
        assert_eq!(of(&[], &[]), None);
        assert_eq!(of(&[(".dockerenv", "")], &[]), Some(Container::Docker));
        assert_eq!(of(&[("run/.containerenv", "")], &[]), Some(Container::Podman));
        assert_eq!(of(&[(".singularity.d/env", "")], &[]), Some(Container::Apptainer));
        assert_eq!(of(&[("proc/1/cgroup", "0::/kubepods/x")], &[]), Some(Container::Kubernetes));
        assert_eq!(
            of(&[(".dockerenv", "")], &[("APPTAINER_CONTAINER", "/a.sif")]),
            Some(Container::Apptainer)
        );
        assert!(machine(&[("dev/dxg", "")], &[]).wsl);
        assert!(machine(&[("proc/sys/kernel/osrelease", "5.15.167.4-microsoft-standard-WSL2\n")], &[]).wsl);
        assert!(!machine(&[("proc/sys/kernel/osrelease", "6.1.0-28-amd64\n")], &[]).wsl);
    }

    #[test]
    fn the_version_of_nvidias_driver_is_found() {
        let line = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Tue Apr  1 10:00:00 UTC 2026\nGCC version: 12.2.0\n";
        let found = machine(&[("proc/driver/nvidia/version", line)], &[]);
        assert_eq!(found.nvidia_version.as_deref(), Some("580.159.04"));
    }
}
