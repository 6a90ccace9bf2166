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
use std::thread::JoinHandle;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::oneshot;

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
    address: SocketAddr,
    token: String,
    file: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl AdminServer {
    /// Serves on an already bound `listener` and writes the contact file
    /// into `dir`.
    pub(crate) fn start(listener: TcpListener, dir: &Path, state: AdminState) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let token = state.token.clone();
        let file = dir.join(CONTACT_FILE);
        let contact = Contact { address, token: token.clone(), pid: std::process::id() };
        crate::tokens::write_private(&file, &serde_json::to_string(&contact)?)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread =
            std::thread::Builder::new().name("hongyan-admin".to_owned()).spawn(move || {
                let served = runtime.block_on(async {
                    let listener = tokio::net::TcpListener::from_std(listener)?;
                    let routes = routes::routes(Arc::new(state));
                    tokio::select! {
                        served = async { axum::serve(listener, routes).await } => served,
                        _ = stopped => Ok(()),
                    }
                });
                if let Err(error) = served {
                    tracing::error!(%error, "the admin interface has stopped");
                }
            })?;
        Ok(Self { address, token, file, stop: Some(stop), thread: Some(thread) })
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
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the admin thread had panicked");
        }
        // Left behind, it would only point to nobody.
        let _ = std::fs::remove_file(&self.file);
    }
}
