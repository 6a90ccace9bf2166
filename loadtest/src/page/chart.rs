//! What a chart is: lines, axes, a legend, and a figure around them that says it in words, too.
//!
//! Colours come from the style sheet, so they follow light and dark. Lines are told apart by their
//! dashes, too. Nothing here knows what is drawn; `drawing` knows how.

use std::fmt::Write as _;

use crate::number::Unit;
use crate::page::drawing::{Drawing, FORMS, Form};
use crate::page::markup::{Escaped, Markup};
use crate::page::scale::{Range, Scale};

/// Colours of the style sheet; more lines begin again.
pub(super) const TONES: usize = 8;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// Which colour; `None` is the quiet one.
    pub(super) tone: Option<usize>,
    /// How it is drawn.
    pub(super) dash: Dash,
}

/// See [`Look`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dash {
    Dashed,
    Dotted,
    Solid,
}

/// A point that is marked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark {
    /// Where.
    pub(super) at: (f64, f64),
    /// Drawn as a ring: not to be relied on.
    pub(super) hollow: bool,
    /// Shown under the pointer.
    pub(super) hint: String,
}

/// A line; it breaks where a value has no place on its axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// What it shows.
    pub(super) label: String,
    pub(super) look: Look,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) marks: Vec<Mark>,
}

/// An axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axis {
    /// What it shows, with the unit where the labels do not have it.
    pub(super) title: &'static str,
    pub(super) scale: Scale,
    pub(super) unit: Unit,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    /// Differs from that of every other chart of the page; letters and digits.
    pub(super) id: String,
    pub(super) title: String,
    /// A sentence on how to read it; may be empty.
    pub(super) note: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
    /// Entries of the legend.
    pub(super) legend: Vec<(String, Look)>,
    /// A part of the x axis that is set apart, and its name.
    pub(super) band: Option<(f64, f64, &'static str)>,
    /// Shown when the pointer is nearest to this x.
    pub(super) hints: Vec<(f64, String)>,
}

impl Look {
    /// The `nth` colour, solid.
    pub(super) const fn tone(nth: usize) -> Self {
        Self { tone: Some(nth % TONES), dash: Dash::Solid }
    }

    /// The same with another dash.
    pub(super) const fn with(self, dash: Dash) -> Self {
        Self { dash, ..self }
    }

    /// The quiet colour.
    pub(super) const fn quiet(dash: Dash) -> Self {
        Self { tone: None, dash }
    }

    /// For the style sheet.
    pub(super) fn classes(self) -> String {
        let dash = match self.dash {
            Dash::Dashed => " dashed",
            Dash::Dotted => " dotted",
            Dash::Solid => "",
        };
        self.tone.map_or_else(|| format!("quiet{dash}"), |tone| format!("t{tone}{dash}"))
    }
}

impl Chart {
    /// True when nothing in it has a place on its axes.
    fn is_empty(&self) -> bool {
        self.ranges(&FORMS[0]).is_none()
    }

    /// Writes a row of charts; one alone gets the whole width. Those with nothing in them are left
    /// out.
    pub(super) fn put_all(charts: &[Self], out: &mut Markup) {
        let charts: Vec<&Self> = charts.iter().filter(|chart| !chart.is_empty()).collect();
        if charts.is_empty() {
            out.raw("<p>There is nothing to draw.</p>\n");
            return;
        }
        out.raw("<div class=\"charts\">\n");
        for chart in &charts {
            chart.put(out, charts.len() == 1);
        }
        out.raw("</div>\n");
    }

    fn put(&self, out: &mut Markup, alone: bool) {
        let id = &self.id;
        let (class, forms) =
            if alone { ("chart alone", &FORMS[..]) } else { ("chart", &FORMS[1..]) };
        write!(out, "<figure class=\"{class}\" aria-labelledby=\"{id}-h\">\n<figcaption>");
        write!(out, "<h3 id=\"{id}-h\">{}</h3>", Escaped(&self.title));
        if !self.note.is_empty() {
            write!(out, "<p>{}</p>", Escaped(&self.note));
        }
        self.put_legend(out);
        out.raw("</figcaption>\n");
        for form in forms {
            if let Some((x, y)) = self.ranges(form) {
                Drawing { chart: self, form, x, y }.put(out);
            }
        }
        out.raw("</figure>\n");
    }

