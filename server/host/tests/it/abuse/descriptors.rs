//! No descriptors left: accepting pauses and does not spin, sessions go on,
//! and the store keeps what it needs.

use std::process::Command;
use std::time::Duration;

use hongyan_protocol::{ErrorCode, Opcode, pb};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{Pair, Person, Server};
use crate::support::{Wire, direct, eventually, text_to};

/// Ticks that the whole server may use in [`STARVED`] while it can accept
/// nobody. A thread that spins uses a hundred in each second.
const TICKS_MAX: u64 = 75;
const STARVED: Duration = Duration::from_secs(3);

#[test]
fn without_descriptors_accepting_pauses_and_sessions_go_on() {
    let server = Server::start(&[("HONGYAN_LIMITS__LOGIN_TIMEOUT_MS", "600000")]);
    let mut pair = Pair::meet(server.address);
    let room = 20;
    set_limit(&server, Some((server.descriptors() + room) as u64));
    let knocking: Vec<Wire> = (0..200).map(|_| Wire::silent(server.address)).collect();
    pair.talk(3);
    // The admin interface cannot be asked: it has no descriptor either.
    let ticks = server.cpu_ticks();
    std::thread::sleep(STARVED);
    let used = server.cpu_ticks() - ticks;
    assert!(used < TICKS_MAX, "{used} ticks while nobody could be accepted");
    pair.talk(3);

    set_limit(&server, None);
    // Somebody who knocks now is behind all the others, and comes in.
    let mut late = Person::register(server.address, "late");
    late.wire.beat();
    assert!(server.metric("hongyan_accept_exhausted_total") >= 1.0);
    drop(knocking);
    server.await_connections(3);
    pair.talk(1);
    server.terminate();
}

/// Sets how many descriptors a running server may have; `None`: as many as it
/// could have at its start.
fn set_limit(server: &Server, current: Option<u64>) {
    let pid = Pid::from_raw(server.pid as i32);
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    let current = current.or(maximum);
    prlimit(pid, Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

#[test]
fn connections_do_not_take_the_descriptors_of_the_store() {
    let mut shell = Command::new("sh");
    let line = format!("ulimit -n 256 && exec {} serve", env!("CARGO_BIN_EXE_hongyan"));
    shell.args(["-c", &line]);
    // Small segments and short rounds: the store opens files all the time.
    let server = Server::spawn(
        shell,
        &[
            ("HONGYAN_STORE__FREE_MIB_MIN", "1"),
            ("HONGYAN_STORE__SETTLE_SECONDS", "1"),
            ("HONGYAN_STORE__SETTLE_LOG_MIB", "1"),
            ("HONGYAN_LIMITS__LOGIN_TIMEOUT_MS", "600000"),
        ],
    );
    let mut pair = Pair::meet(server.address);
    let mut ann = Person::register(server.address, "ann");
    let bob = Person::register(server.address, "bob");
    let chat = direct(ann.user, bob.user);
    drop(bob);
    let crowd: Vec<Wire> = (0..300).map(|_| Wire::silent(server.address)).collect();
    let rounds = server.metric("hongyan_settle_rounds_total");
    let text = "x".repeat(16_000);
    for _ in 0..100 {
        ann.wire.call::<pb::SendAck>(Opcode::Send, &text_to(&chat, &text)).unwrap();
    }
    eventually("the state was settled meanwhile", || {
        server.metric("hongyan_settle_rounds_total") >= rounds + 2.0
    });
    pair.talk(2);
    assert_eq!(server.metric("hongyan_health"), 0.0);

    // Those who found no room were told, and when to come back.
    assert!(server.metric("hongyan_accept_full_total") >= 100.0);
    let mut last = crowd.into_iter().next_back().unwrap();
    last.read_preface();
    assert!(last.goodbye_with(ErrorCode::TooManyConnections).reconnect_after_ms > 0);
    server.terminate();
}
