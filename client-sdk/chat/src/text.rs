//! Text in cells of a terminal: how wide it is, where it breaks, and what of
//! it may be shown.
//!
//! Owns every measure of width; nothing else in this crate counts characters.
//! A cell is what one Latin letter takes: Chinese characters and most emoji
//! take two.
//!
//! Invariant: what [`clean`] and [`clean_line`] return holds no control
//! characters and no marks that reorder text, so what a peer wrote can neither
//! drive the terminal nor pose as something else.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Cells that `text` takes.
pub fn width(text: &str) -> usize {
    text.graphemes(true).map(UnicodeWidthStr::width).sum()
}

/// `text` without what could drive the terminal. Line breaks stay, a tab
/// becomes spaces.
pub fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '\n' => cleaned.push('\n'),
            '\t' => cleaned.push_str("    "),
            c if c.is_control() || reorders(c) => cleaned.push('\u{fffd}'),
            c => cleaned.push(c),
        }
    }
    cleaned
}

/// As [`clean`], on one line.
pub fn clean_line(text: &str) -> String {
    clean(text).replace('\n', " ")
}

/// Marks that change the direction of what follows.
const fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The beginning of `text` that fits in `cells`, with an ellipsis when
/// something is left out.
pub fn truncate(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    if cells == 0 {
        return String::new();
    }
    let mut kept = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let cells_of_it = grapheme.width();
        if used + cells_of_it > cells - 1 {
            break;
        }
        kept.push_str(grapheme);
        used += cells_of_it;
    }
    kept.push('…');
    kept
}

/// The end of `text` that fits in `cells`.
pub fn tail(text: &str, cells: usize) -> &str {
    let mut used = 0;
    let mut from = text.len();
    for (at, grapheme) in text.grapheme_indices(true).rev() {
        used += grapheme.width();
        if used > cells {
            break;
        }
        from = at;
    }
    &text[from..]
}

/// `text` cut or filled with spaces to exactly `cells`.
pub fn fit(text: &str, cells: usize) -> String {
    let mut fitted = truncate(text, cells);
    let missing = cells.saturating_sub(width(&fitted));
    fitted.extend(std::iter::repeat_n(' ', missing));
    fitted
}

/// As [`fit`], with the spaces in front.
pub fn fit_right(text: &str, cells: usize) -> String {
    let fitted = truncate(text, cells);
    let missing = cells.saturating_sub(width(&fitted));
    format!("{}{fitted}", " ".repeat(missing))
}

/// Breaks `text` into lines of at most `cells`, between words where it can.
/// Never empty; a character that is wider than `cells` is left out.
pub fn wrap(text: &str, cells: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        wrap_paragraph(paragraph, cells.max(1), &mut lines);
    }
    lines
}

fn wrap_paragraph(paragraph: &str, cells: usize, lines: &mut Vec<String>) {
    let mut line = String::new();
    let mut used = 0;
    for piece in pieces(paragraph) {
        let piece_cells = width(piece);
        if used + piece_cells <= cells {
            line.push_str(piece);
            used += piece_cells;
            continue;
        }
        let blank = piece.trim().is_empty();
        if used > 0 && (blank || piece_cells <= cells) {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
            used = 0;
            if blank {
                continue;
            }
        }
        for grapheme in piece.graphemes(true) {
            let grapheme_cells = grapheme.width();
            if used + grapheme_cells > cells && used > 0 {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            if grapheme_cells <= cells {
                line.push_str(grapheme);
                used += grapheme_cells;
            }
        }
    }
    lines.push(line);
}

/// What is not broken when there is another way: words with the punctuation
/// behind them, single wide characters, runs of blanks.
fn pieces(paragraph: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut from = 0;
    let mut before = None;
    for (at, grapheme) in paragraph.grapheme_indices(true) {
        let kind = kind(grapheme);
        let apart = match (before, kind) {
            (None, _) | (Some(Kind::Wide), Kind::Closing) => false,
            (Some(Kind::Closing), _) => kind != Kind::Closing,
            (Some(Kind::Wide), _) => true,
            (Some(before), kind) => kind != Kind::Closing && before != kind,
        };
        if apart {
            pieces.push(&paragraph[from..at]);
            from = at;
        }
        before = Some(kind);
    }
    pieces.push(&paragraph[from..]);
    pieces
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blank,
    /// Wide punctuation that must not begin a line.
    Closing,
    Narrow,
    Wide,
}

fn kind(grapheme: &str) -> Kind {
    if grapheme.trim().is_empty() {
        Kind::Blank
    } else if grapheme.width() < 2 {
        Kind::Narrow
    } else if "，。？！、：；）」』】》".contains(grapheme) {
        Kind::Closing
    } else {
        Kind::Wide
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_and_emoji_take_two_cells() {
        assert_eq!(width("abc"), 3);
        assert_eq!(width("你好"), 4);
        assert_eq!(width("👍"), 2);
        assert_eq!(width("e\u{301}"), 1);
    }

    #[test]
    fn what_drives_a_terminal_is_replaced() {
        assert_eq!(clean("a\u{1b}[2Jb\nc\td"), "a\u{fffd}[2Jb\nc    d");
        assert_eq!(clean("a\r\nb"), "a\nb");
        assert_eq!(clean_line("x\u{202e}y\nz"), "x\u{fffd}y z");
    }

    #[test]
    fn cutting_never_splits_a_wide_character() {
        assert_eq!(truncate("你好吗", 6), "你好吗");
        assert_eq!(truncate("你好吗", 5), "你好…");
        assert_eq!(truncate("你好吗", 4), "你…");
        assert_eq!(truncate("abc", 0), "");
        assert_eq!(fit("你", 4), "你  ");
        assert_eq!(fit_right("ab", 4), "  ab");
        assert_eq!(tail("ab你好", 3), "好");
    }

    #[test]
    fn lines_break_between_words_and_inside_long_ones() {
        assert_eq!(wrap("the quick fox", 9), ["the quick", "fox"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("你好世界", 5), ["你好", "世界"]);
        assert_eq!(wrap("to NAME.", 7), ["to", "NAME."]);
        assert_eq!(wrap("你好，世界", 5), ["你", "好，", "世界"]);
        assert_eq!(wrap("see你好", 5), ["see你", "好"]);
        assert_eq!(wrap("a\n\nb", 5), ["a", "", "b"]);
        assert_eq!(wrap("", 5), [""]);
        for line in wrap("mixed 文字 and 👍👍👍 emoji in one paragraph", 7) {
            assert!(width(&line) <= 7, "{line:?}");
        }
    }
}
