//! The JetStream driver against nats-server.

use std::process::Command;

use hongyan_loadtest::driver::Driver as _;
use hongyan_loadtest::driver::jetstream::JetstreamDriver;
use hongyan_loadtest::plan::{Level, Plan};
use hongyan_loadtest::stream::Endpoint;

use crate::peers_program::{Program, carries_every_message, skipped, small_ring};

/// False, said aloud, for a server that is older than the driver asks for.
fn is_new_enough() -> bool {
    let Ok(output) = Command::new("nats-server").arg("--version").output() else {
        // That it is not installed is said when it is started.
        return true;
    };
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = words.trim().rsplit('v').next().unwrap_or_default();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let enough = (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (2, 10);
    if !enough {
        skipped(&format!("{} is older than 2.10", words.trim()));
    }
    enough
}

fn start(with_jetstream: bool) -> Option<Program> {
    if !is_new_enough() {
        return None;
    }
    Program::start("nats-server", |port, dir| {
        let (port, dir) = (port.to_string(), dir.join("js").display().to_string());
        let mut arguments: Vec<String> = ["-a", "127.0.0.1", "-p", &port].map(Into::into).into();
        if with_jetstream {
            arguments.extend(["-js".into(), "-sd".into(), dir]);
        }
        arguments
    })
}

#[test]
fn jetstream_carries_every_message_once() {
    let Some(server) = start(true) else {
        return;
    };
    let driver = |plan: &Plan| JetstreamDriver::new(Endpoint::tcp(server.addr), plan.clone());
    carries_every_message(driver);
    carries_every_message(|plan| driver(&Plan { level: Level::Accepted, ..plan.clone() }));
}

#[test]
fn a_server_without_jetstream_is_refused() {
    let Some(server) = start(false) else {
        return;
    };
    let error = JetstreamDriver::new(Endpoint::tcp(server.addr), small_ring()).prepare();
    let error = format!("{:#}", error.unwrap_err());
    assert!(error.contains("JetStream is off"), "{error}");
}
