//! The stream of news.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::future::{Either, select};
use futures_util::stream::unfold;
use tokio::sync::broadcast::error::RecvError;

use super::AppState;

/// `GET /api/events`.
pub(super) async fn stream(State(app): AppState) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let stream =
        unfold((app.events.subscribe(), app.closing.clone()), |(mut news, mut closing)| async move {
            let told = {
                let told = pin!(news.recv());
                let closed = pin!(closing.wait_for(|closes| *closes));
                match select(told, closed).await {
                    Either::Left((told, _)) => told,
                    Either::Right(_) => return None,
                }
            };
            let text = match told {
                Ok(text) => text,
                // Some news were missed: everything is to be read again.
                Err(RecvError::Lagged(_)) => r#"{"type":"project"}"#.to_owned(),
                Err(RecvError::Closed) => return None,
            };
            Some((Ok(Event::default().data(text)), (news, closing)))
        });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)).text("keep"))
}
