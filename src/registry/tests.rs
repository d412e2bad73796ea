use super::*;
use crate::network::{Architecture, Normalisation, Task, initialise};

fn model(path: &Path) {
    let architecture = Architecture::new(1, 1, 2);
    let model = Model {
        parameters: initialise(&architecture, 1),
        architecture,
        task: Task::Regress,
        input: Normalisation { mean: vec![0.0], deviation: vec![1.0] }.into(),
        target: Some(Normalisation { mean: vec![0.0], deviation: vec![1.0] }),
        slab: 1,
        self_supervised: None,
        provenance: Default::default(),
    };
    std::fs::write(path, model.to_bytes().unwrap()).unwrap();
}

fn keys(texts: &[&str]) -> Keys {
    Keys::parse(texts).unwrap()
}

/// A registry, and a model file beside it.
fn registry() -> (tempfile::TempDir, Registry, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("steel.safetensors");
    model(&file);
    let registry = Registry::new(folder.path().join("registry"));
    (folder, registry, file)
}

fn names(registry: &Registry) -> Vec<String> {
    registry.list().unwrap().entries.into_iter().map(|entry| entry.name).collect()
}

#[test]
fn models_are_added_listed_and_removed() {
    let (_folder, registry, file) = registry();
    assert!(names(&registry).is_empty());
    let added = registry.add(&file, &keys(&["energy=25keV", "binning=2"]), None).unwrap();
    assert_eq!((added.name.as_str(), added.inputs, added.depth), ("steel", 1, 2));
    registry.add(&file, &keys(&["energy=30keV"]), Some("other")).unwrap();
    let listing = registry.list().unwrap();
    assert_eq!((&listing.entries[1], listing.damaged.len()), (&added, 0));
    assert_eq!(std::fs::read(&added.path).unwrap(), std::fs::read(&file).unwrap());
    // Nothing is overwritten.
    let error = registry.add(&file, &keys(&["energy=1keV"]), None).unwrap_err().to_string();
    assert!(error.contains("'steel'") && error.contains("remove that one"), "{error}");
    assert_eq!(registry.list().unwrap().entries[1], added);
    registry.remove("steel").unwrap();
    assert_eq!(names(&registry), ["other"]);
    assert!(registry.remove("steel").unwrap_err().to_string().contains("holds no model 'steel'"));
    // What somebody put beside a model stays.
    std::fs::write(registry.folder().join("other/notes.txt"), "").unwrap();
    assert!(registry.remove("other").unwrap_err().to_string().contains("what else"));
    assert!(registry.folder().join("other/notes.txt").exists());
}

#[test]
fn hostile_names_reach_nothing_outside() {
    let (folder, registry, file) = registry();
    let energy = keys(&["energy=25keV"]);
    let long = "a".repeat(101);
    for name in
        ["..", ".", "", "a/b", "../steel", "a\\b", ".hidden", "-x", "a\nb", "a\u{1b}[31m", "a ", "a.", &long]
    {
        for error in
            [registry.add(&file, &energy, Some(name)).unwrap_err(), registry.remove(name).unwrap_err()]
        {
            let error = error.to_string();
            assert!(error.contains("must be up to") && !error.contains(['\n', '\u{1b}']), "{error}");
        }
    }
    assert!(file.exists() && !registry.folder().exists());
    std::fs::create_dir_all(registry.folder()).unwrap();
    #[cfg(unix)]
    {
        // A link is no model, and what it leads to is not touched.
        let outside = folder.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::copy(&file, outside.join("model.safetensors")).unwrap();
        std::os::unix::fs::symlink(&outside, registry.folder().join("link")).unwrap();
        registry.remove("link").unwrap_err();
        assert!(names(&registry).is_empty() && outside.join("model.safetensors").exists());
        registry.add(&file, &energy, Some("link")).unwrap_err();
    }
    assert!(registry.add(&file, &Keys::default(), None).unwrap_err().to_string().contains("at least one"));
    assert!(registry.add(&folder.path().join("none"), &energy, None).is_err());
    assert!(std::fs::read_dir(registry.folder()).unwrap().all(|entry| entry.unwrap().file_name() == "link"));
}

