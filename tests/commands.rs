//! The subcommands that apply models, as a person at a terminal sees them.

mod support;

#[path = "commands/bad_input.rs"]
mod bad_input;
#[path = "commands/convert.rs"]
mod convert;
#[path = "commands/denoise.rs"]
mod denoise;
#[path = "commands/doctor.rs"]
mod doctor;
#[path = "commands/evaluate.rs"]
mod evaluate;
#[path = "commands/help.rs"]
mod help;
#[path = "commands/initial.rs"]
mod initial;
#[path = "commands/inspect.rs"]
mod inspect;
#[path = "commands/large_volumes.rs"]
mod large_volumes;
#[path = "commands/limits.rs"]
mod limits;
#[path = "commands/machine.rs"]
mod machine;
#[path = "commands/memory.rs"]
mod memory;
#[path = "commands/models.rs"]
mod models;
#[path = "commands/names.rs"]
mod names;
#[path = "commands/ome.rs"]
mod ome;
#[path = "commands/optimisation.rs"]
mod optimisation;
#[path = "commands/passes.rs"]
mod passes;
#[path = "commands/precision.rs"]
mod precision;
#[path = "commands/predict.rs"]
mod predict;
#[path = "commands/pyramids.rs"]
mod pyramids;
#[path = "commands/ranks.rs"]
mod ranks;
#[path = "commands/results.rs"]
mod results;
#[path = "commands/resume.rs"]
mod resume;
#[path = "commands/shares.rs"]
mod shares;
#[path = "commands/slabs.rs"]
mod slabs;
#[path = "commands/space.rs"]
mod space;
#[path = "commands/strokes.rs"]
mod strokes;
#[path = "commands/tensorboard.rs"]
mod tensorboard;
#[path = "commands/three_dimensions.rs"]
mod three_dimensions;
#[path = "commands/tomo.rs"]
mod tomo;
#[path = "commands/train.rs"]
mod train;
#[path = "commands/train_data.rs"]
mod train_data;
#[path = "commands/tune.rs"]
mod tune;
#[path = "commands/upscale.rs"]
mod upscale;
#[path = "commands/volumes.rs"]
mod volumes;
#[path = "commands/watch.rs"]
mod watch;
