//! Memory over the number of idle sessions: its slope is what one costs.

use crate::number::Unit;
use crate::page::chart::{Axis, Chart, Dash, Mark};
use crate::page::markup::{Cell, Markup, Table};
use crate::page::scale::Scale;
use crate::page::traces::{Trace, lines, looks};
use crate::report::{AnyReport, Source};
use crate::scenario::idle::{IdleReport, IdleStep};

/// Writes the chart, and the numbers folded below; nothing when no result is of idle sessions.
pub(super) fn put(out: &mut Markup, sources: &[Source]) {
    let reports: Vec<(usize, &IdleReport)> = sources
        .iter()
        .enumerate()
        .filter_map(|(index, Source { report, .. })| match report {
            AnyReport::Idle(report) => Some((index, &**report)),
            _ => None,
        })
        .collect();
    if reports.is_empty() {
        return;
    }
    out.raw("<section aria-labelledby=\"idle\"><h2 id=\"idle\">Idle sessions</h2>\n");
    Chart::put_all(&[chart(&reports, sources)], out);
    put_numbers(out, &reports, sources);
    out.raw("</section>\n");
}

fn chart(reports: &[(usize, &IdleReport)], sources: &[Source]) -> Chart {
    type Memory = fn(&IdleStep) -> u64;
    let mut traces = Vec::new();
    for (source, report) in reports {
        let parts: [(_, _, _, Memory); 2] = [
            ("resident", looks::OFFERED, Dash::Dashed, |step| step.rss_bytes),
            ("its own", looks::ACK, Dash::Solid, |step| step.anon_bytes),
        ];
        for (part, alone, dash, bytes) in parts {
            let at = |step: &IdleStep| (step.connections as f64, bytes(step) as f64);
            let mark = |step: &IdleStep| Mark {
                at: at(step),
                hollow: false,
                hint: format!("{} sessions: {}", step.connections, Unit::Bytes.full(at(step).1)),
            };
            let points = report.steps.iter().map(at).collect();
            let marks = report.steps.iter().map(mark).collect();
            traces.push(Trace { source: *source, part, alone, dash, points, marks });
        }
    }
    let (lines, legend) = lines(traces, sources);
    Chart {
        id: "idle-memory".to_owned(),
        title: "Server memory by sessions".to_owned(),
        note: "What a session costs is the slope of the server's own memory.".to_owned(),
        x: Axis { title: "open sessions", scale: Scale::Linear, unit: Unit::Count },
        y: Axis { title: "memory", scale: Scale::Linear, unit: Unit::Bytes },
        lines,
        legend,
        band: None,
        hints: Vec::new(),
    }
}

fn put_numbers(out: &mut Markup, reports: &[(usize, &IdleReport)], sources: &[Source]) {
    let rows = reports
        .iter()
        .flat_map(|(source, report)| report.steps.iter().map(move |step| (*source, step)))
        .map(|(source, step)| -> Vec<Cell> {
            vec![
                sources[source].name.clone().into(),
                Unit::Count.full(step.connections as f64).into(),
                Unit::Bytes.full(step.rss_bytes as f64).into(),
                Unit::Bytes.full(step.anon_bytes as f64).into(),
            ]
        })
        .collect();
    let head = ["result", "sessions", "resident", "its own"].map(str::to_owned).to_vec();
    let name = "Numbers of idle sessions";
    Table { name, head, rows }.put_folded(out, name);
}
