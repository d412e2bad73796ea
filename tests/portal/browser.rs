//! The whole story in a real browser: Chromium, driven by ChromeDriver over plain HTTP.
//!
//! With MSD_GPU_SCREENSHOTS=FOLDER it leaves pictures of the page there, light and dark.

use std::process::Command;
use std::time::{Duration, Instant};

use msd_gpu::images::{discover, read_labels, write_png_grey8};
use msd_gpu::phantom::shapes;
use ndarray::Array2;
use serde_json::{Value, json};

use crate::chromium::Browser;
use crate::client::{Bench, Server};

/// What the sample project is made of.
const SIZE: usize = 256;
const NOISE: f32 = 0.15;

/// Whether each pixel of a sample image is of a shape.
fn truth(seed: u64) -> Array2<bool> {
    shapes::phantom(SIZE, NOISE, seed).labels.mapv(|label| label != 0)
}

/// Up to `count` rows with a stretch of `length` pixels that are all `wanted`, with as many as two beside it; the middle row, and the
/// first column of each.
fn stretches(truth: &Array2<bool>, wanted: bool, length: usize, count: usize) -> Vec<(usize, usize)> {
    let fits = |y: usize, x: usize| {
        let area = truth.slice(ndarray::s![y - 2..=y + 2, x - 2..x + length + 2]);
        area.iter().all(|shape| *shape == wanted)
    };
    let mut found = Vec::new();
    for part in 0..count {
        let rows = 8 + part * (SIZE - 16) / count..8 + (part + 1) * (SIZE - 16) / count;
        // Each beginning elsewhere, so that they are not all in one corner.
        let columns = (0..SIZE - length - 8).map(|x| 4 + (x + part * 97) % (SIZE - length - 8));
        let places = rows.flat_map(|y| columns.clone().map(move |x| (y, x)));
        found.extend(places.into_iter().find(|&(y, x)| fits(y, x)));
    }
    found
}

/// The overlap of what is found with what is there (Dice).
fn dice(found: &[Array2<bool>], truth: &[Array2<bool>]) -> f64 {
    let (mut both, mut all) = (0, 0);
    for (found, truth) in found.iter().zip(truth) {
        both += found.iter().zip(truth).filter(|(a, b)| **a && **b).count();
        all += found.iter().chain(truth).filter(|shape| **shape).count();
    }
    2.0 * both as f64 / all as f64
}

/// What the strokes alone give: each pixel as the nearest one with a label.
fn nearest(labels: &[u8]) -> Array2<bool> {
    let drawn: Vec<(usize, u8)> =
        labels.iter().copied().enumerate().filter(|(_, label)| *label != 255).collect();
    Array2::from_shape_fn((SIZE, SIZE), |(y, x)| {
        let far = |place: usize| (place / SIZE).abs_diff(y).pow(2) + (place % SIZE).abs_diff(x).pow(2);
        drawn.iter().min_by_key(|(place, _)| far(*place)).is_some_and(|(_, label)| *label == 1)
    })
}

/// What a random forest on filter responses makes of the images from the same strokes; `None` where there is no Python for it.
fn forest(bench: &Bench, labels: &[u8]) -> Option<Vec<Array2<bool>>> {
    let Some(python) = std::env::var_os("MSD_GPU_PYTHON") else {
        assert!(std::env::var_os("MSD_GPU_ALL_CHECKS").is_none(), "MSD_GPU_PYTHON names no Python");
        return None;
    };
    let strokes = bench.path("strokes.raw");
    std::fs::write(&strokes, labels).unwrap();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/portal/forest.py");
    let images = (1..=4).map(|seed| bench.path(&format!("project/images/sample-{seed}.tif")));
    let found = Command::new(python).arg(script).arg(strokes).args(images).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let planes = found.stdout.chunks_exact(SIZE * SIZE);
    Some(planes.map(|plane| Array2::from_shape_fn((SIZE, SIZE), |(y, x)| plane[y * SIZE + x] == 1)).collect())
}

fn labels(server: &Server) -> Vec<u8> {
    server.get("/api/images/i1/0/labels/0/0/0").body
}

