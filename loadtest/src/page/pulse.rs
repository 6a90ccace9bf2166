//! Sign-ins and cold starts over time: how many, how long each took, and the CPU meanwhile.

use crate::number::Unit;
use crate::page::chart::{Axis, Chart, Dash, Look};
use crate::page::markup::{Markup, Table};
use crate::page::scale::Scale;
use crate::page::traces::{Trace, lines, looks};
use crate::pulse::{PulseTick, TICKS_MAX};
use crate::report::{AnyReport, Source};

/// Points of one line, at most; what is beyond is not drawn.
const POINTS_MAX: usize = 4 * TICKS_MAX;

const SECONDS: Axis =
    Axis { title: "seconds since the first one", scale: Scale::Linear, unit: Unit::Seconds };

/// What one result did over time.
struct Pulse<'a> {
    source: usize,
    /// What was done, in the plural.
    what: &'static str,
    waves: Vec<Wave<'a>>,
}

/// A stretch of it; the next one begins some time after its end.
struct Wave<'a> {
    name: &'a str,
    began_s: f64,
    ticks: &'a [PulseTick],
}

/// Writes the charts, and the numbers folded below; nothing when no result is of this kind.
pub(super) fn put(out: &mut Markup, sources: &[Source]) {
    let all = sources.iter().enumerate();
    let pulses: Vec<Pulse<'_>> =
        all.filter_map(|(index, source)| Pulse::of(index, &source.report)).collect();
    if pulses.is_empty() {
        return;
    }
    out.raw("<section aria-labelledby=\"pulse\"><h2 id=\"pulse\">Sign-ins and starts</h2>\n");
    let charts = [rate, time, cpu].map(|chart| chart(&pulses, sources));
    Chart::put_all(&charts, out);
    for pulse in &pulses {
        put_numbers(out, pulse, &sources[pulse.source].name);
    }
    out.raw("</section>\n");
}

impl<'a> Pulse<'a> {
    fn of(source: usize, report: &'a AnyReport) -> Option<Self> {
        let (what, waves): (_, Vec<Wave<'a>>) = match report {
            AnyReport::ColdStart(report) => {
                let ticks = report.timeline.as_slice();
                ("starts", vec![Wave { name: "", began_s: 0.0, ticks }])
            }
            AnyReport::Storm(report) => {
                let waves = report.waves.iter();
                let wave = |wave: &'a crate::scenario::connect_storm::WaveReport| {
                    let (name, ticks) = (wave.name.as_str(), wave.timeline.as_slice());
                    Wave { name, began_s: wave.began_s, ticks }
                };
                ("sign-ins", waves.map(wave).collect())
            }
            _ => return None,
        };
        waves.iter().any(|wave| !wave.ticks.is_empty()).then_some(Self { source, what, waves })
    }

    /// Every tick, with its wave and its length in seconds.
    fn ticks(&self) -> impl Iterator<Item = (&Wave<'a>, &'a PulseTick, f64)> {
        let ticks = self.waves.iter().flat_map(|wave| {
            let begins = std::iter::once(0.0).chain(wave.ticks.iter().map(|tick| tick.at_s));
            wave.ticks
                .iter()
                .zip(begins)
                .map(move |(tick, begin)| (wave, tick, tick.at_s - begin))
                .filter(|(_, _, length_s)| *length_s > 0.0)
        });
        ticks.take(POINTS_MAX)
    }

    /// A line through the middle of each tick, which breaks between waves.
    fn trace(
        &self,
        part: &'static str,
        alone: Look,
        dash: Dash,
        value: impl Fn(&PulseTick, f64) -> f64,
    ) -> Trace {
        let mut points = Vec::new();
        let mut before = None;
        for (wave, tick, length_s) in self.ticks() {
            let at_s = wave.began_s + tick.at_s - length_s / 2.0;
            if before.is_some_and(|before| before != wave.began_s.to_bits()) {
                points.push((at_s, f64::NAN));
            }
            before = Some(wave.began_s.to_bits());
            points.push((at_s, value(tick, length_s)));
        }
        Trace { source: self.source, part, alone, dash, points, marks: Vec::new() }
    }
}

