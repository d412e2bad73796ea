//! Times the steps of passes on the device's own clock.

use super::device::Device;
use super::memory::{self, Use};
use super::readback;
use crate::Result;

/// Spans in one set of queries, two queries each: the most that a set may hold.
const SPANS: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;
const QUERY_BYTES: u64 = wgpu::QUERY_SIZE as u64;

/// The clock's readings at the ends of compute passes.
struct Readings {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
}

/// Seconds by name. Each span is one compute pass: clocks within passes are not to be had everywhere.
pub(in crate::gpu) struct Timer {
    /// Made as they are needed, and kept.
    sets: Vec<Readings>,
    /// The names of the spans that were recorded and not collected yet.
    spans: Vec<&'static str>,
    /// In the order in which names first came.
    seconds: Vec<(&'static str, f64)>,
}

impl Timer {
    /// A timer, if `device` has a clock.
    pub fn new(device: &Device) -> Option<Self> {
        let has_clock = device.wgpu.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        has_clock.then(|| Self { sets: Vec::new(), spans: Vec::new(), seconds: Vec::new() })
    }

    /// What the compute pass that does `name` has to write.
    pub fn span(
        &mut self,
        device: &Device,
        name: &'static str,
    ) -> Result<wgpu::ComputePassTimestampWrites<'_>> {
        let (set, place) = (self.spans.len() / SPANS, self.spans.len() % SPANS);
        if set == self.sets.len() {
            self.sets.push(Readings::new(device)?);
        }
        self.spans.push(name);
        Ok(wgpu::ComputePassTimestampWrites {
            query_set: &self.sets[set].queries,
            beginning_of_pass_write_index: Some(2 * place as u32),
            end_of_pass_write_index: Some(2 * place as u32 + 1),
        })
    }

    /// Records, after the passes, that their readings are made readable.
    pub fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        for (set, spans) in self.sets.iter().zip(self.spans.chunks(SPANS)) {
            encoder.resolve_query_set(&set.queries, 0..2 * spans.len() as u32, &set.resolved, 0);
        }
    }

    /// Waits for the passes, which must have been submitted, and adds up what they took.
    pub fn collect(&mut self, device: &Device) -> Result<()> {
        let doing = "reading the device's clock";
        let period = f64::from(device.queue.get_timestamp_period()) * 1e-9;
        let spans = std::mem::take(&mut self.spans);
        for (set, names) in self.sets.iter().zip(spans.chunks(SPANS)) {
            let words: Vec<u32> =
                readback::read(device, Vec::new(), &set.resolved, 0..4 * names.len(), doing)?;
            let ticks = words.as_chunks::<2>().0.iter();
            let ticks: Vec<u64> = ticks.map(|[low, high]| u64::from(*high) << 32 | u64::from(*low)).collect();
            for (name, [start, end]) in names.iter().zip(ticks.as_chunks::<2>().0) {
                // Some clocks stand still for passes that are too short for them, or were reset while idle.
                add(&mut self.seconds, name, end.saturating_sub(*start) as f64 * period);
            }
        }
        Ok(())
    }

    /// The seconds so far, which then start anew.
    pub fn take(&mut self) -> Vec<(&'static str, f64)> {
        std::mem::take(&mut self.seconds)
    }
}

fn add(sums: &mut Vec<(&'static str, f64)>, name: &'static str, seconds: f64) {
    match sums.iter_mut().find(|(known, _)| *known == name) {
        Some((_, sum)) => *sum += seconds,
        None => sums.push((name, seconds)),
    }
}

impl Readings {
    fn new(device: &Device) -> Result<Self> {
        let queries = device.wgpu.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("steps"),
            ty: wgpu::QueryType::Timestamp,
            count: wgpu::QUERY_SET_MAX_QUERIES,
        });
        let bytes = u64::from(wgpu::QUERY_SET_MAX_QUERIES) * QUERY_BYTES;
        Ok(Self { queries, resolved: memory::buffer(device, "clock readings", bytes, Use::Queries)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::NO_ADAPTER;
    use crate::gpu::runtime::adapters::GpuAdapter;
    use crate::gpu::runtime::device::Extras;

    /// Deep networks in several pages take more spans than a set of queries holds.
    #[test]
    fn spans_beyond_one_set_are_counted_too() {
        let has_clock = |adapter: &GpuAdapter| adapter.0.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let mut adapters = crate::gpu::adapters().into_iter().map(|(adapter, _)| adapter).peekable();
        assert!(adapters.peek().is_some(), "{NO_ADAPTER}");
        let adapter = adapters.find(has_clock).expect(
            "no device here has a clock; install a software Vulkan, which has one (on Debian: apt-get install \
             mesa-vulkan-drivers libvulkan1)",
        );
        let device = Device::open(&adapter, None, Extras::default()).unwrap();
        let mut timer = Timer::new(&device).unwrap();
        let kernels = ["first", "second"];
        for round in 1..=2 {
            let mut encoder = device.wgpu.create_command_encoder(&Default::default());
            for span in 0..SPANS + 3 {
                let timestamp_writes = Some(timer.span(&device, kernels[span / SPANS]).unwrap());
                encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
            }
            timer.resolve(&mut encoder);
            device.queue.submit([encoder.finish()]);
            timer.collect(&device).unwrap();
            assert_eq!((timer.sets.len(), timer.spans.len()), (2, 0), "round {round}");
        }
        let seconds = timer.take();
        assert_eq!(seconds.iter().map(|(name, _)| *name).collect::<Vec<_>>(), kernels);
        assert!(seconds.iter().all(|(_, sum)| sum.is_finite() && *sum < 60.0), "{seconds:?}");
        assert!(timer.take().is_empty());
    }
}
