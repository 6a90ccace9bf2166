//! The composition root: threads, their order of start and of stop.
//!
//! ```text
//! start   files of keys > addresses > store and replay > committer >
//!         loaders, offload > workers > settler > admin > acceptor
//! stop    acceptor > drain the workers > settle, seal > settler > loaders,
//!         offload > workers > committer > admin
//! ```
//! Invariants: what can be refused without the store is refused before a store
//! is made; nothing is accepted before everything is replayed; a worker
//! never outlives the committer; the store's lock is given back last.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use hongyan_core::{AdminCommand, AdminOutcome, Layout, ShardId};
use hongyan_store::{Log, StoreLock};

use crate::admin::{AdminServer, AdminState};
use crate::boot::{BootError, Booted, boot};
use crate::commit::{
    COMMITS_LEN, CommitWork, Committer, LOADERS, LOADS_LEN, LoadJob, LoadKind, Progress,
    SettleCommand, Settler, UNSETTLED_ROUNDS, run_loader,
};
use crate::config::Config;
use crate::http::HttpServer;
use crate::observe::metrics::Metrics;
use crate::offload::{self, PASSWORD_THREADS};
use crate::prepare::{Prepared, prepare};
use crate::reactor::MAILBOX_LEN;
use crate::reactor::acceptor::{Acceptor, AcceptorStop, Bound};
use crate::reactor::addresses::{self, Addresses, Speaks};
use crate::reactor::mailbox::{Mailbox, mailbox, parking_mailbox};
use crate::reactor::post::Post;
use crate::reactor::transport::websocket::Upgrades;
use crate::reactor::worker::{WAKER, Worker};
use crate::shared::{AdminDesk, Clock, Condition, Health, Shared, exit_code};
use crate::tls::{Certificate, TlsError};
use crate::tokens::{SignedTokens, TokenKeyError};
#[cfg(feature = "web")]
use crate::web::{self, WebSocketPlace};

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store's content cannot be served.
    #[error("{0}")]
    Boot(#[from] BootError),
    /// There is no usable key for tokens.
    #[error("{0}")]
    TokenKey(#[from] TokenKeyError),
    /// TLS cannot be served.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// The keys of an external issuer cannot be used.
    #[error("auth.external.jwks_file: {}: {detail}", file.display())]
    IssuerKeys {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The web app cannot be served.
    #[error("web.dir: {detail}")]
    Web {
        /// Which file, and what is wrong with it.
        detail: String,
    },
    /// An address cannot be bound, or a thread or a poll cannot be made.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
}

impl StartError {
    /// The exit code of a process that stops because of it: 78 when the store
    /// or the settings must be looked at by a human, 74 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Boot(BootError::Store(error)) => exit_code(error),
            Self::Boot(BootError::Replay { .. })
            | Self::TokenKey(_)
            | Self::Tls(_)
            | Self::IssuerKeys { .. }
            | Self::Web { .. } => 78,
            Self::Io { .. } => 74,
        }
    }
}

const ADMIN_LISTEN: &str = "listen for the admin interface (admin.listen)";
const WEB_LISTEN: &str = "listen for the web app (web.listen)";

fn io_error(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::Io { what, source }
}

/// What the owner of a node must hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing is acknowledged any more; stop the node and exit.
    Failed {
        /// For the log.
        reason: String,
        /// 74; 78 when a human must look at files; 70 after a panic.
        exit_code: u8,
    },
    /// A signal asks to read certificate and log level again.
    ReloadAsked,
    /// A signal or the admin interface asks for an orderly stop.
    StopAsked,
}

/// A server in this process.
pub struct Node;

impl Node {
    /// Opens the store, replays, binds and serves. Returns once connections
    /// are accepted. Without any listener in `config` it serves only
    /// [`NodeHandle::command`].
    ///
    /// # Errors
    /// Any [`StartError`]; nothing is served then.
    pub fn start(config: Config) -> Result<NodeHandle, StartError> {
        Starting::new(config)?.start()
    }

