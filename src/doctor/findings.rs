//! What is missing, in a sentence each, and the commands that mend it.

use std::path::Path;

use super::cards::{AMD, Card, CardKind, INTEL, NVIDIA};
use super::machine::{Container, Machine, Packages, System};
use super::manifests::Manifest;

/// Something that keeps GPUs from being used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which piece it is about, for programs: a name such as `no_loader` that stays the same.
    pub piece: &'static str,
    /// What is wrong, in a sentence.
    pub what: String,
    /// Commands that mend it, at most two; none where no command does.
    pub mend: Vec<String>,
}

fn finding(piece: &'static str, what: impl Into<String>, mend: impl IntoIterator<Item = String>) -> Finding {
    Finding { piece, what: what.into(), mend: mend.into_iter().collect() }
}

/// Why no hardware GPU is found on a machine on which none is. Empty where nothing that is known is missing.
pub fn findings(machine: &Machine) -> Vec<Finding> {
    match machine.system {
        System::Linux if machine.wsl => vec![in_wsl()],
        System::Linux => on_linux(machine),
        System::MacOs => vec![finding(
            "no_metal",
            "macOS has Metal built in, and it shows no device: this is a virtual machine without one, or a macOS before 10.13",
            [],
        )],
        System::Windows => vec![finding(
            "no_dx12",
            "Windows has DX12 built in, and it shows no hardware: the card lacks the driver of its maker, or this is a virtual machine; the command says which",
            ["pnputil /enum-devices /class Display".to_owned()],
        )],
        System::Other => {
            vec![finding("unknown_system", "GPUs are used on Linux, macOS and Windows alone", [])]
        }
    }
}

/// The driver of WSL for Vulkan calls itself not conformant, for which wgpu does not show it; it also crashes with some cards
/// (<https://github.com/microsoft/wslg/issues/1492>).
fn in_wsl() -> Finding {
    finding(
        "wsl",
        "this is Linux inside Windows (WSL), where there is no complete Vulkan driver for the card; run msd-gpu in Windows itself, which uses DX12",
        [
            "# in PowerShell, in the folder of the source:".to_owned(),
            "cargo run --release -- doctor".to_owned(),
        ],
    )
}

fn on_linux(machine: &Machine) -> Vec<Finding> {
    let mut all = Vec::new();
    all.extend(loader(machine));
    all.extend(chosen_nothing(machine));
    let broken = broken_manifests(machine);
    let some_broken = !broken.is_empty();
    all.extend(broken);
    let hardware: Vec<&Card> = machine.cards.iter().filter(|card| card.kind == CardKind::Hardware).collect();
    // Cards of small boards are not on the PCI bus; they show by their nodes.
    if hardware.is_empty() && machine.nodes.is_empty() {
        all.push(no_card(machine));
        return all;
    }
    all.extend(nodes(machine, &hardware));
    all.extend(manifests(machine, &hardware, some_broken));
    if all.is_empty() {
        let what = "loader, manifest, library and card are there, but the driver shows no device that can be used; the loader says why";
        all.push(finding(
            "no_device",
            what,
            ["VK_LOADER_DEBUG=error,warn,driver msd-gpu devices".to_owned()],
        ));
    }
    all
}

/// What installs `package`, one name for each kind of system in the order of [`Packages`]; `None` where that is not known.
fn install(machine: &Machine, [debian, ubuntu, fedora, arch, suse, alpine]: [&str; 6]) -> Option<String> {
    let (tool, package) = match machine.packages {
        Packages::Debian => ("apt-get install", debian),
        Packages::Ubuntu => ("apt-get install", ubuntu),
        Packages::Fedora => ("dnf install", fedora),
        Packages::Arch => ("pacman -S", arch),
        Packages::Suse => ("zypper install", suse),
        Packages::Alpine => ("apk add", alpine),
        Packages::Other => return None,
    };
    // Who builds the image of a container is its administrator.
    let who = if machine.container.is_some() { "" } else { "sudo " };
    (!package.is_empty()).then(|| format!("{who}{tool} {package}"))
}

