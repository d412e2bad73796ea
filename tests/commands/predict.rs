//! `msd-gpu predict` on input as it should be.

use ndarray::{Array2, Array3, Axis, s};

use msd_gpu::images::{discover, open_volume, read_image, read_labels};

use crate::support::{Bench, class_of, pattern, regression, segmentation};

#[test]
fn labels_are_written_in_the_targets_own_values() {
    let bench = Bench::new();
    bench.model("run/model.safetensors", &segmentation(&[0, 128, 255]));
    bench.grey("images/a.png", (20, 31));
    bench.floats("images/b.tif", &pattern((9, 12)).insert_axis(Axis(0)));
    let stdout = bench.succeeds("predict --model run images --out results/first --device cpu");
    assert!(stdout.is_empty(), "{stdout}");
    assert_eq!(bench.names("results/first"), ["a.png", "b.png"]);
    for (name, size) in [("a", (20, 31)), ("b", (9, 12))] {
        let wanted = pattern(size).mapv(|pixel| [0, 128, 255][class_of(pixel, 3)]);
        assert_eq!(bench.read_labels(&format!("results/first/{name}.png")), wanted);
    }
    // Once more, over what is there: the same again.
    bench.succeeds("predict --model run/model.safetensors images/a.png --out results/first --device cpu");
    assert_eq!(bench.names("results/first"), ["a.png", "b.png"]);
}

#[test]
fn values_that_no_png_holds_give_a_tiff_for_every_image() {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[0, 1, 70_000]));
    bench.grey("images/a.png", (20, 31));
    // No pixel of this one is of the class that needs a TIFF.
    bench.floats("images/dark.tif", &Array3::zeros((1, 5, 6)));
    bench.succeeds("predict --model m.safetensors images --out out --device cpu");
    assert_eq!(bench.names("out"), ["a.tif", "dark.tif"]);
    assert!(bench.read_labels("out/a.tif").iter().any(|&value| value == 70_000));
    assert!(bench.read_labels("out/dark.tif").iter().all(|&value| value == 0));
}

#[test]
fn probabilities_and_overlay_come_beside_the_labels_and_tiles_change_nothing() {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[0, 1, 2]));
    bench.grey("images/a.png", (40, 53));
    for (out, tile) in [("whole", ""), ("tiled", "--tile 16")] {
        bench.succeeds(&format!(
            "predict --model m.safetensors images --out {out} --probabilities --overlay --device cpu {tile}"
        ));
        assert_eq!(bench.names(out), ["a.png", "a_overlay.png", "a_probabilities.tif", "legend.png"]);
    }
    let probabilities = bench.read("whole/a_probabilities.tif");
    assert_eq!(probabilities.dim(), (3, 40, 53));
    assert!(probabilities.sum_axis(Axis(0)).iter().all(|sum| (sum - 1.0).abs() < 1e-5));
    let labels = bench.read_labels("whole/a.png");
    for ((y, x), &label) in labels.indexed_iter() {
        let pixel = probabilities.slice(s![.., y, x]);
        assert!(pixel.iter().all(|&p| p <= pixel[label as usize]), "{pixel} is not {label}");
    }
    assert_eq!(bench.read("whole/a_overlay.png").dim(), (3, 40, 53));
    assert_eq!(bench.read_labels("tiled/a.png"), labels);
    let apart = (bench.read("tiled/a_probabilities.tif") - probabilities).mapv(f32::abs);
    assert!(apart.iter().all(|&apart| apart <= 1e-6));
}

#[test]
fn a_regression_gives_float_images_in_the_targets_units() {
    let bench = Bench::new();
    bench.model("m.safetensors", &regression(1, 2));
    bench.grey("images/a.png", (8, 9));
    bench.succeeds("predict --model m.safetensors images/*.png --out out --device cpu");
    assert_eq!(bench.names("out"), ["a.tif"]);
    let wanted = pattern((8, 9)).mapv(|pixel| pixel / 2.0 + 1.0);
    for plane in bench.read("out/a.tif").axis_iter(Axis(0)) {
        assert!((&plane - &wanted).iter().all(|apart| apart.abs() < 1e-3));
    }
}

