//! The journal and labels.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::{Answer, Problem, as_json, blocking, number, numbers, parsed, place};
use super::{App, AppState};
use crate::portal::events::Event;
use crate::portal::journal::Entry;
use crate::portal::project::Done;

/// The tab of requests that name none.
pub(super) use crate::portal::project::SERVER as TAB;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries {
    tab: String,
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tab {
    tab: String,
}

#[derive(Deserialize)]
pub(super) struct From {
    from: Option<String>,
}

/// Tells pages and training of what was done; gives the answer to the page that did it.
pub(super) fn told(app: &App, tab: &str, done: &Done) -> Value {
    app.events.send(&Event::Journal { seq: done.seq, tab: tab.to_owned(), changed: done.changed.clone() });
    app.live.labels_changed();
    json!({ "seq": done.seq, "hash": done.hash, "changed": done.changed })
}

/// `POST /api/journal`.
pub(super) async fn append(State(app): AppState, body: Bytes) -> Answer {
    let Entries { tab, entries } = parsed(&body)?;
    blocking(move || {
        let has_classes = entries.iter().any(|entry| matches!(entry, Entry::Class(_)));
        let done = app.project.append(&tab, entries)?;
        let answer = told(&app, &tab, &done);
        if has_classes {
            app.events.send(&Event::Project {});
        }
        Ok(as_json(&answer))
    })
    .await
}

/// `GET /api/journal?from=SEQ`.
pub(super) async fn entries(State(app): AppState, Query(From { from }): Query<From>) -> Answer {
    let from = from.map_or(Ok(0), |from| number::<u64>(&from))?;
    blocking(move || {
        let text = app.project.journal_from(from)?;
        let headers = [(header::CONTENT_TYPE, "application/jsonl"), (header::CACHE_CONTROL, "no-store")];
        Ok((headers, text).into_response())
    })
    .await
}

/// `POST /api/undo`.
pub(super) async fn undo(app: AppState, body: Bytes) -> Answer {
    turn(app, body, false).await
}

/// `POST /api/redo`.
pub(super) async fn redo(app: AppState, body: Bytes) -> Answer {
    turn(app, body, true).await
}

async fn turn(State(app): AppState, body: Bytes, again: bool) -> Answer {
    let Tab { tab } = parsed(&body)?;
    blocking(move || {
        let is_open = |tab: &str| app.events.is_open(tab);
        let Some((done, line)) = app.project.turn(&tab, again, &is_open)? else {
            return Err(Problem::conflict(match (again, app.project.has_drawings()) {
                (true, _) => "there is nothing to do again",
                (false, false) => "there is nothing to undo",
                (false, true) => "what is left was drawn in other pages that are open; undo it there",
            }));
        };
        let mut answer = told(&app, &tab, &done);
        answer["entry"] = serde_json::to_value(&line).unwrap_or_default();
        Ok(as_json(&answer))
    })
    .await
}

/// `GET /api/images/ID/Z/labels/LEVEL/TY/TX`.
pub(super) async fn tile(
    State(app): AppState,
    Path((id, slice, level, ty, tx)): Path<(String, String, String, String, String)>,
) -> Answer<Response> {
    let (slice, place) = (number(&slice)?, place(&level, &ty, &tx)?);
    blocking(move || {
        let tile = app.project.label_tile(&id, slice, place)?.ok_or_else(|| Problem::missing("tile"))?;
        let mut answer = numbers(tile.labels, tile.height, tile.width, 1);
        answer.headers_mut().insert("x-seq", tile.seq.into());
        Ok(answer)
    })
    .await
}
