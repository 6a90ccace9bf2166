//! The page about results: whole by itself, escaped, and complete for every kind of result.

use std::fs;
use std::path::Path;

use hongyan_loadtest::page::{REPORTS_MAX, ReportArgs, render, report, write_html};
use hongyan_loadtest::report::{AnyReport, EXIT_FAILED, RunReport, Source, Verdict};
use serde_json::{Value, json};

use crate::sample::{Shape, capacity, cold_start, idle, storm};

/// Pages to look at stay in the target folder.
fn keep(name: &str, sources: &[Source]) -> String {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = dir.join(name);
    write_html(sources, &path).unwrap();
    fs::read_to_string(path).unwrap()
}

/// Every tag that is opened is closed, in order; the parser knows no more of HTML than that.
fn check_nesting(html: &str) {
    const VOID: [&str; 4] = ["!DOCTYPE", "meta", "link", "br"];
    let mut open: Vec<&str> = Vec::new();
    for part in html.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap();
        let name = tag.split([' ', '\n', '/']).find(|name| !name.is_empty()).unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed by </{name}>");
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

/// Values of an attribute.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let opening = format!(" {attribute}=\"");
    html.split(&opening).skip(1).map(|piece| piece.split('"').next().unwrap()).collect()
}

fn check(html: &str) {
    check_nesting(html);
    for absent in ["<script", "http://", "https://", "@import", "url(", "NaN", "inf "] {
        assert!(!html.contains(absent), "{absent} is on the page");
    }
    let mut ids = values(html, "id");
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id stands twice");
    for reference in values(html, "aria-labelledby") {
        for id in reference.split(' ') {
            assert!(ids.binary_search(&id).is_ok(), "{id} is named and absent");
        }
    }
    let drawings = html.matches("role=\"img\"").count();
    assert_eq!(html.matches("<desc ").count(), drawings);
}

#[test]
fn one_run_is_shown_with_everything_it_has() {
    let html = keep("report-one.html", &[Shape::default().source("durable-20k")]);
    check(&html);
    for part in [
        "<h1>direct on hongyan</h1>",
        "verdict: ok",
        "f2222b7d1c0a with changes that are not committed",
        "AMD EPYC 9B14 (2 cores, 23 GiB), Linux 6.18.5, data on ext4",
        "<span>hongyan-loadtest direct</span> <span>--warmup 5</span> <span>--seconds 30</span>",
        "<span>--rate 20000</span> <span>--driver hongyan</span>",
        "width=device-width",
        "prefers-color-scheme: dark",
        "id=\"spectrum-all-h\"",
        "id=\"over-time-rate-h\"",
        "id=\"over-time-latency-h\"",
        "id=\"over-time-cpu-h\"",
        "id=\"over-time-memory-h\"",
        ">warm-up</text>",
        "ack, uncorrected",
        "Numbers of the spectrum",
        "Numbers over time: durable-20k",
        "acked and never arrived",
        ">p99.99</th>",
    ] {
        assert!(html.contains(part), "{part} is not on the page");
    }
    assert!(!html.contains("id=\"curve\""), "one point makes no curve");
}

#[test]
fn several_rates_make_a_curve_and_share_the_charts() {
    let runs: Vec<Source> = [(5e3, 310.0), (10e3, 400.0), (20e3, 620.0), (30e3, 1_100.0)]
        .into_iter()
        .enumerate()
        .map(|(nth, (rate, p50_us))| {
            let shape = Shape { seed: nth as u64, rate: Some(rate), p50_us, ..Shape::default() };
            shape.source(&format!("at-{rate}"))
        })
        .collect();
    let html = keep("report-rates.html", &runs);
    check(&html);
    assert!(html.contains("<h1>direct on hongyan: 4 results</h1>"));
    for id in ["curve-latency-h", "curve-cost-h", "spectrum-ack-h", "spectrum-e2e-h"] {
        assert!(html.contains(&format!("id=\"{id}\"")), "{id}");
    }
    assert!(html.contains("Highest rate that is evidence: 30,000/s"));
    let closed = Shape { rate: None, ..Shape::default() };
    let repeated = keep("report-closed.html", &[closed.source("one"), closed.source("two")]);
    check(&repeated);
    assert!(!repeated.contains("id=\"curve\""), "a repeated closed loop makes no curve");
}

#[test]
fn other_kinds_of_results_have_their_own_charts() {
    let html = keep("report-kinds.html", &[capacity("search"), idle("18k-idle")]);
    check(&html);
    assert!(html.contains("Rings are points that are no evidence."));
    assert!(html.contains("mark t0 ring"));
    assert!(html.contains("id=\"idle-memory-h\""));
    check(&keep("report-idle.html", &[idle("18k-idle")]));
    check(&keep("report-capacity.html", &[capacity("search")]));
}

