//! P4: deliveries of one message to everybody in a group, per second of the server's CPU.

use std::fs;

use anyhow::Context;
use hongyan_loadtest::report::RunReport;

use super::{Better, Part, Scale, say, words};
use crate::stage::{Setting, Stage, text};

pub(super) fn measure(stage: &Stage, scale: &Scale) -> anyhow::Result<Vec<Part>> {
    let server = stage.server(&stage.path("fan-out"), &Setting::default())?;
    let load = format!(
        "group-fanout --groups 1 --members {0} --online {0} --senders 1 --window 16 \
         --receipts none --seconds {1}",
        scale.members, scale.seconds
    );
    let line = format!("{load} --addr {}", server.addr);
    let mut more = server.watched();
    more.extend(["--users-file".to_owned(), text(&stage.path("fan-out.users"))]);
    let (mut values, mut beside) = (Vec::new(), Vec::new());
    for round in 1..=scale.rounds {
        say(&format!("P4: round {round} of {}", scale.rounds));
        let run: RunReport = stage.run(&words(&line, &more))?;
        let cores = run.outcome.costs.server_cpu_cores.context("nobody saw the server's CPU")?;
        values.push(run.outcome.delivered_per_s / cores);
        beside.push(format!("{:.0}/s with {cores:.2} cores", run.outcome.delivered_per_s));
    }
    let data = server.data.clone();
    server.stop()?;
    fs::remove_dir_all(data)?;
    Ok(vec![Part {
        row: "P4",
        what: format!("deliveries per server core-second, 1 to {} online", scale.members),
        values,
        reach: 400_000.0,
        dream: 1_500_000.0,
        better: Better::More,
        command: load,
        beside,
        doubts: Vec::new(),
    }])
}