/// From the first look at the page to a segmentation of all images, by mouse and buttons alone.
#[test]
#[ignore = "needs Chromium and ChromeDriver; tests/run.sh installs and runs it"]
fn from_the_sample_project_to_its_segmentation_in_a_browser() {
    let bench = Bench::new();
    let server = bench.serve();
    let browser = Browser::start();
    browser.open(&server.address);
    browser.shot("welcome");
    browser.click("#open-sample");
    browser.until(60, "return document.querySelectorAll('#class-list li').length === 2");
    browser.until(60, "return document.querySelectorAll('#image-list li').length === 4");
    if browser.script("return !document.querySelector('#tour-card').hidden") == json!(true) {
        browser.shot("tour");
        browser.click("#tour-end");
    }
    browser.click("#tab-label");

    // Where the image is on the screen: all of it is seen, in the middle.
    let edges = browser.script("const b = document.querySelector('#picture').getBoundingClientRect(); return [b.x, b.y, b.width, b.height]");
    let edge = |index: usize| edges[index].as_f64().unwrap();
    let scale = (edge(2) / SIZE as f64).min(edge(3) / SIZE as f64);
    let on_screen = |y: usize, x: usize| {
        let middle = |start: f64, length: f64| start + length / 2.0;
        let from_middle = |place: usize| (place as f64 + 0.5 - SIZE as f64 / 2.0) * scale;
        (middle(edge(0), edge(2)) + from_middle(x), middle(edge(1), edge(3)) + from_middle(y))
    };
    // A narrow brush.
    while browser
        .script("return Number(document.querySelector('#tool-settings input[type=number]').value) > 4")
        == json!(true)
    {
        browser.key("[");
    }
    let shapes = truth(1);
    for (class, wanted, length) in [("1", false, 24), ("2", true, 10)] {
        browser.key(class);
        for (y, x) in stretches(&shapes, wanted, length, 5) {
            browser.drag(on_screen(y, x), on_screen(y, x + length - 1));
        }
    }
    browser.until(30, "return document.querySelector('#saving').textContent.includes('saved')");
    let drawn = labels(&server);
    // They are where they were meant to be.
    let of = |class: u8| drawn.iter().zip(&shapes).filter(move |(label, _)| **label == class);
    for class in [0, 1] {
        let right = of(class).filter(|(_, shape)| **shape == (class == 1)).count();
        assert!(
            right > 60 && right as f64 > 0.97 * of(class).count() as f64,
            "{class}: {right} of {}",
            of(class).count()
        );
    }
    browser.shot("strokes");

    // An image is taken out, and put back with its labels.
    browser.click("#image-list li:first-child .icon-button");
    browser.click("#remove-dialog button[value=yes]");
    browser.until(30, "return document.querySelectorAll('#image-list li').length === 3");
    assert_eq!(browser.script("return document.querySelector('#taken-out').open"), json!(false));
    browser.click("#taken-out summary");
    browser.click("#taken-out-list button");
    browser.until(30, "return document.querySelectorAll('#image-list li').length === 4");
    browser.until(30, "return document.querySelector('#taken-out').hidden");
    browser.until(
        30,
        "return document.querySelector('#image-list li:first-child').classList.contains('chosen')",
    );
    assert_eq!(labels(&server), drawn);

    // Undone and done again, and all is there after the page was loaded anew.
    browser.click("#undo");
    browser.until(30, "return document.querySelector('#saving').textContent.includes('saved')");
    let end = Instant::now() + Duration::from_secs(30);
    while labels(&server) == drawn {
        assert!(Instant::now() < end, "nothing is undone");
    }
    browser.tell("/refresh", &json!({}));
    browser.ready();
    browser.click("#redo");
    while labels(&server) != drawn {
        assert!(Instant::now() < end + Duration::from_secs(30), "nothing is done again");
    }

    let (width, height, before) = browser.picture();
    browser.click("#tab-train");
    browser.click("#train");
    browser.until(60, "return /step|Training/.test(document.querySelector('#training-state').textContent)");
    std::thread::sleep(Duration::from_secs(30));
    // A machine that does other things meanwhile gets longer for the steps that two cores make in half of that time.
    let steps = || server.get("/api/training").json()["step"].as_u64().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while steps() < 250 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(200));
    }
    println!("{} steps", steps());
    let (now_width, now_height, after) = browser.picture();
    assert_eq!((width, height), (now_width, now_height));
    let changed = before.iter().zip(&after).filter(|(a, b)| a.abs_diff(**b) > 8).count();
    assert!(
        changed * 20 > before.len(),
        "the picture shows nothing of the network: {changed} of {}",
        before.len()
    );
    browser.shot("training");

    browser.click("#tab-results");
    browser.click("#run");
    browser.until(120, "return document.querySelector('#jobs').textContent.includes('finished')");
    browser.shot("results");
    let names = browser
        .script("return [...document.querySelectorAll('#jobs a')].map((link) => link.getAttribute('href'))");
    let mut found = Vec::new();
    for link in
        names.as_array().unwrap().iter().filter_map(Value::as_str).filter(|link| link.ends_with(".tif"))
    {
        let path = bench.path(&format!("found-{}.tif", found.len()));
        std::fs::write(&path, server.get(link).body).unwrap();
        let page = &discover(&path.display().to_string()).unwrap()[0];
        found.push(read_labels(page).unwrap().mapv(|label| label == 1));
    }
    let wanted: Vec<Array2<bool>> = (1..=4).map(truth).collect();
    assert_eq!(found.len(), 4);
    let (network, strokes) = (dice(&found, &wanted), dice(&[nearest(&drawn)], &wanted[..1]));
    println!(
        "Dice of the network on all images {network:.3}, of the nearest label on the labelled one {strokes:.3}"
    );
    let trees = forest(&bench, &drawn).map(|trees| dice(&trees, &wanted));
    println!("Dice of a random forest on the same strokes, on all images {trees:.3?}");
    assert!(network > strokes + 0.2, "{network} {strokes}");
    assert!(trees.is_none_or(|trees| network > trees), "{network} {trees:?}");
    drop(browser);
    assert_eq!(server.end(), 130);
}

