//! One run that puts the server's figures beside the floors, and writes them down.
//!
//! ```text
//! null relay ─ append floor ─ server: direct durable, direct written ─ idle ─ fill, kill, restart
//! ```
//!
//! Every part is a program of its own, started and ended by its process id, in one directory on
//! one disk, with a time limit. The floors are measured in the same run because figures of two
//! runs on a shared machine cannot be compared.

mod steps;
mod table;

pub use steps::{Figures, Plan, RestartFigure, measure};
pub use table::{Row, Sheet, date_of};