/// The lines that install a package: in a container of Debian the lists of packages are missing too.
fn install_lines(machine: &Machine, packages: [&str; 6]) -> Vec<String> {
    let update =
        machine.container.is_some() && matches!(machine.packages, Packages::Debian | Packages::Ubuntu);
    let command = install(machine, packages);
    let update = update.then(|| "apt-get update".to_owned()).filter(|_| command.is_some());
    update.into_iter().chain(command).collect()
}

fn loader(machine: &Machine) -> Option<Finding> {
    if machine.loader.library.is_some() {
        return None;
    }
    let package = "libvulkan1";
    let packages = [package, package, "vulkan-loader", "vulkan-icd-loader", package, "vulkan-loader"];
    let what = "the loader of Vulkan, libvulkan.so.1, is not installed, so no driver can be found";
    Some(finding("no_loader", what, install_lines(machine, packages)))
}

/// A variable that names drivers, of which none is there.
fn chosen_nothing(machine: &Machine) -> Option<Finding> {
    let manifests = &machine.manifests;
    if let (Some((name, value)), true) = (&manifests.chosen_by, manifests.found.is_empty()) {
        let what = format!(
            "the variable {name} says that drivers are in {value}, and there are none; no others are looked for"
        );
        return Some(finding("no_manifest", what, [format!("unset {name}"), "msd-gpu doctor".to_owned()]));
    }
    let (name, value) = manifests.filters.first()?;
    let what = format!("the variable {name} ({value}) leaves drivers out");
    Some(finding("drivers_left_out", what, [format!("unset {name}"), "msd-gpu doctor".to_owned()]))
}

fn no_card(machine: &Machine) -> Finding {
    let virtual_card = machine.cards.iter().find(|card| card.kind == CardKind::Virtual);
    if let Some(card) = virtual_card {
        let what = format!(
            "the only card is that of a virtual machine ({}), which has no Vulkan; networks run on the CPU",
            card.name()
        );
        let mend = match card.maker().as_str() {
            "virtio" => vec![
                "# on the host, QEMU 9.2 or newer, instead of its other displays:".to_owned(),
                "-device virtio-gpu-gl,hostmem=8G,blob=true,venus=true".to_owned(),
            ],
            _ => Vec::new(),
        };
        return finding("virtual_card", what, mend);
    }
    if let Some(card) = machine.cards.first() {
        let what = format!(
            "the only card is the one that shows the server to those who manage it ({}), which computes nothing; networks run on the CPU",
            card.name()
        );
        return finding("management_card", what, []);
    }
    let place = if machine.container.is_some() { "this container" } else { "this machine" };
    finding("no_card", format!("{place} has no graphics card; networks run on the CPU"), [])
}

/// The command that starts a container with a card.
fn start_with_card(container: Container, is_nvidia: bool) -> Vec<String> {
    match (container, is_nvidia) {
        (Container::Docker, true) => {
            vec!["docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=all IMAGE msd-gpu doctor".to_owned()]
        }
        (Container::Podman, true) => vec![
            "podman run --device nvidia.com/gpu=all -e NVIDIA_DRIVER_CAPABILITIES=all IMAGE msd-gpu doctor"
                .to_owned(),
        ],
        (Container::Apptainer, true) => vec!["apptainer exec --nv IMAGE msd-gpu doctor".to_owned()],
        (Container::Docker, false) => vec!["docker run --device /dev/dri IMAGE msd-gpu doctor".to_owned()],
        (Container::Podman, false) => vec!["podman run --device /dev/dri IMAGE msd-gpu doctor".to_owned()],
        (Container::Apptainer, false) => {
            vec!["apptainer exec --bind /dev/dri IMAGE msd-gpu doctor".to_owned()]
        }
        (Container::Kubernetes, true) => vec![
            "# in the pod's container: resources: {limits: {nvidia.com/gpu: 1}}".to_owned(),
            "# and in its env: [{name: NVIDIA_DRIVER_CAPABILITIES, value: all}]".to_owned(),
        ],
        (Container::Kubernetes | Container::Other, _) => Vec::new(),
    }
}

