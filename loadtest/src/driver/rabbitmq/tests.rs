//! Bytes in and out of a link, and logins against a server that follows a script.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, parse_frame};
use amq_protocol::protocol::{AMQPClass, BasicProperties, basic, channel, confirm, connection};
use bytes::BytesMut;

use super::link::RabbitLink;
use super::session::{CHANNEL, encode};
use super::*;
use crate::driver::{Event, Link, LinkError};
use crate::engine::payload::Stamp;

const STAMP: Stamp = Stamp { run: 7, flow: 3, counter: 1 << 33, planned_ns: 99 };

fn text() -> TextForm {
    TextForm::new(64, 1)
}

fn link() -> RabbitLink {
    RabbitLink::new(&[Some("hy.quorum.1".to_owned()), None], &text(), true, 4).unwrap()
}

/// A link that has sent so many messages with tags from 0.
fn link_after(sends: u16) -> RabbitLink {
    let mut link = link();
    let mut out = BytesMut::new();
    (0..sends).for_each(|tag| link.encode_send(0, tag, &STAMP, &mut out));
    link
}

fn method(method: AMQPClass) -> Vec<u8> {
    encode(&AMQPFrame::Method(CHANNEL, method)).unwrap()
}

fn ack(delivery_tag: u64, multiple: bool) -> Vec<u8> {
    method(AMQPClass::Basic(basic::AMQPMethod::Ack(basic::Ack { delivery_tag, multiple })))
}

fn nack(delivery_tag: u64, multiple: bool) -> Vec<u8> {
    method(AMQPClass::Basic(basic::AMQPMethod::Nack(basic::Nack {
        delivery_tag,
        multiple,
        requeue: false,
    })))
}

/// The frames of a message that the server delivers, its body in parts.
fn delivery(delivery_tag: u64, parts: &[&[u8]]) -> Vec<u8> {
    let deliver = basic::Deliver {
        consumer_tag: "c".into(),
        delivery_tag,
        redelivered: false,
        exchange: "".into(),
        routing_key: "hy.quorum.0".into(),
    };
    let header = AMQPContentHeader {
        class_id: 60,
        body_size: parts.iter().map(|part| part.len() as u64).sum(),
        properties: BasicProperties::default().with_delivery_mode(2),
    };
    let mut bytes = method(AMQPClass::Basic(basic::AMQPMethod::Deliver(deliver)));
    bytes.extend(encode(&AMQPFrame::Header(CHANNEL, header)).unwrap());
    for part in parts {
        bytes.extend(encode(&AMQPFrame::Body(CHANNEL, part.to_vec())).unwrap());
    }
    bytes
}

/// What a connection makes of the bytes: all events but those that mean nothing.
fn events(link: &mut RabbitLink, bytes: &[u8]) -> Result<Vec<String>, LinkError> {
    let mut used = 0;
    let mut seen = Vec::new();
    while let Some((len, event)) = link.parse(&bytes[used..])? {
        used += len;
        if event != Event::Other {
            seen.push(format!("{event:?}"));
        }
    }
    assert_eq!(used, bytes.len());
    Ok(seen)
}

fn acked(tags: impl IntoIterator<Item = u16>) -> Vec<String> {
    tags.into_iter().map(|tag| format!("{:?}", Event::Acked { tag, seq: 0 })).collect()
}

