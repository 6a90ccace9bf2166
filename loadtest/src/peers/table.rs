//! A comparison for people: a table per class on the terminal, and the same in Markdown.
//!
//! More than 1 in a column of ratios is always to our advantage.

use std::fmt::Write as _;

use super::class::Class;
use super::contest::{Comparison, Contest, Figures, Spread, Summary};
use super::survey::Survey;

/// How a table looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For a document.
    Markdown,
    /// For a terminal.
    Text,
}

const HEAD: [&str; 10] = [
    "peer",
    "acked/s peer",
    "ours",
    "ours / peer",
    "CPU us peer",
    "ours",
    "peer / ours",
    "ack p50 / p99 ms peer",
    "ours",
    "pairs",
];

/// The whole comparison.
#[must_use]
pub fn comparison(all: &Comparison, form: Form) -> String {
    let mut text = String::new();
    heading(&mut text, all, form);
    for class in Class::ALL {
        let contests: Vec<&Contest> =
            all.contests.iter().filter(|contest| contest.class == class).collect();
        if !contests.is_empty() {
            section(&mut text, class, &contests, form);
        }
    }
    if all.contests.is_empty() {
        text.push_str("Nothing was compared.\n\n");
    }
    if !all.left_out.is_empty() {
        text.push_str(title("Left out", form).as_str());
        for left_out in &all.left_out {
            _ = writeln!(text, "- {}: {}", left_out.what, left_out.why);
        }
    }
    if all.interrupted {
        text.push_str("\nIt was interrupted: what is missing was not run.\n");
    }
    text
}

/// What is installed and what is missing.
#[must_use]
pub fn list(surveys: &[Survey]) -> String {
    let mut rows = vec![["peer", "version", "classes", "found"].map(str::to_owned).to_vec()];
    for survey in surveys {
        let classes = survey.peer.setups.iter().map(|setup| {
            let mark = if survey.too_old_for(setup).is_some() { " (too old)" } else { "" };
            format!("{}{mark}", setup.class)
        });
        let program = survey.program.as_ref().map(|path| path.display().to_string());
        let missing = Some(survey.missing.clone()).filter(|missing| !missing.is_empty());
        let found: Vec<String> = program.into_iter().chain(missing).collect();
        rows.push(vec![
            survey.peer.name.to_owned(),
            survey.version.clone(),
            classes.collect::<Vec<_>>().join(", "),
            found.join("; "),
        ]);
    }
    grid(&rows, Form::Text)
}

fn heading(text: &mut String, all: &Comparison, form: Form) {
    let machine = &all.machine;
    if form == Form::Markdown {
        let (year, month, day) = date_of(all.started_unix_s);
        _ = writeln!(text, "# Peers on {year}-{month:02}-{day:02}\n");
        _ = writeln!(text, "Command: `{}`\n", all.command);
    }
    _ = writeln!(text, "{}\n", machine.line());
    let plan = &all.plan;
    _ = writeln!(
        text,
        "{} users in a ring, {} in flight each, {} B of text; {} generator thread(s), closed loop, \
         {} s after {} s of warm-up; {} round(s) of peer, ours. Ours is hongyan {}, the generator {}.\n",
        plan.connections,
        plan.window,
        plan.bytes,
        plan.threads,
        plan.seconds,
        plan.warmup_s,
        all.rounds,
        all.ours,
        all.generator
    );
}

fn title(what: &str, form: Form) -> String {
    match form {
        Form::Markdown => format!("## {what}\n\n"),
        Form::Text => format!("{what}\n"),
    }
}

fn section(text: &mut String, class: Class, contests: &[&Contest], form: Form) {
    text.push_str(&title(&format!("Class {class}: {}", class.promise()), form));
    if form == Form::Text {
        text.push('\n');
    }
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    let mut notes = Vec::new();
    for contest in contests {
        let summary = contest.summary();
        rows.push(row(contest, &summary));
        if !contest.note.is_empty() {
            notes.push(format!("{}: {}", contest.peer, contest.note));
        }
        notes.extend(summary.reasons);
    }
    text.push_str(&grid(&rows, form));
    text.push('\n');
    for note in &notes {
        _ = writeln!(text, "- {note}");
    }
    if !notes.is_empty() {
        text.push('\n');
    }
}

fn row(contest: &Contest, summary: &Summary) -> Vec<String> {
    let Summary { peer, ours, rate_ratio, rate_ratio_least, cpu_ratio, counted, .. } = summary;
    let rate = match (rate_ratio, rate_ratio_least) {
        (Some(spread), _) => ratio(spread),
        (None, Some(least)) => format!(">= {least:.2}"),
        (None, None) => "-".to_owned(),
    };
    vec![
        format!("{} {}", contest.peer, contest.version),
        figure(peer, peer.acked_per_s, grouped),
        figure(ours, ours.acked_per_s, grouped),
        rate,
        figure(peer, peer.cpu_us, |us| format!("{us:.2}")),
        figure(ours, ours.cpu_us, |us| format!("{us:.2}")),
        cpu_ratio.as_ref().map_or_else(|| "-".to_owned(), ratio),
        latencies(peer),
        latencies(ours),
        format!("{counted} of {}", contest.pairs.len()),
    ]
}