/// Files of cards that are missing or closed.
fn nodes(machine: &Machine, hardware: &[&Card]) -> Vec<Finding> {
    let closed: Vec<_> = machine.nodes.iter().filter(|node| node.problem.is_some()).collect();
    // One card that may be used is enough.
    let is_card = |path: &Path| !path.ends_with("nvidiactl");
    let some_open = machine.nodes.iter().any(|node| node.problem.is_none() && is_card(&node.path));
    if let Some(node) = closed.first().filter(|_| !some_open) {
        let problem = node.problem.as_deref().unwrap_or_default();
        let what =
            format!("{} cannot be opened ({problem}), so the card cannot be used", node.path.display());
        // A group that every user could join is none that opens anything.
        let group = node.group.as_deref().filter(|&group| group != "root").unwrap_or("render");
        let mend = match (problem, machine.container) {
            ("permission denied", None) if node.path.starts_with("/dev/dri") => {
                vec![
                    format!("sudo usermod -aG {group} $USER"),
                    "# then log in again, and: msd-gpu doctor".to_owned(),
                ]
            }
            ("permission denied", None) => vec!["sudo chmod a+rw /dev/nvidia*".to_owned()],
            ("permission denied", Some(container @ (Container::Docker | Container::Podman))) => {
                let program = if container == Container::Podman { "podman" } else { "docker" };
                vec![format!(
                    "{program} run --device /dev/dri --group-add $(getent group {group} | cut -d: -f3) IMAGE msd-gpu doctor"
                )]
            }
            _ => Vec::new(),
        };
        return vec![finding("no_permission", what, mend)];
    }
    if !machine.nodes.is_empty() {
        return Vec::new();
    }
    let Some(card) = hardware.first() else { return Vec::new() };
    let is_nvidia = card.vendor == NVIDIA;
    match (machine.container, &card.kernel_driver) {
        (Some(container), _) => {
            let files = if is_nvidia { "/dev/nvidia0" } else { "/dev/dri/renderD128" };
            let what = format!(
                "the machine has a card ({}), but this container was not given it: there is no {files}",
                card.name()
            );
            vec![finding("no_device_node", what, start_with_card(container, is_nvidia))]
        }
        (None, None) => {
            let what = format!("the kernel has no driver for the card ({})", card.name());
            vec![finding("no_kernel_driver", what, kernel_driver(machine, card))]
        }
        (None, Some(driver)) => {
            let what = format!(
                "the card ({}) has the kernel's driver {driver}, which gives programs no file to use it",
                card.name()
            );
            let mend = match driver.as_str() {
                "vfio-pci" => {
                    vec!["# the card is set aside for virtual machines; use it in one of them".to_owned()]
                }
                "nvidia" => vec!["sudo nvidia-modprobe -c 0 -u".to_owned()],
                _ => kernel_driver(machine, card),
            };
            vec![finding("no_device_node", what, mend)]
        }
    }
}

fn kernel_driver(machine: &Machine, card: &Card) -> Vec<String> {
    match (card.vendor, machine.packages) {
        (NVIDIA, Packages::Ubuntu) => {
            vec!["sudo ubuntu-drivers install".to_owned(), "sudo reboot".to_owned()]
        }
        (NVIDIA, Packages::Debian) => {
            vec!["sudo apt-get install nvidia-driver nvidia-vulkan-icd".to_owned(), "sudo reboot".to_owned()]
        }
        (NVIDIA, Packages::Arch) => {
            vec!["sudo pacman -S nvidia-open nvidia-utils".to_owned(), "sudo reboot".to_owned()]
        }
        (AMD | INTEL, Packages::Debian) => {
            let package = if card.vendor == AMD { "firmware-amd-graphics" } else { "firmware-misc-nonfree" };
            vec![format!("sudo apt-get install {package}"), "sudo reboot".to_owned()]
        }
        _ => Vec::new(),
    }
}

