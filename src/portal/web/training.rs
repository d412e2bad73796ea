//! The live loop.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::{Answer, Problem, as_json, blocking, number, numbers, parsed, place};
use super::{App, AppState};
use crate::network::Model;
use crate::portal::live::{Depth, Start, View, What};

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
enum Action {
    Start {
        #[serde(default)]
        depth: Depth,
        #[serde(default)]
        settings: BTreeMap<String, Value>,
    },
    Pause {},
    Forget {},
}

/// `GET /api/training`.
pub(super) async fn status(State(app): AppState) -> Answer {
    blocking(move || Ok(as_json(&serde_json::to_value(app.live.status()).unwrap_or_default()))).await
}

/// `POST /api/training`.
pub(super) async fn act(State(app): AppState, body: Bytes) -> Answer {
    let action: Action = parsed(&body)?;
    blocking(move || {
        match action {
            Action::Start { depth, settings } => {
                let settings = settings.into_iter().map(|(name, value)| Ok((name, text_of(value)?)));
                let settings = settings.collect::<Answer<_>>()?;
                let start = Start { depth, settings };
                if let Some(problem) = app.live.conflict(&start)? {
                    return Err(Problem::conflict(problem));
                }
                app.live.start(start)?;
            }
            Action::Pause {} => app.live.pause()?,
            Action::Forget {} => app.live.forget()?,
        }
        Ok(as_json(&serde_json::to_value(app.live.status()).unwrap_or_default()))
    })
    .await
}

/// The value of a setting as text.
fn text_of(value: Value) -> Answer<String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(is_on) => Ok(is_on.to_string()),
        _ => Err(Problem::bad("the value of a setting must be a number, a text, true or false")),
    }
}

/// `POST /api/view`.
pub(super) async fn look(State(app): AppState, body: Bytes) -> Answer {
    let view: View = parsed(&body)?;
    blocking(move || {
        let image = app.project.image(&view.image).ok_or_else(|| Problem::missing("image"))?;
        if view.slice >= image.slices {
            return Err(Problem::missing("slice"));
        }
        app.live.look_at(view);
        Ok(as_json(&json!({})))
    })
    .await
}

/// `POST /api/least-sure`.
pub(super) async fn least_sure(State(app): AppState) -> Answer {
    blocking(move || match app.project.check_has_labels().and_then(|()| app.live.least_sure())? {
        None => Err(Problem::conflict("the network has not looked at anything yet; train it first")),
        Some((region, uncertainty)) => {
            let mut answer = serde_json::to_value(&region).unwrap_or_default();
            answer["uncertainty"] = uncertainty.into();
            answer["size"] = region.width.max(region.height).into();
            Ok(as_json(&answer))
        }
    })
    .await
}

/// What is shown of a result: `?what=classes`, `uncertainty`, or `probability` with `&class=`; of a network that denoises, `values`.
#[derive(Deserialize)]
pub(super) struct Shown {
    what: Option<String>,
    class: Option<u8>,
}

impl Shown {
    /// # Errors
    /// For what there is not to be shown.
    pub(super) fn what(&self, app: &App) -> Answer<What> {
        match (self.what.as_deref(), self.class) {
            (None, _) if app.project.denoises() => Ok(What::Values),
            (None | Some("classes"), _) => Ok(What::Classes),
            (Some("values"), _) => Ok(What::Values),
            (Some("uncertainty"), _) => Ok(What::Uncertainty),
            (Some("probability"), Some(class)) => Ok(What::Probability(class)),
            _ => Err(Problem::bad(
                "`what` must be classes, uncertainty, values, or probability with a `class`",
            )),
        }
    }
}

/// `GET /api/images/ID/Z/result/LEVEL/TY/TX`.
pub(super) async fn tile(
    State(app): AppState,
    Path((id, slice, level, ty, tx)): Path<(String, String, String, String, String)>,
    Query(shown): Query<Shown>,
) -> Answer<Response> {
    let (slice, (level, ty, tx), what) = (number(&slice)?, place(&level, &ty, &tx)?, shown.what(&app)?);
    blocking(move || {
        let tile = app.live.result_tile(&id, slice, level, ty, tx, what)?;
        let tile = tile.ok_or_else(|| Problem::missing("tile"))?;
        let mut answer = numbers(tile.values, tile.height, tile.width, tile.channels);
        answer.headers_mut().insert("x-version", tile.version.into());
        Ok(answer)
    })
    .await
}

/// `GET /api/command`: the command that makes the model again, and in projects that denoise the one that applies it.
pub(super) async fn command(State(app): AppState) -> Answer {
    blocking(move || {
        let missing = || Problem::missing("network yet; train one first");
        // The file is written, so that there is a model to make again.
        let file = app.live.model_file().ok_or_else(missing)?;
        let model = Model::read(&file)?;
        let mut answer = json!({ "command": app.project.command_of(&model).ok_or_else(missing)? });
        if app.project.denoises() {
            answer["predict"] = app.project.predict_command(&model).into();
        }
        Ok(as_json(&answer))
    })
    .await
}
