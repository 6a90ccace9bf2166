//! Names, passwords, tokens, devices.

use hongyan_core::config::DevicePolicy;
use hongyan_core::state::AccountStatus;
use hongyan_core::testing::{Client, World};
use hongyan_core::{AdminCommand, AdminOutcome, CoreConfig};
use hongyan_protocol::{ErrorCode, Opcode, pb};

use crate::on_any_server;

fn try_login(world: &mut World, name: &str, password: &str) -> Result<pb::Session, ErrorCode> {
    let mut client = Client::connect(world, 1, "other");
    let login = pb::Login { name: name.into(), password: password.into() };
    client.ask(world, Opcode::Login, &login)
}

#[test]
fn a_name_belongs_to_one_account() {
    on_any_server(|world| {
        Client::register(world, 0, "alice");
        let mut other = Client::connect(world, 1, "x");
        let register = |name: &str, password: &str| pb::Register {
            name: name.into(),
            password: password.into(),
            display_name: String::new(),
        };
        let taken =
            other.ask::<pb::Session>(world, Opcode::Register, &register("ALICE", "12345678"));
        assert_eq!(taken, Err(ErrorCode::NameTaken));
        let short =
            other.ask::<pb::Session>(world, Opcode::Register, &register("carol", "1234567"));
        assert_eq!(short, Err(ErrorCode::InvalidField));
        let fine =
            other.ask::<pb::Session>(world, Opcode::Register, &register("carol", "12345678"));
        assert_eq!(fine.unwrap().name, "carol");
    });
}

#[test]
fn wrong_passwords_are_refused_and_slowed() {
    on_any_server(|world| {
        Client::register(world, 0, "alice");
        assert_eq!(try_login(world, "nobody", "alice-password"), Err(ErrorCode::BadCredentials));
        for _ in 0..10 {
            assert_eq!(try_login(world, "alice", "wrong-password"), Err(ErrorCode::BadCredentials));
        }
        assert_eq!(try_login(world, "alice", "alice-password"), Err(ErrorCode::RateLimited));
        // Strangers do not lock the account's own devices out.
        let mut phone = Client::connect(world, 0, "alice-phone");
        let login = pb::Login { name: "alice".into(), password: "alice-password".into() };
        phone.ask::<pb::Session>(world, Opcode::Login, &login).unwrap();
        world.pass(10 * 60 * 1000 + 1);
        assert!(try_login(world, "alice", "alice-password").is_ok());
    });
}

#[test]
fn a_refresh_token_works_once_and_a_copy_signs_the_device_out() {
    on_any_server(|world| {
        let alice = Client::register(world, 0, "alice");
        let refresh = |world: &mut World, token: &str| {
            let mut client = Client::connect(world, 0, "alice-phone");
            let ask = pb::Refresh { refresh_token: token.into() };
            client.ask::<pb::Session>(world, Opcode::Refresh, &ask)
        };
        let first = alice.tokens().refresh_token.clone();
        let second = refresh(world, &first).unwrap().tokens.unwrap();
        assert_ne!(second.refresh_token, first);
        // The answer may have been lost, and the device far from any network.
        world.pass(24 * 60 * 60 * 1000);
        let third = refresh(world, &first).unwrap().tokens.unwrap();
        let mut phone = Client::connect(world, 0, "alice-phone");
        let ask = pb::Refresh { refresh_token: third.refresh_token.clone() };
        phone.session = phone.ask(world, Opcode::Refresh, &ask).unwrap();
        let bob = Client::register(world, 0, "bobby");
        phone.send(world, phone.with(&bob), 1, "so it has arrived").unwrap();
        // It may not have been stored in time: a moment's grace.
        world.pass(61_000);
        assert_eq!(refresh(world, &third.refresh_token), Err(ErrorCode::DeviceRevoked));
        let last = phone.tokens().refresh_token.clone();
        assert_eq!(refresh(world, &last), Err(ErrorCode::DeviceRevoked));
    });
}

#[test]
fn an_access_token_that_a_lost_answer_replaced_is_not_a_sign_out() {
    on_any_server(|world| {
        let alice = Client::register(world, 0, "alice");
        let ask = pb::Refresh { refresh_token: alice.tokens().refresh_token.clone() };
        let mut lost = Client::connect(world, 0, "alice-phone");
        lost.ask::<pb::Session>(world, Opcode::Refresh, &ask).unwrap();
        lost.disconnect(world);
        assert_eq!(alice.resume(world, 0, None).unwrap_err(), ErrorCode::TokenInvalid);
        let mut phone = Client::connect(world, 1, "alice-phone");
        phone.session = phone.ask(world, Opcode::Refresh, &ask).unwrap();
        phone.resume(world, 0, None).unwrap();
    });
}

