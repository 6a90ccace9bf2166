//! The operator's interface: HTTP on this machine only.
//!
//! One thread with a tokio runtime of its own; it talks to the shards by
//! posts, like everybody else, and has no second path to the data. Everything
//! but `/health` (and, if configured, `/metrics`) wants the bearer token that
//! is in `admin.json` in the store's directory, which only the owner of the
//! directory can read. The file is there while the server runs; the command
//! line finds the server by it.

pub mod client;
mod routes;
pub mod wire;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::http::HttpServer;
use crate::shared::Shared;
pub(crate) use routes::command;
use wire::Contact;

/// Name of the file that says where the interface is.
pub const CONTACT_FILE: &str = "admin.json";

/// What the routes work with.
pub(crate) struct AdminState {
    pub(crate) shared: Arc<Shared>,
    pub(crate) token: String,
    pub(crate) open_metrics: bool,
}

impl AdminState {
    pub(crate) fn new(shared: Arc<Shared>, open_metrics: bool) -> Self {
        let token = URL_SAFE_NO_PAD.encode(crate::tokens::random_bytes::<32>());
        Self { shared, token, open_metrics }
    }
}

/// The running interface; dropping it ends it.
pub(crate) struct AdminServer {
    server: Option<HttpServer>,
    address: SocketAddr,
    token: String,
    file: PathBuf,
}

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;

impl AdminServer {
    /// Serves on an already bound `listener` and writes the contact file
    /// into `dir`.
    pub(crate) fn start(listener: TcpListener, dir: &Path, state: AdminState) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let token = state.token.clone();
        let file = dir.join(CONTACT_FILE);
        let contact = Contact { address, token: token.clone(), pid: std::process::id() };
        crate::tokens::write_private(&file, &serde_json::to_string(&contact)?)?;
        let routes = routes::routes(Arc::new(state));
        let server = HttpServer::start("admin", listener, CONNECTIONS_MAX, None, routes)?;
        Ok(Self { server: Some(server), address, token, file })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.server = None;
        // Left behind, it would only point to nobody.
        let _ = std::fs::remove_file(&self.file);
    }
}
