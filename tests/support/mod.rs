//! What tests of the command line share: a folder with small images, targets and models, and running the
//! program in it.

#![allow(dead_code)] // Each test program uses a part of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use msd_gpu::files::write_bytes_atomic;
use msd_gpu::images;
use msd_gpu::images::{write_labels, write_png_grey8, write_tiff_f32};
use msd_gpu::network::{Architecture, Class, Model, Normalisation, ParameterLayout, Task, initialise};
use ndarray::{Array2, Array3};

/// A temporary folder; every path given to it is taken inside it, and the program runs in it.
pub struct Bench {
    folder: tempfile::TempDir,
}

/// How a run of the program ended.
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Bench {
    /// An empty folder.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// `path` in the folder; the folders above it are made.
    pub fn path(&self, path: &str) -> PathBuf {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// Writes any bytes to a file.
    pub fn bytes(&self, path: &str, bytes: &[u8]) {
        write_bytes_atomic(self.path(path), bytes).unwrap();
    }

    /// Writes an 8-bit grey PNG of a fixed pattern.
    pub fn grey(&self, path: &str, size: (usize, usize)) {
        write_png_grey8(self.path(path), &pattern(size).mapv(|v| v as u8)).unwrap();
    }

    /// Writes a float32 TIFF.
    pub fn floats(&self, path: &str, image: &Array3<f32>) {
        write_tiff_f32(self.path(path), image).unwrap();
    }

    /// Writes a TIFF stack of 16 bits whose first page has a description.
    pub fn stack(&self, path: &str, pages: &[Array2<u16>], description: &str) {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
        for (number, page) in pages.iter().enumerate() {
            let (height, width) = (page.nrows() as u32, page.ncols() as u32);
            let mut image = encoder.new_image::<tiff::encoder::colortype::Gray16>(width, height).unwrap();
            if number == 0 {
                image.encoder().write_tag(tiff::tags::Tag::ImageDescription, description).unwrap();
            }
            image.write_data(page.as_slice().unwrap()).unwrap();
        }
        self.bytes(path, &bytes.into_inner());
    }

    /// Writes a stack of floating-point slices.
    pub fn float_stack(&self, path: &str, pages: &[Array2<f32>]) {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
        for page in pages {
            let (height, width) = (page.nrows() as u32, page.ncols() as u32);
            encoder
                .write_image::<tiff::encoder::colortype::Gray32Float>(width, height, page.as_slice().unwrap())
                .unwrap();
        }
        self.bytes(path, &bytes.into_inner());
    }

    /// The bytes of a file as text, where they are.
    pub fn text_of(&self, path: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path(path)).unwrap()).into_owned()
    }

    /// Writes a label image, in the format that its values need.
    pub fn labels(&self, path: &str, labels: &Array2<i64>) {
        write_labels(self.path(path), labels).unwrap();
    }

    /// Writes a model file.
    pub fn model(&self, path: &str, model: &Model) {
        self.bytes(path, &model.to_bytes().unwrap());
    }

    /// Reads an image back.
    pub fn read(&self, path: &str) -> Array3<f32> {
        images::read_image(&images::discover(self.path(path).to_str().unwrap()).unwrap()[0]).unwrap()
    }

    /// Reads the image of a page of a stack back.
    pub fn read_page(&self, path: &str, page: usize) -> Array3<f32> {
        images::read_image(&images::discover(self.path(path).to_str().unwrap()).unwrap()[page]).unwrap()
    }

    /// Reads a label image back.
    pub fn read_labels(&self, path: &str) -> Array2<i64> {
        images::read_labels(&images::discover(self.path(path).to_str().unwrap()).unwrap()[0]).unwrap()
    }

    /// The names in a folder, hidden ones too but for the record of results, in order; none where there is no such folder.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join(folder)) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.starts_with(".msd-gpu-results"));
        names.sort();
        names
    }

    /// Runs the program in the folder with arguments separated by blanks.
    pub fn run(&self, arguments: &str) -> Outcome {
        let mut command = Command::cargo_bin("msd-gpu").unwrap();
        command.current_dir(self.folder.path()).env_remove("RUST_LOG").args(arguments.split_whitespace());
        // Neither what somebody's GPU was tuned to nor a search for it.
        command.env("MSD_GPU_CACHE", self.folder.path().join(".cache")).env("CI", "true");
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Runs the program, which must succeed; gives its standard output.
    pub fn succeeds(&self, arguments: &str) -> String {
        let Outcome { code, stdout, stderr } = self.run(arguments);
        assert_eq!(code, 0, "{arguments}: {stderr}");
        assert!(!stderr.contains("error") && !stderr.contains("panicked"), "{arguments}: {stderr}");
        stdout
    }

    /// Runs the program, which must refuse its input as people are promised: exit code 2, one line that
    /// starts with `error: ` and names all of `names`, nothing on standard output.
    pub fn refuses(&self, arguments: &str, names: &[&str]) {
        let Outcome { code, stdout, stderr } = self.run(arguments);
        assert_eq!(code, 2, "{arguments}: {stderr}");
        assert!(stdout.is_empty(), "{arguments}: {stdout}");
        assert!(!stderr.contains("panicked") && !stderr.contains("RUST_BACKTRACE"), "{arguments}: {stderr}");
        let errors: Vec<_> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{arguments}: {stderr}");
        assert_eq!(stderr.lines().last(), errors.first().copied(), "{arguments}: {stderr}");
        for name in names {
            assert!(errors[0].contains(name), "{arguments}: '{name}' is not named in: {stderr}");
        }
    }
}