/// A folder of slices on the server, and files that are uploaded, become a stack each; labels and the brush show in its cuts.
#[test]
#[ignore = "needs Chromium and ChromeDriver; tests/run.sh installs and runs it"]
fn slices_become_a_stack_that_is_cut_in_a_browser() {
    let bench = Bench::new();
    let folder = bench.path("data/scan");
    std::fs::create_dir(&folder).unwrap();
    let files: Vec<_> = (1..=12).map(|number| folder.join(format!("z{number}.png"))).collect();
    for (number, file) in files.iter().enumerate() {
        let plane = Array2::from_shape_fn((50, 60), |(y, x)| (y + x + number * 5) as u8);
        write_png_grey8(file, &plane).unwrap();
    }
    let server = bench.serve();
    server.post("/api/classes", &json!({ "name": "a", "colour": "#1030ff" })).json();
    let browser = Browser::start();
    browser.open(&server.address);
    browser.script(
        "document.querySelector('#tour-end').click(); document.querySelector('#path').value = 'scan'",
    );
    browser.click("#add");
    browser.until(30, "return document.querySelector('#stack-dialog').open");
    let asked = browser.script(
        "return document.querySelector('#stack-question').textContent + document.activeElement.textContent",
    );
    let asked = asked.as_str().unwrap();
    assert!(asked.contains("12 files of “scan”") && asked.ends_with("One stack of 12 slices"), "{asked}");
    browser.click("#stack-one");
    browser.until(30, "return !document.querySelector('#slices').hidden");
    assert_eq!(browser.script("return document.querySelector('#slice').max"), json!("11"));
    // The same files from this computer.
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let input = browser.element("#upload");
    browser.tell(&format!("/element/{input}/value"), &json!({ "text": names.join("\n") }));
    browser.until(30, "return document.querySelector('#stack-dialog').open");
    browser.click("#stack-one");
    browser.until(60, "return document.querySelectorAll('#image-list li').length === 2");
    let images = server.get("/api/project").json()["images"].clone();
    assert_eq!((&images[0]["slices"], &images[1]["slices"]), (&json!(12), &json!(12)));

    // Labels are seen in the cut through them.
    let id = images[1]["id"].as_str().unwrap().to_owned();
    browser
        .until(30, &format!("return document.querySelector('#image-list li.chosen')?.dataset.id === '{id}'"));
    let stroke = json!({ "op": "stroke", "image": id, "slice": 4, "class": 0, "size": 5.0, "points": [[8.5, 25.5], [50.5, 25.5]], "depth": 1, "range": null });
    server.post("/api/journal", &json!({ "tab": "a", "entries": [stroke] })).json();
    browser.click("#orthogonal");
    let blue = |cut: &str| {
        format!(
            "const c = document.querySelector('#{cut} canvas'); const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 0; i < d.length; i += 4) if (d[i + 2] > d[i] + 60) n++; return n > 50"
        )
    };
    browser.until(30, &blue("cut-xz"));
    browser.until(30, &blue("cut-yz"));
    browser.click("#labels-shown");
    browser.until(30, &blue("cut-xz").replace("n > 50", "n === 0"));
    drop(browser);
    drop(server);
}

/// How much neighbours in a row differ in the middle half of a picture, on average.
fn roughness((width, height, pixels): &(u32, u32, Vec<u8>)) -> f64 {
    let (width, height) = (*width as usize, *height as usize);
    let red = |y: usize, x: usize| f64::from(pixels[3 * (y * width + x)]);
    let places = (height / 4..3 * height / 4).flat_map(|y| (width / 4..3 * width / 4).map(move |x| (y, x)));
    let (sum, count) =
        places.fold((0.0, 0), |(sum, count), (y, x)| (sum + (red(y, x) - red(y, x + 4)).abs(), count + 1));
    sum / f64::from(count)
}

