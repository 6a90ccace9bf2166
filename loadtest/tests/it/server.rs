//! A real server for tests: the program that stands beside the tests in the target directory, with
//! ephemeral ports and a directory of its own.
//!
//! Owns the process: it ends when the [`TestServer`] is dropped. A test goes without when the
//! program has not been built (`cargo xtask test` builds it first): [`TestServer::start`] says so
//! loudly and gives `None`, and the test passes.

// Tests beside this file use different parts of it.
#![allow(dead_code)]

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hongyan_loadtest::roster::{self, Account, Operator};
use hongyan_loadtest::scenario::Watch;
use hongyan_loadtest::stream::{Endpoint, TlsTrust, Transport};
use tempfile::TempDir;

/// No answer within this is a failure, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_STEP: Duration = Duration::from_millis(10);
/// The last line that a server says when it serves.
const LAST_LINE: &str = " stop ";

/// See the module.
pub(crate) struct TestServer {
    child: Child,
    dir: TempDir,
    /// Where it serves plain TCP.
    pub(crate) tcp: SocketAddr,
    /// Where it serves TLS.
    pub(crate) tls: SocketAddr,
    /// Where its metrics are.
    pub(crate) admin: SocketAddr,
}

impl TestServer {
    /// A server that answers; `None`, and a loud word, when it has not been built.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with more settings, as variables of its environment.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Option<Self> {
        let program = program()?;
        let dir = tempfile::tempdir().unwrap();
        write_certificate(dir.path());
        let said = dir.path().join("said");
        let child = Command::new(program)
            .arg("serve")
            .current_dir(dir.path())
            .env("HONGYAN_LISTEN__TCP", "127.0.0.1:0")
            .env("HONGYAN_LISTEN__TLS", "127.0.0.1:0")
            .env("HONGYAN_LISTEN__TLS_CERTIFICATE", dir.path().join("cert.pem"))
            .env("HONGYAN_LISTEN__TLS_KEY", dir.path().join("key.pem"))
            .env("HONGYAN_LISTEN__SHARDS", "2")
            .env("HONGYAN_WEBSOCKET__LISTEN", "127.0.0.1:0")
            .env("HONGYAN_WEBSOCKET__TLS", "127.0.0.1:0")
            .env("HONGYAN_ADMIN__LISTEN", "127.0.0.1:0")
            .env("HONGYAN_STORE__DIR", dir.path().join("data"))
            .env("HONGYAN_STORE__FREE_MIB_MIN", "16")
            .env("HONGYAN_LOG__LEVEL", "warn")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(File::create(&said).unwrap())
            .stderr(File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, dir, tcp: nowhere, tls: nowhere, admin: nowhere };
        let text = server.wait_until_it_serves(&said);
        // "Hongyan 0.1.0 serves 127.0.0.1:40000 (TCP, not encrypted) and 127.0.0.1:40001 (TLS);
        // data in ...", later "watch http://127.0.0.1:40002/health and ...".
        let mut places = text
            .split(|c: char| c.is_whitespace() || c == '/')
            .filter_map(|word| word.parse::<SocketAddr>().ok())
            .filter(|place| *place != nowhere);
        server.tcp = places.next().unwrap_or_else(|| panic!("the server said: {text}"));
        server.tls = places.next().unwrap_or_else(|| panic!("the server said: {text}"));
        let admin = text.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        server.admin = admin.and_then(|place| place.parse().ok()).expect("an admin address");
        Some(server)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its directory of data.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A place for a test's own files, gone with the server.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The certificate to trust.
    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    /// How to reach it.
    pub(crate) fn endpoint(&self, transport: Transport) -> Endpoint {
        let trust = TlsTrust { ca: Some(self.ca()), server_name: None };
        let addr = match transport {
            Transport::Tls => self.tls,
            _ => self.tcp,
        };
        Endpoint::new(addr, transport, &trust).unwrap()
    }

    /// What a scenario may look at.
    pub(crate) fn watch(&self) -> Watch {
        Watch {
            server_pid: Some(self.pid()),
            metrics: Some(self.admin),
            data: Some(self.data()),
            quiet: true,
        }
    }

    /// New accounts with tokens, whose names begin with `prefix`.
    pub(crate) fn accounts(&self, count: usize, prefix: &str) -> Vec<Account> {
        roster::prepare(&self.endpoint(Transport::Tcp), count, prefix, None).unwrap()
    }

    /// Tokens for `devices` devices of each account, by the operator's interface.
    pub(crate) fn devices(&self, accounts: &[Account], devices: usize) -> Vec<Account> {
        let operator = Operator::of_data(&self.data()).unwrap();
        roster::issue_devices(&operator, accounts, devices).unwrap()
    }

    /// Runs a command line of the generator against this server, and gives its exit code and what
    /// it wrote as JSON.
    pub(crate) fn loadtest(&self, line: &str) -> (u8, serde_json::Value) {
        let json = self.scratch("result.json");
        let mut args: Vec<String> = vec!["hongyan-loadtest".into()];
        args.extend(line.split_whitespace().map(str::to_owned));
        let text = |path: &Path| path.to_string_lossy().into_owned();
        for (flag, value) in [
            ("--addr", self.tcp.to_string()),
            ("--users-file", text(&self.scratch("users.jsonl"))),
            ("--server-pid", self.pid().to_string()),
            ("--data", text(&self.data())),
            ("--json", text(&json)),
        ] {
            args.extend([flag.to_owned(), value]);
        }
        args.push("--quiet".into());
        let cli = <hongyan_loadtest::cli::Cli as clap::Parser>::try_parse_from(args).unwrap();
        let code = hongyan_loadtest::cli::run(&cli.command).unwrap();
        let result = fs::read_to_string(json).unwrap();
        (code, serde_json::from_str(&result).unwrap())
    }

    fn wait_until_it_serves(&mut self, said: &Path) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(said).unwrap();
            if text.contains(LAST_LINE) && text.ends_with('\n') {
                return text;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended: {ended:?}\n{}", self.log());
            assert!(Instant::now() < until, "the server does not serve\n{}", self.log());
            thread::sleep(LOOK_STEP);
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // It is ours; both calls fail only when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

/// The server's program: `target/<profile>/hongyan`, where this test is
/// `target/<profile>/deps/it-...`.
fn program() -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let program = test.parent()?.parent()?.join("hongyan");
    if program.is_file() {
        return Some(program);
    }
    eprintln!("SKIPPED: there is no {}; build it with: cargo build -p hongyan", program.display());
    None
}

fn write_certificate(dir: &Path) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

#[test]
fn a_server_starts_answers_and_ends() {
    let Some(server) = TestServer::start() else { return };
    let accounts = server.accounts(2, "start-");
    assert_eq!(server.devices(&accounts, 3).len(), 6);
    for transport in [Transport::Tcp, Transport::Tls] {
        let endpoint = server.endpoint(transport);
        let mut wire = hongyan_loadtest::session::Wire::connect(&endpoint, 0).unwrap();
        let welcome = wire.greet(&accounts[0].device_id, accounts[0].access_token.clone()).unwrap();
        assert_eq!(welcome.session.unwrap().user_id, accounts[0].user_id);
    }
    let metrics = hongyan_loadtest::probe::Metrics::fetch(server.admin).unwrap();
    assert!(metrics.value("hongyan_sessions").is_some());
    let (pid, dir) = (server.pid(), server.data());
    drop(server);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(!dir.exists());
}
