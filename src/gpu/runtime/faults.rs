//! Known faults of drivers, and what is done where one of them is met.
//!
//! An entry is only as good as its source: each has a link to where somebody has seen it. Some faults need nothing here: wgpu works
//! around those that it knows, it does not show Vulkan drivers that are not conformant (the one of WSL among them), and no kernel relies on
//! workgroup memory that the driver has cleared.

use crate::Error;

/// What is done on an adapter with a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The adapter is not used: `auto` passes it over, and whoever names it gets an error.
    Avoid,
    /// Kernels are run with the smallest tiles, which take the fewest registers; nothing else is tried.
    SmallTiles,
}

/// A known fault.
#[derive(Debug)]
pub struct Fault {
    /// Which adapters have it.
    pub adapter: &'static str,
    /// Which versions of their drivers have it.
    pub driver: &'static str,
    /// What goes wrong: the subject and verb of a sentence.
    pub fails: &'static str,
    /// Where it was reported.
    pub link: &'static str,
    /// What is done about it.
    pub remedy: Remedy,
    matches: fn(&wgpu::AdapterInfo) -> bool,
}

const AMD: u32 = 0x1002;
const INTEL: u32 = 0x8086;

/// All that are known.
pub static FAULTS: [Fault; 4] = [
    Fault {
        adapter: "Microsoft Basic Render Driver",
        driver: "any",
        fails: "threads of a workgroup do not wait for each other, so sums over a workgroup are wrong",
        link: "https://github.com/gfx-rs/wgpu/issues/7904",
        remedy: Remedy::Avoid,
        matches: |info| info.name.contains("Microsoft Basic Render Driver"),
    },
    Fault {
        adapter: "llvmpipe, and Intel graphics with the driver of Mesa",
        driver: "Mesa 21",
        fails: "kernels never end",
        link: "https://github.com/gfx-rs/wgpu/issues/1974",
        remedy: Remedy::Avoid,
        matches: |info| {
            let is_mesa = info.driver_info.starts_with("Mesa 21.");
            is_mesa && (info.vendor == INTEL || info.name.contains("llvmpipe"))
        },
    },
    Fault {
        adapter: "Intel HD Graphics 630 on Windows",
        driver: "22.20.16.4749",
        fails: "kernels leave zeros whatever they compute",
        link: "https://github.com/gfx-rs/wgpu/issues/1881",
        remedy: Remedy::Avoid,
        matches: |info| {
            let driver = version(&format!("{} {}", info.driver, info.driver_info));
            info.vendor == INTEL && info.name.contains("HD Graphics 630") && driver == [22, 20, 16, 4749]
        },
    },
    Fault {
        adapter: "AMD Radeon RX 5700 with AMD's own Vulkan driver",
        driver: "24.12.1 to 25.6.1",
        fails: "kernels that need many registers write wrong numbers or never end",
        link: "https://github.com/GPUOpen-Drivers/AMD-Gfx-Drivers/issues/59",
        remedy: Remedy::SmallTiles,
        matches: |info| {
            let driver = version(&info.driver_info);
            let is_between = driver >= vec![24, 12, 1] && driver <= vec![25, 6, 1];
            let is_amds_own =
                info.driver == "AMD proprietary driver" && info.backend == wgpu::Backend::Vulkan;
            info.vendor == AMD && info.name.contains("RX 5700") && is_amds_own && is_between
        },
    },
];

impl Fault {
    /// The fault of an adapter, if it has a known one.
    pub(in crate::gpu) fn of(info: &wgpu::AdapterInfo) -> Option<&'static Self> {
        FAULTS.iter().find(|fault| (fault.matches)(info))
    }

    /// The error for those who ask for the adapter by its name.
    pub(in crate::gpu) fn error(&self, adapter: &str) -> Error {
        let Self { fails, link, .. } = self;
        let problem = format!("with its driver {fails} ({link}); update the driver, or use `device cpu`");
        Error::device(adapter, "opening it", problem)
    }
}