#[test]
fn storms_and_cold_starts_are_drawn_over_time_and_by_percentile() {
    let storm_page = keep("report-storm.html", &[storm("storm")]);
    let cold_page = keep("report-cold-start.html", &[cold_start("cold")]);
    for (html, part) in [(&storm_page, "sign-ins"), (&cold_page, "starts")] {
        check(html);
        let rate = format!("per second over seconds since the first one. {part}: ");
        for part in [
            "id=\"pulse-rate-h\"",
            "id=\"pulse-time-h\"",
            "id=\"pulse-cpu-h\"",
            "id=\"spectrum-all-h\"",
            &rate,
        ] {
            assert!(html.contains(part), "{part} is not on the page");
        }
    }
    for part in ["sign-in, from the plan", "10,000 sessions", "back 2"] {
        assert!(storm_page.contains(part), "{part} is not on the page");
    }
    // A line breaks between waves.
    let chart = storm_page.split("id=\"pulse-rate-h\"").nth(1).unwrap();
    let drawing = chart.split("<svg class=\"wide\"").nth(1).unwrap();
    let path = drawing.split("class=\"line t0\" d=\"").nth(1).unwrap();
    let path = path.split('"').next().unwrap();
    assert_eq!(path.matches('M').count(), 3, "{path}");
    let both = [storm("one"), storm("two"), cold_start("cold"), Shape::default().source("run")];
    let html = keep("report-storms.html", &both);
    check(&html);
    assert!(html.contains("id=\"spectrum-others-h\"") && html.contains("sign-in p99: one"));
}

#[test]
fn what_went_wrong_is_shown_first_and_in_words() {
    let mut run = Shape::default().report();
    run.outcome.findings.lost = 3;
    run.outcome.refusals.insert(500, 12);
    run.outcome.broken = (0..30).map(|nth| format!("connection {nth}: reset")).collect();
    run.verdict = Verdict::of(&run.plan, &run.outcome);
    assert_eq!(run.verdict.exit_code, EXIT_FAILED);
    let report = AnyReport::Run(Box::new(run));
    let html = keep("report-failed.html", &[Source { name: "bad".to_owned(), report }]);
    check(&html);
    assert!(html.contains("the product failed"));
    assert!(html.contains("<li>3 acknowledged messages never arrived</li>"));
    assert!(html.contains("acked and never arrived</th><td class=\"alarm\">3</td>"));
    assert!(html.contains("<li>connection 19: reset</li><li>and 10 more</li>"));
}

/// Puts `text` into every string of a result but its scenario, which says what it is.
fn poison(value: &mut Value, text: &str) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| poison(value, text)),
        Value::Object(fields) => {
            for (name, value) in fields {
                let choices = ["scenario", "level", "receipts", "mode", "until", "transport"];
                if !choices.contains(&name.as_str()) {
                    poison(value, text);
                }
            }
        }
        Value::String(old) => text.clone_into(old),
        _ => {}
    }
}

#[test]
fn nothing_in_a_result_becomes_markup() {
    let bad = "</title><img src=x onerror=alert(1)>\"' onload='&\u{0}";
    let mut run = Shape::default().report();
    run.outcome.broken = vec![String::new()];
    run.verdict = Verdict::of(&run.plan, &run.outcome);
    let others = [idle(""), capacity(""), storm(""), cold_start("")];
    let others = others.map(|source| source.report);
    let mut list = json!([vec![json!(run)], others.map(|report| json!(report)).to_vec()].concat());
    poison(&mut list, bad);
    let parsed = list.as_array().unwrap().iter().map(|value| Source {
        name: bad.to_owned(),
        report: AnyReport::from_json(value.clone(), Path::new("x.json")).unwrap(),
    });
    let sources: Vec<Source> = parsed.collect();
    let alone = sources.iter().map(std::slice::from_ref);
    for sources in alone.chain([&sources[..]]) {
        let html = render(sources);
        check(&html);
        assert!(html.contains("&lt;img src=x"));
        assert!(!html.contains("<img") && !html.contains("' onload") && !html.contains('\u{0}'));
    }
}

#[test]
fn a_result_of_an_older_program_is_shown_without_charts() {
    let mut value = serde_json::to_value(Shape::default().report()).unwrap();
    let outcome = value["outcome"].as_object_mut().unwrap();
    for newer in ["timeline", "ack_spectrum", "e2e_spectrum", "service_latency"] {
        assert!(outcome.remove(newer).is_some(), "{newer}");
    }
    let run: RunReport = serde_json::from_value(value).unwrap();
    assert!(run.outcome.timeline.is_empty());
    let report = AnyReport::Run(Box::new(run));
    let html = render(&[Source { name: "old".to_owned(), report }]);
    check(&html);
    assert!(html.contains("Rate and CPU") && !html.contains("Over time"));
}

#[test]
fn the_subcommand_reads_lists_and_refuses_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let (many, page) = (dir.path().join("many.json"), dir.path().join("page.html"));
    let run = Shape::default().report();
    fs::write(&many, json!([run, run]).to_string()).unwrap();
    let args =
        |copies: usize| ReportArgs { results: vec![many.clone(); copies], output: page.clone() };
    assert_eq!(report(&args(1)).unwrap(), 0);
    assert!(fs::read_to_string(&page).unwrap().contains("many #2"));
    let error = report(&args(REPORTS_MAX / 2 + 1)).unwrap_err().to_string();
    assert!(error.contains("1 to 16 results"), "{error}");
    fs::write(&many, "{}").unwrap();
    assert!(report(&args(1)).unwrap_err().to_string().contains("many.json"));
}
