//! Checks of the tree's own rules (docs/STYLE.md), as tests.
//!
//! Owns: which crate may import what ([`imports`]), how long things may get
//! ([`sizes`]), words that may not stand in code ([`words`]), and whether
//! documents say what the code says ([`documents`]).
//!
//! Every check is a function from text to objections, so that each has a
//! test in which it objects. `tests/it` runs them all over the tree. Nothing
//! outside std is used, so the checks compile in a second.
//!
//! The scanner is no Rust parser: it knows comments, strings and braces.
//! That is enough for these rules and will never be more.

#![forbid(unsafe_code)]

pub mod documents;
pub mod imports;
pub mod sizes;
pub mod source;
pub mod tree;
pub mod words;
