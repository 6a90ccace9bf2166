//! The built web app, served as files.
//!
//! For a first look and for small installations; a proxy or a file server
//! does it as well. Owns no data and no secret: what is in the directory is
//! for everybody who can reach the address, but for names that begin with a
//! dot. `/hongyan.json` tells the app where the WebSocket is.
//!
//! | path | answer |
//! |---|---|
//! | a file | it, with its type; for ever in caches when its name has a hash |
//! | no file, no dot in its last part | `index.html`: the app has routes of its own |
//! | any other | 404 |

mod policy;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tower_http::services::{ServeDir, ServeFile};

use crate::http::HttpServer;

/// What is served.
struct Site {
    index: PathBuf,
    /// What a page may do, as its header says; of the page at the start.
    policy: HeaderValue,
    settings: Value,
}

impl Site {
    /// The policy of an answer. A page may have been built anew since the
    /// start, with other scripts in it, so it is looked at again.
    fn policy_for(&self, response: &Response) -> HeaderValue {
        let kind = response.headers().get(header::CONTENT_TYPE);
        let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        let anew = is_page.then(|| policy::of_page(&self.index).ok()).flatten();
        anew.and_then(|policy| HeaderValue::from_str(&policy).ok())
            .unwrap_or_else(|| self.policy.clone())
    }
}

/// Where a page finds the WebSocket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WebSocketPlace<'a> {
    pub(crate) port: u16,
    pub(crate) path: &'a str,
    pub(crate) tls: bool,
}

/// Connections at once: browsers take six each.
const CONNECTIONS_MAX: usize = 32;
/// Browsers keep a connection for minutes after they have everything.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// What stands in the way of serving `dir`, if anything.
pub(crate) fn fault(dir: &Path) -> Option<String> {
    let index = dir.join(INDEX);
    policy::of_page(&index).err().map(|error| format!("{}: {error}", index.display()))
}

/// Serves `dir` on an already bound `listener`.
pub(crate) fn start(
    listener: TcpListener,
    dir: &Path,
    websocket: Option<WebSocketPlace<'_>>,
) -> io::Result<HttpServer> {
    let index = dir.join(INDEX);
    let policy = HeaderValue::from_str(&policy::of_page(&index)?).map_err(io::Error::other)?;
    let settings = json!({ "websocket": websocket.map(|WebSocketPlace { port, path, tls }| {
        json!({ "port": port, "path": path, "tls": tls })
    }) });
    let routes = routes(dir, Arc::new(Site { index, policy, settings }));
    HttpServer::start("web", listener, CONNECTIONS_MAX, Some(IDLE_MAX), routes)
}

/// The address for a person: a wildcard is where this machine is, too.
pub(crate) fn url(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => format!("http://127.0.0.1:{}", v4.port()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => format!("http://[::1]:{}", v6.port()),
        address => format!("http://{address}"),
    }
}

const INDEX: &str = "index.html";

fn routes(dir: &Path, site: Arc<Site>) -> Router {
    let app = Router::new().fallback(page).with_state(site.clone());
    let files = ServeDir::new(dir).append_index_html_on_directories(false).fallback(app);
    Router::new()
        .route("/hongyan.json", get(settings))
        .fallback_service(files)
        .layer(middleware::from_fn_with_state(site.clone(), guard))
        .with_state(site)
}

async fn settings(State(site): State<Arc<Site>>) -> Json<Value> {
    Json(site.settings.clone())
}

/// What is no file: one of the app's own routes, or nothing.
async fn page(State(site): State<Arc<Site>>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let last = request.uri().path().rsplit('/').next().unwrap_or_default();
    if last.contains('.') && last != INDEX {
        return not_found();
    }
    match ServeFile::new(&site.index).try_call(request).await {
        Ok(response) => response.map(Body::new),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "there is no such file\n").into_response()
}

/// Keeps hidden files in, and puts the headers on.
async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let mut response = if is_hidden(&uri) { not_found() } else { next.run(request).await };
    let lasting = response.status() == StatusCode::OK && has_hash(uri.path());
    let cache = if lasting { "public, max-age=31536000, immutable" } else { "no-cache" };
    let policy = site.policy_for(&response);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// True when a part of the path begins with a dot, written in any way.
fn is_hidden(uri: &Uri) -> bool {
    let path = uri.path().to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/");
    path.replace("%5c", "/").replace('\\', "/").contains("/.")
}

/// True for a file of a bundler, whose name changes with its content:
/// `/assets/index-BpX3k9_a.js`.
fn has_hash(path: &str) -> bool {
    let Some((dir, name)) = path.rsplit_once('/') else { return false };
    let Some((stem, _)) = name.rsplit_once('.') else { return false };
    let hash = stem.len().checked_sub(HASH_LEN).and_then(|at| stem.split_at_checked(at));
    dir.split('/').any(|part| part == "assets")
        && hash.is_some_and(|(before, hash)| {
            before.ends_with(['-', '.'])
                && hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        })
}

/// Characters of a bundler's hash.
const HASH_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_hash_last() {
        for lasting in ["/assets/index-BpX3k9_a.js", "/app/assets/a.b.12345678.css"] {
            assert!(has_hash(lasting), "{lasting}");
        }
        for changing in
            ["/", "/index.html", "/assets/logo.png", "/static/a-12345678.js", "/assets/x"]
        {
            assert!(!has_hash(changing), "{changing}");
        }
    }

    #[test]
    fn hidden_files_are_known_in_any_writing() {
        for hidden in ["/.env", "/a/.git/config", "/%2eenv", "/a%2F.x", "/..%5c..", "/%2E%2e/x"] {
            assert!(is_hidden(&hidden.parse().unwrap()), "{hidden}");
        }
        assert!(!is_hidden(&"/assets/a.b.js".parse().unwrap()));
    }

    #[test]
    fn a_wildcard_is_shown_as_an_address_to_click_on() {
        assert_eq!(url("0.0.0.0:5280".parse().unwrap()), "http://127.0.0.1:5280");
        assert_eq!(url("[::]:1".parse().unwrap()), "http://[::1]:1");
        assert_eq!(url("10.0.0.1:80".parse().unwrap()), "http://10.0.0.1:80");
    }
}
