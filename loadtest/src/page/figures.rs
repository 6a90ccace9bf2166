//! The figures: the four that matter large, all in tables, and what was proven.

use crate::histogram::LatencySummary;
use crate::number::Unit;
use crate::page::markup::{Cell, Escaped, Markup, Table};
use crate::plan::Pace;
use crate::report::{AnyReport, RunReport, Source};
use crate::scenario::connect_storm::StormReport;

/// Reasons of broken connections that are written out, at most.
const BROKEN_MAX: usize = 20;

/// Writes the figures that matter most, key figures and latencies.
pub(super) fn put(out: &mut Markup, sources: &[Source]) {
    out.raw("<section aria-labelledby=\"figures\"><h2 id=\"figures\">Figures</h2>\n");
    let runs = runs(sources);
    match sources {
        [only] => put_tiles(out, &only.report),
        _ => put_other_kinds(out, sources),
    }
    if !runs.is_empty() {
        put_key_figures(out, &runs);
        put_latencies(out, &runs);
    }
    out.raw("</section>\n");
}

/// Writes what was proven about the messages; nothing when no result has such a proof.
pub(super) fn put_findings(out: &mut Markup, sources: &[Source]) {
    let runs = runs(sources);
    if runs.is_empty() {
        return;
    }
    out.raw("<section aria-labelledby=\"proof\"><h2 id=\"proof\">What was proven</h2>\n");
    out.raw(
        "<p>Every message carries its sender, a counter and a checksum; warm-up and drain are \
         checked like the rest.</p>\n",
    );
    type Count = fn(&RunReport) -> u64;
    let counts: [(&str, Count); 3] = [
        ("sent", |run| run.outcome.sent_in_all),
        ("acked", |run| run.outcome.acked_in_all),
        ("delivered", |run| run.outcome.delivered_in_all),
    ];
    let faults: [(&str, Count); 11] = [
        ("acked and never arrived", |run| run.outcome.findings.lost),
        ("arrived twice", |run| run.outcome.findings.duplicates),
        ("arrived out of order", |run| run.outcome.findings.reordered),
        ("arrived with other bytes", |run| run.outcome.findings.damaged),
        ("steps of a seq other than one", |run| run.outcome.findings.seq_breaks),
        ("pairs that saw other seqs than acked", |run| run.outcome.findings.seq_disagreements),
        ("never answered", |run| run.outcome.findings.unanswered),
        ("refused", |run| run.outcome.refusals.values().sum()),
        ("connections that ended early", |run| run.outcome.broken.len() as u64),
        ("shed to catching up, not checked", |run| run.outcome.findings.shed),
        ("planned and never sent", |run| run.outcome.not_offered),
    ];
    let row = |name: &str, count: Count, may_be: bool| -> Vec<Cell> {
        let cells = runs.iter().map(|(_, run)| {
            let text = Unit::Count.full(count(run) as f64);
            if may_be || count(run) == 0 { text.into() } else { Cell::alarming(text) }
        });
        std::iter::once(name.into()).chain(cells).collect()
    };
    let mut rows: Vec<_> = counts.map(|(name, count)| row(name, count, true)).into();
    rows.extend(faults.map(|(name, count)| row(name, count, false)));
    out.raw(if runs.len() <= 2 { "<div class=\"slim\">\n" } else { "<div>\n" });
    Table { name: "What was proven", head: head("messages", &runs), rows }.put(out);
    out.raw("</div>\n");
    for (name, run) in &runs {
        put_broken(out, name, run);
    }
    out.raw("</section>\n");
}

fn put_broken(out: &mut Markup, name: &str, run: &RunReport) {
    let broken = &run.outcome.broken;
    if broken.is_empty() {
        return;
    }
    let name = Escaped(name);
    write!(out, "<details><summary>Connections of {name} that ended early</summary><ul>");
    for reason in broken.iter().take(BROKEN_MAX) {
        write!(out, "<li>{}</li>", Escaped(reason));
    }
    if broken.len() > BROKEN_MAX {
        write!(out, "<li>and {} more</li>", broken.len() - BROKEN_MAX);
    }
    out.raw("</ul></details>\n");
}

fn runs(sources: &[Source]) -> Vec<(&str, &RunReport)> {
    sources
        .iter()
        .filter_map(|Source { name, report }| match report {
            AnyReport::Run(run) => Some((name.as_str(), &**run)),
            _ => None,
        })
        .collect()
}

fn head(first: &str, runs: &[(&str, &RunReport)]) -> Vec<String> {
    let names = runs.iter().map(|(name, _)| (*name).to_owned());
    std::iter::once(first.to_owned()).chain(names).collect()
}

fn put_tiles(out: &mut Markup, report: &AnyReport) {
    out.raw("<dl class=\"tiles\">");
    for (name, value, note) in tiles(report) {
        let (name, value, note) = (Escaped(name), Escaped(&value), Escaped(&note));
        write!(out, "<div><dt>{name}</dt><dd><b>{value}</b> <span>{note}</span></dd></div>");
    }
    out.raw("</dl>\n");
}

