//! Keywords of `train` to the settings of a run.

use msd_gpu::settings::{Setting, ValueKind, nearest};
use msd_gpu::training::Settings;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::raised;
use crate::keywords;

/// Settings that were given as keywords, with their values as the library reads them.
pub struct Given(Vec<(&'static Setting, String)>);

impl Given {
    /// Reads keywords; `others` are those that are no settings. A keyword that is None counts as not given.
    pub fn read(keywords: Option<&Bound<'_, PyDict>>, others: &'static [&'static str]) -> PyResult<Self> {
        let mut given = Vec::new();
        for (name, value) in keywords.into_iter().flatten() {
            let name: String = name.extract()?;
            if value.is_none() {
                check_name(&name, others)?;
                continue;
            }
            if is_part(&name) {
                for (inside, value) in inside(&name, &value)? {
                    let setting =
                        Settings::all().find(|s| s.part() == Some(name.as_str()) && s.name() == inside);
                    let setting = setting.ok_or_else(|| unknown_inside(&name, &inside))?;
                    if !value.is_none() {
                        given.push((setting, text(setting, &value)?));
                    }
                }
            } else {
                let setting = check_name(&name, others)?;
                given.extend(
                    setting.map(|setting| text(setting, &value).map(|text| (setting, text))).transpose()?,
                );
            }
        }
        Ok(Self(given))
    }

    /// The value of the setting called `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(setting, _)| setting.name() == name).map(|(_, text)| text.as_str())
    }

    /// Sets all of them.
    pub fn apply(&self, settings: &mut Settings) -> PyResult<()> {
        self.0.iter().try_for_each(|(setting, text)| settings.set(setting.name(), text)).map_err(raised)
    }
}

/// Settings that are keywords of their own.
fn own() -> impl Iterator<Item = &'static Setting> {
    Settings::all().filter(|s| s.part().is_none() && !s.is_required() && !s.is_for_files())
}

fn is_part(name: &str) -> bool {
    Settings::all().any(|setting| setting.part() == Some(name))
}

/// What is in the dict of a part.
fn inside<'py>(part: &str, value: &Bound<'py, PyAny>) -> PyResult<Vec<(String, Bound<'py, PyAny>)>> {
    let wrong = || keywords::wrong_type(part, value, "a dict of settings");
    let dict = value.cast::<PyDict>().map_err(|_| wrong())?;
    dict.iter().map(|(name, value)| Ok((name.extract().map_err(|_| wrong())?, value))).collect()
}

/// The setting of this name, or `None` for a part.
fn check_name(name: &str, others: &'static [&'static str]) -> PyResult<Option<&'static Setting>> {
    if is_part(name) {
        return Ok(None);
    }
    if let Some(setting) = own().find(|setting| setting.name() == name) {
        return Ok(Some(setting));
    }
    let inside = |name: &str| Settings::all().find(|s| s.name() == name).and_then(Setting::part);
    if let Some(part) = inside(name) {
        return Err(PyTypeError::new_err(format!(
            "train() takes '{name}' inside '{part}': {part}={{\"{name}\": ...}}"
        )));
    }
    if Settings::all().any(|setting| setting.name() == name) {
        return Err(PyTypeError::new_err(format!(
            "train() got an unexpected keyword argument '{name}', which is for images in files; leave it out"
        )));
    }
    let parts = Settings::all().filter(|setting| setting.part().is_some());
    let known = own().chain(parts.clone()).map(Setting::name);
    let known = known.chain(parts.filter_map(Setting::part)).chain(others.iter().copied());
    let near = nearest(name, known);
    Err(match near.and_then(|near| Some((near, inside(near)?))) {
        Some((near, part)) => PyTypeError::new_err(format!(
            "train() got an unexpected keyword argument '{name}'; the nearest is '{near}' inside '{part}'"
        )),
        None => keywords::unexpected("train", name, near),
    })
}

fn unknown_inside(part: &str, name: &str) -> PyErr {
    let known = Settings::all().filter(|setting| setting.part() == Some(part)).map(Setting::name);
    let unknown = format!("'{part}' has no setting '{name}'");
    PyTypeError::new_err(match nearest(name, known.clone()) {
        Some(near) => format!("{unknown}; the nearest is '{near}'"),
        None => format!("{unknown}; it has {}", known.collect::<Vec<_>>().join(", ")),
    })
}

/// The value of a setting as text.
fn text(setting: &Setting, value: &Bound<'_, PyAny>) -> PyResult<String> {
    let name = setting.name();
    Ok(match setting.kind() {
        ValueKind::Switch => keywords::switch(name, value)?.to_string(),
        ValueKind::Count | ValueKind::Whole => keywords::whole(name, value)?.str()?.to_string(),
        ValueKind::Number => keywords::number(name, value)?.to_string(),
        ValueKind::Path => {
            let path = keywords::path(name, value)?.into_os_string().into_string();
            path.map_err(|_| keywords::wrong_type(name, value, "a path of Unicode characters"))?
        }
        _ => keywords::text(name, value)?,
    })
}
