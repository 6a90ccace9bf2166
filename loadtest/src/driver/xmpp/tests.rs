//! Bytes in and out of a link, and logins against a server that follows a script.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

use bytes::BytesMut;

use super::link::XmppLink;
use super::stanza::{Kind, Stanza};
use super::*;
use crate::driver::{Event, Link, LinkError};
use crate::engine::payload::Stamp;

const STAMP: Stamp = Stamp { run: 7, flow: 3, counter: 1 << 33, planned_ns: 99 };
const ASK: &str = "<r xmlns='urn:xmpp:sm:3'/>";

/// Long enough to have `<` and `>` in it.
fn text() -> TextForm {
    TextForm::new(1024, 1)
}

fn link() -> XmppLink {
    XmppLink::new(&[Some("hy1@localhost".to_owned()), None], &text(), 4, 1)
}

fn link_after(sends: u16) -> XmppLink {
    let mut link = link();
    let mut out = BytesMut::new();
    (0..sends).for_each(|tag| link.encode_send(0, tag, &STAMP, &mut out));
    link
}

fn events(link: &mut XmppLink, xml: &str) -> Result<Vec<String>, LinkError> {
    let mut used = 0;
    let mut seen = Vec::new();
    while let Some((len, event)) = link.parse(&xml.as_bytes()[used..])? {
        used += len;
        if event != Event::Other {
            seen.push(format!("{event:?}"));
        }
    }
    assert_eq!(used, xml.len());
    Ok(seen)
}

fn acked(tags: impl IntoIterator<Item = u16>) -> Vec<String> {
    tags.into_iter().map(|tag| format!("{:?}", Event::Acked { tag, seq: 0 })).collect()
}

fn ack(handled: u32) -> String {
    format!("<a h='{handled}' xmlns='urn:xmpp:sm:3'/>")
}

/// The stanzas in what was written: kind, id and text of each.
fn stanzas(mut bytes: &[u8]) -> Vec<(Kind, Option<u64>, Vec<u8>)> {
    let mut found = Vec::new();
    let mut text = Vec::new();
    while let Some(stanza) = Stanza::read(bytes, &mut text).unwrap() {
        found.push((stanza.kind, stanza.id, text.clone()));
        bytes = &bytes[stanza.whole_bytes..];
    }
    assert!(bytes.is_empty());
    found
}

#[test]
fn a_text_comes_back_as_it_was_written() {
    let mut out = BytesMut::new();
    let mut link = link();
    link.encode_send(1, 2, &STAMP, &mut out);
    assert!(out.is_empty());
    link.encode_send(0, 2, &STAMP, &mut out);
    let written = stanzas(&out);
    assert_eq!(written.len(), 2);
    assert_eq!((written[0].0, written[0].1), (Kind::Message, Some(1)));
    assert_eq!(text().read(&written[0].2), Some(STAMP));
    let out = String::from_utf8(out.to_vec()).unwrap();
    assert!(out.starts_with("<message type='chat' id='1' to='hy1@localhost'><body>"), "{out}");
    assert!(out.ends_with(&format!("</body></message>{ASK}")), "{out}");
    assert!(out.contains("&lt;") && out.contains("&gt;"), "{out}");
}

#[test]
fn one_request_ends_the_sends_of_each_flush() {
    let mut link = link();
    let mut out = BytesMut::new();
    for tag in 0..3 {
        link.encode_send(0, tag, &STAMP, &mut out);
    }
    let kinds: Vec<Kind> = stanzas(&out).into_iter().map(|found| found.0).collect();
    assert_eq!(kinds, [Kind::Message, Kind::Message, Kind::Message, Kind::AckRequest]);
    // The request is alone in what is left of a flush; then a part of it is on its way already.
    let mut whole = BytesMut::from(ASK);
    link.encode_send(0, 3, &STAMP, &mut whole);
    assert_eq!(stanzas(&whole).len(), 2);
    let mut part = BytesMut::from(&ASK[5..]);
    link.encode_send(0, 4, &STAMP, &mut part);
    assert!(part.starts_with(&ASK.as_bytes()[5..]) && part.ends_with(ASK.as_bytes()));
    assert_eq!(stanzas(&part[ASK.len() - 5..]).len(), 2);
}

#[test]
fn an_ack_covers_every_send_up_to_its_number() {
    let mut link = link_after(4);
    assert_eq!(events(&mut link, &ack(1)), Ok(Vec::new()));
    assert_eq!(events(&mut link, &ack(2)), Ok(acked([0])));
    assert_eq!(events(&mut link, &format!("{}{}", ack(4), ack(5))), Ok(acked([1, 2, 3])));
    let error = events(&mut link, &ack(6)).unwrap_err();
    assert!(matches!(error, LinkError::Unexpected(_)), "{error}");
    assert!(events(&mut link_after(1), &ack(0)).is_err());
    assert!(events(&mut link_after(1), "<a xmlns='urn:xmpp:sm:3'/>").is_err());
}