/// Results that are no runs have few figures; among others, they share one table.
fn put_other_kinds(out: &mut Markup, sources: &[Source]) {
    let others = sources.iter().filter(|source| !matches!(source.report, AnyReport::Run(_)));
    let rows: Vec<Vec<Cell>> = others
        .flat_map(|Source { name, report }| {
            tiles(report).into_iter().map(move |(figure, value, note)| -> Vec<Cell> {
                vec![format!("{figure}: {name}").into(), value.into(), note.into()]
            })
        })
        .collect();
    if !rows.is_empty() {
        let head = ["figure", "value", ""].map(str::to_owned).to_vec();
        out.raw("<div class=\"slim\">\n");
        Table { name: "Figures of other kinds of results", head, rows }.put(out);
        out.raw("</div>\n");
    }
}

fn tiles(report: &AnyReport) -> Vec<(&'static str, String, String)> {
    match report {
        AnyReport::Capacity(report) => {
            let valid = report.curve.iter().filter(|point| point.valid);
            let best = valid.max_by(|a, b| a.acked_per_s.total_cmp(&b.acked_per_s));
            best.map_or_else(Vec::new, |best| {
                let rate = Unit::Count.full(best.acked_per_s);
                let p99 = Unit::Micros.full(best.ack_p99_us);
                vec![
                    ("highest rate", rate, "acked per second".to_owned()),
                    ("ack p99 there", p99, "from the planned send".to_owned()),
                ]
            })
        }
        AnyReport::ColdStart(report) => vec![
            (
                "server CPU",
                Unit::Micros.full(report.server_cpu_us_per_start.unwrap_or(f64::NAN)),
                "per start".to_owned(),
            ),
            (
                "start p99",
                Unit::Micros.full(report.latency.p99_us),
                format!(
                    "until {} conversations are there",
                    Unit::Count.full(report.plan.conversations as f64)
                ),
            ),
            (
                "down",
                Unit::Bytes.full(report.bytes_down_per_start),
                format!("per start; {} up", Unit::Bytes.full(report.bytes_up_per_start)),
            ),
            (
                "round trips",
                Unit::Ratio.full(report.round_trips_per_start),
                format!("per start; {} at most", report.round_trips_max),
            ),
        ],
        AnyReport::Idle(report) => vec![
            (
                "memory per session",
                Unit::Bytes.full(report.bytes_per_connection),
                format!("slope; {} from none", Unit::Bytes.full(report.growth_per_connection)),
            ),
            (
                "CPU per session",
                Unit::Micros.full(report.cpu_us_per_connection_second),
                "per second".to_owned(),
            ),
            ("opening them", format!("{:.1} s", report.opening_s), "in all".to_owned()),
            ("ended by the server", report.closed.to_string(), "sessions".to_owned()),
        ],
        AnyReport::Run(run) => run_tiles(run),
        AnyReport::Storm(report) => storm_tiles(report),
    }
}

fn storm_tiles(report: &StormReport) -> Vec<(&'static str, String, String)> {
    let waves = || report.waves.iter();
    let fastest = waves().map(|wave| wave.sign_ins_per_s).fold(0.0, f64::max);
    let [opened, refused] = [
        waves().map(|wave| wave.sign_ins).sum::<u64>(),
        waves().flat_map(|wave| wave.refused.values()).sum(),
    ];
    let p99 = report.sign_in_spectrum.value_us(99.0).unwrap_or(f64::NAN);
    let planned = report.from_plan_spectrum.value_us(99.0).unwrap_or(f64::NAN);
    vec![
        (
            "server CPU",
            Unit::Micros.full(report.server_cpu_us_per_sign_in.unwrap_or(f64::NAN)),
            "per sign-in of those who came back".to_owned(),
        ),
        (
            "sign-in p99",
            Unit::Micros.full(p99),
            format!("from the connect; {} from the plan", Unit::Micros.full(planned)),
        ),
        ("highest rate", Unit::Count.full(fastest), "sign-ins per second of a wave".to_owned()),
        (
            "sign-ins",
            Unit::Count.full(opened as f64),
            format!("{} refused for now", Unit::Count.full(refused as f64)),
        ),
    ]
}

fn run_tiles(run: &RunReport) -> Vec<(&'static str, String, String)> {
    let outcome = &run.outcome;
    let latency = match run.plan.pace {
        Pace::ClosedLoop => "of a full window (closed loop)",
        Pace::OpenLoop { .. } => "from the planned send",
    };
    let costs = &outcome.costs;
    let cpu = match (costs.server_cpu_us_per_message, costs.server_cpu_cores) {
        (Some(us), Some(cores)) => {
            let note = format!("per message; {} cores", Unit::Cores.full(cores));
            ("server CPU", Unit::Micros.full(us), note)
        }
        _ => {
            let note =
                format!("per message; {} cores", Unit::Cores.full(costs.generator_cpu_cores));
            ("generator CPU", Unit::Micros.full(costs.generator_cpu_us_per_message), note)
        }
    };
    vec![
        (
            "acked per second",
            Unit::Count.full(outcome.acked_per_s),
            format!("over {:.1} s", outcome.measured_s),
        ),
        ("ack p99", Unit::Micros.full(outcome.ack_latency.p99_us), latency.to_owned()),
        ("e2e p99", Unit::Micros.full(outcome.e2e_latency.p99_us), "to the receiver".to_owned()),
        cpu,
    ]
}

