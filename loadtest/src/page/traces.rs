//! From what is to be compared to lines and a legend.
//!
//! On a page with one result, colours tell stages apart (ack, e2e). With several, colours tell the
//! results apart and dashes the stages, so that one look at a colour is one look at a result.

use crate::page::chart::{Dash, Line, Look, Mark};
use crate::report::Source;

/// One stage or part of one result.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trace {
    /// Index of its result on the page.
    pub(super) source: usize,
    /// What it is, the same in every result.
    pub(super) part: &'static str,
    /// How it looks on a page with one result.
    pub(super) alone: Look,
    /// Its dash on a page with several.
    pub(super) dash: Dash,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) marks: Vec<Mark>,
}

/// The same part looks the same in every chart.
pub(super) mod looks {
    use super::{Dash, Look};

    pub(in crate::page) const ACK: Look = Look::tone(0);
    pub(in crate::page) const E2E: Look = Look::tone(1);
    pub(in crate::page) const MIDDLE: Look = Look::tone(2);
    pub(in crate::page) const TAIL: Look = Look::tone(3);
    pub(in crate::page) const REFUSED: Look = Look::tone(4);
    pub(in crate::page) const OFFERED: Look = Look::quiet(Dash::Dashed);
}

/// Lines, and entries for the legend.
pub(super) fn lines(traces: Vec<Trace>, sources: &[Source]) -> (Vec<Line>, Vec<(String, Look)>) {
    let alone = sources.len() == 1;
    let mut legend = Vec::new();
    let mut parts: Vec<(&str, Dash)> = Vec::new();
    for trace in &traces {
        if alone {
            legend.push((trace.part.to_owned(), trace.alone));
            continue;
        }
        let entry = (sources[trace.source].name.clone(), Look::tone(trace.source));
        if !legend.contains(&entry) {
            legend.push(entry);
        }
        if !parts.contains(&(trace.part, trace.dash)) {
            parts.push((trace.part, trace.dash));
        }
    }
    if parts.len() > 1 {
        legend.extend(parts.into_iter().map(|(part, dash)| (part.to_owned(), Look::quiet(dash))));
    }
    let lines = traces
        .into_iter()
        .map(|trace| Line {
            label: if alone {
                trace.part.to_owned()
            } else {
                format!("{}, {}", sources[trace.source].name, trace.part)
            },
            look: if alone { trace.alone } else { Look::tone(trace.source).with(trace.dash) },
            points: trace.points,
            marks: trace.marks,
        })
        .collect();
    (lines, legend)
}
