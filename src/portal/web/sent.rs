//! Files to download.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream::unfold;
use serde::Deserialize;
use tokio::sync::mpsc;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::AppState;
use super::answers::{Answer, Problem, blocking};
use crate::images::StackFormat;
use crate::portal::project::Project;

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;
/// From this size on the entry of a ZIP file needs longer numbers.
const LARGE: u64 = 0xf000_0000;

/// The file at `path`, called `name`.
pub(super) fn file(path: &Path, name: &str) -> Answer {
    let file = File::open(path).map_err(|_| Problem::missing("file any more"))?;
    stream(file, name)
}

/// The folder at `path` as a ZIP file called `name`, without hidden files.
pub(super) fn folder(project: &Project, path: &Path, name: &str) -> Answer {
    let mut archive = Archive::new(project)?;
    archive.add_folder(path, "")?;
    stream(archive.done()?, name)
}

/// Sends a file while it is read.
fn stream(mut file: File, name: &str) -> Answer {
    let length = file.metadata().map_err(|error| failed(&error))?.len();
    let (sender, receiver) = mpsc::channel::<std::io::Result<Bytes>>(4);
    let reading = move || {
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = file.read(&mut chunk).map(|count| {
                chunk.truncate(count);
                Bytes::from(chunk)
            });
            let is_end = read.as_ref().map_or(true, Bytes::is_empty);
            if read.as_ref().is_ok_and(Bytes::is_empty) || sender.blocking_send(read).is_err() || is_end {
                return;
            }
        }
    };
    std::thread::Builder::new().name("download".into()).spawn(reading).map_err(|error| failed(&error))?;
    let chunks = unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    let mut answer = Response::new(Body::from_stream(chunks));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let name: String = name
        .bytes()
        .map(|byte| if kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{name}")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(answer)
}

fn failed(error: &std::io::Error) -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        format!("the file cannot be made: {error}; check the free space"),
    )
}

/// A ZIP file without a name, which is gone when it was sent.
struct Archive {
    writer: ZipWriter<File>,
}

impl Archive {
    fn new(project: &Project) -> Answer<Self> {
        let file = tempfile::tempfile_in(project.folder().join("cache")).map_err(|error| failed(&error))?;
        Ok(Self { writer: ZipWriter::new(file) })
    }

    fn add(&mut self, path: &Path, name: &str) -> Answer<()> {
        let mut file = File::open(path).map_err(|error| failed(&error))?;
        let length = file.metadata().map_err(|error| failed(&error))?.len();
        self.begin(name, length > LARGE)?;
        std::io::copy(&mut file, &mut self.writer).map(drop).map_err(|error| failed(&error))
    }

    fn add_text(&mut self, text: &[u8], name: &str) -> Answer<()> {
        self.begin(name, false)?;
        self.writer.write_all(text).map_err(|error| failed(&error))
    }

    fn begin(&mut self, name: &str, is_large: bool) -> Answer<()> {
        let options = SimpleFileOptions::default().large_file(is_large);
        self.writer.start_file(name, options).map_err(|error| failed(&error.into()))
    }

    fn add_folder(&mut self, folder: &Path, before: &str) -> Answer<()> {
        let entries = std::fs::read_dir(folder).map_err(|error| failed(&error))?;
        let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(|error| failed(&error))?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let kind = entry.file_type().map_err(|error| failed(&error))?;
            let own = entry.file_name().to_string_lossy().into_owned();
            let name = format!("{before}{own}");
            let is_hidden =
                own.starts_with('.') && !matches!(own.as_str(), ".zarray" | ".zgroup" | ".zattrs");
            if is_hidden || kind.is_symlink() {
                continue;
            }
            if kind.is_dir() {
                self.add_folder(&entry.path(), &format!("{name}/"))?;
            } else {
                self.add(&entry.path(), &name)?;
            }
        }
        Ok(())
    }

    fn done(self) -> Answer<File> {
        let mut file = self.writer.finish().map_err(|error| failed(&error.into()))?;
        file.rewind().map_err(|error| failed(&error))?;
        Ok(file)
    }
}

/// `GET /api/model`.
pub(super) async fn model(State(app): AppState) -> Answer {
    blocking(move || {
        let path = app.live.model_file().ok_or_else(|| Problem::missing("network yet; train one first"))?;
        file(&path, "model.safetensors")
    })
    .await
}

#[derive(Deserialize)]
pub(super) struct Format {
    format: Option<String>,
}

/// `GET /api/export/labels?format=tif|png|nii|ome-zarr`.
pub(super) async fn labels(State(app): AppState, Query(Format { format }): Query<Format>) -> Answer {
    let format = match format.as_deref() {
        None | Some("tif") => StackFormat::Tiff,
        Some("png") => StackFormat::Png,
        Some("nii") => StackFormat::Nifti,
        Some("ome-zarr") => StackFormat::Zarr,
        Some(_) => return Err(Problem::bad("format must be tif, png, nii or ome-zarr")),
    };
    blocking(move || {
        let project = &app.project;
        project.check_has_labels()?;
        let mut archive = Archive::new(project)?;
        let mut classes = csv::Writer::from_writer(Vec::new());
        let unwritten = |_| failed(&std::io::Error::other("the list of classes"));
        classes.write_record(["class", "name", "colour"]).map_err(unwritten)?;
        for class in project.classes() {
            classes
                .write_record([&class.class.to_string(), &class.name, &class.colour])
                .map_err(unwritten)?;
        }
        let text = classes.into_inner().map_err(|_| failed(&std::io::Error::other("the list of classes")))?;
        archive.add_text(&text, "classes.csv")?;
        for image in project.images() {
            if project.labelled(&image.id)? == 0 {
                continue;
            }
            let folder =
                || tempfile::tempdir_in(project.folder().join("cache")).map_err(|error| failed(&error));
            let name = format!("{}.{}", image.id, format.ending());
            match format {
                StackFormat::Tiff => archive.add(&project.write_labels(&image.id)?, &name)?,
                StackFormat::Png => {
                    let folder = folder()?;
                    for path in project.write_label_pictures(&image, folder.path())? {
                        archive.add(&path, &path.file_name().unwrap_or_default().to_string_lossy())?;
                    }
                }
                _ => {
                    let folder = folder()?;
                    let path = folder.path().join(&name);
                    project.write_labels_as(&image, &path, format)?;
                    if path.is_dir() {
                        archive.add_folder(&path, &format!("{name}/"))?;
                    } else {
                        archive.add(&path, &name)?;
                    }
                }
            }
        }
        stream(archive.done()?, "labels.zip")
    })
    .await
}
