//! The figures as a page for people.

use std::fmt::{self, Display, Formatter};

use hongyan_loadtest::probe::Machine;

use super::{Better, Mark, Part};
use crate::sheet::date_of;

/// See the module.
#[derive(Debug)]
pub struct Page {
    /// When the run began, in seconds since 1970.
    pub began_unix_s: u64,
    /// The command that made it.
    pub command: String,
    /// Where it ran.
    pub machine: Machine,
    /// What was measured.
    pub parts: Vec<Part>,
    /// What could not be, and why.
    pub failed: Vec<String>,
}

impl Page {
    /// Whether everything was measured, is evidence, and is reached.
    #[must_use]
    pub fn all_reached(&self) -> bool {
        let reached = |part: &Part| matches!(part.mark(), Mark::Dream | Mark::Reached);
        self.failed.is_empty() && self.parts.iter().all(reached)
    }
}

impl Display for Page {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date_of(self.began_unix_s);
        writeln!(f, "# Figures of {year}-{month:02}-{day:02}\n\nCommand: `{}`\n", self.command)?;
        writeln!(
            f,
            "{}\n\nThe middle of the runs counts; all are below. *Reach* and *dream* are those of \
             [PERFORMANCE.md](../PERFORMANCE.md).\n",
            self.machine.line()
        )?;
        writeln!(f, "| # | figure | reach | dream | measured | |\n|---|---|---|---|---|---|")?;
        for part in &self.parts {
            let sign = if part.better == Better::Less { "<=" } else { ">=" };
            writeln!(
                f,
                "| {} | {} | {sign} {} | {sign} {} | {} | {} |",
                part.row,
                part.what,
                number(part.reach),
                number(part.dream),
                part.median().map_or_else(|| "-".to_owned(), number),
                part.mark().name()
            )?;
        }
        for failed in &self.failed {
            writeln!(f, "\nNot measured: {failed}")?;
        }
        writeln!(f, "\n## The runs\n")?;
        self.parts.iter().try_for_each(|part| runs(f, part))
    }
}

fn runs(f: &mut Formatter<'_>, part: &Part) -> fmt::Result {
    writeln!(f, "- **{}**, {}. `{}`", part.row, part.what, part.command)?;
    for (index, value) in part.values.iter().enumerate() {
        let beside = part.beside.get(index).map_or("", String::as_str);
        let colon = if beside.is_empty() { "" } else { ": " };
        writeln!(f, "  - {}{colon}{beside}", number(*value))?;
    }
    part.doubts.iter().try_for_each(|doubt| writeln!(f, "  - no evidence: {doubt}"))
}

/// Three digits that mean something, and thousands in groups.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => {
            let digits = format!("{:.0}", value.abs());
            let mut out = if value < 0.0 { "-".to_owned() } else { String::new() };
            for (index, digit) in digits.chars().enumerate() {
                if index > 0 && (digits.len() - index).is_multiple_of(3) {
                    out.push(',');
                }
                out.push(digit);
            }
            out
        }
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_mean_something() {
        assert_eq!(number(1_849_576.4), "1,849,576");
        assert_eq!(number(1_000.0), "1,000");
        assert_eq!(number(-102_684.2), "-102,684");
        assert_eq!(number(580.4), "580");
        assert_eq!(number(13.96), "14.0");
        assert_eq!(number(0.678), "0.68");
        assert_eq!(number(0.0), "0.00");
    }

    #[test]
    fn a_page_says_what_is_missing() {
        let part = Part {
            row: "P4",
            what: "deliveries".into(),
            values: vec![1.0, 3.0],
            reach: 2.0,
            dream: 4.0,
            better: Better::More,
            command: "group-fanout".into(),
            beside: vec!["with 1 core".into()],
            doubts: Vec::new(),
        };
        let mut page = Page {
            began_unix_s: 0,
            command: "figures".into(),
            machine: Machine::default(),
            parts: vec![part],
            failed: Vec::new(),
        };
        assert!(page.all_reached());
        let text = page.to_string();
        assert!(
            text.contains("| P4 | deliveries | >= 2.00 | >= 4.00 | 2.00 | reached |"),
            "{text}"
        );
        assert!(text.contains("  - 1.00: with 1 core\n  - 3.00\n"), "{text}");
        page.failed.push("P5: no memory".into());
        assert!(!page.all_reached());
        assert!(page.to_string().contains("Not measured: P5: no memory"));
    }
}