#[test]
fn what_comes_late_on_a_given_up_connection_does_not_end_the_session_after_it() {
    on_any_server(|world| {
        let alice = Client::register(world, 0, "alice");
        let refresh = pb::Refresh { refresh_token: alice.tokens().refresh_token.clone() };
        alice.disconnect(world);
        let mut given_up = Client::connect(world, 0, "alice-phone");
        world.hold_offload = true;
        let late = given_up.say(world, Opcode::Refresh, &refresh);
        world.hold_offload = false;
        world.pass(1_000);
        let mut phone = Client::connect(world, 1, "alice-phone");
        phone.session = phone.ask(world, Opcode::Refresh, &refresh).unwrap();
        world.release();
        assert_eq!(given_up.reply::<pb::Session>(world, late), Some(Err(ErrorCode::Replaced)));
        assert!(!phone.is_closed(world));
        assert!(phone.cold_start(world).conversations.is_empty());
        phone.disconnect(world);
        phone.resume(world, 0, None).unwrap();
    });
}

#[test]
fn an_expired_token_is_told_and_the_refresh_works_on_the_same_connection() {
    on_any_server(|world| {
        let alice = Client::register(world, 0, "alice");
        world.pass(16 * 60 * 1000);
        assert_eq!(alice.resume(world, 0, None).unwrap_err(), ErrorCode::TokenExpired);
        let mut client = Client::silent(world, 1, "alice-phone");
        let hello = pb::Hello {
            device: Some(pb::Device { id: "alice-phone".into(), class: 1, name: String::new() }),
            access_token: alice.tokens().access_token.clone(),
            ..Default::default()
        };
        let refused = client.ask::<pb::Welcome>(world, Opcode::Hello, &hello);
        assert_eq!(refused, Err(ErrorCode::TokenExpired));
        let refresh = pb::Refresh { refresh_token: alice.tokens().refresh_token.clone() };
        client.session = client.ask(world, Opcode::Refresh, &refresh).unwrap();
        assert_eq!(client.session.user_id, alice.session.user_id);
        assert!(client.cold_start(world).conversations.is_empty());
    });
}

#[test]
fn devices_are_listed_and_revoked_at_once() {
    on_any_server(|world| {
        let mut phone = Client::register(world, 0, "alice");
        let tablet = Client::login(world, 1, "alice", "tablet");
        let list: pb::Devices = phone.ask(world, Opcode::ListDevices, &pb::ListDevices {}).unwrap();
        assert_eq!(list.devices.len(), 2);
        assert!(list.devices.iter().all(|device| device.online));
        let revoke = |id: &str| pb::RevokeDevice { device_id: id.into() };
        phone.ask::<pb::Empty>(world, Opcode::RevokeDevice, &revoke("tablet")).unwrap();
        assert!(tablet.is_closed(world));
        assert_eq!(tablet.resume(world, 0, None).unwrap_err(), ErrorCode::DeviceRevoked);
        let again = phone.ask::<pb::Empty>(world, Opcode::RevokeDevice, &revoke("tablet"));
        assert_eq!(again, Err(ErrorCode::NoSuchDevice));
        phone.ask::<pb::Empty>(world, Opcode::Logout, &pb::Logout {}).unwrap();
        assert!(phone.is_closed(world));
        assert_eq!(phone.resume(world, 0, None).unwrap_err(), ErrorCode::DeviceRevoked);
    });
}

#[test]
fn the_device_policy_decides_who_stays() {
    for (policy, tablet_stays) in
        [(DevicePolicy::All, true), (DevicePolicy::OnePerClass, false), (DevicePolicy::One, false)]
    {
        let config =
            CoreConfig { device_policy: policy, requests_per_second: 0, ..CoreConfig::default() };
        let world = &mut World::with_config(2, config);
        let first = Client::register(world, 0, "alice");
        let second = Client::login(world, 1, "alice", "second");
        assert_eq!(first.is_closed(world), !tablet_stays, "{policy:?}");
        assert!(!second.is_closed(world));
    }
}

#[test]
fn a_changed_password_signs_the_other_devices_out() {
    on_any_server(|world| {
        let mut phone = Client::register(world, 0, "alice");
        let tablet = Client::login(world, 1, "alice", "tablet");
        let change = |old: &str| pb::ChangePassword {
            old_password: old.into(),
            new_password: "new-password".into(),
        };
        let wrong = phone.ask::<pb::Empty>(world, Opcode::ChangePassword, &change("wrong"));
        assert_eq!(wrong, Err(ErrorCode::BadCredentials));
        phone.ask::<pb::Empty>(world, Opcode::ChangePassword, &change("alice-password")).unwrap();
        assert!(tablet.is_closed(world));
        assert!(!phone.is_closed(world));
        assert_eq!(try_login(world, "alice", "alice-password"), Err(ErrorCode::BadCredentials));
        assert!(try_login(world, "alice", "new-password").is_ok());
    });
}

