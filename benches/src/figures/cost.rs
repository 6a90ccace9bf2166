//! P3: the server's CPU per durable message, as a multiple of what any server must do.
//!
//! The floor is a relay that looks at nothing, at the same shape, and the bare append and sync in
//! batches of the size that the server had. Relay and server take turns, because the machine's
//! speed changes.

use std::fs;
use std::time::Duration;

use hongyan_loadtest::report::RunReport;

use super::{Better, Part, Scale, cpu_us, say, words};
use crate::append::{self, AppendFloor, nearest};
use crate::stage::{Server, Setting, Stage, text};

/// Bytes of a message in the log.
const RECORD_BYTES: usize = 220;

struct Shape {
    name: &'static str,
    connections: usize,
    window: usize,
    reach: f64,
    dream: f64,
}

const SHAPES: [Shape; 2] = [
    Shape { name: "dense", connections: 100, window: 64, reach: 2.5, dream: 1.5 },
    Shape { name: "sparse", connections: 2_000, window: 1, reach: 1.6, dream: 1.25 },
];

pub(super) fn measure(stage: &Stage, scale: &Scale) -> anyhow::Result<Vec<Part>> {
    say("P3: append and sync");
    let floors = append::BATCHES
        .into_iter()
        .map(|batch| append::measure(stage.dir(), batch, RECORD_BYTES, Duration::from_secs(1)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let server = stage.server(&stage.path("cost"), &Setting::default())?;
    let parts = SHAPES
        .iter()
        .map(|shape| of_shape(stage, scale, &server, &floors, shape))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let data = server.data.clone();
    server.stop()?;
    fs::remove_dir_all(data)?;
    Ok(parts)
}

fn of_shape(
    stage: &Stage,
    scale: &Scale,
    server: &Server,
    floors: &[AppendFloor],
    shape: &Shape,
) -> anyhow::Result<Part> {
    let connections = shape.connections.min(scale.people);
    let load = format!(
        "direct --connections {connections} --window {} --warmup 2 --seconds {}",
        shape.window, scale.seconds
    );
    let users = text(&stage.path(&format!("cost-{}.users", shape.name)));
    let mut more = server.watched();
    more.extend(["--users-file".to_owned(), users]);
    let (mut values, mut beside) = (Vec::new(), Vec::new());
    for round in 1..=scale.rounds {
        say(&format!("P3: {}, round {round} of {}", shape.name, scale.rounds));
        let relay = stage.relay(connections)?;
        let line =
            format!("{load} --driver null --addr {} --server-pid {}", relay.addr, relay.pid());
        let floor: RunReport = stage.run(&words(&line, &[]))?;
        relay.kill()?;
        let line = format!("{load} --addr {}", server.addr);
        let run: RunReport = stage.run(&words(&line, &more))?;
        let batch = run.outcome.costs.messages_per_sync.unwrap_or(1.0);
        let log = nearest(floors, batch).map_or(0.0, |floor| floor.cpu_us_per_message);
        let (cpu, relay) = (cpu_us(&run)?, cpu_us(&floor)?);
        values.push(cpu / (relay + log));
        let said = run.verdict.doubts.join("; ");
        beside.push(format!(
            "{cpu:.2} us over {relay:.2} (relay) + {log:.2} (append and sync of {batch:.0}), \
             {:.0}/s{}",
            run.outcome.delivered_per_s,
            if said.is_empty() { String::new() } else { format!("; {said}") }
        ));
    }
    Ok(Part {
        row: "P3",
        what: format!("{}: server CPU per durable message, times the floor", shape.name),
        values,
        reach: shape.reach,
        dream: shape.dream,
        better: Better::Less,
        command: load,
        beside,
        doubts: Vec::new(),
    })
}
