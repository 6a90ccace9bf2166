//! Runs steps one after the other, says where it is, and counts.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::npm;
use crate::shell::{self, Totals, Workspace};
use crate::steps::{self, BUILD, FEATURES, Run, STEPS, Step};

/// How a program ends that this machine cannot run.
const SKIPPED: i32 = 77;

/// How many tests (or steps that are one test) did what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Count {
    passed: u64,
    failed: u64,
}

/// What became of one step.
#[derive(Debug)]
enum Verdict {
    Passed(Count),
    Failed { count: Count, why: String },
    Skipped,
}

/// The steps that the options ask for.
///
/// # Errors
/// A name that no step has.
pub(crate) fn select(quick: bool, only: &[String]) -> Result<Vec<&'static Step>> {
    for name in only {
        if steps::find(name).is_none() {
            let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
            bail!("no step is called {name}; there are {}", names.join(", "));
        }
    }
    Ok(STEPS
        .iter()
        .filter(|step| !quick || step.quick)
        .filter(|step| only.is_empty() || only.iter().any(|name| name == step.name))
        .collect())
}

/// Prints the table.
pub(crate) fn list() {
    for step in STEPS {
        let quick = if step.quick { "quick" } else { "" };
        println!("{:<14} {quick:<6} {}", step.name, step.title);
    }
}

