//! The loader of Vulkan, and the drivers that it is told of.
//!
//! A program loads `libvulkan.so.1`, the loader. The loader reads small JSON files, the manifests, each of which names the library of a
//! driver. Where it looks for them is said in the documentation of the loader (LoaderDriverInterface.md, "Driver Discovery on Linux").

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::view::View;

/// What programs load to use Vulkan.
const LOADER: &str = "libvulkan.so.1";

/// Folders of libraries that are searched whatever the cache of the system says.
const LIBRARY_FOLDERS: [&str; 10] = [
    "/lib",
    "/usr/lib",
    "/lib64",
    "/usr/lib64",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/local/lib",
    "/run/opengl-driver/lib",
];

/// Folders in which some containers and systems have manifests, and where the loader does not look by itself.
const ELSEWHERE: [&str; 3] = [
    "/usr/local/nvidia/share/vulkan/icd.d",
    "/run/opengl-driver/share/vulkan/icd.d",
    "/usr/share/nvidia/vulkan/icd.d",
];

/// Where the loader is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loader {
    /// The library; `None` where there is none.
    pub library: Option<PathBuf>,
}

impl Loader {
    pub(super) fn find(view: &View) -> Self {
        Self { library: library(view, LOADER) }
    }
}

/// The file of a library that is named without its folder, as the dynamic linker would find it.
pub(super) fn library(view: &View, name: &str) -> Option<PathBuf> {
    let asked = view.variable("LD_LIBRARY_PATH").unwrap_or_default();
    let asked =
        asked.split(':').filter(|folder| !folder.is_empty()).map(|folder| Path::new(folder).join(name));
    // The cache lists libraries by their names and paths, as strings that end with a 0.
    let cache = view.bytes(Path::new("/etc/ld.so.cache")).unwrap_or_default();
    let end = format!("/{name}");
    let listed = cache.split(|&byte| byte == 0).filter_map(|text| std::str::from_utf8(text).ok());
    let listed = listed.filter(|text| text.starts_with('/') && text.ends_with(&end)).map(PathBuf::from);
    let standard = LIBRARY_FOLDERS.iter().map(|folder| Path::new(folder).join(name));
    asked.chain(listed).chain(standard).find(|path| view.is_file(path))
}

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The file.
    pub path: PathBuf,
    /// The library as it is named there, or what is wrong with the manifest.
    pub named: Result<String, String>,
    /// The file of the library; `None` where it is not found.
    pub library: Option<PathBuf>,
}

/// What the loader is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifests {
    /// The manifests that it reads.
    pub found: Vec<Manifest>,
    /// The variable of the environment that says which those are, and its value.
    pub chosen_by: Option<(String, String)>,
    /// The variables with which drivers are left out of those, and their values.
    pub filters: Vec<(String, String)>,
    /// The folders that it looks in.
    pub folders: Vec<PathBuf>,
    /// Manifests in other folders.
    pub elsewhere: Vec<PathBuf>,
}

impl Manifests {
    pub(super) fn find(view: &View) -> Self {
        let set = |name: &&str| view.variable(name).map(|value| (name.to_string(), value.to_owned()));
        let chosen_by = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].iter().find_map(set);
        let filters =
            ["VK_LOADER_DRIVERS_SELECT", "VK_LOADER_DRIVERS_DISABLE"].iter().filter_map(set).collect();
        let folders = folders(view);
        let paths = match &chosen_by {
            Some((_, value)) => named(view, value),
            None => {
                let added = view.variable("VK_ADD_DRIVER_FILES").map(|value| named(view, value));
                let standard = folders.iter().flat_map(|folder| in_folder(view, folder));
                added.into_iter().flatten().chain(standard).collect()
            }
        };
        let mut found: Vec<Manifest> = Vec::new();
        for path in paths.into_iter().filter(|path| is_for_this_processor(path)) {
            if !found.iter().any(|manifest| manifest.path == path) {
                found.push(Manifest::read(view, path));
            }
        }
        let elsewhere = ELSEWHERE.iter().flat_map(|folder| in_folder(view, Path::new(folder))).collect();
        Self { found, chosen_by, filters, folders, elsewhere }
    }
}

