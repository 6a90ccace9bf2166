//! Connections that come and go by the thousand leave nothing behind.

use std::net::TcpStream;
use std::time::Duration;

use hongyan_protocol::{Frame, Opcode, pb, version};

use super::{Pair, Person, Server, resume};
use crate::support::{Wire, eventually};

/// Connections of one batch: all are open at once, then all are closed.
const BATCH: usize = 125;
const BATCHES: usize = 40;
/// What the server may have kept, in memory, of five thousand connections.
const MEMORY_BYTES_MAX: u64 = 8_000_000;
/// Descriptors that the store opens for a moment now and then.
const DESCRIPTORS_SLACK: usize = 8;

#[test]
fn five_thousand_connections_leave_nothing_behind() {
    let server = Server::start(&[]);
    let mut pair = Pair::meet(server.address);
    let token = Person::register(server.address, "mallory").token();
    // What the first ones make the server allocate, it keeps for the rest.
    batch(&server, &token);
    server.await_connections(2);
    let (memory, descriptors) = (server.memory_bytes(), server.descriptors());

    for _ in 0..BATCHES {
        batch(&server, &token);
        pair.talk(1);
    }
    server.await_connections(2);
    eventually("its descriptors are closed", || {
        server.descriptors() <= descriptors + DESCRIPTORS_SLACK
    });
    let accepted = server.metric("hongyan_connections_accepted_total");
    assert!(accepted >= (BATCH * BATCHES) as f64, "{accepted} connections were accepted");
    let grown = server.memory_bytes().saturating_sub(memory);
    assert!(grown < MEMORY_BYTES_MAX, "{grown} bytes more");

    pair.talk(2);
    let mut wire = Wire::connect(server.address);
    resume(&mut wire, "mallory-device", &token);
    wire.beat();
    drop(wire);
    server.terminate();
}

/// Opens connections that get to different points, and drops them all.
fn batch(server: &Server, token: &str) {
    let open: Vec<TcpStream> =
        (0..BATCH).map(|number| connection(server, number, token).stream).collect();
    for (number, stream) in open.into_iter().enumerate() {
        // Every third one is cut off: what is unsent is lost, the peer gets
        // a reset.
        if number % 3 == 0 {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(stream);
    }
}

fn connection(server: &Server, number: usize, token: &str) -> Wire {
    let mut wire = Wire::silent(server.address);
    let hello = Frame::new(Opcode::Hello, 1, &pb::Hello::default()).to_delimited();
    match number % 7 {
        0 => {}
        1 => wire.send_bytes(&version::CLIENT_PREFACE),
        2 => wire.exchange_prefaces(),
        3 => wire.send_bytes(b"GET / HTTP/1.1\r\n\r\n"),
        4 => {
            wire.exchange_prefaces();
            wire.hello("mallory-device");
        }
        // Bytes whose answer nobody will read.
        5 => wire.send_bytes(&[&version::CLIENT_PREFACE[..], &hello].concat()),
        _ => {
            wire.exchange_prefaces();
            resume(&mut wire, "mallory-device", token);
        }
    }
    wire
}
