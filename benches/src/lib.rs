//! What the benches and the floors share.
//!
//! - [`append`]: the bare log recipe, append and sync, and nothing else.
//! - [`sheet`]: one run that puts the server's figures beside the floors.
//! - [`world`]: one shard with everything around it in memory, for benches of the rules.
//!
//! A floor is the least that any server of this kind must do. A figure without its floor says
//! more about the machine than about the server.

#![forbid(unsafe_code)]

pub mod append;
pub mod sheet;
pub mod world;