    /// As [`Node::start`], with the log wrapped by `wrap` after the replay:
    /// for tests that make it slow or make it fail.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start_with_log(
        config: Config,
        wrap: impl FnOnce(Box<dyn Log>) -> Box<dyn Log>,
    ) -> Result<NodeHandle, StartError> {
        let mut starting = Starting::new(config)?;
        starting.booted.log = wrap(starting.booted.log);
        starting.start()
    }
}

/// What is made before any thread runs.
struct Starting {
    config: Config,
    layout: Layout,
    certificate: Option<Arc<Certificate>>,
    tls: Option<Arc<rustls::ServerConfig>>,
    addresses: Addresses,
    admin: Option<socket2::Socket>,
    web: Option<socket2::Socket>,
    booted: Booted,
}

impl Starting {
    fn new(config: Config) -> Result<Self, StartError> {
        // Both only say that somebody was here first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let layout = Layout::new(config.listen.shards);
        let Prepared { certificate, tls, tokens } = prepare(&config)?;
        let addresses = Addresses::take(&config.listen).map_err(io_error("listen"))?;
        let admin =
            config.admin.listen.map(addresses::bind).transpose().map_err(io_error(ADMIN_LISTEN))?;
        let web = config.web.as_ref().map(|web| addresses::bind(web.address)).transpose();
        let web = web.map_err(io_error(WEB_LISTEN))?;
        let key = config.token_key.clone();
        let booted = boot(&config, layout, || tokens.map_or_else(|| SignedTokens::open(&key), Ok))?;
        Ok(Self { config, layout, certificate, tls, addresses, admin, web, booted })
    }

    fn start(self) -> Result<NodeHandle, StartError> {
        let Self { config, layout, certificate, tls, addresses, admin, web, booted } = self;
        let (acceptor, acceptor_stop, bound) =
            Acceptor::listen(addresses).map_err(io_error("listen"))?;
        let admin_listener =
            admin.map(addresses::listen_for_http).transpose().map_err(io_error(ADMIN_LISTEN))?;
        let web_listener =
            web.map(addresses::listen_for_http).transpose().map_err(io_error(WEB_LISTEN))?;
        let (shared, queues) = connect(&config, layout, tls)?;
        let mut threads = Threads::default();
        let lock = threads.start_all(&config, &shared, booted, queues.work)?;
        let admin = match admin_listener {
            None => None,
            Some(listener) => {
                let state = AdminState::new(shared.clone(), config.admin.open_metrics);
                let server = AdminServer::start(listener, &config.store.dir, state)
                    .map_err(io_error("serve the admin interface"))?;
                Some(server)
            }
        };
        let web = match web_listener {
            None => None,
            Some(listener) => Some(serve_web(&config, listener, &bound)?),
        };
        let serving = shared.clone();
        threads.spawn("acceptor", Role::Acceptor, &shared, move || acceptor.run(&serving))?;
        Ok(NodeHandle {
            shared,
            threads,
            acceptor: acceptor_stop,
            bound,
            admin,
            web,
            settle: queues.settle,
            events: queues.events,
            certificate,
            drain_spread_ms: config.drain_spread_ms,
            dir: config.store.dir,
            lock: Some(lock),
            stopped: None,
        })
    }
}

/// Serves the web app, and tells it where the WebSocket is: the plain one
/// when there is one, like the page itself.
#[cfg(feature = "web")]
fn serve_web(
    config: &Config,
    listener: std::net::TcpListener,
    bound: &Bound,
) -> Result<HttpServer, StartError> {
    let places = [Speaks::Ws, Speaks::Wss].into_iter();
    let place = places.filter_map(|speaks| Some((bound[speaks as usize]?, speaks))).next();
    let path = config.listen.websocket.as_ref().map_or("", |websocket| websocket.path.as_str());
    let websocket = place.map(|(address, speaks)| WebSocketPlace {
        port: address.port(),
        path,
        tls: speaks.is_encrypted(),
    });
    let dir = config.web.as_ref().map(|web| web.dir.clone()).unwrap_or_default();
    web::start(listener, &dir, websocket).map_err(io_error("serve the web app"))
}