#[test]
fn damaged_entries_are_named_and_passed_over() {
    let (_folder, registry, file) = registry();
    registry.add(&file, &keys(&["energy=25keV"]), Some("good")).unwrap();
    let whole = std::fs::read_to_string(registry.folder().join("good/entry.toml")).unwrap();
    let damaged = |name: &str, text: &str, model: &[u8]| {
        let place = registry.folder().join(name);
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("entry.toml"), text).unwrap();
        std::fs::write(place.join("model.safetensors"), model).unwrap();
    };
    let bytes = std::fs::read(&file).unwrap();
    damaged("cut", &whole, &bytes[..100]);
    damaged("text", "keys = 3\n", &bytes);
    damaged("version", &whole.replace("version = 1", "version = 2"), &bytes);
    damaged("key", &whole.replace("energy", "\"a\\u001bb\""), &bytes);
    damaged("long", &format!("{whole}#{}", "x".repeat(1 << 17)), &bytes);
    damaged("bad name", &whole, &bytes);
    std::fs::create_dir(registry.folder().join("empty")).unwrap();
    std::fs::create_dir(registry.folder().join(".other.1.part")).unwrap();
    std::fs::write(registry.folder().join("README"), "").unwrap();
    let listing = registry.list().unwrap();
    assert_eq!(names(&registry), ["good"]);
    let all = listing.damaged.iter().map(Error::to_string).collect::<Vec<_>>();
    for name in ["cut", "text", "version", "key", "long", "bad name", "empty"] {
        let count = all.iter().filter(|error| error.contains(&format!("registry/{name}/"))).count();
        assert_eq!(count, 1, "{name}: {all:?}");
    }
    assert_eq!(all.len(), 7);
    assert!(all.iter().all(|error| !error.contains(['\n', '\u{1b}'])), "{all:?}");
    assert_eq!(registry.nearest(&keys(&["energy=1keV"]), |_| true).unwrap().entry.name, "good");
}

#[test]
fn the_nearest_is_that_of_the_least_mean_difference_and_the_newest_of_those_alike() {
    let (_folder, registry, file) = registry();
    let near = |texts: &[&str]| registry.nearest(&keys(texts), |_| true);
    assert!(near(&["energy=25keV"]).unwrap_err().to_string().contains("no model that fits"));
    for (name, texts) in [
        ("a20", &["energy=20keV", "scintillator=LuAG"][..]),
        ("b30", &["energy=30keV", "scintillator=GGG", "binning=2"]),
        ("c30", &["energy=30keV", "scintillator=GGG", "binning=2"]),
        ("old", &["sample=steel"]),
    ] {
        registry.add(&file, &keys(texts), Some(name)).unwrap();
    }
    // The second of two that are alike is the newer one.
    let newer = registry.folder().join("c30/entry.toml");
    let text = std::fs::read_to_string(&newer).unwrap();
    let added = registry.list().unwrap().entries[2].added;
    std::fs::write(&newer, text.replace(&added.to_string(), &(added + 5).to_string())).unwrap();

    let picked = near(&["energy=24keV"]).unwrap();
    assert_eq!(picked.entry.name, "a20");
    assert!((picked.distance - 4.0 / 24.0).abs() < 1e-12);
    assert_eq!(picked.to_string(), "a20 (energy is 20keV and not 24keV)");
    assert_eq!(near(&["energy=29 keV"]).unwrap().entry.name, "c30");
    // A missing key counts as another value; keys that are not asked for do not count.
    let picked = near(&["energy=20keV", "binning=2"]).unwrap();
    assert_eq!(picked.entry.name, "c30");
    assert!((picked.distance - (10.0 / 30.0) / 2.0).abs() < 1e-12);
    let picked = near(&["energy=21keV", "scintillator=luag", "exposure=1s"]).unwrap();
    assert_eq!(picked.entry.name, "a20");
    assert!(picked.to_string().contains("its exposure is not known"), "{picked}");
    for nothing in [&["energy=20eV"][..], &["beamline=8.3.2"], &["sample=foam"]] {
        let error = near(nothing).unwrap_err().to_string();
        assert!(error.contains("none of the 4 models") && error.contains(nothing[0]), "{error}");
    }
    assert!(near(&[]).unwrap_err().to_string().contains("key"));
    let only_old = registry.nearest(&keys(&["energy=20keV", "sample=steel"]), |entry| entry.name == "old");
    assert_eq!(only_old.unwrap().distance, 0.5);
}

#[test]
fn days_are_those_of_the_calendar() {
    let (_folder, registry, file) = registry();
    let entry = registry.add(&file, &keys(&["a=1"]), None).unwrap();
    let day = |added| Entry { added, ..entry.clone() }.day();
    assert_eq!((day(0).as_str(), day(951_782_400).as_str()), ("1970-01-01", "2000-02-29"));
    assert_eq!(
        (day(1_795_824_000 + 86_399).as_str(), day(4_107_542_400).as_str()),
        ("2026-11-28", "2100-03-01")
    );
}
