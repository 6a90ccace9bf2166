//! What the benches and the floors share.
//!
//! - [`append`]: the bare log recipe, append and sync, and nothing else.
//! - [`arrivals`]: devices that come back with a token.
//! - [`empty`]: a shard without state.
//! - [`figures`]: every figure of docs/PERFORMANCE.md that needs no other server.
//! - [`frames`]: what a session sends again and again.
//! - [`instructions`]: instructions of the hot path, counted by valgrind.
//! - [`records`]: records as a shard writes them, and their replay.
//! - [`ring`]: people who write to each other.
//! - [`sheet`]: one run that puts the server's figures beside the floors.
//! - [`stage`]: a server, a floor and a generator, started for such a run.
//! - [`world`]: one shard with everything around it in memory, for benches of the rules.
//!
//! Everything that links this runs with the server's allocator: what the system's would cost says
//! nothing about the server.
//!
//! A floor is the least that any server of this kind must do. A figure without its floor says
//! more about the machine than about the server.

#![forbid(unsafe_code)]

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod append;
pub mod arrivals;
pub mod empty;
pub mod figures;
pub mod frames;
pub mod instructions;
pub mod records;
pub mod ring;
pub mod sheet;
pub mod stage;
pub mod world;
