//! What stands in for GPUs in a build without them: a type of which there is no value.

use super::{TuningPolicy, Variant};
use crate::Result;
use crate::engine::{BackProjector, DeviceInfo, DeviceLimits, Engine, Peaks, Precision};
use crate::geometry::Shape;
use crate::network::Architecture;

/// A GPU, which this build cannot have.
#[derive(Debug, Clone)]
pub(super) enum Gpu {}

impl Gpu {
    /// No GPUs.
    pub(super) fn list() -> Vec<(DeviceInfo, Self)> {
        Vec::new()
    }

    pub(super) fn back_projector(&self) -> Result<Box<dyn BackProjector>> {
        match *self {}
    }

    pub(super) fn with_policy(self, _: TuningPolicy) -> Self {
        self
    }

    pub(super) fn has_halves(&self) -> bool {
        match *self {}
    }

    pub(super) fn with_precision(self, _: Precision) -> Self {
        self
    }

    pub(super) fn precision(&self) -> Precision {
        match *self {}
    }

    pub(super) fn without_search(self) -> Self {
        self
    }

    pub(super) fn with_tuning(self, _: &str) -> Self {
        self
    }

    pub(super) fn with_tiles(self, _: &str) -> Result<Self> {
        match self {}
    }

    pub(super) fn tuned_for(self, _: &Architecture, _: Shape) -> Self {
        self
    }

    pub(super) fn tuning(&self) -> String {
        match *self {}
    }

    pub(super) fn open(&self, _: &Architecture, _: &[f32]) -> Result<Box<dyn Engine>> {
        match *self {}
    }

    pub(super) fn open_variant(&self, _: &Architecture, _: &[f32], _: &Variant) -> Result<Box<dyn Engine>> {
        match *self {}
    }

    pub(super) fn every_kernel(&self) -> Vec<String> {
        match *self {}
    }

    pub(super) fn try_open(&self) -> Result<()> {
        match *self {}
    }

    pub(super) fn limits(&self) -> DeviceLimits {
        match *self {}
    }

    pub(super) fn fault(&self) -> Option<String> {
        match *self {}
    }

    pub(super) fn peaks(&self) -> Result<Peaks> {
        match *self {}
    }
}
