//! A chart as inline SVG, drawn for a phone and for a desk. The style sheet shows one of the two.
//!
//! An SVG that is scaled down takes its letters with it; several drawings, each near its natural
//! size, keep them at the size of the text around.

use std::fmt::Write as _;

use crate::page::chart::{Chart, Line, Mark};
use crate::page::markup::{Escaped, Markup};
use crate::page::scale::Range;

/// Places under the pointer, at most; a chart with more has none.
const HINTS_MAX: usize = 300;
/// About how wide a letter is, in pixels.
const LETTER_WIDTH: f64 = 7.2;

/// Measures of a drawing, in pixels at its natural size.
pub(super) struct Form {
    class: &'static str,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    pub(super) x_steps: usize,
    pub(super) y_steps: usize,
    hints: bool,
}

/// Drawings of a chart that has a row for itself; one that shares its row has no use for the first.
pub(super) const FORMS: [Form; 3] = [
    Form {
        class: "full",
        width: 1120.0,
        height: 380.0,
        left: 60.0,
        right: 20.0,
        top: 26.0,
        bottom: 42.0,
        x_steps: 14,
        y_steps: 8,
        hints: true,
    },
    Form {
        class: "wide",
        width: 540.0,
        height: 300.0,
        left: 58.0,
        right: 16.0,
        top: 26.0,
        bottom: 42.0,
        x_steps: 8,
        y_steps: 6,
        hints: true,
    },
    Form {
        class: "narrow",
        width: 340.0,
        height: 250.0,
        left: 52.0,
        right: 12.0,
        top: 26.0,
        bottom: 42.0,
        x_steps: 5,
        y_steps: 5,
        hints: false,
    },
];

/// A chart in one form.
pub(super) struct Drawing<'a> {
    pub(super) chart: &'a Chart,
    pub(super) form: &'a Form,
    pub(super) x: Range,
    pub(super) y: Range,
}