type Figure = (&'static str, Unit, fn(&RunReport) -> Option<f64>);

const RATE_AND_CPU: [Figure; 9] = [
    ("acked per second", Unit::Count, |run| Some(run.outcome.acked_per_s)),
    ("delivered per second", Unit::Count, |run| Some(run.outcome.delivered_per_s)),
    ("messages measured", Unit::Count, |run| Some(run.outcome.acked as f64)),
    ("seconds measured", Unit::Seconds, |run| Some(run.outcome.measured_s)),
    ("sends that met a full window", Unit::Count, |run| {
        matches!(run.plan.pace, Pace::OpenLoop { .. }).then_some(run.outcome.postponed as f64)
    }),
    ("server CPU per message", Unit::Micros, |run| run.outcome.costs.server_cpu_us_per_message),
    ("server cores", Unit::Cores, |run| run.outcome.costs.server_cpu_cores),
    ("generator CPU per message", Unit::Micros, |run| {
        Some(run.outcome.costs.generator_cpu_us_per_message)
    }),
    ("generator cores", Unit::Cores, |run| Some(run.outcome.costs.generator_cpu_cores)),
];

const MEMORY_AND_DISK: [Figure; 6] = [
    ("server memory, resident", Unit::Bytes, |run| {
        run.outcome.costs.server_rss_bytes.map(|bytes| bytes as f64)
    }),
    ("server memory, its own", Unit::Bytes, |run| {
        run.outcome.costs.server_anon_bytes.map(|bytes| bytes as f64)
    }),
    ("syncs of the log", Unit::Count, |run| run.outcome.costs.syncs.map(|syncs| syncs as f64)),
    ("messages per sync", Unit::Ratio, |run| run.outcome.costs.messages_per_sync),
    ("written per message", Unit::Bytes, |run| run.outcome.costs.device_written_bytes_per_message),
    ("disk growth per message", Unit::Bytes, |run| run.outcome.costs.disk_bytes_per_message),
];

fn put_key_figures(out: &mut Markup, runs: &[(&str, &RunReport)]) {
    // Two narrow tables fit beside each other, two wide ones do not.
    out.raw(if runs.len() <= 2 { "<div class=\"tables\">\n" } else { "<div>\n" });
    for (name, figures) in
        [("Rate and CPU", &RATE_AND_CPU[..]), ("Memory and disk", &MEMORY_AND_DISK[..])]
    {
        let mut rows = Vec::new();
        for (figure, unit, value) in figures {
            let values: Vec<Option<f64>> = runs.iter().map(|(_, run)| value(run)).collect();
            if values.iter().any(Option::is_some) {
                let cells = values.into_iter().map(|value| unit.full(value.unwrap_or(f64::NAN)));
                let cells = cells.map(Cell::from);
                rows.push(std::iter::once((*figure).into()).chain(cells).collect());
            }
        }
        if !rows.is_empty() {
            Table { name, head: head(name, runs), rows }.put(out);
        }
    }
    out.raw("</div>\n");
}

fn put_latencies(out: &mut Markup, runs: &[(&str, &RunReport)]) {
    let head = ["latency", "p50", "p90", "p99", "p99.9", "p99.99", "max", "mean", "samples"];
    type Stage = (&'static str, fn(&RunReport) -> Option<&LatencySummary>);
    let stages: [Stage; 4] = [
        ("ack", |run| Some(&run.outcome.ack_latency)),
        ("ack, uncorrected", |run| Some(&run.outcome.service_latency)),
        ("e2e", |run| Some(&run.outcome.e2e_latency)),
        ("generator late", |run| run.outcome.lateness.as_ref()),
    ];
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (stage, summary) in stages {
        for (name, run) in runs {
            let Some(summary) = summary(run).filter(|summary| summary.samples > 0) else {
                continue;
            };
            let stage = if runs.len() == 1 { stage.to_owned() } else { format!("{stage}: {name}") };
            rows.push(latency_row(stage, summary));
        }
    }
    if rows.is_empty() {
        return;
    }
    out.raw("<h3>Latency</h3>\n");
    if runs.iter().any(|(_, run)| run.plan.pace == Pace::ClosedLoop) {
        out.raw(
            "<p>In a closed loop a slow server is offered less, so its latency is that of a full \
             window and no more.</p>\n",
        );
    }
    Table { name: "Latency", head: head.map(str::to_owned).to_vec(), rows }.put(out);
}

fn latency_row(stage: String, summary: &LatencySummary) -> Vec<Cell> {
    let values = [
        summary.p50_us,
        summary.p90_us,
        summary.p99_us,
        summary.p999_us,
        summary.p9999_us,
        summary.max_us,
        summary.mean_us,
    ];
    std::iter::once(stage.into())
        .chain(values.map(|us| Unit::Micros.full(us).into()))
        .chain([Unit::Count.full(summary.samples as f64).into()])
        .collect()
}