#[test]
fn a_send_is_a_persistent_publish_with_the_stamped_text() {
    let mut out = BytesMut::from(&b"before"[..]);
    link().encode_send(0, 2, &STAMP, &mut out);
    let bytes = out.split_off(6);
    let (rest, publish) = parse_frame(&bytes[..]).unwrap();
    let (rest, header) = parse_frame(rest).unwrap();
    let (rest, body) = parse_frame(rest).unwrap();
    assert!(rest.is_empty());
    let wanted = basic::Publish {
        exchange: "".into(),
        routing_key: "hy.quorum.1".into(),
        mandatory: false,
        immediate: false,
    };
    assert_eq!(publish, AMQPFrame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Publish(wanted))));
    let AMQPFrame::Header(1, header) = header else { panic!("{header}") };
    assert_eq!((header.class_id, header.body_size), (60, 64));
    assert_eq!(header.properties, BasicProperties::default().with_delivery_mode(2));
    let AMQPFrame::Body(1, sent) = body else { panic!("{body}") };
    assert_eq!(text().read(&sent), Some(STAMP));
    let mut none = BytesMut::new();
    link().encode_send(1, 2, &STAMP, &mut none);
    assert!(none.is_empty());
}

#[test]
fn confirms_become_acks_in_order() {
    let mut link = link_after(5);
    assert_eq!(events(&mut link, &ack(1, false)), Ok(acked([0])));
    assert_eq!(events(&mut link, &ack(3, false)), Ok(acked([2])));
    assert_eq!(events(&mut link, &ack(4, true)), Ok(acked([1, 3])));
    assert_eq!(events(&mut link, &ack(5, true)), Ok(acked([4])));
    let mut out = BytesMut::new();
    link.encode_send(0, 3, &STAMP, &mut out);
    assert_eq!(events(&mut link, &ack(6, false)), Ok(acked([3])));
}

#[test]
fn several_answers_in_one_read_are_all_told() {
    let mut link = link_after(4);
    let bytes = [ack(2, true), nack(3, false), ack(4, true)].concat();
    let refused = format!("{:?}", Event::Refused { tag: 2, code: 541 });
    let mut wanted = acked([0, 1]);
    wanted.push(refused);
    wanted.extend(acked([3]));
    assert_eq!(events(&mut link, &bytes), Ok(wanted));
}

#[test]
fn a_nack_of_several_refuses_each() {
    let mut link = link_after(2);
    let refused = |tag| format!("{:?}", Event::Refused { tag, code: 541 });
    assert_eq!(events(&mut link, &nack(2, true)), Ok(vec![refused(0), refused(1)]));
}

#[test]
fn an_answer_to_nothing_is_refused() {
    for bytes in [ack(0, false), ack(3, false), ack(3, true), nack(9, false)] {
        let error = events(&mut link_after(2), &bytes).unwrap_err();
        assert!(matches!(error, LinkError::Unexpected(_)), "{error}");
    }
    let mut link = link_after(2);
    events(&mut link, &ack(2, false)).unwrap();
    assert!(events(&mut link, &ack(2, false)).is_err());
}

#[test]
fn a_message_is_delivered_in_one_part_or_several() {
    for parts in [vec![&b"hello"[..]], vec![b"he", b"llo"], vec![b"h", b"ell", b"o"]] {
        let mut link = link();
        let delivered = format!("{:?}", Event::Delivered { seq: 0, text: b"hello" });
        let bytes = [delivery(8, &parts), delivery(9, &parts)].concat();
        assert_eq!(events(&mut link, &bytes), Ok(vec![delivered.clone(), delivered]));
    }
    let empty = format!("{:?}", Event::Delivered { seq: 0, text: b"" });
    assert_eq!(events(&mut link(), &delivery(1, &[])), Ok(vec![empty]));
}

#[test]
fn a_cut_frame_asks_for_more() {
    let bytes = [delivery(8, &[b"hello"]), ack(1, false)].concat();
    let mut link = link_after(1);
    let mut used = 0;
    let mut told = 0;
    for end in 0..=bytes.len() {
        while let Some((len, event)) = link.parse(&bytes[used..end]).unwrap() {
            used += len;
            told += usize::from(event != Event::Other);
        }
    }
    assert_eq!((used, told), (bytes.len(), 2));
}

