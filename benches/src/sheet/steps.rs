//! The parts of a sheet, in order.

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::BytesMut;
use hongyan_loadtest::report::{EXIT_FAILED, RunReport};
use hongyan_loadtest::scenario::idle::IdleReport;
use hongyan_protocol::version::{CLIENT_PREFACE, PREFACE_BYTES};
use hongyan_protocol::{Opcode, frame, pb};
use serde::de::DeserializeOwned;

use crate::append::{self, AppendFloor};
use crate::sheet::child::Program;

const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const RUN_LIMIT: Duration = Duration::from_secs(900);
const TRY_STEP: Duration = Duration::from_millis(5);
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Idle sessions of each user: their tokens cost no password hashes then.
pub(crate) const IDLE_DEVICES: usize = 16;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Directory on the disk in question; everything is made under it and removed.
    pub dir: PathBuf,
    /// Connections of the ring.
    pub connections: usize,
    /// Sends in flight per connection.
    pub window: usize,
    /// Seconds that count, per run.
    pub seconds: u64,
    /// Idle sessions.
    pub idle: usize,
    /// Messages to restart with.
    pub messages: u64,
    /// Threads of the generator.
    pub threads: usize,
}

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `hongyan`.
    pub server: PathBuf,
    /// `hongyan-loadtest`.
    pub loadtest: PathBuf,
    /// `null-relay`.
    pub relay: PathBuf,
}

/// How long a start took with messages in the store.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestartFigure {
    /// Messages stored.
    pub messages: u64,
    /// From the start to the first answer, after a kill, in seconds.
    pub killed_s: f64,
    /// The same after a clean stop.
    pub stopped_s: f64,
    /// Bytes of the store.
    pub store_bytes: u64,
}

/// Everything that a sheet shows.
#[derive(Debug, Clone)]
pub struct Figures {
    /// The null relay under the same load.
    pub relay: RunReport,
    /// The bare log recipe.
    pub append: Vec<AppendFloor>,
    /// The server, durable.
    pub durable: RunReport,
    /// The server, written.
    pub written: RunReport,
    /// Idle sessions.
    pub idle: IdleReport,
    /// Restart.
    pub restart: RestartFigure,
}

/// Measures everything.
///
/// # Errors
/// A program could not be started, did not answer, failed, or took too long.
pub fn measure(plan: &Plan, programs: &Programs) -> anyhow::Result<Figures> {
    fs::create_dir_all(&plan.dir)?;
    let work = tempfile::tempdir_in(&plan.dir)?;
    let bench = Bench { plan, programs, work: work.path() };
    say("null relay");
    let relay = bench.relay()?;
    say("append and fdatasync");
    let append = bench.append()?;
    say("server, direct");
    let (durable, written) = bench.direct()?;
    say("server, idle sessions");
    let idle = bench.idle()?;
    say("server, restart");
    let restart = bench.restart()?;
    Ok(Figures { relay, append, durable, written, idle, restart })
}

fn say(what: &str) {
    // Progress is a courtesy: a closed terminal must not end the run.
    let _ = writeln!(std::io::stderr(), "-- {what}");
}

struct Bench<'a> {
    plan: &'a Plan,
    programs: &'a Programs,
    work: &'a Path,
}

/// A server with its addresses and directory.
struct Server {
    program: Program,
    addr: SocketAddr,
    admin: SocketAddr,
    data: PathBuf,
}

