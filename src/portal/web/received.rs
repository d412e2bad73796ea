//! Files that are sent here: bit by bit to the disk, and nothing of them stays where they end too early.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};

use super::AppState;
use super::answers::{Answer, Problem, as_json, blocking};
use super::drawing::{TAB, told};
use crate::portal::events::Event;
use crate::portal::project::{Laid, Meanings, meanings};

/// Most bytes of an image.
const MOST_IMAGE_BYTES: u64 = 64 << 30;
/// Most bytes of a label image.
const MOST_LABEL_BYTES: u64 = 16 << 30;

/// Writes a body to a file.
async fn receive(body: Body, headers: &HeaderMap, most: u64, file: &File) -> Answer<()> {
    let too_large =
        || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the file is too large; name its path on the server");
    let said =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let mut file = file.try_clone().map_err(|error| failed(&error))?;
    let (mut stream, mut count) = (body.into_data_stream(), 0_u64);
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(|_| Problem::bad("the file has not come whole; send it again"))?;
        count += bytes.len() as u64;
        if count > most {
            return Err(too_large());
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

/// `PUT /api/upload/NAME`.
pub(super) async fn upload(
    State(app): AppState,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let project = app.project.clone();
    let (file, path) = blocking(move || Ok(project.begin_upload(&name)?)).await?;
    receive(body, &headers, MOST_IMAGE_BYTES, file.file()).await?;
    blocking(move || {
        let images = app.project.end_upload(file, &path)?;
        app.events.send(&Event::Project {});
        Ok(as_json(&json!({ "images": images })))
    })
    .await
}

#[derive(Deserialize)]
pub(super) struct Of {
    tab: Option<String>,
    values: Option<String>,
}

/// `POST /api/import/ID?values=0:none,255:cell`. Where it is not known what all values stand for, nothing is done, and the answer lists
/// them.
pub(super) async fn import(
    State(app): AppState,
    Path(id): Path<String>,
    Query(Of { tab, values }): Query<Of>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let meanings = values.as_deref().map_or_else(|| Ok(Meanings::new()), meanings)?;
    if app.project.image(&id).is_none() {
        return Err(Problem::missing("image"));
    }
    let project = app.project.clone();
    let (file, path) = blocking(move || Ok(project.begin_import()?)).await?;
    receive(body, &headers, MOST_LABEL_BYTES, file.file()).await?;
    blocking(move || {
        let app = Arc::clone(&app);
        file.done()?;
        let tab = tab.unwrap_or_else(|| TAB.to_owned());
        let laid = app.project.import(&tab, &id, &path, &meanings);
        std::fs::remove_file(&path).ok();
        let Laid { values, done } = laid?;
        let values = values.iter().map(|(value, pixels)| json!({ "value": value, "pixels": pixels }));
        let values = Value::Array(values.collect());
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
