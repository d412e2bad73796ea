//! Fine images from coarse ones: learnt from pairs, from fine images alone, and from a fine scan of a part.

use msd_gpu::images::open_volume;
use msd_gpu::network::{Coarsening, Model, Upscaling};
use msd_gpu::phantom::foam;
use ndarray::{Array2, Array3, Axis, s};
use serde_json::Value;

use super::support::Bench;

const SHORT: &str = "--depth 3 --device cpu --crop 16";

/// The mean over `factor` x `factor` pixels.
fn coarse(fine: &Array2<f32>, factor: usize) -> Array2<f32> {
    Array2::from_shape_fn((fine.nrows() / factor, fine.ncols() / factor), |(y, x)| {
        let (y, x) = (y * factor, x * factor);
        fine.slice(s![y..y + factor, x..x + factor]).mean().unwrap()
    })
}

/// Four phantoms of foam of 96 x 96 pixels in `fine`, their means over 2 x 2 pixels in `coarse`, and another one in `test` and
/// `test_coarse`.
fn bench() -> Bench {
    let bench = Bench::new();
    for seed in 0..5 {
        let fine = foam::phantom(96, seed).mapv(|value| 100.0 * value + 20.0);
        let (folder, of_coarse) = if seed < 4 { ("fine", "coarse") } else { ("test", "test_coarse") };
        bench.floats(&format!("{folder}/s{seed}.tif"), &fine.clone().insert_axis(Axis(0)));
        bench.floats(&format!("{of_coarse}/s{seed}.tif"), &coarse(&fine, 2).insert_axis(Axis(0)));
    }
    bench
}

fn model(bench: &Bench, run: &str) -> Model {
    Model::read(&bench.path(run)).unwrap()
}

fn psnr(found: &Array3<f32>, wanted: &Array3<f32>) -> f64 {
    assert_eq!(found.dim(), wanted.dim());
    let squares: f64 = found.iter().zip(wanted).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    10.0 * (100.0_f64.powi(2) * found.len() as f64 / squares).log10()
}

fn scores(bench: &Bench, call: &str) -> (f64, f64, f64) {
    let found: Value = serde_json::from_str(&bench.succeeds(call)).unwrap();
    let of = |name: &str| found[name]["psnr"].as_f64().unwrap();
    (of("output"), of("bicubic"), of("lanczos"))
}

#[test]
fn an_unseen_image_is_better_than_by_interpolation_after_fine_images_alone() {
    let bench = bench();
    bench.succeeds(
        "train upscale --factor 2 --images fine --val-fraction 0.25 --depth 8 --crop 48 --batch 2 --lr 0.01 --max-steps 250 --device cpu --out run",
    );
    let coarsening = Some(Coarsening { blur: 0.0, noise: 0.0 });
    assert_eq!(model(&bench, "run").upscaling, Some(Upscaling { factor: 2, coarsening }));
    let (output, bicubic, lanczos) =
        scores(&bench, "evaluate --model run --images test --device cpu --data-range 100 --json");
    println!("network {output:.2} dB, bicubic {bicubic:.2} dB, Lanczos {lanczos:.2} dB");
    assert!(output > bicubic + 1.0 && output > lanczos + 1.0, "{output} {bicubic} {lanczos}");
    // The same image in pairs, and as it is predicted.
    let of_pairs = scores(
        &bench,
        "evaluate --model run --images test_coarse --targets test --device cpu --data-range 100 --json",
    );
    assert!((of_pairs.0 - output).abs() < 1e-3 && (of_pairs.1 - bicubic).abs() < 1e-3, "{of_pairs:?}");
    bench.succeeds("predict test_coarse --model run --out results --device cpu");
    let (found, wanted) = (bench.read("results/s4.tif"), bench.read("test/s4.tif"));
    assert!((psnr(&found, &wanted) - output).abs() < 1e-2, "{}", psnr(&found, &wanted));
    // In tiles, and as it appears.
    bench.succeeds("predict test_coarse --model run --out tiles --device cpu --tile 32 --halo exact");
    bench.succeeds("watch test_coarse --model run --out watched --device cpu --until-idle 0.3");
    for folder in ["tiles", "watched"] {
        let other = bench.read(&format!("{folder}/s4.tif"));
        let distance = other.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(distance < 1e-2, "{folder}: {distance}");
    }
    let table = bench.succeeds("evaluate --model run --images test --device cpu");
    assert!(table.contains("bicubic") && table.contains("Lanczos") && table.contains("output"), "{table}");
    let said = bench.succeeds("inspect run");
    assert!(said.contains("2 times in y and x") && said.contains("made coarse"), "{said}");
}

