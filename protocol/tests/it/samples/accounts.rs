//! Errors, goodbyes, accounts, devices and presence.

use hongyan_protocol::{ErrorCode, Opcode, pb};

use super::{
    ALICE, BOB, CAROL, Direction, NOW_MS, Sample, direct, group, push, reply, request, sample,
    with_unknown,
};

pub(super) fn samples() -> Vec<Sample> {
    let mut samples = endings();
    samples.extend(hello());
    samples.extend(logins());
    samples.extend(devices());
    samples.extend(people());
    samples
}

fn endings() -> Vec<Sample> {
    let error = |code: ErrorCode, message: &str, retry_after_ms| pb::Error {
        code: code.number(),
        message: message.to_owned(),
        retry_after_ms,
    };
    vec![
        reply(
            Opcode::Error,
            "busy",
            "A refusal that asks to try again after a while.",
            &error(ErrorCode::Busy, "the mailbox is full", 250),
        ),
        sample(
            (Opcode::Error, Direction::Reply, "malformed"),
            "The answer to bytes that were no frame: its request is not known, so it is zero.",
            0,
            &error(ErrorCode::MalformedFrame, "frame is not valid protobuf", 0),
        ),
        sample(
            (Opcode::Error, Direction::Reply, "largest-request"),
            "The largest request id there can be.",
            u64::MAX,
            &error(ErrorCode::NotMember, "", 0),
        ),
        push(
            Opcode::Goodbye,
            "restart",
            "The server restarts: come back in 4,321 ms.",
            &pb::Goodbye {
                code: ErrorCode::GoingAway.number(),
                message: "the server is restarting".to_owned(),
                reconnect_after_ms: 4321,
            },
        ),
        push(
            Opcode::Goodbye,
            "signed-out",
            "Do not reconnect by yourself.",
            &pb::Goodbye {
                code: ErrorCode::SignedOut.number(),
                message: "the device was signed out".to_owned(),
                reconnect_after_ms: 0,
            },
        ),
    ]
}

fn device() -> pb::Device {
    pb::Device {
        id: "phone-1".to_owned(),
        class: pb::DeviceClass::Phone as i32,
        name: "爱丽丝的手机 📱".to_owned(),
    }
}

fn session() -> pb::Session {
    pb::Session {
        user_id: ALICE,
        name: "alice".to_owned(),
        display_name: "Alice 🪿".to_owned(),
        device_id: "phone-1".to_owned(),
        tokens: Some(pb::Tokens {
            access_token: "access.token".to_owned(),
            access_expires_ms: NOW_MS + 900_000,
            refresh_token: "refresh.token".to_owned(),
            refresh_expires_ms: NOW_MS + 2_592_000_000,
        }),
    }
}

fn hello() -> Vec<Sample> {
    let first = pb::Hello {
        client: "example/1.0".to_owned(),
        device: Some(device()),
        max_frame_bytes: 0,
        access_token: String::new(),
        resume: None,
    };
    let resume = pb::Hello {
        max_frame_bytes: 524_288,
        access_token: "access.token".to_owned(),
        resume: Some(pb::SyncRequest {
            held: vec![
                pb::HeldCursor { conversation: Some(direct()), seq: 41 },
                pb::HeldCursor { conversation: Some(group()), seq: 0 },
            ],
            page: 0,
            max_bytes: 65_536,
        }),
        ..first.clone()
    };
    let welcome = pb::Welcome {
        server_time_ms: NOW_MS,
        server: "hongyan/0.1.0".to_owned(),
        max_frame_bytes: 1_048_576,
        heartbeat_ms: 30_000,
        session: None,
        resumed: None,
    };
    let resumed = pb::Welcome {
        session: Some(pb::Session { tokens: None, ..session() }),
        resumed: Some(pb::SyncPage { server_time_ms: NOW_MS, ..Default::default() }),
        ..welcome.clone()
    };
    vec![
        request(Opcode::Hello, "first", "Opens a connection without a token.", &first),
        request(Opcode::Hello, "resume", "Opens the session and catches up.", &resume),
        with_unknown(
            request(
                Opcode::Hello,
                "unknown-fields",
                "A later version's Hello: field 60 in the payload, field 15 in the frame.",
                &first,
            ),
            &[0xe2, 0x03, 0x03, b'n', b'e', b'w'],
            &[0x78, 0x01],
        ),
        reply(Opcode::Hello, "first", "Nobody is logged in yet.", &welcome),
        reply(Opcode::Hello, "resumed", "The session is open, nothing was missed.", &resumed),
    ]
}