/// An image of numbers from 0 to 250 without any repetition that a small network could follow.
pub fn pattern((height, width): (usize, usize)) -> Array2<f32> {
    Array2::from_shape_fn((height, width), |(y, x)| ((y * 37 + x * 101 + y * x * 7) % 251) as f32)
}

/// A segmentation of one-channel images of 0 to 255 into classes of the given values, named `class VALUE`.
///
/// It is untrained, but one can tell what it gives: class i is chosen where the pixel is in the i-th of as
/// many equal parts of 0 to 255.
pub fn segmentation(values: &[i64]) -> Model {
    let count = values.len();
    let mut model = regression(1, count);
    let classes = values.iter().map(|&value| Class { value, name: format!("class {value}") });
    model.task = Task::Segment { classes: classes.collect() };
    model.target = None;
    // Outputs i x - b_i, where b_i grows by the i-th border between the parts.
    let layout = ParameterLayout::of(&model.architecture);
    let mut bias = 0.0;
    for class in 0..count {
        if class > 0 {
            // A little below the border, so that no whole number is on it.
            bias -= (256.0 * class as f32 / count as f32 - 0.25) / 64.0;
        }
        let mix = layout.mix(class);
        model.parameters[mix.clone()].fill(0.0);
        model.parameters[mix.start] = class as f32;
        let at = layout.output_biases().start + class;
        model.parameters[at] = bias;
    }
    model
}

/// A regression that halves its first channel and adds 1, for each of its outputs, in the units of the image.
pub fn regression(inputs: usize, outputs: usize) -> Model {
    let architecture = Architecture { dilations: vec![1, 2, 4], ..Architecture::new(inputs, outputs, 3) };
    let mut parameters = initialise(&architecture, 5);
    let layout = ParameterLayout::of(&architecture);
    for output in 0..outputs {
        let at = layout.mix(output).start;
        parameters[at] = 1.0;
    }
    Model {
        parameters,
        architecture,
        task: Task::Regress,
        input: Normalisation { mean: vec![0.0; inputs], deviation: vec![64.0; inputs] }.into(),
        target: Some(Normalisation { mean: vec![1.0; outputs], deviation: vec![32.0; outputs] }),
        slab: 1,
        self_supervised: None,
        upscaling: None,
        provenance: BTreeMap::from([("seed".to_owned(), "5".to_owned())]),
    }
}

/// The class that [`segmentation`] gives a pixel.
pub fn class_of(pixel: f32, classes: usize) -> usize {
    ((pixel * classes as f32 / 256.0) as usize).min(classes - 1)
}

/// Cuts the end off a file.
pub fn truncate(path: &Path, share: f64) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..(bytes.len() as f64 * share) as usize]).unwrap();
}
