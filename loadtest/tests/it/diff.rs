//! Better, worse or noise: by what rule, with which exit code, and what is not compared at all.

use std::fs;
use std::path::{Path, PathBuf};

use hongyan_loadtest::cli::{Cli, Command, run};
use hongyan_loadtest::diff::{Comparison, Judgement};
use hongyan_loadtest::report::{
    AnyReport, EXIT_FAILED, EXIT_NOT_EVIDENCE, EXIT_OK, RunReport, Source, Verdict,
};

use clap::Parser as _;

use crate::sample::{Shape, capacity, idle};

fn judgement(comparison: &Comparison, figure: &str) -> Judgement {
    let row = comparison.rows.iter().find(|row| row.figure == figure);
    row.unwrap_or_else(|| panic!("{figure} is not in {comparison}")).judgement
}

fn source(name: &str, report: RunReport) -> Source {
    Source { name: name.to_owned(), report: AnyReport::Run(Box::new(report)) }
}

/// A closed loop, whose rate is the server's to choose.
const CLOSED: Shape = Shape { seed: 1, rate: None, cpu_us: 9.5, p50_us: 620.0, seconds: 30 };

fn compare(a: Shape, b: Shape) -> Comparison {
    Comparison::of(&[a.source("a")], &[b.source("b")], false)
}

#[test]
fn the_same_build_twice_is_noise() {
    for seed in 2..30 {
        let comparison = compare(CLOSED, Shape { seed, ..CLOSED });
        assert_eq!(comparison.exit_code, EXIT_OK, "{comparison}");
        assert_eq!(comparison.count(Judgement::Noise), comparison.rows.len(), "{comparison}");
    }
}

#[test]
fn a_dearer_message_is_worse_and_a_cheaper_one_better() {
    let dear = Shape { seed: 2, cpu_us: 10.5, ..CLOSED };
    let worse = compare(CLOSED, dear);
    assert_eq!(judgement(&worse, "server CPU per message"), Judgement::Worse, "{worse}");
    assert_eq!(judgement(&worse, "acked per second"), Judgement::Noise, "{worse}");
    assert_eq!((worse.exit_code, worse.count(Judgement::Worse)), (EXIT_FAILED, 1));
    let better = compare(dear, CLOSED);
    assert_eq!(judgement(&better, "server CPU per message"), Judgement::Better, "{better}");
    assert_eq!((better.exit_code, better.count(Judgement::Better)), (EXIT_OK, 1));
}

#[test]
fn a_change_below_its_threshold_is_noise_however_sure() {
    let long = Shape { seconds: 600, ..CLOSED };
    let slightly = Shape { seed: 2, cpu_us: 9.6, ..long };
    let comparison = compare(long, slightly);
    assert_eq!(judgement(&comparison, "server CPU per message"), Judgement::Noise, "{comparison}");
    let row = comparison.rows.iter().find(|row| row.figure == "server CPU per message").unwrap();
    assert!(row.rule.contains("chance 0.00 % over 600 + 600 ticks"), "{}", row.rule);
}

#[test]
fn a_stall_in_one_second_is_noise_for_figures_with_ticks() {
    let mut stalled = Shape { seed: 2, ..CLOSED }.report();
    stalled.outcome.ack_latency.p99_us *= 3.0;
    stalled.outcome.timeline[20].ack_p99_us *= 100.0;
    let comparison = Comparison::of(&[CLOSED.source("a")], &[source("b", stalled)], false);
    assert_eq!(judgement(&comparison, "ack p99"), Judgement::Noise, "{comparison}");
}

