//! What people do without a network, for networks to be compared with.

mod total_variation;

pub use total_variation::total_variation;
