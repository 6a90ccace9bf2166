//! Percentile spectra: how latency grows towards the worst of all messages.

use crate::histogram::LatencySummary;
use crate::number::Unit;
use crate::page::chart::{Axis, Chart, Dash, Look, Mark};
use crate::page::markup::{Cell, Markup, Table};
use crate::page::scale::{Scale, percentile};
use crate::page::traces::{Trace, lines, looks};
use crate::report::{AnyReport, Source};
use crate::series::Spectrum;

/// Rows of the table, and marks on the line.
const KEYS: [f64; 9] = [50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 99.999, 99.9999];
const MARKED: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];

const PERCENTILE: Axis = Axis { title: "percentile", scale: Scale::Nines, unit: Unit::Ratio };

/// Writes the charts, and the numbers folded below; nothing when no result has a spectrum.
pub(super) fn put(out: &mut Markup, sources: &[Source]) {
    let traces = |stage: Stage| -> Vec<Trace> {
        let all = sources.iter().enumerate();
        all.filter_map(|(index, source)| stage.trace(index, &source.report)).collect()
    };
    let all = [traces(Stage::Uncorrected), traces(Stage::Ack), traces(Stage::E2e)];
    let others = [traces(Stage::FromPlan), traces(Stage::SignIn), traces(Stage::Start)].concat();
    if all.iter().all(Vec::is_empty) && others.is_empty() {
        return;
    }
    out.raw("<section aria-labelledby=\"spectrum\"><h2 id=\"spectrum\">Percentile spectrum</h2>\n");
    let charts = if sources.len() == 1 {
        let all = [all.concat(), others].concat();
        vec![chart("all", "Latency by percentile", all, sources)]
    } else {
        let [_, ack, e2e] = all;
        vec![
            chart("ack", "Ack latency", ack, sources),
            chart("e2e", "E2e latency", e2e, sources),
            chart("others", "Sign-ins and starts", others, sources),
        ]
    };
    Chart::put_all(&charts, out);
    put_numbers(out, sources);
    out.raw("</section>\n");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Ack,
    E2e,
    /// A sign-in, with the wait for one's turn and every attempt.
    FromPlan,
    SignIn,
    /// A cold start.
    Start,
    Uncorrected,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::E2e => "e2e",
            Self::FromPlan => "sign-in, from the plan",
            Self::SignIn => "sign-in",
            Self::Start => "start",
            Self::Uncorrected => "ack, uncorrected",
        }
    }

    /// What a result says about it; `None` where it has no such thing.
    fn spectrum(self, report: &AnyReport) -> Option<&Spectrum> {
        let spectrum = match (self, report) {
            (Self::Ack, AnyReport::Run(run)) => &run.outcome.ack_spectrum,
            (Self::E2e, AnyReport::Run(run)) => &run.outcome.e2e_spectrum,
            (Self::FromPlan, AnyReport::Storm(storm)) => &storm.from_plan_spectrum,
            (Self::SignIn, AnyReport::Storm(storm)) => &storm.sign_in_spectrum,
            (Self::Start, AnyReport::ColdStart(cold)) => &cold.spectrum,
            _ => return None,
        };
        (!spectrum.points.is_empty()).then_some(spectrum)
    }

    const fn look(self) -> Look {
        match self {
            Self::Ack | Self::SignIn | Self::Start => looks::ACK,
            Self::E2e | Self::FromPlan => looks::E2E.with(Dash::Dashed),
            Self::Uncorrected => Look::quiet(Dash::Dotted),
        }
    }

    fn trace(self, source: usize, report: &AnyReport) -> Option<Trace> {
        let points = match (self, report) {
            (Self::Uncorrected, AnyReport::Run(run)) => {
                points_of_summary(&run.outcome.service_latency)
            }
            _ => points_of(self.spectrum(report)?),
        };
        let alone = self.look();
        if points.is_empty() {
            return None;
        }
        let marks = match self {
            Self::Uncorrected => Vec::new(),
            _ => marks_of(self.name(), &points),
        };
        let dash = if self == Self::FromPlan { Dash::Dashed } else { Dash::Solid };
        Some(Trace { source, part: self.name(), alone, dash, points, marks })
    }
}