#[test]
fn a_far_percentile_may_stray_as_far_as_ticks_do() {
    let slower = |mut run: RunReport| {
        run.outcome.ack_latency.p999_us *= 2.0;
        source("b", run)
    };
    let calm = |shape: Shape| {
        let mut run = shape.report();
        run.outcome.timeline.iter_mut().for_each(|tick| tick.ack_p99_us = 2_000.0);
        run
    };
    // Both sides have a second that is nine times as slow as the others.
    let b = [slower(Shape { seed: 2, ..CLOSED }.report())];
    let stalled = Comparison::of(&[CLOSED.source("a")], &b, false);
    assert_eq!(judgement(&stalled, "ack p99.9"), Judgement::Noise, "{stalled}");
    assert!(
        stalled.to_string().contains("twice as far as the p99 of single ticks strays"),
        "{stalled}"
    );
    // A stall on one side only is no excuse.
    let steady = Comparison::of(&[source("a", calm(CLOSED))], &b, false);
    assert_eq!(judgement(&steady, "ack p99.9"), Judgement::Worse, "{steady}");
}

#[test]
fn without_ticks_the_threshold_decides() {
    let bare = |shape: Shape| {
        let mut report = shape.report();
        report.outcome.timeline.clear();
        report
    };
    let mut slower = bare(Shape { seed: 2, ..CLOSED });
    slower.outcome.acked_per_s *= 0.93;
    slower.outcome.costs.server_cpu_us_per_message = Some(10.2);
    slower.outcome.costs.messages_per_sync = Some(120.0);
    slower.outcome.costs.device_written_bytes_per_message = None;
    let a = [source("a", bare(CLOSED))];
    let comparison = Comparison::of(&a, &[source("b", slower)], false);
    assert_eq!(judgement(&comparison, "acked per second"), Judgement::Worse);
    assert_eq!(judgement(&comparison, "server CPU per message"), Judgement::Noise);
    assert_eq!(judgement(&comparison, "messages per sync"), Judgement::Better);
    assert_eq!(judgement(&comparison, "written per message"), Judgement::Absent);
    assert!(
        comparison.to_string().contains("needs 6 %, because 0 + 0 ticks are too few to test"),
        "{comparison}"
    );
}

#[test]
fn runs_that_overlap_are_noise() {
    let side = |cpus: [f64; 3], first: u64| -> Vec<Source> {
        let shapes = cpus.into_iter().zip(first..);
        shapes.map(|(cpu_us, seed)| Shape { seed, cpu_us, ..CLOSED }.source("run")).collect()
    };
    let a = side([9.0, 9.1, 10.6], 1);
    let overlapping = Comparison::of(&a, &side([10.4, 10.5, 10.6], 10), false);
    assert_eq!(judgement(&overlapping, "server CPU per message"), Judgement::Noise);
    let apart = Comparison::of(&a, &side([11.4, 11.5, 11.6], 10), false);
    assert_eq!(judgement(&apart, "server CPU per message"), Judgement::Worse, "{apart}");
}

#[test]
fn a_broken_promise_is_always_worse() {
    let mut broken = Shape { seed: 2, ..CLOSED }.report();
    broken.outcome.findings.lost = 1;
    broken.verdict = Verdict::of(&broken.plan, &broken.outcome);
    let (a, b) = ([CLOSED.source("a")], [source("b", broken)]);
    let refused = Comparison::of(&a, &b, false);
    assert_eq!((refused.exit_code, refused.rows.len()), (EXIT_NOT_EVIDENCE, 0));
    assert!(refused.objections[0].contains("acknowledged messages never arrived"), "{refused}");
    let anyway = Comparison::of(&a, &b, true);
    assert_eq!(judgement(&anyway, "broken promises"), Judgement::Worse);
    assert_eq!(anyway.exit_code, EXIT_FAILED);
}

