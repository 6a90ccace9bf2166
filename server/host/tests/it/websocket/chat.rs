//! People on WebSocket and on TCP, one conversation.

use hongyan_protocol::{Opcode, pb};
use serde_json::{Value, json};

use super::{Bridge, JSON, Raw, TEXT};
use crate::support::{PASSWORD, TestNode, Wire, direct};
use crate::tls::handshake;

#[test]
fn a_browser_and_an_app_talk() {
    let test = TestNode::start();
    let mut ann = test.bridge();
    ann.hello("ann-device");
    let ann_id = ann.register("ann").user_id;
    let mut bob = test.connect();
    bob.hello("bob-device");
    let bob_id = bob.register("bob").user_id;
    let chat = direct(ann_id, bob_id);
    for (seq, text) in ["hello", "鸿雁 🪿", &"long ".repeat(3_000)].into_iter().enumerate() {
        let seq = seq as u64 * 2 + 1;
        assert_eq!(ann.say(&chat, text).unwrap().seq, seq);
        let heard: pb::Message = bob.push(Opcode::Message).message().unwrap();
        assert_eq!(heard.body, body(text));
        assert_eq!(bob.say(&chat, text).unwrap().seq, seq + 1);
        let heard: pb::Message = ann.push(Opcode::Message).message().unwrap();
        assert_eq!((heard.seq, heard.body), (seq + 1, body(text)));
    }
    assert_eq!(test.metric("hongyan_websocket_upgrades_total"), 1.0);
}

fn body(text: &str) -> Option<pb::Body> {
    Some(pb::Body { kind: Some(pb::body::Kind::Text(text.into())) })
}

#[test]
fn the_same_over_tls() {
    let test = TestNode::start();
    let address = test.handle().wss_addr().unwrap();
    let tls = handshake(address, &test.certificate).unwrap().stream;
    let mut ann = Wire::over(Bridge::over(address, tls));
    ann.hello("ann-device");
    let ann_id = ann.register("ann").user_id;
    let mut bob = test.bridge();
    bob.hello("bob-device");
    let bob_id = bob.register("bob").user_id;
    // More than one record of TLS, and more than one write.
    let chat = direct(ann_id, bob_id);
    for seq in 1..=10 {
        assert_eq!(ann.say(&chat, &"x".repeat(16_000)).unwrap().seq, seq);
    }
    let history = pb::History { conversation: Some(chat), ..pb::History::default() };
    let page: pb::HistoryPage = ann.call(Opcode::History, &history).unwrap();
    assert_eq!(page.messages.len(), 10);
    for seq in 1..=10 {
        let heard: pb::Message = bob.push(Opcode::Message).message().unwrap();
        assert_eq!(heard.seq, seq);
    }
}

/// What a person types into a browser's console.
#[test]
fn a_console_talks_json() {
    let test = TestNode::start();
    let mut bob = test.connect();
    bob.hello("bob-device");
    let bob_id = bob.register("bob").user_id;
    let mut console = Raw::open(test.ws(), JSON);
    let mut call = |name: &str, payload: Value| -> Value {
        let text = json!({"name": name, "request": 7, "payload": payload}).to_string();
        console.send(TEXT, text.as_bytes());
        loop {
            let (first, text) = console.receive().unwrap();
            assert_eq!(first, TEXT);
            let frame: Value = serde_json::from_slice(&text).unwrap();
            if frame["request"] == "7" {
                return frame;
            }
        }
    };
    let welcome = call("Hello", json!({"client": "console", "device": {"id": "my-browser"}}));
    assert_eq!(welcome["message"], "Welcome");
    let session = call("Register", json!({"name": "ann", "password": PASSWORD}));
    let ann_id: u64 = session["payload"]["userId"].as_str().unwrap().parse().unwrap();
    let (low, high) = (ann_id.min(bob_id).to_string(), ann_id.max(bob_id).to_string());
    let chat = json!({"lowUser": low, "highUser": high});
    let ack = call(
        "Send",
        json!({"conversation": chat, "clientMsgId": "AAECAwQFBgcICQoLDA0ODw==", "body": {"text": "嗨"}}),
    );
    assert_eq!(ack["payload"]["seq"], "1", "{ack}");
    let heard: pb::Message = bob.push(Opcode::Message).message().unwrap();
    assert_eq!(heard.body, body("嗨"));
    bob.say(&direct(ann_id, bob_id), "hi").unwrap();
    let (_, push) = console.receive().unwrap();
    let push: Value = serde_json::from_slice(&push).unwrap();
    assert_eq!((&push["name"], &push["request"]), (&json!("Message"), &json!("0")));
    assert_eq!(push["payload"]["body"], json!({"text": "hi"}));
}
