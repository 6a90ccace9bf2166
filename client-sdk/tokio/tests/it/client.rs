//! The client's handle, end to end over loopback.

use std::time::Duration;

use hongyan_client::{
    AckLevel, Body, Client, ClientError, Credentials, ErrorCode, Event, EventError, FileLocalStore,
    SendState, SignOutReason, Status,
};

use crate::peer::Peer;

/// Far longer than anything here takes; a test that hangs must end.
const PATIENCE: Duration = Duration::from_secs(60);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

async fn client(peer: &Peer, name: &str) -> Client {
    let client = Client::builder(peer.address.to_string())
        .plaintext()
        .build()
        .await
        .expect("the settings are valid");
    within(client.register(name, "password", "")).await.expect("the name is free");
    within(client.wait_live()).await.expect("it goes live");
    client
}

#[tokio::test]
async fn two_people_talk_and_see_how_far_it_got() {
    let peer = Peer::start().await;
    let alice = client(&peer, "alice").await;
    let bob = client(&peer, "bob").await;
    let mut heard = bob.events();
    let found = within(alice.find_user("bob")).await.expect("bob is there");
    let chat = alice.direct(found.user).expect("two people");
    let mut sent = within(alice.send_text(chat, "hello")).await.expect("it is kept");
    let ack = within(sent.wait()).await.expect("it is stored");
    assert_eq!((ack.seq, ack.level, ack.repeated_send), (1, AckLevel::Durable, false));
    let message = within(async {
        loop {
            if let Event::Message(message) = heard.recv().await.expect("bob is not slow") {
                return message;
            }
        }
    })
    .await;
    assert_eq!(message.body.text(), Some("hello"));
    assert_eq!(bob.conversation(chat).expect("it is listed").unread, 1);
    within(async {
        while sent.state() != SendState::Delivered {
            sent.next_state().await.expect("delivery is told");
        }
    })
    .await;
    within(bob.mark_read(chat, 1)).await.expect("the client runs");
    within(async {
        while sent.state() != SendState::Read {
            sent.next_state().await.expect("reading is told");
        }
    })
    .await;
    let mut list = bob.conversations();
    let read = within(list.wait_for(|list| list[0].unread == 0)).await;
    assert_eq!(read.expect("the client runs").len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_without_a_copy() {
    let peer = Peer::start().await;
    let alice = client(&peer, "alice").await;
    let bob = client(&peer, "bob").await;
    let chat = alice.direct(bob.account().expect("signed in").user).expect("two people");
    peer.state().cut_sends = 2;
    let sent = within(alice.send_text(chat, "once")).await.expect("it is kept");
    within(sent.wait()).await.expect("it is stored");
    assert_eq!(peer.state().conversations[&chat].len(), 1);
    assert!(!matches!(alice.status(), Status::SignedOut { .. }));
}

#[tokio::test]
async fn refusals_are_typed() {
    let peer = Peer::start().await;
    let alice = client(&peer, "alice").await;
    let nobody = within(alice.find_user("nobody")).await.expect_err("there is nobody");
    assert!(nobody.is(ErrorCode::NoSuchUser));
    let again = within(alice.login("alice", "password")).await;
    assert!(matches!(again, Err(ClientError::Invalid(_))));
    let other = Client::builder(peer.address.to_string())
        .plaintext()
        .build()
        .await
        .expect("the settings are valid");
    let refused = within(other.login("alice", "wrong password")).await.expect_err("it is wrong");
    assert!(refused.is(ErrorCode::BadCredentials));
    assert_eq!(other.status(), Status::AuthRequired);
    assert_eq!(within(other.resume()).await, Err(ClientError::Offline));
    assert_eq!(within(other.devices()).await, Err(ClientError::Offline));
}

#[tokio::test]
async fn nobody_listens() {
    let client =
        Client::builder("127.0.0.1:1").plaintext().build().await.expect("the settings are valid");
    let failed = within(client.login("alice", "password")).await;
    assert!(matches!(failed, Err(ClientError::Connect(_))), "{failed:?}");
}

#[tokio::test]
async fn a_goodbye_is_obeyed() {
    let peer = Peer::start().await;
    let alice = client(&peer, "alice").await;
    let mut status = alice.connection_status();
    peer.goodbye(ErrorCode::GoingAway, 50);
    within(status.wait_for(|status| matches!(status, Status::WaitingToReconnect { .. })))
        .await
        .expect("the client runs");
    within(alice.wait_live()).await.expect("it comes back");
    peer.goodbye(ErrorCode::SignedOut, 0);
    let reason = SignOutReason::Goodbye(ErrorCode::SignedOut.number());
    within(status.wait_for(|status| *status == Status::SignedOut { reason }))
        .await
        .expect("the client runs");
    assert_eq!(within(alice.wait_live()).await, Err(ClientError::Offline));
}

#[tokio::test]
async fn an_expired_token_is_refreshed_by_itself() {
    let peer = Peer::start().await;
    let alice = client(&peer, "alice").await;
    peer.state().expire_tokens = true;
    let mut status = alice.connection_status();
    peer.goodbye(ErrorCode::GoingAway, 1);
    within(status.wait_for(|status| *status != Status::Live)).await.expect("the client runs");
    within(alice.wait_live()).await.expect("it comes back");
    assert_eq!(peer.state().refreshes, 1);
}

#[tokio::test]
async fn state_outlives_the_process() {
    let peer = Peer::start().await;
    let directory = tempfile::tempdir().expect("a directory can be made");
    let open = || async {
        let store = FileLocalStore::open(directory.path()).expect("the store opens");
        Client::builder(peer.address.to_string())
            .plaintext()
            .store(store)
            .credentials(Credentials::Register {
                name: "alice".into(),
                password: "password".into(),
                display_name: String::new(),
            })
            .build()
            .await
            .expect("the settings are valid")
    };
    let bob = client(&peer, "bob").await;
    let alice = open().await;
    within(alice.wait_live()).await.expect("it goes live");
    let device_id = alice.device_id().to_owned();
    let chat = alice.direct(bob.account().expect("signed in").user).expect("two people");
    within(within(alice.send_text(chat, "one")).await.expect("it is kept").wait())
        .await
        .expect("it is stored");
    within(alice.disconnect()).await.expect("the client runs");
    let waiting = within(alice.send_text(chat, "two")).await.expect("it is kept offline");
    assert_eq!(waiting.state(), SendState::Sending);
    within(alice.shutdown()).await;
    assert_eq!(within(waiting.wait()).await, Err(ClientError::Closed));
    assert_eq!(within(alice.send_text(chat, "never")).await.err(), Some(ClientError::Closed));

    let alice = open().await;
    assert_eq!(alice.device_id(), device_id);
    within(alice.wait_live()).await.expect("tokens open the session");
    let mut timeline = within(alice.timeline(chat)).await.expect("the client runs");
    let view =
        within(timeline.wait_for(|view| view.messages.len() == 2 && view.pending.is_empty()))
            .await
            .expect("the client runs");
    let texts: Vec<_> = view.messages.iter().filter_map(|m| m.body.text()).collect();
    assert_eq!(texts, ["one", "two"]);
    assert_eq!(peer.state().conversations[&chat].len(), 2);
}

#[tokio::test]
async fn timelines_page_back() {
    let peer = Peer::start().await;
    let alice = client(&peer, "alice").await;
    let bob = client(&peer, "bob").await;
    let chat = alice.direct(bob.account().expect("signed in").user).expect("two people");
    for number in 0..30 {
        let sent = within(alice.send_text(chat, number.to_string())).await.expect("it is kept");
        within(sent.wait()).await.expect("it is stored");
    }
    let fresh = Client::builder(peer.address.to_string())
        .plaintext()
        .build()
        .await
        .expect("the settings are valid");
    within(fresh.login("alice", "password")).await.expect("the password is right");
    within(fresh.wait_live()).await.expect("it goes live");
    let mut timeline = within(fresh.timeline(chat)).await.expect("the client runs");
    assert!(timeline.view().has_older);
    let mut loaded = timeline.view().messages.len();
    loop {
        let came = within(timeline.load_older(10)).await.expect("history is there");
        loaded += came;
        if came == 0 {
            break;
        }
    }
    assert_eq!(loaded, 30);
    let view = within(timeline.wait_for(|view| !view.has_older)).await.expect("it runs");
    let seqs: Vec<_> = view.messages.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=30).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_slow_subscriber_is_told_that_it_lags() {
    let peer = Peer::start().await;
    let alice = client(&peer, "alice").await;
    let bob = Client::builder(peer.address.to_string())
        .plaintext()
        .events_max(8)
        .build()
        .await
        .expect("the settings are valid");
    within(bob.register("bob", "password", "")).await.expect("the name is free");
    within(bob.wait_live()).await.expect("it goes live");
    let mut slow = bob.events();
    let chat = alice.direct(bob.account().expect("signed in").user).expect("two people");
    // More than the queue and what is held beside it.
    for _ in 0..60 {
        let sent = within(alice.send_text(chat, "x")).await.expect("it is kept");
        within(sent.wait()).await.expect("it is stored");
    }
    let mut list = bob.conversations();
    within(list.wait_for(|list| list.first().is_some_and(|state| state.unread == 60)))
        .await
        .expect("the client runs");
    assert!(matches!(within(slow.recv()).await, Err(EventError::Lagged(dropped)) if dropped > 0));
    assert!(within(slow.recv()).await.is_ok(), "it goes on after the gap");
    within(bob.shutdown()).await;
    within(async { while slow.recv().await != Err(EventError::Closed) {} }).await;
    assert_eq!(within(bob.events().recv()).await, Err(EventError::Closed));
}

#[tokio::test]
async fn many_at_once_come_in_order() {
    let peer = Peer::start().await;
    let alice = client(&peer, "alice").await;
    let bob = client(&peer, "bob").await;
    let chat = alice.direct(bob.account().expect("signed in").user).expect("two people");
    let mut handles = Vec::new();
    for number in 0..500 {
        let body = Body::from(number.to_string());
        let sent = alice.send_body(chat, body, AckLevel::Accepted);
        handles.push(within(sent).await.expect("it is kept"));
    }
    for handle in &handles {
        within(handle.wait()).await.expect("it is stored");
    }
    let texts: Vec<_> = peer.state().conversations[&chat]
        .iter()
        .filter_map(|message| Body::from_wire(message.body.clone()).text().map(str::to_owned))
        .collect();
    assert_eq!(texts, (0..500).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_dropped_call_leaves_nothing_half_done() {
    let peer = Peer::start().await;
    let alice = client(&peer, "alice").await;
    let bob = client(&peer, "bob").await;
    let chat = alice.direct(bob.account().expect("signed in").user).expect("two people");
    for _ in 0..20 {
        // Polled once, then dropped: the command may or may not be under way.
        let sent = alice.send_text(chat, "x");
        tokio::select! {
            biased;
            _ = sent => {}
            () = std::future::ready(()) => {}
        }
    }
    let last = within(alice.send_text(chat, "last")).await.expect("it is kept");
    let seq = within(last.wait()).await.expect("it is stored").seq;
    assert_eq!(peer.state().conversations[&chat].len() as u64, seq);
}

#[tokio::test]
async fn groups_and_small_requests_go_through() {
    let peer = Peer::start().await;
    let alice = client(&peer, "alice").await;
    let bob = client(&peer, "bob").await;
    let user = bob.account().expect("signed in").user;
    let group = within(alice.create_group("team", &[user], true)).await.expect("it is made");
    assert_eq!((group.name.as_str(), group.member_count), ("team", 2));
    assert_eq!(within(alice.leave_group(group.id)).await, Ok(()));
    assert_eq!(within(alice.dissolve_group(group.id)).await, Ok(()));
    assert_eq!(within(alice.revoke_device("other")).await, Ok(()));
    assert_eq!(within(alice.change_password("password", "another1")).await, Ok(()));
    assert_eq!(within(alice.logout()).await, Ok(()));
    assert_eq!(alice.status(), Status::SignedOut { reason: SignOutReason::Logout });
    assert_eq!(alice.account(), None);
}
