//! Throughput against latency: what is paid for each further message per second.
//!
//! Points come from a search for the capacity, or from runs whose plans differ in nothing but the
//! rate; those are joined to one line. A closed loop has no rate of its own choice, and so no point.

use crate::number::Unit;
use crate::page::chart::{Axis, Chart, Dash, Line, Look, Mark};
use crate::page::markup::{Cell, Markup, Table};
use crate::page::scale::Scale;
use crate::page::traces::looks;
use crate::plan::Pace;
use crate::report::{AnyReport, Source};
use crate::series::CurvePoint;

/// Points of one curve that are drawn, at most.
const POINTS_MAX: usize = 256;

const RATE: Axis = Axis { title: "acked per second", scale: Scale::Linear, unit: Unit::Count };

/// Points that belong together.
struct Curve {
    name: String,
    points: Vec<CurvePoint>,
}

/// Writes the charts, and the numbers folded below; nothing when there is less than two points.
pub(super) fn put(out: &mut Markup, sources: &[Source]) {
    let curves = curves(sources);
    if curves.iter().map(|curve| curve.points.len()).sum::<usize>() < 2 {
        return;
    }
    out.raw("<section aria-labelledby=\"curve\"><h2 id=\"curve\">Throughput and latency</h2>\n");
    Chart::put_all(&[latency(&curves), cost(&curves)], out);
    put_numbers(out, &curves);
    out.raw("</section>\n");
}

fn curves(sources: &[Source]) -> Vec<Curve> {
    let mut curves = Vec::new();
    // What a curve of runs has in common, and where it stands in `curves`.
    let mut known = Vec::new();
    for Source { name, report } in sources {
        match report {
            AnyReport::Capacity(report) => {
                curves.push(Curve { name: name.clone(), points: report.curve.clone() });
            }
            AnyReport::ColdStart(_) | AnyReport::Idle(_) | AnyReport::Storm(_) => {}
            AnyReport::Run(run) if run.plan.pace == Pace::ClosedLoop => {}
            AnyReport::Run(run) => {
                let mut common = report.plan_fields();
                common.retain(|field, _| !field.starts_with("pace") && field != "seed");
                let key = (run.scenario.clone(), run.driver.clone(), common);
                let at = known.iter().find(|(of, _)| *of == key).map(|(_, index)| *index);
                let at = at.unwrap_or_else(|| {
                    known.push((key, curves.len()));
                    curves.push(Curve { name: name.clone(), points: Vec::new() });
                    curves.len() - 1
                });
                curves[at].points.push(run.curve_point());
            }
        }
    }
    for ((_, driver, _), index) in known {
        let curve: &mut Curve = &mut curves[index];
        if curve.points.len() > 1 {
            let more = curve.points.len() - 1;
            curve.name = format!("{driver} ({} and {more} more)", curve.name);
        }
    }
    for curve in &mut curves {
        curve.points.sort_by(|a, b| a.offered_per_s.total_cmp(&b.offered_per_s));
        curve.points.truncate(POINTS_MAX);
    }
    curves
}