impl Drawing<'_> {
    /// Writes it.
    pub(super) fn put(&self, out: &mut Markup) {
        let Form { class, width, height, .. } = self.form;
        let (id, title) = (&self.chart.id, Escaped(&self.chart.title));
        writeln!(
            out,
            "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"{id}-{class}-t {id}-{class}-d\">\n\
             <title id=\"{id}-{class}-t\">{title}</title>\
             <desc id=\"{id}-{class}-d\">{}</desc>",
            Escaped(&self.chart.description())
        );
        self.put_band(out);
        self.put_grid(out);
        for line in &self.chart.lines {
            self.put_line(out, line);
        }
        if self.form.hints && self.chart.hints.len() <= HINTS_MAX {
            self.put_hints(out);
        }
        for line in &self.chart.lines {
            self.put_marks(out, line);
        }
        out.raw("</svg>\n");
    }

    fn plot_width(&self) -> f64 {
        self.form.width - self.form.left - self.form.right
    }

    fn foot(&self) -> f64 {
        self.form.height - self.form.bottom
    }

    fn across(&self, value: f64) -> Option<f64> {
        Some(self.form.left + self.x.place(value)? * self.plot_width())
    }

    fn up(&self, value: f64) -> Option<f64> {
        Some(self.foot() - self.y.place(value)? * (self.foot() - self.form.top))
    }

    fn at(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        Some((self.across(x)?, self.up(y)?))
    }

    fn put_grid(&self, out: &mut Markup) {
        let Form { left, right, top, width, .. } = self.form;
        let (chart, foot, edge) = (self.chart, self.foot(), width - right);
        let (mut grid, mut faint) = (String::new(), String::new());
        let mut labels = Markup::default();
        for y in self.y.between.iter().filter_map(|value| self.up(*value)) {
            let _ = write!(faint, "M{left} {y:.1}H{edge}");
        }
        for step in &self.y.steps {
            let Some(y) = self.up(*step) else { continue };
            let _ = write!(grid, "M{left} {y:.1}H{edge}");
            let (x, y, label) = (left - 8.0, y + 4.0, self.y.label(*step));
            let label = Escaped(&label);
            write!(labels, "<text class=\"end\" x=\"{x}\" y=\"{y:.1}\">{label}</text>");
        }
        let mut free_from = f64::NEG_INFINITY;
        for step in &self.x.steps {
            let Some(x) = self.across(*step) else { continue };
            let _ = write!(grid, "M{x:.1} {foot}v5");
            let label = self.x.label(*step);
            // Within the drawing, and not over the label before.
            let half = LETTER_WIDTH * label.chars().count() as f64 / 2.0;
            let x = x.min(width - half);
            if x - half < free_from {
                continue;
            }
            free_from = x + half + LETTER_WIDTH / 2.0;
            let (y, label) = (foot + 18.0, Escaped(&label));
            write!(labels, "<text class=\"middle\" x=\"{x:.1}\" y=\"{y}\">{label}</text>");
        }
        if !faint.is_empty() {
            writeln!(out, "<path class=\"grid faint\" d=\"{faint}\"/>");
        }
        write!(out, "<path class=\"grid\" d=\"{grid}\"/>\n{}", labels.into_string());
        let (head, base) = (top - 12.0, foot + 36.0);
        let (y_title, x_title) = (Escaped(chart.y.title), Escaped(chart.x.title));
        write!(out, "<text class=\"title\" x=\"4\" y=\"{head}\">{y_title}</text>");
        writeln!(out, "<text class=\"title end\" x=\"{edge}\" y=\"{base}\">{x_title}</text>");
    }

    fn put_band(&self, out: &mut Markup) {
        let Some((from, to, name)) = self.chart.band else { return };
        let (Some(from), Some(to)) = (self.across(from), self.across(to)) else { return };
        let (top, width, height) = (self.form.top, to - from, self.foot() - self.form.top);
        write!(
            out,
            "<rect class=\"band\" x=\"{from:.1}\" y=\"{top}\" width=\"{width:.1}\" \
             height=\"{height}\"/>"
        );
        // A name that does not fit would hide what it names.
        if width > LETTER_WIDTH * name.len() as f64 {
            let (x, y) = (from + 5.0, top + 13.0);
            write!(out, "<text class=\"title\" x=\"{x:.1}\" y=\"{y}\">{}</text>", Escaped(name));
        }
    }

    fn put_line(&self, out: &mut Markup, line: &Line) {
        let mut path = String::new();
        let mut pen_down = false;
        for point in &line.points {
            let Some((x, y)) = self.at(*point) else {
                pen_down = false;
                continue;
            };
            let _ = write!(path, "{}{x:.1} {y:.1}", if pen_down { 'L' } else { 'M' });
            pen_down = true;
        }
        if !path.is_empty() {
            writeln!(out, "<path class=\"line {}\" d=\"{path}\"/>", line.look.classes());
        }
    }

    fn put_marks(&self, out: &mut Markup, line: &Line) {
        for Mark { at, hollow, hint } in &line.marks {
            let Some((x, y)) = self.at(*at) else { continue };
            let (look, ring) = (line.look.classes(), if *hollow { " ring" } else { "" });
            writeln!(
                out,
                "<circle class=\"mark {look}{ring}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\">\
                 <title>{}</title></circle>",
                Escaped(hint)
            );
        }
    }

    /// A strip for each hint, from half-way to its neighbours.
    fn put_hints(&self, out: &mut Markup) {
        let hints: Vec<(f64, &str)> = self
            .chart
            .hints
            .iter()
            .filter_map(|(x, hint)| Some((self.across(*x)?, hint.as_str())))
            .collect();
        let (top, height) = (self.form.top, self.foot() - self.form.top);
        for (index, (x, hint)) in hints.iter().enumerate() {
            let half_way = |other: f64| f64::midpoint(*x, other);
            let before = index.checked_sub(1).and_then(|index| hints.get(index));
            let from = before.map_or(*x - 2.0, |(before, _)| half_way(*before));
            let to = hints.get(index + 1).map_or(*x + 2.0, |(after, _)| half_way(*after));
            let width = (to - from).max(0.5);
            writeln!(
                out,
                "<rect class=\"hint\" x=\"{from:.1}\" y=\"{top}\" width=\"{width:.1}\" \
                 height=\"{height}\"><title>{}</title></rect>",
                Escaped(hint)
            );
        }
    }
}
