//! A box of text with a cursor: the typing box, and with one line the fields
//! of the login screen.
//!
//! Invariants: the cursor is between two graphemes; the text is never longer
//! than the bytes it was made for.

use unicode_segmentation::UnicodeSegmentation;

use crate::text;

/// Text being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composer {
    text: String,
    cursor: usize,
    bytes_max: usize,
}

impl Composer {
    /// An empty box that holds at most `bytes_max` bytes.
    pub const fn new(bytes_max: usize) -> Self {
        Self { text: String::new(), cursor: 0, bytes_max }
    }

    /// Puts text in at the cursor, as much of it as there is room for.
    pub fn insert(&mut self, text: &str) {
        let room = self.bytes_max.saturating_sub(self.text.len());
        let text = &text[..text.floor_char_boundary(room)];
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
    }

    /// Replaces everything; the cursor goes to the end.
    pub fn set(&mut self, text: &str) {
        self.text.clear();
        self.cursor = 0;
        self.insert(text);
    }

    /// Empties the box and returns what was in it.
    pub fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Removes what is before the cursor.
    pub fn backspace(&mut self) {
        let from = self.before();
        self.remove(from, self.cursor);
    }

    /// Removes what is after the cursor.
    pub fn delete(&mut self) {
        let to = self.after();
        self.remove(self.cursor, to);
    }

    /// Removes from the beginning of the line to the cursor.
    pub fn kill_to_start(&mut self) {
        self.remove(self.line_start(), self.cursor);
    }

    /// Removes from the cursor to the end of the line.
    pub fn kill_to_end(&mut self) {
        self.remove(self.cursor, self.line_end());
    }

    /// Removes the word before the cursor.
    pub fn kill_word(&mut self) {
        self.remove(self.word_before(), self.cursor);
    }

    /// One character back.
    pub fn left(&mut self) {
        self.cursor = self.before();
    }

    /// One character on.
    pub fn right(&mut self) {
        self.cursor = self.after();
    }

    /// One word back.
    pub fn word_left(&mut self) {
        self.cursor = self.word_before();
    }

    /// One word on.
    pub fn word_right(&mut self) {
        let mut words = self.text[self.cursor..].split_word_bound_indices();
        let end = words.find(|(_, word)| !word.trim().is_empty());
        self.cursor = end.map_or(self.text.len(), |(at, word)| self.cursor + at + word.len());
    }

    /// To the beginning of the line.
    pub fn home(&mut self) {
        self.cursor = self.line_start();
    }

    /// To the end of the line.
    pub fn end(&mut self) {
        self.cursor = self.line_end();
    }

    /// One line up at the same width; false on the first line.
    pub fn up(&mut self) -> bool {
        let start = self.line_start();
        if start == 0 {
            return false;
        }
        let column = text::width(&self.text[start..self.cursor]);
        let above = self.text[..start - 1].rfind('\n').map_or(0, |at| at + 1);
        self.cursor = at_column(&self.text, above, start - 1, column);
        true
    }

    /// One line down at the same width; false on the last line.
    pub fn down(&mut self) -> bool {
        let end = self.line_end();
        if end == self.text.len() {
            return false;
        }
        let column = text::width(&self.text[self.line_start()..self.cursor]);
        let below = end + 1;
        let below_end = self.text[below..].find('\n').map_or(self.text.len(), |at| below + at);
        self.cursor = at_column(&self.text, below, below_end, column);
        true
    }

    /// What is in the box.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is before the cursor.
    pub fn before_cursor(&self) -> &str {
        &self.text[..self.cursor]
    }

