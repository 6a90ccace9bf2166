//! Hongyan's chores: `cargo xtask <chore>`.
//!
//! Owns the list of proofs that fit a continuous-integration run
//! ([`steps::STEPS`]) and the order they run in. It proves nothing itself:
//! each step is a command that can be run by hand, and docs/TESTING.md says
//! what it proves.
//!
//! Invariants: nothing here needs the network except what cargo itself
//! downloads; the last line of `cargo xtask test` is `N passed, N failed`
//! and the exit code is zero only when the second number is.

#![forbid(unsafe_code)]

mod demo;
mod deny;
mod fuzz;
mod npm;
mod runner;
mod shell;
mod steps;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::shell::Workspace;

/// Hongyan's chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run every proof that fits continuous integration, in order.
    Test(TestArgs),
    /// Formatting and clippy.
    Lint,
    /// Licences, bans and duplicates of the dependencies, without the network.
    Deny,
    /// Build the documentation; warnings are errors.
    Doc,
    /// Write the golden vectors anew, or only compare.
    Vectors {
        /// Compare with what is committed; write nothing.
        #[arg(long)]
        check: bool,
        /// Also write the schema that later changes are held against.
        #[arg(long, conflicts_with = "check")]
        release: bool,
    },
    /// Fuzz one target, or each in turn.
    Fuzz {
        /// Name of a target; all of them when left out.
        target: Option<String>,
        /// How long to fuzz each target.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// A server on this machine with the web app and two accounts, until
    /// Ctrl-C.
    Demo(demo::DemoArgs),
    /// A proof by name, with arguments of its own, such as more rounds.
    #[command(external_subcommand)]
    Proof(Vec<String>),
}

#[derive(Args)]
struct TestArgs {
    /// Only what takes a minute or two.
    #[arg(long)]
    quick: bool,
    /// Only this step; may be given more than once.
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Print the steps and which of them `--quick` runs.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    match run(Cli::parse().chore) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<ExitCode> {
    let workspace = Workspace::open()?;
    match chore {
        Chore::Test(TestArgs { list: true, .. }) => {
            runner::list();
            Ok(ExitCode::SUCCESS)
        }
        Chore::Test(args) => Ok(runner::test(&workspace, &runner::select(args.quick, &args.only)?)),
        Chore::Lint => runner::each(&workspace, &["fmt", "clippy"]),
        Chore::Doc => runner::each(&workspace, &["doc"]),
        Chore::Deny => {
            deny::check(&workspace)?;
            println!("deny: ok");
            Ok(ExitCode::SUCCESS)
        }
        Chore::Vectors { check, release } => runner::vectors(&workspace, check, release),
        Chore::Fuzz { target, seconds } => {
            fuzz::run(&workspace, target.as_deref(), seconds)?;
            Ok(ExitCode::SUCCESS)
        }
        Chore::Demo(args) => demo::run(&workspace, &args),
        Chore::Proof(words) => runner::proof(&workspace, &words),
    }
}