/// Whether a manifest is that of a driver for the cards of a maker.
fn is_for(manifest: &Manifest, vendor: u16) -> bool {
    let named = manifest.named.as_deref().unwrap_or_default();
    let text = format!("{named} {}", manifest.path.file_name().unwrap_or_default().to_string_lossy());
    let parts: &[&str] = match vendor {
        NVIDIA => &["nvidia", "nouveau"],
        AMD => &["radeon", "amd"],
        INTEL => &["intel"],
        _ => return !manifest.is_software(),
    };
    parts.iter().any(|part| text.contains(part))
}

/// Manifests that cannot be read as such.
fn broken_manifests(machine: &Machine) -> Vec<Finding> {
    let broken = machine.manifests.found.iter().filter_map(|manifest| {
        let problem = manifest.named.as_ref().err()?;
        let path = manifest.path.display();
        let what = format!("the driver manifest {path} is of no use: {problem}; install its package again");
        Some(finding("broken_manifest", what, []))
    });
    broken.collect()
}

/// What is wrong with the manifests of the cards' drivers; `some_broken` where one of those that are named already may be theirs.
fn manifests(machine: &Machine, hardware: &[&Card], some_broken: bool) -> Vec<Finding> {
    let found = &machine.manifests.found;
    let mut all = Vec::new();
    if found.is_empty() && machine.manifests.chosen_by.is_some() {
        return all;
    }
    let mut seen = Vec::new();
    for card in hardware {
        if !seen.contains(&card.vendor) {
            seen.push(card.vendor);
            all.extend(manifest_of(machine, card, some_broken));
        }
    }
    if hardware.is_empty() && found.is_empty() {
        let mesa = "mesa-vulkan-drivers";
        let lines = install_lines(machine, [mesa, mesa, mesa, "", "", ""]);
        all.push(finding(
            "no_manifest",
            "no driver for Vulkan is installed: there is no manifest of one",
            lines,
        ));
    }
    all
}

/// What is wrong with the manifest of the driver of a card; `some_broken` where it may be one of those that are named already.
fn manifest_of(machine: &Machine, card: &Card, some_broken: bool) -> Option<Finding> {
    let of_card = |manifest: &&Manifest| manifest.named.is_ok() && is_for(manifest, card.vendor);
    let mut found = machine.manifests.found.iter().filter(of_card).peekable();
    if found.peek().is_none() {
        return if some_broken { None } else { Some(missing_manifest(machine, card)) };
    }
    // One that works is enough.
    let found: Vec<&Manifest> = found.collect();
    if found.iter().any(|manifest| manifest.library.is_some()) {
        let lacks_xext = card.vendor == NVIDIA && !machine.has_xext;
        let what = "NVIDIA's library for Vulkan needs libXext.so.6, which is not installed, also where nothing is shown on a screen";
        let packages = ["libxext6", "libxext6", "libXext", "libxext", "libXext6", "libxext"];
        return lacks_xext.then(|| finding("library_missing", what, install_lines(machine, packages)));
    }
    let manifest = found.first()?;
    let library = manifest.named.as_deref().unwrap_or_default();
    let path = manifest.path.display();
    if let (Some(container), NVIDIA) = (machine.container, card.vendor) {
        let what = format!(
            "this container has no graphics libraries of NVIDIA's driver: {path} names {library}, which is not there"
        );
        return Some(finding("container_without_graphics", what, start_with_card(container, true)));
    }
    let what = format!("the driver manifest {path} names {library}, which is not there");
    Some(finding("library_missing", what, driver_lines(machine, card)))
}

