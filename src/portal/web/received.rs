//! Files that are sent here: bit by bit to the disk, and nothing of them stays where they end too early.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::AppState;
use super::answers::{Answer, Problem, as_json, blocking, parsed};
use super::drawing::{TAB, told};
use crate::portal::events::Event;
use crate::portal::project::{Laid, Meanings, Role, meanings};

/// Most bytes of an image.
const MOST_IMAGE_BYTES: u64 = 64 << 30;
/// Most bytes of a label image.
const MOST_LABEL_BYTES: u64 = 16 << 30;
/// Bytes of the disk that are left for the journal, models and labels, and for other programs.
const LEFT_FREE: u64 = 1 << 30;
/// A file of which nothing more comes for so long is given up.
const MOST_WAIT: Duration = Duration::from_secs(60);
/// After so many bytes it is looked at how much is free.
const LOOK_EVERY: u64 = 64 << 20;

/// Bytes that are free on the disk that `path` is on; `None` where the system does not say.
fn free(path: &std::path::Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let disk = rustix::fs::statvfs(path).ok()?;
        disk.f_bavail.checked_mul(disk.f_frsize)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Refuses what would leave too little of the disk, with so many bytes to come.
fn check_room(free: Option<u64>, to_come: u64) -> Answer<()> {
    let Some(free) = free else { return Ok(()) };
    if free.saturating_sub(to_come) >= LEFT_FREE {
        return Ok(());
    }
    let sentence = format!(
        "the disk of the project has {} MiB free, of which {} MiB are to stay; free some space, or name the file's path on the server",
        free >> 20,
        LEFT_FREE >> 20
    );
    Err(Problem::new(StatusCode::INSUFFICIENT_STORAGE, sentence))
}

/// Writes a body to a file in `folder`.
async fn receive(
    body: Body,
    headers: &HeaderMap,
    most: u64,
    file: &File,
    folder: &std::path::Path,
) -> Answer<()> {
    let too_large =
        || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the file is too large; name its path on the server");
    let said =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    check_room(free(folder), said.unwrap_or(0))?;
    let mut file = file.try_clone().map_err(|error| failed(&error))?;
    let (mut stream, mut count, mut looked) = (body.into_data_stream(), 0_u64, 0);
    let slow =
        |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "nothing more of the file has come; send it again");
    while let Some(bytes) = timeout(MOST_WAIT, stream.next()).await.map_err(slow)? {
        let bytes = bytes.map_err(|_| Problem::bad("the file has not come whole; send it again"))?;
        count += bytes.len() as u64;
        if count > most {
            return Err(too_large());
        }
        if count - looked >= LOOK_EVERY {
            looked = count;
            check_room(free(folder), 0)?;
        }
        file = blocking(move || {
            file.write_all(&bytes).map_err(|error| failed(&error))?;
            Ok(file)
        })
        .await?;
    }
    Ok(())
}

fn failed(error: &std::io::Error) -> Problem {
    Problem::new(
        StatusCode::INSUFFICIENT_STORAGE,
        format!("the file cannot be kept: {error}; free some space"),
    )
}

#[derive(Deserialize)]
pub(super) struct UploadQuery {
    stack: Option<String>,
    role: Option<String>,
}

