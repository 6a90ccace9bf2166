//! The parts of a sheet, in order.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hongyan_loadtest::report::RunReport;
use hongyan_loadtest::scenario::idle::IdleReport;

use crate::append::{self, AppendFloor};
use crate::stage::{Programs, Server, Setting, Stage, text};

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
    let bench = Bench { plan, stage: Stage::new(&plan.dir, programs)? };
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
    stage: Stage,
}

impl Bench<'_> {
    fn relay(&self) -> anyhow::Result<RunReport> {
        let relay = self.stage.relay(self.plan.connections)?;
        let (addr, pid) = (relay.addr.to_string(), relay.pid());
        let report =
            self.ring(&["direct", "--addr", &addr, "--driver", "null", "--server-pid", &pid])?;
        relay.kill()?;
        Ok(report)
    }

    fn append(&self) -> anyhow::Result<Vec<AppendFloor>> {
        append::BATCHES
            .into_iter()
            .map(|batch| append::measure(self.stage.dir(), batch, 220, Duration::from_secs(2)))
            .collect()
    }

    fn direct(&self) -> anyhow::Result<(RunReport, RunReport)> {
        let server = self.stage.server(&self.stage.path("direct"), &Setting::default())?;
        let durable = self.direct_at("durable", &server)?;
        let written = self.direct_at("written", &server)?;
        let data = server.data.clone();
        server.stop()?;
        fs::remove_dir_all(data)?;
        Ok((durable, written))
    }

    fn direct_at(&self, level: &str, server: &Server) -> anyhow::Result<RunReport> {
        let (addr, users) = (server.addr.to_string(), text(&self.stage.path("ring.users")));
        let mut args = vec!["direct", "--addr", &addr, "--level", level, "--users-file", &users];
        let watched = server.watched();
        args.extend(watched.iter().map(String::as_str));
        self.ring(&args)
    }

    fn idle(&self) -> anyhow::Result<IdleReport> {
        let data = self.stage.path("idle");
        let users = text(&self.stage.path("idle.users"));
        let (count, devices) = (self.plan.idle.to_string(), IDLE_DEVICES.to_string());
        let people = self.plan.idle.div_ceil(IDLE_DEVICES).to_string();
        let server = self.stage.server(&data, &Setting::default())?;
        let addr = server.addr.to_string();
        let make = ["users", "--addr", &addr, "--count", &people, "--devices", &devices];
        let into = ["--users-file", &users, "--data", &text(&data)];
        self.stage.carry_out(&[&make[..], &into].concat())?;
        server.stop()?;
        // A fresh process: memory that making accounts gave back would hide what sessions take.
        let setting = Setting { small_pages: true, ..Setting::default() };
        let server = self.stage.server(&data, &setting)?;
        let addr = server.addr.to_string();
        let mut args =
            vec!["idle", "--addr", &addr, "--connections", &count, "--users-file", &users];
        let watched = server.watched();
        args.extend(watched.iter().map(String::as_str));
        let report = self.stage.run(&args)?;
        server.stop()?;
        fs::remove_dir_all(&data)?;
        Ok(report)
    }

    fn restart(&self) -> anyhow::Result<RestartFigure> {
        let data = self.stage.path("restart");
        let users = text(&self.stage.path("restart.users"));
        let start = || self.stage.server(&data, &Setting::default());
        let server = start()?;
        let (addr, messages) = (server.addr.to_string(), self.plan.messages.to_string());
        let report =
            self.ring(&["fill", "--addr", &addr, "--messages", &messages, "--users-file", &users])?;
        server.kill()?;
        let store_bytes = hongyan_loadtest::probe::disk_bytes(&data)?;
        let killed = Instant::now();
        let server = start()?;
        let killed_s = killed.elapsed().as_secs_f64();
        server.stop()?;
        let stopped = Instant::now();
        let server = start()?;
        let stopped_s = stopped.elapsed().as_secs_f64();
        server.stop()?;
        fs::remove_dir_all(&data)?;
        let messages = report.outcome.acked_in_all;
        Ok(RestartFigure { messages, killed_s, stopped_s, store_bytes })
    }

    fn ring(&self, args: &[&str]) -> anyhow::Result<RunReport> {
        let plan = self.plan;
        let (connections, window) = (plan.connections.to_string(), plan.window.to_string());
        let (threads, seconds) = (plan.threads.to_string(), plan.seconds.to_string());
        let mut args = args.to_vec();
        args.extend(["--connections", &connections, "--window", &window, "--threads", &threads]);
        if args[0] == "direct" {
            args.extend(["--seconds", &seconds]);
        }
        self.stage.run(&args)
    }
}