/// A build without it refuses the settings before.
#[cfg(not(feature = "web"))]
fn serve_web(_: &Config, _: std::net::TcpListener, _: &Bound) -> Result<HttpServer, StartError> {
    Err(io_error("serve the web app")(io::ErrorKind::Unsupported.into()))
}

/// The ends of the queues that are not in [`Shared`].
struct Queues {
    settle: Sender<SettleCommand>,
    events: Receiver<Event>,
    work: Work,
}

/// What the threads take from.
struct Work {
    commits: Mailbox<CommitWork>,
    loads: Receiver<LoadJob>,
    settle: Receiver<SettleCommand>,
    offload: offload::OffloadWork,
    workers: Vec<(mio::Poll, Mailbox<Post>)>,
}

/// Makes all queues and what is shared.
fn connect(
    config: &Config,
    layout: Layout,
    tls: Option<Arc<rustls::ServerConfig>>,
) -> Result<(Arc<Shared>, Queues), StartError> {
    let mut workers = Vec::new();
    let mut mailboxes = Vec::new();
    for _ in 0..layout.shards() {
        let poll = mio::Poll::new().map_err(io_error("make a poll"))?;
        let waker = mio::Waker::new(poll.registry(), WAKER).map_err(io_error("make a waker"))?;
        let (sender, receiver) = mailbox(MAILBOX_LEN, waker);
        workers.push((poll, receiver));
        mailboxes.push(sender);
    }
    let (commits, commit_work) = parking_mailbox(COMMITS_LEN);
    let (loads, load_work) = bounded(LOADS_LEN);
    let (settle, settle_work) = bounded(8);
    let (events, event_queue) = bounded(16);
    let (offload, offload_work) =
        offload::queues(config.limits.offload_queue_max, config.external.clone());
    let shared = Arc::new(Shared {
        clock: Clock::start(),
        layout,
        limits: config.limits.clone(),
        tls,
        upgrades: config.listen.websocket.as_ref().and_then(Upgrades::of),
        mailboxes,
        progress: (0..layout.shards()).map(|_| Progress::default()).collect(),
        commits,
        loads,
        offload,
        health: Health::default(),
        desk: AdminDesk::default(),
        metrics: Metrics::new(layout.shards()),
        log_behind: AtomicUsize::new(0),
        posted_bytes: AtomicU64::new(0),
        settled_bytes: AtomicU64::new(0),
        unsettled_bytes_max: config.store.settle_log_bytes.saturating_mul(UNSETTLED_ROUNDS),
        connections: AtomicUsize::new(0),
        events,
    });
    let work = Work {
        commits: commit_work,
        loads: load_work,
        settle: settle_work,
        offload: offload_work,
        workers,
    };
    Ok((shared, Queues { settle, events: event_queue, work }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Acceptor,
    Committer,
    Loader,
    Offload,
    Scrub,
    Settler,
    Worker,
}

/// A thread that panics takes the node down: what it held may be half
/// changed, and the others would wait for it for ever.
struct PanicWatch {
    shared: Arc<Shared>,
    name: &'static str,
}

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.fail(&format!("the thread {} panicked", self.name), EXIT_SOFTWARE);
        }
    }
}

/// The exit code after a mistake of ours (EX_SOFTWARE of sysexits.h).
const EXIT_SOFTWARE: u8 = 70;

#[derive(Default)]
struct Threads(Vec<(Role, JoinHandle<()>)>);

impl Threads {
    fn spawn(
        &mut self,
        name: &'static str,
        role: Role,
        shared: &Arc<Shared>,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), StartError> {
        let watch = PanicWatch { shared: shared.clone(), name };
        let thread = std::thread::Builder::new()
            .name(format!("hongyan-{name}"))
            .spawn(move || {
                let _watch = watch;
                run();
            })
            .map_err(io_error("start a thread"))?;
        self.0.push((role, thread));
        Ok(())
    }