/// The maximum, at 100 %, has no place among the nines; it is drawn where the last sample is. The
/// minimum, at 0 %, would only stretch the axis.
fn points_of(spectrum: &Spectrum) -> Vec<(f64, f64)> {
    let last = last_percentile(spectrum.samples());
    let points = spectrum.points.iter().filter(|point| point.percentile > 0.0);
    points.map(|point| (point.percentile.min(last), point.value_us)).collect()
}

fn points_of_summary(summary: &LatencySummary) -> Vec<(f64, f64)> {
    if summary.samples == 0 {
        return Vec::new();
    }
    let last = last_percentile(summary.samples);
    [
        (50.0, summary.p50_us),
        (90.0, summary.p90_us),
        (99.0, summary.p99_us),
        (99.9, summary.p999_us),
        (99.99, summary.p9999_us),
        (100.0, summary.max_us),
    ]
    .into_iter()
    .map(|(percentile, value_us): (f64, f64)| (percentile.min(last), value_us))
    .collect()
}

fn last_percentile(samples: u64) -> f64 {
    100.0 - 100.0 / samples.max(2) as f64
}

fn marks_of(name: &str, points: &[(f64, f64)]) -> Vec<Mark> {
    let ends = points.last().map(|end| (*end, format!("{name} max: {}", Unit::Micros.full(end.1))));
    let keys = MARKED.into_iter().filter_map(|key| {
        let at = points.iter().find(|at| at.0 >= key)?;
        Some((*at, format!("{name} p{}: {}", percentile(key), Unit::Micros.full(at.1))))
    });
    keys.chain(ends).map(|(at, hint)| Mark { at, hollow: false, hint }).collect()
}

fn chart(id: &str, title: &str, traces: Vec<Trace>, sources: &[Source]) -> Chart {
    let (lines, legend) = lines(traces, sources);
    Chart {
        id: format!("spectrum-{id}"),
        title: title.to_owned(),
        note: "Each mark to the right leaves a tenth of the samples; a line ends at its worst one."
            .to_owned(),
        x: PERCENTILE,
        y: Axis { title: "latency", scale: Scale::Log, unit: Unit::Micros },
        lines,
        legend,
        band: None,
        hints: Vec::new(),
    }
}

fn put_numbers(out: &mut Markup, sources: &[Source]) {
    let mut head = vec!["percentile".to_owned()];
    let mut spectra: Vec<&Spectrum> = Vec::new();
    for Source { name, report } in sources {
        for stage in [Stage::Ack, Stage::E2e, Stage::SignIn, Stage::FromPlan, Stage::Start] {
            let Some(spectrum) = stage.spectrum(report) else { continue };
            let stage = stage.name();
            head.push(if sources.len() == 1 {
                stage.to_owned()
            } else {
                format!("{name}, {stage}")
            });
            spectra.push(spectrum);
        }
    }
    let longest = spectra.iter().map(|spectrum| spectrum.samples()).max().unwrap_or(0);
    let reached = |key: &f64| *key <= last_percentile(longest);
    let row = |label: String, key: f64| -> Vec<Cell> {
        let values = spectra.iter().map(|spectrum| {
            let value_us = spectrum.value_us(key).unwrap_or(f64::NAN);
            Cell::from(Unit::Micros.full(value_us))
        });
        std::iter::once(Cell::from(label)).chain(values).collect()
    };
    let mut rows: Vec<_> = KEYS
        .into_iter()
        .filter(reached)
        .map(|key| row(format!("p{}", percentile(key)), key))
        .collect();
    rows.push(row("max".to_owned(), 100.0));
    let name = "Numbers of the spectrum";
    Table { name, head, rows }.put_folded(out, name);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::nanoseconds;

    #[test]
    fn the_worst_sample_is_drawn_where_it_stands() {
        let mut histogram = nanoseconds();
        for sample in 1..=1_000_u64 {
            histogram.record(sample * 1_000).unwrap();
        }
        let points = points_of(&Spectrum::of(&histogram));
        let end = points.last().unwrap();
        assert!((end.0 - 99.9).abs() < 1e-9 && end.1 >= 1_000.0, "{end:?}");
        assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        assert!(points_of(&Spectrum::default()).is_empty());
    }
}
