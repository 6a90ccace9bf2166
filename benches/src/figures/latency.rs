//! P7 and P8: the tail of the latency at half of the capacity.
//!
//! The server has one processor and one worker, the generator another one: on processors that
//! both share, the search for the capacity ends at the generator. A disk that by itself stands still
//! for longer than the gate makes every figure here one of the disk: no evidence.

use std::fs;
use std::time::Duration;

use anyhow::ensure;
use hongyan_loadtest::histogram::LatencySummary;
use hongyan_loadtest::report::RunReport;
use hongyan_loadtest::scenario::capacity::CapacityReport;

use super::{Better, Part, Scale, cpu_us, say, words};
use crate::append;
use crate::stage::{Server, Setting, Stage, text};

const SERVER: usize = 0;
const GENERATOR: usize = 1;
const GATE_MS: f64 = 10.0;
const RECORD_BYTES: usize = 220;

pub(super) fn measure(stage: &Stage, scale: &Scale) -> anyhow::Result<Vec<Part>> {
    let processors = std::thread::available_parallelism()?.get();
    ensure!(processors > GENERATOR, "server and generator need a processor each");
    let setting = Setting { processor: Some(SERVER), ..Setting::default() };
    let server = stage.server(&stage.path("latency"), &setting)?;
    say("P7, P8: fdatasync");
    let sync = append::measure(stage.dir(), 1, RECORD_BYTES, Duration::from_secs(10))?.sync;
    let mut parts = durable(stage, scale, &server, &sync)?;
    parts.extend(written(stage, scale, &server)?);
    let worst_ms = sync.max_us / 1_000.0;
    if worst_ms > GATE_MS {
        for part in &mut parts {
            part.doubts.push(format!(
                "the disk alone, with nothing else on it, took up to {worst_ms:.0} ms for a sync"
            ));
        }
    }
    let data = server.data.clone();
    server.stop()?;
    fs::remove_dir_all(data)?;
    Ok(parts)
}

/// Runs at half the capacity.
struct Half {
    capacity_per_s: f64,
    runs: Vec<RunReport>,
    load: String,
    doubts: Vec<String>,
}

impl Half {
    fn search(
        stage: &Stage,
        scale: &Scale,
        server: &Server,
        (row, level, latency): (&str, &str, &str),
    ) -> anyhow::Result<Self> {
        let mut more = server.watched();
        more.extend(["--users-file".to_owned(), text(&stage.path("latency.users"))]);
        say(&format!("{row}: the capacity, {level}"));
        let line = format!(
            "capacity --addr {} --level {level} --stage {latency} --gate-ms {GATE_MS} --from 4000 \
             --warmup 1 --seconds {}",
            server.addr, scale.seconds
        );
        let found: CapacityReport = stage.run_on(Some(GENERATOR), &words(&line, &more))?;
        let mut half = Self {
            capacity_per_s: found.capacity_per_s,
            runs: Vec::new(),
            load: String::new(),
            doubts: Vec::new(),
        };
        let rate = (found.capacity_per_s / 2.0).floor();
        if rate < 1.0 {
            half.doubts = found.verdict.doubts;
            half.doubts.push("no capacity was found".into());
            return Ok(half);
        }
        half.load =
            format!("direct --level {level} --rate {rate} --warmup 1 --seconds {}", scale.seconds);
        let line = format!("{} --addr {}", half.load, server.addr);
        for round in 1..=scale.rounds {
            say(&format!("{row}: {rate}/s {level}, round {round} of {}", scale.rounds));
            half.runs.push(stage.run_on(Some(GENERATOR), &words(&line, &more))?);
        }
        let is_evidence = |run: &&RunReport| run.verdict.doubts.is_empty();
        if half.runs.iter().any(|run| is_evidence(&run)) {
            half.runs.retain(|run| is_evidence(&run));
        } else {
            half.doubts = half.runs.iter().flat_map(|run| run.verdict.doubts.clone()).collect();
        }
        Ok(half)
    }

    /// The part for one latency of each run that is evidence, in ms.
    fn part(
        &self,
        row: &'static str,
        what: &str,
        (reach, dream): (f64, f64),
        value_us: fn(&RunReport) -> f64,
    ) -> anyhow::Result<Part> {
        let beside = self
            .runs
            .iter()
            .map(|run| {
                let ack = &run.outcome.ack_latency;
                Ok(format!(
                    "capacity {:.0}/s; ack p50 {:.2}, p99 {:.2}, p99.9 {:.2} ms; CPU {:.1} us",
                    self.capacity_per_s,
                    ack.p50_us / 1_000.0,
                    ack.p99_us / 1_000.0,
                    ack.p999_us / 1_000.0,
                    cpu_us(run)?
                ))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Part {
            row,
            what: what.to_owned(),
            values: self.runs.iter().map(|run| value_us(run) / 1_000.0).collect(),
            reach,
            dream,
            better: Better::Less,
            command: self.load.clone(),
            beside,
            doubts: self.doubts.clone(),
        })
    }
}

fn durable(
    stage: &Stage,
    scale: &Scale,
    server: &Server,
    sync: &LatencySummary,
) -> anyhow::Result<Vec<Part>> {
    let half = Half::search(stage, scale, server, ("P7", "durable", "ack"))?;
    let sync_ms = sync.p99_us / 1_000.0;
    let limits = (2.5 * sync_ms + 1.0, 1.5 * sync_ms + 0.5);
    let what = format!("ack p99, ms, durable; `fdatasync` alone has p99 {sync_ms:.3}");
    Ok(vec![half.part("P7", &what, limits, |run| run.outcome.ack_latency.p99_us)?])
}

fn written(stage: &Stage, scale: &Scale, server: &Server) -> anyhow::Result<Vec<Part>> {
    let half = Half::search(stage, scale, server, ("P8", "written", "e2e"))?;
    Ok(vec![
        half.part("P8", "end to end p99, ms, written", (1.0, 0.5), |run| {
            run.outcome.e2e_latency.p99_us
        })?,
        half.part("P8", "end to end p99.9, ms, written", (3.0, 1.5), |run| {
            run.outcome.e2e_latency.p999_us
        })?,
    ])
}
