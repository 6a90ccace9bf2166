//! A whole server without a host, for tests: some shards, clients that speak
//! frames, and a store in memory that is durable at once or when told.
//!
//! Feature `testing`. Everything here may panic: a test that gets something
//! else than it expects is to stop there.

pub mod checks;
mod client;
mod parse;
mod world;

pub use self::client::{Client, text_message};
pub use self::parse::parse_command;
pub use self::world::World;
