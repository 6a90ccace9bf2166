//! Opening, keeping, losing and ending sessions.

use hongyan_client_core::event::RequestToken;
use hongyan_client_core::{
    ClientError, Credentials, ErrorCode, Event, Opcode, SendUpdate, SignOutReason, Status,
};

use crate::server::{HEARTBEAT_MS, PEER, direct, error};
use crate::world::World;

#[test]
fn a_client_without_tokens_asks_for_credentials() {
    let mut world = World::new();
    world.core.start(world.now_ms);
    world.run();
    assert_eq!(world.core.status(), Status::AuthRequired);
    assert!(!world.connected);
    world.login();
    world.run();
    assert_eq!(
        world.statuses(),
        [Status::AuthRequired, Status::Connecting, Status::Syncing, Status::Live]
    );
    assert_eq!(world.core.account().map(|account| account.user.get()), Some(4097));
}

#[test]
fn tokens_are_kept_before_the_session_is_used() {
    let mut world = World::new();
    world.settle();
    world.store_stalled = true;
    world.login();
    world.run();
    assert_eq!(world.server.tokens_issued, 1);
    assert!(!world.server.seen.contains(&Opcode::Sync), "the session waits for the store");
    assert!(!world.events.iter().any(|event| matches!(event, Event::Reply { .. })));
    world.unstall_store();
    assert_eq!(world.core.status(), Status::Live);
    let kept = world.durable.tokens.as_ref().map(|tokens| tokens.refresh_token.as_str());
    assert_eq!(kept, Some("refresh-1"));
    assert!(world.events.iter().any(|event| matches!(event, Event::Reply { result: Ok(_), .. })));
}

#[test]
fn a_restart_resumes_in_one_round_trip() {
    let mut world = World::live();
    world.restart(true);
    world.server.seen.clear();
    world.run();
    assert_eq!(world.core.status(), Status::Live);
    assert_eq!(world.server.seen, [Opcode::Hello]);
}

#[test]
fn an_expired_token_is_refreshed_on_the_same_connection() {
    let mut world = World::live();
    world.server.access_token = "another".into();
    world.cut();
    world.server.seen.clear();
    world.pass(1_000);
    assert_eq!(world.core.status(), Status::Live);
    assert_eq!(world.server.seen, [Opcode::Hello, Opcode::Refresh, Opcode::Sync]);
    assert_eq!(world.server.tokens_issued, 2);
    let kept = world.durable.tokens.as_ref().map(|tokens| tokens.refresh_token.as_str());
    assert_eq!(kept, Some("refresh-2"));
}

#[test]
fn a_token_known_to_have_expired_is_not_tried() {
    let mut world = World::live();
    world.cut();
    world.reachable = false;
    world.pass(1_000_000);
    world.reachable = true;
    world.server.seen.clear();
    world.pass(31_000);
    assert_eq!(world.core.status(), Status::Live);
    assert_eq!(world.server.seen[..2], [Opcode::Hello, Opcode::Refresh]);
    assert_eq!(world.server.tokens_issued, 2);
}

#[test]
fn a_refused_refresh_signs_out_and_keeps_the_outbox() {
    let mut world = World::live();
    world.reachable = false;
    world.cut();
    world.send(direct(), "later");
    world.server.access_token = "another".into();
    world.server.refresh_token = "used by somebody".into();
    world.reachable = true;
    world.pass(31_000);
    let reason = SignOutReason::Refused(ErrorCode::DeviceRevoked.number());
    assert_eq!(world.core.status(), Status::SignedOut { reason });
    assert_eq!(world.durable.tokens, None);
    world.pass(100_000);
    assert_eq!(world.core.status(), Status::SignedOut { reason });
    world.login();
    world.run();
    assert_eq!(world.texts(direct()), ["later"]);
}

#[test]
fn wrong_credentials_are_told_and_not_tried_again() {
    let mut world = World::new();
    world.server.refusals.push_back((Opcode::Login, error(ErrorCode::BadCredentials, 0)));
    world.login();
    world.pass(100_000);
    assert_eq!(world.core.status(), Status::AuthRequired);
    let refused = world.events.iter().find_map(|event| match event {
        Event::Reply { token: RequestToken(1), result: Err(error) } => Some(error.clone()),
        _ => None,
    });
    assert!(refused.is_some_and(|error| error.is(ErrorCode::BadCredentials)));
    assert_eq!(world.server.seen.iter().filter(|seen| **seen == Opcode::Login).count(), 1);
    world.login();
    world.run();
    assert_eq!(world.core.status(), Status::Live);
}

