//! Golden vectors and properties of the wire.
//!
//! `HONGYAN_VECTORS=write` makes the tests write `protocol/vectors` and the
//! example session of docs/PROTOCOL.md instead of comparing with them; that
//! is what `cargo xtask vectors` does.

mod compat;
mod corpus;
mod golden;
mod malformed;
mod roundtrip;
mod samples;
mod session;

use std::path::{Path, PathBuf};

/// The folder `protocol/vectors`.
fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// Whether files are to be written instead of compared.
fn writing() -> bool {
    std::env::var_os("HONGYAN_VECTORS").is_some_and(|value| value == "write")
}
