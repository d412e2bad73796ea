//! What lies over the cuts through a stack: labels, what the network gives, and results of jobs, a byte a pixel.
//!
//! Along both sides of a cut of level n, slices too, a pixel stands for 2^n. Labels are the first one among these; of results it is the
//! first pixel, as in tiles.

use axum::extract::{Path, Query, State};
use axum::response::Response;

use super::answers::{Answer, Problem, blocking, number, numbers};
use super::training::Shown;
use super::{App, AppState};
use crate::portal::journal::UNLABELLED;
use crate::portal::live::What;
use crate::portal::project::{Image, Rect};
use crate::portal::tiles::{Axis, last_level};
use crate::{Error, Result};

/// Most pixels of a cut before it is made smaller, as of the picture below it.
const MOST_PIXELS: usize = 32 << 20;

/// A cut: which way, at which row or column, on which level.
#[derive(Clone, Copy)]
struct Cut {
    axis: Axis,
    at: usize,
    level: u32,
}

/// The axis that an address names.
pub(super) fn axis(name: &str) -> Answer<Axis> {
    match name {
        "xz" => Ok(Axis::Row),
        "yz" => Ok(Axis::Column),
        _ => Err(Problem::missing("view: wanted xz or yz")),
    }
}

impl Cut {
    /// Its pixels along a row or column of `image` and how many rows or columns there are; `None` where there is no such cut.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for one that is too large.
    fn side(self, image: &Image) -> Result<Option<usize>> {
        let (side, across) = match self.axis {
            Axis::Row => (image.width, image.height),
            Axis::Column => (image.height, image.width),
        };
        if self.at >= across || self.level > last_level(image.height.max(image.slices), image.width) {
            return Ok(None);
        }
        if side.saturating_mul(image.slices) > MOST_PIXELS {
            let slices = image.slices;
            let problem =
                format!("a cut of {side} x {slices} pixels is too large to be shown; look at slices");
            return Err(Error::Mismatch(problem));
        }
        Ok(Some(side))
    }

    /// The part of a slice that it goes through.
    fn line(self, side: usize) -> Rect {
        let Self { axis, at, .. } = self;
        match axis {
            Axis::Row => Rect { top: at, bottom: at + 1, left: 0, right: side },
            Axis::Column => Rect { top: 0, bottom: side, left: at, right: at + 1 },
        }
    }

    /// The row and column of a slice at the place `along` it.
    fn pixel(self, along: usize) -> (usize, usize) {
        match self.axis {
            Axis::Row => (self.at, along),
            Axis::Column => (along, self.at),
        }
    }
}

/// `GET /api/images/ID/views/AXIS/AT/LEVEL/LAYER`, where the layer is `labels`, `result` or a job.
pub(super) async fn layer(
    State(app): AppState,
    Path((id, name, at, level, layer)): Path<(String, String, String, String, String)>,
    Query(shown): Query<Shown>,
) -> Answer<Response> {
    let cut = Cut { axis: axis(&name)?, at: number(&at)?, level: number(&level)? };
    let what = shown.what(&app)?;
    blocking(move || {
        app.project.check_has_labels()?;
        let image = app.project.image(&id).ok_or_else(|| Problem::missing("image"))?;
        let side = cut.side(&image)?.ok_or_else(|| Problem::missing("cut"))?;
        let step = 1_usize << cut.level;
        let (rows, columns) = (image.slices.div_ceil(step), side.div_ceil(step));
        let mut values = vec![UNLABELLED; rows * columns];
        let seq = app.project.journal_state().0;
        let version = match layer.as_str() {
            "labels" => labels(&app, &image, cut, side, &mut values)?,
            "result" => result(&app, &image, cut, side, what, &mut values),
            job => of_job(&app, &image, cut, (side, job), &mut values)?,
        };
        let mut answer = numbers(values, rows, columns, 1);
        answer.headers_mut().insert("x-seq", seq.into());
        answer.headers_mut().insert("x-version", version.into());
        Ok(answer)
    })
    .await
}

fn labels(app: &App, image: &Image, cut: Cut, side: usize, values: &mut [u8]) -> Result<u64> {
    let columns = side.div_ceil(1 << cut.level);
    for slice in app.project.painted_slices(&image.id).into_iter().filter(|slice| *slice < image.slices) {
        let (line, _) = app.project.labels_in(&image.id, slice, &cut.line(side))?;
        let start = (slice >> cut.level) * columns;
        for (along, label) in line.iter().enumerate().filter(|(_, label)| **label != UNLABELLED) {
            let place = &mut values[start + (along >> cut.level)];
            if *place == UNLABELLED {
                *place = *label;
            }
        }
    }
    Ok(0)
}

/// What of the network's result was computed, as people have looked at it.
fn result(app: &App, image: &Image, cut: Cut, side: usize, what: What, values: &mut [u8]) -> u64 {
    let step = 1_usize << cut.level;
    let columns = side.div_ceil(step);
    let mut newest = 0;
    for (line, slice) in values.chunks_mut(columns).zip((0..image.slices).step_by(step)) {
        let places = (0..side).step_by(step).map(|along| cut.pixel(along));
        let (found, version) = app.live.pixels((&image.id, slice), places, what);
        line.copy_from_slice(&found);
        newest = newest.max(version);
    }
    newest
}

fn of_job(app: &App, image: &Image, cut: Cut, (side, job): (usize, &str), values: &mut [u8]) -> Answer<u64> {
    let step = 1_usize << cut.level;
    let Rect { top, bottom, left, right } = cut.line(side);
    for (line, slice) in values.chunks_mut(side.div_ceil(step)).zip((0..image.slices).step_by(step)) {
        let found = app.jobs.part(job, &image.id, slice, (top..bottom, left..right))?;
        let found = found.ok_or_else(|| Problem::missing("result"))?;
        line.iter_mut().zip(found.iter().step_by(step)).for_each(|(to, from)| *to = *from);
    }
    Ok(0)
}
