//! P10: CPU of a message against the number of conversations that are stored.
//!
//! The same people send the same load in the same conversations, on a store that holds nothing
//! else and on a copy of it that was filled. Both are started anew, so that all is settled, and have
//! verified their views, which is work of a start; they take turns, because the machine's speed
//! changes.

use std::fs;
use std::path::Path;

use anyhow::ensure;
use hongyan_loadtest::report::RunReport;

use super::{Better, Part, Scale, cpu_us, say, words};
use crate::stage::{Setting, Stage, text};

pub(super) fn measure(stage: &Stage, scale: &Scale) -> anyhow::Result<Vec<Part>> {
    let small = stage.path("size-small");
    let users = ["--users-file".to_owned(), text(&stage.path("size.users"))];
    let load = format!(
        "direct --connections {} --window 4 --warmup 2 --seconds {}",
        scale.people, scale.seconds
    );
    say(&format!("P10: {} people", scale.people));
    run(stage, &small, &load, &users)?;
    scale
        .conversations
        .iter()
        .map(|count| of_count(stage, scale, (&small, *count), &load, &users))
        .collect()
}

fn of_count(
    stage: &Stage,
    scale: &Scale,
    (small, count): (&Path, usize),
    load: &str,
    users: &[String],
) -> anyhow::Result<Part> {
    say(&format!("P10: {count} conversations are made"));
    ensure!(count.is_multiple_of(scale.people), "{count} over {} people", scale.people);
    let large = stage.path("size-large");
    copy(small, &large)?;
    let fill = format!(
        "fill --connections {} --fan {} --window 8 --messages {count}",
        scale.people,
        count / scale.people
    );
    run(stage, &large, &fill, users)?;
    let (mut values, mut beside) = (Vec::new(), Vec::new());
    for round in 1..=scale.rounds {
        say(&format!("P10: {count} conversations, round {round} of {}", scale.rounds));
        let before = cpu_us(&run(stage, small, load, users)?)?;
        let after = cpu_us(&run(stage, &large, load, users)?)?;
        values.push(after / before);
        beside.push(format!("{after:.2} us over {before:.2}"));
    }
    fs::remove_dir_all(large)?;
    Ok(Part {
        row: "P10",
        what: format!(
            "server CPU per message with {count} conversations, times that with {}",
            scale.people
        ),
        values,
        reach: 1.3,
        dream: 1.05,
        better: Better::Less,
        command: format!("{fill}, then {load}"),
        beside,
        doubts: Vec::new(),
    })
}

/// One run on a server that is started for it and stopped after it.
fn run(stage: &Stage, data: &Path, load: &str, users: &[String]) -> anyhow::Result<RunReport> {
    let server = stage.server(data, &Setting::default())?;
    server.wait_until_verified()?;
    let line = format!("{load} --addr {}", server.addr);
    let mut more = server.watched();
    more.extend_from_slice(users);
    let report = stage.run(&words(&line, &more))?;
    server.stop()?;
    Ok(report)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&source, &target)?;
        } else {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
