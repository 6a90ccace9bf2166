//! The command line: from arguments to a plan, a driver and a scenario.
//!
//! Owns defaults and names of flags; knows nothing of how a scenario works.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use crate::driver::hongyan::HongyanDriver;
use crate::driver::null::NullDriver;
use crate::plan::{CONNECTIONS_MAX, Level, Pace, Plan, Receipts, Stop};
use crate::report::{EXIT_OK, EXIT_USAGE, RunReport};
use crate::roster;
use crate::scenario::{Watch, direct, idle};

/// Load generator for Hongyan: what it carries, what it costs, and whether it kept its word.
#[derive(Debug, Parser)]
#[command(name = "hongyan-loadtest", version)]
pub struct Cli {
    /// What to run.
    #[command(subcommand)]
    pub command: Command,
}

/// See [`Cli`].
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A ring of users, each writing to the next.
    Direct(DirectArgs),
    /// The same ring until a number of messages is stored, for timing a restart.
    Fill(FillArgs),
    /// Sessions that only send heartbeats: memory and CPU of each.
    Idle(IdleArgs),
    /// Only makes the accounts of a users file, so that a later run starts at once.
    Users(UsersArgs),
}

/// What to talk to and where to look.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// Address of the server (or of the null relay).
    #[arg(long, default_value = "127.0.0.1:5100")]
    pub addr: SocketAddr,
    /// What is there.
    #[arg(long, value_enum, default_value_t = DriverName::Hongyan)]
    pub driver: DriverName,
    /// Keeps accounts and tokens between runs; made when it does not exist.
    #[arg(long, value_name = "FILE")]
    pub users_file: Option<PathBuf>,
    /// First part of the accounts' names: a-z, 0-9, '_', '-', '.'.
    #[arg(long, default_value = "load-")]
    pub users_prefix: String,
    /// Process of the server, for its CPU and memory.
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// The server's admin address, for its metrics.
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<SocketAddr>,
    /// The server's data directory, for bytes on disk.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Writes the result to a file, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// No progress lines.
    #[arg(long)]
    pub quiet: bool,
}

/// Which driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DriverName {
    /// A Hongyan server.
    Hongyan,
    /// The null relay: the floor.
    Null,
}

/// The ring.
#[derive(Debug, Args)]
pub struct RingArgs {
    /// Connections in the ring.
    #[arg(long, default_value_t = 200)]
    pub connections: usize,
    /// Unanswered sends per connection, at most.
    #[arg(long, default_value_t = 64)]
    pub window: usize,
    /// Bytes of text per message.
    #[arg(long, default_value_t = 128)]
    pub bytes: usize,
    /// What an ack must mean.
    #[arg(long, value_enum, default_value_t = Level::Durable)]
    pub level: Level,
    /// When receivers say how far they got.
    #[arg(long, value_enum, default_value_t = Receipts::Batch)]
    pub receipts: Receipts,
    /// Seconds to wait for the last answers.
    #[arg(long, default_value_t = 10)]
    pub drain: u64,
    /// Worker threads.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Orders the schedule and fills the messages.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// See [`Command::Direct`].
#[derive(Debug, Args)]
pub struct DirectArgs {
    /// Target.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Ring.
    #[command(flatten)]
    pub ring: RingArgs,
    /// Seconds that count.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Seconds before anything counts.
    #[arg(long, default_value_t = 3)]
    pub warmup: u64,
    /// Messages per second in all, by a schedule (open loop). Without it, each connection keeps
    /// its window full (closed loop).
    #[arg(long)]
    pub rate: Option<f64>,
}

/// See [`Command::Fill`].
#[derive(Debug, Args)]
pub struct FillArgs {
    /// Target.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Ring.
    #[command(flatten)]
    pub ring: RingArgs,
    /// Messages to store, rounded up to a multiple of the connections.
    #[arg(long, default_value_t = 1_000_000)]
    pub messages: u64,
}

/// See [`Command::Idle`].
#[derive(Debug, Args)]
pub struct IdleArgs {
    /// Target.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Sessions in all.
    #[arg(long, default_value_t = 1_000)]
    pub connections: usize,
    /// Steps to open them in.
    #[arg(long, default_value_t = 5)]
    pub steps: usize,
    /// Seconds to hold them.
    #[arg(long, default_value_t = 20)]
    pub hold: u64,
    /// Seconds between two heartbeats of a session.
    #[arg(long, default_value_t = 20)]
    pub heartbeat: u64,
}

/// See [`Command::Users`].
#[derive(Debug, Args)]
pub struct UsersArgs {
    /// Target.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Accounts.
    #[arg(long, default_value_t = 200)]
    pub count: usize,
    /// Devices of each account, 1 to 32. More than one: all tokens come from the operator's
    /// interface, found through --data, so that many sessions cost few password hashes.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=32))]
    pub devices: u64,
}

/// Runs the program with the arguments of the process and gives its exit code: one of the `EXIT_`
/// codes of [`report`](crate::report), or 1 with a message when a run could not begin.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way, too. A closed terminal changes nothing.
            let _ = error.print();
            let code = if error.use_stderr() { EXIT_USAGE } else { EXIT_OK };
            return ExitCode::from(code);
        }
    };
    match run(&cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("hongyan-loadtest: {error:#}");
            let usage = error.is::<crate::plan::PlanError>();
            ExitCode::from(if usage { EXIT_USAGE } else { crate::report::EXIT_FAILED })
        }
    }
}

