//! All of it behind an address.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, patch, post, put};
use futures_util::future::select;
use tokio::sync::watch;

use super::answers::{Problem, errors_as_json};
use super::connections::with_whole_body;
use super::guard::{Guard, guarded};
use super::{App, about, connections, cuts, drawing, events, images, jobs, page, received, sent, training};
use crate::portal::events::Events;
use crate::portal::jobs::Jobs;
use crate::portal::live::Live;
use crate::portal::project::Project;
use crate::{Error, Result, devices};

/// Most bytes of a body that is no file.
pub(super) const MOST_BYTES: usize = 16 << 20;
/// Requests that are still under way when the server ends have so long.
const GRACE: Duration = Duration::from_secs(3);
/// Threads for work that reads files or computes: each may hold some megabytes.
const WORKERS: usize = 16;

/// What is served, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of the project, which is made where it is not there.
    pub project: PathBuf,
    /// The address, such as `127.0.0.1:8765`; with port 0 the system chooses one.
    pub listen: String,
    /// Folders that images may be taken from; the present folder where there are none.
    pub allow: Vec<PathBuf>,
    /// The device that networks run on, as [`devices::choose`] takes it.
    pub device: String,
}

/// A server that is ready to answer.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    closing: watch::Sender<bool>,
}

/// Takes the address.
fn listen(address: &str) -> Result<TcpListener> {
    let wanted = "it must be an address with a port, such as 127.0.0.1:8765";
    let mut addresses = address
        .to_socket_addrs()
        .map_err(|error| Error::setting("listen", address, format!("{wanted} ({error})")))?;
    let first = addresses.next().ok_or_else(|| Error::setting("listen", address, wanted))?;
    TcpListener::bind(first).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            let next = SocketAddr::new(first.ip(), first.port().wrapping_add(1).max(1024));
            let wanted = format!(
                "another program has that port; if it is a msd-gpu serve of this project, open its page, else give another one, such as `listen {next}`"
            );
            Error::setting("listen", address, wanted)
        }
        _ => Error::setting("listen", address, format!("the system refuses that ({error}); give another address")),
    })
}

impl Server {
    /// Opens the project and takes the address.
    ///
    /// # Errors
    /// [`Error::Setting`] for an address that cannot be had; [`Error::NoDevice`]; else as [`Project::open`].
    pub fn open(options: &Options) -> Result<Self> {
        let device = devices::choose(&options.device)?.info;
        let listener = listen(&options.listen)?;
        let failed = |error: std::io::Error| {
            Error::setting(
                "listen",
                &options.listen,
                format!("the system refuses that ({error}); give another address"),
            )
        };
        listener.set_nonblocking(true).map_err(failed)?;
        let guard = Guard::new(listener.local_addr().map_err(failed)?)?;
        let here = [PathBuf::from(".")];
        let allowed = if options.allow.is_empty() { &here[..] } else { &options.allow[..] };
        let project = Arc::new(Project::open(&options.project, allowed)?);
        let events = Events::default();
        let live = Arc::new(Live::new(project.clone(), events.clone(), options.device.clone()));
        let models = live.clone();
        let jobs =
            Jobs::open(project.clone(), move || models.model_file(), events.clone(), options.device.clone())?;
        let (closing, closes) = watch::channel(false);
        let app = Arc::new(App { project, live, jobs, events, device: device.name, guard, closing: closes });
        Ok(Self { app, listener, closing })
    }

    /// The link that a person opens, with the token where one is needed.
    pub fn link(&self) -> String {
        self.app.guard.link()
    }

    /// Whether others than this machine can reach it, which then need the token; what they send can be read on the way.
    pub fn is_open_to_others(&self) -> bool {
        self.app.guard.token().is_some()
    }

