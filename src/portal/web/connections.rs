//! Connections: how many there are at once, and how long a client may take to say what it wants.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::future::{Either, select};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::answers::Problem;
use super::server::MOST_BYTES;

/// Most connections at once. A page has six at most; those that come when there are so many wait for one to end.
const MOST: u32 = 512;
/// The headers of a request have to be here after so long, also where nothing of it has come yet.
const HEADERS: Duration = Duration::from_secs(10);
/// A body that is no file has to be here after so long.
const BODY: Duration = Duration::from_secs(20);
/// How long to wait before the next connection is accepted, after the system refused one.
const NO_ROOM: Duration = Duration::from_millis(500);

/// Waits for the whole body of a request that sends no file, so that a client that sends nothing more does not keep its place for ever.
pub(super) async fn with_whole_body(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path.starts_with("/api/upload/") || path.starts_with("/api/import/") {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let problem = match timeout(BODY, to_bytes(body, MOST_BYTES)).await {
        Ok(Ok(bytes)) => return next.run(Request::from_parts(parts, Body::from(bytes))).await,
        // So says the library of a body that is longer.
        Ok(Err(error)) if error.to_string().contains("length limit") => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body of the request is too large")
        }
        Ok(Err(_)) => Problem::bad("the body of the request has not come whole; send it again"),
        Err(_) => Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body of the request has not come in time; send it again",
        ),
    };
    problem.into_response()
}

/// What comes first: what `work` gives, or `None` where the server is to end.
async fn unless_closing<T>(work: impl Future<Output = T>, closes: &mut watch::Receiver<bool>) -> Option<T> {
    match select(pin!(work), pin!(closes.wait_for(|closes| *closes))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

/// Answers until `closes` says yes; then ends when the requests are done that have come until then.
pub(super) async fn serve(listener: TcpListener, router: Router, mut closes: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(MOST as usize));
    loop {
        let Some(Ok(place)) = unless_closing(places.clone().acquire_owned(), &mut closes).await else {
            break;
        };
        let Some(accepted) = unless_closing(listener.accept(), &mut closes).await else { break };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // A client that is gone already, or no room for more files: that passes.
                log::debug!("a connection is not accepted: {error}");
                tokio::time::sleep(NO_ROOM).await;
                continue;
            }
        };
        // Small answers go out at once.
        stream.set_nodelay(true).ok();
        let (router, mut closes) = (router.clone(), closes.clone());
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS)
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
            let mut connection = pin!(connection);
            let ended = match unless_closing(connection.as_mut(), &mut closes).await {
                Some(ended) => ended,
                None => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                log::debug!("a connection has ended: {error}");
            }
            drop(place);
        });
    }
    // Nothing is accepted any more.
    drop(listener);
    places.acquire_many(MOST).await.ok();
}
