//! A stop while hundreds are connected: everybody hears when to come back,
//! and not all at the same moment.

use std::collections::BTreeSet;

use hongyan_protocol::ErrorCode;

use super::{Pair, Person, Server, resume};
use crate::support::Wire;

/// No client comes back sooner, so that the server can be back ...
const LEAST_MS: u32 = 500;
/// ... and all of them are spread over so long from then.
const SPREAD_MS: u32 = 20_000;

#[test]
fn a_stop_sends_everybody_away_and_spreads_their_return() {
    let server = Server::start(&[
        ("HONGYAN_SESSION__DRAIN_SPREAD_MS", &SPREAD_MS.to_string()),
        ("HONGYAN_LIMITS__LOGIN_TIMEOUT_MS", "600000"),
    ]);
    let mut pair = Pair::meet(server.address);
    pair.talk(3);
    let mut strangers: Vec<Wire> = (0..50).map(|_| Wire::silent(server.address)).collect();
    let mut greeted: Vec<Wire> = (0..200)
        .map(|number| {
            let mut wire = Wire::connect(server.address);
            wire.hello(&format!("device{number}"));
            wire
        })
        .collect();
    let token = Person::register(server.address, "ann").token();
    let mut session = Wire::connect(server.address);
    resume(&mut session, "ann-device", &token);
    server.await_connections(2 + 50 + 200 + 1);

    let stop = std::thread::spawn(move || server.terminate());
    // Those who said nothing are told too.
    for wire in &mut strangers {
        wire.read_preface();
        let hint = wire.goodbye_with(ErrorCode::GoingAway).reconnect_after_ms;
        assert!((1..=SPREAD_MS).contains(&hint), "{hint}");
    }
    let [carol, dave] = pair.talkers;
    greeted.extend([carol.wire, dave.wire, session]);
    let hints: Vec<u32> = greeted
        .iter_mut()
        .map(|wire| wire.goodbye_with(ErrorCode::GoingAway).reconnect_after_ms)
        .collect();
    assert!(hints.iter().all(|hint| (LEAST_MS..LEAST_MS + SPREAD_MS).contains(hint)), "{hints:?}");
    // Hardly two at the same moment, and over the whole of the time.
    let different: BTreeSet<u32> = hints.iter().copied().collect();
    assert!(different.len() > hints.len() / 2, "{hints:?}");
    for quarter in 0..4 {
        let from = LEAST_MS + SPREAD_MS / 4 * quarter;
        assert!(different.range(from..from + SPREAD_MS / 4).next().is_some(), "{hints:?}");
    }
    drop(greeted);
    drop(strangers);
    stop.join().unwrap();
}