type Stage = (&'static str, fn(&CurvePoint) -> f64, Look, Dash);

const STAGES: [Stage; 4] = [
    ("ack p50", |point| point.ack_p50_us, looks::MIDDLE, Dash::Dotted),
    ("ack p99", |point| point.ack_p99_us, looks::ACK, Dash::Solid),
    ("ack p99.9", |point| point.ack_p999_us, looks::TAIL, Dash::Dashed),
    ("e2e p99", |point| point.e2e_p99_us, looks::E2E, Dash::Dashed),
];

fn latency(curves: &[Curve]) -> Chart {
    let alone = curves.len() == 1;
    // With several curves, more than the p99 of each would be a thicket.
    let stages = if alone { &STAGES[..] } else { &STAGES[1..2] };
    let mut lines = Vec::new();
    let mut legend = Vec::new();
    for (index, curve) in curves.iter().enumerate() {
        for (stage, value, look, dash) in stages {
            let look = if alone { look.with(*dash) } else { Look::tone(index) };
            let label = if alone { (*stage).to_owned() } else { curve.name.clone() };
            legend.push((label.clone(), look));
            lines.push(line(curve, &label, look, *value, Unit::Micros));
        }
    }
    let title = if alone { "Latency by rate" } else { "Ack p99 by rate" };
    Chart {
        id: "curve-latency".to_owned(),
        title: title.to_owned(),
        note: note(curves),
        x: RATE,
        y: Axis { title: "latency from the planned send", scale: Scale::Log, unit: Unit::Micros },
        lines,
        legend,
        band: None,
        hints: Vec::new(),
    }
}

fn cost(curves: &[Curve]) -> Chart {
    let value = |point: &CurvePoint| point.server_cpu_us_per_message.unwrap_or(f64::NAN);
    let entry = |(index, curve): (usize, &Curve)| (curve.name.clone(), Look::tone(index));
    let lines = curves
        .iter()
        .enumerate()
        .map(|(index, curve)| line(curve, &curve.name, Look::tone(index), value, Unit::Micros));
    Chart {
        id: "curve-cost".to_owned(),
        title: "Server CPU by rate".to_owned(),
        note: "CPU time of the server per acknowledged message.".to_owned(),
        x: RATE,
        y: Axis { title: "CPU per message", scale: Scale::Linear, unit: Unit::Micros },
        lines: lines.collect(),
        legend: curves.iter().enumerate().map(entry).collect(),
        band: None,
        hints: Vec::new(),
    }
}

fn line(
    curve: &Curve,
    label: &str,
    look: Look,
    value: impl Fn(&CurvePoint) -> f64,
    unit: Unit,
) -> Line {
    let at = |point: &CurvePoint| (point.acked_per_s, value(point));
    let mark = |point: &CurvePoint| Mark {
        at: at(point),
        hollow: !point.valid,
        hint: format!(
            "{label}: {} at {}/s{}",
            unit.full(value(point)),
            Unit::Count.full(point.acked_per_s),
            if point.valid { "" } else { " (no evidence)" }
        ),
    };
    Line {
        label: label.to_owned(),
        look,
        points: curve.points.iter().map(at).collect(),
        marks: curve.points.iter().map(mark).collect(),
    }
}

fn note(curves: &[Curve]) -> String {
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let mut note = String::new();
    let best =
        all().filter(|point| point.valid).max_by(|a, b| a.acked_per_s.total_cmp(&b.acked_per_s));
    if let (Some(best), [_]) = (best, curves) {
        note = format!(
            "Highest rate that is evidence: {}/s, with an ack p99 of {}.",
            Unit::Count.full(best.acked_per_s),
            Unit::Micros.full(best.ack_p99_us)
        );
    }
    if all().any(|point| !point.valid) {
        note.push_str(" Rings are points that are no evidence.");
    }
    note.trim_start().to_owned()
}

fn put_numbers(out: &mut Markup, curves: &[Curve]) {
    let head = [
        "curve",
        "offered/s",
        "acked/s",
        "ack p50",
        "ack p99",
        "ack p99.9",
        "e2e p99",
        "server CPU per message",
        "evidence",
    ];
    let rows = curves
        .iter()
        .flat_map(|curve| curve.points.iter().map(move |point| (curve, point)))
        .map(|(curve, point)| -> Vec<Cell> {
            vec![
                curve.name.clone().into(),
                Unit::Count.full(point.offered_per_s).into(),
                Unit::Count.full(point.acked_per_s).into(),
                Unit::Micros.full(point.ack_p50_us).into(),
                Unit::Micros.full(point.ack_p99_us).into(),
                Unit::Micros.full(point.ack_p999_us).into(),
                Unit::Micros.full(point.e2e_p99_us).into(),
                Unit::Micros.full(point.server_cpu_us_per_message.unwrap_or(f64::NAN)).into(),
                if point.valid { "yes".into() } else { Cell::alarming("no".to_owned()) },
            ]
        })
        .collect();
    let name = "Numbers of the curve";
    Table { name, head: head.map(str::to_owned).to_vec(), rows }.put_folded(out, name);
}