/// Runs one command and prints what it found.
///
/// # Errors
/// The run could not begin, or its result could not be written.
pub fn run(command: &Command) -> anyhow::Result<u8> {
    match command {
        Command::Direct(args) => {
            let pace =
                args.rate.map_or(Pace::ClosedLoop, |per_second| Pace::OpenLoop { per_second });
            let plan =
                Plan { pace, seconds: args.seconds, warmup_s: args.warmup, ..plan_of(&args.ring) };
            let report = ring("direct", &plan, &args.target)?;
            finish(&report, report.verdict.exit_code, args.target.json.as_deref())
        }
        Command::Fill(args) => {
            let stop = Stop::Messages { messages: args.messages };
            let plan = Plan { stop, ..plan_of(&args.ring) };
            let report = ring("fill", &plan, &args.target)?;
            let code = finish(&report, report.verdict.exit_code, args.target.json.as_deref())?;
            println!(
                "{} messages are stored. To time a restart: end the server (TERM for a clean stop, \
                 KILL for recovery), start it again, and measure until it answers on {}.",
                report.outcome.acked_in_all, args.target.addr
            );
            Ok(code)
        }
        Command::Idle(args) => idle(args),
        Command::Users(args) => users(args),
    }
}

fn plan_of(ring: &RingArgs) -> Plan {
    Plan {
        connections: ring.connections,
        window: ring.window,
        bytes: ring.bytes,
        level: ring.level,
        receipts: ring.receipts,
        drain_s: ring.drain,
        threads: ring.threads,
        seed: ring.seed,
        ..Plan::default()
    }
}

fn ring(scenario: &str, plan: &Plan, target: &TargetArgs) -> anyhow::Result<RunReport> {
    plan.check()?;
    let watch = watch_of(target);
    match target.driver {
        DriverName::Hongyan => {
            let accounts = accounts(target, plan.connections)?;
            let driver = HongyanDriver::new(target.addr, accounts, plan.clone());
            direct::run(&driver, (scenario, "hongyan"), plan, &watch)
        }
        DriverName::Null => {
            let driver = NullDriver::new(target.addr, plan.clone());
            direct::run(&driver, (scenario, "null relay"), plan, &watch)
        }
    }
}

fn idle(args: &IdleArgs) -> anyhow::Result<u8> {
    let plan = idle::IdlePlan {
        connections: args.connections.min(CONNECTIONS_MAX),
        steps: args.steps,
        hold_s: args.hold,
        heartbeat_s: args.heartbeat,
    };
    let watch = watch_of(&args.target);
    let form = Plan { connections: plan.connections, ..Plan::default() };
    let report = match args.target.driver {
        DriverName::Hongyan => {
            let accounts = accounts(&args.target, plan.connections)?;
            idle::run(&HongyanDriver::new(args.target.addr, accounts, form), &plan, &watch)?
        }
        DriverName::Null => idle::run(&NullDriver::new(args.target.addr, form), &plan, &watch)?,
    };
    finish(&report, report.exit_code, args.target.json.as_deref())
}

/// Makes accounts, and puts tokens of all their devices in the users file.
fn users(args: &UsersArgs) -> anyhow::Result<u8> {
    let mut users = accounts(&args.target, args.count)?;
    if args.devices > 1 {
        let data = args.target.data.as_deref().context("--devices needs --data")?;
        let file = args.target.users_file.as_deref().context("--devices needs --users-file")?;
        let operator = roster::Operator::of_data(data)?;
        users = roster::issue_devices(&operator, &users, args.devices as usize)
            .context("issuing tokens")?;
        roster::write_file(file, &users)?;
    }
    println!("{} accounts with {} devices each are ready", args.count, args.devices);
    Ok(EXIT_OK)
}

fn accounts(target: &TargetArgs, count: usize) -> anyhow::Result<Vec<roster::Account>> {
    roster::prepare(target.addr, count, &target.users_prefix, target.users_file.as_deref())
        .context("preparing accounts")
}

fn watch_of(target: &TargetArgs) -> Watch {
    Watch {
        server_pid: target.server_pid,
        metrics: target.metrics,
        data: target.data.clone(),
        quiet: target.quiet,
    }
}

fn finish<R: Serialize + std::fmt::Display>(
    report: &R,
    code: u8,
    json: Option<&Path>,
) -> anyhow::Result<u8> {
    println!("{report}");
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(report)?;
        fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn direct_takes_what_its_documentation_says() {
        let line = "hongyan-loadtest direct --addr 127.0.0.1:5100 --connections 200 --window 64 \
                    --bytes 128 --seconds 10 --warmup 3 --level durable --rate 5000";
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Direct(args) = cli.command else { panic!("not direct") };
        assert_eq!((args.rate, args.ring.level), (Some(5000.0), Level::Durable));
    }
}
