//! `msd-gpu serve`: the portal, where a project is labelled, trained and looked at in a browser.

use std::path::PathBuf;

use clap::Args;

use super::console;
use super::interrupt::Interrupt;
use crate::Result;
use crate::portal::{Options, Server};

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Folder of the project, which is made if it is not there
    #[arg(long, value_name = "DIR")]
    project: PathBuf,
    /// Address to listen on; one that other machines can reach needs the token in the link that is printed, and is plain HTTP
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8765")]
    listen: String,
    /// Folder that images may be added from, beside the project; may be given several times [default: the present folder]
    #[arg(long, value_name = "DIR")]
    allow: Vec<PathBuf>,
    /// Device: auto, cpu, gpu, an index or part of a name from `msd-gpu devices`
    #[arg(long, default_value = "auto")]
    device: String,
}

/// Serves a project until it is interrupted.
pub fn run(arguments: ServeArguments) -> Result<()> {
    let ServeArguments { project, listen, allow, device } = arguments;
    let interrupt = Interrupt::listen("ending: what was drawn is kept; a second time ends at once");
    let server = Server::open(&Options { project, listen, allow, device })?;
    if server.is_open_to_others() {
        log::warn!(
            "other machines can reach this, and plain HTTP can be read on the way: the link is for people you trust, in a network you trust"
        );
    }
    console::line(server.link());
    log::info!("open the link in a browser; Ctrl-C ends the server");
    server.run(move || interrupt.flow().is_break())
}
