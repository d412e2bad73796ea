//! Graphics cards, and the files through which programs use them.

use std::path::{Path, PathBuf};

use super::view::View;

/// What a card is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardKind {
    /// One that computes.
    Hardware,
    /// The picture of a virtual machine.
    Virtual,
    /// The picture that a server shows to those who manage it from afar.
    Management,
}

/// A graphics card on the PCI bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Where it is: `0000:01:00.0`.
    pub place: String,
    /// The number of its maker.
    pub vendor: u16,
    /// The number that its maker gave it.
    pub device: u16,
    /// What it is.
    pub kind: CardKind,
    /// The driver in the kernel that has taken it; `None` where none has.
    pub kernel_driver: Option<String>,
}

/// A file through which programs use a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The file.
    pub path: PathBuf,
    /// Why it cannot be opened; `None` where it can.
    pub problem: Option<String>,
    /// The group that it belongs to.
    pub group: Option<String>,
}

pub(super) const NVIDIA: u16 = 0x10de;
pub(super) const AMD: u16 = 0x1002;
pub(super) const INTEL: u16 = 0x8086;

/// The number of the system's error "operation not permitted".
const EPERM: i32 = 1;

/// Makers of cards: the number, the name, and what their cards are.
const VENDORS: [(u16, &str, CardKind); 13] = [
    (NVIDIA, "NVIDIA", CardKind::Hardware),
    (AMD, "AMD", CardKind::Hardware),
    (INTEL, "Intel", CardKind::Hardware),
    (0x1af4, "virtio", CardKind::Virtual),
    (0x1b36, "QXL", CardKind::Virtual),
    (0x1234, "Bochs", CardKind::Virtual),
    (0x15ad, "VMware", CardKind::Virtual),
    (0x80ee, "VirtualBox", CardKind::Virtual),
    (0x1414, "Hyper-V", CardKind::Virtual),
    (0x1013, "Cirrus", CardKind::Virtual),
    (0x5853, "Xen", CardKind::Virtual),
    (0x1a03, "ASPEED", CardKind::Management),
    (0x102b, "Matrox", CardKind::Management),
];

impl Card {
    /// The name of its maker, or the number.
    pub fn maker(&self) -> String {
        let known = VENDORS.iter().find(|(number, ..)| *number == self.vendor);
        known.map_or_else(|| format!("vendor {:04x}", self.vendor), |(_, name, _)| (*name).to_owned())
    }

    /// What people can look up: the maker, and both numbers.
    pub fn name(&self) -> String {
        format!("{} {:04x}:{:04x}", self.maker(), self.vendor, self.device)
    }

    pub(super) fn all(view: &View) -> Vec<Self> {
        let places = view.folder(Path::new("/sys/bus/pci/devices"));
        places.iter().filter_map(|place| Self::at(view, place)).collect()
    }

    fn at(view: &View, place: &Path) -> Option<Self> {
        let number = |name: &str| {
            let text = view.text(place.join(name)).ok()?;
            u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()
        };
        // Displays are of class 3, and so are most cards that have none; AMD's accelerators are of class 12, as are things by others
        // that are no graphics cards.
        let class = number("class")? >> 16;
        let (vendor, device) = (number("vendor")? as u16, number("device")? as u16);
        let kind =
            VENDORS.iter().find(|(known, ..)| *known == vendor).map_or(CardKind::Hardware, |known| known.2);
        let is_card = class == 3 || (class == 0x12 && vendor == AMD);
        is_card.then(|| Self {
            place: place.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            vendor,
            device,
            kind,
            kernel_driver: view.link_name(&place.join("driver")),
        })
    }
}

impl Node {
    pub(super) fn all(view: &View) -> Vec<Self> {
        let starts_with = |folder: &str, start: &str| {
            let is_wanted = |path: &PathBuf| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.strip_prefix(start).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
            };
            view.folder(Path::new(folder)).into_iter().filter(is_wanted).collect::<Vec<_>>()
        };
        let nvidia = starts_with("/dev", "nvidia");
        let control = starts_with("/dev", "nvidiactl");
        let render = starts_with("/dev/dri", "renderD");
        let node = |path: PathBuf| {
            let problem =
                view.try_open(&path).err().map(|error| match (error.kind(), error.raw_os_error()) {
                    // Who may open it is not what its permissions say: control groups decide.
                    (_, Some(EPERM)) => "a batch system or container does not allow it".to_owned(),
                    (std::io::ErrorKind::PermissionDenied, _) => "permission denied".to_owned(),
                    _ => error.to_string(),
                });
            let group = view.group(&path);
            Self { path, problem, group }
        };
        nvidia.into_iter().chain(control).chain(render).map(node).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_told_apart_by_their_makers() {
        let folder = tempfile::tempdir().unwrap();
        let put = |place: &str, name: &str, text: &str| {
            let folder = folder.path().join("sys/bus/pci/devices").join(place);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(name), text).unwrap();
        };
        for (place, class, vendor, device) in [
            ("0000:00:01.0", "0x030000", "0x1af4", "0x1050"),
            ("0000:00:02.0", "0x020000", "0x8086", "0x100e"),
            ("0000:01:00.0", "0x030200", "0x10de", "0x2330"),
            ("0000:02:00.0", "0x120000", "0x1002", "0x74a1"),
            // An accelerator of another kind than graphics.
            ("0000:03:00.0", "0x120000", "0x8086", "0x7d1d"),
            ("0000:04:00.0", "nonsense", "0x10de", "0x2330"),
        ] {
            put(place, "class", &format!("{class}\n"));
            put(place, "vendor", &format!("{vendor}\n"));
            put(place, "device", &format!("{device}\n"));
        }
        let cards = Card::all(&View::of_folder(folder.path(), &[]));
        let names: Vec<String> = cards.iter().map(Card::name).collect();
        assert_eq!(names, ["virtio 1af4:1050", "NVIDIA 10de:2330", "AMD 1002:74a1"]);
        let kinds: Vec<CardKind> = cards.iter().map(|card| card.kind).collect();
        assert_eq!(kinds, [CardKind::Virtual, CardKind::Hardware, CardKind::Hardware]);
        let unknown = Card { vendor: 0xabcd, ..cards[0].clone() };
        assert_eq!(unknown.name(), "vendor abcd abcd:1050");
    }
}
