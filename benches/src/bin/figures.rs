//! Measures the figures of `docs/PERFORMANCE.md` and writes `docs/evidence/figures-<date>.md`.

#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::Parser;
use clap::builder::PossibleValuesParser;
use hongyan_benches::figures::{Page, Scale, TOPICS, say};
use hongyan_benches::sheet::date_of;
use hongyan_benches::stage::{Programs, Stage};
use hongyan_loadtest::probe::Machine;

/// P3 to P12 of docs/PERFORMANCE.md, each with its floor, twenty minutes in all. P1 and P2 compare
/// with other servers: hongyan-loadtest peers.
///
/// Ends with 0 when all is reached, 1 when not, 2 when something could not be measured.
#[derive(Debug, Parser)]
#[command(name = "figures", version)]
struct Args {
    /// Only this figure, such as P5; may be given several times.
    #[arg(long = "row", value_name = "ROW", value_parser = PossibleValuesParser::new(rows()))]
    rows: Vec<String>,
    /// Runs of what is short.
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds that count, per run.
    #[arg(long)]
    seconds: Option<u64>,
    /// P10: conversations to fill a store with, a multiple of 5,000; may be given several times.
    #[arg(long = "conversations", value_name = "COUNT")]
    conversations: Vec<usize>,
    /// A try of three minutes whose figures mean nothing; prints them and writes no file.
    #[arg(long)]
    quick: bool,
    /// Directory on the disk in question; `target/figures` when not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Uses the programs that are there instead of building them.
    #[arg(long)]
    no_build: bool,
    /// Prints the page and writes no file.
    #[arg(long)]
    no_file: bool,
}

fn rows() -> impl Iterator<Item = &'static str> {
    TOPICS.iter().flat_map(|topic| topic.rows).copied()
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let mut scale = if args.quick { Scale::quick() } else { Scale::full() };
    scale.rounds = args.rounds.unwrap_or(scale.rounds).max(1);
    scale.seconds = args.seconds.unwrap_or(scale.seconds).max(1);
    if !args.conversations.is_empty() {
        scale.conversations = args.conversations;
    }
    let programs = Programs::beside_this(!args.no_build)?;
    let dir = args.dir.unwrap_or_else(|| programs.dir("figures"));
    let stage = Stage::new(&dir, &programs)?;
    let mut page = Page {
        began_unix_s: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        command: std::env::args().skip(1).fold(
            "cargo run --release -p hongyan-benches --bin figures --".to_owned(),
            |line, arg| line + " " + &arg,
        ),
        machine: Machine::look(Some(stage.dir())),
        parts: Vec::new(),
        failed: Vec::new(),
    };
    for topic in TOPICS.iter().filter(|topic| topic.answers(&args.rows)) {
        match topic.measure(&stage, &scale) {
            Ok(parts) => page.parts.extend(parts),
            Err(error) => {
                say(&format!("{error:#}"));
                page.failed.push(format!("{error:#}"));
            }
        }
    }
    println!("{page}");
    if !args.no_file && !args.quick {
        let (year, month, day) = date_of(page.began_unix_s);
        let file = PathBuf::from(format!("docs/evidence/figures-{year}-{month:02}-{day:02}.md"));
        fs::create_dir_all("docs/evidence")?;
        fs::write(&file, page.to_string()).with_context(|| format!("{}", file.display()))?;
        say(&format!("written: {}", file.display()));
    }
    Ok(match (page.failed.is_empty(), page.all_reached()) {
        (false, _) => ExitCode::from(2),
        (true, reached) => ExitCode::from(u8::from(!reached)),
    })
}
