//! A seed is the whole cause of what happens.

use hongyan_simulator::{Options, Report, TraceMode, World};

fn run(seed: u64) -> (Report, Vec<String>) {
    let mut world = World::new(Options { seed, steps: 400 }, TraceMode::Full);
    let report = world.run().unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
    (report, world.trace().lines().map(str::to_owned).collect())
}

#[test]
fn the_same_seed_leaves_the_same_trace() {
    for seed in [3, 7, 11] {
        let (first, lines) = run(seed);
        let (second, again) = run(seed);
        assert!(lines.len() > 1000, "seed {seed} has only {} events", lines.len());
        assert_eq!(lines, again, "seed {seed}");
        assert_eq!(first, second, "seed {seed}");
    }
}

#[test]
fn watching_changes_nothing() {
    let (watched, _) = run(5);
    let unwatched = World::new(Options { seed: 5, steps: 400 }, TraceMode::Digest).run();
    assert_eq!(unwatched, Ok(watched));
}

#[test]
fn other_seeds_are_other_worlds() {
    assert_ne!(run(1).0.digest, run(2).0.digest);
}
