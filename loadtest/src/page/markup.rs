//! Writing HTML: everything that comes from a result goes through [`Escaped`].

use std::fmt::{self, Arguments, Display, Formatter, Write as _};

/// Text that is being written. `write!` to it cannot fail, so it gives nothing back.
#[derive(Debug, Default)]
pub(super) struct Markup(String);

impl Markup {
    /// For `write!`.
    pub(super) fn write_fmt(&mut self, arguments: Arguments<'_>) {
        // A String takes everything; an argument whose Display fails is left out.
        let _ = self.0.write_fmt(arguments);
    }

    /// Adds markup that is known to be well-formed.
    pub(super) fn raw(&mut self, markup: &str) {
        self.0.push_str(markup);
    }

    /// What was written.
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// Text as it may stand between tags and in quoted attributes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Control characters are no text, and HTML forbids most of them.
                other if other.is_control() && other != '\n' => f.write_char('\u{fffd}')?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A table whose first column names its rows. It scrolls by itself where it is too wide, also
/// from the keyboard; `name` tells what it is to those who cannot see it.
pub(super) struct Table<'a> {
    /// Said, not shown.
    pub(super) name: &'a str,
    /// Names of all columns, the first included.
    pub(super) head: Vec<String>,
    /// As many cells each as there are columns.
    pub(super) rows: Vec<Vec<Cell>>,
}

/// A cell of a [`Table`].
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    alarming: bool,
}

impl Cell {
    /// A cell that is set apart because it should not be so.
    pub(super) fn alarming(text: String) -> Self {
        Self { text, alarming: true }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), alarming: false }
    }
}

impl Table<'_> {
    /// Writes it.
    pub(super) fn put(&self, out: &mut Markup) {
        let name = Escaped(self.name);
        write!(out, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{name}\">");
        out.raw("<table><thead><tr>");
        for head in &self.head {
            write!(out, "<th scope=\"col\">{}</th>", Escaped(head));
        }
        out.raw("</tr></thead><tbody>\n");
        for row in &self.rows {
            out.raw("<tr>");
            for (index, cell) in row.iter().enumerate() {
                let text = Escaped(&cell.text);
                match (index, cell.alarming) {
                    (0, _) => write!(out, "<th scope=\"row\">{text}</th>"),
                    (_, false) => write!(out, "<td>{text}</td>"),
                    (_, true) => write!(out, "<td class=\"alarm\">{text}</td>"),
                }
            }
            out.raw("</tr>\n");
        }
        out.raw("</tbody></table></div>\n");
    }

    /// Writes it folded under `summary`.
    pub(super) fn put_folded(&self, out: &mut Markup, summary: &str) {
        writeln!(out, "<details><summary>{}</summary>", Escaped(summary));
        self.put(out);
        out.raw("</details>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_its_place() {
        let text = Escaped("<b a='1' c=\"2\">&\u{0}é 雁").to_string();
        assert_eq!(text, "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;\u{fffd}é 雁");
    }

    #[test]
    fn a_table_names_its_rows_and_escapes_its_cells() {
        let mut out = Markup::default();
        let rows = vec![vec!["<r>".into(), "1".into(), Cell::alarming("2".to_owned())]];
        let head = vec![String::new(), "a".to_owned(), "b".to_owned()];
        Table { name: "some \"table\"", head, rows }.put_folded(&mut out, "Numbers");
        let html = out.into_string();
        assert!(html.contains("<th scope=\"row\">&lt;r&gt;</th><td>1</td>"), "{html}");
        assert!(html.contains("<td class=\"alarm\">2</td>"), "{html}");
        assert!(html.contains("aria-label=\"some &quot;table&quot;\""), "{html}");
    }
}
