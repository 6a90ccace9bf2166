//! Two sheets side by side: which case moved.

use std::fmt::{self, Display, Formatter};

use super::sheet::Sheet;

/// A case that moves by no more than this part has not moved.
pub const MOVED_MIN: f64 = 0.02;

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// More instructions than before.
    Worse,
    /// Fewer.
    Better,
    /// As before, within [`MOVED_MIN`].
    Same,
    /// The earlier sheet does not have it.
    New,
}

/// One case then and now.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Of the case.
    pub name: String,
    /// Instructions per operation in the earlier sheet.
    pub before: Option<f64>,
    /// And now.
    pub now: f64,
    /// Which of the two is better.
    pub verdict: Verdict,
}

/// Every case of `now` against `before`, and why the two should not be compared, if so. Cases that
/// only `before` has are not looked at: a run may leave some out.
#[must_use]
pub fn compare(before: &Sheet, now: &Sheet) -> (Vec<Change>, Vec<String>) {
    let changes = now.figures.iter().map(|figure| {
        let earlier = before.figures.iter().find(|earlier| earlier.name == figure.name);
        let earlier = earlier.map(super::Figure::each);
        let verdict = earlier.map_or(Verdict::New, |earlier| judge(earlier, figure.each()));
        Change { name: figure.name.clone(), before: earlier, now: figure.each(), verdict }
    });
    let conditions = [
        ("compiler", &before.compiler, &now.compiler),
        ("valgrind", &before.valgrind, &now.valgrind),
        ("processor", &before.machine.cpu, &now.machine.cpu),
    ];
    let doubts = conditions
        .into_iter()
        .filter(|(_, before, now)| before != now)
        .map(|(what, before, now)| format!("another {what}: {now}, before {before}"));
    (changes.collect(), doubts.collect())
}

fn judge(before: f64, now: f64) -> Verdict {
    let moved = (now - before) / before.max(f64::MIN_POSITIVE);
    if moved > MOVED_MIN {
        Verdict::Worse
    } else if moved < -MOVED_MIN {
        Verdict::Better
    } else {
        Verdict::Same
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, before, now, verdict } = self;
        let Some(before) = before else {
            return write!(f, "{name:<24} {:>12} {now:>12.1} {:>8}  new", "", "");
        };
        let word = match verdict {
            Verdict::Worse => "WORSE",
            Verdict::Better => "better",
            Verdict::Same => "",
            Verdict::New => "new",
        };
        let percent = (now - before) / before * 100.0;
        write!(f, "{name:<24} {before:>12.1} {now:>12.1} {percent:>+7.2}%  {word}")
    }
}

#[cfg(test)]
mod tests {
    use hongyan_loadtest::probe::Machine;

    use super::*;
    use crate::instructions::Figure;

    fn sheet(cases: &[(&str, u64)]) -> Sheet {
        let figures = cases.iter().map(|(name, instructions)| Figure {
            name: (*name).into(),
            operation: "thing".into(),
            operations: 10,
            instructions: *instructions,
        });
        Sheet {
            date: String::new(),
            command: String::new(),
            machine: Machine::default(),
            valgrind: "valgrind-3".into(),
            compiler: "rustc 1".into(),
            figures: figures.collect(),
        }
    }

    #[test]
    fn a_case_that_moves_by_more_than_two_percent_is_seen() {
        let before = sheet(&[("a", 1_000), ("b", 1_000), ("c", 1_000), ("gone", 1_000)]);
        let now = sheet(&[("a", 1_021), ("b", 979), ("c", 1_020), ("fresh", 1)]);
        let (changes, doubts) = compare(&before, &now);
        let verdicts: Vec<_> = changes.iter().map(|change| change.verdict).collect();
        assert_eq!(verdicts, [Verdict::Worse, Verdict::Better, Verdict::Same, Verdict::New]);
        assert!(doubts.is_empty());
        assert!(changes[0].to_string().contains("+2.10%  WORSE"), "{}", changes[0]);
    }

    #[test]
    fn another_compiler_is_a_reason_to_doubt() {
        let before = sheet(&[("a", 1_000)]);
        let now = Sheet { compiler: "rustc 2".into(), ..before.clone() };
        assert_eq!(compare(&before, &now).1.len(), 1);
    }
}
