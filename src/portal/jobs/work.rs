//! One job, image by image, as `msd-gpu predict` does it.

use std::path::{Path, PathBuf};

use super::job::{Finished, Format, Job, JobFile, Product, Row, Skipped};
use super::looks::Classes;
use super::objects::Objects;
use super::queue::{MODEL, Shared};
use crate::devices;
use crate::files::{make_and_try, write_bytes_atomic};
use crate::images::Discovery;
use crate::inference::{Cutting, Destination, Ensemble, Procedure, Request, Wishes};
use crate::network::{Model, Task};
use crate::portal::project::Image;
use crate::watcher::{Flow, ImageReport, Watcher};
use crate::{Error, Result};

/// The table, as a file.
const TABLE: &str = "table.csv";

/// Who is told how far a job is.
pub(super) trait Progress {
    /// Whether the work is to stop.
    fn stops(&self) -> bool;

    /// A part is done.
    fn done(&mut self, job: &Job);

    /// An image is done, which is to be written down.
    ///
    /// # Errors
    /// [`Error::Output`] where that fails.
    fn finished_image(&mut self, job: &Job) -> Result<()>;
}

/// Tells progress of the image with this number of so many.
struct Watching<'a> {
    job: &'a mut Job,
    progress: &'a mut dyn Progress,
    number: usize,
}

impl Watcher for Watching<'_> {
    fn image(&mut self, report: &ImageReport<'_>) -> Flow {
        let of_image = (report.index as f64 + report.done) / report.count.max(1) as f64;
        let done = (self.number as f64 + of_image) / self.job.images.len().max(1) as f64;
        self.job.done = self.job.done.max(done.min(1.0));
        self.progress.done(self.job);
        if self.progress.stops() { Flow::Break(()) } else { Flow::Continue(()) }
    }
}

/// Does a job in its folder; with `resumed`, what was done before is passed over. Images that cannot be used are left out and noted.
///
/// # Errors
/// Those of `msd-gpu predict`; [`Error::Stopped`].
pub(super) fn work(
    shared: &Shared,
    folder: &Path,
    job: &mut Job,
    resumed: bool,
    progress: &mut dyn Progress,
) -> Result<()> {
    let path = folder.join(MODEL);
    let model = Model::read(&path)?;
    if model.factor() > 1 {
        let problem = "makes images finer, which the page does not show; apply it with `msd-gpu predict`";
        return Err(Error::model(&path, problem));
    }
    let is_segmentation = matches!(model.task, Task::Segment { .. });
    let device = devices::choose(&shared.device)?;
    let mut ensemble = Ensemble::new(vec![("the model".into(), model)], &device, None, false)?;
    let images = job.images.clone();
    // What could not be used before an end of the server may be there again.
    job.skipped.clear();
    for (number, id) in images.iter().enumerate() {
        if job.finished.iter().any(|finished| finished.image == *id) {
            continue;
        }
        if progress.stops() {
            return Err(Error::Stopped { done: number, count: images.len() });
        }
        let place = Place { shared, folder, number, resumed };
        match one_image(&place, job, id, &mut ensemble, progress) {
            Ok(()) => {}
            // Other images could not be computed, or their results written, either.
            Err(error @ (Error::Stopped { .. } | Error::Output { .. } | Error::Device { .. })) => {
                return Err(error);
            }
            Err(error) => {
                log::warn!("{}: {id}: {error}", job.job);
                let name = shared.project.image(id).map_or_else(|| id.clone(), |image| image.name);
                job.skipped.push(Skipped { image: id.clone(), name, reason: error.to_string() });
            }
        }
        progress.finished_image(job)?;
    }
    if is_segmentation {
        write_bytes_atomic(folder.join(TABLE), &table(job)?)?;
        if !job.files.iter().any(|file| file.name == TABLE) {
            job.files.push(JobFile { name: TABLE.into(), path: TABLE.into() });
        }
    }
    Ok(())
}

/// Where a job is.
struct Place<'a> {
    shared: &'a Shared,
    folder: &'a Path,
    /// Of the images.
    number: usize,
    resumed: bool,
}

