//! The run second by second: rate, latency, CPU, memory.

use crate::number::Unit;
use crate::page::chart::{Axis, Chart, Dash, Look};
use crate::page::markup::{Markup, Table};
use crate::page::scale::Scale;
use crate::page::traces::{Trace, lines, looks};
use crate::report::{AnyReport, Source};
use crate::series::{Tick, with_lengths};

/// Points of one line, at most; a longer run is drawn with longer ticks.
const POINTS_MAX: usize = 240;

const SECONDS: Axis =
    Axis { title: "seconds since the first send", scale: Scale::Linear, unit: Unit::Seconds };

/// A run's ticks, few enough to draw.
struct Timeline {
    source: usize,
    ticks: Vec<Tick>,
    /// How many ticks of the run each of them stands for.
    merged: usize,
}

/// Writes the charts, and the numbers folded below; nothing when no result has ticks.
pub(super) fn put(out: &mut Markup, sources: &[Source]) {
    let timelines: Vec<Timeline> = sources
        .iter()
        .enumerate()
        .filter_map(|(source, Source { report, .. })| match report {
            AnyReport::Run(report) => Timeline::of(source, &report.outcome.timeline),
            _ => None,
        })
        .collect();
    if timelines.is_empty() {
        return;
    }
    out.raw("<section aria-labelledby=\"timeline\"><h2 id=\"timeline\">Over time</h2>\n");
    let charts = [rate, latency, cpu, memory].map(|chart| chart(&timelines, sources));
    Chart::put_all(&charts, out);
    for timeline in &timelines {
        put_numbers(out, timeline, &sources[timeline.source].name);
    }
    out.raw("</section>\n");
}

impl Timeline {
    fn of(source: usize, ticks: &[Tick]) -> Option<Self> {
        let merged = ticks.len().div_ceil(POINTS_MAX).max(1);
        let ticks: Vec<Tick> = ticks.chunks(merged).filter_map(merge).collect();
        (!ticks.is_empty()).then_some(Self { source, ticks, merged })
    }

    fn trace(
        &self,
        part: &'static str,
        alone: Look,
        dash: Dash,
        value: impl Fn(&Tick, f64) -> f64,
    ) -> Trace {
        let points = with_lengths(&self.ticks)
            .map(|(tick, length_s)| (tick.at_s, value(tick, length_s)))
            .collect();
        Trace { source: self.source, part, alone, dash, points, marks: Vec::new() }
    }

    fn warm_up_end_s(&self) -> f64 {
        self.ticks.iter().filter(|tick| tick.warming).map(|tick| tick.at_s).fold(0.0, f64::max)
    }
}

/// Several ticks as one: counts are summed, latencies and memory are the worst of them.
fn merge(ticks: &[Tick]) -> Option<Tick> {
    let mut merged = ticks.last()?.clone();
    let mean = |value: &dyn Fn(&Tick) -> Option<f64>| {
        let values: Option<Vec<f64>> = ticks.iter().map(value).collect();
        values.map(|values| values.iter().sum::<f64>() / ticks.len() as f64)
    };
    let sum = |value: fn(&Tick) -> u64| ticks.iter().map(value).sum();
    let worst = |value: fn(&Tick) -> f64| ticks.iter().map(value).fold(0.0, f64::max);
    merged.warming = ticks.iter().all(|tick| tick.warming);
    merged.offered = sum(|tick| tick.offered);
    merged.acked = sum(|tick| tick.acked);
    merged.delivered = sum(|tick| tick.delivered);
    merged.refused = sum(|tick| tick.refused);
    merged.ack_p50_us = worst(|tick| tick.ack_p50_us);
    merged.ack_p99_us = worst(|tick| tick.ack_p99_us);
    merged.server_cpu_cores = mean(&|tick| tick.server_cpu_cores);
    merged.generator_cpu_cores = mean(&|tick| Some(tick.generator_cpu_cores)).unwrap_or(0.0);
    merged.server_rss_bytes = ticks.iter().filter_map(|tick| tick.server_rss_bytes).max();
    Some(merged)
}

fn rate(timelines: &[Timeline], sources: &[Source]) -> Chart {
    let per_second =
        |count: fn(&Tick) -> u64| move |tick: &Tick, length_s| count(tick) as f64 / length_s;
    let mut traces = Vec::new();
    for timeline in timelines {
        if sources.len() == 1 {
            let offered = per_second(|tick| tick.offered);
            traces.push(timeline.trace("offered", looks::OFFERED, Dash::Dashed, offered));
            let delivered = per_second(|tick| tick.delivered);
            traces.push(timeline.trace(
                "delivered",
                looks::E2E.with(Dash::Dotted),
                Dash::Dotted,
                delivered,
            ));
        }
        traces.push(timeline.trace(
            "acked",
            looks::ACK,
            Dash::Solid,
            per_second(|tick| tick.acked),
        ));
        if timeline.ticks.iter().any(|tick| tick.refused > 0) {
            let refused = per_second(|tick| tick.refused);
            traces.push(timeline.trace("refused", looks::REFUSED, Dash::Dotted, refused));
        }
    }
    let y = Axis { title: "messages per second", scale: Scale::Linear, unit: Unit::Count };
    chart("rate", "Rate", y, traces, timelines, sources)
}

fn latency(timelines: &[Timeline], sources: &[Source]) -> Chart {
    let mut traces = Vec::new();
    for timeline in timelines {
        let (p50, p99) = (|tick: &Tick, _| tick.ack_p50_us, |tick: &Tick, _| tick.ack_p99_us);
        traces.push(timeline.trace("ack p50", looks::MIDDLE.with(Dash::Dashed), Dash::Dashed, p50));
        traces.push(timeline.trace("ack p99", looks::ACK, Dash::Solid, p99));
    }
    let y = Axis { title: "latency from the planned send", scale: Scale::Log, unit: Unit::Micros };
    chart("latency", "Ack latency", y, traces, timelines, sources)
}