#[test]
fn credentials_are_refused_while_somebody_is_signed_in() {
    let mut world = World::live();
    let credentials = Credentials::External { id_token: "x".into() };
    let result = world.core.authenticate(world.now_ms, RequestToken(9), credentials);
    assert!(matches!(result, Err(ClientError::Invalid(_))));
}

#[test]
fn an_unreachable_server_is_told_to_who_logs_in() {
    let mut world = World::new();
    world.reachable = false;
    world.login();
    world.run();
    assert_eq!(world.core.status(), Status::AuthRequired);
    assert!(
        world.events.iter().any(|event| matches!(
            event,
            Event::Reply { result: Err(ClientError::Connect(_)), .. }
        ))
    );
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let mut world = World::new();
    world.server.silent.push(Opcode::Hello);
    world.server.silent.push(Opcode::Login);
    world.login();
    world.pass(20_000);
    assert_eq!(world.core.status(), Status::AuthRequired);
    assert!(!world.connected);
}

#[test]
fn a_lost_connection_comes_back_after_a_jittered_delay() {
    let mut world = World::live();
    world.cut();
    world.settle();
    let Status::WaitingToReconnect { until_ms } = world.core.status() else {
        panic!("{:?}", world.core.status());
    };
    assert!(until_ms <= world.now_ms + 500, "the first bound is half a second");
    world.pass(500);
    assert_eq!(world.core.status(), Status::Live);
}

#[test]
fn failures_widen_the_delay_and_a_stable_session_resets_it() {
    let mut world = World::live();
    world.reachable = false;
    world.cut();
    world.pass(200_000);
    let Status::WaitingToReconnect { until_ms } = world.core.status() else {
        panic!("{:?}", world.core.status());
    };
    assert!(until_ms <= world.now_ms + 30_000);
    world.reachable = true;
    world.pass(30_000);
    assert_eq!(world.core.status(), Status::Live);
    world.pass(31_000);
    world.cut();
    world.settle();
    let Status::WaitingToReconnect { until_ms } = world.core.status() else {
        panic!("{:?}", world.core.status());
    };
    assert!(until_ms <= world.now_ms + 500, "the back-off starts over");
}

#[test]
fn the_servers_hint_is_taken_as_it_is() {
    let mut world = World::live();
    world.server.goodbye(ErrorCode::GoingAway, 7_321);
    world.run();
    assert_eq!(world.core.status(), Status::WaitingToReconnect { until_ms: world.now_ms + 7_321 });
    world.pass(7_320);
    assert!(!world.connected);
    world.pass(1);
    assert_eq!(world.core.status(), Status::Live);
}

#[test]
fn replaced_stays_away_until_the_app_takes_the_place_back() {
    let mut world = World::live();
    world.server.goodbye(ErrorCode::Replaced, 0);
    world.pass(500_000);
    let reason = SignOutReason::Goodbye(ErrorCode::Replaced.number());
    assert_eq!(world.core.status(), Status::SignedOut { reason });
    assert!(world.core.has_tokens());
    world.core.start(world.now_ms);
    world.run();
    assert_eq!(world.core.status(), Status::Live);
}

#[test]
fn signed_out_forgets_the_tokens() {
    let mut world = World::live();
    world.server.goodbye(ErrorCode::SignedOut, 0);
    world.pass(500_000);
    let reason = SignOutReason::Goodbye(ErrorCode::SignedOut.number());
    assert_eq!(world.core.status(), Status::SignedOut { reason });
    assert!(!world.core.has_tokens());
    assert_eq!(world.durable.tokens, None);
}

#[test]
fn a_goodbye_without_a_hint_reconnects_when_its_code_says_so() {
    let mut world = World::live();
    world.server.goodbye(ErrorCode::IdleTimeout, 0);
    world.pass(500);
    assert_eq!(world.core.status(), Status::Live);
    world.server.goodbye(ErrorCode::MalformedFrame, 0);
    world.pass(500_000);
    assert_eq!(world.core.status(), Status::Offline);
}

