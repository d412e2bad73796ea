//! The page and its files, which are in the program.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::answers::{Answer, Problem};

/// All files of the page. While this is built without optimisation they are read from where they lie, so that a page that is being worked
/// on is loaded anew without building.
#[derive(RustEmbed)]
#[folder = "assets/portal/"]
struct Files;

/// The page.
pub(super) async fn index(headers: HeaderMap) -> Answer {
    file("index.html", &headers)
}

/// A file of the page.
pub(super) async fn part(Path(name): Path<String>, headers: HeaderMap) -> Answer {
    file(&name, &headers)
}

fn file(name: &str, headers: &HeaderMap) -> Answer {
    let kind = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => return Err(Problem::missing("file")),
    };
    // Only names that are in the list: nothing is looked for on the disk.
    if !Files::iter().any(|known| known == name) {
        return Err(Problem::missing("file"));
    }
    let file = Files::get(name).ok_or_else(|| Problem::missing("file"))?;
    let hash: String = file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{hash}\"");
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut answer: Response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        file.data.into_owned().into_response()
    };
    let to = answer.headers_mut();
    to.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    to.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        to.insert(header::ETAG, tag);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_there_and_nothing_else() {
        let none = HeaderMap::new();
        let page = file("index.html", &none).unwrap();
        let tag = page.headers()[header::ETAG].clone();
        assert_eq!(
            file("index.html", &HeaderMap::from_iter([(header::IF_NONE_MATCH, tag)])).unwrap().status(),
            304
        );
        for name in
            ["", "../../Cargo.toml", "../index.html", "/etc/passwd", "index.html/", "none.js", "..", "index"]
        {
            assert_eq!(file(name, &none).unwrap_err().status, 404, "{name}");
        }
    }
}
