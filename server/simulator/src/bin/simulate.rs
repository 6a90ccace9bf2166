//! `simulate`: runs seeds and says which break a promise.

use std::process::ExitCode;

use hongyan_simulator::Options;
use hongyan_simulator::plan::STEPS_DEFAULT;
use hongyan_simulator::sweep::{self, Sweep};

const USAGE: &str = "\
simulate --seeds N [--first-seed K] [--steps M] [--threads T] [--until-failure] [--coverage]
simulate --seed S [--steps M] [--trace]";

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(Arguments { help: true, .. }) => {
            println!("Runs seeds and says which break a promise.\n\n{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(Arguments { one: Some(seed), steps, trace, .. }) => {
            run_one(Options { seed, steps }, trace)
        }
        Ok(arguments) => run_many(&arguments),
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

struct Arguments {
    one: Option<u64>,
    seeds: u64,
    first: u64,
    steps: u64,
    threads: usize,
    trace: bool,
    until_failure: bool,
    coverage: bool,
    help: bool,
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut parsed = Arguments {
        one: None,
        seeds: 100,
        first: 1,
        steps: STEPS_DEFAULT,
        threads,
        trace: false,
        until_failure: false,
        coverage: false,
        help: false,
    };
    while let Some(name) = args.next() {
        match name.as_str() {
            "--help" | "-h" => parsed.help = true,
            "--trace" => parsed.trace = true,
            "--until-failure" => parsed.until_failure = true,
            "--coverage" => parsed.coverage = true,
            _ => {
                let value = args.next().ok_or_else(|| format!("{name} needs a number"))?;
                let number = value.parse().map_err(|_| format!("{name}: {value} is no number"))?;
                parsed.set(&name, number)?;
            }
        }
    }
    Ok(parsed)
}

impl Arguments {
    fn set(&mut self, name: &str, number: u64) -> Result<(), String> {
        match name {
            "--seed" => self.one = Some(number),
            "--seeds" => self.seeds = number,
            "--first-seed" => self.first = number,
            "--steps" => self.steps = number,
            "--threads" => self.threads = usize::try_from(number).unwrap_or(1),
            _ => return Err(format!("{name} is not known")),
        }
        Ok(())
    }
}

fn run_one(options: Options, trace: bool) -> ExitCode {
    let outcome = if trace {
        sweep::print_seed(options).map_err(|violation| violation.to_string())
    } else {
        sweep::run_seed(options).map(|(report, _)| report).map_err(|failure| failure.to_string())
    };
    match outcome {
        Ok(report) => {
            println!("seed {} holds: {report:?}", options.seed);
            println!("1 passed, 0 failed");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{failure}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run_many(arguments: &Arguments) -> ExitCode {
    let sweep = Sweep {
        first: arguments.first,
        seeds: arguments.seeds,
        steps: arguments.steps,
        threads: arguments.threads,
        until_failure: arguments.until_failure,
    };
    let summary = sweep.run(&mut |done, failure| {
        if let Some(failure) = failure {
            println!("{failure}");
        }
        if done % 50 == 0 {
            println!("{done} of {} seeds", arguments.seeds);
        }
    });
    if arguments.coverage {
        for (what, times) in summary.coverage.iter() {
            println!("{times:>10}  {what}");
        }
    }
    println!(
        "{} events, {} messages sent ({} acknowledged), {} crashes, {} s of virtual time",
        summary.events,
        summary.sends,
        summary.acked,
        summary.crashes,
        summary.virtual_ms / 1000
    );
    println!("{} passed, {} failed", summary.passed, summary.failed);
    if summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