#[test]
fn logout_tells_the_server_and_forgets_everything() {
    let mut world = World::live();
    world.server.say(direct(), PEER, "hello", true);
    world.run();
    world.core.logout(world.now_ms, RequestToken(5));
    world.run();
    assert_eq!(world.server.seen.last(), Some(&Opcode::Logout));
    assert_eq!(world.core.status(), Status::SignedOut { reason: SignOutReason::Logout });
    assert!(world.core.conversations().is_empty());
    assert_eq!(world.durable.account, None);
    assert!(world.durable.messages.is_empty());
    assert_eq!(world.durable.device_id.as_deref(), Some("device"));
    world.pass(500_000);
    assert!(!world.connected);
}

#[test]
fn logout_without_a_connection_still_forgets() {
    let mut world = World::live();
    world.reachable = false;
    world.cut();
    let sent = world.send(direct(), "never");
    world.settle();
    world.core.logout(world.now_ms, RequestToken(5));
    world.run();
    assert!(world.events.iter().any(|event| matches!(
        event,
        Event::Reply { token: RequestToken(5), result: Err(ClientError::Offline) }
    )));
    assert_eq!(world.updates(sent).last(), Some(&SendUpdate::Dropped(ClientError::Closed)));
    assert!(world.durable.outbox.is_empty());
}

#[test]
fn heartbeats_keep_an_idle_connection() {
    let mut world = World::live();
    world.pass(HEARTBEAT_MS * 10);
    assert_eq!(world.core.status(), Status::Live);
    assert_eq!(world.server.heartbeats, 10);
    assert_eq!(world.statuses(), []);
}

#[test]
fn a_silent_peer_is_dead_after_two_and_a_half_heartbeats() {
    let mut world = World::live();
    let start_ms = world.now_ms;
    world.settle();
    // The wire swallows everything, and nobody says so.
    while world.connected {
        let at = world.core.poll_timeout(world.now_ms).expect("a live client has a timer");
        world.now_ms = world.now_ms.max(at);
        world.core.handle_timeout(world.now_ms);
        world.settle();
    }
    assert_eq!(world.now_ms - start_ms, HEARTBEAT_MS * 5 / 2);
    assert!(matches!(world.core.status(), Status::WaitingToReconnect { .. }));
}

#[test]
fn requests_on_a_lost_connection_have_an_unknown_result() {
    let mut world = World::live();
    world.server.silent.push(Opcode::ListDevices);
    let ask = |world: &mut World, token| {
        world.core.request(
            world.now_ms,
            RequestToken(token),
            Opcode::ListDevices,
            Vec::new().into(),
        )
    };
    assert_eq!(ask(&mut world, 7), Ok(()));
    world.run();
    world.cut();
    world.settle();
    assert!(
        world
            .events
            .contains(&Event::Reply { token: RequestToken(7), result: Err(ClientError::TimedOut) })
    );
    assert_eq!(ask(&mut world, 8), Err(ClientError::Offline));
    world.pass(500);
    assert_eq!(ask(&mut world, 9), Ok(()));
    world.pass(15_000);
    assert!(
        world
            .events
            .contains(&Event::Reply { token: RequestToken(9), result: Err(ClientError::TimedOut) })
    );
    assert_eq!(world.core.status(), Status::Live, "one slow request costs no connection");
}

#[test]
fn too_many_requests_are_refused_here() {
    let mut world = World::live();
    world.server.silent.push(Opcode::ListDevices);
    let mut taken = 0;
    let refused = loop {
        let token = RequestToken(taken + 10);
        match world.core.request(world.now_ms, token, Opcode::ListDevices, Vec::new().into()) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((taken, refused), (1_024, ClientError::TooManyRequests));
}

#[test]
fn stop_stays_offline() {
    let mut world = World::live();
    world.core.stop();
    world.pass(500_000);
    assert_eq!(world.core.status(), Status::Offline);
    assert!(!world.connected);
    world.core.start(world.now_ms);
    world.run();
    assert_eq!(world.core.status(), Status::Live);
}
