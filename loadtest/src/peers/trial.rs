//! One measured run: another process of this program, `direct`, against a server that serves.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use super::class::Class;
use super::interrupt::Interrupt;
use super::process::{Program, last_words};
use super::server::Server;
use crate::plan::Plan;
use crate::report::RunReport;

/// What a run may take beyond the seconds that were asked for: opening connections to a slow
/// server, making queues, and the last answers.
const BEYOND: Duration = Duration::from_secs(180);

/// Runs the plan's load against `server`, and reads what came of it. Files go into `dir`.
///
/// # Errors
/// The run could not begin, with what it said; it took too long; or an interrupt came.
pub fn run(
    own: &Path,
    (driver, server): (&str, &Server),
    (plan, class): (&Plan, Class),
    dir: &Path,
    interrupt: &Interrupt,
) -> anyhow::Result<RunReport> {
    let (json, output) = (dir.join("run.json"), dir.join("run.out"));
    let mut command = Command::new(own);
    command
        .args(["direct", "--quiet", "--driver", driver])
        .args(["--addr", &server.addr.to_string()])
        .args(["--level", &level(class)])
        .args(["--server-pid", &server.pid.to_string()])
        .args(&server.run)
        .arg("--data")
        .arg(&server.data)
        .arg("--json")
        .arg(&json);
    for (flag, value) in flags(plan) {
        command.args([flag, &value]);
    }
    let limit = Duration::from_secs(plan.warmup_s + plan.seconds + plan.drain_s) + BEYOND;
    let status = Program::start("the run", &mut command, &output)?.wait(limit, interrupt)?;
    // Whatever the verdict was, a run that has begun leaves a report.
    let Ok(text) = fs::read_to_string(&json) else {
        bail!("the run did not begin ({status}): {}", last_words(&output));
    };
    serde_json::from_str(&text).context("reading the run's report")
}

fn flags(plan: &Plan) -> [(&'static str, String); 7] {
    [
        ("--connections", plan.connections.to_string()),
        ("--window", plan.window.to_string()),
        ("--bytes", plan.bytes.to_string()),
        ("--seconds", plan.seconds.to_string()),
        ("--warmup", plan.warmup_s.to_string()),
        ("--drain", plan.drain_s.to_string()),
        ("--threads", plan.threads.to_string()),
    ]
}

fn level(class: Class) -> String {
    use clap::ValueEnum as _;
    let level = class.level().to_possible_value();
    level.map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_ask_for_the_levels_of_the_command_line() {
        let levels: Vec<String> = Class::ALL.iter().map(|class| level(*class)).collect();
        assert_eq!(levels, ["accepted", "written", "durable"]);
    }
}