impl Bench<'_> {
    fn relay(&self) -> anyhow::Result<RunReport> {
        let addr = free_addr()?;
        let mut command = Command::new(&self.programs.relay);
        command
            .args(["--addr", &addr.to_string(), "--seconds", "600"])
            .args(["--connections", &self.plan.connections.to_string()]);
        let mut relay = Program::start("null-relay", &mut command, &self.work.join("relay.out"))?;
        wait_for_listener(addr, &mut relay)?;
        let report = self.ring(
            "direct",
            addr,
            &["--driver", "null", "--server-pid", &relay.pid().to_string()],
        )?;
        relay.kill()?;
        Ok(report)
    }

    fn append(&self) -> anyhow::Result<Vec<AppendFloor>> {
        [1, 64, 256, 1_024, 4_096]
            .into_iter()
            .map(|batch| append::measure(self.work, batch, 220, Duration::from_secs(2)))
            .collect()
    }

    fn direct(&self) -> anyhow::Result<(RunReport, RunReport)> {
        let server = self.start(&self.work.join("direct"))?;
        let durable = self.direct_at("durable", &server)?;
        let written = self.direct_at("written", &server)?;
        server.program.terminate(STOP_LIMIT)?;
        fs::remove_dir_all(&server.data)?;
        Ok((durable, written))
    }

    fn direct_at(&self, level: &str, server: &Server) -> anyhow::Result<RunReport> {
        let users = self.work.join("ring.users");
        let (pid, metrics) = (server.program.pid().to_string(), server.admin.to_string());
        self.ring(
            "direct",
            server.addr,
            &[
                "--level",
                level,
                "--users-file",
                &text(&users),
                "--server-pid",
                &pid,
                "--metrics",
                &metrics,
                "--data",
                &text(&server.data),
            ],
        )
    }

    fn idle(&self) -> anyhow::Result<IdleReport> {
        let data = self.work.join("idle");
        let users = self.work.join("idle.users");
        let count = self.plan.idle.to_string();
        let devices = IDLE_DEVICES.to_string();
        let people = self.plan.idle.div_ceil(IDLE_DEVICES).to_string();
        let server = self.start(&data)?;
        let addr = server.addr.to_string();
        let make = ["users", "--addr", &addr, "--count", &people, "--devices", &devices];
        let into = ["--users-file", &text(&users), "--data", &text(&data)];
        self.loadtest::<serde_json::Value>(&[&make[..], &into[..]].concat(), false)?;
        server.program.terminate(STOP_LIMIT)?;
        // A fresh process: memory that making accounts gave back would hide what sessions take.
        // Huge pages hide it too: 2 MiB are room for thousands of sessions.
        let server = self.start_with(&data, &[("MIMALLOC_ALLOW_THP", "0")])?;
        let (addr, pid) = (server.addr.to_string(), server.program.pid().to_string());
        let report = self
            .loadtest(
                &[
                    "idle",
                    "--addr",
                    &addr,
                    "--connections",
                    &count,
                    "--users-file",
                    &text(&users),
                    "--server-pid",
                    &pid,
                    "--data",
                    &text(&data),
                ],
                true,
            )?
            .context("idle writes a report")?;
        server.program.terminate(STOP_LIMIT)?;
        fs::remove_dir_all(&data)?;
        Ok(report)
    }

    fn restart(&self) -> anyhow::Result<RestartFigure> {
        let data = self.work.join("restart");
        let users = self.work.join("restart.users");
        let server = self.start(&data)?;
        let messages = self.plan.messages.to_string();
        let report = self.ring(
            "fill",
            server.addr,
            &["--messages", &messages, "--users-file", &text(&users)],
        )?;
        server.program.kill()?;
        let store_bytes = hongyan_loadtest::probe::disk_bytes(&data)?;
        let killed = Instant::now();
        let server = self.start(&data)?;
        let killed_s = killed.elapsed().as_secs_f64();
        server.program.terminate(STOP_LIMIT)?;
        let stopped = Instant::now();
        let server = self.start(&data)?;
        let stopped_s = stopped.elapsed().as_secs_f64();
        server.program.terminate(STOP_LIMIT)?;
        fs::remove_dir_all(&data)?;
        let messages = report.outcome.acked_in_all;
        Ok(RestartFigure { messages, killed_s, stopped_s, store_bytes })
    }

    /// Starts a server on `data` and waits until it answers a hello.
    fn start(&self, data: &Path) -> anyhow::Result<Server> {
        self.start_with(data, &[])
    }

    /// The same with `more` in its environment.
    fn start_with(&self, data: &Path, more: &[(&str, &str)]) -> anyhow::Result<Server> {
        let (addr, admin) = (free_addr()?, free_addr()?);
        let mut command = Command::new(&self.programs.server);
        command
            .arg("serve")
            .current_dir(self.work)
            .env("HONGYAN_LISTEN__TCP", addr.to_string())
            .env("HONGYAN_WEBSOCKET__LISTEN", "")
            .env("HONGYAN_ADMIN__LISTEN", admin.to_string())
            .env("HONGYAN_STORE__DIR", data)
            .envs(more.iter().copied())
            .env("HONGYAN_LOG__LEVEL", "warn");
        let mut program = Program::start("hongyan", &mut command, &self.work.join("server.out"))?;
        wait_for_answer(addr, &mut program).with_context(|| self.server_output())?;
        Ok(Server { program, addr, admin, data: data.to_path_buf() })
    }

    fn server_output(&self) -> String {
        fs::read_to_string(self.work.join("server.out")).unwrap_or_default()
    }

    fn ring(&self, what: &str, addr: SocketAddr, more: &[&str]) -> anyhow::Result<RunReport> {
        let plan = self.plan;
        let (connections, window) = (plan.connections.to_string(), plan.window.to_string());
        let (threads, seconds, addr) =
            (plan.threads.to_string(), plan.seconds.to_string(), addr.to_string());
        let mut args = vec![
            what,
            "--addr",
            &addr,
            "--connections",
            &connections,
            "--window",
            &window,
            "--threads",
            &threads,
        ];
        if what == "direct" {
            args.extend(["--seconds", &seconds]);
        }
        args.extend(more);
        self.loadtest(&args, true)?.context("a ring writes a report")
    }

    /// Runs the generator; `None` when it was not asked for a report.
    fn loadtest<R: DeserializeOwned>(
        &self,
        args: &[&str],
        report: bool,
    ) -> anyhow::Result<Option<R>> {
        let (json, output) = (self.work.join("run.json"), self.work.join("loadtest.out"));
        let mut command = Command::new(&self.programs.loadtest);
        command.args(args).arg("--quiet");
        if report {
            command.arg("--json").arg(&json);
        }
        let program = Program::start("hongyan-loadtest", &mut command, &output)?;
        let status = program.wait(RUN_LIMIT)?;
        let said = fs::read_to_string(&output).unwrap_or_default();
        let failed = status.code().is_none_or(|code| code == i32::from(EXIT_FAILED));
        if failed {
            bail!("hongyan-loadtest {}: {status}\n{said}", args.join(" "));
        }
        if !report {
            return Ok(None);
        }
        let text = fs::read_to_string(&json).with_context(|| said)?;
        fs::remove_file(&json)?;
        Ok(Some(serde_json::from_str(&text)?))
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// An address of this machine that nobody listens on at the moment.
fn free_addr() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn wait_for_listener(addr: SocketAddr, program: &mut Program) -> anyhow::Result<()> {
    let until = Instant::now() + START_LIMIT;
    while TcpStream::connect_timeout(&addr, ANSWER_LIMIT).is_err() {
        program.must_run()?;
        if Instant::now() > until {
            bail!("nobody listens on {addr}");
        }
        thread::sleep(TRY_STEP);
    }
    Ok(())
}

/// Waits until a server answers a hello: it has recovered and serves.
fn wait_for_answer(addr: SocketAddr, program: &mut Program) -> anyhow::Result<()> {
    wait_for_listener(addr, program)?;
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    let device = pb::Device { id: "speed-sheet".into(), ..pb::Device::default() };
    let hello = pb::Hello { device: Some(device), ..pb::Hello::default() };
    let mut out = BytesMut::from(&CLIENT_PREFACE[..]);
    frame::encode_message(Opcode::Hello, 1, &hello, &mut out);
    stream.write_all(&out)?;
    let mut answer = [0; PREFACE_BYTES + 1];
    stream.read_exact(&mut answer).context("waiting for the answer to a hello")?;
    Ok(())
}
