//! Strangers who hold connections open: by silence, or byte by byte.
//!
//! All of them are there at once, and each must hear why it is closed; a
//! handshake that does not get on is closed without a word, because there is
//! nothing to say it in.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hongyan_protocol::{ErrorCode, Frame, Opcode, pb, version};

use super::Pair;
use crate::support::{TestNode, Wire, eventually};

/// Connections of each kind.
const EACH: usize = 25;

#[test]
fn strangers_who_do_not_get_on_are_closed_in_time_and_block_nobody() {
    let test = TestNode::start_with(|raw| {
        raw.limits.login_timeout_ms = 5_000;
        // Not what closes them.
        raw.limits.frame_timeout_ms = 600_000;
    });
    let mut pair = Pair::meet(test.tcp());
    let mut prefaced = Vec::new();
    let mut silent = Vec::new();
    let mut trickling = Vec::new();
    for _ in 0..EACH {
        silent.push(Wire::silent(test.tcp()));
        prefaced.push(part_of_a_hello(&test));
        prefaced.push(greeted(&test));
        prefaced.push(greeted_and_half_a_login(&test));
        let slow = Wire::silent(test.tcp());
        trickling.push(slow.stream.try_clone().unwrap());
        silent.push(slow);
    }
    let trickle = std::thread::spawn(move || trickle_preface(&mut trickling));
    pair.talk(20);
    for wire in &mut silent {
        wire.read_preface();
    }
    for mut wire in silent.into_iter().chain(prefaced) {
        wire.goodbye_with(ErrorCode::LoginTimeout);
    }
    trickle.join().unwrap();
    eventually("only the pair is left", || test.handle().connections() == 2);
    pair.talk(1);
    let text = test.handle().metrics();
    let line = text.lines().find(|line| line.contains("reason=\"login_timeout\"")).unwrap();
    assert!(line.ends_with(&format!(" {}", 5 * EACH)), "{line}");
}

#[test]
fn handshakes_that_do_not_get_on_are_closed_in_time_and_block_nobody() {
    let test = TestNode::start_with(|raw| {
        raw.limits.tls_handshake_timeout_ms = 3_000;
        raw.limits.login_timeout_ms = 5_000;
    });
    let mut pair = Pair::meet(test.tcp());
    let mut unfinished = Vec::new();
    let mut established = Vec::new();
    for _ in 0..EACH {
        unfinished.push(Wire::silent(test.tls()).stream);
        let mut begun = Wire::silent(test.tls()).stream;
        // A record of a handshake, 512 bytes long, of which one comes.
        begun.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).unwrap();
        unfinished.push(begun);
        established.push(crate::tls::handshake(test.tls(), &test.certificate).unwrap());
    }
    pair.talk(20);
    for mut stream in unfinished {
        let mut rest = Vec::new();
        // An alert, perhaps, and the end.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.len() < 64, "{rest:?}");
    }
    for mut wire in established {
        wire.read_preface();
        wire.goodbye_with(ErrorCode::LoginTimeout);
    }
    eventually("only the pair is left", || test.handle().connections() == 2);
    pair.talk(1);
}

/// A byte of the preface to each, and a pause far too long for the whole of
/// it; until the server has closed them.
fn trickle_preface(talkers: &mut [TcpStream]) {
    for byte in version::CLIENT_PREFACE {
        for stream in &mut *talkers {
            // It may be closed by now.
            let _ = stream.write_all(&[byte]);
        }
        std::thread::sleep(Duration::from_millis(800));
    }
}

/// The preface, and a Hello without its last byte.
fn part_of_a_hello(test: &TestNode) -> Wire {
    let hello = pb::Hello { client: "slow".into(), ..pb::Hello::default() };
    let frame = Frame::new(Opcode::Hello, 1, &hello).to_delimited();
    let mut wire = test.connect();
    wire.send_bytes(&frame[..frame.len() - 1]);
    wire
}

fn greeted(test: &TestNode) -> Wire {
    let mut wire = test.connect();
    wire.hello("slow");
    wire
}

fn greeted_and_half_a_login(test: &TestNode) -> Wire {
    let mut wire = greeted(test);
    // A length that promises more than comes.
    wire.send_bytes(&[100, 1, 2, 3]);
    wire
}
