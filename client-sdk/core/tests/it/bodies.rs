//! Bodies from newer clients keep their bytes, whichever way they come.

use bytes::Bytes;
use hongyan_client_core::event::RequestToken;
use hongyan_client_core::{Body, ConversationId, Message, Opcode, pb};
use prost::Message as _;

use crate::server::{PEER, direct};
use crate::world::World;

/// A text with a field that nobody knows yet.
fn newer_text(text: &str) -> Bytes {
    let known = pb::Body { kind: Some(pb::body::Kind::Text(text.into())) };
    [known.encode_to_vec(), vec![0x98, 0x06, 7]].concat().into()
}

/// A kind that nobody knows yet.
const NEWER_KIND: Bytes = Bytes::from_static(&[0xfa, 0x01, 3, 1, 2, 3]);

fn bodies(messages: impl Iterator<Item = impl AsRef<Message>>) -> Vec<Bytes> {
    messages.map(|message| message.as_ref().encoded_body()).collect()
}

fn shown(world: &World, id: ConversationId) -> Vec<Bytes> {
    bodies(world.core.timeline(id).messages.iter())
}

/// What is shown, kept and found again after a restart is what was sent.
fn check(world: &mut World, sent: &[Bytes]) {
    assert_eq!(shown(world, direct()), sent);
    assert_eq!(bodies(world.stored.messages[&direct()].values()), sent);
    let (text, kind) = (&sent[0], &sent[1]);
    let view = world.core.timeline(direct());
    let said: Vec<_> = view.messages.iter().map(|message| message.body.clone()).collect();
    assert_eq!(said[..2], [Body::from("hi"), Body::Unknown]);
    assert_eq!((text, kind), (&newer_text("hi"), &NEWER_KIND));
    world.restart(false);
    assert_eq!(shown(world, direct()), sent);
}

#[test]
fn a_push_keeps_them() {
    let mut world = World::live();
    for body in [newer_text("hi"), NEWER_KIND] {
        world.server.say_body(direct(), PEER, body, true);
    }
    world.run();
    check(&mut world, &[newer_text("hi"), NEWER_KIND]);
}

#[test]
fn a_sync_keeps_them() {
    let mut world = World::live();
    world.reachable = false;
    world.cut();
    for body in [newer_text("hi"), NEWER_KIND, newer_text("last")] {
        world.server.say_body(direct(), PEER, body, false);
    }
    world.reachable = true;
    world.pass(1_000);
    check(&mut world, &[newer_text("hi"), NEWER_KIND, newer_text("last")]);
    // The same by a Sync of its own, from what is held.
    world.pass(1_000);
    for body in [newer_text("more"), NEWER_KIND] {
        world.server.say_body(direct(), PEER, body, false);
    }
    world.server.push(Opcode::SyncNeeded, &pb::SyncNeeded {});
    world.run();
    assert_eq!(shown(&world, direct())[3..], [newer_text("more"), NEWER_KIND]);
}

#[test]
fn a_filled_gap_and_older_pages_keep_them() {
    let mut world = World::live();
    world.server.say(direct(), PEER, "seen", false);
    world.server.conversation(direct()).delivered.insert(crate::server::ME, 1);
    world.server.push(Opcode::SyncNeeded, &pb::SyncNeeded {});
    world.run();
    for body in [newer_text("hi"), NEWER_KIND] {
        world.server.say_body(direct(), PEER, body, false);
    }
    world.server.say(direct(), PEER, "pushed", true);
    world.pass(1_000);
    assert_eq!(shown(&world, direct())[1..3], [newer_text("hi"), NEWER_KIND]);
    assert!(world.server.seen.contains(&Opcode::History));
    // Paged back in by a device that starts anew.
    let mut fresh = World::new();
    std::mem::swap(&mut fresh.server, &mut world.server);
    fresh.server.conversation(direct()).delivered.insert(crate::server::ME, 4);
    fresh.login();
    fresh.run();
    assert_eq!(shown(&fresh, direct()).len(), 1);
    fresh.core.load_older(fresh.now_ms, RequestToken(7), direct(), 0).expect("it is live");
    fresh.run();
    assert_eq!(shown(&fresh, direct())[1..3], [newer_text("hi"), NEWER_KIND]);
}
