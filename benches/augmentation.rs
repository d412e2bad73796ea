//! What it costs to make one sample of 256x256 pixels, on one thread.

use criterion::{Criterion, criterion_group, criterion_main};
use msd_gpu::samples::{Augmentation, Sample, Sampler, Target};
use ndarray::{Array2, Axis};

fn augmentation(criterion: &mut Criterion) {
    let classes = Array2::from_shape_fn((512, 512), |(y, x)| u32::from((y / 40 + x / 30) % 2 == 0));
    let image = classes.mapv(|class| class as f32 * 2.0 - 1.0).insert_axis(Axis(0));
    let sample = Sample::new("", image, Target::Classes(classes));
    let off = Augmentation::default();
    let cases = [
        ("crop and symmetry", off),
        ("rotate and scale", Augmentation { rotate: 10.0, scale: 0.1, ..off }),
        ("elastic", Augmentation { elastic: 4.0, ..off }),
        ("blur", Augmentation { blur: 1.0, ..off }),
        ("contrast and brightness", Augmentation { contrast: 0.2, brightness: 0.2, ..off }),
        ("gamma", Augmentation { gamma: 0.3, ..off }),
        ("poisson", Augmentation { poisson: 0.1, ..off }),
        ("noise", Augmentation { noise: 0.1, ..off }),
        (
            "all",
            Augmentation {
                rotate: 10.0,
                scale: 0.1,
                elastic: 4.0,
                blur: 1.0,
                contrast: 0.2,
                brightness: 0.2,
                gamma: 0.3,
                poisson: 0.1,
                noise: 0.1,
            },
        ),
    ];
    let sampler = Sampler::new(vec![(512, 512)], Some(256), true, 1).expect("a size");
    let mut group = criterion.benchmark_group("sample of 256x256");
    for (name, augmentation) in cases {
        let mut n = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                n += 1;
                augmentation.apply(&sample, &sampler.draw(n), 1, n)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, augmentation);
criterion_main!(benches);