/// From the choice at the first start to denoised images, by mouse and buttons alone.
#[test]
#[ignore = "needs Chromium and ChromeDriver; tests/run.sh installs and runs it"]
fn from_noisy_and_clean_images_to_denoised_ones_in_a_browser() {
    let bench = Bench::new();
    let server = bench.serve();
    let browser = Browser::start();
    browser.open(&server.address);
    let is_shown = |selector: &str| {
        browser.script(&format!("return document.querySelector('{selector}').offsetParent !== null"))
            == json!(true)
    };
    assert!(is_shown("#undo") && !is_shown("#welcome input[name=welcome-learns-from]"));
    browser.click("#welcome input[name=task][value=denoise]");
    browser.until(30, "return document.documentElement.dataset.task === 'denoise'");
    browser.click("#welcome input[name=welcome-learns-from][value=pairs]");
    browser.until(30, "return document.querySelector('#role').options.length === 2");
    browser.shot("denoise-welcome");
    browser.click("#open-sample");
    browser.until(60, "return document.querySelectorAll('#image-list li').length === 12");
    if browser.script("return !document.querySelector('#tour-card').hidden") == json!(true) {
        browser.shot("denoise-tour");
        browser.click("#tour-end");
    }
    browser.click("#tab-label");
    browser.until(30, "return document.querySelector('#sources-text').textContent.includes('6 noisy images and 6 clean images')");
    assert!(!is_shown("#tools") && !is_shown("#undo") && is_shown("#learns-from-choices"));
    let roles = browser
        .script("return [...document.querySelectorAll('#image-list .role')].map((one) => one.value).join()");
    assert_eq!(roles, "noisy,noisy,noisy,noisy,noisy,noisy,clean,clean,clean,clean,clean,clean");
    browser.shot("denoise-images");
    // The pointer moves the picture, and draws nothing.
    browser.drag((500.0, 300.0), (560.0, 320.0));
    browser.click("#zoom-fit");
    std::thread::sleep(Duration::from_secs(1));
    let before = browser.picture();

    browser.click("#tab-train");
    browser.click("input[name=depth][value=small]");
    browser.click("#train");
    let end = Instant::now() + Duration::from_secs(240);
    let noisy = roughness(&before);
    let mut after = browser.picture();
    while roughness(&after) > 0.75 * noisy {
        assert!(Instant::now() < end, "the picture becomes no clearer: {} {noisy}", roughness(&after));
        std::thread::sleep(Duration::from_millis(500));
        after = browser.picture();
    }
    browser.until(120, "return document.querySelector('#training-line').textContent.includes('PSNR')");
    browser.shot("denoise-training");
    browser.click("#train");
    browser.until(60, "return document.querySelector('#training-state').textContent === 'Paused'");
    // As it was, left of the line; and without it all of it.
    let slide = |value: u32| {
        browser.script(&format!("const s = document.querySelector('#wipe'); s.value = {value}; s.dispatchEvent(new Event('input'))"));
        std::thread::sleep(Duration::from_secs(1));
    };
    slide(100);
    assert!(roughness(&browser.picture()) > 0.95 * noisy);
    slide(50);
    browser.shot("denoise-line");
    slide(0);
    browser.click("#beside option[value=bare]");
    std::thread::sleep(Duration::from_secs(1));
    assert!(is_shown("#picture-beside"));
    browser.shot("denoise-beside");
    browser.click("#beside option[value='']");

    browser.click("#tab-results");
    assert!(!is_shown("#product-classes"));
    browser.click("#run");
    browser.until(240, "return document.querySelector('#jobs').textContent.includes('finished')");
    browser.until(
        30,
        "return document.querySelector('#predict-command').textContent.startsWith('msd-gpu predict')",
    );
    assert!(
        browser
            .script("return document.querySelector('#command').textContent")
            .as_str()
            .unwrap()
            .starts_with("msd-gpu train denoise --pairs")
    );
    browser.click("[data-focus=look-j1]");
    browser.until(30, "return document.querySelector('#source').value === 'j1'");
    std::thread::sleep(Duration::from_secs(2));
    assert!(roughness(&browser.picture()) < 0.8 * noisy);
    browser.shot("denoise-results");
    let links = browser
        .script("return [...document.querySelectorAll('#jobs a')].map((link) => link.getAttribute('href'))");
    assert_eq!(links.as_array().unwrap().len(), 6);
    assert!(server.get("/api/journal?from=0").text().is_empty());
    drop(browser);
    assert_eq!(server.end(), 130);
}
