//! P12: what a client that holds nothing costs until its list is complete.

use std::fs;

use anyhow::Context;
use hongyan_loadtest::scenario::cold_start::ColdStartReport;

use super::{Better, Part, Scale, say, words};
use crate::stage::{Setting, Stage, text};

pub(super) fn measure(stage: &Stage, scale: &Scale) -> anyhow::Result<Vec<Part>> {
    say(&format!("P12: {} conversations", scale.listed));
    let server = stage.server(&stage.path("cold"), &Setting::default())?;
    let load = format!("cold-start --users 4 --conversations {} --repeats 50", scale.listed);
    let line = format!("{load} --addr {}", server.addr);
    let mut more = server.watched();
    more.extend(["--users-file".to_owned(), text(&stage.path("cold.users"))]);
    let report: ColdStartReport = stage.run(&words(&line, &more))?;
    let data = server.data.clone();
    server.stop()?;
    fs::remove_dir_all(data)?;
    let cpu_us = report.server_cpu_us_per_start.context("nobody saw the server's CPU")?;
    let part = |what: &str, value: f64, (reach, dream): (f64, f64)| Part {
        row: "P12",
        what: format!("{what}, {} conversations", scale.listed),
        values: vec![value],
        reach,
        dream,
        better: Better::Less,
        command: load.clone(),
        beside: vec![format!("{} starts", report.starts)],
        doubts: Vec::new(),
    };
    Ok(vec![
        part("server CPU per cold start, ms", cpu_us / 1_000.0, (2.0, 0.5)),
        part("KB per cold start", report.bytes_down_per_start / 1_000.0, (200.0, 80.0)),
        part("round trips per cold start", report.round_trips_per_start, (1.0, 1.0)),
    ])
}
