//! What may be compared: the same plan on the same machine, and only evidence.

use std::collections::BTreeSet;

use crate::probe::Machine;
use crate::report::{AnyReport, EXIT_OK, Source};

/// Orders the schedule; another one is the same experiment once more.
const SEED: &str = "seed";

/// Why the sides should not be compared; empty when they may. Everything is held against the first
/// result of side A.
pub(super) fn objections(a: &[Source], b: &[Source]) -> Vec<String> {
    let (Some(first), false) = (a.first(), b.is_empty()) else {
        return vec!["both sides need a result".to_owned()];
    };
    let mut objections = Vec::new();
    for source in a.iter().chain(b) {
        let verdict = source.report.verdict();
        if verdict.exit_code != EXIT_OK {
            let reason = verdict.failures.iter().chain(&verdict.doubts).next();
            let reason = reason.map_or("its verdict is not ok", String::as_str);
            objections.push(format!("{} is no evidence: {reason}", source.name));
        }
    }
    for other in a.iter().chain(b).skip(1) {
        let mut differ = |what: &str, differences: Vec<String>| {
            if !differences.is_empty() {
                objections.push(format!(
                    "{what} of {} and {} differ: {}",
                    first.name,
                    other.name,
                    differences.join("; ")
                ));
            }
        };
        differ("plans", plan_differences(&first.report, &other.report));
        differ("machines", machine_differences(first.report.machine(), other.report.machine()));
    }
    objections
}

/// What is no objection and should be known.
pub(super) fn notes(a: &[Source], b: &[Source]) -> Vec<String> {
    let mut notes = Vec::new();
    let runs = |side: &[Source]| -> Vec<(u64, u32)> {
        let runs = side.iter().filter_map(|source| match &source.report {
            AnyReport::Run(run) => Some((run.started_unix_s, run.run)),
            _ => None,
        });
        runs.collect()
    };
    if runs(a).iter().any(|run| runs(b).contains(run)) {
        notes.push("one run is on both sides".to_owned());
    }
    let generators: BTreeSet<&str> = a.iter().chain(b).filter_map(generator).collect();
    if generators.len() > 1 {
        let generators: Vec<_> = generators.into_iter().collect();
        notes.push(format!("the generators are {}", generators.join(" and ")));
    }
    let changed = a.iter().chain(b);
    let changed = changed.filter(|source| source.report.machine().revision.ends_with('+'));
    let changed: Vec<&str> = changed.map(|source| source.name.as_str()).collect();
    if !changed.is_empty() {
        notes.push(format!("run with changes that are not committed: {}", changed.join(", ")));
    }
    if let ([_], [_]) = (a, b) {
        notes.push(
            "one run a side shows what differs within runs, not between them: take several, in \
             turns"
                .to_owned(),
        );
    }
    notes
}

fn generator(source: &Source) -> Option<&str> {
    match &source.report {
        AnyReport::Capacity(report) => Some(&report.generator),
        AnyReport::ColdStart(report) => Some(&report.generator),
        AnyReport::Idle(_) => None,
        AnyReport::Run(run) => Some(&run.generator),
        AnyReport::Storm(report) => Some(&report.generator),
    }
}

fn plan_differences(a: &AnyReport, b: &AnyReport) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, in_a, in_b) in
        [("scenario", a.scenario(), b.scenario()), ("driver", a.driver(), b.driver())]
    {
        if in_a != in_b {
            differences.push(format!("{name} is {in_a} and {in_b}"));
        }
    }
    let (in_a, in_b) = (a.plan_fields(), b.plan_fields());
    let names: BTreeSet<&String> = in_a.keys().chain(in_b.keys()).collect();
    for name in names.into_iter().filter(|name| *name != SEED) {
        if in_a.get(name) != in_b.get(name) {
            let value = |side: Option<&String>| side.map_or("absent", String::as_str).to_owned();
            let (in_a, in_b) = (value(in_a.get(name)), value(in_b.get(name)));
            differences.push(format!("{name} is {in_a} and {in_b}"));
        }
    }
    differences
}

/// The revision is left out: it is what a comparison is about.
fn machine_differences(a: &Machine, b: &Machine) -> Vec<String> {
    let texts = |machine: &Machine| {
        [
            ("cpu", machine.cpu.clone()),
            ("cores", machine.cores.to_string()),
            ("memory_bytes", machine.memory_bytes.to_string()),
            ("kernel", machine.kernel.clone()),
            ("file_system", machine.file_system.clone()),
        ]
    };
    texts(a)
        .into_iter()
        .zip(texts(b))
        // What a run was not told is unknown, and so no difference.
        .filter(|((_, in_a), (_, in_b))| in_a != in_b && !in_a.is_empty() && !in_b.is_empty())
        .map(|((name, in_a), (_, in_b))| format!("{name} is {in_a} and {in_b}"))
        .collect()
}