    /// Starts everything but the acceptor and the admin interface; gives back
    /// the store's lock.
    fn start_all(
        &mut self,
        config: &Config,
        shared: &Arc<Shared>,
        booted: Booted,
        work: Work,
    ) -> Result<StoreLock, StartError> {
        let Booted { log, views, lock, checkpoint, index, shards, scrub } = booted;
        let committer = Committer::new(shared.clone(), work.commits, log, index);
        self.spawn("committer", Role::Committer, shared, move || committer.run())?;
        for _ in 0..LOADERS {
            let (own, jobs, views) = (shared.clone(), work.loads.clone(), views.clone());
            self.spawn("loader", Role::Loader, shared, move || {
                run_loader(&own, &jobs, views.as_ref());
            })?;
        }
        self.start_offload(shared, work.offload)?;
        for (id, ((shard, fx), (poll, mailbox))) in (0..).zip(shards.into_iter().zip(work.workers))
        {
            let worker = Worker::new(ShardId(id), shared.clone(), poll, mailbox, shard, fx);
            self.spawn("worker", Role::Worker, shared, move || worker.run())?;
        }
        let settler = Settler::new(shared.clone(), views, &config.store, &checkpoint, work.settle);
        self.spawn("settler", Role::Settler, shared, move || settler.run())?;
        if let Some(scrub) = scrub {
            let own = shared.clone();
            self.spawn("scrub", Role::Scrub, shared, move || match scrub.run() {
                Ok(()) => tracing::info!("the views were verified"),
                Err(error) => own.poison(&format!("views: {error}"), &error),
            })?;
        }
        Ok(lock)
    }

    fn start_offload(
        &mut self,
        shared: &Arc<Shared>,
        work: offload::OffloadWork,
    ) -> Result<(), StartError> {
        for _ in 0..PASSWORD_THREADS {
            let (own, passwords) = (shared.clone(), work.passwords.clone());
            self.spawn("passwords", Role::Offload, shared, move || {
                offload::run_passwords(&own, &passwords);
            })?;
        }
        if let Some((external, config)) = work.external {
            let own = shared.clone();
            self.spawn("external", Role::Offload, shared, move || {
                offload::run_external(&own, &external, config);
            })?;
        }
        Ok(())
    }

    /// Waits for all threads of `role`. A thread that panicked is said.
    fn join(&mut self, role: Role) {
        for index in (0..self.0.len()).rev() {
            if self.0[index].0 == role {
                let (_, thread) = self.0.swap_remove(index);
                if thread.join().is_err() {
                    tracing::error!(?role, "a thread had panicked");
                }
            }
        }
    }
}

/// A running node. Dropping it stops it, as [`NodeHandle::shutdown`] does.
pub struct NodeHandle {
    shared: Arc<Shared>,
    threads: Threads,
    acceptor: AcceptorStop,
    bound: Bound,
    admin: Option<AdminServer>,
    web: Option<HttpServer>,
    settle: Sender<SettleCommand>,
    events: Receiver<Event>,
    certificate: Option<Arc<Certificate>>,
    drain_spread_ms: u32,
    dir: PathBuf,
    lock: Option<StoreLock>,
    stopped: Option<Stopped>,
}

/// How a node stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Every connection was told and flushed in time.
    pub drained: bool,
    /// Everything is in the views and the log was sealed: the next start has
    /// nothing to replay.
    pub settled: bool,
}

/// How long a stop waits for connections.
const DRAIN_LIMIT: Duration = Duration::from_secs(7);
/// How long a stop waits for a whole settle round.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);
/// How long a question of the admin interface may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

