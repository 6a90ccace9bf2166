//! Every figure of `docs/PERFORMANCE.md` that needs no other server, in one run.
//!
//! ```text
//! topic (a file) ─ starts a server, a floor, the generator on a Stage ─ Parts ─ Page
//! ```
//!
//! Each topic measures one question, several times where a run is short, with its floor in
//! alternation. The median counts, all values are shown, and what the generator says against a run
//! is shown beside it. P1 and P2 compare with other servers: `hongyan-loadtest peers`.

mod cold_start;
mod cost;
mod disk;
mod fan_out;
mod idle;
mod latency;
mod page;
mod part;
mod scale;
mod sign_in;
mod size;

use std::io::Write as _;

use anyhow::Context;
use hongyan_loadtest::report::RunReport;

pub use page::Page;
pub use part::{Better, Mark, Part};
pub use scale::Scale;

use crate::stage::Stage;

/// What is measured together, by the figures' numbers in `docs/PERFORMANCE.md`.
#[derive(Debug, Clone, Copy)]
pub struct Topic {
    /// The figures, in order.
    pub rows: &'static [&'static str],
    /// The question.
    pub asks: &'static str,
    measure: fn(&Stage, &Scale) -> anyhow::Result<Vec<Part>>,
}

/// All of them.
pub const TOPICS: [Topic; 8] = [
    Topic { rows: &["P3"], asks: "CPU of a message beside its floor", measure: cost::measure },
    Topic { rows: &["P4"], asks: "one message to a thousand", measure: fan_out::measure },
    Topic { rows: &["P5", "P6"], asks: "sessions that do nothing", measure: idle::measure },
    Topic { rows: &["P7", "P8"], asks: "latency at half the capacity", measure: latency::measure },
    Topic { rows: &["P9"], asks: "sign-ins with a token", measure: sign_in::measure },
    Topic { rows: &["P10"], asks: "cost against what is stored", measure: size::measure },
    Topic { rows: &["P11"], asks: "bytes on the disk", measure: disk::measure },
    Topic { rows: &["P12"], asks: "a client that holds nothing", measure: cold_start::measure },
];

impl Topic {
    /// Whether one of `wanted` is measured here; everything is when nothing is wanted.
    #[must_use]
    pub fn answers(&self, wanted: &[String]) -> bool {
        wanted.is_empty() || self.rows.iter().any(|row| wanted.iter().any(|one| one == row))
    }

    /// Measures it.
    ///
    /// # Errors
    /// A program could not be started, broke a promise, or took too long.
    pub fn measure(&self, stage: &Stage, scale: &Scale) -> anyhow::Result<Vec<Part>> {
        (self.measure)(stage, scale).with_context(|| format!("{}: {}", self.rows[0], self.asks))
    }
}

/// Says what is being measured.
pub fn say(what: &str) {
    // Progress is a courtesy: a closed terminal must not end the run.
    let _ = writeln!(std::io::stderr(), "-- {what}");
}

/// The words of `line`, and `more` that may have spaces.
fn words<'a>(line: &'a str, more: &'a [String]) -> Vec<&'a str> {
    line.split_whitespace().chain(more.iter().map(String::as_str)).collect()
}

/// What the server's CPU was per message.
fn cpu_us(report: &RunReport) -> anyhow::Result<f64> {
    report.outcome.costs.server_cpu_us_per_message.context("nobody saw the server's CPU")
}
