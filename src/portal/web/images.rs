//! Images in and out, and their tiles.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::answers::{Answer, Problem, as_json, blocking, number, numbers, parsed, place};
use super::drawing::{TAB, told};
use super::{App, AppState, cuts};
use crate::portal::events::Event;
use crate::portal::project::{Image, Role};
use crate::portal::tiles::Tile;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    path: String,
    #[serde(default)]
    copy: bool,
    #[serde(default)]
    stack: bool,
    #[serde(default)]
    role: Option<Role>,
}

#[derive(Deserialize)]
pub(super) struct Folder {
    #[serde(default)]
    path: String,
}

#[derive(Deserialize)]
pub(super) struct Version {
    v: Option<String>,
}

/// `POST /api/images`.
pub(super) async fn add(State(app): AppState, body: Bytes) -> Answer {
    let Named { path, copy, stack, role } = parsed(&body)?;
    if stack && role.is_some() {
        return Err(Problem::bad("a stack of files has no role; leave role or stack out"));
    }
    blocking(move || {
        let images = match stack {
            true => app.project.add_files_as_stack(&path, copy).map(|id| vec![id]),
            false => app.project.add_as(&path, copy, role),
        };
        // Some images may have been added before one was refused.
        app.events.send(&Event::Project {});
        // Images that come back have labels.
        app.live.labels_changed();
        app.live.images_changed();
        Ok(as_json(&json!({ "images": images? })))
    })
    .await
}

/// `POST /api/sample`.
pub(super) async fn add_sample(State(app): AppState) -> Answer {
    blocking(move || {
        let images = app.project.add_sample()?;
        app.live.images_changed();
        app.events.send(&Event::Project {});
        Ok(as_json(&json!({ "images": images })))
    })
    .await
}

/// `GET /api/browse?path=`.
pub(super) async fn browse(State(app): AppState, Query(Folder { path }): Query<Folder>) -> Answer {
    blocking(move || {
        let listing = app.project.browse(&path)?;
        Ok(as_json(&serde_json::to_value(listing).unwrap_or_default()))
    })
    .await
}

/// `DELETE /api/images/ID`.
pub(super) async fn remove(State(app): AppState, Path(id): Path<String>) -> Answer {
    blocking(move || removed(&app, TAB, &id, true)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    removed: Option<bool>,
    role: Option<Role>,
    #[serde(default)]
    tab: Option<String>,
}

/// `PATCH /api/images/ID`: takes an image out, or puts it back, or gives it another role.
pub(super) async fn change(State(app): AppState, Path(id): Path<String>, body: Bytes) -> Answer {
    let changes: Changes = parsed(&body)?;
    let tab = changes.tab.unwrap_or_else(|| TAB.to_owned());
    blocking(move || {
        if changes.removed.is_none() && changes.role.is_none() {
            return Err(Problem::bad("there is nothing to change; wanted removed or role"));
        }
        // First, as only images that are there have a role.
        let answer = changes.removed.map(|out| removed(&app, &tab, &id, out)).transpose()?;
        if let Some(role) = changes.role {
            if !app.project.set_role(&id, role)? {
                return Err(Problem::missing("image"));
            }
            app.events.send(&Event::Project {});
        }
        app.live.images_changed();
        Ok(answer.unwrap_or_else(|| as_json(&json!({ "role": changes.role }))))
    })
    .await
}

fn removed(app: &App, tab: &str, id: &str, removed: bool) -> Answer {
    let done = app.project.set_removed(tab, id, removed)?.ok_or_else(|| Problem::missing("image"))?;
    let answer = told(app, tab, &done);
    app.events.send(&Event::Project {});
    Ok(as_json(&answer))
}

/// `GET /api/images/ID/Z/tiles/LEVEL/TY/TX`.
pub(super) async fn tile(
    State(app): AppState,
    Path((id, slice, level, ty, tx)): Path<(String, String, String, String, String)>,
    Query(version): Query<Version>,
    headers: HeaderMap,
) -> Answer {
    let (slice, place) = (number(&slice)?, place(&level, &ty, &tx)?);
    let found = move |app: &App| app.project.tile(&id, slice, place);
    answer(app, headers, version, found).await
}

/// `GET /api/images/ID/views/xz/Y/LEVEL` and `/views/yz/X/LEVEL`.
pub(super) async fn view(
    State(app): AppState,
    Path((id, axis, at, level)): Path<(String, String, String, String)>,
    Query(version): Query<Version>,
    headers: HeaderMap,
) -> Answer {
    let axis = cuts::axis(&axis)?;
    let (at, level) = (number(&at)?, number(&level)?);
    answer(app, headers, version, move |app: &App| app.project.cut(&id, axis, at, level)).await
}

/// A tile that browsers keep: for ever where the address has the image's key, else as long as its tag is the same.
async fn answer(
    app: Arc<App>,
    headers: HeaderMap,
    Version { v }: Version,
    found: impl FnOnce(&App) -> crate::Result<Option<(Arc<Tile>, Image)>> + Send + 'static,
) -> Answer<Response> {
    blocking(move || {
        let (tile, image) = found(&app)?.ok_or_else(|| Problem::missing("tile"))?;
        let key = image.key(app.project.folder());
        let tag = format!("\"{key}\"");
        let is_known =
            headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
        let mut answer = match is_known {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => numbers(tile.bytes.clone(), tile.height, tile.width, tile.channels),
        };
        let keeping = match v {
            Some(version) if version == key => "private, max-age=31536000, immutable",
            _ => "private, no-cache",
        };
        let to = answer.headers_mut();
        to.insert(header::CACHE_CONTROL, HeaderValue::from_static(keeping));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            to.insert(header::ETAG, tag);
        }
        Ok(answer)
    })
    .await
}
