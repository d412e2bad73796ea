//! Which requests are listened to at all, and headers of all answers.
//!
//! A page of another site can make a browser send requests here. It cannot read the answers, but requests that change something are
//! dangerous by themselves; and where its name is made to point to this machine, it can read answers too. So:
//!
//! - `Host` has to be the address that is served, which a name of somebody else is not.
//! - `Origin`, where there is one, has to be the same place.
//! - What changes something needs a header that other pages cannot send without being asked about it first, which is never granted.
//! - On another address than this machine's own, all need a token.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::App;
use super::answers::Problem;
use crate::{Error, Result};

/// The header that requests need that change something.
const CHANGES: &str = "x-msd-gpu";
/// The page may load nothing from elsewhere, run no script that is written in it, and not be shown in a frame.
const POLICY: &str = "default-src 'self'; style-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Whom the server listens to.
#[derive(Debug)]
pub(super) struct Guard {
    address: SocketAddr,
    /// The name of this machine, for addresses that are not its own alone.
    machine: Option<String>,
    token: Option<String>,
}

impl Guard {
    /// For a server at `address`. Where others can reach it, a token is made.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where the system gives no random numbers.
    pub(super) fn new(address: SocketAddr) -> Result<Self> {
        if address.ip().is_loopback() {
            return Ok(Self { address, machine: None, token: None });
        }
        let mut bytes = [0; 16];
        rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut bytes).map_err(|error| {
            Error::Mismatch(format!(
                "the system gives no random numbers for a token: {error}; listen on 127.0.0.1"
            ))
        })?;
        let token = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let machine = machine.map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty());
        Ok(Self { address, machine, token: Some(token) })
    }

    /// The token, where one is needed.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The link to the page.
    pub(super) fn link(&self) -> String {
        let ip = match (self.address.ip(), &self.machine) {
            (ip, Some(machine)) if ip.is_unspecified() => machine.clone(),
            (IpAddr::V6(ip), _) => format!("[{ip}]"),
            (ip, _) => ip.to_string(),
        };
        let token = self.token.as_ref().map_or_else(String::new, |token| format!("?token={token}"));
        format!("http://{ip}:{}/{token}", self.address.port())
    }

    /// The name of the cookie: browsers give cookies to all ports of a host.
    fn cookie(&self) -> String {
        format!("msd-gpu-{}", self.address.port())
    }

    /// Whether `host` is the address that is served.
    fn is_here(&self, host: &str) -> bool {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port),
            _ => (host, "80"),
        };
        if port.parse() != Ok(self.address.port()) {
            return false;
        }
        let served = self.address.ip();
        let plain = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        if let Ok(ip) = plain.parse::<IpAddr>() {
            return ip == served || served.is_unspecified() || (ip.is_loopback() && served.is_loopback());
        }
        let is_loopback = name.eq_ignore_ascii_case("localhost");
        let is_machine = self.machine.as_deref().is_some_and(|machine| {
            name.eq_ignore_ascii_case(machine)
                || name.to_ascii_lowercase().starts_with(&format!("{machine}."))
        });
        (is_loopback && (served.is_loopback() || served.is_unspecified())) || is_machine
    }

    /// Whether the token is among the headers.
    fn knows_token(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let text = |value: &HeaderValue| value.to_str().map(str::to_owned).ok();
        let bearer = headers.get(header::AUTHORIZATION).and_then(text);
        let bearer = bearer.as_deref().and_then(|value| value.strip_prefix("Bearer "));
        if bearer.is_some_and(|given| is_same(given, token)) {
            return true;
        }
        let name = self.cookie();
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(text);
        cookies
            .flat_map(|line| line.split(';').map(|one| one.trim().to_owned()).collect::<Vec<_>>())
            .any(|one| one.split_once('=').is_some_and(|(key, value)| key == name && is_same(value, token)))
    }

    fn check(&self, request: &Request) -> std::result::Result<(), Problem> {
        let headers = request.headers();
        let text = |name: header::HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let host = text(header::HOST).unwrap_or_default();
        if !self.is_here(host) {
            let sentence = format!(
                "this server is not at that address; open {}",
                self.link().split('?').next().unwrap_or_default()
            );
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, sentence));
        }
        if let Some(origin) = text(header::ORIGIN)
            && !origin.strip_prefix("http://").is_some_and(|place| place.eq_ignore_ascii_case(host))
        {
            return Err(Problem::new(StatusCode::FORBIDDEN, "pages of other sites may not ask this server"));
        }
        let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
        let is_from_elsewhere =
            headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site");
        // A link to the page itself may stand anywhere.
        if is_from_elsewhere && !(is_reading && request.uri().path() == "/") {
            return Err(Problem::new(StatusCode::FORBIDDEN, "pages of other sites may not ask this server"));
        }
        if !self.knows_token(headers) {
            let sentence = "this needs the token of the link that the server has printed; open that link";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, sentence));
        }
        if !is_reading && headers.get(CHANGES).is_none_or(|value| value != "1") {
            let sentence = "a request that changes something needs the header X-Msd-Gpu: 1";
            return Err(Problem::new(StatusCode::FORBIDDEN, sentence));
        }
        Ok(())
    }

    /// A request for the page with the right token becomes one with a cookie, so that the token does not stay in the address.
    fn first_visit(&self, request: &Request) -> Option<Response> {
        let token = self.token.as_ref()?;
        let given = request.uri().query()?.split('&').find_map(|part| part.strip_prefix("token="))?;
        if request.uri().path() != "/" || !is_same(given, token) {
            return None;
        }
        let cookie = format!("{}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000", self.cookie());
        let headers = [(header::LOCATION, "/".to_owned()), (header::SET_COOKIE, cookie)];
        Some((StatusCode::SEE_OTHER, headers).into_response())
    }
}

