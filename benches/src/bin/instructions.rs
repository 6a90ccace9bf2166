//! Counts the instructions of the hot path under valgrind, writes them down, and says which case
//! has got worse.
//!
//! Ends with 0; with 1 when a case takes over 2 % more than in the sheet compared with; with 2
//! when it could not count; with 77 where there is no valgrind.

#![forbid(unsafe_code)]

use std::hint::black_box;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::Parser;
use hongyan_benches::arrivals::Arrivals;
use hongyan_benches::instructions::cases::{Step, wakes};
use hongyan_benches::instructions::{
    CASES, Case, Figure, Sheet, Valgrind, Verdict, compare, count,
};
use hongyan_benches::sheet::date_of;
use hongyan_core::AccessTokens;

#[path = "../signed.rs"]
mod signed;

const WORSE: u8 = 1;
const NOT_COUNTED: u8 = 2;
const SKIPPED: u8 = 77;

/// Counts each case of the hot path with callgrind: instructions, which noise does not move.
#[derive(Debug, Parser)]
#[command(name = "instructions", version)]
struct Args {
    /// Only this case; may be given again.
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// Lists the cases and counts nothing.
    #[arg(long)]
    list: bool,
    /// Writes FILE with the extensions md and json; `docs/evidence/instructions-<date>` without one.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    write: Option<Option<PathBuf>>,
    /// An earlier sheet to compare with, its json.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Divides the calls of each case: quicker, and less exact.
    #[arg(long, value_name = "N", default_value_t = 1, hide = true)]
    divide: usize,
    /// Runs this case and says nothing: what the parent starts under valgrind.
    #[arg(long, value_name = "NAME", hide = true)]
    child: Option<String>,
    /// Calls of the child that are counted.
    #[arg(long, default_value_t = 1, hide = true)]
    calls: usize,
}

fn main() -> ExitCode {
    run(&Args::parse()).unwrap_or_else(|error| {
        eprintln!("instructions: {error:#}");
        ExitCode::from(NOT_COUNTED)
    })
}

fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(name) = &args.child {
        find(name)?.run(args.calls);
        return Ok(ExitCode::SUCCESS);
    }
    if args.list {
        for Case { name, operation, .. } in cases() {
            println!("{name:<24} {operation}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    if args.write.is_some() && (cfg!(debug_assertions) || args.divide > 1) {
        bail!("only a release build and a whole run are worth writing down");
    }
    // Read first: a run of minutes must not end in a misspelled name.
    let before = args.against.as_deref().map(Sheet::read).transpose()?;
    let chosen = chosen(&args.cases)?;
    let Some(valgrind) = Valgrind::find()? else {
        eprintln!("SKIPPED: valgrind is not installed here, so no instruction is counted");
        return Ok(ExitCode::from(SKIPPED));
    };
    if cfg!(debug_assertions) {
        eprintln!("a debug build: the figures mean nothing; use cargo run --release");
    }
    let sheet = sheet_of(&valgrind, &chosen, args.divide)?;
    if let Some(file) = &args.write {
        let usual = || PathBuf::from(format!("docs/evidence/instructions-{}", sheet.date));
        let file = file.clone().unwrap_or_else(usual);
        sheet.write(&file)?;
        eprintln!("written: {} and .json", file.with_extension("md").display());
    }
    Ok(ExitCode::from(before.map_or(0, |before| verdict(&before, &sheet))))
}

fn sheet_of(valgrind: &Valgrind, chosen: &[&Case], divide: usize) -> anyhow::Result<Sheet> {
    let program = std::env::current_exe().context("where this program is")?;
    println!("{:<24} {:>12}  per", "case", "instructions");
    let mut figures = Vec::new();
    for case in chosen {
        let figure: Figure = count(valgrind, &program, case, (case.calls / divide.max(1)).max(1))?;
        println!("{:<24} {:>12.1}  {}", figure.name, figure.each(), figure.operation);
        figures.push(figure);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = date_of(now);
    let date = format!("{year}-{month:02}-{day:02}");
    let command = std::env::args().skip(1).fold(
        "cargo run --release -p hongyan-benches --bin instructions --".to_owned(),
        |line, arg| line + " " + &arg,
    );
    let command = command.trim_end_matches(" --").to_owned();
    Ok(Sheet::new(date, command, valgrind.version.clone(), figures))
}

/// Prints what moved; the exit code.
fn verdict(before: &Sheet, now: &Sheet) -> u8 {
    let (changes, doubts) = compare(before, now);
    println!("\nagainst {} of {}", before.machine.revision, before.date);
    println!("{:<24} {:>12} {:>12} {:>8}", "case", "before", "now", "moved");
    for change in &changes {
        println!("{change}");
    }
    for doubt in doubts {
        println!("doubtful, {doubt}");
    }
    let of = |verdict| changes.iter().filter(|change| change.verdict == verdict).count();
    let (worse, better) = (of(Verdict::Worse), of(Verdict::Better));
    println!("{worse} worse, {better} better by more than 2 %, of {}", changes.len());
    if worse > 0 { WORSE } else { 0 }
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Case>> {
    if names.is_empty() {
        return Ok(cases().collect());
    }
    names.iter().map(|name| find(name)).collect()
}

fn find(name: &str) -> anyhow::Result<&'static Case> {
    cases()
        .find(|case| case.name == name)
        .with_context(|| format!("no case is called {name}; --list says which are"))
}

fn cases() -> impl Iterator<Item = &'static Case> {
    CASES.iter().chain(TOKEN_CASES)
}

const TOKEN_CASES: &[Case] = &[
    Case {
        name: "token_verify",
        operation: "access token, signature and claims",
        per_call: 1,
        calls: 256,
        prepare: token_verify,
    },
    Case {
        name: "hello_with_token",
        operation: "session opened by a Hello with a token, from the connection to Welcome",
        per_call: 1,
        calls: 512,
        prepare: hello_with_token,
    },
];

fn token_verify(_: usize) -> Step {
    let (tokens, token) = signed::token();
    assert_eq!(tokens.verify(&token, signed::NOW_MS), Ok(signed::claims()));
    Box::new(move || {
        black_box(tokens.verify(black_box(&token), signed::NOW_MS)).expect("our own token");
    })
}

/// Each call lets in another account, so nobody has to go away in between.
fn hello_with_token(calls: usize) -> Step {
    let mut arrivals = Arrivals::new(Box::new(signed::signed_tokens()), calls);
    let prepared = (0..calls).map(|_| arrivals.arrive(1, false)).collect();
    wakes(arrivals.world, prepared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_of_tokens_can_make_the_calls_it_prepared_for() {
        for case in TOKEN_CASES {
            case.run(2);
            assert!(CASES.iter().all(|other| other.name != case.name), "{}", case.name);
        }
        assert!(find("no such case").is_err());
    }
}