#[test]
fn a_constant_image_and_one_of_a_single_pixel_work() {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[3, 9]));
    bench.floats("images/flat.tif", &Array3::from_elem((1, 11, 7), 200.0));
    bench.floats("images/pixel.tif", &Array3::from_elem((1, 1, 1), 5.0));
    bench.succeeds("predict --model m.safetensors images --out out --device cpu --overlay");
    assert!(bench.read_labels("out/flat.png").iter().all(|&value| value == 9));
    assert_eq!(bench.read_labels("out/pixel.png")[[0, 0]], 3);
}

#[test]
fn each_image_has_a_line_and_an_image_named_twice_is_computed_once() {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[0, 1]));
    bench.grey("images/a.png", (8, 9));
    bench.grey("images/b.png", (8, 9));
    let arguments = "predict --model m.safetensors images/a.png images ./images/a.png --out out --device cpu";
    let stderr = bench.run(arguments).stderr;
    assert_eq!(stderr.lines().filter(|line| line.contains(" -> out")).count(), 2, "{stderr}");
    assert!(bench.run(&format!("{arguments} -q")).stderr.is_empty());
}

#[test]
fn several_models_are_averaged_and_say_how_much_they_differ() {
    let bench = Bench::new();
    let first = segmentation(&[0, 7]);
    let mut second = first.clone();
    second.parameters.iter_mut().for_each(|parameter| *parameter *= 0.5);
    bench.model("a.safetensors", &first);
    bench.model("b.safetensors", &second);
    bench.grey("images/x.png", (12, 17));
    let call = "predict images --device cpu --probabilities";
    bench.succeeds(&format!("{call} --model a.safetensors --out a"));
    bench.succeeds(&format!("{call} --model b.safetensors --out b"));
    bench.succeeds(&format!(
        "{call} --model a.safetensors --model b.safetensors --out both --uncertainty --tile 8"
    ));
    assert_eq!(bench.names("both"), ["x.png", "x_deviation.tif", "x_entropy.tif", "x_probabilities.tif"]);
    let read = |name: &str| bench.read(&format!("{name}.tif"));
    let (a, b, mean) = (read("a/x_probabilities"), read("b/x_probabilities"), read("both/x_probabilities"));
    let apart = |a: &Array3<f32>, b: &Array3<f32>| (a - b).iter().fold(0.0_f32, |most, v| most.max(v.abs()));
    assert!(apart(&a, &b) > 0.01);
    assert!(apart(&mean, &((&a + &b) / 2.0)) < 1e-5);
    assert!(apart(&read("both/x_deviation"), &((&a - &b).mapv(f32::abs) / 2.0)) < 1e-5);
    let entropy = mean.mapv(|p| if p > 0.0 { -p * p.ln() } else { 0.0 }).sum_axis(Axis(0));
    assert!(apart(&read("both/x_entropy"), &entropy.insert_axis(Axis(0))) < 1e-5);
    // One model alone has nothing to differ from, but it may be unsure.
    bench.succeeds("predict images --device cpu --model a.safetensors --out alone --uncertainty");
    assert_eq!(bench.names("alone"), ["x.png", "x_entropy.tif"]);
}

#[test]
fn flips_and_rotations_are_turned_back() {
    let bench = Bench::new();
    bench.model("m.safetensors", &regression(1, 2));
    bench.grey("images/a.png", (8, 13));
    bench
        .succeeds("predict --model m.safetensors images --out out --device cpu --tta --uncertainty --tile 5");
    assert_eq!(bench.names("out"), ["a.tif", "a_deviation.tif"]);
    // The model looks at single pixels: turned back rightly, all eight are equal.
    let wanted = pattern((8, 13)).mapv(|pixel| pixel / 2.0 + 1.0);
    for plane in bench.read("out/a.tif").axis_iter(Axis(0)) {
        assert!((&plane - &wanted).iter().all(|apart| apart.abs() < 1e-3));
    }
    assert!(bench.read("out/a_deviation.tif").iter().all(|&deviation| deviation < 1e-3));
}