#[test]
fn training_in_two_sittings_and_from_files_gives_the_same_bits() {
    let bench = bench();
    let alone = "--images fine --coarse-blur 0.6 --coarse-noise 5";
    for (kind, what) in [("alone", alone), ("pairs", "--images coarse --targets fine")] {
        let start = |more: &str, out: &str| {
            format!("train upscale --factor 2 {what} --val-fraction 0.25 {SHORT} {more} --out {kind}-{out}")
        };
        bench.succeeds(&start("--max-steps 8", "whole"));
        bench.succeeds(&start("--max-steps 8 --cache 0", "files"));
        bench.succeeds(&start("--max-steps 4 --cache 0", "parts"));
        bench.succeeds(&format!("train --resume {kind}-parts --max-steps 8"));
        bench.succeeds(&format!("train --config {kind}-whole/config.toml --out {kind}-again"));
        let whole = model(&bench, &format!("{kind}-whole"));
        for run in ["files", "parts", "again"] {
            let other = model(&bench, &format!("{kind}-{run}"));
            assert!(other.parameters == whole.parameters, "{kind} {run}");
            assert_eq!(other.upscaling, whole.upscaling);
        }
    }
    let coarsening = Coarsening { blur: 0.6, noise: 5.0 };
    assert_eq!(
        model(&bench, "alone-whole").upscaling,
        Some(Upscaling { factor: 2, coarsening: Some(coarsening) })
    );
    assert_eq!(model(&bench, "pairs-whole").upscaling, Some(Upscaling { factor: 2, coarsening: None }));
    // What somebody writes by hand, and images that are elsewhere now.
    let lines = "task = 'regress'\nfactor = 2\nimages = 'fine'\ncoarse_blur = 0.6\ncoarse_noise = 5.0\nval_fraction = 0.25\ndepth = 3\ncrop = 16\npatience = 0\nmax_steps = 8\ndevice = 'cpu'\n";
    bench.bytes("hand.toml", lines.as_bytes());
    bench.succeeds("train --config hand.toml --out hand");
    assert!(model(&bench, "hand").parameters == model(&bench, "alone-whole").parameters);
    std::fs::rename(bench.path("fine"), bench.path("moved")).unwrap();
    bench.refuses("train --resume alone-parts --max-steps 9", &["no longer there", "--images"]);
    bench.succeeds("train --resume alone-parts --images moved --max-steps 9");
    bench.refuses("train --resume alone-parts --factor 3 --max-steps 10", &["factor is 3 and was 2"]);
    // Noise is there in the scores of interpolation, too.
    let (_, noisy, _) = scores(&bench, "evaluate --model alone-whole --images test --device cpu --json");
    let (_, clean, _) = scores(&bench, "evaluate --model pairs-whole --images test --device cpu --json");
    assert!(noisy < clean - 0.2, "{noisy} {clean}");
}

#[test]
fn a_fine_scan_of_a_part_lies_where_it_is_said_to() {
    let bench = Bench::new();
    let fine: Vec<_> = (0..4).map(|seed| foam::phantom(96, seed)).collect();
    bench.float_stack("coarse.tif", &fine.iter().map(|slice| coarse(slice, 3)).collect::<Vec<_>>());
    let part = |slice: &Array2<f32>| slice.slice(s![12..72, 9..63]).as_standard_layout().into_owned();
    bench.float_stack("part.tif", &fine[1..3].iter().map(part).collect::<Vec<_>>());
    bench.float_stack("parts.tif", &fine.iter().map(part).collect::<Vec<_>>());
    let train =
        |more: &str| format!("train upscale --factor 3 --images coarse.tif {more} {SHORT} --max-steps 4");
    bench.succeeds(&train("--targets parts.tif --at 4,3 --val-fraction 0.25 --out all"));
    bench.succeeds(&train("--targets part.tif --at 1,4,3 --out part"));
    // Before a network has learnt anything, its loss is that of interpolation; a part that is elsewhere is nothing like it.
    let first_loss = |at: &str, out: &str| -> f64 {
        bench.succeeds(&train(&format!("--targets part.tif --at {at} --lr 1e-9 --out {out}")));
        let text = bench.text_of(&format!("{out}/history.csv"));
        let (header, line) = (text.lines().next().unwrap(), text.lines().last().unwrap());
        let column =
            header.split(',').position(|name| name == "training_loss").unwrap_or_else(|| panic!("{header}"));
        line.split(',').nth(column).unwrap().parse().unwrap()
    };
    let (right, wrong) = (first_loss("1,4,3", "right"), first_loss("1,6,5", "wrong"));
    assert!(right < 0.5 * wrong, "{right} {wrong}");
    // Judged where it lies, with a page.
    let judged = |at: &str| {
        scores(
            &bench,
            &format!(
                "evaluate --model part --images coarse.tif --targets part.tif --at {at} --device cpu --json"
            ),
        )
    };
    let (right, wrong) = (judged("1,4,3"), judged("1,6,5"));
    assert!(right.0 > wrong.0 + 3.0 && right.1 > wrong.1 + 3.0, "{right:?} {wrong:?}");
    let evaluate =
        "evaluate --model part --images coarse.tif --targets parts.tif --at 4,3 --device cpu --report page";
    bench.succeeds(&format!("{evaluate} --profile-row 17"));
    let page = bench.text_of("page/report.html");
    assert!(page.contains("bicubic") && page.contains("along row 17."), "{page}");
    bench.refuses(&format!("{evaluate} --profile-row 60"), &["--profile-row", "60", "rows 0 to 59"]);
    bench.refuses(&train("--targets part.tif --at 3,4,3 --out no"), &["4 slices", "slice 3", "--at"]);
    bench.refuses(&train("--targets part.tif --at 1,20,3 --out no"), &["part.tif", "coarse.tif", "--at"]);
    bench.refuses(&train("--targets part.tif --at 1,x --out no"), &["--at", "Y,X"]);
}

