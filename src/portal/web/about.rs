//! The project, its classes and settings.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::{Answer, Problem, as_json, blocking, number, parsed};
use super::drawing::{TAB, told};
use super::{App, AppState};
use crate::portal::events::Event;
use crate::portal::journal::{ClassChange, Entry};
use crate::portal::project::{Aim, Image, LearnsFrom};
use crate::settings::ValueKind;
use crate::training::Settings;

/// `GET /api/project`.
pub(super) async fn project(State(app): AppState) -> Answer {
    blocking(move || Ok(as_json(&described(&app)))).await
}

fn described(app: &App) -> Value {
    let project = &app.project;
    let (seq, hash) = project.journal_state();
    let images: Vec<Value> = project
        .images()
        .into_iter()
        .map(|image| {
            let labelled = project.labelled(&image.id).unwrap_or_else(|error| {
                log::warn!("{error}");
                0
            });
            json!({
                "id": image.id,
                "name": image.name,
                "width": image.width,
                "height": image.height,
                "slices": image.slices,
                "channels": image.channels,
                "lowest": image.lowest,
                "highest": image.highest,
                "low": image.low,
                "high": image.high,
                "labelled": labelled,
                "key": image.key(project.folder()),
                "role": image.role,
            })
        })
        .collect();
    let facts = |image: Image| {
        let Image { id, name, width, height, slices, .. } = image;
        json!({ "id": id, "name": name, "width": width, "height": height, "slices": slices })
    };
    let taken_out: Vec<Value> = project.taken_out().into_iter().map(facts).collect();
    let (aim, learns_from) = project.purpose();
    json!({
        "id": project.id(),
        "name": project.name(),
        "task": aim,
        "learns_from": project.denoises().then_some(learns_from),
        "folder": project.folder().display().to_string(),
        "journal": { "seq": seq, "hash": hash },
        "classes": project.classes(),
        "images": images,
        "taken_out": taken_out,
        "training": app.live.status(),
        "device": app.device,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectChanges {
    name: Option<String>,
    task: Option<Aim>,
    learns_from: Option<LearnsFrom>,
}

/// `PATCH /api/project`.
pub(super) async fn change(State(app): AppState, body: Bytes) -> Answer {
    let ProjectChanges { name, task, learns_from } = parsed(&body)?;
    if (&name, task, learns_from) == (&None, None, None) {
        return Err(Problem::bad("there is nothing to change; wanted name, task or learns_from"));
    }
    blocking(move || {
        let project = &app.project;
        if task.is_some() || learns_from.is_some() {
            if app.live.is_busy() {
                return Err(Problem::conflict(
                    "the network is trained now; pause it before you change what it learns from",
                ));
            }
            project.set_purpose(task.unwrap_or(project.purpose().0), learns_from)?;
        }
        name.as_deref().map_or(Ok(()), |name| project.rename(name))?;
        app.events.send(&Event::Project {});
        let (aim, learns_from) = project.purpose();
        let learns_from = project.denoises().then_some(learns_from);
        Ok(as_json(&json!({ "name": project.name(), "task": aim, "learns_from": learns_from })))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewClass {
    name: String,
    colour: String,
    #[serde(default)]
    tab: Option<String>,
}

/// `POST /api/classes`.
pub(super) async fn add_class(State(app): AppState, body: Bytes) -> Answer {
    let NewClass { name, colour, tab } = parsed(&body)?;
    blocking(move || {
        let tab = tab.unwrap_or_else(|| TAB.to_owned());
        let (class, done) = app.project.add_class(&tab, name, colour)?;
        let mut answer = told(&app, &tab, &done);
        answer["class"] = class.into();
        app.events.send(&Event::Project {});
        Ok(as_json(&answer))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    name: Option<String>,
    colour: Option<String>,
    locked: Option<bool>,
    removed: Option<bool>,
    #[serde(default)]
    tab: Option<String>,
}

/// `PATCH /api/classes/N`.
pub(super) async fn change_class(State(app): AppState, Path(class): Path<String>, body: Bytes) -> Answer {
    let class = number::<u8>(&class)?;
    let changes: Changes = parsed(&body)?;
    blocking(move || changed(&app, class, changes)).await
}

fn changed(app: &Arc<App>, number: u8, changes: Changes) -> Answer<Response> {
    let known = app.project.classes().into_iter().find(|class| class.class == number);
    // One that was removed can be put back.
    let known =
        known.or_else(|| app.project.removed_class(number).filter(|_| changes.removed == Some(false)));
    let known = known.ok_or_else(|| Problem::missing("class"))?;
    let change = ClassChange {
        class: number,
        name: changes.name.unwrap_or(known.name),
        colour: changes.colour.unwrap_or(known.colour),
        locked: changes.locked.unwrap_or(known.locked),
        removed: changes.removed.unwrap_or(false),
    };
    let tab = changes.tab.unwrap_or_else(|| TAB.to_owned());
    let done = app.project.append(&tab, vec![Entry::Class(change)])?;
    let answer = told(app, &tab, &done);
    app.events.send(&Event::Project {});
    Ok(as_json(&answer))
}

/// `GET /api/settings`: all settings of `train`.
pub(super) async fn settings(State(app): AppState) -> Answer {
    let kept = app.project.settings();
    let all = Settings::all().map(|setting| {
        let (kind, choices) = match setting.kind() {
            ValueKind::Switch => ("switch", None),
            ValueKind::Count | ValueKind::Whole => ("whole", None),
            ValueKind::Number => ("number", None),
            ValueKind::Choice(choices) => ("choice", Some(choices)),
            _ => ("text", None),
        };
        let choices = choices.map(|all| {
            all.iter().map(|one| json!({ "name": one.name(), "help": one.help() })).collect::<Vec<_>>()
        });
        json!({
            "name": setting.name(),
            "part": setting.part(),
            "heading": setting.heading().title(),
            "help": setting.help(),
            "kind": kind,
            "choices": choices,
            "default": setting.described(),
            "for_files": setting.is_for_files(),
            "value": kept.get(setting.name()),
        })
    });
    Ok(as_json(&Value::Array(all.collect())))
}