    /// True when nothing is in it.
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The lines as shown `cells` wide, and the cursor's row and column in
    /// them. Broken between characters, not words, so that nothing jumps
    /// while typing.
    pub fn layout(&self, cells: usize) -> Layout {
        let cells = cells.max(2);
        let mut layout = Layout { lines: vec![String::new()], row: 0, column: 0 };
        let mut used = 0;
        for (at, grapheme) in self.text.grapheme_indices(true) {
            let breaks = grapheme == "\n" || grapheme == "\r\n";
            let shown = text::clean(grapheme);
            let wide = if breaks { 0 } else { text::width(&shown) };
            if used + wide > cells {
                layout.lines.push(String::new());
                used = 0;
            }
            if at == self.cursor {
                layout.row = layout.lines.len() - 1;
                layout.column = used;
            }
            if breaks {
                layout.lines.push(String::new());
                used = 0;
            } else if let Some(line) = layout.lines.last_mut() {
                line.push_str(&shown);
                used += wide;
            }
        }
        if self.cursor == self.text.len() {
            if used >= cells {
                layout.lines.push(String::new());
                used = 0;
            }
            layout.row = layout.lines.len() - 1;
            layout.column = used;
        }
        layout
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.cursor = from;
    }

    fn before(&self) -> usize {
        let mut before = self.text[..self.cursor].grapheme_indices(true);
        before.next_back().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        let mut after = self.text[self.cursor..].graphemes(true);
        after.next().map_or(self.cursor, |next| self.cursor + next.len())
    }

    fn word_before(&self) -> usize {
        let words = self.text[..self.cursor].split_word_bound_indices();
        let mut words = words.rev();
        let start = words.find(|(_, word)| !word.trim().is_empty());
        start.map_or(0, |(at, _)| at)
    }

    fn line_start(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        let rest = &self.text[self.cursor..];
        rest.find('\n').map_or(self.text.len(), |at| self.cursor + at)
    }
}

/// A box of text as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The lines, from the first; never empty.
    pub lines: Vec<String>,
    /// The cursor's line, from 0.
    pub row: usize,
    /// The cursor's cell, from 0.
    pub column: usize,
}

fn at_column(text: &str, start: usize, end: usize, column: usize) -> usize {
    let mut used = 0;
    for (at, grapheme) in text[start..end].grapheme_indices(true) {
        used += text::width(grapheme);
        if used > column {
            return start + at;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Composer {
        let mut composer = Composer::new(100);
        composer.insert(text);
        composer
    }

    #[test]
    fn editing_goes_by_whole_characters() {
        let mut composer = with("a你e\u{301}");
        composer.backspace();
        assert_eq!(composer.text(), "a你");
        composer.left();
        composer.insert("b");
        assert_eq!(composer.text(), "ab你");
        composer.delete();
        assert_eq!(composer.text(), "ab");
        composer.delete();
        assert_eq!(composer.text(), "ab");
    }

    #[test]
    fn words_and_lines_are_removed() {
        let mut composer = with("one two\nthree four ");
        composer.kill_word();
        assert_eq!(composer.text(), "one two\nthree ");
        composer.kill_to_start();
        assert_eq!(composer.text(), "one two\n");
        composer.left();
        composer.word_left();
        composer.kill_to_end();
        assert_eq!(composer.text(), "one \n");
    }

    #[test]
    fn up_and_down_keep_the_width() {
        let mut composer = with("你好\nabcd");
        composer.left();
        assert!(composer.up());
        assert_eq!(composer.before_cursor(), "你");
        assert!(!composer.up());
        assert!(composer.down());
        assert_eq!(composer.before_cursor(), "你好\nab");
        assert!(!composer.down());
    }

    #[test]
    fn there_is_room_for_so_many_bytes_and_no_more() {
        let mut composer = Composer::new(5);
        composer.insert("你好");
        assert_eq!(composer.text(), "你");
        composer.insert("abc");
        assert_eq!(composer.text(), "你ab");
    }

    #[test]
    fn the_cursor_is_where_the_next_letter_goes() {
        let layout = with("你好世界").layout(6);
        assert_eq!(layout.lines, ["你好世", "界"]);
        assert_eq!((layout.row, layout.column), (1, 2));
        let layout = with("abcdef").layout(6);
        assert_eq!((layout.row, layout.column), (1, 0));
        let layout = with("ab\n").layout(6);
        assert_eq!(layout.lines, ["ab", ""]);
        assert_eq!((layout.row, layout.column), (1, 0));
    }
}