#[test]
fn a_receipt_acks_everything_that_was_delivered_once() {
    let mut link = link();
    let mut out = BytesMut::new();
    link.encode_receipt(1, 0, &mut out);
    assert!(out.is_empty());
    events(&mut link, &[delivery(8, &[b"a"]), delivery(9, &[b"b"])].concat()).unwrap();
    link.encode_receipt(1, 0, &mut out);
    link.encode_receipt(0, 0, &mut out);
    assert_eq!(out, ack(9, true));
    let mut silent = RabbitLink::new(&[], &text(), false, 4).unwrap();
    events(&mut silent, &delivery(8, &[b"a"])).unwrap();
    silent.encode_receipt(0, 0, &mut out);
    assert_eq!(out, ack(9, true));
}

#[test]
fn the_end_of_a_channel_or_connection_closes() {
    let connection = connection::Close {
        reply_code: 320,
        reply_text: "forced".into(),
        class_id: 0,
        method_id: 0,
    };
    let channel = channel::Close {
        reply_code: 406,
        reply_text: "timed out".into(),
        class_id: 0,
        method_id: 0,
    };
    for (bytes, code) in [
        (method(AMQPClass::Connection(connection::AMQPMethod::Close(connection))), 320),
        (method(AMQPClass::Channel(channel::AMQPMethod::Close(channel))), 406),
    ] {
        let closing = format!("{:?}", Event::Closing { code });
        assert_eq!(events(&mut link(), &bytes), Ok(vec![closing]));
    }
}

#[test]
fn what_is_not_part_of_the_job_ends_the_connection() {
    let heartbeat = encode(&AMQPFrame::Heartbeat).unwrap();
    assert_eq!(events(&mut link(), &heartbeat), Ok(Vec::new()));
    let blocked = connection::Blocked { reason: "low on disk".into() };
    let blocked = method(AMQPClass::Connection(connection::AMQPMethod::Blocked(blocked)));
    let error = events(&mut link(), &blocked).unwrap_err().to_string();
    assert!(error.contains("low on disk"), "{error}");
    let late = method(AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(confirm::SelectOk {})));
    let body = encode(&AMQPFrame::Body(CHANNEL, b"hello".to_vec())).unwrap();
    let twice = [delivery(1, &[b"hello"]), body].concat();
    let mut endless = ack(1, false);
    *endless.last_mut().unwrap() = 0;
    let huge = vec![1, 0, 1, 0xff, 0, 0, 0, 0];
    let short = vec![1, 0, 1, 0, 0, 0, 5, 0, 60, 0, 80, 1, 0xce];
    for bytes in [late, twice, endless, huge, short, b"AMQP\0\0\x09\x01".to_vec()] {
        assert!(events(&mut link_after(1), &bytes).is_err(), "{}", bytes.escape_ascii());
    }
}

#[test]
fn queues_of_one_user_differ_by_kind() {
    assert_ne!(QueueKind::Classic.queue_of(5), QueueKind::Quorum.queue_of(5));
    assert_ne!(QueueKind::Quorum.queue_of(5), QueueKind::Quorum.queue_of(6));
}

#[test]
fn a_login_that_is_refused_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut hello = [0; 8];
        stream.read_exact(&mut hello).unwrap();
        let start = connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties: Default::default(),
            mechanisms: "PLAIN".into(),
            locales: "en_US".into(),
        };
        let close = connection::Close {
            reply_code: 403,
            reply_text: "ACCESS_REFUSED".into(),
            class_id: 0,
            method_id: 0,
        };
        for method in [connection::AMQPMethod::Start(start), connection::AMQPMethod::Close(close)] {
            let frame = AMQPFrame::Method(0, AMQPClass::Connection(method));
            stream.write_all(&encode(&frame).unwrap()).unwrap();
        }
        // Until the other side is gone.
        let _ = stream.read_to_end(&mut Vec::new());
        hello
    });
    let error = Session::open(&Endpoint::tcp(addr), 0).unwrap_err().to_string();
    assert_eq!(error, "the server closed: 403 ACCESS_REFUSED");
    assert_eq!(&server.join().unwrap(), b"AMQP\0\0\x09\x01");
}
