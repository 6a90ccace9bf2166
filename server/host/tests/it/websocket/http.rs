//! What is answered before there is a WebSocket.

use std::io::{Read, Write};

use hongyan_protocol::version;

use super::{BINARY, JSON, PING, PONG, Raw, connect, head, request};
use crate::support::TestNode;

/// Sends `text` and reads the whole answer, up to the server's end.
fn ask(test: &TestNode, text: &str) -> String {
    let mut stream = connect(test.ws());
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The protocol that a request with these lines was given.
fn agreed(test: &TestNode, lines: &str) -> String {
    let mut stream = connect(test.ws());
    stream.write_all(request(lines).as_bytes()).unwrap();
    let answer = head(&mut stream).to_lowercase();
    assert!(answer.starts_with("http/1.1 101 "), "{lines}: {answer}");
    let mut named = answer.lines().filter_map(|line| line.strip_prefix("sec-websocket-protocol: "));
    let protocol = named.next().unwrap().to_owned();
    assert_eq!(named.next(), None, "{answer}");
    protocol
}

#[test]
fn exactly_one_sub_protocol_is_agreed_on() {
    let test = TestNode::start();
    for (offered, expected) in [
        ("Sec-WebSocket-Protocol: hongyan.v1", BINARY),
        ("Sec-WebSocket-Protocol: hongyan.v1+json", JSON),
        ("Sec-WebSocket-Protocol: hongyan.v1+json, hongyan.v1", JSON),
        ("Sec-WebSocket-Protocol: hongyan.v2,hongyan.v1", BINARY),
        ("Sec-WebSocket-Protocol: chat\nSec-WebSocket-Protocol: hongyan.v1", BINARY),
    ] {
        assert_eq!(agreed(&test, offered), expected, "{offered}");
    }
    for offered in ["X: y", "Sec-WebSocket-Protocol: hongyan.v2", "Sec-WebSocket-Protocol:"] {
        let answer = ask(&test, &request(offered));
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{offered}: {answer}");
        assert!(answer.contains("offer the sub-protocol hongyan.v1"), "{offered}: {answer}");
    }
}

#[test]
fn compression_is_not_agreed_on() {
    let test = TestNode::start();
    let mut stream = connect(test.ws());
    let lines = "Sec-WebSocket-Protocol: hongyan.v1\n\
                 Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
    stream.write_all(request(lines).as_bytes()).unwrap();
    let answer = head(&mut stream).to_lowercase();
    assert!(answer.starts_with("http/1.1 101 ") && !answer.contains("extensions"), "{answer}");
}

#[test]
fn whoever_asks_for_something_else_is_told_what_there_is() {
    let test = TestNode::start();
    let good = "Sec-WebSocket-Protocol: hongyan.v1";
    let changed = |from: &str, to: &str| request(good).replace(from, to);
    for (asked, status, said) in [
        ("GET /ws HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), "426", "Upgrade: websocket\r\n"),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), "404", "no WebSocket is served"),
        ("POST /ws HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), "405", "Allow: GET\r\n"),
        (changed("Version: 13", "Version: 8"), "426", "Sec-WebSocket-Version: 13\r\n"),
        (changed("/ws", "/wss"), "404", ""),
        (changed("Upgrade: websocket", "Upgrade: h2c"), "426", ""),
        (changed("Connection: Upgrade", "Connection: close"), "400", "Connection"),
        (changed("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), "400", "Sec-WebSocket-Key"),
        (changed("Host: 127.0.0.1:5200\r\n", ""), "400", "Host"),
        (changed("Host: 127.0.0.1:5200\r\n", "Host: a\r\nHost: b\r\n"), "400", "Host"),
        (changed("HTTP/1.1", "HTTP/1.0"), "400", ""),
        ("hello there\r\n\r\n".to_owned(), "400", "WebSocket is spoken here"),
        ("GET /ws HTTP/1.1\r\nBad Header: x\r\n\r\n".to_owned(), "400", ""),
        ("\u{16}\u{3}\u{1}".to_owned(), "400", ""),
    ] {
        let answer = ask(&test, &asked);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{asked:?}: {answer}");
        assert!(answer.contains(said), "{asked:?}: {answer}");
        assert!(answer.contains("Connection: close\r\n"), "{asked:?}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{answer}");
        assert!(body.len() > 10 && body.ends_with('\n'), "{answer}");
    }
    // The path may have a query behind it.
    let mut stream = connect(test.ws());
    stream.write_all(changed("/ws", "/ws?from=a-proxy").as_bytes()).unwrap();
    assert!(head(&mut stream).starts_with("HTTP/1.1 101 "));
}

#[test]
fn a_client_of_plain_tcp_at_this_port_is_told_so() {
    let test = TestNode::start();
    let mut stream = connect(test.ws());
    stream.write_all(&version::CLIENT_PREFACE).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("plain TCP has another port"), "{answer}");
    assert!(test.metric("hongyan_connections_closed_total") >= 1.0);
}

#[test]
fn a_request_has_a_limit() {
    let test = TestNode::start();
    let long = |bytes: usize| request(&format!("X: {}", "x".repeat(bytes)));
    let answer = ask(&test, &long(8_192));
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let lines = format!("Sec-WebSocket-Protocol: hongyan.v1\nX: {}", "x".repeat(7_500));
    assert_eq!(agreed(&test, &lines), BINARY);
    let many: String = (0..300).map(|number| format!("X-{number}: y\n")).collect();
    let answer = ask(&test, &request(many.trim_end()));
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[test]
fn an_unfinished_request_ends_with_the_login_timeout() {
    let test = TestNode::start_with(|raw| raw.limits.login_timeout_ms = 300);
    let answer = ask(&test, "GET /ws HTTP/1.1\r\nHost: h\r\n");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    // And one that never began.
    let answer = ask(&test, "");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn pages_of_other_hosts_are_kept_out() {
    let with = |origin: &str| format!("Sec-WebSocket-Protocol: hongyan.v1\nOrigin: {origin}");
    let test = TestNode::start();
    // The request names 127.0.0.1 as its host; the port does not matter.
    assert_eq!(agreed(&test, &with("http://127.0.0.1:5280")), BINARY);
    for origin in ["https://evil.example", "null", "http://localhost:5280", "", "127.0.0.1"] {
        let answer = ask(&test, &request(&with(origin)));
        assert!(answer.starts_with("HTTP/1.1 403 "), "{origin}: {answer}");
    }
    let test = TestNode::start_with(|raw| {
        raw.websocket.allowed_origins = vec!["https://chat.example".into()];
    });
    assert_eq!(agreed(&test, &with("https://chat.example")), BINARY);
    assert_eq!(agreed(&test, "Sec-WebSocket-Protocol: hongyan.v1"), BINARY);
    let answer = ask(&test, &request(&with("http://127.0.0.1:5280")));
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[test]
fn frames_behind_the_request_are_not_lost() {
    let test = TestNode::start();
    let mut stream = connect(test.ws());
    let mut bytes = request("Sec-WebSocket-Protocol: hongyan.v1").into_bytes();
    bytes.extend(super::masked(PING, b"early"));
    stream.write_all(&bytes).unwrap();
    assert!(head(&mut stream).starts_with("HTTP/1.1 101 "));
    assert_eq!(Raw { stream }.receive(), Some((PONG, b"early".to_vec())));
}