/// Runs `steps`, also after one that fails, unless nothing was built; prints
/// the count as the last line.
pub(crate) fn test(workspace: &Workspace, steps: &[&Step]) -> ExitCode {
    let started = Instant::now();
    let mut total = Count::default();
    let mut report = String::new();
    let mut skipped = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        println!("\n[{}/{}] {}", index + 1, steps.len(), step.title);
        let step_started = Instant::now();
        let verdict = run(workspace, step);
        let time = seconds(step_started.elapsed());
        match verdict {
            Verdict::Passed(count) => {
                total.passed += count.passed;
                let _ = writeln!(report, "  ok       {time:>7}  {}", step.name);
                println!("[{}/{}] {}: ok in {time}", index + 1, steps.len(), step.name);
            }
            Verdict::Skipped => {
                let _ = writeln!(report, "  SKIPPED  {time:>7}  {}", step.name);
                println!("!!! SKIPPED: this machine cannot run {}; why is above", step.name);
                skipped.push(step.name);
            }
            Verdict::Failed { count, why } => {
                total.passed += count.passed;
                total.failed += count.failed;
                let _ = writeln!(report, "  FAILED   {time:>7}  {}: {why}", step.name);
                println!("[{}/{}] {}: FAILED in {time}", index + 1, steps.len(), step.name);
                if step.name == BUILD {
                    for left in &steps[index + 1..] {
                        let _ = writeln!(report, "  not run  {:>7}  {}", "", left.name);
                    }
                    break;
                }
            }
        }
    }
    println!("\nIn {}:\n{report}", seconds(started.elapsed()));
    if !skipped.is_empty() {
        println!("SKIPPED on this machine: {}", skipped.join(", "));
    }
    if total.failed > 0 {
        println!("The output of each step that failed is above, after its title.");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    let _ = std::io::stdout().flush();
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the steps with these names, without a count.
pub(crate) fn each(workspace: &Workspace, names: &[&str]) -> Result<ExitCode> {
    for step in names.iter().filter_map(|name| steps::find(name)) {
        if let Verdict::Failed { why, .. } = run(workspace, step) {
            bail!("{}: {why}", step.name);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares the golden vectors with what the code makes, or writes them; a
/// release also writes the schema that later ones are held against.
pub(crate) fn vectors(workspace: &Workspace, check: bool, release: bool) -> Result<ExitCode> {
    let test = ["test", "--package", "hongyan-protocol", "--test", "it", "--", "--test-threads=1"];
    let modes = [("write", !check), ("release", release), ("check", true)];
    for (mode, _) in modes.into_iter().filter(|(_, wanted)| *wanted) {
        let outcome =
            shell::run(workspace.cargo(&test).env("HONGYAN_VECTORS", mode), shell::test_totals)?;
        if mode == "check" && !outcome.status.success() {
            bail!("the vectors are not what the code makes; `cargo xtask vectors` writes them");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds and runs the program of a step, with the caller's arguments in
/// place of the table's.
pub(crate) fn proof(workspace: &Workspace, words: &[String]) -> Result<ExitCode> {
    let Some((name, args)) = words.split_first() else {
        bail!("name a chore; see `cargo xtask --help`");
    };
    let run = steps::find(name).map(|step| &step.run);
    let Some(Run::Program { name: program, always, args: usual }) = run else {
        let names: Vec<_> = STEPS
            .iter()
            .filter(|step| matches!(step.run, Run::Program { .. }))
            .map(|step| step.name)
            .collect();
        bail!("no chore is called {name}; proofs by name are: {}", names.join(", "));
    };
    let build = ["build", "--workspace", "--all-targets", "--features", FEATURES];
    let built = shell::run(&mut workspace.cargo(&build), shell::test_totals)?;
    if !built.status.success() {
        bail!("the build failed");
    }
    let mut command = workspace.program(program, always);
    if args.is_empty() {
        command.args(*usual);
    } else {
        command.args(args);
    }
    let outcome = shell::run(&mut command, shell::own_totals)?;
    if !outcome.status.success() {
        bail!("{name}: {}", outcome.status);
    }
    Ok(ExitCode::SUCCESS)
}

fn run(workspace: &Workspace, step: &Step) -> Verdict {
    match &step.run {
        Run::Own(check) => match check(workspace) {
            Ok(()) => Verdict::Passed(Count { passed: 1, failed: 0 }),
            Err(error) => {
                Verdict::Failed { count: Count { passed: 0, failed: 1 }, why: format!("{error:#}") }
            }
        },
        Run::Cargo(args) => run_command(&mut workspace.cargo(args), shell::test_totals),
        Run::Tests if workspace.has_cargo("nextest") => {
            let run = ["nextest", "run", "--locked", "--workspace", "--no-fail-fast"];
            run_command(workspace.cargo(&run).args(["--features", FEATURES]), shell::test_totals)
        }
        Run::Tests => {
            let run = ["test", "--locked", "--workspace", "--tests", "--no-fail-fast"];
            run_command(workspace.cargo(&run).args(["--features", FEATURES]), shell::test_totals)
        }
        Run::Wire(filters) => {
            let run = ["test", "--locked", "--workspace", "--features", FEATURES, "--test", "it"];
            run_command(workspace.cargo(&run).arg("--").args(*filters), shell::test_totals)
        }
        Run::Npm { package, scripts, browser } => {
            run_scripts(workspace, package, scripts, *browser)
        }
        Run::Program { name, always, args } => {
            run_command(workspace.program(name, always).args(*args), shell::own_totals)
        }
    }
}

/// Scripts of a package; their tests are counted together.
fn run_scripts(
    workspace: &Workspace,
    package: &str,
    scripts: &[&[&str]],
    browser: bool,
) -> Verdict {
    if let Err(error) = npm::find_node() {
        println!("{error:#}");
        return Verdict::Skipped;
    }
    if browser && !npm::find_browser() {
        println!("there is no chromium; CHROMIUM names another");
        return Verdict::Skipped;
    }
    let mut total = Count::default();
    if let Err(error) = npm::install(&workspace.root.join(package)) {
        return Verdict::Failed {
            count: Count { passed: 0, failed: 1 },
            why: format!("{error:#}"),
        };
    }
    for words in scripts {
        let mut command = npm::script(workspace, package, words);
        match run_command(&mut command, shell::vitest_totals) {
            Verdict::Passed(count) => total.passed += count.passed,
            Verdict::Skipped => return Verdict::Skipped,
            Verdict::Failed { count, why } => {
                total.passed += count.passed;
                total.failed += count.failed;
                return Verdict::Failed { count: total, why };
            }
        }
    }
    Verdict::Passed(total)
}

/// A command that prints test totals counts as those; any other counts as
/// one test.
fn run_command(command: &mut Command, totals: Totals) -> Verdict {
    println!("$ {}", shell::words(command));
    let outcome = match shell::run(command, totals) {
        Ok(outcome) => outcome,
        Err(error) => {
            return Verdict::Failed {
                count: Count { passed: 0, failed: 1 },
                why: format!("{error:#}"),
            };
        }
    };
    if outcome.status.code() == Some(SKIPPED) && outcome.failed == 0 {
        return Verdict::Skipped;
    }
    if outcome.status.success() && outcome.failed == 0 {
        return Verdict::Passed(Count { passed: outcome.passed.max(1), failed: 0 });
    }
    Verdict::Failed {
        count: Count { passed: outcome.passed, failed: outcome.failed.max(1) },
        why: format!("`{}` ended with {}", shell::words(command), outcome.status),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_steps_are_unique_and_an_unknown_one_is_refused() {
        for (index, step) in STEPS.iter().enumerate() {
            assert!(STEPS[..index].iter().all(|other| other.name != step.name), "{}", step.name);
        }
        assert!(select(false, &["no such step".to_owned()]).is_err());
        assert_eq!(select(false, &[]).map(|steps| steps.len()).ok(), Some(STEPS.len()));
    }

    #[test]
    fn a_failing_command_is_one_failure_even_when_it_prints_no_totals() {
        let verdict = run_command(&mut Command::new("false"), shell::test_totals);
        assert!(matches!(verdict, Verdict::Failed { count: Count { passed: 0, failed: 1 }, .. }));
        let verdict = run_command(Command::new("sh").args(["-c", "exit 77"]), shell::own_totals);
        assert!(matches!(verdict, Verdict::Skipped));
        let verdict = run_command(
            Command::new("sh").args(["-c", "echo 3 passed, 1 failed"]),
            shell::own_totals,
        );
        assert!(matches!(verdict, Verdict::Failed { count: Count { passed: 3, failed: 1 }, .. }));
        let verdict = run_command(&mut Command::new("true"), shell::test_totals);
        assert!(matches!(verdict, Verdict::Passed(Count { passed: 1, failed: 0 })));
    }
}