    /// Answers until `stops` says yes, which is asked every tenth of a second; then ends training and jobs in good order and writes labels
    /// that have changed to files.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where the system gives no threads; [`Error::Output`] for labels that cannot be written.
    pub fn run(self, stops: impl Fn() -> bool + Send + 'static) -> Result<()> {
        let Self { app, listener, closing } = self;
        let failed = |error: std::io::Error| {
            Error::Mismatch(format!("the server cannot run: {error}; end other programs"))
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(WORKERS)
            .enable_all()
            .build()
            .map_err(failed)?;
        let served = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let mut later = closing.subscribe();
            let server = connections::serve(listener, router(app.clone()), closing.subscribe());
            tokio::spawn(async move {
                while !stops() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                closing.send(true).ok();
            });
            let late = async move {
                later.wait_for(|closes| *closes).await.ok();
                tokio::time::sleep(GRACE).await;
            };
            select(pin!(server), pin!(late)).await;
            Ok(())
        });
        runtime.shutdown_timeout(GRACE);
        app.live.close();
        app.jobs.close();
        app.project.write_changed_labels()?;
        served.map_err(failed)
    }
}

/// All addresses.
fn router(app: Arc<App>) -> Router {
    let missing = || async { Problem::missing("address") };
    Router::new()
        .route("/", get(page::index))
        .route("/static/{name}", get(page::part))
        .route("/api/project", get(about::project).patch(about::change))
        .route("/api/settings", get(about::settings))
        .route("/api/classes", post(about::add_class))
        .route("/api/classes/{class}", patch(about::change_class))
        .route("/api/events", get(events::stream))
        .route("/api/images", post(images::add))
        .route("/api/images/{id}", delete(images::remove).patch(images::change))
        .route("/api/sample", post(images::add_sample))
        .route("/api/browse", get(images::browse))
        .route("/api/upload/{name}", put(received::upload))
        .route("/api/upload-stack/{key}", post(received::end_stack).delete(received::forget_stack))
        .route("/api/import/{id}", post(received::import))
        .route("/api/images/{id}/{slice}/tiles/{level}/{ty}/{tx}", get(images::tile))
        .route("/api/images/{id}/views/{axis}/{at}/{level}", get(images::view))
        .route("/api/images/{id}/views/{axis}/{at}/{level}/{layer}", get(cuts::layer))
        .route("/api/images/{id}/{slice}/labels/{level}/{ty}/{tx}", get(drawing::tile))
        .route("/api/images/{id}/{slice}/result/{level}/{ty}/{tx}", get(training::tile))
        .route("/api/images/{id}/{slice}/jobs/{job}/{level}/{ty}/{tx}", get(jobs::tile))
        .route("/api/journal", get(drawing::entries).post(drawing::append))
        .route("/api/undo", post(drawing::undo))
        .route("/api/redo", post(drawing::redo))
        .route("/api/training", get(training::status).post(training::act))
        .route("/api/view", post(training::look))
        .route("/api/least-sure", post(training::least_sure))
        .route("/api/command", get(training::command))
        .route("/api/model", get(sent::model))
        .route("/api/export/labels", get(sent::labels))
        .route("/api/jobs", get(jobs::all).post(jobs::add))
        .route("/api/jobs/{job}", delete(jobs::stop))
        .route("/api/jobs/{job}/files/{name}", get(jobs::file))
        .fallback(missing)
        .layer(from_fn(with_whole_body))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .layer(from_fn(errors_as_json))
        .layer(from_fn_with_state(app.clone(), guarded))
        .with_state(app)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn all_addresses_are_documented_and_no_others() {
        const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
        // Up to here, so that the words of this test do not count.
        let source = include_str!("server.rs").split("#[cfg(test)]").next().unwrap();
        let served: BTreeSet<String> = source
            .split(".route(\"")
            .skip(1)
            .flat_map(|route| {
                let (path, handlers) = route.split_once("\", ").unwrap();
                let handlers = handlers.split(".fallback").next().unwrap().split(".route").next().unwrap();
                let methods = METHODS.into_iter().filter(|method| {
                    handlers.split(|c: char| !c.is_alphanumeric() && c != ':').any(|word| word == *method)
                });
                methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
            })
            .collect();
        let documented: BTreeSet<String> = include_str!("../../../assets/portal-api.md")
            .lines()
            .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
            .collect();
        assert!(served.contains("PATCH /api/images/{id}") && served.contains("GET /"));
        assert_eq!(served, documented);
    }
}
