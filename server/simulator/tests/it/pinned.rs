//! Seeds that once found something. A change of the workload gives a seed
//! another meaning, so each line also says what it found: when it does not
//! meet that case any more, the unit tests of the room still do.

use hongyan_simulator::Options;
use hongyan_simulator::sweep::run_seed;

/// Seed, steps, what it found.
const PINNED: &[(u64, u64, &str)] = &[
    (5, 1500, "a send retried after its sender was put out and taken in again was stored twice"),
    (9, 1500, "CreateGroup retried after the group was renamed was refused"),
    (70, 1500, "a push of a weaker level overtook one that waited for the sync"),
    (92, 1500, "a device that synced before a group was in its list never heard of it"),
    (110, 1500, "a cursor was acknowledged before the move that it repeats was synced"),
    (132, 1500, "a page that waited behind its gate brought a group back that was gone"),
    (326, 1500, "a sync ended after the conversations that the list has no more"),
    (421, 1500, "a page that waited behind its gate brought a group back that was gone"),
    (606, 1500, "a list that changed between two pages left a group that was gone"),
    (1175, 1500, "a list that changed between two pages left a group that was gone"),
    (1378, 1500, "a list that changed between two pages left a group that was gone"),
    (1383, 1500, "a step of a fan-out in a later wake was overtaken by a push of a weaker level"),
];

#[test]
fn every_seed_that_ever_failed_holds() {
    for (seed, steps, found) in PINNED {
        let options = Options { seed: *seed, steps: *steps };
        if let Err(failure) = run_seed(options) {
            panic!("{failure}\nthis seed once found: {found}");
        }
    }
}
