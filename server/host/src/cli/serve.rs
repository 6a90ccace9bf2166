//! `hongyan serve`: a node, signals, and when to stop.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crossbeam_channel::Sender;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{DONE, Failure, IO, Settings};
use crate::config::{Config, LimitsConfig, RawConfig};
use crate::node::{Event, Node, NodeHandle};
use crate::observe::log::{self, LogGuard};

pub(super) fn serve(settings: &Settings) -> Result<u8, Failure> {
    let mut config = settings.checked()?;
    let log = log::start(config.log_format, &config.log_level);
    fit_descriptors(&mut config.limits);
    let node = Node::start(config.clone())?;
    // Whoever reads the greeting may send a signal at once.
    watch_signals(node.event_sender())?;
    greet(&config, &node);
    loop {
        match node.next_event(Duration::from_secs(3_600)) {
            None => {}
            Some(Event::ReloadAsked) => reload(settings, &node, log.as_ref()),
            Some(Event::StopAsked) => {
                tracing::info!("stopping");
                let stopped = node.shutdown();
                tracing::info!(stopped.drained, stopped.settled, "stopped");
                return Ok(if stopped.settled { DONE } else { IO });
            }
            Some(Event::Failed { exit_code, reason }) => {
                node.shutdown();
                return Err(Failure::new(exit_code, reason));
            }
        }
    }
}

/// A few lines: where to connect and what to try next.
fn greet(config: &Config, node: &NodeHandle) {
    let mut places = Vec::new();
    places.extend(node.tcp_addr().map(|tcp| format!("{tcp} (TCP, not encrypted)")));
    places.extend(node.tls_addr().map(|tls| format!("{tls} (TLS)")));
    let server = node.tcp_addr().or(node.tls_addr());
    let server = server.map_or_else(|| "ADDRESS".to_owned(), |address| address.to_string());
    let program = std::env::args().next().unwrap_or_else(|| "hongyan".to_owned());
    let data = if config.store.dir == Path::new(&RawConfig::default().store.dir) {
        String::new()
    } else {
        format!(" --data {}", config.store.dir.display())
    };
    let watch = node.admin_addr().map_or_else(
        || "nothing: admin.listen is empty".to_owned(),
        |admin| format!("http://{admin}/health and http://{admin}/metrics"),
    );
    let text = format!(
        "Hongyan {} serves {}; data in {}\n\
         \x20 websocket {}\n{}\
         \x20 chat      cargo run --release -p hongyan-chat -- --server {server}\n\
         \x20 accounts  make them in the chat, or with: {program}{data} user add NAME\n\
         \x20 watch     {watch}\n\
         \x20 stop      Ctrl-C: clients are told, everything is written\n",
        env!("CARGO_PKG_VERSION"),
        listed(&places, "nobody: listen.tcp and listen.tls are empty"),
        config.store.dir.display(),
        listed(&websockets(config, node), "nobody: websocket.listen and websocket.tls are empty"),
        web_line(node),
    );
    let mut out = std::io::stdout();
    // Nobody may be listening; that is no reason not to serve.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn listed(places: &[String], none: &str) -> String {
    if places.is_empty() { none.to_owned() } else { places.join(" and ") }
}

fn websockets(config: &Config, node: &NodeHandle) -> Vec<String> {
    let path = config.listen.websocket.as_ref().map_or("", |websocket| websocket.path.as_str());
    let mut places = Vec::new();
    places.extend(node.ws_addr().map(|ws| format!("ws://{ws}{path}")));
    places.extend(node.wss_addr().map(|wss| format!("wss://{wss}{path}")));
    places
}

#[cfg(feature = "web")]
fn web_line(node: &NodeHandle) -> String {
    node.web_addr()
        .map_or_else(String::new, |web| format!("  browser   {}\n", crate::web::url(web)))
}

#[cfg(not(feature = "web"))]
const fn web_line(_: &NodeHandle) -> String {
    String::new()
}

fn reload(settings: &Settings, node: &NodeHandle, log: Option<&LogGuard>) {
    match node.reload_certificate() {
        Ok(()) if node.tls_addr().or(node.wss_addr()).is_none() => {
            tracing::info!("there is no certificate to read again: nothing speaks TLS");
        }
        Ok(()) => tracing::info!("the certificate was read again"),
        Err(error) => tracing::error!(%error, "the certificate stays as it is"),
    }
    match settings.checked() {
        Ok(config) => {
            if let Some(log) = log {
                log.set_level(&config.log_level);
            }
            tracing::info!(
                level = config.log_level,
                "the log's level is as the settings say; other settings count from the next start"
            );
        }
        Err(failure) => tracing::error!(error = failure.message, "the settings stay as they are"),
    }
}

/// A thread that turns signals into events; a second SIGINT or SIGTERM ends
/// the process at once.
fn watch_signals(events: Sender<Event>) -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(guard);
    std::thread::Builder::new().name("hongyan-signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let mut stopping = false;
            loop {
                let event = tokio::select! {
                    _ = interrupt.recv() => Event::StopAsked,
                    _ = terminate.recv() => Event::StopAsked,
                    _ = hangup.recv() => Event::ReloadAsked,
                };
                if event == Event::StopAsked && std::mem::replace(&mut stopping, true) {
                    std::process::exit(130);
                }
                if events.try_send(event).is_err() {
                    tracing::warn!("a signal was lost: too many events wait");
                }
            }
        });
    })?;
    Ok(())
}

/// Descriptors that connections leave alone: for the store's files, the
/// admin interface and the threads' polls. Without one a new segment of the
/// log cannot be opened, and that is the end of all writing.
const DESCRIPTORS_KEPT: u64 = 128;

/// Takes as many descriptors as the operating system allows. When they are
/// too few for the connections that the settings allow, says so and allows
/// fewer: who comes then is turned away with a word.
fn fit_descriptors(limits: &mut LimitsConfig) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let Some(current) = current else { return };
    let room = connections_within(current);
    if room < limits.connections_max {
        tracing::warn!(
            descriptors = current,
            connections_max = limits.connections_max,
            connections_allowed = room,
            "fewer descriptors than connections: raise `ulimit -n` or lower limits.connections_max"
        );
        limits.connections_max = room;
    }
}

/// Connections that so many descriptors have room for: at least a few, also
/// where there is hardly room for the server itself.
fn connections_within(descriptors: u64) -> usize {
    descriptors.saturating_sub(DESCRIPTORS_KEPT).max(descriptors / 8).max(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        let room = [20_000, 256, 128, 64, 0].map(connections_within);
        assert_eq!(room, [19_872, 128, 16, 8, 1]);
    }
}
