//! Errors as JSON, bodies read as JSON, and work that blocks.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Error;
use crate::error::with_settings;

/// What went wrong with a request: a status and a sentence, and what else there is to know.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) sentence: String,
    /// Fields of the answer beside `error`, as an object; null for none.
    pub(super) details: Value,
}

pub(super) type Answer<T = Response> = Result<T, Problem>;

impl Problem {
    pub(super) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into(), details: Value::Null }
    }

    /// What was asked for is not there.
    pub(super) fn missing(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no such {what}"))
    }

    /// The request cannot be meant.
    pub(super) fn bad(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }

    /// The request can be meant, but not now.
    pub(super) fn conflict(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, sentence)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match error {
            // What was asked for is too large for this machine.
            Error::OutOfMemory { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Error::Output { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            _ if error.is_failure() => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        // Pages have no flags: a setting is shown by its name.
        let show = |name: &str, value: Option<&str>| {
            Some(value.map_or_else(|| name.to_owned(), |value| format!("{name} {value}")))
        };
        Self::new(status, with_settings(&error.to_string(), show))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut answer = json!({ "error": self.sentence });
        if let (Value::Object(answer), Value::Object(details)) = (&mut answer, self.details) {
            answer.extend(details);
        }
        (self.status, as_json(&answer)).into_response()
    }
}

/// An answer in JSON.
pub(super) fn as_json(value: &Value) -> Response {
    let kind = HeaderValue::from_static("application/json");
    (
        [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))],
        value.to_string(),
    )
        .into_response()
}

/// Most values in the JSON of a request. As it is read, each takes up to a hundred bytes, in the place of the two or three that it has in
/// the request.
const MOST_VALUES: usize = 1 << 20;

/// The body of a request, which is JSON of a limited number of values.
pub(super) fn parsed<T: DeserializeOwned>(body: &Bytes) -> Answer<T> {
    let count = values_in(body);
    if count > MOST_VALUES {
        let sentence = format!(
            "the body of the request holds {count} numbers, texts and lists, but wanted at most {MOST_VALUES}; send fewer entries at a time, or strokes of fewer points"
        );
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, sentence));
    }
    serde_json::from_slice(body)
        .map_err(|error| Problem::bad(format!("the body of the request is not what it should be: {error}")))
}

/// How many values there are in JSON, or more, without reading it: each but the first stands behind a bracket, a comma or a colon.
fn values_in(json: &[u8]) -> usize {
    let (mut count, mut in_text, mut is_escaped) = (1, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b'[' | b'{' | b',' | b':' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

/// A number in an address; anything else is an address that there is not.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Answer<T> {
    let is_plain = !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_plain { text.parse().ok() } else { None };
    number.ok_or_else(|| Problem::missing("address: wanted whole numbers in it"))
}

/// Level, row and column of a tile.
pub(super) fn place(level: &str, ty: &str, tx: &str) -> Answer<(u32, usize, usize)> {
    Ok((number(level)?, number(ty)?, number(tx)?))
}

/// Does work that reads files or computes, beside the threads that answer.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Answer<T> + Send + 'static,
) -> Answer<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        log::error!("a request has failed: {error}");
        let sentence = "the server has failed at this; what it says in its terminal is worth a report";
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, sentence))
    })
}

/// Errors of the libraries beneath become JSON too.
pub(super) async fn errors_as_json(request: Request, next: Next) -> Response {
    /// Most bytes of a sentence.
    const MOST: usize = 4096;
    let answer = next.run(request).await;
    let status = answer.status();
    let is_json = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return answer;
    }
    let text = to_bytes(answer.into_body(), MOST).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    let sentence = match status {
        StatusCode::NOT_FOUND if text.is_empty() => "there is no such address".to_owned(),
        StatusCode::METHOD_NOT_ALLOWED => "this address does not take such a request".to_owned(),
        StatusCode::PAYLOAD_TOO_LARGE => "the body of the request is too large".to_owned(),
        _ if text.is_empty() => status.to_string(),
        _ => text,
    };
    Problem::new(status, sentence).into_response()
}

/// A tile, or another array of numbers.
pub(super) fn numbers(bytes: Vec<u8>, height: usize, width: usize, channels: usize) -> Response {
    let mut answer = Response::new(Body::from(bytes));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in [("x-width", width), ("x-height", height), ("x-channels", channels)] {
        headers.insert(name, value.into());
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_of_very_many_values_is_refused_before_it_is_read() {
        for (text, count) in [
            ("1", 1),
            ("[1, 2]", 3),
            (r#"{"a": [[1, 2], [3, 4]], "b": "x,y:[{\",,"}"#, 11),
            (r#"["\\", 1]"#, 3),
        ] {
            // An object has a value for each name, too.
            assert_eq!(values_in(text.as_bytes()), count, "{text}");
        }
        let points = |count: usize| Bytes::from(format!("[{}]", vec!["[1,2]"; count].join(",")));
        assert_eq!(parsed::<Vec<[f64; 2]>>(&points(100_000)).unwrap().len(), 100_000);
        let problem = parsed::<Vec<[f64; 2]>>(&points(400_000)).unwrap_err();
        assert_eq!(problem.status, 413);
        assert!(
            problem.sentence.contains("holds 1200001 numbers")
                && problem.sentence.contains("at most 1048576")
        );
    }
}