#[test]
fn models_that_do_not_go_together_are_refused() {
    let bench = Bench::new();
    bench.model("a.safetensors", &segmentation(&[0, 1]));
    bench.model("b.safetensors", &segmentation(&[0, 2]));
    bench.model("c.safetensors", &regression(1, 1));
    bench.grey("images/x.png", (5, 6));
    for (other, names) in [
        ("b.safetensors", ["a.safetensors", "the classes 0, 1", "--model"]),
        ("c.safetensors", ["a.safetensors", "a regression", "--model"]),
    ] {
        let models = format!("--model a.safetensors --model {other}");
        bench.refuses(&format!("predict {models} images --out out --device cpu"), &names);
        bench.refuses(&format!("evaluate {models} --images images --targets images --device cpu"), &names);
    }
    let call = "predict --model c.safetensors images --out out --device cpu --uncertainty";
    bench.refuses(call, &["--uncertainty", "--model", "--tta"]);
    assert!(bench.names("out").is_empty());
}

#[test]
fn one_bad_image_does_not_keep_the_others_from_being_done() {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[0, 1]));
    for name in ["a", "c", "e"] {
        bench.floats(&format!("images/{name}.tif"), &pattern((5, 6)).insert_axis(Axis(0)));
    }
    bench.floats("images/b.tif", &Array3::from_elem((1, 5, 6), f32::NAN));
    bench.floats("images/d.tif", &Array3::zeros((2, 5, 6)));
    bench.bytes("images/f.tif", b"no image");
    let call = "predict --model m.safetensors images --device cpu";
    let run = bench.run(&format!("{call} --keep-going --out out"));
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert_eq!(bench.names("out"), ["a.png", "c.png", "e.png"]);
    let end: Vec<_> = run.stderr.lines().rev().take(4).collect();
    assert!(end[0].starts_with("error: 3 of 6 images"), "{}", run.stderr);
    for (line, name) in end[1..].iter().zip(["images/f.tif", "images/d.tif", "images/b.tif"]) {
        assert!(line.contains(name), "{}", run.stderr);
    }
    // As before without it.
    bench.refuses(&format!("{call} --out strict"), &["images/d.tif"]);
}

#[test]
fn pages_of_a_stack_that_is_cut_off_are_predicted_where_that_is_wanted() {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[0, 1]));
    bench.stack("whole.tif", &vec![Array2::from_elem((5, 6), 40); 4], "");
    let bytes = std::fs::read(bench.path("whole.tif")).unwrap();
    bench.bytes("cut.tif", &bytes[..bytes.len() * 3 / 4]);
    let call = "predict --model m.safetensors cut.tif --device cpu --out out";
    bench.refuses(call, &["cut.tif", "--keep-going"]);
    let run = bench.run(&format!("{call} --keep-going"));
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("cut.tif is cut off") && run.stderr.contains("missing"), "{}", run.stderr);
    assert_eq!(bench.names("out"), ["cut.tif"]);
    let pages = discover(bench.path("out/cut.tif").to_str().unwrap()).unwrap().len();
    assert!((2..4).contains(&pages), "{pages}");
}

