//! Measures the server beside its floors and writes `docs/evidence/speed-<date>.md`.

#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use hongyan_benches::sheet::{Plan, Sheet, date_of, measure};
use hongyan_benches::stage::Programs;

/// One run: null relay, append floor, the server under direct load, idle sessions, restart.
#[derive(Debug, Parser)]
#[command(name = "speed-sheet", version)]
struct Args {
    /// Directory on the disk in question; `target/speed-sheet` when not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Connections of the ring.
    #[arg(long, default_value_t = 200)]
    connections: usize,
    /// Sends in flight per connection.
    #[arg(long, default_value_t = 64)]
    window: usize,
    /// Seconds that count, per run.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Idle sessions.
    #[arg(long, default_value_t = 16_000)]
    idle: usize,
    /// Messages to restart with.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Generator threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Uses the programs that are there instead of building them.
    #[arg(long)]
    no_build: bool,
    /// Prints the sheet and writes no file.
    #[arg(long)]
    no_file: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let programs = Programs::beside_this(!args.no_build)?;
    let plan = Plan {
        dir: args.dir.unwrap_or_else(|| programs.dir("speed-sheet")),
        connections: args.connections,
        window: args.window,
        seconds: args.seconds,
        idle: args.idle,
        messages: args.messages,
        threads: args.threads,
    };
    let command = std::env::args().skip(1).fold(
        "cargo run --release -p hongyan-benches --bin speed-sheet --".to_owned(),
        |line, arg| line + " " + &arg,
    );
    let sheet = Sheet::new(measure(&plan, &programs)?, command.trim_end_matches(" --").to_owned());
    println!("{sheet}");
    if !args.no_file {
        let (year, month, day) = date_of(sheet.taken_unix_s());
        let file = PathBuf::from(format!("docs/evidence/speed-{year}-{month:02}-{day:02}.md"));
        fs::create_dir_all("docs/evidence")?;
        fs::write(&file, sheet.to_string()).with_context(|| format!("{}", file.display()))?;
        eprintln!("written: {}", file.display());
    }
    Ok(ExitCode::from(u8::from(!sheet.all_reached())))
}
