//! The command line: from arguments and plan files to a plan, a driver and a scenario.
//!
//! Owns names and defaults of flags; knows nothing of how a scenario works.

pub mod capacity;
pub mod cold_start;
pub mod connect_storm;
mod drivers;
pub mod file;
pub mod group_fanout;
pub mod idle;
pub mod load;
pub mod mixed_day;
pub mod offline_catchup;
pub mod peers;
pub mod slow_consumers;
pub mod soak;
pub mod target;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use self::capacity::CapacityArgs;
use self::cold_start::ColdStartFlags;
use self::connect_storm::StormFlags;
use self::file::PlanFile;
use self::group_fanout::GroupFanoutArgs;
use self::idle::{IdleFlags, IdlePartArgs, crew_of_processes, own_crew};
use self::load::LoadFlags;
use self::mixed_day::MixedDayArgs;
use self::offline_catchup::OfflineCatchupArgs;
use self::peers::{PeersArgs, RelayArgs};
use self::slow_consumers::SlowConsumersArgs;
use self::soak::SoakArgs;
use self::target::{DriverName, TargetArgs};
use crate::driver::Driver;
use crate::page;
use crate::plan::{Plan, PlanError, Stop};
use crate::report::{AnyReport, EXIT_OK, EXIT_USAGE, RunReport, Source};
use crate::roster;
use crate::scenario::idle::crew::{Crew, Part, serve};
use crate::scenario::{
    Watch, cold_start as cold, connect_storm as storm, direct, idle as idle_sessions,
};

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
    /// Clients that hold nothing sign in: CPU, bytes and round trips until their list is complete.
    ColdStart(ColdStartArgs),
    /// Many sessions sign in, are cut off together and come back: what a sign-in costs and takes.
    ConnectStorm(StormArgs),
    /// Compares two results, or two sets of them: better, worse or noise.
    Diff(crate::diff::DiffArgs),
    /// A ring of users, each writing to the next.
    Direct(LoadArgs),
    /// The same ring until a number of messages is stored (1000000 when not given), for timing a
    /// restart.
    Fill(LoadArgs),
    /// The highest rate whose p99 is within a gate.
    Capacity(CapacityArgs),
    /// Groups in which a few write and everybody hears.
    GroupFanout(GroupFanoutArgs),
    /// Sessions that only send heartbeats: memory and CPU of each.
    Idle(IdleArgs),
    /// Shows results as one HTML page.
    Report(crate::page::ReportArgs),
    /// A day on one server: people and groups of two sizes, reading, coming and going.
    MixedDay(MixedDayArgs),
    /// People who were away come back and fetch what they missed.
    OfflineCatchup(OfflineCatchupArgs),
    /// The least that a server must do, for tests of a comparison.
    #[command(hide = true)]
    NullRelay(RelayArgs),
    /// Other servers under the same load: starts each that is installed, in alternation with ours,
    /// and prints the ratios.
    Peers(PeersArgs),
    /// A ring in which some read far too slowly, beside one in which nobody does.
    SlowConsumers(SlowConsumersArgs),
    /// A steady load for a long time: does anything grow?
    Soak(SoakArgs),
    /// Holds a part of the sessions of `idle --processes`.
    #[command(hide = true)]
    IdlePart(IdlePartArgs),
    /// Carries out a plan file, whatever its scenario; flags of that scenario may follow.
    Run(RunArgs),
    /// Only makes the accounts of a users file, so that a later run starts at once.
    Users(UsersArgs),
}

/// Target and load.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// Load.
    #[command(flatten)]
    pub load: LoadFlags,
    /// Target.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// See [`Command::ColdStart`].