#[test]
fn channels_in_pages_are_one_image_for_models_of_several_and_slices_for_models_of_one() {
    let bench = Bench::new();
    bench.model("one.safetensors", &segmentation(&[0, 1]));
    bench.model("two.safetensors", &regression(2, 1));
    let pages: Vec<Array2<u16>> = (0..4).map(|page| Array2::from_elem((5, 6), page * 40)).collect();
    bench.stack("s.tif", &pages, "ImageJ=1.54f\nimages=4\nchannels=2\nslices=2\n");
    bench.succeeds("predict --model two.safetensors s.tif --device cpu --out two --pages");
    assert_eq!(bench.names("two"), ["s_p0000.tif", "s_p0001.tif"]);
    // The model halves the first channel and adds 1: that of the second slice is the third page.
    assert!(bench.read("two/s_p0001.tif").iter().all(|value| (value - 41.0).abs() < 1e-3));
    let run = bench.run("predict --model one.safetensors s.tif --device cpu --out one");
    assert_eq!(bench.names("one"), ["s.tif"], "{}", run.stderr);
    assert!(run.stderr.contains("each page is taken as an image"), "{}", run.stderr);
    assert!(bench.text_of("one/s.tif").contains("images=4\nchannels=2\nslices=2\n"));
    let run = bench.run("predict --model one.safetensors s.tif --device cpu --out said --axes ZYX");
    assert!(run.code == 0 && !run.stderr.contains("WARN"), "{}", run.stderr);
    assert!(bench.text_of("said/s.tif").contains("images=4\nslices=4\nloop"));
    bench.refuses(
        "predict --model two.safetensors s.tif --device cpu --out x --axes ZYX",
        &["s.tif", "channel"],
    );
    bench.refuses(
        "predict --model two.safetensors s.tif --device cpu --out x --axes ABC",
        &["--axes", "ZCYX"],
    );
}

#[test]
fn grey_images_that_were_saved_as_colours_are_grey() {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[0, 128, 255]));
    let grey = pattern((9, 12));
    bench.floats("images/a.tif", &grey.clone().insert_axis(Axis(0)));
    let mut colours = Array3::from_shape_fn((3, 9, 12), |(_, y, x)| grey[[y, x]]);
    bench.floats("images/b.tif", &colours);
    bench.succeeds("predict --model m.safetensors images --out out --device cpu");
    assert_eq!(bench.read_labels("out/a.png"), bench.read_labels("out/b.png"));
    colours[[2, 8, 11]] += 1.0;
    bench.floats("images/b.tif", &colours);
    let call = "predict --model m.safetensors images --out out --device cpu";
    bench.refuses(call, &["images/b.tif", "3 channels that differ", "--axes ZYX"]);
}

const IMAGEJ: &str =
    "ImageJ=1.54f\nimages=6\nslices=3\nframes=2\nhyperstack=true\nunit=micron\nspacing=2.5\n";

#[test]
fn a_stack_gives_a_stack_that_says_what_its_planes_are() {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[0, 128, 255]));
    let pages: Vec<Array2<u16>> = (0..6)
        .map(|page| pattern((9, 12)).mapv(|pixel| pixel as u16).mapv(|pixel| pixel / (page + 1)))
        .collect();
    bench.stack("s.tif", &pages, IMAGEJ);
    bench.grey("alone/a.png", (9, 12));
    let call =
        "predict --model m.safetensors s.tif alone --device cpu --probabilities --overlay --uncertainty";
    let run = bench.run(&format!("{call} --out together"));
    assert_eq!(run.code, 0, "{}", run.stderr);
    bench.succeeds(&format!("{call} --out apart --pages"));
    let names = ["a.png", "a_entropy.tif", "a_overlay.png", "a_probabilities.tif", "legend.png"];
    let stacks = ["s.tif", "s_entropy.tif", "s_overlay.tif", "s_probabilities.tif"];
    assert_eq!(bench.names("together"), [&names[..], &stacks[..]].concat());
    assert_eq!(bench.names("apart").len(), 4 * 7 + 1);
    for (kind, ending) in [("", "png"), ("_probabilities", "tif"), ("_entropy", "tif"), ("_overlay", "png")] {
        let path = bench.path(&format!("together/s{kind}.tif"));
        let slices = discover(path.to_str().unwrap()).unwrap();
        assert_eq!(slices.len(), 6, "{kind}");
        for (number, slice) in slices.iter().enumerate() {
            let page = format!("apart/s_p{number:04}{kind}.{ending}");
            if kind.is_empty() {
                assert_eq!(read_labels(slice).unwrap(), bench.read_labels(&page), "{page}");
            } else {
                assert_eq!(read_image(slice).unwrap(), bench.read(&page), "{page}");
            }
        }
    }
    // Labels have the colours of overlays, by the values of the classes.
    let file = std::fs::File::open(bench.path("together/s.tif")).unwrap();
    let map = tiff::decoder::Decoder::new(file).unwrap().get_tag_u16_vec(tiff::tags::Tag::ColorMap).unwrap();
    let shown: Vec<_> = [0, 128, 255, 1].map(|value| [map[value], map[256 + value], map[512 + value]]).into();
    assert!(shown[3] == [0xffff; 3] && (0..3).all(|class| !shown[..class].contains(&shown[class])));
    let volume = open_volume(bench.path("together/s.tif").to_str().unwrap()).unwrap();
    assert_eq!(volume.extent().z, 6);
    let size = volume.voxel_size().unwrap();
    assert_eq!((size.z, size.y, size.x), (2.5, 1.0, 1.0));
    for (file, wanted) in [
        (
            "s.tif",
            "images=6\nslices=3\nframes=2\nhyperstack=true\nmode=grayscale\nunit=micron\nspacing=2.5\nloop=false\n",
        ),
        ("s_probabilities.tif", "images=18\nchannels=3\nslices=3\nframes=2\nhyperstack=true\n"),
    ] {
        assert!(bench.text_of(&format!("together/{file}")).contains(wanted), "{file}");
    }
}

