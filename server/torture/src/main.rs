//! `torture`: see [`hongyan_torture`].

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::{Context, bail};
use clap::Parser;
use hongyan_torture::cli::{Cli, Torture};
use hongyan_torture::tally::Ending;
use hongyan_torture::work_dir::ended_by_hand;
use hongyan_torture::{corrupt, crash, cut, eio, full};
use tokio::signal::unix::{Signal, SignalKind, signal};

const SKIPPED: u8 = 77;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let seed = cli.torture.shared().seed.unwrap_or_else(drawn_seed);
    let again = cli.torture.again(seed);
    println!("seed {seed}");
    let begun = Instant::now();
    let ending = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start a runtime")
        .and_then(|runtime| runtime.block_on(bounded(&cli.torture, seed)));
    match ending {
        Ok(Ending::Skipped(why)) => {
            eprintln!("=== SKIPPED: {why} ===");
            println!("0 passed, 0 failed");
            ExitCode::from(SKIPPED)
        }
        Ok(Ending::Done(tally)) => {
            println!("took {:.1} s", begun.elapsed().as_secs_f64());
            if tally.failed > 0 {
                eprintln!("to do it again: {again}");
            }
            println!("{tally}");
            let wanted = (tally.failed > 0) == cli.torture.shared().expect_failure;
            if wanted && tally.passed + tally.failed > 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("the torture itself failed: {error:#}");
            eprintln!("to do it again: {again}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

/// Runs it within its time. Whatever ends it early drops what it holds, so
/// servers are killed and images unmounted.
async fn bounded(torture: &Torture, seed: u64) -> anyhow::Result<Ending> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let limit = torture.time_limit();
    let run = async {
        match torture {
            Torture::Crash(plan) => crash::run(plan, seed).await,
            Torture::Cut(plan) => cut::run(plan, seed).await,
            Torture::Corrupt(plan) => corrupt::run(plan, seed).await,
            Torture::Full(plan) => full::run(plan, seed).await,
            Torture::Eio(plan) => eio::run(plan, seed).await,
        }
    };
    tokio::select! {
        ending = run => ending,
        () = tokio::time::sleep(limit) => bail!("not done after {limit:?}"),
        () = by_hand(&mut interrupt) => bail!("interrupted"),
        () = by_hand(&mut terminate) => bail!("terminated"),
    }
}

/// Waits for the signal, and says so before anything is dropped.
async fn by_hand(signal: &mut Signal) {
    signal.recv().await;
    ended_by_hand();
}

fn drawn_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(1, |now| now.as_millis() as u64) ^ (u64::from(std::process::id()) << 44)
}