impl NodeHandle {
    /// Where plain TCP is served.
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.bound[Speaks::Tcp as usize]
    }

    /// Where TLS is served.
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.bound[Speaks::Tls as usize]
    }

    /// Where plain WebSocket is served.
    pub fn ws_addr(&self) -> Option<SocketAddr> {
        self.bound[Speaks::Ws as usize]
    }

    /// Where WebSocket over TLS is served.
    pub fn wss_addr(&self) -> Option<SocketAddr> {
        self.bound[Speaks::Wss as usize]
    }

    /// Where the web app is served.
    pub fn web_addr(&self) -> Option<SocketAddr> {
        self.web.as_ref().map(HttpServer::address)
    }

    /// Where the admin interface is served.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(AdminServer::address)
    }

    /// The bearer token of the admin interface.
    pub fn admin_token(&self) -> Option<&str> {
        self.admin.as_ref().map(AdminServer::token)
    }

    /// The store's directory.
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// What the owner must hear of next, waiting at most `timeout`.
    pub fn next_event(&self, timeout: Duration) -> Option<Event> {
        self.events.recv_timeout(timeout).ok()
    }

    /// A sender for events of the owner's own, such as signals.
    pub fn event_sender(&self) -> Sender<Event> {
        self.shared.events.clone()
    }

    /// The metrics as Prometheus text.
    pub fn metrics(&self) -> String {
        self.shared.render_metrics()
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Reads the TLS certificate again; open connections stay as they are.
    ///
    /// # Errors
    /// Any [`TlsError`]; the certificate in force stays.
    pub fn reload_certificate(&self) -> Result<(), TlsError> {
        self.certificate.as_ref().map_or(Ok(()), |certificate| certificate.reload())
    }

    /// Carries out one command of an operator. `None` when the node does not
    /// answer in time.
    pub fn command(&self, command: AdminCommand) -> Option<AdminOutcome> {
        let mut answer = self.shared.ask(command);
        let until = Instant::now() + COMMAND_LIMIT;
        loop {
            match answer.try_recv() {
                Ok(outcome) => return Some(outcome),
                Err(tokio::sync::oneshot::error::TryRecvError::Closed) => return None,
                Err(_) if Instant::now() >= until => return None,
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Writes all state to the views now and moves the checkpoint. False when
    /// that could not be completed.
    pub fn settle(&self) -> bool {
        let (answer, done) = bounded(1);
        self.settle.send(SettleCommand::Now(answer)).is_ok()
            && done.recv_timeout(SETTLE_LIMIT).unwrap_or(false)
    }

    /// Stops in order: no new connections, a Goodbye to everybody, everything
    /// flushed (5 s at most), all state in the views, the log sealed.
    pub fn shutdown(mut self) -> Stopped {
        self.stop()
    }

    fn stop(&mut self) -> Stopped {
        if let Some(stopped) = self.stopped {
            return stopped;
        }
        self.acceptor.stop();
        self.threads.join(Role::Acceptor);
        self.shared.health.worsen(Condition::Draining, "the server is stopping");
        let drained = self.drain();
        let healthy = || self.shared.health.condition() != Condition::Poisoned;
        let settled = healthy() && self.settle() && healthy() && self.seal();
        // From here on nobody has anything to say any more; a thread that has
        // ended by itself needs no telling.
        let _ = self.settle.send(SettleCommand::Stop);
        self.threads.join(Role::Settler);
        for _ in 0..LOADERS {
            let _ = self.shared.loads.send(LoadJob { shard: ShardId(0), kind: LoadKind::Stop });
        }
        self.threads.join(Role::Loader);
        self.shared.offload.stop();
        self.threads.join(Role::Offload);
        for mailbox in &self.shared.mailboxes {
            let _ = mailbox.send(Post::Stop);
        }
        self.threads.join(Role::Worker);
        let _ = self.shared.commits.send(CommitWork::Stop);
        self.threads.join(Role::Committer);
        self.threads.join(Role::Scrub);
        drop(self.admin.take());
        drop(self.web.take());
        self.lock = None;
        let stopped = Stopped { drained, settled };
        self.stopped = Some(stopped);
        stopped
    }

    fn drain(&self) -> bool {
        let (done, drained) = bounded(self.shared.mailboxes.len());
        for mailbox in &self.shared.mailboxes {
            let spread_ms = self.drain_spread_ms;
            let _ = mailbox.send(Post::Drain { spread_ms, done: done.clone() });
        }
        let until = Instant::now() + DRAIN_LIMIT;
        (0..self.shared.mailboxes.len()).all(|_| drained.recv_deadline(until).is_ok())
    }

    fn seal(&self) -> bool {
        let (answer, sealed) = bounded(1);
        self.shared.commits.send(CommitWork::Seal { answer }).is_ok()
            && sealed.recv_timeout(SETTLE_LIMIT).is_ok()
    }
}

impl Drop for NodeHandle {
    fn drop(&mut self) {
        self.stop();
    }
}