#[test]
fn results_of_an_image_by_itself_keep_the_size_of_its_pixels() {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[0, 128, 70_000]));
    let micrometres = concat!(
        r#"<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">"#,
        r#"<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZTC" Type="uint16" SizeX="24" SizeY="30" "#,
        r#"SizeC="1" SizeZ="1" SizeT="1" PhysicalSizeX="0.25" PhysicalSizeY="0.5">"#,
        r#"<Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData/></Pixels></Image></OME>"#
    );
    bench.stack("sized.tif", &[pattern((30, 24)).mapv(|pixel| pixel as u16)], micrometres);
    let size_of = |path: &str| {
        let volume = open_volume(bench.path(path).to_str().unwrap()).unwrap();
        (volume.channels(), volume.voxel_size().map(|size| (size.y, size.x, size.unit.clone())))
    };
    for (out, more) in [("whole", ""), ("tiles", "--tile 16 --halo exact")] {
        bench.succeeds(&format!(
            "predict sized.tif --model m.safetensors --probabilities --uncertainty --out {out} --device cpu {more}"
        ));
        let size = Some((0.5, 0.25, "µm".to_owned()));
        assert_eq!(size_of(&format!("{out}/sized.tif")), (1, size.clone()), "{out}");
        assert_eq!(size_of(&format!("{out}/sized_entropy.tif")), (1, size.clone()), "{out}");
        // The channels stay side by side in one page.
        assert_eq!(size_of(&format!("{out}/sized_probabilities.tif")), (3, size), "{out}");
        let only = discover(bench.path(&format!("{out}/sized_probabilities.tif")).to_str().unwrap()).unwrap();
        assert_eq!(only.len(), 1);
    }
    for name in ["sized.tif", "sized_entropy.tif", "sized_probabilities.tif"] {
        assert_eq!(
            std::fs::read(bench.path(&format!("whole/{name}"))).unwrap(),
            std::fs::read(bench.path(&format!("tiles/{name}"))).unwrap(),
            "{name}"
        );
    }
}

