//! The server: addresses, who may ask, and what is answered.
//!
//! - `guard`: which requests are listened to at all, and headers of all answers.
//! - `answers`: errors as JSON, bodies read as JSON, work that blocks.
//! - `page`: the page and its files. `events`: the stream of news.
//! - `about`: the project, its classes and settings. `images`: images in and out, their tiles. `drawing`: the journal and labels.
//! - `cuts`: what lies over cuts through a stack.
//! - `training`: the live loop. `jobs`: predictions. `received`: files that are sent here. `sent`: files to download.
//! - `connections`: how many there are at once, and how long they may take.
//! - `server`: all of it behind an address ([`Server`]).

mod about;
mod answers;
mod connections;
mod cuts;
mod drawing;
mod events;
mod guard;
mod images;
mod jobs;
mod page;
mod received;
mod sent;
mod server;
mod training;

pub use server::{Options, Server};

use std::sync::Arc;

use tokio::sync::watch;

use super::events::Events;
use super::jobs::Jobs;
use super::live::Live;
use super::project::Project;

/// What all answers are made from.
#[derive(Debug)]
struct App {
    project: Arc<Project>,
    live: Arc<Live>,
    jobs: Jobs,
    events: Events,
    /// The device in words.
    device: String,
    guard: guard::Guard,
    /// Becomes true when the server ends.
    closing: watch::Receiver<bool>,
}

type AppState = axum::extract::State<Arc<App>>;
