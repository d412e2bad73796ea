//! Predictions over whole images.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::AppState;
use super::answers::{Answer, Problem, as_json, blocking, number, numbers, parsed, place};
use super::sent;
use crate::portal::jobs::{Job, Stopping, Wish};

/// `POST /api/jobs`.
pub(super) async fn add(State(app): AppState, body: Bytes) -> Answer {
    let wish: Wish = parsed(&body)?;
    blocking(move || match app.jobs.add(wish)? {
        Some(name) => Ok(as_json(&json!({ "job": name }))),
        None => Err(Problem::conflict("there is no network yet; train one first")),
    })
    .await
}

/// `GET /api/jobs`.
pub(super) async fn all(State(app): AppState) -> Answer {
    blocking(move || Ok(as_json(&Value::Array(app.jobs.all().iter().map(Job::view).collect())))).await
}

/// `DELETE /api/jobs/J`.
pub(super) async fn stop(State(app): AppState, Path(job): Path<String>) -> Answer {
    blocking(move || match app.jobs.stop(&job)? {
        Stopping::Stops => Ok(as_json(&json!({}))),
        Stopping::Over => Err(Problem::conflict("this job is over already")),
        Stopping::Unknown => Err(Problem::missing("job")),
    })
    .await
}

/// `GET /api/jobs/J/files/NAME`.
pub(super) async fn file(State(app): AppState, Path((job, name)): Path<(String, String)>) -> Answer {
    blocking(move || {
        let path = app.jobs.file(&job, &name).ok_or_else(|| Problem::missing("file"))?;
        if path.is_dir() {
            return sent::folder(&app.project, &path, &name);
        }
        sent::file(&path, &name)
    })
    .await
}

/// `GET /api/images/ID/Z/jobs/J/LEVEL/TY/TX`.
pub(super) async fn tile(
    State(app): AppState,
    Path((id, slice, job, level, ty, tx)): Path<(String, String, String, String, String, String)>,
) -> Answer<Response> {
    let (slice, place) = (number(&slice)?, place(&level, &ty, &tx)?);
    blocking(move || {
        if app.project.denoises() {
            let tile =
                app.jobs.values_tile(&job, &id, slice, place)?.ok_or_else(|| Problem::missing("tile"))?;
            return Ok(numbers(tile.bytes.clone(), tile.height, tile.width, tile.channels));
        }
        let tile = app.jobs.tile(&job, &id, slice, place)?;
        let (values, height, width) = tile.ok_or_else(|| Problem::missing("tile"))?;
        Ok(numbers(values, height, width, 1))
    })
    .await
}