#[test]
fn messages_are_delivered_and_counted_for_the_server() {
    let mut link = link();
    let mut out = BytesMut::new();
    let one = "<message from='hy0@localhost/hy' type='chat' id='1'><body>a&lt;b</body></message>";
    let two = "<message from='hy0@localhost/hy' type='chat' id='2'><body>c</body></message>";
    let told = [&b"a<b"[..], b"c"].map(|text| format!("{:?}", Event::Delivered { seq: 0, text }));
    assert_eq!(events(&mut link, &format!("{one}{ASK}{two}")), Ok(told.to_vec()));
    link.encode_upkeep(&mut out);
    link.encode_upkeep(&mut out);
    link.encode_receipt(1, 0, &mut out);
    // The presence that the login counted, and the two messages.
    assert_eq!(out, "<a xmlns='urn:xmpp:sm:3' h='3'/>");
}

#[test]
fn what_an_earlier_run_left_is_counted_for_the_server_only() {
    let mut link = link();
    let mut out = BytesMut::new();
    let old =
        "<message id='1'><delay xmlns='urn:xmpp:delay'>Resent</delay><body>a</body></message>";
    assert_eq!(events(&mut link, &format!("{old}{ASK}")), Ok(Vec::new()));
    link.encode_upkeep(&mut out);
    assert_eq!(out, "<a xmlns='urn:xmpp:sm:3' h='2'/>");
}

#[test]
fn a_message_that_comes_back_is_refused() {
    let back = |id: u64| {
        format!(
            "<message type='error' id='{id}'><error type='cancel'><service-unavailable/></error>\
             <body>x</body></message>"
        )
    };
    let mut link = link_after(3);
    let refused = format!("{:?}", Event::Refused { tag: 1, code: 503 });
    assert_eq!(events(&mut link, &back(2)), Ok(vec![refused]));
    assert_eq!(events(&mut link, &ack(4)), Ok(acked([0, 2])));
    let error = events(&mut link, &back(1)).unwrap_err().to_string();
    assert!(error.contains("service-unavailable"), "{error}");
}

#[test]
fn the_end_of_the_stream_is_told_and_nonsense_refused() {
    let closing = format!("{:?}", Event::Closing { code: 0 });
    assert_eq!(events(&mut link(), "</stream:stream>"), Ok(vec![closing]));
    assert_eq!(events(&mut link(), " \n<presence/>"), Ok(Vec::new()));
    let error =
        events(&mut link(), "<stream:error><conflict/></stream:error>").unwrap_err().to_string();
    assert!(error.contains("conflict"), "{error}");
    for xml in ["<proceed/>", "<message><body></message>", "hello"] {
        assert!(events(&mut link(), xml).is_err(), "{xml}");
    }
}

/// A server that takes one connection, and for each step waits until so much of it was read and
/// then answers. Gives back what comes after the last step.
fn scripted(steps: &'static [(&'static str, &'static str)]) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut byte = [0];
        for (until, answer) in steps {
            let mut heard = String::new();
            while !heard.ends_with(until) {
                stream.read_exact(&mut byte).unwrap();
                heard.push(char::from(byte[0]));
            }
            stream.write_all(answer.as_bytes()).unwrap();
        }
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        rest
    });
    (addr, server)
}

const OPENED: &str = "<?xml version='1.0'?><stream:stream id='1'><stream:features/>";

#[test]
fn a_login_among_old_messages_leaves_no_request_without_an_answer() {
    let (addr, server) = scripted(&[
        ("streams'>", OPENED),
        ("</auth>", "<success/>"),
        ("streams'>", OPENED),
        ("</iq>", "<iq type='result' id='1'/>\n"),
        ("<enable xmlns='urn:xmpp:sm:3'/>", "<enabled/>"),
        (
            ASK,
            "<message id='9'><body>old</body></message><r/><a h='1'/><message id='10'/><presence/>",
        ),
    ]);
    let mut session = Session::begin(&Endpoint::tcp(addr), 0).unwrap();
    assert_eq!(session.log_in("hy0", PASSWORD).unwrap(), 3);
    drop(session);
    assert_eq!(server.join().unwrap(), "<a xmlns='urn:xmpp:sm:3' h='1'/>");
}

#[test]
fn a_login_that_is_refused_says_why() {
    let (addr, server) = scripted(&[
        ("streams'>", OPENED),
        ("</iq>", "<iq type='error' id='1'><error><conflict/></error></iq>"),
        ("</iq>", "<iq type='error' id='1'><error><resource-constraint/></error></iq>"),
        ("</auth>", "<failure><not-authorized/></failure>"),
    ]);
    let mut session = Session::begin(&Endpoint::tcp(addr), 0).unwrap();
    session.register("hy0", PASSWORD).unwrap();
    let error = format!("{:#}", session.register("hy1", PASSWORD).unwrap_err());
    assert!(error.contains("hy1: resource-constraint"), "{error}");
    let error = format!("{:#}", session.log_in("hy0", PASSWORD).unwrap_err());
    assert!(error.contains("not-authorized"), "{error}");
    drop(session);
    assert_eq!(server.join().unwrap(), "");
}
