//! Where things are on a screen of a given size: one answer for the keys
//! that scroll and for the view that draws.

use super::{Focus, Model};

/// Below so many columns one pane is shown at a time.
pub const NARROW_COLUMNS: u16 = 60;
const MEMBERS_BESIDE_COLUMNS: u16 = 96;
const MEMBERS_COLUMNS: u16 = 24;
const COMPOSER_ROWS_MAX: usize = 6;

/// The chat screen, in cells. A part with no columns is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// One pane at a time.
    pub narrow: bool,
    /// Rows of the banner above everything: 0 or 1.
    pub banner_rows: u16,
    /// Rows between the banner and the status bar.
    pub body_rows: u16,
    /// The conversation list, without the line beside it.
    pub list_columns: u16,
    /// The chat pane.
    pub chat_columns: u16,
    /// The members pane, without the line beside it.
    pub members_columns: u16,
    /// Rows of messages.
    pub transcript_rows: u16,
    /// Rows of the typing box.
    pub composer_rows: u16,
}

impl Model {
    /// Where things are now.
    pub fn geometry(&self) -> Geometry {
        let (columns, rows) = self.size;
        let narrow = columns < NARROW_COLUMNS;
        let banner_rows = u16::from(self.banner().is_some());
        let body_rows = rows.saturating_sub(1 + banner_rows);
        let (list_columns, rest) = if !narrow {
            let list = (columns * 3 / 10).clamp(22, 36);
            (list, columns - list - 1)
        } else if self.focus == Focus::List {
            (columns, 0)
        } else {
            (0, columns)
        };
        let beside = self.members.is_some() && columns >= MEMBERS_BESIDE_COLUMNS;
        let members_columns = if beside { MEMBERS_COLUMNS } else { 0 };
        let chat_columns = if beside { rest.saturating_sub(MEMBERS_COLUMNS + 1) } else { rest };
        let typed = self.composer().layout(composer_cells(chat_columns)).lines.len();
        let composer_max = usize::from(body_rows / 3).clamp(1, COMPOSER_ROWS_MAX);
        let composer_rows = typed.min(composer_max) as u16;
        Geometry {
            narrow,
            banner_rows,
            body_rows,
            list_columns,
            chat_columns,
            members_columns,
            // Title, line above the box, the box.
            transcript_rows: body_rows.saturating_sub(2 + composer_rows),
            composer_rows,
        }
    }
}

/// Cells of a line in the typing box of a chat pane of so many columns: the
/// prompt stands before it.
pub fn composer_cells(chat_columns: u16) -> usize {
    usize::from(chat_columns.saturating_sub(2))
}