/// `PUT /api/upload/NAME?role=clean`, or with `?stack=KEY` a slice of a stack of which more are to come.
pub(super) async fn upload(
    State(app): AppState,
    Path(name): Path<String>,
    Query(UploadQuery { stack, role }): Query<UploadQuery>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let role = role.map(|role| role.parse::<Role>()).transpose()?;
    if stack.is_some() && role.is_some() {
        return Err(Problem::bad("the slices of a stack have no role; leave role or stack out"));
    }
    let project = app.project.clone();
    if let Some(key) = stack {
        let file = blocking(move || Ok(project.begin_slice(&key, &name)?)).await?;
        receive(body, &headers, MOST_IMAGE_BYTES, file.file(), app.project.folder()).await?;
        return blocking(move || {
            file.done()?;
            Ok(as_json(&json!({ "images": [] })))
        })
        .await;
    }
    let (file, path) = blocking(move || Ok(project.begin_upload(&name, role)?)).await?;
    receive(body, &headers, MOST_IMAGE_BYTES, file.file(), app.project.folder()).await?;
    blocking(move || {
        let images = app.project.end_upload(file, &path, role)?;
        app.live.images_changed();
        app.events.send(&Event::Project {});
        Ok(as_json(&json!({ "images": images })))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stack {
    name: String,
}

/// `POST /api/upload-stack/KEY`: the slices that were sent with this key are one image.
pub(super) async fn end_stack(State(app): AppState, Path(key): Path<String>, body: Bytes) -> Answer {
    let Stack { name } = parsed(&body)?;
    blocking(move || {
        let image = app.project.end_slices(&key, &name)?;
        app.events.send(&Event::Project {});
        Ok(as_json(&json!({ "images": [image] })))
    })
    .await
}

/// `DELETE /api/upload-stack/KEY`: the slices that were sent with this key are not wanted.
pub(super) async fn forget_stack(State(app): AppState, Path(key): Path<String>) -> Answer {
    blocking(move || {
        app.project.forget_slices(&key)?;
        Ok(as_json(&json!({})))
    })
    .await
}

#[derive(Deserialize)]
pub(super) struct ImportQuery {
    tab: Option<String>,
    values: Option<String>,
}

/// `POST /api/import/ID?values=0:none,255:cell`. Where it is not known what all values stand for, nothing is done, and the answer lists
/// them.
pub(super) async fn import(
    State(app): AppState,
    Path(id): Path<String>,
    Query(ImportQuery { tab, values }): Query<ImportQuery>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let meanings = values.as_deref().map_or_else(|| Ok(Meanings::new()), meanings)?;
    app.project.check_has_labels()?;
    if app.project.image(&id).is_none() {
        return Err(Problem::missing("image"));
    }
    let project = app.project.clone();
    let (file, path) = blocking(move || Ok(project.begin_import()?)).await?;
    receive(body, &headers, MOST_LABEL_BYTES, file.file(), app.project.folder()).await?;
    blocking(move || {
        let app = Arc::clone(&app);
        file.done()?;
        let tab = tab.unwrap_or_else(|| TAB.to_owned());
        let laid = app.project.import(&tab, &id, &path, &meanings);
        std::fs::remove_file(&path).ok();
        let Laid { values, names, done } = laid?;
        let described = |(value, pixels): (&i64, &u64)| {
            let mut one = json!({ "value": value, "pixels": pixels });
            if let Some(named) = names.get(value) {
                one["name"] = named.name.clone().into();
                one["colour"] = named.colour.clone().into();
            }
            one
        };
        let values = Value::Array(values.iter().map(described).collect());
        let Some(done) = done else {
            let sentence = "not all values of the file are numbers of classes of the project; say with `values` which class each stands for, such as 0:none,255:1";
            return Err(Problem { details: json!({ "values": values }), ..Problem::conflict(sentence) });
        };
        let mut answer = told(&app, &tab, &done);
        answer["values"] = values;
        Ok(as_json(&answer))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_fill_the_disk_is_refused() {
        for (free, to_come) in [(None, u64::MAX), (Some(LEFT_FREE), 0), (Some(3 << 30), 2 << 30)] {
            assert!(check_room(free, to_come).is_ok(), "{free:?} {to_come}");
        }
        for (free, to_come) in [(LEFT_FREE - 1, 0), (3 << 30, (2 << 30) + 1), (5 << 30, u64::MAX)] {
            let problem = check_room(Some(free), to_come).unwrap_err();
            assert_eq!(problem.status, 507);
            assert!(problem.sentence.contains("MiB free"), "{}", problem.sentence);
        }
        #[cfg(unix)]
        assert!(free(std::path::Path::new(".")).is_some_and(|free| free > 0));
    }
}
