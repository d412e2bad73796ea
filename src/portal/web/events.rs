//! The stream of news.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::future::{Either, select};
use futures_util::stream::unfold;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;

use super::AppState;
use super::answers::Answer;
use crate::portal::journal::check_tab;

#[derive(Deserialize)]
pub(super) struct Of {
    tab: Option<String>,
}

/// `GET /api/events?tab=TAB`. As long as it is read, the tab counts as open: no other one undoes what it has drawn.
pub(super) async fn stream(
    State(app): AppState,
    Query(Of { tab }): Query<Of>,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    tab.as_deref().map_or(Ok(()), check_tab)?;
    let open = tab.map(|tab| app.events.open(tab));
    let stream = unfold(
        (app.events.subscribe(), app.closing.clone(), open),
        |(mut news, mut closing, open)| async move {
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
            Some((Ok(Event::default().data(text)), (news, closing, open)))
        },
    );
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)).text("keep")))
}
