//! TLS: the same frames, certificates that change, and who does not speak it.

use std::net::{SocketAddr, TcpStream};

use hongyan_protocol::Opcode;
use rustls::{ClientConnection, StreamOwned};

use crate::support::{PATIENCE, TestCertificate, TestNode, Wire, direct, eventually};

pub(crate) type TlsWire = Wire<StreamOwned<ClientConnection, TcpStream>>;

/// A connection with TLS established, and nothing sent on it.
pub(crate) fn handshake(
    address: SocketAddr,
    certificate: &TestCertificate,
) -> Result<TlsWire, std::io::Error> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let name = "localhost".try_into().unwrap();
    let mut tls = ClientConnection::new(certificate.client(), name).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut socket)?;
    }
    Ok(Wire::over(StreamOwned::new(tls, socket)))
}

fn connect(test: &TestNode, certificate: &TestCertificate) -> Result<TlsWire, std::io::Error> {
    let mut wire = handshake(test.tls(), certificate)?;
    wire.exchange_prefaces();
    Ok(wire)
}

#[test]
fn people_talk_over_tls_and_move_between_workers() {
    let test = TestNode::start_with(|raw| raw.listen.shards = 4);
    let mut people = Vec::new();
    for name in ["ann", "bob", "cat", "dan"] {
        let mut wire = connect(&test, &test.certificate).unwrap();
        wire.hello("d");
        let id = wire.register(name).user_id;
        people.push((wire, id));
    }
    let chat = direct(people[0].1, people[1].1);
    // More than one TLS record each way.
    let text = "z".repeat(16_000);
    for _ in 0..10 {
        people[0].0.say(&chat, &text).unwrap();
    }
    for seq in 1..=10 {
        let message: hongyan_protocol::pb::Message =
            people[1].0.push(Opcode::Message).message().unwrap();
        assert_eq!(message.seq, seq);
    }
    let history = hongyan_protocol::pb::History {
        conversation: Some(chat),
        limit: 10,
        ..hongyan_protocol::pb::History::default()
    };
    let page: hongyan_protocol::pb::HistoryPage =
        people[1].0.call(Opcode::History, &history).unwrap();
    assert_eq!(page.messages.len(), 10);
}

#[test]
fn a_new_certificate_is_taken_and_old_connections_stay() {
    let test = TestNode::start();
    let mut old = connect(&test, &test.certificate).unwrap();
    let renewed = TestCertificate::write(test.dir.path());
    assert!(connect(&test, &renewed).is_err(), "the new certificate before the reload");
    test.handle().reload_certificate().unwrap();
    let mut new = connect(&test, &renewed).unwrap();
    new.beat();
    old.beat();
    std::fs::write(&renewed.certificate, "garbage").unwrap();
    assert!(test.handle().reload_certificate().is_err());
    connect(&test, &renewed).unwrap().beat();
}

#[test]
fn plain_bytes_on_the_tls_port_are_closed() {
    let test = TestNode::start();
    let mut wire = Wire::silent(test.tls());
    wire.send_bytes(&hongyan_protocol::version::CLIENT_PREFACE);
    let mut rest = Vec::new();
    // An alert, perhaps, and the end.
    let _ = std::io::Read::read_to_end(&mut wire.stream, &mut rest);
    assert!(rest.len() < 64);
    eventually("it is gone", || test.handle().connections() == 0);
}

#[test]
fn a_handshake_that_does_not_get_on_is_closed() {
    let test = TestNode::start_with(|raw| raw.limits.tls_handshake_timeout_ms = 300);
    let wire = Wire::silent(test.tls());
    eventually("it came", || test.metric("hongyan_connections_accepted_total") >= 1.0);
    eventually("it is gone", || test.handle().connections() == 0);
    drop(wire);
}
