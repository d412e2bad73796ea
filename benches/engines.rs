//! Forward passes and training steps of the CPU engine: `cargo bench`.
//!
//! For a device and a size of your own, and for GPUs, use `msd-gpu bench`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use msd_gpu::cpu::{CpuEngine, CpuOptions};
use msd_gpu::engine::{Adam, Engine, Images, Loss, Targets};
use msd_gpu::geometry::{Extent, Shape};
use msd_gpu::network::{Architecture, initialise};

fn engines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cpu");
    group.sample_size(10);
    for (size, depth) in [(64, 20), (128, 30), (256, 50)] {
        let architecture = Architecture::new(1, 2, depth);
        let parameters = initialise(&architecture, 1);
        let pixels = size * size;
        let shape = Shape { batch: 1, extent: Extent::plane(size, size) };
        let images =
            Images { shape, pixels: (0..pixels).map(|i| (i * 7919 % 1009) as f32 / 500.0 - 1.0).collect() };
        let targets = Targets::classes((0..pixels).map(|i| (i / 100 % 2) as u32).collect());
        // Multiply-adds of a forward pass.
        group.throughput(Throughput::Elements((9 * architecture.filter_count() * pixels) as u64));
        for block in [1, 10] {
            let name = format!("{size}x{size}, depth {depth}, block {block}");
            let options = CpuOptions { block: Some(block) };
            let mut engine =
                CpuEngine::new(&architecture, &parameters, &options).expect("the network is usable");
            group.bench_function(BenchmarkId::new("forward", &name), |b| b.iter(|| engine.forward(&images)));
            let mut step = 0;
            group.bench_function(BenchmarkId::new("train_step", &name), |b| {
                b.iter(|| {
                    step += 1;
                    engine.accumulate(&images, &targets, Loss::CrossEntropy, 1.0 / pixels as f32)?;
                    engine.update(&Adam::new(1e-3, step))
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, engines);
criterion_main!(benches);
