//! A run on the terminal, and its way through a file.

use hongyan_loadtest::report::RunReport;

use crate::sample::Shape;

#[test]
fn the_table_shows_far_percentiles_and_the_uncorrected_latency_beside() {
    let mut report = Shape::default().report();
    let text = report.to_string();
    let row = |name: &str| text.lines().find(|line| line.trim_start().starts_with(name));
    for name in ["ack latency", "ack uncorrected", "e2e latency", "generator late"] {
        assert!(row(name).is_some_and(|row| row.contains("p99.99 ")), "{name} in {text}");
    }
    report.outcome.service_latency.samples = 0;
    assert!(!report.to_string().contains("uncorrected"));
}

#[test]
fn a_result_survives_its_file() {
    let report = Shape::default().report();
    let json = serde_json::to_string(&report).unwrap();
    let read: RunReport = serde_json::from_str(&json).unwrap();
    assert_eq!((&read.plan, &read.machine), (&report.plan, &report.machine));
    let outcome = &read.outcome;
    assert_eq!(outcome.timeline.len(), 35);
    assert_eq!(outcome.ack_spectrum.samples(), outcome.ack_latency.samples);
    assert!(outcome.timeline[4].warming && !outcome.timeline[5].warming);
}

#[test]
fn a_run_names_the_command_that_asks_for_it_again() {
    let mut report = Shape { rate: None, ..Shape::default() }.report();
    assert_eq!(
        report.command().unwrap(),
        "hongyan-loadtest direct --warmup 5 --seconds 30 --driver hongyan --connections 200 \
         --window 64 --bytes 128 --level durable --receipts batch --drain 10 --threads 1 --seed 1"
    );
    report.scenario = "unheard-of".to_owned();
    assert_eq!(report.command(), None);
}
