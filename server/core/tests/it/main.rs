//! The rules as a client sees them, on one, two and three shards.

mod accounts;
mod corpus;
mod direct;
mod groups;
mod storage;
mod syncing;

use hongyan_core::testing::World;

/// Runs a test on servers of different sizes.
fn on_any_server(test: impl Fn(&mut World)) {
    for shards in 1..=3 {
        test(&mut World::new(shards));
    }
}