impl Manifest {
    fn read(view: &View, path: PathBuf) -> Self {
        #[derive(Deserialize)]
        struct Contents {
            #[serde(rename = "ICD")]
            driver: Driver,
        }
        #[derive(Deserialize)]
        struct Driver {
            library_path: String,
        }
        let text = match view.text(&path) {
            Ok(text) if text.is_empty() => Err("it is empty".to_owned()),
            Ok(text) => Ok(text),
            Err(error) => Err(format!("it cannot be read ({error})")),
        };
        let parse = |text: String| {
            serde_json::from_str::<Contents>(&text).map_err(|e| format!("it is no manifest ({e})"))
        };
        let named = text.and_then(parse).map(|contents| contents.driver.library_path);
        let file = named.as_ref().ok().and_then(|name| {
            if !name.contains('/') {
                return library(view, name);
            }
            let beside = path.parent().unwrap_or(Path::new("/")).join(name);
            view.is_file(&beside).then_some(beside)
        });
        Self { path, named, library: file }
    }

    /// Whether this is the driver of software, which needs no card.
    pub fn is_software(&self) -> bool {
        let name = self.named.as_deref().unwrap_or_default();
        ["lvp", "lavapipe", "swiftshader"].iter().any(|part| name.contains(part))
    }
}

/// The folders with manifests, in the order in which the loader reads them.
fn folders(view: &View) -> Vec<PathBuf> {
    let home = |rest: &str| view.variable("HOME").map(|home| format!("{home}/{rest}"));
    let or = |name: &str, otherwise: Option<String>| view.variable(name).map(str::to_owned).or(otherwise);
    let lists = [
        or("XDG_CONFIG_HOME", home(".config")),
        or("XDG_CONFIG_DIRS", Some("/etc/xdg".into())),
        Some("/usr/local/etc:/etc".into()),
        or("XDG_DATA_HOME", home(".local/share")),
        or("XDG_DATA_DIRS", Some("/usr/local/share:/usr/share".into())),
    ];
    let mut all: Vec<PathBuf> = Vec::new();
    for list in lists.into_iter().flatten() {
        for folder in list.split(':').filter(|folder| !folder.is_empty()) {
            let folder = Path::new(folder).join("vulkan/icd.d");
            if !all.contains(&folder) {
                all.push(folder);
            }
        }
    }
    all
}

fn in_folder(view: &View, folder: &Path) -> Vec<PathBuf> {
    let is_json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    view.folder(folder).into_iter().filter(is_json).collect()
}

/// The manifests that a variable names: files, and folders of them, with colons in between.
fn named(view: &View, list: &str) -> Vec<PathBuf> {
    let paths = list.split(':').filter(|path| !path.is_empty()).map(Path::new);
    paths
        .flat_map(|path| if view.is_file(path) { vec![path.to_path_buf()] } else { in_folder(view, path) })
        .collect()
}