fn missing_manifest(machine: &Machine, card: &Card) -> Finding {
    let card_name = card.name();
    let beside = machine.manifests.elsewhere.iter().find(|path| {
        let name = path.to_string_lossy();
        card.vendor != NVIDIA || name.contains("nvidia")
    });
    if let Some(path) = beside {
        let what = format!(
            "the manifest of a driver for the card ({card_name}) is {}, where Vulkan does not look",
            path.display()
        );
        // The driver's libraries are where its manifests are: /usr/local/nvidia/lib64 and /usr/local/nvidia/share/vulkan/icd.d.
        let folder = path.ancestors().nth(4).unwrap_or(Path::new("/usr/local/nvidia"));
        let libraries = format!("export LD_LIBRARY_PATH={}/lib64:$LD_LIBRARY_PATH", folder.display());
        return finding(
            "manifest_elsewhere",
            what,
            [format!("export VK_DRIVER_FILES={}", path.display()), libraries],
        );
    }
    if card.vendor == NVIDIA && machine.nvidia_library.is_some() {
        let what = "NVIDIA's library for Vulkan, libGLX_nvidia.so.0, is installed, but no manifest tells the loader of it";
        let contents = r#"{"file_format_version": "1.0.0", "ICD": {"library_path": "libGLX_nvidia.so.0", "api_version": "1.3.0"}}"#;
        return finding(
            "no_manifest",
            what,
            [
                format!("echo '{contents}' > nvidia_icd.json"),
                "export VK_DRIVER_FILES=$PWD/nvidia_icd.json".to_owned(),
            ],
        );
    }
    if let (Some(container), NVIDIA) = (machine.container, card.vendor) {
        let what = format!(
            "this container has no graphics libraries of NVIDIA's driver for the card ({card_name}): neither manifest nor libGLX_nvidia.so.0"
        );
        return finding("container_without_graphics", what, start_with_card(container, true));
    }
    let what =
        format!("no driver for Vulkan on the card ({card_name}) is installed: there is no manifest of one");
    finding("no_manifest", what, driver_lines(machine, card))
}