fn logins() -> Vec<Sample> {
    let password = "correct horse 马".to_owned();
    vec![
        request(
            Opcode::Register,
            "",
            "A name, a password that is not ASCII, and a name with an emoji.",
            &pb::Register {
                name: "alice".to_owned(),
                password: password.clone(),
                display_name: "Alice 🪿".to_owned(),
            },
        ),
        reply(Opcode::Register, "", "The first session with its tokens.", &session()),
        request(
            Opcode::Login,
            "",
            "By name and password.",
            &pb::Login { name: "alice".to_owned(), password: password.clone() },
        ),
        reply(Opcode::Login, "", "As after Register.", &session()),
        request(
            Opcode::Refresh,
            "",
            "By refresh token.",
            &pb::Refresh { refresh_token: "refresh.token".to_owned() },
        ),
        reply(Opcode::Refresh, "", "A new pair of tokens.", &session()),
        request(
            Opcode::LoginExternal,
            "",
            "By a token of an external issuer.",
            &pb::LoginExternal { id_token: "header.claims.signature".to_owned() },
        ),
        reply(Opcode::LoginExternal, "", "As after Register.", &session()),
        request(Opcode::Logout, "", "An empty message: the frame has no payload.", &pb::Logout {}),
        reply(Opcode::Logout, "", "Done.", &pb::Empty {}),
        request(
            Opcode::ChangePassword,
            "",
            "Signs every other device out.",
            &pb::ChangePassword {
                old_password: password.clone(),
                new_password: "another horse".to_owned(),
            },
        ),
        reply(Opcode::ChangePassword, "", "Done.", &pb::Empty {}),
        request(Opcode::Deactivate, "", "Closes the account.", &pb::Deactivate { password }),
        reply(Opcode::Deactivate, "", "Done.", &pb::Empty {}),
    ]
}

fn devices() -> Vec<Sample> {
    let states = vec![
        pb::DeviceState {
            device: Some(device()),
            online: true,
            current: true,
            last_seen_ms: NOW_MS,
            created_ms: NOW_MS - 86_400_000,
        },
        pb::DeviceState {
            device: Some(pb::Device {
                id: "laptop".to_owned(),
                class: pb::DeviceClass::Desktop as i32,
                name: String::new(),
            }),
            online: false,
            current: false,
            last_seen_ms: 1,
            created_ms: 1,
        },
    ];
    vec![
        request(Opcode::ListDevices, "", "An empty message.", &pb::ListDevices {}),
        reply(
            Opcode::ListDevices,
            "",
            "This device and another.",
            &pb::Devices { devices: states },
        ),
        request(
            Opcode::RevokeDevice,
            "",
            "Signs the laptop out.",
            &pb::RevokeDevice { device_id: "laptop".to_owned() },
        ),
        reply(Opcode::RevokeDevice, "", "Done.", &pb::Empty {}),
    ]
}

fn people() -> Vec<Sample> {
    let profile = |user, name: &str| pb::Profile {
        user,
        name: name.to_owned(),
        display_name: name.to_uppercase(),
    };
    let presences = pb::Presences {
        presences: vec![
            pb::Presence { user: BOB, online: true, last_seen_ms: NOW_MS },
            pb::Presence { user: CAROL, online: false, last_seen_ms: 0 },
        ],
    };
    vec![
        request(Opcode::FindUser, "", "By exact name.", &pb::FindUser { name: "bob".to_owned() }),
        reply(
            Opcode::FindUser,
            "",
            "One profile.",
            &pb::Profiles { profiles: vec![profile(BOB, "bob")] },
        ),
        request(
            Opcode::GetProfiles,
            "",
            "Packed 64-bit ids, one of them above 2^53.",
            &pb::GetProfiles { users: vec![BOB, CAROL] },
        ),
        reply(
            Opcode::GetProfiles,
            "",
            "Two profiles.",
            &pb::Profiles { profiles: vec![profile(BOB, "bob"), profile(CAROL, "carol")] },
        ),
        request(
            Opcode::WatchPresence,
            "",
            "Watches two people.",
            &pb::WatchPresence { users: vec![BOB, CAROL] },
        ),
        reply(Opcode::WatchPresence, "", "One is there, one was never seen.", &presences),
        push(Opcode::PresenceChanged, "", "The same message, pushed.", &presences),
    ]
}