#[derive(Debug, Args)]
pub struct ColdStartArgs {
    /// Starts.
    #[command(flatten)]
    pub cold_start: ColdStartFlags,
    /// Target.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// See [`Command::ConnectStorm`].
#[derive(Debug, Args)]
pub struct StormArgs {
    /// Sign-ins.
    #[command(flatten)]
    pub storm: StormFlags,
    /// Target.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// See [`Command::Idle`].
#[derive(Debug, Args)]
pub struct IdleArgs {
    /// Sessions.
    #[command(flatten)]
    pub idle: IdleFlags,
    /// Target.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// See [`Command::Run`].
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The plan.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Flags of the plan's scenario.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
    pub flags: Vec<String>,
}

/// See [`Command::Users`].
#[derive(Debug, Args)]
pub struct UsersArgs {
    /// Accounts.
    #[arg(long, default_value_t = 200)]
    pub count: usize,
    /// Devices of each account, 1 to 32. More than one: all tokens come from the operator's
    /// interface, found through --data, so that many sessions cost few password hashes.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=32))]
    pub devices: u64,
    /// Target.
    #[command(flatten)]
    pub target: TargetArgs,
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
            let usage = error.is::<PlanError>();
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
        Command::ColdStart(args) => cold_start(args),
        Command::ConnectStorm(args) => connect_storm(args),
        Command::Diff(args) => crate::diff::diff(args),
        Command::Direct(args) => direct_messages(args),
        Command::Fill(args) => fill(args),
        Command::Capacity(args) => capacity::run(args),
        Command::GroupFanout(args) => group_fanout::run(args),
        Command::Idle(args) => idle(args),
        Command::Report(args) => crate::page::report(args),
        Command::MixedDay(args) => mixed_day::run(args),
        Command::OfflineCatchup(args) => offline_catchup::run(args),
        Command::NullRelay(args) => peers::relay(args),
        Command::Peers(args) => peers::run(args),
        Command::IdlePart(args) => idle_part(args),
        Command::Run(args) => run_file(args),
        Command::SlowConsumers(args) => slow_consumers::run(args),
        Command::Soak(args) => soak::run(args),
        Command::Users(args) => users(args),
    }
}

fn direct_messages(args: &LoadArgs) -> anyhow::Result<u8> {
    let file = PlanFile::of(args.target.plan.as_deref(), "direct")?;
    let plan = args.load.clone().over(file.load).plan(Plan::default());
    let report = ring("direct", &plan, &args.target)?;
    finish(&report, report.verdict.exit_code, &args.target)
}

fn fill(args: &LoadArgs) -> anyhow::Result<u8> {
    let file = PlanFile::of(args.target.plan.as_deref(), "fill")?;
    let defaults = Plan { stop: Stop::Messages { messages: 1_000_000 }, ..Plan::default() };
    let plan = args.load.clone().over(file.load).plan(defaults);
    let report = ring("fill", &plan, &args.target)?;
    let code = finish(&report, report.verdict.exit_code, &args.target)?;
    println!(
        "{} messages are stored. To time a restart: end the server (TERM for a clean stop, KILL \
         for recovery), start it again, and measure until it answers on {}.",
        report.outcome.acked_in_all, args.target.addr
    );
    Ok(code)
}

fn ring(scenario: &str, plan: &Plan, target: &TargetArgs) -> anyhow::Result<RunReport> {
    plan.check()?;
    drivers::drive(target, plan, Ring { scenario, plan, watch: target.watch() })
}

/// The ring on any driver.
struct Ring<'a> {
    scenario: &'a str,
    plan: &'a Plan,
    watch: Watch,
}

impl drivers::Job for Ring<'_> {
    type Output = RunReport;

    fn run<D: Driver>(self, driver: &D, name: &str) -> anyhow::Result<RunReport> {
        direct::run(driver, (self.scenario, name), self.plan, &self.watch)
    }
}

fn cold_start(args: &ColdStartArgs) -> anyhow::Result<u8> {
    let file = PlanFile::of(args.target.plan.as_deref(), "cold-start")?;
    must_be_hongyan(&args.target, "cold-start")?;
    let plan = args.cold_start.clone().over(file.cold_start).plan();
    plan.check()?;
    let accounts = args.target.accounts(plan.accounts())?;
    let report = cold::run(&args.target.endpoint()?, &accounts, &plan, &args.target.watch())?;
    finish(&report, report.verdict.exit_code, &args.target)
}

fn must_be_hongyan(target: &TargetArgs, scenario: &str) -> Result<(), PlanError> {
    match target.driver {
        DriverName::Hongyan => Ok(()),
        _ => Err(PlanError::new(format!("{scenario} needs a Hongyan server"))),
    }
}

fn connect_storm(args: &StormArgs) -> anyhow::Result<u8> {
    let file = PlanFile::of(args.target.plan.as_deref(), "connect-storm")?;
    must_be_hongyan(&args.target, "connect-storm")?;
    let flags = args.storm.clone().over(file.storm);
    let plan = flags.plan();
    plan.check()?;
    let devices = flags.devices.unwrap_or(1) as usize;
    let accounts = args.target.sessions(plan.connections, devices)?;
    let report = storm::run(&args.target.endpoint()?, &accounts, &plan, &args.target.watch())?;
    finish(&report, report.verdict.exit_code, &args.target)
}

