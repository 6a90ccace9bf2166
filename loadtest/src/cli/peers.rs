//! `peers`: flags of a comparison with other servers, and `null-relay`, which its tests compare
//! with.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::target::DriverName;
use crate::null_relay::NullRelay;
use crate::peers::catalog::{PEERS, Peer, named};
use crate::peers::class::Class;
use crate::peers::interrupt::Interrupt;
use crate::peers::places::Places;
use crate::peers::runner::{self, OurServer, Settings};
use crate::peers::survey::Survey;
use crate::peers::table::{self, Form};
use crate::plan::{Plan, PlanError};
use crate::report::EXIT_OK;

/// Rounds, at most.
const ROUNDS_MAX: u64 = 100;

/// Which peers, which classes, which load.
#[derive(Debug, Args)]
pub struct PeersArgs {
    /// Only shows what is installed, and what is missing.
    #[arg(long)]
    pub list: bool,
    /// Only these peers (default: all).
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Only these classes; may be given more than once (default: all).
    #[arg(long, value_enum, value_name = "CLASS")]
    pub class: Vec<Class>,
    /// Runs of each server, per peer and class.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=ROUNDS_MAX))]
    pub rounds: u64,
    /// Connections and window at once: dense is 100 x 64, sparse is 2000 x 1.
    #[arg(long, value_enum, default_value_t = Shape::Dense)]
    pub shape: Shape,
    /// Users in the ring (default: by --shape).
    #[arg(long)]
    pub connections: Option<usize>,
    /// Unanswered sends of each (default: by --shape).
    #[arg(long)]
    pub window: Option<usize>,
    /// Bytes of text per message.
    #[arg(long, default_value_t = 128)]
    pub bytes: usize,
    /// Seconds that count, per run.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Seconds of each run before anything counts.
    #[arg(long, default_value_t = 3)]
    pub warmup: u64,
    /// Threads of the generator.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Directory on the disk in question; everything is made in it, and removed [target/peers
    /// where there is a target, otherwise the directory for temporary files].
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Our server (default: hongyan, beside this program).
    #[arg(long, value_name = "FILE")]
    pub server: Option<PathBuf>,
    /// Folder with configs to take instead of those that ship, as `DIR/PEER/FILE`.
    #[arg(long, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,
    /// Writes everything, each run's report included.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes the tables as a document.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Takes the null relay instead of our server.
    #[arg(long, hide = true)]
    pub stand_in: bool,
}

/// How many talk, and how much of each is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Few users with much under way: throughput.
    Dense,
    /// Many users with one message under way: what nothing can be batched with.
    Sparse,
}

/// See [`NullRelay`].
#[derive(Debug, Args)]
pub struct RelayArgs {
    /// Where to listen.
    #[arg(long)]
    pub addr: SocketAddr,
    /// Connections of the ring.
    #[arg(long)]
    pub connections: usize,
    /// Ends by itself after so long.
    #[arg(long, default_value_t = 3600)]
    pub seconds: u64,
}

/// Compares, and prints what it found.
///
/// # Errors
/// [`PlanError`]: the flags make no sense. Otherwise the comparison could not begin, or its result
/// could not be written.
pub fn run(args: &PeersArgs) -> anyhow::Result<u8> {
    let peers = peers(&args.only)?;
    let places = Places::of_this_process()?;
    let interrupt = Interrupt::on_signals()?;
    let drivers = drivers();
    if args.list {
        let surveys: Result<Vec<Survey>, _> =
            peers.iter().map(|peer| Survey::of(peer, &places, &drivers, &interrupt)).collect();
        print!("{}", table::list(&surveys?));
        return Ok(EXIT_OK);
    }
    let settings = Settings {
        peers,
        classes: if args.class.is_empty() { Class::ALL.to_vec() } else { args.class.clone() },
        rounds: usize::try_from(args.rounds)?,
        plan: plan(args)?,
        dir: args.dir.clone().unwrap_or_else(default_dir),
        ours: ours(args, &places)?,
        config_dir: args.config_dir.clone(),
        drivers,
        command: std::env::args().collect::<Vec<_>>().join(" "),
    };
    if cfg!(debug_assertions) {
        eprintln!("-- this is a build for debugging: its figures say nothing; use --release");
    }
    let comparison = runner::run(&settings, &places, &interrupt)?;
    print!("{}", table::comparison(&comparison, Form::Text));
    if let Some(path) = &args.json {
        write(path, &(serde_json::to_string_pretty(&comparison)? + "\n"))?;
    }
    if let Some(path) = &args.markdown {
        write(path, &table::comparison(&comparison, Form::Markdown))?;
    }
    Ok(comparison.exit_code())
}