/// Whether two texts are equal, in a time that does not depend on where they differ.
fn is_same(a: &str, b: &str) -> bool {
    let differences = a.bytes().zip(b.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    a.len() == b.len() && differences == 0
}

/// Lets through what may be asked, and adds headers to all answers.
pub(super) async fn guarded(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let first = if app.guard.is_here(host) { app.guard.first_visit(&request) } else { None };
    let mut answer = match (first, app.guard.check(&request)) {
        (Some(first), _) => first,
        (None, Ok(())) => next.run(request).await,
        (None, Err(problem)) => problem.into_response(),
    };
    let headers = answer.headers_mut();
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn guard(address: &str) -> Guard {
        let mut guard = Guard::new(address.parse().unwrap()).unwrap();
        guard.machine = guard.machine.map(|_| "beamline".into());
        guard
    }

    fn answer(guard: &Guard, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        guard
            .check(&request.body(Body::empty()).unwrap())
            .map_or_else(|problem| problem.status.as_u16(), |()| 200)
    }

    #[test]
    fn hosts_are_those_that_are_served() {
        let local = guard("127.0.0.1:8765");
        for host in ["127.0.0.1:8765", "localhost:8765", "LocalHost:8765", "[::1]:8765"] {
            assert!(local.is_here(host), "{host}");
        }
        for host in [
            "",
            "127.0.0.1",
            "127.0.0.1:80",
            "evil.example:8765",
            "localhost.evil.example:8765",
            "192.168.1.2:8765",
            "beamline:8765",
            ":8765",
            "127.0.0.1:8765:8765",
            "127.0.0.1:08765x",
        ] {
            assert!(!local.is_here(host), "{host}");
        }
        let open = guard("0.0.0.0:9000");
        for host in ["127.0.0.1:9000", "192.168.1.2:9000", "localhost:9000"] {
            assert!(open.is_here(host), "{host}");
        }
        assert!(!open.is_here("evil.example:9000"));
    }

    #[test]
    fn other_pages_are_refused_and_changes_need_a_header() {
        let local = guard("127.0.0.1:8765");
        let host = ("host", "127.0.0.1:8765");
        let ask = |method: &str, more: &[(&str, &str)]| {
            answer(&local, method, "/api/project", &[&[host], more].concat())
        };
        assert_eq!(ask("GET", &[]), 200);
        assert_eq!(ask("GET", &[("origin", "http://127.0.0.1:8765")]), 200);
        for origin in [
            "null",
            "http://evil.example",
            "https://127.0.0.1:8765",
            "http://127.0.0.1:8766",
            "http://localhost:8765",
            "",
        ] {
            assert_eq!(ask("GET", &[("origin", origin)]), 403, "{origin}");
        }
        assert_eq!(ask("GET", &[("sec-fetch-site", "cross-site")]), 403);
        assert_eq!(ask("GET", &[("sec-fetch-site", "same-origin")]), 200);
        assert_eq!(answer(&local, "GET", "/", &[host, ("sec-fetch-site", "cross-site")]), 200);
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            assert_eq!(ask(method, &[]), 403);
            assert_eq!(ask(method, &[("x-msd-gpu", "0")]), 403);
            assert_eq!(ask(method, &[("x-msd-gpu", "1")]), 200);
            assert_eq!(ask(method, &[("x-msd-gpu", "1"), ("origin", "http://evil.example")]), 403);
        }
        assert_eq!(answer(&local, "GET", "/", &[]), 421);
        assert_eq!(local.link(), "http://127.0.0.1:8765/");
    }

    #[test]
    fn others_need_the_token() {
        let open = guard("0.0.0.0:9000");
        let token = open.token().unwrap().to_owned();
        assert_eq!(token.len(), 32);
        let host = ("host", "192.168.1.2:9000");
        let ask = |more: (&str, &str)| answer(&open, "GET", "/api/project", &[host, more]);
        assert_eq!(answer(&open, "GET", "/", &[host]), 401);
        assert_eq!(ask(("authorization", &format!("Bearer {token}"))), 200);
        assert_eq!(ask(("cookie", &format!("a=b; msd-gpu-9000={token}"))), 200);
        assert_eq!(ask(("cookie", &format!("msd-gpu-8765={token}"))), 401);
        assert_eq!(ask(("authorization", "Bearer ")), 401);
        assert_eq!(ask(("authorization", &format!("Bearer {token}0"))), 401);
        let visit = |path: &str| open.first_visit(&Request::builder().uri(path).body(Body::empty()).unwrap());
        let first = visit(&format!("/?token={token}")).unwrap();
        let cookie = first.headers()[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        assert!(visit("/?token=1").is_none() && visit(&format!("/api?token={token}")).is_none());
    }
}
