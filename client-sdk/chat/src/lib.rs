//! Hongyan in the terminal.
//!
//! ```text
//!  keys, lines ─┐                 ┌─▶ view: cells of a terminal
//!               ├─▶ Model::update ┤
//!  SDK events ──┘        │        └─▶ plain: lines
//!        ▲               ▼
//!        └── app ◀── commands
//! ```
//!
//! The [`model`] is pure state: it gets every [`io::Input`] and answers with
//! [`io::Command`]s. [`view`] draws it and [`plain`] tells it in lines; both
//! only read. [`app`] alone touches the SDK, the terminal and the clock, so
//! everything else is tested without any of them.

#![forbid(unsafe_code)]

pub mod app;
pub mod composer;
pub mod io;
pub mod model;
pub mod options;
pub mod plain;
pub mod rows;
pub mod slash;
pub mod text;
pub mod view;
pub mod words;
