//! P11: bytes on the disk per byte of text, when everything is settled and the log is trimmed.

use std::fs;

use hongyan_loadtest::probe::disk_bytes;
use hongyan_loadtest::report::RunReport;

use super::{Better, Part, Scale, say, words};
use crate::stage::{Setting, Stage, text};

const TEXT_BYTES: f64 = 128.0;

pub(super) fn measure(stage: &Stage, scale: &Scale) -> anyhow::Result<Vec<Part>> {
    say(&format!("P11: {} messages", scale.messages));
    let server = stage.server(&stage.path("disk"), &Setting::default())?;
    let load = format!("fill --messages {}", scale.messages);
    let line = format!("{load} --addr {}", server.addr);
    let mut more = server.watched();
    more.extend(["--users-file".to_owned(), text(&stage.path("disk.users"))]);
    let report: RunReport = stage.run(&words(&line, &more))?;
    let data = server.data.clone();
    server.stop()?;
    let messages = report.outcome.acked_in_all as f64;
    let (views, all) = (disk_bytes(&data.join("views"))?, disk_bytes(&data)?);
    fs::remove_dir_all(data)?;
    let part = |what: &str, bytes: u64| Part {
        row: "P11",
        what: format!("bytes on the disk per byte of text, {what}"),
        values: vec![bytes as f64 / messages / TEXT_BYTES],
        reach: 3.0,
        dream: 1.8,
        better: Better::Less,
        command: load.clone(),
        beside: vec![format!("{bytes} bytes for {messages:.0} messages of {TEXT_BYTES} B")],
        doubts: Vec::new(),
    };
    Ok(vec![part("the views", views), part("with the log's segments", all)])
}