/// Applies the network to the image `id`.
///
/// # Errors
/// As [`work`].
fn one_image(
    &Place { shared, folder, number, resumed }: &Place<'_>,
    job: &mut Job,
    id: &str,
    ensemble: &mut Ensemble,
    progress: &mut dyn Progress,
) -> Result<()> {
    let image = shared
        .project
        .image(id)
        .ok_or_else(|| Error::Mismatch("was taken out of the project; ask again without it".into()))?;
    let channels = ensemble.model().architecture.outputs;
    let has_splits = ensemble.model().splits().is_some();
    let recordings = if has_splits { shared.project.recordings_of(&image) } else { vec![image.clone()] };
    let name = name_of(&image, job, shared);
    let out = folder.join(&name);
    make_and_try(&out)?;
    let is_segmentation = matches!(ensemble.model().task, Task::Segment { .. });
    let probabilities = is_segmentation && job.products.contains(&Product::Probabilities);
    let destination = match job.format.ending() {
        Some(ending) => Destination::new(&out.join(format!("{name}.{ending}")), None, false)?,
        None => Destination::new(&out, None, false)?,
    };
    let request = Request {
        discovery: Discovery { one_stack: image.is_of_files, ..Discovery::default() },
        // Of several recordings of the same slices the mean of what is made of each.
        inputs: recordings.iter().map(|image| image.place(shared.project.folder())).collect(),
        destination,
        wishes: Wishes { probabilities, pages: job.format == Format::Png, ..Wishes::default() },
        procedure: Procedure::new(Cutting::default(), resumed, false, None),
    };
    let prediction = request.work(ensemble)?;
    prediction.prepare(ensemble)?;
    let files = prediction.files();
    prediction.run(ensemble, &mut Watching { job, progress, number })?;
    let result = result_of(&files, &out, &name, job.format);
    let (labels, values) = if is_segmentation { (result, None) } else { (None, result) };
    if let Some(labels) = &labels {
        job.table.extend(rows(&image, labels, &*progress)?);
    }
    let inside = |path: &Path| path.strip_prefix(folder).unwrap_or(path).to_path_buf();
    job.files.extend(
        downloads(&files, &out, &name).into_iter().map(|(name, path)| JobFile { name, path: inside(&path) }),
    );
    job.finished.push(Finished {
        image: id.to_owned(),
        labels: labels.as_deref().map(inside),
        values: values.map(|path| (inside(&path), channels)),
    });
    Ok(())
}

/// A name for the results of an image that no other image of the job has.
fn name_of(image: &Image, job: &Job, shared: &Shared) -> String {
    let plain = |image: &Image| {
        let kept = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
        let name: String = image.name.chars().map(kept).take(60).collect();
        name.trim_matches('.').to_owned()
    };
    let name = plain(image);
    let others = job.images.iter().filter(|id| **id != image.id).filter_map(|id| shared.project.image(id));
    let is_alone = others.map(|other| plain(&other)).all(|other| !other.eq_ignore_ascii_case(&name));
    if is_alone && !name.is_empty() { name } else { format!("{name}-{}", image.id) }
}

/// The stack, the picture or the folder of pictures with the classes of an image, or its values.
fn result_of(files: &[PathBuf], out: &Path, name: &str, format: Format) -> Option<PathBuf> {
    let is_of_classes = |path: &&PathBuf| match format.ending() {
        Some(ending) => path.file_name().is_some_and(|file| file == format!("{name}.{ending}").as_str()),
        None => !path.to_string_lossy().ends_with("_probabilities.tif"),
    };
    let labels: Vec<&PathBuf> = files.iter().filter(is_of_classes).collect();
    match labels.as_slice() {
        [] => None,
        [only] => Some((*only).clone()),
        _ => Some(out.to_path_buf()),
    }
}

/// What can be downloaded: the files, or where there are many the folder that they are in.
fn downloads(files: &[PathBuf], out: &Path, name: &str) -> Vec<(String, PathBuf)> {
    /// So many files are named one by one.
    const MOST: usize = 4;
    if files.len() > MOST {
        return vec![(format!("{name}.zip"), out.to_path_buf())];
    }
    let of = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (if path.is_dir() { format!("{name}.zip") } else { name }, path.clone())
    };
    files.iter().filter(|path| path.exists()).map(of).collect()
}

/// How much of each class an image has.
fn rows(image: &Image, labels: &Path, progress: &dyn Progress) -> Result<Vec<Row>> {
    let classes = Classes::open(labels)?;
    let mut objects = Objects::default();
    for slice in 0..classes.slices() {
        if progress.stops() {
            return Err(Error::Stopped { done: slice, count: classes.slices() });
        }
        classes.each_row(slice, |row| objects.add_row(row))?;
        objects.end_slice();
    }
    let all: u64 = objects.counts().map(|(_, count)| count.pixels).sum();
    let row = |(class, count): (i64, super::objects::Count)| Row {
        image: image.id.clone(),
        class,
        pixels: count.pixels,
        share: count.pixels as f64 / all.max(1) as f64,
        objects: count.objects,
    };
    Ok(objects.counts().map(row).collect())
}

/// The table as comma-separated values.
fn table(job: &Job) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |error: String| Error::output(TABLE, error);
    writer
        .write_record(["image", "class", "pixels", "share", "objects"])
        .map_err(|e| failed(e.to_string()))?;
    for row in &job.table {
        let numbers =
            [row.class.to_string(), row.pixels.to_string(), row.share.to_string(), row.objects.to_string()];
        let fields = std::iter::once(&row.image).chain(&numbers);
        writer.write_record(fields).map_err(|error| failed(error.to_string()))?;
    }
    writer.into_inner().map_err(|error| failed(error.to_string()))
}