/// Whether a manifest is not one for programs of another processor, as their names say on systems that have both.
fn is_for_this_processor(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let others = ["i386", "i586", "i686", "x86_64", "aarch64"];
    !others.iter().any(|other| *other != std::env::consts::ARCH && name.contains(&format!(".{other}.")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::write_bytes_atomic;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_bytes_atomic(path, text.as_bytes()).unwrap();
    }

    #[test]
    fn libraries_are_found_as_the_linker_finds_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let find = |environment: &[(&str, &str)]| Loader::find(&View::of_folder(root, environment)).library;
        assert_eq!(find(&[]), None);
        // Listed in the cache, but not there any more.
        put(
            root,
            "etc/ld.so.cache",
            "glibc\0libvulkan.so.1\0/opt/gpu/libvulkan.so.1\0/opt/gpu/libvulkan.so.10\0",
        );
        assert_eq!(find(&[]), None);
        put(root, "usr/lib64/libvulkan.so.1", "");
        assert_eq!(find(&[]), Some("/usr/lib64/libvulkan.so.1".into()));
        put(root, "opt/gpu/libvulkan.so.1", "");
        assert_eq!(find(&[]), Some("/opt/gpu/libvulkan.so.1".into()));
        put(root, "home/me/lib/libvulkan.so.1", "");
        assert_eq!(
            find(&[("LD_LIBRARY_PATH", ":/none:/home/me/lib")]),
            Some("/home/me/lib/libvulkan.so.1".into())
        );
    }

    #[test]
    fn manifests_are_read_where_the_loader_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let driver = |library: &str| {
            format!(r#"{{"ICD": {{"library_path": "{library}"}}, "file_format_version": "1.0.0"}}"#)
        };
        put(root, "usr/share/vulkan/icd.d/lvp_icd.json", &driver("libvulkan_lvp.so"));
        put(root, "usr/share/vulkan/icd.d/readme.txt", "");
        put(root, "etc/vulkan/icd.d/nvidia_icd.json", &driver("/opt/libGLX_nvidia.so.0"));
        put(root, "home/me/.local/share/vulkan/icd.d/own.json", &driver("../beside.so"));
        put(root, "home/me/.local/share/vulkan/beside.so", "");
        put(root, "usr/lib/libvulkan_lvp.so", "");
        put(root, "chosen/a.json", &driver("a.so"));
        put(root, "chosen/empty.json", "");
        let find = |environment: &[(&str, &str)]| Manifests::find(&View::of_folder(root, environment));
        let names = |found: &Manifests| -> Vec<String> {
            let name = |m: &Manifest| m.path.file_name().unwrap().to_string_lossy().into_owned();
            found.found.iter().map(name).collect()
        };

        let home = ("HOME", "/home/me");
        let standard = find(&[home]);
        assert_eq!(names(&standard), ["nvidia_icd.json", "own.json", "lvp_icd.json"]);
        let [nvidia, own, lvp] = &standard.found[..] else { panic!("{standard:?}") };
        assert!(nvidia.library.is_none() && own.library.is_some() && lvp.library.is_some(), "{standard:?}");
        assert!(lvp.is_software() && !nvidia.is_software());

        let chosen =
            find(&[home, ("VK_DRIVER_FILES", "/chosen:/none"), ("VK_ADD_DRIVER_FILES", "/etc/vulkan/icd.d")]);
        assert_eq!(names(&chosen), ["a.json", "empty.json"]);
        assert_eq!(chosen.found[1].named, Err("it is empty".into()));
        assert_eq!(chosen.chosen_by, Some(("VK_DRIVER_FILES".into(), "/chosen:/none".into())));
        assert_eq!(names(&find(&[("VK_ADD_DRIVER_FILES", "/chosen/a.json")]))[0], "a.json");
        assert!(find(&[("VK_ICD_FILENAMES", "/nothing")]).found.is_empty());
        let data = find(&[("XDG_DATA_DIRS", "/elsewhere"), ("VK_LOADER_DRIVERS_DISABLE", "*")]);
        assert_eq!((names(&data), data.filters.len()), (vec!["nvidia_icd.json".to_owned()], 1));
    }

    #[test]
    fn what_is_no_manifest_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (name, text, problem) in [
            ("empty", " \n", "it is empty"),
            ("list", "[1]", "it is no manifest"),
            ("other", r#"{"ICD": {}}"#, "library_path"),
        ] {
            put(root, &format!("{name}.json"), text);
            let manifest = Manifest::read(&View::of_folder(root, &[]), format!("/{name}.json").into());
            assert!(manifest.named.as_ref().is_err_and(|found| found.contains(problem)), "{manifest:?}");
        }
        put(root, "long.json", &" ".repeat(5 << 20));
        let read = |name: &str| Manifest::read(&View::of_folder(root, &[]), name.into()).named.unwrap_err();
        assert!(read("/long.json").contains("it has more than 4.0 MiB"), "{}", read("/long.json"));
        // A device has no end.
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("/dev/null", root.join("device.json")).unwrap();
            assert!(read("/device.json").contains("it is no file"), "{}", read("/device.json"));
        }
    }
}
