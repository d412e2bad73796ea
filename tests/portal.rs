//! The portal as a page and a script use it: over plain HTTP, with servers that are ended and killed.

#[path = "portal/browser.rs"]
mod browser;
#[path = "portal/chromium.rs"]
mod chromium;
#[path = "portal/client.rs"]
mod client;
#[path = "portal/denoising.rs"]
mod denoising;
#[path = "portal/hostile.rs"]
mod hostile;
#[path = "portal/killed.rs"]
mod killed;
#[path = "portal/stacks.rs"]
mod stacks;
#[path = "portal/story.rs"]
mod story;
#[path = "portal/training.rs"]
mod training;
