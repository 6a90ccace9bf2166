//! A server and a null relay of a stage, with their addresses.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::BytesMut;
use hongyan_protocol::version::{CLIENT_PREFACE, PREFACE_BYTES};
use hongyan_protocol::{Opcode, frame, pb};

use super::{
    ANSWER_LIMIT, Program, STOP_LIMIT, Stage, free_addrs, pinned, text, wait_for_listener,
};

/// The server's thread that verifies its views.
const VERIFIER: &str = "hongyan-scrub";
const VERIFY_LIMIT: Duration = Duration::from_secs(900);
const LOOK_STEP: Duration = Duration::from_millis(100);

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub struct Setting {
    /// Leaves huge pages alone: 2 MiB are room for thousands of sessions, and hide what one takes.
    pub small_pages: bool,
    /// Runs one worker on this processor.
    pub processor: Option<usize>,
    /// Listens for TLS and WebSocket, too.
    pub all_doors: bool,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    program: Program,
    /// Where it serves TCP.
    pub addr: SocketAddr,
    /// Where it serves TLS, when asked to.
    pub tls: SocketAddr,
    /// Where it serves WebSocket, when asked to.
    pub websocket: SocketAddr,
    /// Where its metrics are.
    pub admin: SocketAddr,
    /// Its store.
    pub data: PathBuf,
}

impl Server {
    /// What the generator is told about a server that it measures: its process, its metrics and
    /// its store.
    #[must_use]
    pub fn watched(&self) -> Vec<String> {
        let (pid, metrics) = (self.program.pid().to_string(), self.admin.to_string());
        let data = text(&self.data);
        [("--server-pid", pid), ("--metrics", metrics), ("--data", data)]
            .into_iter()
            .flat_map(|(flag, value)| [flag.to_owned(), value])
            .collect()
    }

    /// Waits until it has verified its views, which it does beside its work after a start.
    ///
    /// # Errors
    /// Its threads cannot be seen, or it takes too long.
    pub fn wait_until_verified(&self) -> anyhow::Result<()> {
        let threads = format!("/proc/{}/task", self.program.pid());
        let until = Instant::now() + VERIFY_LIMIT;
        loop {
            let verifies = fs::read_dir(&threads)?.flatten().any(|thread| {
                // One that has just ended has no name any more.
                let name = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
                name.trim_end() == VERIFIER
            });
            if !verifies {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < until, "the views are still being verified");
            thread::sleep(LOOK_STEP);
        }
    }

    /// Asks it to stop and waits: everything is in its views then.
    ///
    /// # Errors
    /// It takes too long, or ends with an error.
    pub fn stop(self) -> anyhow::Result<()> {
        let status = self.program.terminate(STOP_LIMIT)?;
        anyhow::ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }

    /// Kills it.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn kill(self) -> anyhow::Result<()> {
        self.program.kill()
    }
}

/// A running null relay.
#[derive(Debug)]
pub struct Relay {
    program: Program,
    /// Where it listens.
    pub addr: SocketAddr,
}

impl Relay {
    /// Its process id, as an argument.
    #[must_use]
    pub fn pid(&self) -> String {
        self.program.pid().to_string()
    }

    /// Ends it.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn kill(self) -> anyhow::Result<()> {
        self.program.kill()
    }
}

impl Stage {
    /// Starts a server on the store `data` and waits until it answers a hello.
    ///
    /// # Errors
    /// It does not start; the error has what it said.
    pub fn server(&self, data: &Path, setting: &Setting) -> anyhow::Result<Server> {
        let [addr, admin, free_tls, free_websocket] = free_addrs()?;
        let mut command = pinned(&self.programs.server, setting.processor);
        command
            .arg("serve")
            .current_dir(self.dir())
            .env("HONGYAN_LISTEN__TCP", addr.to_string())
            .env("HONGYAN_WEBSOCKET__LISTEN", "")
            .env("HONGYAN_ADMIN__LISTEN", admin.to_string())
            .env("HONGYAN_STORE__DIR", data)
            .env("HONGYAN_LOG__LEVEL", "warn");
        if setting.small_pages {
            command.env("MIMALLOC_ALLOW_THP", "0");
        }
        if setting.processor.is_some() {
            command.env("HONGYAN_LISTEN__SHARDS", "1");
        }
        let (mut tls, mut websocket) = (addr, addr);
        if setting.all_doors {
            (tls, websocket) = (free_tls, free_websocket);
            command
                .env("HONGYAN_LISTEN__TLS", tls.to_string())
                .env("HONGYAN_LISTEN__TLS_CERTIFICATE", self.certificate()?)
                .env("HONGYAN_LISTEN__TLS_KEY", self.path("key.pem"))
                .env("HONGYAN_WEBSOCKET__LISTEN", websocket.to_string());
        }
        let output = self.path("server.out");
        let mut program = Program::start("hongyan", &mut command, &output)?;
        wait_for_answer(addr, &mut program)
            .with_context(|| fs::read_to_string(&output).unwrap_or_default())?;
        Ok(Server { program, addr, tls, websocket, admin, data: data.to_path_buf() })
    }

    /// Starts a null relay for a ring of `connections`.
    ///
    /// # Errors
    /// It does not start.
    pub fn relay(&self, connections: usize) -> anyhow::Result<Relay> {
        let [addr] = free_addrs()?;
        let mut command = pinned(&self.programs.relay, None);
        command
            .args(["--addr", &addr.to_string(), "--seconds", "600"])
            .args(["--connections", &connections.to_string()]);
        let mut program = Program::start("null-relay", &mut command, &self.path("relay.out"))?;
        wait_for_listener(addr, &mut program)?;
        Ok(Relay { program, addr })
    }

    /// The certificate of `all_doors`, for this machine's own name and address; made once.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn certificate(&self) -> anyhow::Result<PathBuf> {
        let (certificate, key) = (self.path("cert.pem"), self.path("key.pem"));
        if !certificate.exists() {
            let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
            let made = rcgen::generate_simple_self_signed(names)?;
            fs::write(&certificate, made.cert.pem())?;
            fs::write(&key, made.signing_key.serialize_pem())?;
        }
        Ok(certificate)
    }
}

/// Waits until a server answers a hello: it has recovered and serves.
fn wait_for_answer(addr: SocketAddr, program: &mut Program) -> anyhow::Result<()> {
    wait_for_listener(addr, program)?;
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let device = pb::Device { id: "stage".into(), ..pb::Device::default() };
    let hello = pb::Hello { device: Some(device), ..pb::Hello::default() };
    let mut out = BytesMut::from(&CLIENT_PREFACE[..]);
    frame::encode_message(Opcode::Hello, 1, &hello, &mut out);
    stream.write_all(&out)?;
    let mut answer = [0; PREFACE_BYTES + 1];
    stream.read_exact(&mut answer).context("waiting for the answer to a hello")?;
    Ok(())
}