fn rate(pulses: &[Pulse<'_>], sources: &[Source]) -> Chart {
    let mut traces = Vec::new();
    for pulse in pulses {
        let done = |tick: &PulseTick, length_s| tick.done as f64 / length_s;
        let part = if sources.len() == 1 { pulse.what } else { "done" };
        traces.push(pulse.trace(part, looks::ACK, Dash::Solid, done));
        if pulse.ticks().any(|(_, tick, _)| tick.refused > 0) {
            let refused = |tick: &PulseTick, length_s| tick.refused as f64 / length_s;
            traces.push(pulse.trace("refused", looks::REFUSED, Dash::Dotted, refused));
        }
    }
    let y = Axis { title: "per second", scale: Scale::Linear, unit: Unit::Count };
    chart("rate", "Rate", y, traces, pulses, sources)
}

fn time(pulses: &[Pulse<'_>], sources: &[Source]) -> Chart {
    let mut traces = Vec::new();
    for pulse in pulses {
        // A tick in which nothing was done has no time.
        let (p50, p99) = (|tick: &PulseTick, _| tick.p50_us, |tick: &PulseTick, _| tick.p99_us);
        traces.push(pulse.trace("p50", looks::MIDDLE.with(Dash::Dashed), Dash::Dashed, p50));
        traces.push(pulse.trace("p99", looks::ACK, Dash::Solid, p99));
    }
    let y = Axis { title: "time from the connect", scale: Scale::Log, unit: Unit::Micros };
    chart("time", "Time of each", y, traces, pulses, sources)
}

fn cpu(pulses: &[Pulse<'_>], sources: &[Source]) -> Chart {
    let mut traces = Vec::new();
    for pulse in pulses {
        if pulse.ticks().any(|(_, tick, _)| tick.server_cpu_cores.is_some()) {
            let server = |tick: &PulseTick, _| tick.server_cpu_cores.unwrap_or(f64::NAN);
            traces.push(pulse.trace("server", looks::ACK, Dash::Solid, server));
        }
        let generator = |tick: &PulseTick, _| tick.generator_cpu_cores;
        let look = looks::E2E.with(Dash::Dashed);
        traces.push(pulse.trace("generator", look, Dash::Dashed, generator));
    }
    let y = Axis { title: "cores in use", scale: Scale::Linear, unit: Unit::Cores };
    chart("cpu", "CPU", y, traces, pulses, sources)
}

fn chart(
    id: &str,
    title: &str,
    y: Axis,
    traces: Vec<Trace>,
    pulses: &[Pulse<'_>],
    sources: &[Source],
) -> Chart {
    let hints = match pulses {
        [only] => only.ticks().map(|(wave, tick, length_s)| hint(wave, tick, length_s)).collect(),
        _ => Vec::new(),
    };
    let (lines, legend) = lines(traces, sources);
    Chart {
        id: format!("pulse-{id}"),
        title: title.to_owned(),
        note: String::new(),
        x: SECONDS,
        y,
        lines,
        legend,
        band: None,
        hints,
    }
}

fn hint(wave: &Wave<'_>, tick: &PulseTick, length_s: f64) -> (f64, String) {
    let at_s = wave.began_s + tick.at_s - length_s / 2.0;
    let text = format!(
        "{at_s:.1} s {}: {}/s, p50 {}, p99 {}, server {} cores",
        wave.name,
        Unit::Count.full(tick.done as f64 / length_s),
        Unit::Micros.full(tick.p50_us),
        Unit::Micros.full(tick.p99_us),
        Unit::Cores.full(tick.server_cpu_cores.unwrap_or(f64::NAN)),
    );
    (at_s, text)
}

fn put_numbers(out: &mut Markup, pulse: &Pulse<'_>, name: &str) {
    let done = format!("{}/s", pulse.what);
    let head = ["seconds", "", &done, "refused/s", "p50", "p99", "server cores", "generator cores"];
    let rows = pulse
        .ticks()
        .map(|(wave, tick, length_s)| {
            let rate = |count: u64| Unit::Count.full(count as f64 / length_s).into();
            vec![
                format!("{:.1}", wave.began_s + tick.at_s).into(),
                wave.name.to_owned().into(),
                rate(tick.done),
                rate(tick.refused),
                Unit::Micros.full(tick.p50_us).into(),
                Unit::Micros.full(tick.p99_us).into(),
                Unit::Cores.full(tick.server_cpu_cores.unwrap_or(f64::NAN)).into(),
                Unit::Cores.full(tick.generator_cpu_cores).into(),
            ]
        })
        .collect();
    let head = head.map(str::to_owned).to_vec();
    let summary = format!("Numbers of {}: {name}", pulse.what);
    Table { name: &summary, head, rows }.put_folded(out, &summary);
}