    fn put_legend(&self, out: &mut Markup) {
        out.raw("<ul class=\"legend\">");
        for (label, look) in &self.legend {
            write!(
                out,
                "<li><svg class=\"key\" viewBox=\"0 0 26 8\" aria-hidden=\"true\"><path \
                 class=\"line {}\" d=\"M1 4H25\"/></svg>{}</li>",
                look.classes(),
                Escaped(label)
            );
        }
        out.raw("</ul>");
    }

    fn ranges(&self, form: &Form) -> Option<(Range, Range)> {
        let points = || {
            let lines = self.lines.iter();
            lines.flat_map(|line| line.points.iter().chain(line.marks.iter().map(|mark| &mark.at)))
        };
        // Time ends where the run does; everything else ends at a mark.
        let round = self.x.unit != Unit::Seconds;
        let x =
            Range::over((self.x.scale, self.x.unit), points().map(|at| at.0), form.x_steps, round)?;
        let y =
            Range::over((self.y.scale, self.y.unit), points().map(|at| at.1), form.y_steps, true)?;
        Some((x, y))
    }

    /// What the lines show, in words.
    pub(super) fn description(&self) -> String {
        let mut text = format!("{} over {}.", self.y.title, self.x.title);
        for line in &self.lines {
            let values = || line.points.iter().map(|at| at.1).filter(|value| value.is_finite());
            let least = values().fold(f64::INFINITY, f64::min);
            let most = values().fold(f64::NEG_INFINITY, f64::max);
            if least <= most {
                let (least, most) = (self.y.unit.full(least), self.y.unit.full(most));
                let _ = write!(text, " {}: {least} to {most}.", line.label);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        let look = Look::tone(0);
        Chart {
            id: "c".to_owned(),
            title: "A <title>".to_owned(),
            note: String::new(),
            x: Axis { title: "seconds", scale: Scale::Linear, unit: Unit::Seconds },
            y: Axis { title: "latency", scale: Scale::Log, unit: Unit::Micros },
            lines: vec![Line { label: "p99".to_owned(), look, points, marks: Vec::new() }],
            legend: vec![("p99 & more".to_owned(), look)],
            band: Some((0.0, 1.0, "warm-up")),
            hints: vec![(1.0, "at 1".to_owned()), (2.0, "at 2".to_owned())],
        }
    }

    fn drawn(chart: &Chart) -> String {
        let mut out = Markup::default();
        Chart::put_all(std::slice::from_ref(chart), &mut out);
        out.into_string()
    }

    #[test]
    fn every_form_is_drawn_and_described() {
        let html = drawn(&chart(vec![(1.0, 100.0), (2.0, 1_000.0)]));
        for part in [
            "<svg class=\"wide\" viewBox=\"0 0 540 300\" role=\"img\"",
            "<svg class=\"narrow\"",
            "<title id=\"c-wide-t\">A &lt;title&gt;</title>",
            "<desc id=\"c-narrow-d\">latency over seconds. p99: 100 µs to 1 ms.</desc>",
            "p99 &amp; more",
            "<title>at 2</title>",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
        assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
    }

    #[test]
    fn a_line_breaks_where_there_is_no_value() {
        let html = drawn(&chart(vec![(1.0, 9.0), (2.0, 0.0), (3.0, 9.0), (4.0, 9.0)]));
        let path = html.split("class=\"line t0\" d=\"").nth(3).unwrap();
        let path = path.split('"').next().unwrap();
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 1), "{path}");
    }

    #[test]
    fn an_empty_chart_says_so() {
        let empty = chart(vec![(1.0, f64::NAN)]);
        assert!(empty.is_empty());
        assert!(drawn(&empty).contains("There is nothing to draw."));
    }
}
