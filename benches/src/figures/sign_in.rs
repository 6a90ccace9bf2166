//! P9: sign-ins with a token, per second of the server's CPU.

use std::fs;

use anyhow::Context;
use hongyan_loadtest::scenario::connect_storm::StormReport;

use super::{Better, Part, Scale, say, words};
use crate::stage::{Setting, Stage, text};

struct Way {
    name: &'static str,
    flags: &'static str,
    reach: f64,
    dream: f64,
}

const WAYS: [Way; 3] = [
    Way { name: "tcp", flags: "", reach: 20_000.0, dream: 50_000.0 },
    Way { name: "tls, full handshake", flags: "--transport tls", reach: 3_000.0, dream: 6_000.0 },
    Way {
        name: "tls, resumed",
        flags: "--transport tls --resumption on",
        reach: 3_000.0,
        dream: 6_000.0,
    },
];

pub(super) fn measure(stage: &Stage, scale: &Scale) -> anyhow::Result<Vec<Part>> {
    let setting = Setting { all_doors: true, ..Setting::default() };
    let server = stage.server(&stage.path("sign-in"), &setting)?;
    let mut parts = Vec::new();
    for way in &WAYS {
        say(&format!("P9: {}", way.name));
        let load = format!(
            "connect-storm --connections {} --devices 16 --rounds {} {}",
            scale.storm,
            scale.rounds + 1,
            way.flags
        );
        let mut more = server.watched();
        more.extend(["--users-file".to_owned(), text(&stage.path("sign-in.users"))]);
        let mut addr = server.addr;
        if way.flags.contains("tls") {
            more.extend(["--ca".to_owned(), text(&stage.certificate()?)]);
            addr = server.tls;
        }
        let line = format!("{load} --addr {addr}");
        let report: StormReport = stage.run(&words(&line, &more))?;
        let rate = report.sign_ins_per_core_second.context("nobody saw the server's CPU")?;
        parts.push(Part {
            row: "P9",
            what: format!("sign-ins per core-second, {}", way.name),
            values: vec![rate],
            reach: way.reach,
            dream: way.dream,
            better: Better::More,
            command: load.trim_end().to_owned(),
            beside: report.verdict.doubts.clone(),
            doubts: Vec::new(),
        });
    }
    let data = server.data.clone();
    server.stop()?;
    fs::remove_dir_all(data)?;
    Ok(parts)
}