fn cpu(timelines: &[Timeline], sources: &[Source]) -> Chart {
    let mut traces = Vec::new();
    for timeline in timelines {
        if timeline.ticks.iter().any(|tick| tick.server_cpu_cores.is_some()) {
            let server = |tick: &Tick, _| tick.server_cpu_cores.unwrap_or(f64::NAN);
            traces.push(timeline.trace("server", looks::ACK, Dash::Solid, server));
        }
        let generator = |tick: &Tick, _| tick.generator_cpu_cores;
        traces.push(timeline.trace(
            "generator",
            looks::E2E.with(Dash::Dashed),
            Dash::Dashed,
            generator,
        ));
    }
    let y = Axis { title: "cores in use", scale: Scale::Linear, unit: Unit::Cores };
    chart("cpu", "CPU", y, traces, timelines, sources)
}

fn memory(timelines: &[Timeline], sources: &[Source]) -> Chart {
    let mut traces = Vec::new();
    for timeline in timelines {
        if timeline.ticks.iter().any(|tick| tick.server_rss_bytes.is_some()) {
            let rss = |tick: &Tick, _| tick.server_rss_bytes.map_or(f64::NAN, |bytes| bytes as f64);
            traces.push(timeline.trace("resident", looks::ACK, Dash::Solid, rss));
        }
    }
    let y = Axis { title: "server's resident memory", scale: Scale::Linear, unit: Unit::Bytes };
    chart("memory", "Server memory", y, traces, timelines, sources)
}

fn chart(
    id: &str,
    title: &str,
    y: Axis,
    traces: Vec<Trace>,
    timelines: &[Timeline],
    sources: &[Source],
) -> Chart {
    let note = match timelines.iter().map(|timeline| timeline.merged).max() {
        Some(merged) if merged > 1 => format!(
            "Each point stands for up to {merged} ticks: rates and CPU are their mean, latency and \
             memory their worst."
        ),
        _ => String::new(),
    };
    let warm_up_s = timelines.iter().map(Timeline::warm_up_end_s).fold(f64::INFINITY, f64::min);
    let hints = match timelines {
        [only] => only.ticks.iter().map(|tick| (tick.at_s, hint(tick))).collect(),
        _ => Vec::new(),
    };
    let (lines, legend) = lines(traces, sources);
    Chart {
        id: format!("over-time-{id}"),
        title: title.to_owned(),
        note,
        x: SECONDS,
        y,
        lines,
        legend,
        band: (warm_up_s > 0.0).then_some((0.0, warm_up_s, "warm-up")),
        hints,
    }
}

fn hint(tick: &Tick) -> String {
    let mut text = format!(
        "{:.0} s: acked {}, delivered {}, ack p50 {}, p99 {}",
        tick.at_s,
        tick.acked,
        tick.delivered,
        Unit::Micros.full(tick.ack_p50_us),
        Unit::Micros.full(tick.ack_p99_us),
    );
    if let Some(cores) = tick.server_cpu_cores {
        text.push_str(&format!(", server {} cores", Unit::Cores.full(cores)));
    }
    text
}

fn put_numbers(out: &mut Markup, timeline: &Timeline, name: &str) {
    let head = [
        "seconds",
        "",
        "offered/s",
        "acked/s",
        "delivered/s",
        "refused/s",
        "ack p50",
        "ack p99",
        "server cores",
        "generator cores",
        "server memory",
    ];
    let rows = with_lengths(&timeline.ticks)
        .map(|(tick, length_s)| {
            let rate = |count: u64| Unit::Count.full(count as f64 / length_s).into();
            vec![
                format!("{:.1}", tick.at_s).into(),
                if tick.warming { "warm-up" } else { "" }.into(),
                rate(tick.offered),
                rate(tick.acked),
                rate(tick.delivered),
                rate(tick.refused),
                Unit::Micros.full(tick.ack_p50_us).into(),
                Unit::Micros.full(tick.ack_p99_us).into(),
                tick.server_cpu_cores.map_or_else(dash, |cores| Unit::Cores.full(cores)).into(),
                Unit::Cores.full(tick.generator_cpu_cores).into(),
                tick.server_rss_bytes
                    .map_or_else(dash, |bytes| Unit::Bytes.full(bytes as f64))
                    .into(),
            ]
        })
        .collect();
    let head = head.map(str::to_owned).to_vec();
    let summary = format!("Numbers over time: {name}");
    Table { name: &summary, head, rows }.put_folded(out, &summary);
}

fn dash() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_drawn_with_few_points_and_loses_no_stall() {
        let ticks: Vec<Tick> = (1..=86_400)
            .map(|second| Tick {
                at_s: f64::from(second),
                warming: second <= 10,
                acked: 100,
                ack_p99_us: if second == 5_000 { 9e6 } else { 1e3 },
                ..Tick::default()
            })
            .collect();
        let timeline = Timeline::of(0, &ticks).unwrap();
        assert!(timeline.ticks.len() <= POINTS_MAX);
        assert_eq!(timeline.ticks.iter().map(|tick| tick.acked).sum::<u64>(), 8_640_000);
        assert!(timeline.ticks.iter().any(|tick| tick.ack_p99_us == 9e6));
        assert_eq!(timeline.ticks.last().unwrap().at_s, 86_400.0);
        assert!(Timeline::of(0, &[]).is_none());
    }
}
