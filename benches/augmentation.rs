//! What it costs to make one sample of 256x256 pixels, on one thread.

use criterion::{Criterion, criterion_group, criterion_main};
use msd_gpu::geometry::Extent;
use msd_gpu::samples::{Augmentation, Item, Sample, Sampler, Target};
use ndarray::{Array2, Axis};

fn augmentation(criterion: &mut Criterion) {
    let classes = Array2::from_shape_fn((512, 512), |(y, x)| u32::from((y / 40 + x / 30) % 2 == 0));
    let image = classes.mapv(|class| class as f32 * 2.0 - 1.0).insert_axis(Axis(0));
    let item = Item::from(Sample::new("", image, Target::Classes(classes)));
    // Each case with the settings that are not 0.
    let cases: [(&str, &[(&str, &str)]); 9] = [
        ("crop and symmetry", &[]),
        ("rotate and scale", &[("rotate", "10"), ("scale", "0.1")]),
        ("elastic", &[("elastic", "4")]),
        ("blur", &[("blur", "1")]),
        ("contrast and brightness", &[("contrast", "0.2"), ("brightness", "0.2")]),
        ("gamma", &[("gamma", "0.3")]),
        ("poisson", &[("poisson", "0.1")]),
        ("noise", &[("noise", "0.1")]),
        (
            "all",
            &[
                ("rotate", "10"),
                ("scale", "0.1"),
                ("elastic", "4"),
                ("blur", "1"),
                ("contrast", "0.2"),
                ("brightness", "0.2"),
                ("gamma", "0.3"),
                ("poisson", "0.1"),
                ("noise", "0.1"),
            ],
        ),
    ];
    let sampler = Sampler::new(vec![Extent::plane(512, 512)], Some(256), true, 1).expect("a size");
    let mut group = criterion.benchmark_group("sample of 256x256");
    for (name, settings) in cases {
        let mut augmentation = Augmentation::default();
        settings.iter().for_each(|(name, text)| augmentation.set(name, text).expect("a strength"));
        let mut n = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                n += 1;
                let draw = sampler.draw(n).expect("a draw");
                augmentation.apply(&item, &draw, 1, n).expect("a sample")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, augmentation);
criterion_main!(benches);