#[test]
fn several_devices_share_a_queue_and_write_the_files_of_one() {
    let bench = Bench::new();
    bench.model("classes.safetensors", &segmentation(&[0, 128, 255]));
    bench.model("values.safetensors", &regression(1, 1));
    for (number, size) in [(9, 12), (40, 33), (20, 20), (64, 17), (33, 40)].into_iter().enumerate() {
        bench.grey(&format!("images/{number}.png"), size);
    }
    // A stack with a page that cannot be used, and an image of which a part in the middle cannot.
    let page = |z: usize| if z == 2 { f32::NAN } else { 20.0 * z as f32 };
    bench.float_stack(
        "images/s.tif",
        &(0..5).map(|z| Array2::from_elem((18, 21), page(z))).collect::<Vec<_>>(),
    );
    let mut bad = pattern((64, 48));
    bad[[30, 20]] = f32::INFINITY;
    bench.floats("images/t.tif", &bad.insert_axis(Axis(0)));
    for (number, (model, more)) in [
        ("classes", ""),
        ("classes", "--tile 16 --halo exact"),
        ("classes", "--tile 16 --halo exact --probabilities --overlay --uncertainty"),
        ("values", "--tta --uncertainty --format npy"),
    ]
    .into_iter()
    .enumerate()
    {
        let runs = ["cpu", "cpu,cpu,cpu"].map(|device| {
            let out = format!("{}{number}", device.replace(',', ""));
            let call = format!("predict --model {model}.safetensors images {more} --keep-going --out {out}");
            (bench.run(&format!("{call} --device {device}")), out)
        });
        let [(one, alone), (several, shared)] = runs;
        assert_eq!((one.code, several.code), (1, 1), "{}", several.stderr);
        assert!(several.stderr.contains("3 times CPU"), "{}", several.stderr);
        let problems = |stderr: &str| {
            let of_image =
                |line: &&str| line.contains("s.tif") && line.contains("page 2") || line.contains("t.tif");
            stderr.replace(&shared, &alone).lines().filter(of_image).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(problems(&one.stderr), problems(&several.stderr));
        assert!(problems(&one.stderr).len() >= 2, "{}", one.stderr);
        assert_eq!(bench.names(&alone), bench.names(&shared));
        for name in bench.names(&alone) {
            let [one, several] =
                [&alone, &shared].map(|out| std::fs::read(bench.path(&format!("{out}/{name}"))).unwrap());
            assert!(one == several, "{name} with {more}");
        }
    }
    // Without --keep-going, the first that fails in order ends it, whichever was found first.
    let call = "predict --model classes.safetensors images --device cpu,cpu --out ended";
    bench.refuses(call, &["s.tif", "page 2"]);
    for command in ["evaluate --images images --targets images", "watch images --out other"] {
        let call = format!("{command} --model classes.safetensors --device cpu,cpu");
        bench.refuses(&call, &["--device", "one device"]);
    }
}

#[test]
fn a_page_without_a_result_is_blank_in_the_stack() {
    let bench = Bench::new();
    bench.model("classes.safetensors", &segmentation(&[0, 128]));
    bench.model("values.safetensors", &regression(1, 1));
    for bad in [0, 1, 2] {
        let page = |z: usize| if z == bad { f32::NAN } else { 200.0 };
        bench.float_stack("s.tif", &(0..3).map(|z| Array2::from_elem((5, 6), page(z))).collect::<Vec<_>>());
        for (model, blank, nothing) in [("classes", 0.0, "zeros"), ("values", f32::NAN, "NaN")] {
            let call = format!("predict --model {model}.safetensors s.tif --device cpu --out {model}{bad}");
            bench.refuses(&call, &["s.tif"]);
            assert!(bench.names(&format!("{model}{bad}")).is_empty());
            let run = bench.run(&format!("{call} --keep-going"));
            assert_eq!(run.code, 1, "{}", run.stderr);
            let blank_slice = format!("slice {bad} of {model}{bad}/s.tif holds {nothing}");
            assert!(run.stderr.contains(&blank_slice), "{}", run.stderr);
            let path = bench.path(&format!("{model}{bad}/s.tif"));
            for (z, slice) in discover(path.to_str().unwrap()).unwrap().iter().enumerate() {
                if z != bad {
                    assert!(read_image(slice).unwrap().iter().all(|value| *value > 1.0));
                } else if blank == 0.0 {
                    assert!(read_labels(slice).unwrap().iter().all(|value| *value == 0));
                } else {
                    assert!(read_image(slice).unwrap_err().to_string().contains("NaN"));
                }
            }
        }
    }
}