#[test]
fn other_plans_and_machines_are_named_and_refused() {
    type Change = fn(&mut RunReport);
    let changes: [(Change, &str); 5] = [
        (|run| run.plan.window = 32, "window is 64 and 32"),
        (|run| run.driver = "null relay".to_owned(), "driver is hongyan and null relay"),
        (|run| run.machine.cores = 4, "cores is 2 and 4"),
        (|run| run.machine.file_system = "tmpfs".to_owned(), "file_system is ext4 and tmpfs"),
        (|run| run.verdict.exit_code = EXIT_NOT_EVIDENCE, "b is no evidence"),
    ];
    for (change, reason) in changes {
        let mut other = Shape { seed: 2, ..CLOSED }.report();
        change(&mut other);
        let (a, b) = ([CLOSED.source("a")], [source("b", other)]);
        let refused = Comparison::of(&a, &b, false);
        assert_eq!(refused.exit_code, EXIT_NOT_EVIDENCE);
        assert!(refused.to_string().contains(reason), "{reason} is not in {refused}");
        let anyway = Comparison::of(&a, &b, true);
        assert_eq!(anyway.exit_code, EXIT_OK, "{anyway}");
        assert!(anyway.to_string().contains(reason), "{reason} is not in {anyway}");
    }
    let mut same = Shape { seed: 2, ..CLOSED }.report();
    same.plan.seed = 99;
    same.machine.revision = "0123456789ab".to_owned();
    same.machine.file_system = String::new();
    let comparison = Comparison::of(&[CLOSED.source("a")], &[source("b", same)], false);
    assert_eq!(comparison.objections, Vec::<String>::new());
    assert_eq!(comparison.notes[0], "run with changes that are not committed: a");
}

#[test]
fn searches_and_idle_sessions_are_compared_by_their_own_figures() {
    let searches = Comparison::of(&[capacity("a")], &[capacity("b")], false);
    assert_eq!(judgement(&searches, "highest rate"), Judgement::Noise);
    let sessions = Comparison::of(&[idle("a")], &[idle("b")], false);
    assert_eq!(judgement(&sessions, "memory per session"), Judgement::Noise);
    let mixed = Comparison::of(&[idle("a")], &[capacity("b")], true);
    assert_eq!(mixed.exit_code, EXIT_NOT_EVIDENCE, "{mixed}");
}

struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn put(&self, name: &str, report: &RunReport) -> String {
        let path = self.path(name);
        fs::write(&path, serde_json::to_string(report).unwrap()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn command(words: &[&str]) -> Result<Command, clap::Error> {
    let words = ["hongyan-loadtest", "diff"].iter().chain(words);
    Ok(Cli::try_parse_from(words)?.command)
}

#[test]
fn exit_codes_of_the_subcommand_are_fixed() {
    let files = Files { dir: tempfile::tempdir().unwrap() };
    let a = files.put("a.json", &CLOSED.report());
    let same = files.put("same.json", &Shape { seed: 2, ..CLOSED }.report());
    let worse = files.put("worse.json", &Shape { seed: 3, cpu_us: 12.0, ..CLOSED }.report());
    let mut report = Shape { seed: 4, ..CLOSED }.report();
    report.plan.bytes = 1_024;
    let other = files.put("other.json", &report);
    let json = files.path("diff.json");
    let json = json.to_str().unwrap();
    for (words, code) in [
        (vec![a.as_str(), &same, "--json", json], EXIT_OK),
        (vec![&a, &worse], EXIT_FAILED),
        (vec![&worse, &a], EXIT_OK),
        (vec![&a, &other], EXIT_NOT_EVIDENCE),
        (vec![&a, &other, "--anyway"], EXIT_OK),
        (vec![&a, "absent.json"], EXIT_NOT_EVIDENCE),
        (vec!["--a", &a, "--a", &same, "--b", &worse], EXIT_FAILED),
    ] {
        assert_eq!(run(&command(&words).unwrap()).unwrap(), code, "{words:?}");
    }
    let written = fs::read_to_string(Path::new(json)).unwrap();
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(
        (&written["exit_code"], &written["rows"][0]["judgement"]),
        (&0.into(), &"noise".into())
    );
    for words in
        [&[][..], &["a"], &["a", "b", "c"], &["--a", "a"], &["a", "b", "--a", "c", "--b", "d"]]
    {
        assert!(command(words).is_err(), "{words:?}");
    }
}