#[test]
fn results_have_pixels_that_are_smaller_by_the_factor() {
    let bench = bench();
    bench.succeeds(&format!(
        "train upscale --factor 2 --images coarse --targets fine {SHORT} --max-steps 1 --out run"
    ));
    let description = concat!(
        r#"<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">"#,
        r#"<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZTC" Type="uint16" SizeX="12" SizeY="10" "#,
        r#"SizeC="1" SizeZ="PAGES" SizeT="1" PhysicalSizeX="0.5" PhysicalSizeXUnit="&#181;m" PhysicalSizeY="0.8" "#,
        r#"PhysicalSizeYUnit="&#181;m" PhysicalSizeZ="2" PhysicalSizeZUnit="&#181;m">"#,
        r#"<Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData/></Pixels></Image></OME>"#
    );
    let page = Array2::from_shape_fn((10, 12), |(y, x)| (20 + 3 * y + 5 * x) as u16);
    for count in [1, 3] {
        let name = format!("stack{count}.ome.tif");
        bench.stack(&name, &vec![page.clone(); count], &description.replace("PAGES", &count.to_string()));
        for (out, more) in [("whole", ""), ("tiles", "--tile 16 --halo exact"), ("zarr", "--format zarr")] {
            bench.succeeds(&format!("predict {name} --model run --out {out}{count} --device cpu {more}"));
            let results = bench.names(&format!("{out}{count}"));
            let [result] = results.iter().filter(|name| !name.starts_with('.')).collect::<Vec<_>>()[..]
            else {
                panic!("{results:?}")
            };
            let path = bench.path(&format!("{out}{count}/{result}"));
            let volume = open_volume(path.to_str().unwrap()).unwrap();
            let extent = volume.extent();
            assert_eq!((extent.z, extent.y, extent.x), (count, 20, 24));
            let size = volume.voxel_size().unwrap();
            // A single image in OME-Zarr has no axis that says how far slices are apart.
            let z = if count == 1 && out == "zarr" { 0.4 } else { 2.0 };
            for (found, wanted) in [(size.z, z), (size.y, 0.4), (size.x, 0.25)] {
                assert!((found - wanted).abs() < 1e-6, "{result}: {size:?}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let bench = bench();
    let upscale = |more: &str| format!("train upscale {more} --max-steps 1 --device cpu --depth 2 --out run");
    bench.refuses(&upscale("--images fine"), &["--factor", "2, 3 or 4"]);
    bench.refuses(&upscale("--factor 5 --images fine"), &["--factor", "4"]);
    bench.refuses(
        &upscale("--factor 3 --images coarse --targets fine"),
        &["fine/s0.tif is 96 x 96", "coarse/s0.tif is 48 x 48", "144 x 144"],
    );
    bench.refuses(&upscale("--factor 2 --images fine --rotate 5"), &["--factor", "random changes"]);
    bench.refuses(
        &upscale("--factor 2 --images coarse --targets fine --coarse-noise 3"),
        &["--coarse-noise", "--targets"],
    );
    bench.refuses(
        "train segment --factor 2 --images fine --targets fine --out run",
        &["--factor", "segmentation"],
    );
    bench.refuses(
        "train regress --coarse-blur 2 --images a --targets b --out run",
        &["--coarse-blur", "--factor"],
    );
    bench.succeeds(&upscale("--factor 2 --images fine"));
    bench.succeeds("train upscale --factor 4 --images fine --max-steps 1 --device cpu --depth 2 --out four");
    bench.refuses(
        "predict coarse --model run --model four --out r --device cpu",
        &["2 times as fine", "4 times as fine"],
    );
    bench.refuses(
        "evaluate --model run --images fine --targets fine --device cpu",
        &["fine/s0.tif is 96 x 96", "192 x 192"],
    );
    let noted = bench.run("export run --onnx run.onnx");
    assert!(noted.code == 0 && noted.stderr.contains("bicubic"), "{}", noted.stderr);
    // Fine-tuning goes on from what was learnt.
    bench.succeeds("train upscale --factor 2 --images coarse --targets fine --init run --max-steps 1 --device cpu --out on");
    bench.refuses(
        "train upscale --factor 4 --images fine --init run --max-steps 1 --device cpu --out off",
        &["--factor", "--init"],
    );
}
