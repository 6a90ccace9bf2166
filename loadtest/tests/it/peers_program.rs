//! Other people's servers, each started for one test on a loopback port of its own, with a folder
//! of its own, and ended with it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write, stderr};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hongyan_loadtest::driver::Driver;
use hongyan_loadtest::plan::{Plan, Receipts, Stop};
use hongyan_loadtest::scenario::{Watch, direct};
use tempfile::TempDir;

/// Longest wait for a program to listen.
const START_MAX: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Ports to try: somebody else may take one before the program does.
const TRIES: usize = 3;
const LOG: &str = "log";

/// A running server.
pub(crate) struct Program {
    child: Child,
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    _dir: TempDir,
}

impl Program {
    /// Starts `name` with the arguments for a port and a folder; `None`, said aloud, when it is
    /// not installed.
    pub(crate) fn start(name: &str, arguments: impl Fn(u16, &Path) -> Vec<String>) -> Option<Self> {
        for _ in 0..TRIES {
            let dir = tempfile::tempdir().unwrap();
            let port = free_port();
            let log = File::create(dir.path().join(LOG)).unwrap();
            let spawned = Command::new(name)
                .args(arguments(port, dir.path()))
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn();
            let child = match spawned {
                Ok(child) => child,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    skipped(&format!("{name} is not installed"));
                    return None;
                }
                Err(error) => panic!("{name}: {error}"),
            };
            let mut program = Self { child, addr: ([127, 0, 0, 1], port).into(), _dir: dir };
            if program.listens() {
                return Some(program);
            }
            let log = fs::read_to_string(program._dir.path().join(LOG)).unwrap_or_default();
            eprintln!("{name} did not come up on port {port}:\n{log}");
        }
        panic!("{name} did not come up");
    }

    /// Waits until it listens; false when it ended instead.
    fn listens(&mut self) -> bool {
        let began = Instant::now();
        while began.elapsed() < START_MAX {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(self.addr).is_ok() {
                return true;
            }
            thread::sleep(LOOK_AGAIN);
        }
        false
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says so where the test runner cannot hide it.
pub(crate) fn skipped(why: &str) {
    let _ = writeln!(stderr(), "SKIPPED: {why}");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A ring of five that sends 500 messages in all.
pub(crate) fn small_ring() -> Plan {
    Plan { connections: 5, window: 8, stop: Stop::Messages { messages: 500 }, ..Plan::default() }
}

/// Runs small rings of several shapes, the second over what the first left, and wants every
/// message of each acked and delivered.
pub(crate) fn carries_every_message<D: Driver>(driver: impl Fn(&Plan) -> D) {
    for (bytes, window, receipts) in
        [(128, 8, Receipts::Batch), (40, 1, Receipts::Each), (16_384, 127, Receipts::Batch)]
    {
        let plan = Plan { bytes, window, receipts, ..small_ring() };
        let watch = Watch { quiet: true, ..Watch::default() };
        let report = direct::run(&driver(&plan), ("direct", "a peer"), &plan, &watch).unwrap();
        let outcome = &report.outcome;
        assert_eq!(report.verdict.failures, Vec::<String>::new(), "{plan:?}");
        let counts = (outcome.sent_in_all, outcome.acked_in_all, outcome.delivered_in_all);
        assert_eq!(counts, (500, 500, 500));
    }
}
