//! A comparison as a table on the terminal.

use std::fmt::{self, Display, Formatter};

use crate::diff::{Comparison, Judgement, Row};

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "A: {}\nB: {}\n", self.a.join(", "), self.b.join(", "))?;
        if !self.rows.is_empty() {
            writeln!(f, "  {:<28}{:>12}{:>12}{:>10}  what it is", "", "A", "B", "change")?;
            for row in &self.rows {
                put_row(f, row)?;
            }
            writeln!(f)?;
        }
        let (what, list) = if self.rows.is_empty() {
            ("NOT COMPARABLE (--anyway compares all the same)", &self.objections)
        } else {
            ("compared all the same", &self.objections)
        };
        if !list.is_empty() {
            writeln!(f, "{what}:")?;
        }
        for objection in list {
            writeln!(f, "  - {objection}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        if self.rows.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "B against A: {} worse, {} better, {} noise",
            self.count(Judgement::Worse),
            self.count(Judgement::Better),
            self.count(Judgement::Noise)
        )
    }
}

fn put_row(f: &mut Formatter<'_>, row: &Row) -> fmt::Result {
    let value = |value: Option<f64>| row.unit.full(value.unwrap_or(f64::NAN));
    let change = row.change_percent.map_or_else(|| "-".to_owned(), |by| format!("{by:+.1} %"));
    let word = match row.judgement {
        Judgement::Absent => "absent",
        Judgement::Better => "better",
        Judgement::Noise => "noise",
        Judgement::Worse => "WORSE",
    };
    writeln!(
        f,
        "  {:<28}{:>12}{:>12}{change:>10}  {word:<8}({})",
        row.figure,
        value(row.a),
        value(row.b),
        row.rule
    )
}