/// The first version in a text, as its numbers: `[25, 6, 1]` of `25.6.1 (LLPC)`; empty where there is none.
fn version(text: &str) -> Vec<u32> {
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let words = text.split(|c| !is_part(c)).filter(|word| word.contains('.'));
    let numbers = |word: &str| word.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>();
    words.filter_map(numbers).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use wgpu::{AdapterInfo, Backend, DeviceType};

    use super::*;

    /// What a driver says about an adapter, as far as the list goes by it.
    fn adapter(name: &str, vendor: u32, driver: &str, driver_info: &str, backend: Backend) -> AdapterInfo {
        AdapterInfo {
            name: name.into(),
            vendor,
            driver: driver.into(),
            driver_info: driver_info.into(),
            ..AdapterInfo::new(DeviceType::IntegratedGpu, backend)
        }
    }

    /// The number of the fault that an adapter has.
    fn number(info: &AdapterInfo) -> Option<usize> {
        FAULTS.iter().position(|fault| Fault::of(info).is_some_and(|found| std::ptr::eq(found, fault)))
    }

    #[test]
    fn microsofts_software_device_is_avoided() {
        let warp = |backend| adapter("Microsoft Basic Render Driver", 0x1414, "10.0.26100.1", "", backend);
        assert_eq!(number(&warp(Backend::Dx12)), Some(0));
        assert_eq!(FAULTS[0].remedy, Remedy::Avoid);
        // Its error says what is wrong, and where that is known from.
        let error = FAULTS[0].error("Microsoft Basic Render Driver").to_string();
        for part in ["Microsoft Basic", "workgroup", "issues/7904", "`device cpu`"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn mesa_21_is_avoided_where_it_hangs_and_later_ones_are_not() {
        let llvmpipe =
            |info| adapter("llvmpipe (LLVM 12.0.1, 256 bits)", 0x10005, "llvmpipe", info, Backend::Vulkan);
        let intel = |info| {
            let driver = "Intel open-source Mesa driver";
            adapter("Intel(R) HD Graphics 4600 (HSW GT2)", INTEL, driver, info, Backend::Vulkan)
        };
        assert_eq!(number(&llvmpipe("Mesa 21.3.5 (LLVM 12.0.1)")), Some(1));
        assert_eq!(number(&intel("Mesa 21.2.0")), Some(1));
        assert_eq!(FAULTS[1].remedy, Remedy::Avoid);
        for later in ["Mesa 22.3.6 (LLVM 15.0.6)", "Mesa 25.0.7-2 (LLVM 19.1.7)", "Mesa 26.1.3"] {
            assert_eq!((number(&llvmpipe(later)), number(&intel(later))), (None, None), "{later}");
        }
        let radv = adapter("AMD Radeon RX 6800 (RADV NAVI21)", AMD, "radv", "Mesa 21.2.0", Backend::Vulkan);
        assert_eq!(number(&radv), None);
    }

    #[test]
    fn an_old_intel_driver_that_leaves_zeros_is_avoided() {
        let name = "Intel(R) HD Graphics 630";
        assert_eq!(number(&adapter(name, INTEL, "22.20.16.4749", "", Backend::Dx12)), Some(2));
        assert_eq!(FAULTS[2].remedy, Remedy::Avoid);
        assert_eq!(number(&adapter(name, INTEL, "31.0.101.2115", "", Backend::Dx12)), None);
        assert_eq!(
            number(&adapter("Intel(R) UHD Graphics", INTEL, "22.20.16.4749", "", Backend::Dx12)),
            None
        );
    }

    #[test]
    fn a_radeon_that_runs_out_of_registers_gets_small_tiles() {
        let name = "AMD Radeon RX 5700 XT";
        let own = |info| adapter(name, AMD, "AMD proprietary driver", info, Backend::Vulkan);
        for faulty in ["24.12.1 (LLPC)", "25.5.1 (AMD proprietary shader compiler)", "25.6.1 (LLPC)"] {
            assert_eq!(number(&own(faulty)), Some(3), "{faulty}");
        }
        assert_eq!(FAULTS[3].remedy, Remedy::SmallTiles);
        for fine in ["24.11.1 (LLPC)", "25.7.1 (LLPC)", "26.2.1 (LLPC)", "?", ""] {
            assert_eq!(number(&own(fine)), None, "{fine}");
        }
        assert_eq!(number(&adapter(name, AMD, "radv", "Mesa 25.0.7", Backend::Vulkan)), None);
    }

    #[test]
    fn each_fault_has_a_source_and_a_test_and_others_have_none() {
        for (number, fault) in FAULTS.iter().enumerate() {
            assert!(fault.link.starts_with("https://") && !fault.fails.ends_with('.'), "{number}");
        }
        let h100 = adapter("NVIDIA H100 80GB HBM3", 0x10de, "NVIDIA", "580.159.04", Backend::Vulkan);
        let apple = adapter("Apple M3", 0, "", "", Backend::Metal);
        assert_eq!((number(&h100), number(&apple)), (None, None));
    }

    #[test]
    fn versions_are_read_as_numbers() {
        assert_eq!(version("25.6.1 (LLPC)"), [25, 6, 1]);
        assert_eq!(version("Mesa 25.0.7-2 (LLVM 19.1.7)"), [25, 0, 7]);
        assert!(version("?").is_empty() && version("LLVM 19").is_empty() && version("...").is_empty());
    }
}