#[test]
fn closed_and_banned_accounts_are_put_out_and_kept_out() {
    on_any_server(|world| {
        let mut alice = Client::register(world, 0, "alice");
        let bob = Client::register(world, 1, "bobby");
        let close = pb::Deactivate { password: "alice-password".into() };
        alice.ask::<pb::Empty>(world, Opcode::Deactivate, &close).unwrap();
        assert!(alice.is_closed(world));
        assert_eq!(try_login(world, "alice", "alice-password"), Err(ErrorCode::AccountDeactivated));
        let ban = |status| AdminCommand::SetStatus {
            name: "bobby".into(),
            status,
            reason: "spam".into(),
        };
        let outcome = world.administer(ban(AccountStatus::Banned));
        let expected = AdminOutcome::Done { user: bob.user(), sessions_closed: 1 };
        assert_eq!(outcome, expected);
        assert!(bob.is_closed(world));
        assert_eq!(bob.resume(world, 0, None).unwrap_err(), ErrorCode::AccountBanned);
        world.administer(ban(AccountStatus::Active));
        assert!(bob.resume(world, 0, None).is_ok());
    });
}

#[test]
fn requests_at_the_wrong_time_are_refused_and_the_connection_lives() {
    on_any_server(|world| {
        let mut client = Client::silent(world, 0, "phone");
        let early = client.ask::<pb::Devices>(world, Opcode::ListDevices, &pb::ListDevices {});
        assert_eq!(early, Err(ErrorCode::OutOfOrder));
        let push = client.ask::<pb::Empty>(world, Opcode::Message, &pb::Message::default());
        assert_eq!(push, Err(ErrorCode::OutOfOrder));
        let nameless = client.ask::<pb::Welcome>(world, Opcode::Hello, &pb::Hello::default());
        assert_eq!(nameless, Err(ErrorCode::InvalidField));
        let narrow = pb::Hello {
            device: Some(pb::Device { id: "phone".into(), ..Default::default() }),
            max_frame_bytes: 4096,
            ..Default::default()
        };
        let narrow = client.ask::<pb::Welcome>(world, Opcode::Hello, &narrow);
        assert_eq!(narrow, Err(ErrorCode::InvalidField));
        let mut alice = Client::register(world, 0, "alice");
        let twice = alice.ask::<pb::Welcome>(world, Opcode::Hello, &pb::Hello::default());
        assert_eq!(twice, Err(ErrorCode::OutOfOrder));
        assert!(!alice.is_closed(world));
    });
}

#[test]
fn too_many_requests_wait() {
    let mut config =
        CoreConfig { requests_per_second: 10, requests_burst: 5, ..CoreConfig::default() };
    let refused = |world: &mut World| {
        let mut alice = Client::register(world, 0, "alice");
        let ask = pb::ListDevices {};
        let answers = (0..10).map(|_| alice.ask::<pb::Devices>(world, Opcode::ListDevices, &ask));
        let refused = answers.filter(|answer| *answer == Err(ErrorCode::RateLimited)).count();
        (alice, refused)
    };
    let world = &mut World::with_config(1, config.clone());
    let (mut alice, count) = refused(world);
    assert!(count >= 5, "{count}");
    world.pass(1_000);
    assert!(alice.ask::<pb::Devices>(world, Opcode::ListDevices, &pb::ListDevices {}).is_ok());
    // A connection of the same machine may be let off.
    config.limit_loopback = false;
    assert_eq!(refused(&mut World::with_config(1, config)).1, 0);
}

#[test]
fn an_operator_signs_out_one_device_that_there_is() {
    on_any_server(|world| {
        let alice = Client::register(world, 0, "alice");
        let kick = |world: &mut World, device_id: &str| {
            let device_id = Some(device_id.to_owned());
            world.administer(AdminCommand::Kick { name: "alice".into(), device_id })
        };
        let AdminOutcome::Refused(refusal) = kick(world, "nosuch") else { panic!("not refused") };
        assert_eq!(refusal.code, ErrorCode::NoSuchDevice);
        assert!(!alice.is_closed(world));
        let done = kick(world, "alice-phone");
        assert!(matches!(done, AdminOutcome::Done { sessions_closed: 1, .. }), "{done:?}");
        assert!(alice.is_closed(world));
        assert_eq!(alice.resume(world, 0, None).unwrap_err(), ErrorCode::DeviceRevoked);
    });
}
