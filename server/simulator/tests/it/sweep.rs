//! A short sweep: no promise is broken, and the runs went through what they
//! are there to go through.

use hongyan_simulator::plan::STEPS_DEFAULT;
use hongyan_simulator::sweep::Sweep;

/// What sixty seeds cannot miss, unless the simulator lost an arm.
const MET: &[&str] = &[
    "AccountBanned",
    "BadCredentials",
    "GroupDissolved",
    "IdConflict",
    "NameTaken",
    "NotAllowed",
    "NotMember",
    "OwnerCannotLeave",
    "StoreUnavailable",
    "ack: repeated send",
    "boot: records replayed",
    "crash: after a sync",
    "crash: after an append",
    "crash: kill",
    "crash: power cut",
    "crash: written records lost",
    "fan-out: in steps",
    "handoff",
    "load: entity",
    "load: pages",
    "operator: answered",
    "operator: drained",
    "push: dropped",
    "push: sync needed",
    "reply: devices signed out",
    "settle: checkpoint",
    "sync: gone",
    "sync: more pages",
    "task: doubled",
    "task: dropped",
    "the clock jumps",
];

#[test]
fn sixty_seeds_hold_and_meet_every_case() {
    let sweep =
        Sweep { first: 1, seeds: 60, steps: STEPS_DEFAULT, threads: 2, until_failure: false };
    let mut failures = Vec::new();
    let summary = sweep.run(&mut |_, failure| failures.extend(failure.map(ToString::to_string)));
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert_eq!((summary.passed, summary.failed), (60, 0));
    let missed: Vec<_> = MET.iter().filter(|what| summary.coverage.times(what) == 0).collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
    assert!(summary.acked * 10 > summary.sends * 8, "most sends are acknowledged");
}
