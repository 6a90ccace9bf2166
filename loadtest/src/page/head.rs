//! What was run, where, what to make of it, and how to ask for it again.

use std::collections::BTreeMap;

use crate::number::Unit;
use crate::page::chart::TONES;
use crate::page::markup::{Cell, Escaped, Markup, Table};
use crate::plan::{Pace, Plan, Stop};
use crate::probe::Machine;
use crate::report::{AnyReport, EXIT_FAILED, EXIT_OK, Source, Verdict};

/// What is said about a result.
#[derive(Debug, Clone, Default, PartialEq)]
struct About {
    /// Names, and what is said under them.
    facts: Vec<(&'static str, String)>,
    command: Option<String>,
    plan: BTreeMap<String, String>,
}

/// Writes the headline, what all results share, and a card for each.
pub(super) fn put(out: &mut Markup, sources: &[Source]) {
    let mut abouts: Vec<About> = sources.iter().map(About::of).collect();
    let mut shared = About::take_shared(&mut abouts);
    // The headline says it.
    shared.facts.retain(|(name, _)| *name != "what");
    out.raw("<header>\n<p class=\"kicker\">hongyan-loadtest</p>");
    writeln!(out, "<h1>{}</h1>", Escaped(&title(sources)));
    if let [only] = abouts.as_mut_slice() {
        only.facts.retain(|(name, _)| *name != "what");
    } else {
        shared.put(out, "the results");
    }
    out.raw("</header>\n<section class=\"cards\" aria-label=\"What was run\">\n");
    for (index, (source, about)) in sources.iter().zip(&abouts).enumerate() {
        put_card(out, source, about, (sources.len() > 1).then_some(index));
    }
    out.raw("</section>\n");
}

/// The page in a few words.
pub(super) fn title(sources: &[Source]) -> String {
    match sources {
        [only] => what(&only.report),
        [first, rest @ ..]
            if rest.iter().all(|other| what(&other.report) == what(&first.report)) =>
        {
            format!("{}: {} results", what(&first.report), sources.len())
        }
        _ => format!("{} results", sources.len()),
    }
}

fn what(report: &AnyReport) -> String {
    match (report.scenario(), report.driver()) {
        (scenario, "") => scenario.to_owned(),
        (scenario, driver) => format!("{scenario} on {driver}"),
    }
}

/// When it began, in UTC.
fn moment(report: &AnyReport) -> Option<String> {
    let unix_s = match report {
        AnyReport::Capacity(report) => report.started_unix_s,
        AnyReport::ColdStart(report) => report.started_unix_s,
        AnyReport::Idle(_) => 0,
        AnyReport::Run(report) => report.started_unix_s,
        AnyReport::Storm(report) => report.started_unix_s,
    };
    let moment = jiff::Timestamp::from_second(i64::try_from(unix_s).ok()?).ok()?;
    (unix_s > 0).then(|| moment.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

fn put_card(out: &mut Markup, source: &Source, about: &About, nth: Option<usize>) {
    let Source { name, report } = source;
    let verdict = report.verdict();
    out.raw("<article class=\"card\">\n<div class=\"bar\"><h2>");
    if let Some(nth) = nth {
        write!(out, "<span class=\"dot t{}\"></span>", nth % TONES);
    }
    write!(out, "{}</h2>", Escaped(name));
    put_badge(out, &verdict);
    out.raw("</div>\n");
    if !verdict.failures.is_empty() || !verdict.doubts.is_empty() {
        out.raw("<ul class=\"reasons\">");
        for reason in verdict.failures.iter().chain(&verdict.doubts) {
            write!(out, "<li>{}</li>", Escaped(reason));
        }
        out.raw("</ul>\n");
    }
    about.put(out, name);
    out.raw("</article>\n");
}

fn put_badge(out: &mut Markup, verdict: &Verdict) {
    let (class, sign, word) = match verdict.exit_code {
        EXIT_OK => ("good", "✓", "ok"),
        EXIT_FAILED => ("bad", "✗", "the product failed"),
        _ => ("unsure", "?", "no evidence"),
    };
    write!(
        out,
        "<p class=\"badge {class}\"><span aria-hidden=\"true\">{sign}</span> verdict: {word}</p>"
    );
}

impl About {
    fn of(source: &Source) -> Self {
        let report = &source.report;
        let machine = report.machine();
        let mut facts = vec![
            ("what", what(report)),
            ("when", moment(report).unwrap_or_default()),
            ("plan", plan(report)),
            ("machine", describe(machine)),
            ("revision", revision(&machine.revision)),
        ];
        let mut command = None;
        if let AnyReport::Run(run) = report {
            facts.push(("seed", run.plan.seed.to_string()));
            facts.push(("run", format!("{:08x}, by {}", run.run, run.generator)));
            command = run.command();
        }
        facts.retain(|(_, fact)| !fact.is_empty());
        Self { facts, command, plan: report.plan_fields() }
    }

    /// Takes away from several what is the same in all, and gives it back.
    fn take_shared(abouts: &mut [Self]) -> Self {
        let [first, _, ..] = &*abouts else { return Self::default() };
        let mut shared = first.clone();
        shared.facts.retain(|fact| abouts.iter().all(|about| about.facts.contains(fact)));
        if !abouts.iter().all(|about| about.command == shared.command) {
            shared.command = None;
        }
        if !abouts.iter().all(|about| about.plan == shared.plan) {
            shared.plan.clear();
        }
        for about in abouts {
            about.facts.retain(|fact| !shared.facts.contains(fact));
            about.command = about.command.take().filter(|_| shared.command.is_none());
            if !shared.plan.is_empty() {
                about.plan.clear();
            }
        }
        shared
    }

    /// `name` tells whose plan it is.
    fn put(&self, out: &mut Markup, name: &str) {
        if !self.facts.is_empty() || self.command.is_some() {
            out.raw("<dl class=\"facts\">");
            for (name, fact) in &self.facts {
                write!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", Escaped(fact));
            }
            if let Some(command) = &self.command {
                put_command(out, command);
            }
            out.raw("</dl>\n");
        }
        let fields = self.plan.iter();
        let rows: Vec<Vec<Cell>> =
            fields.map(|(field, value)| vec![field.clone().into(), value.clone().into()]).collect();
        if !rows.is_empty() {
            let head = vec!["field".to_owned(), "value".to_owned()];
            let name = format!("Plan of {name}");
            Table { name: &name, head, rows }.put_folded(out, "Whole plan");
        }
    }
}

/// Lines break between flags, not in them.
fn put_command(out: &mut Markup, command: &str) {
    out.raw("<div class=\"command\"><dt>again</dt><dd><code>");
    for (index, flag) in command.split(" --").enumerate() {
        let dashes = if index > 0 { " <span>--" } else { "<span>" };
        write!(out, "{dashes}{}</span>", Escaped(flag));
    }
    out.raw("</code></dd></div>");
}

fn plan(report: &AnyReport) -> String {
    match report {
        AnyReport::Capacity(report) => format!("{} rates", report.curve.len()),
        AnyReport::ColdStart(report) => format!(
            "{} starts of each of {} users with {} conversations, {} of them groups, over {:?}",
            report.plan.repeats,
            report.plan.users,
            Unit::Count.full(report.plan.conversations as f64),
            report.plan.groups,
            report.transport
        ),
        AnyReport::Idle(report) => format!(
            "{} sessions in {} steps, held {} s with a heartbeat each {} s",
            Unit::Count.full(report.plan.connections as f64),
            report.plan.steps,
            report.plan.hold_s,
            report.plan.heartbeat_s
        ),
        AnyReport::Storm(report) => format!(
            "{} sessions, {} sign-ins at once, back {} times within {} ms, over {:?}",
            Unit::Count.full(report.plan.connections as f64),
            report.plan.at_once,
            report.plan.rounds,
            report.plan.spread_ms,
            report.transport
        ),
        AnyReport::Run(run) => {
            let Plan { connections, window, bytes, level, pace, stop, warmup_s, seconds, .. } =
                run.plan;
            let pace = match pace {
                Pace::ClosedLoop => "closed loop".to_owned(),
                Pace::OpenLoop { per_second } => {
                    format!("open loop at {}/s", Unit::Count.full(per_second))
                }
            };
            let stop = match stop {
                Stop::Messages { messages } => {
                    format!("{} messages", Unit::Count.full(messages as f64))
                }
                Stop::Time => format!("{seconds} s after {warmup_s} s of warm-up"),
            };
            format!(
                "{connections} connections × {window} in flight, {bytes} B, {level:?} acks, {pace}, \
                 {stop}"
            )
        }
    }
}

fn describe(machine: &Machine) -> String {
    if machine == &Machine::default() {
        return String::new();
    }
    let mut text = format!(
        "{} ({} cores, {}), Linux {}",
        machine.cpu,
        machine.cores,
        Unit::Bytes.full(machine.memory_bytes as f64),
        machine.kernel
    );
    if !machine.file_system.is_empty() {
        text.push_str(&format!(", data on {}", machine.file_system));
    }
    text
}

fn revision(revision: &str) -> String {
    match revision.strip_suffix('+') {
        Some(commit) => format!("{commit} with changes that are not committed"),
        None => revision.to_owned(),
    }
}