/// `1.52 (1.40 to 1.61)`; without the range where there is none.
fn ratio(spread: &Spread) -> String {
    let Spread { median, min, max } = spread;
    if format!("{min:.2}") == format!("{max:.2}") {
        format!("{median:.2}")
    } else {
        format!("{median:.2} ({min:.2} to {max:.2})")
    }
}

/// A figure, in brackets when it is no evidence.
fn figure(of: &Figures, value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    match value {
        Some(value) if of.evidence => show(value),
        Some(value) => format!("({})", show(value)),
        None => "-".to_owned(),
    }
}

fn latencies(of: &Figures) -> String {
    let p99 = of.ack_p99_us.unwrap_or_default();
    let ms = |us: f64| us / 1_000.0;
    figure(of, of.ack_p50_us, |p50| format!("{:.2} / {:.2}", ms(p50), ms(p99)))
}

/// 74120.4 as 74,120.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Rows as a table; the first is the head.
fn grid(rows: &[Vec<String>], form: Form) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        if form == Form::Markdown {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
            _ = writeln!(text, "| {} |", cells.join(" | "));
            if index == 0 {
                _ = writeln!(text, "|{}", "---|".repeat(columns));
            }
            continue;
        }
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            _ = write!(line, "  {cell:<width$}");
        }
        _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Year, month and day of a moment (UTC); the days since 1970 counted in eras of 400 years.
fn date_of(unix_s: u64) -> (u64, u64, u64) {
    let days = unix_s / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::peers::catalog::named;
    use crate::peers::contest::Run;
    use crate::peers::contest::tests::{changed, comparison as compared, contest, run};
    use crate::peers::survey::LeftOut;

    fn sample() -> Comparison {
        let lost = changed(run(50_000.0, 9.0), |outcome| outcome.findings.lost = 7);
        let pairs = vec![
            (run(70_000.0, 12.0), run(140_000.0, 3.0)),
            (run(70_000.0, 12.0), run(210_000.0, 3.0)),
            (lost, run(1_000_000.0, 3.0)),
        ];
        let mut sample = compared(vec![contest(pairs)]);
        let (what, why) = ("rumqttd".into(), "rumqttd is not installed".into());
        sample.left_out.push(LeftOut { what, why });
        sample
    }

    #[test]
    fn the_terminal_shows_figures_ratios_reasons_and_what_is_absent() {
        let text = comparison(&sample(), Form::Text);
        for part in [
            "Class fsync: synced to the disk before the ack",
            "redis 7.0.15",
            "70,000",
            "210,000",
            "2.50 (2.00 to 3.00)",
            "12.00",
            "4.00",
            "1.50 / 20.25",
            "2 of 3",
            "- redis: appendfsync always",
            "- redis, round 3: 7 acknowledged messages never arrived",
            "- rumqttd: rumqttd is not installed",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("Class memory") && !text.contains('|'), "{text}");
    }

    #[test]
    fn markdown_is_a_document() {
        let text = comparison(&sample(), Form::Markdown);
        assert!(text.starts_with("# Peers on 2026-11-23\n\nCommand: `hongyan-loadtest peers`"));
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        let cells = |row: &str| row.matches('|').count();
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|row| cells(row) == HEAD.len() + 1), "{text}");
        assert!(text.contains("## Left out\n\n- rumqttd"), "{text}");
    }

    #[test]
    fn figures_that_are_no_evidence_stand_in_brackets() {
        let dead = Run::failed("it did not start".into());
        let busy = changed(run(90_000.0, 3.0), |outcome| {
            outcome.costs.generator_cpu_cores = 0.99;
        });
        let pairs = vec![(run(30_000.0, 9.0), busy.clone())];
        let text = comparison(&compared(vec![contest(pairs)]), Form::Text);
        assert!(text.contains("(90,000)") && text.contains(">= 3.00"), "{text}");
        let pairs = vec![(dead, busy)];
        let text = comparison(&compared(vec![contest(pairs)]), Form::Text);
        assert!(text.contains("0 of 1") && text.contains("it did not start"), "{text}");
        let text = comparison(&compared(Vec::new()), Form::Text);
        assert!(text.contains("Nothing was compared"), "{text}");
    }

    #[test]
    fn the_list_says_what_is_missing() {
        let peer = named("nats").unwrap();
        let found = Survey {
            peer,
            program: Some(PathBuf::from("bin/nats-server")),
            version: "2.9.10".into(),
            missing: String::new(),
        };
        let absent = Survey {
            program: None,
            version: "?".into(),
            missing: "it is not installed".into(),
            ..found.clone()
        };
        let text = list(&[found, absent]);
        assert!(text.contains("kill, fsync (too old)  bin/nats-server"), "{text}");
        assert!(text.contains("it is not installed"), "{text}");
    }
}