/// Relays until it is killed.
///
/// # Errors
/// The address cannot be bound, or the poll failed.
pub fn relay(args: &RelayArgs) -> anyhow::Result<u8> {
    let mut relay = NullRelay::bind(args.addr, args.connections)?;
    let (stop, limit) = (relay.stop_flag(), Duration::from_secs(args.seconds));
    thread::spawn(move || {
        thread::sleep(limit);
        stop.store(true, Ordering::Relaxed);
    });
    relay.run()?;
    Ok(EXIT_OK)
}

fn peers(only: &[String]) -> Result<Vec<&'static Peer>, PlanError> {
    if only.is_empty() {
        return Ok(PEERS.iter().filter(|peer| !peer.hidden).collect());
    }
    let known = || {
        let names = PEERS.iter().filter(|peer| !peer.hidden).map(|peer| peer.name);
        names.collect::<Vec<_>>().join(", ")
    };
    only.iter()
        .map(|name| {
            named(name)
                .ok_or_else(|| PlanError::new(format!("no peer is called {name}: {}", known())))
        })
        .collect()
}

fn drivers() -> Vec<String> {
    let values = DriverName::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    values.map(|value| value.get_name().to_owned()).collect()
}

fn plan(args: &PeersArgs) -> Result<Plan, PlanError> {
    let (connections, window) = match args.shape {
        Shape::Dense => (100, 64),
        Shape::Sparse => (2_000, 1),
    };
    let plan = Plan {
        connections: args.connections.unwrap_or(connections),
        window: args.window.unwrap_or(window),
        bytes: args.bytes,
        seconds: args.seconds,
        warmup_s: args.warmup,
        threads: args.threads,
        ..Plan::default()
    };
    plan.check()?;
    Ok(plan)
}

fn default_dir() -> PathBuf {
    let target = Path::new("target");
    if target.is_dir() { target.join("peers") } else { std::env::temp_dir() }
}

fn ours(args: &PeersArgs, places: &Places) -> Result<OurServer, PlanError> {
    if args.stand_in {
        let relay = named("null-relay").expect("the table has it, its test says so");
        return Ok(OurServer::StandIn(relay));
    }
    let beside = places.own().with_file_name("hongyan");
    let server = args.server.clone().unwrap_or(beside);
    if !server.is_file() {
        let how = "build it with `cargo build --release`, or name it with --server";
        return Err(PlanError::new(format!("there is no server {}: {how}", server.display())));
    }
    Ok(OurServer::Hongyan(server))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: PeersArgs,
    }

    fn args(line: &str) -> PeersArgs {
        let line = format!("peers {line}");
        Line::try_parse_from(line.split_whitespace()).unwrap().args
    }

    #[test]
    fn shapes_are_presets_that_flags_win_over() {
        let shape = |line: &str| plan(&args(line)).map(|plan| (plan.connections, plan.window));
        assert_eq!(shape(""), Ok((100, 64)));
        assert_eq!(shape("--shape sparse"), Ok((2_000, 1)));
        assert_eq!(shape("--shape sparse --connections 50"), Ok((50, 1)));
        assert!(shape("--window 0").is_err());
    }

    #[test]
    fn peers_are_chosen_by_name_and_hidden_ones_only_so() {
        let names = |line: &str| {
            peers(&args(line).only).map(|peers| peers.iter().map(|peer| peer.name).collect())
        };
        assert_eq!(names("--only redis,nats"), Ok(vec!["redis", "nats"]));
        assert_eq!(names("--only null-relay"), Ok(vec!["null-relay"]));
        assert!(!names("").unwrap().contains(&"null-relay"));
        let error = names("--only reddis").unwrap_err().to_string();
        assert!(error.contains("reddis") && error.contains("redis,"), "{error}");
    }

    #[test]
    fn classes_may_be_given_more_than_once() {
        assert_eq!(args("--class fsync --class kill").class, [Class::Fsync, Class::Kill]);
    }

    #[test]
    fn a_server_that_is_not_there_is_told_how_to_build() {
        let own = PathBuf::from("nowhere/hongyan-loadtest");
        let error = ours(&args(""), &Places::of(Vec::new(), own)).unwrap_err().to_string();
        assert!(error.contains("nowhere/hongyan") && error.contains("cargo build"), "{error}");
    }
}
