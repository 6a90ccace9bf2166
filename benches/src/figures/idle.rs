//! P5 and P6: memory and CPU of a session that only sends heartbeats.
//!
//! Each transport gets a server of its own age: memory that making accounts gave back would hide
//! what sessions take.

use std::fs;

use hongyan_loadtest::scenario::idle::IdleReport;

use super::{Better, Part, Scale, say, words};
use crate::stage::{Setting, Stage, text};

const DEVICES: usize = 30;

struct Door {
    transport: &'static str,
    reach: f64,
    dream: f64,
}

const DOORS: [Door; 3] = [
    Door { transport: "tcp", reach: 1_024.0, dream: 512.0 },
    Door { transport: "tls", reach: 12_288.0, dream: 6_144.0 },
    Door { transport: "ws", reach: 2_048.0, dream: 1_024.0 },
];

pub(super) fn measure(stage: &Stage, scale: &Scale) -> anyhow::Result<Vec<Part>> {
    let data = stage.path("idle");
    let users = ["--users-file".to_owned(), text(&stage.path("idle.users"))];
    say("P5, P6: accounts");
    let server = stage.server(&data, &Setting::default())?;
    let people = scale.sessions.div_ceil(DEVICES);
    let line = format!("users --addr {} --count {people} --devices {DEVICES}", server.addr);
    stage.carry_out(&words(&line, &[&users[..], &server.watched()].concat()))?;
    server.stop()?;
    let mut parts = Vec::new();
    for door in &DOORS {
        say(&format!("P5, P6: {} sessions over {}", scale.sessions, door.transport));
        let load = format!(
            "idle --connections {} --devices {DEVICES} --steps 8 --hold {} --heartbeat 50 \
             --transport {}",
            scale.sessions, scale.hold_s, door.transport
        );
        let setting = Setting { small_pages: true, all_doors: true, processor: None };
        let server = stage.server(&data, &setting)?;
        let (addr, mut more) = match door.transport {
            "tls" => (server.tls, vec!["--ca".to_owned(), text(&stage.certificate()?)]),
            "ws" => (server.websocket, Vec::new()),
            _ => (server.addr, Vec::new()),
        };
        more.extend(server.watched());
        more.extend_from_slice(&users);
        let line = format!("{load} --addr {addr}");
        let report: IdleReport = stage.run(&words(&line, &more))?;
        server.stop()?;
        parts.push(memory(door, &load, &report));
        if door.transport == "tcp" {
            parts.push(cpu(&load, &report));
        }
    }
    fs::remove_dir_all(data)?;
    parts.sort_by_key(|part| part.row);
    Ok(parts)
}

fn memory(door: &Door, load: &str, report: &IdleReport) -> Part {
    Part {
        row: "P5",
        what: format!("bytes of the server's own per session, {}", door.transport),
        values: vec![report.bytes_per_connection],
        reach: door.reach,
        dream: door.dream,
        better: Better::Less,
        command: load.to_owned(),
        beside: vec![format!(
            "standard error {:.0}; {:.2} us of CPU per session and second",
            report.fit.slope_error.unwrap_or(f64::NAN),
            report.cpu_us_per_connection_second
        )],
        doubts: report.verdict.doubts.clone(),
    }
}

fn cpu(load: &str, report: &IdleReport) -> Part {
    Part {
        row: "P6",
        what: "us of CPU per session and second, a heartbeat every 50 s, tcp".into(),
        values: vec![report.cpu_us_per_connection_second],
        reach: 0.5,
        dream: 0.2,
        better: Better::Less,
        command: load.to_owned(),
        beside: vec![format!("the server alone: {:.4} cores", report.base_cpu_cores)],
        doubts: report.verdict.doubts.clone(),
    }
}
