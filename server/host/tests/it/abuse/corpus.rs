//! Every malformed input of `protocol/vectors/malformed`, each on a
//! connection of its own, over plain TCP and over TLS.
//!
//! `index.tsv` says where in a connection an input is sent and what comes
//! back; the words are explained in the protocol's own test of the corpus.

use std::fmt::Debug;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};

use hongyan_protocol::{ErrorCode, Opcode, pb, version};
use rustls::{ClientConnection, StreamOwned};

use super::{Pair, Person, resume};
use crate::support::{TestNode, Wire, eventually};

#[test]
fn every_malformed_input_is_answered_as_listed_over_tcp() {
    let test = TestNode::start();
    answer_all(&test, || Wire::silent(test.tcp()));
}

#[test]
fn every_malformed_input_is_answered_as_listed_over_tls() {
    let test = TestNode::start();
    answer_all(&test, || crate::tls::handshake(test.tls(), &test.certificate).unwrap());
}

/// One line of the index.
struct Case {
    name: String,
    stage: String,
    answer: String,
    bytes: Vec<u8>,
}

fn corpus() -> Vec<Case> {
    let folder: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol/vectors/malformed");
    let index = std::fs::read_to_string(folder.join("index.tsv")).unwrap();
    let lines = index.lines().filter(|line| !line.starts_with('#'));
    let cases: Vec<Case> = lines
        .map(|line| {
            let mut columns = line.split('\t').map(str::to_owned);
            let mut next = || columns.next().expect("four columns");
            let (name, stage, answer) = (next(), next(), next());
            let bytes = std::fs::read(folder.join(&name)).unwrap();
            Case { name, stage, answer, bytes }
        })
        .collect();
    assert!(cases.len() >= 300, "{} inputs", cases.len());
    cases
}

/// A stream whose sending side can be ended.
trait HalfClose: Read + Write + Debug {
    fn end_sending(&mut self);
}

impl HalfClose for TcpStream {
    fn end_sending(&mut self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

impl HalfClose for StreamOwned<ClientConnection, TcpStream> {
    fn end_sending(&mut self) {
        self.conn.send_close_notify();
        self.flush().unwrap();
        self.sock.shutdown(Shutdown::Write).unwrap();
    }
}

fn answer_all<S: HalfClose>(test: &TestNode, open: impl Fn() -> Wire<S>) {
    let mut pair = Pair::meet(test.tcp());
    let mut mallory = Person::register(test.tcp(), "mallory");
    let token = mallory.token();
    for (number, case) in corpus().iter().enumerate() {
        let mut wire = open();
        prepare(&mut wire, &case.stage, &token);
        wire.send_bytes(&case.bytes);
        check(wire, case);
        if number % 50 == 0 {
            pair.talk(1);
        }
    }
    pair.talk(5);
    // The first of the inputs that opened a session took the place of this
    // one; it was told, and nothing else happened to it.
    mallory.wire.goodbye_with(ErrorCode::Replaced);
    eventually("only the pair is left", || test.handle().connections() == 2);
    let mut wire = open();
    prepare(&mut wire, "session", &token);
    let devices: pb::Devices = wire.call(Opcode::ListDevices, &pb::ListDevices {}).unwrap();
    assert_eq!(devices.devices.len(), 1);
}

/// Brings a new connection to the stage in which an input is sent.
fn prepare<S: HalfClose>(wire: &mut Wire<S>, stage: &str, token: &str) {
    if stage == "preface" {
        return;
    }
    wire.exchange_prefaces();
    match stage {
        "hello" => {}
        "login" => {
            wire.hello("mallory-device");
        }
        "session" => resume(wire, "mallory-device", token),
        other => panic!("no such stage: {other}"),
    }
}

/// Reads the answer, and looks whether the connection is open or closed as
/// it must be.
fn check<S: HalfClose>(mut wire: Wire<S>, case: &Case) {
    let name = &case.name;
    let (answer, code) = case.answer.split_once(' ').unwrap_or((&case.answer, ""));
    let code: u32 = if code.is_empty() { 0 } else { code.parse().unwrap() };
    // A preface is answered by a preface, good or bad, once it is whole.
    if case.stage == "preface" && answer != "silence" {
        assert_eq!(wire.read_preface()[..4], version::CLIENT_PREFACE[..4], "{name}");
    }
    match answer {
        "error" => {
            let frame = wire.receive().unwrap_or_else(|| panic!("{name}: closed"));
            assert_eq!(frame.opcode, Opcode::Error.number(), "{name}");
            let error: pb::Error = frame.message().unwrap();
            assert_eq!(error.code, code, "{name}: {}", error.message);
            wire.beat();
        }
        // The end of the stream is checked too.
        "goodbye" => assert_eq!(wire.goodbye().code, code, "{name}"),
        "ok" => {
            if case.stage != "preface" {
                let frame = wire.receive().unwrap_or_else(|| panic!("{name}: closed"));
                assert_ne!(frame.opcode, Opcode::Error.number(), "{name}: {frame:?}");
                assert_eq!(frame.request, 7, "{name}");
            }
            wire.beat();
        }
        "heartbeat" => {
            let frame = wire.receive().unwrap_or_else(|| panic!("{name}: closed"));
            assert!(frame.is_heartbeat(), "{name}: {frame:?}");
            wire.beat();
        }
        // The server reads the end of the stream after these bytes: had it
        // had an answer to them, that would have come first.
        "silence" => {
            wire.stream.end_sending();
            assert_eq!(wire.receive(), None, "{name}");
        }
        other => panic!("{name}: no such answer: {other}"),
    }
}
