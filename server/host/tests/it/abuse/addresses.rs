//! Limits at the door: connections of one address, connections at all,
//! logins, requests. Who is over a limit hears so, with the time to come
//! back; everybody else goes on.

use std::collections::BTreeSet;
use std::io::Write;

use hongyan_protocol::{ErrorCode, Opcode, pb, version};

use super::{Pair, Person, connect_from};
use crate::support::{PASSWORD, TestNode, Wire, eventually};

/// Connects from 127.0.0.`last` and asks for a heartbeat in the same moment:
/// either that comes back, or a Goodbye with the time to come back.
fn knock(test: &TestNode, last: u8) -> Result<Wire, u32> {
    let mut stream = connect_from(last, test.tcp());
    // Somebody who is turned away may be gone already.
    let _ = stream.write_all(&[&version::CLIENT_PREFACE[..], &[0]].concat());
    let mut wire = Wire::over(stream);
    wire.read_preface();
    let frame = wire.receive().expect("closed without a word");
    if frame.is_heartbeat() {
        return Ok(wire);
    }
    let goodbye: pb::Goodbye = frame.message().unwrap();
    assert_eq!(goodbye.code, ErrorCode::TooManyConnections.number());
    assert_eq!(wire.receive(), None);
    Err(goodbye.reconnect_after_ms)
}

#[test]
fn an_address_that_comes_too_often_is_told_and_others_come_in() {
    let test = TestNode::start_with(|raw| {
        raw.limits.limit_loopback = true;
        raw.limits.address_connections_burst = 10;
        raw.limits.address_connections_per_second = 1;
    });
    let mut pair = Pair::meet(test.tcp());
    let knocks: Vec<_> = (0..60).map(|_| knock(&test, 7)).collect();
    let refused: Vec<u32> =
        knocks.iter().filter_map(|knock| knock.as_ref().err()).copied().collect();
    assert!(knocks.len() - refused.len() >= 10, "the burst was not let in");
    assert!(refused.len() >= 20, "{} were refused", refused.len());
    assert_eq!(test.metric("hongyan_accept_rate_limited_total"), refused.len() as f64);
    spread_over(&refused, 2_000);
    // Those who were let in stay, and so do the others.
    for mut wire in knocks.into_iter().flatten() {
        wire.beat();
    }
    assert!(knock(&test, 8).is_ok(), "another address is kept out");
    pair.talk(2);
    eventually("the address may come again", || knock(&test, 7).is_ok());
}

#[test]
fn a_full_server_spreads_the_moments_of_those_it_turns_away() {
    let test = TestNode::start_with(|raw| raw.limits.connections_max = 12);
    let mut pair = Pair::meet(test.tcp());
    let mut inside: Vec<Wire> = (0..10).map(|_| knock(&test, 7).expect("room")).collect();
    let refused: Vec<u32> = (0..20).map(|last| knock(&test, 10 + last).err().unwrap()).collect();
    spread_over(&refused, 10_000);
    pair.talk(2);
    for wire in &mut inside {
        wire.beat();
    }
    drop(inside);
    eventually("there is room again", || knock(&test, 8).is_ok());
}

/// All at least `least`, less than twice that, and not all the same.
fn spread_over(hints: &[u32], least: u32) {
    assert!(hints.iter().all(|hint| (least..2 * least).contains(hint)), "{hints:?}");
    let different: BTreeSet<&u32> = hints.iter().collect();
    assert!(different.len() > hints.len() / 2, "{hints:?}");
}

#[test]
fn guessing_a_password_is_slowed_down_for_that_account_alone() {
    let test = TestNode::start_with(|raw| raw.auth.login_failures_max = 3);
    let mut pair = Pair::meet(test.tcp());
    let guess = |name: &str, password: &str| {
        let mut wire = test.connect();
        wire.hello("guesser");
        let login = pb::Login { name: name.into(), password: password.into() };
        wire.call::<pb::Session>(Opcode::Login, &login).unwrap_err()
    };
    for _ in 0..3 {
        assert_eq!(guess("carol", "a wrong password").code, ErrorCode::BadCredentials.number());
    }
    // Not even the right one now: else the answer would tell it.
    for password in ["a wrong password", PASSWORD] {
        let error = guess("carol", password);
        assert_eq!(error.code, ErrorCode::RateLimited.number());
        assert!((1..=600_000).contains(&error.retry_after_ms), "{error:?}");
    }
    let mut dave = test.connect();
    dave.hello("dave-other-device");
    dave.login("dave").unwrap();
    pair.talk(2);
}

#[test]
fn more_logins_than_can_be_hashed_are_told_to_come_back() {
    let test = TestNode::start_with(|raw| raw.limits.offload_queue_max = 1);
    let mut pair = Pair::meet(test.tcp());
    let mut wires: Vec<Wire> = (0..20).map(|_| test.connect()).collect();
    for wire in &mut wires {
        wire.hello("guesser");
    }
    // Each of a name of its own: no account is slowed down by these.
    let login = |number| pb::Login { name: format!("nobody{number}"), password: PASSWORD.into() };
    let asked: Vec<u64> = wires
        .iter_mut()
        .enumerate()
        .map(|(number, wire)| wire.request(Opcode::Login, &login(number)))
        .collect();
    pair.talk(2);
    let mut busy = 0;
    for (wire, request) in wires.iter_mut().zip(asked) {
        let error: pb::Error = wire.reply(request).message().unwrap();
        match ErrorCode::from_number(error.code) {
            Some(ErrorCode::Busy) => {
                busy += 1;
                assert!(error.retry_after_ms > 0);
            }
            other => assert_eq!(other, Some(ErrorCode::BadCredentials)),
        }
        wire.beat();
    }
    assert!((1..20).contains(&busy), "{busy} of 20 were refused");
    assert_eq!(test.metric("hongyan_offload_refused_total"), f64::from(busy));
}

#[test]
fn too_many_requests_are_refused_and_may_be_sent_again_later() {
    let test = TestNode::start_with(|raw| {
        raw.limits.limit_loopback = true;
        raw.limits.requests_per_second = 5;
        raw.limits.requests_burst = 50;
    });
    let mut pair = Pair::meet(test.tcp());
    let mut mallory = Person::register(test.tcp(), "mallory").wire;
    let requests: Vec<u64> =
        (0..500).map(|_| mallory.request(Opcode::ListDevices, &pb::ListDevices {})).collect();
    let mut refused = 0;
    for request in requests {
        let reply = mallory.reply(request);
        if reply.opcode == Opcode::Error.number() {
            let error: pb::Error = reply.message().unwrap();
            assert_eq!(error.code, ErrorCode::RateLimited.number());
            assert!(error.retry_after_ms > 0);
            refused += 1;
        }
    }
    assert!((100..=450).contains(&refused), "{refused} of 500 were refused");
    pair.talk(2);
    eventually("a request is taken again", || {
        mallory.call::<pb::Devices>(Opcode::ListDevices, &pb::ListDevices {}).is_ok()
    });
}