fn idle(args: &IdleArgs) -> anyhow::Result<u8> {
    let file = PlanFile::of(args.target.plan.as_deref(), "idle")?;
    let (target, flags) = (&args.target, args.idle.clone().over(file.idle));
    let plan = flags.plan();
    plan.check()?;
    let devices = flags.devices.unwrap_or(1) as usize;
    let accounts = match target.driver {
        DriverName::Hongyan => target.sessions(plan.connections, devices)?,
        _ => Vec::new(),
    };
    let mut crew: Box<dyn Crew> = if plan.processes == 1 {
        own_crew(target, accounts, Part::ALL, plan.heartbeat_s)?
    } else if target.driver == DriverName::Hongyan && target.users_file.is_none() {
        let why = "--processes needs --users-file: each process takes its accounts from there";
        return Err(PlanError::new(why.to_owned()).into());
    } else {
        Box::new(crew_of_processes(target, &plan)?)
    };
    let report = idle_sessions::run(crew.as_mut(), &plan, &target.watch())?;
    finish(&report, report.exit_code, target)
}

fn idle_part(args: &IdlePartArgs) -> anyhow::Result<u8> {
    let accounts = match (args.target.driver, args.target.users_file.as_deref()) {
        (DriverName::Hongyan, Some(file)) => roster::read_file(file)?,
        _ => Vec::new(),
    };
    let mut crew = own_crew(&args.target, accounts, args.part()?, args.heartbeat)?;
    serve(crew.as_mut(), std::io::stdin().lock(), std::io::stdout().lock())?;
    Ok(EXIT_OK)
}

/// Reads the scenario from the file, and begins anew as if it had been typed.
fn run_file(args: &RunArgs) -> anyhow::Result<u8> {
    let file = PlanFile::read(&args.file)?;
    let mut line = vec!["hongyan-loadtest".into(), file.scenario.clone().into()];
    line.extend(["--plan".into(), args.file.clone().into_os_string()]);
    line.extend(args.flags.iter().map(Into::into));
    match Cli::try_parse_from(line) {
        Ok(Cli { command: Command::Run(_) }) => Ok(EXIT_USAGE),
        Ok(cli) => run(&cli.command),
        Err(error) => {
            let _ = error.print();
            Ok(if error.use_stderr() { EXIT_USAGE } else { EXIT_OK })
        }
    }
}

/// Makes accounts, and puts tokens of all their devices in the users file.
fn users(args: &UsersArgs) -> anyhow::Result<u8> {
    let mut users = args.target.accounts(args.count)?;
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

/// Prints a report, writes it where the user wants it, and gives its exit code.
pub(crate) fn finish<R: Serialize + std::fmt::Display>(
    report: &R,
    code: u8,
    target: &TargetArgs,
) -> anyhow::Result<u8> {
    println!("{report}");
    if let Some(path) = &target.json {
        let text = serde_json::to_string_pretty(report)?;
        fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    if let Some(path) = &target.html {
        match AnyReport::from_json(serde_json::to_value(report)?, path) {
            Ok(report) => {
                let name = report.scenario().to_owned();
                page::write_html(&[Source { name, report }], path)?;
            }
            Err(_) => eprintln!("hongyan-loadtest: there is no page for this scenario yet"),
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::driver::rabbitmq::QueueKind;
    use crate::plan::Level;

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
        assert_eq!((args.load.rate, args.load.level), (Some(5000.0), Some(Level::Durable)));
    }

    #[test]
    fn rabbitmq_takes_the_kind_of_its_queues() {
        let line = "hongyan-loadtest direct --driver rabbitmq --queue classic";
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Direct(args) = cli.command else { panic!("not direct") };
        assert_eq!(
            (args.target.driver, args.target.queue),
            (DriverName::Rabbitmq, QueueKind::Classic)
        );
    }

    #[test]
    fn a_plan_file_takes_flags_of_its_scenario() {
        let line = "hongyan-loadtest run plan.toml --rate 5 --quiet";
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Run(args) = cli.command else { panic!("not run") };
        assert_eq!(args.flags, ["--rate", "5", "--quiet"]);
    }
}