/// What installs a card's driver for Vulkan.
fn driver_lines(machine: &Machine, card: &Card) -> Vec<String> {
    let mesa = "mesa-vulkan-drivers";
    match card.vendor {
        NVIDIA => {
            // Ubuntu has a package for each series of the driver, which must be that in the kernel.
            let series = machine.nvidia_version.as_deref().and_then(|version| version.split('.').next());
            let ubuntu = series.map_or_else(String::new, |series| format!("libnvidia-gl-{series}"));
            install_lines(machine, ["nvidia-vulkan-icd", &ubuntu, "", "nvidia-utils", "nvidia-gl-G06", ""])
        }
        AMD => {
            install_lines(machine, [mesa, mesa, mesa, "vulkan-radeon", "libvulkan_radeon", "mesa-vulkan-ati"])
        }
        INTEL => {
            install_lines(machine, [mesa, mesa, mesa, "vulkan-intel", "libvulkan_intel", "mesa-vulkan-intel"])
        }
        _ => install_lines(machine, [mesa, mesa, mesa, "", "", ""]),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::view::View;
    use super::*;

    /// A machine whose parts a test takes away.
    struct Room(tempfile::TempDir);

    impl Room {
        /// A machine with Debian, a card of AMD, and all that it takes.
        fn whole() -> Self {
            let room = Self(tempfile::tempdir().unwrap());
            room.put("etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"");
            room.put("etc/group", "root:x:0:\nrender:x:105:\n");
            room.card("0000:03:00.0", "0x1002", "0x744c", Some("amdgpu"));
            room.put("dev/dri/renderD128", "");
            room.put("usr/lib/libvulkan.so.1", "");
            room.manifest("radeon_icd.x86_64.json", "/usr/lib/libvulkan_radeon.so");
            room.put("usr/lib/libvulkan_radeon.so", "");
            room
        }

        /// The same with a card of NVIDIA.
        fn whole_nvidia() -> Self {
            let room = Self(tempfile::tempdir().unwrap());
            room.put("etc/os-release", "ID=ubuntu\nID_LIKE=debian");
            room.card("0000:01:00.0", "0x10de", "0x2330", Some("nvidia"));
            room.put(
                "proc/driver/nvidia/version",
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Tue\n",
            );
            ["dev/nvidia0", "dev/nvidiactl"].iter().for_each(|node| room.put(node, ""));
            for name in ["libvulkan.so.1", "libGLX_nvidia.so.0", "libXext.so.6"] {
                room.put(&format!("usr/lib/{name}"), "");
            }
            room.manifest("nvidia_icd.json", "libGLX_nvidia.so.0");
            room
        }

        fn put(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn take(&self, path: &str) {
            std::fs::remove_file(self.0.path().join(path)).unwrap();
        }

        fn manifest(&self, name: &str, library: &str) {
            let text =
                format!(r#"{{"file_format_version": "1.0.0", "ICD": {{"library_path": "{library}"}}}}"#);
            self.put(&format!("usr/share/vulkan/icd.d/{name}"), &text);
        }

        fn card(&self, place: &str, vendor: &str, device: &str, driver: Option<&str>) {
            let folder = format!("sys/bus/pci/devices/{place}");
            self.put(&format!("{folder}/class"), "0x030000\n");
            self.put(&format!("{folder}/vendor"), vendor);
            self.put(&format!("{folder}/device"), device);
            #[cfg(unix)]
            if let Some(driver) = driver {
                let link = self.0.path().join(folder).join("driver");
                std::os::unix::fs::symlink(format!("../../../../bus/pci/drivers/{driver}"), link).unwrap();
            }
        }

        fn view(&self, environment: &[(&str, &str)]) -> View {
            View::of_folder(self.0.path(), environment)
        }

        fn findings(&self) -> Vec<Finding> {
            findings(&Machine::look(&self.view(&[])))
        }

        /// The only finding, which must be about `piece`, mention each of `parts`, and be mended by `mend`.
        #[track_caller]
        fn misses(&self, piece: &str, parts: &[&str], mend: &[&str]) {
            only(&self.findings(), piece, parts, mend);
        }
    }

    #[track_caller]
    fn only(found: &[Finding], piece: &str, parts: &[&str], mend: &[&str]) {
        let [finding] = found else { panic!("{found:#?}") };
        assert_eq!((finding.piece, &finding.mend[..]), (piece, &mend.map_owned()[..]), "{finding:#?}");
        assert!(parts.iter().all(|part| finding.what.contains(part)), "{finding:#?}");
        assert!(!finding.what.contains('\n') && finding.mend.len() <= 2, "{finding:#?}");
    }

    trait MapOwned {
        fn map_owned(&self) -> Vec<String>;
    }

    impl MapOwned for [&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|line| (*line).to_owned()).collect()
        }
    }

    #[test]
    fn where_nothing_is_missing_the_loader_is_asked() {
        for room in [Room::whole(), Room::whole_nvidia()] {
            room.misses(
                "no_device",
                &["shows no device"],
                &["VK_LOADER_DEBUG=error,warn,driver msd-gpu devices"],
            );
        }
    }

    #[test]
    fn a_missing_loader_is_named() {
        let room = Room::whole();
        room.take("usr/lib/libvulkan.so.1");
        room.misses("no_loader", &["libvulkan.so.1"], &["sudo apt-get install libvulkan1"]);
        room.put(".dockerenv", "");
        room.misses("no_loader", &["libvulkan.so.1"], &["apt-get update", "apt-get install libvulkan1"]);
        for (release, line) in [
            ("ID=fedora", "dnf install vulkan-loader"),
            ("ID=arch", "pacman -S vulkan-icd-loader"),
            ("ID=\"opensuse-leap\"\nID_LIKE=suse", "zypper install libvulkan1"),
            ("ID=alpine", "apk add vulkan-loader"),
        ] {
            room.put("etc/os-release", release);
            room.misses("no_loader", &[], &[line]);
        }
        room.put("etc/os-release", "ID=nixos");
        room.misses("no_loader", &[], &[]);
    }

    #[test]
    fn a_missing_or_empty_manifest_is_named() {
        let room = Room::whole();
        room.put("usr/share/vulkan/icd.d/radeon_icd.x86_64.json", "");
        room.misses("broken_manifest", &["radeon_icd.x86_64.json", "it is empty"], &[]);
        room.take("usr/share/vulkan/icd.d/radeon_icd.x86_64.json");
        room.misses("no_manifest", &["AMD 1002:744c"], &["sudo apt-get install mesa-vulkan-drivers"]);
        // The driver of software is none for the card.
        room.manifest("lvp_icd.x86_64.json", "libvulkan_lvp.so");
        room.misses("no_manifest", &["AMD"], &["sudo apt-get install mesa-vulkan-drivers"]);
        let machine = Machine::look(&room.view(&[("VK_DRIVER_FILES", "/nonexistent")]));
        only(
            &findings(&machine),
            "no_manifest",
            &["VK_DRIVER_FILES", "/nonexistent"],
            &["unset VK_DRIVER_FILES", "msd-gpu doctor"],
        );
        let room = Room::whole();
        let machine = Machine::look(&room.view(&[("VK_LOADER_DRIVERS_DISABLE", "*radeon*")]));
        let mend = ["unset VK_LOADER_DRIVERS_DISABLE", "msd-gpu doctor"];
        only(&findings(&machine), "drivers_left_out", &["*radeon*"], &mend);
    }

    #[test]
    fn a_manifest_without_its_library_is_named() {
        let room = Room::whole();
        room.take("usr/lib/libvulkan_radeon.so");
        let parts = ["radeon_icd.x86_64.json", "/usr/lib/libvulkan_radeon.so", "not there"];
        room.misses("library_missing", &parts, &["sudo apt-get install mesa-vulkan-drivers"]);
        let room = Room::whole_nvidia();
        room.take("usr/lib/libGLX_nvidia.so.0");
        room.misses("library_missing", &["libGLX_nvidia.so.0"], &["sudo apt-get install libnvidia-gl-580"]);
        let room = Room::whole_nvidia();
        room.take("usr/lib/libXext.so.6");
        room.misses("library_missing", &["libXext.so.6"], &["sudo apt-get install libxext6"]);
    }

    #[test]
    fn a_device_without_permission_is_named() {
        fn denied(path: &Path) -> io::Result<()> {
            match path.ends_with("dev/dri/renderD128") {
                true => Err(io::ErrorKind::PermissionDenied.into()),
                false => Ok(()),
            }
        }
        let room = Room::whole();
        let look = || findings(&Machine::look(&room.view(&[]).with_opening(denied)));
        let log_in = "# then log in again, and: msd-gpu doctor";
        let mend = ["sudo usermod -aG render $USER", log_in];
        only(&look(), "no_permission", &["/dev/dri/renderD128", "permission denied"], &mend);
        room.put("run/.containerenv", "");
        assert!(look()[0].mend[0].contains("--group-add"), "{:?}", look());
        // Another card that may be used.
        room.put("dev/dri/renderD129", "");
        assert_eq!(look()[0].piece, "no_device");
        fn not_allowed(_: &Path) -> io::Result<()> {
            Err(io::Error::from_raw_os_error(1))
        }
        let room = Room::whole_nvidia();
        let found = findings(&Machine::look(&room.view(&[]).with_opening(not_allowed)));
        only(&found, "no_permission", &["/dev/nvidia0", "batch system"], &[]);
    }

    #[test]
    fn a_container_without_graphics_libraries_is_named() {
        let docker = "docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=all IMAGE msd-gpu doctor";
        let room = Room::whole_nvidia();
        room.put(".dockerenv", "");
        room.take("usr/lib/libGLX_nvidia.so.0");
        room.misses("container_without_graphics", &["nvidia_icd.json", "libGLX_nvidia.so.0"], &[docker]);
        room.take("usr/share/vulkan/icd.d/nvidia_icd.json");
        room.misses("container_without_graphics", &["NVIDIA 10de:2330"], &[docker]);
        // The libraries alone: two lines tell the loader of them.
        room.put("usr/lib/libGLX_nvidia.so.0", "");
        let found = room.findings();
        let [finding] = &found[..] else { panic!("{found:#?}") };
        assert_eq!((finding.piece, finding.mend.len()), ("no_manifest", 2), "{finding:?}");
        assert!(finding.mend[1].starts_with("export VK_DRIVER_FILES="), "{finding:?}");
        // What the first line writes is a manifest.
        let text = finding.mend[0].split('\'').nth(1).unwrap();
        room.put("usr/share/vulkan/icd.d/nvidia_icd.json", text);
        assert_eq!(room.findings()[0].piece, "no_device");
    }

    #[test]
    fn a_manifest_where_the_loader_does_not_look_is_found() {
        let room = Room::whole_nvidia();
        room.take("usr/share/vulkan/icd.d/nvidia_icd.json");
        room.put("usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json", "{}");
        let file = "/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json";
        let libraries = "export LD_LIBRARY_PATH=/usr/local/nvidia/lib64:$LD_LIBRARY_PATH";
        room.misses("manifest_elsewhere", &[file], &[&format!("export VK_DRIVER_FILES={file}"), libraries]);
    }

    #[test]
    fn a_card_without_a_file_to_use_it_is_named() {
        let room = Room::whole();
        room.take("dev/dri/renderD128");
        #[cfg(unix)]
        room.misses(
            "no_device_node",
            &["amdgpu", "1002:744c"],
            &["sudo apt-get install firmware-amd-graphics", "sudo reboot"],
        );
        room.put(".dockerenv", "");
        room.misses(
            "no_device_node",
            &["not given", "/dev/dri"],
            &["docker run --device /dev/dri IMAGE msd-gpu doctor"],
        );
        let room = Room(tempfile::tempdir().unwrap());
        room.put("usr/lib/libvulkan.so.1", "");
        room.put("usr/share/vulkan/icd.d/empty.json", "");
        let pieces: Vec<&str> = room.findings().iter().map(|finding| finding.piece).collect();
        assert_eq!(pieces, ["broken_manifest", "no_card"]);
        room.take("usr/share/vulkan/icd.d/empty.json");
        room.put("etc/os-release", "ID=ubuntu");
        room.card("0000:01:00.0", "0x10de", "0x2330", None);
        let found = room.findings();
        let pieces: Vec<&str> = found.iter().map(|finding| finding.piece).collect();
        assert_eq!(pieces, ["no_kernel_driver", "no_manifest"]);
        assert_eq!(found[0].mend, ["sudo ubuntu-drivers install", "sudo reboot"]);
    }

    #[test]
    fn virtual_and_missing_cards_are_told_apart() {
        let room = Room(tempfile::tempdir().unwrap());
        room.put("usr/lib/libvulkan.so.1", "");
        room.misses("no_card", &["this machine has no graphics card", "CPU"], &[]);
        room.card("0000:00:01.0", "0x1a03", "0x2000", Some("ast"));
        room.misses("management_card", &["ASPEED 1a03:2000"], &[]);
        room.card("0000:00:02.0", "0x1b36", "0x0100", Some("qxl"));
        room.misses("virtual_card", &["QXL 1b36:0100", "no Vulkan"], &[]);
        for (vendor, name) in
            [("0x15ad", "VMware"), ("0x1414", "Hyper-V"), ("0x1234", "Bochs"), ("0x80ee", "VirtualBox")]
        {
            room.put("sys/bus/pci/devices/0000:00:02.0/vendor", vendor);
            room.misses("virtual_card", &[name], &[]);
        }
        room.put("sys/bus/pci/devices/0000:00:02.0/vendor", "0x1af4");
        let found = room.findings();
        assert!(found[0].mend[1].contains("venus=true"), "{found:?}");
    }

    #[test]
    fn other_systems_are_told_what_holds_there() {
        let room = Room::whole();
        room.put("dev/dxg", "");
        room.misses(
            "wsl",
            &["WSL", "DX12"],
            &["# in PowerShell, in the folder of the source:", "cargo run --release -- doctor"],
        );
        let room = Room(tempfile::tempdir().unwrap());
        for (system, piece) in [("macos", "no_metal"), ("windows", "no_dx12"), ("freebsd", "unknown_system")]
        {
            let found = findings(&Machine::look(&room.view(&[]).with_system(system)));
            assert_eq!((found.len(), found[0].piece), (1, piece));
        }
    }
}
