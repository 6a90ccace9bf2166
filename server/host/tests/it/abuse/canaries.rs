//! Nothing that people say or keep secret gets into the log, the metrics or
//! the operator's answers, at the most verbose level and when things fail.
//!
//! Every secret that a client or an operator hands to the server has a mark
//! in it that occurs nowhere else; tokens that the server makes are their own
//! marks. All of them are used rightly and wrongly, and then looked for.

use std::fmt::Write as _;
use std::process::Command;

use bytes::Bytes;
use hongyan_protocol::{Frame, Opcode, pb};

use super::{Server, resume};
use crate::support::{TestCertificate, Wire, client_id, direct};

#[test]
fn nothing_that_is_said_or_secret_is_logged_for_people() {
    keeps_its_mouth_shut("pretty", "trace", &Canaries::secrets());
}

#[test]
fn nothing_that_is_said_or_secret_is_logged_as_json() {
    keeps_its_mouth_shut("json", "trace", &Canaries::secrets());
}

#[test]
fn names_are_not_logged_at_the_ordinary_level() {
    let mut canaries = Canaries::secrets();
    canaries.0.extend(Canaries::names().0);
    keeps_its_mouth_shut("pretty", "info", &canaries);
}

const PASSWORD: &str = "canary-password-4711";
const OTHER_PASSWORD: &str = "canary-password-0815";
const WRONG_PASSWORD: &str = "canary-password-wrong";
const ADMIN_PASSWORD: &str = "canary-password-admin";
const TEXT: &str = "canary-text of a message";
const SUMMARY: &str = "canary-summary";
const DATA: &str = "canary-data";
const GARBAGE: &str = "canary-garbage";
const FALSE_TOKEN: &str = "canary-token-false";
const TOKEN_KEY: &str = "canary-token-key-of-thirty-two-bytes";
const DISPLAY_NAME: &str = "canary-display-name";
const DEVICE_NAME: &str = "canary-device-name";
const GROUP_NAME: &str = "canary-group-name";
const NAME: &str = "canary-name";

/// How the hash of a password begins.
const HASH: &str = "$argon2id$";

/// What must not be found.
struct Canaries(Vec<String>);

impl Canaries {
    fn secrets() -> Self {
        let secrets = [
            PASSWORD,
            OTHER_PASSWORD,
            WRONG_PASSWORD,
            ADMIN_PASSWORD,
            TEXT,
            SUMMARY,
            DATA,
            GARBAGE,
            FALSE_TOKEN,
            TOKEN_KEY,
            DISPLAY_NAME,
            DEVICE_NAME,
            GROUP_NAME,
            HASH,
        ];
        Self(secrets.map(str::to_owned).into())
    }

    fn names() -> Self {
        Self(vec![NAME.to_owned()])
    }

    /// Those that `text` has, as they are or as bytes printed in decimal or
    /// in hex.
    fn found_in(&self, text: &str) -> Vec<&str> {
        let lower = text.to_lowercase();
        let found = |canary: &&String| {
            let canary = canary.to_lowercase();
            let decimal: Vec<String> = canary.bytes().map(|byte| byte.to_string()).collect();
            let mut hex = String::new();
            canary.bytes().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
            [canary, decimal.join(", "), hex].iter().any(|form| lower.contains(form))
        };
        self.0.iter().filter(found).map(String::as_str).collect()
    }
}

#[test]
fn a_canary_is_found_in_every_form() {
    let canaries = Canaries(vec!["Canary".into()]);
    for text in ["xx canaryx", "[99, 97, 110, 97, 114, 121]", "0x63616E617279"] {
        assert_eq!(canaries.found_in(text), ["Canary"], "{text}");
    }
    assert!(canaries.found_in("can ary").is_empty());
}

fn keeps_its_mouth_shut(format: &str, level: &str, canaries: &Canaries) {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let certificate = TestCertificate::write(directory.path());
    let mut shell = Command::new("sh");
    let line = format!("exec {} serve 2>{}", env!("CARGO_BIN_EXE_hongyan"), log.display());
    shell.args(["-c", &line]);
    let server = Server::spawn(
        shell,
        &[
            ("HONGYAN_LOG__FORMAT", format),
            ("HONGYAN_LOG__LEVEL", level),
            ("HONGYAN_AUTH__TOKEN_KEY", TOKEN_KEY),
            ("HONGYAN_LISTEN__TLS", "127.0.0.1:0"),
            ("HONGYAN_LISTEN__TLS_CERTIFICATE", certificate.certificate.to_str().unwrap()),
            ("HONGYAN_LISTEN__TLS_KEY", certificate.key.to_str().unwrap()),
        ],
    );
    let tls = server.node.as_ref().unwrap().tls.expect("TLS is served");
    let mut marks = Canaries(canaries.0.clone());
    let mut wire = crate::tls::handshake(tls, &certificate).unwrap();
    wire.exchange_prefaces();
    marks.0.extend(live_a_life(&mut wire, &server));
    marks.0.push(server.contact.token.clone());
    let answers = ask_as_operator(&server);
    let shown = marks.found_in(&answers);
    assert!(shown.is_empty(), "{shown:?} in the operator's answers:\n{answers}");

    server.terminate();
    let log = String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned();
    assert!(log.contains("stopped"), "the log is not whole:\n{log}");
    assert_eq!(log.contains("TRACE"), level == "trace", "the level is not what was asked for");
    let logged = marks.found_in(&log);
    let lines = log.lines().filter(|line| !marks.found_in(line).is_empty()).take(5);
    assert!(logged.is_empty(), "{logged:?} in the log:\n{}", lines.collect::<Vec<_>>().join("\n"));
}

/// Everything that a client can say, and much of it wrong. Returns the
/// tokens that the server made.
fn live_a_life<S: std::io::Read + std::io::Write>(
    wire: &mut Wire<S>,
    server: &Server,
) -> Vec<String> {
    wire.send(&Frame { opcode: 9_999, request: 901, payload: GARBAGE.as_bytes().into() });
    wire.reply(901);
    wire.call::<pb::Welcome>(Opcode::Hello, &hello(FALSE_TOKEN)).unwrap_err();
    let name = |name: &str, password: &str| pb::Register {
        name: name.into(),
        password: password.into(),
        display_name: DISPLAY_NAME.into(),
    };
    let long = format!("{NAME}-{}", "x".repeat(40));
    wire.call::<pb::Session>(Opcode::Register, &name(&long, PASSWORD)).unwrap_err();
    let long = format!("{WRONG_PASSWORD}{}", "x".repeat(300));
    wire.call::<pb::Session>(Opcode::Register, &name(NAME, &long)).unwrap_err();
    let login = |password: &str| pb::Login { name: NAME.into(), password: password.into() };
    wire.call::<pb::Session>(Opcode::Login, &login(WRONG_PASSWORD)).unwrap_err();
    let refresh = pb::Refresh { refresh_token: FALSE_TOKEN.into() };
    wire.call::<pb::Session>(Opcode::Refresh, &refresh).unwrap_err();
    let external = pb::LoginExternal { id_token: FALSE_TOKEN.into() };
    wire.call::<pb::Session>(Opcode::LoginExternal, &external).unwrap_err();
    let session: pb::Session = wire.call(Opcode::Register, &name(NAME, PASSWORD)).unwrap();
    let mut tokens = marks_of(&session);

    talk(wire, &session, server);
    let change = |old: &str| pb::ChangePassword {
        old_password: old.into(),
        new_password: OTHER_PASSWORD.into(),
    };
    wire.call::<pb::Empty>(Opcode::ChangePassword, &change(WRONG_PASSWORD)).unwrap_err();
    wire.call::<pb::Empty>(Opcode::ChangePassword, &change(PASSWORD)).unwrap();

    let mut again = Wire::connect(server.address);
    again.call::<pb::Welcome>(Opcode::Hello, &hello("")).unwrap();
    let refresh = pb::Refresh { refresh_token: session.tokens.clone().unwrap().refresh_token };
    let refreshed: pb::Session = again.call(Opcode::Refresh, &refresh).unwrap();
    tokens.extend(marks_of(&refreshed));
    drop(again);
    let mut again = Wire::connect(server.address);
    resume(&mut again, "canary-device", &refreshed.tokens.unwrap().access_token);
    let mut thief = Wire::connect(server.address);
    thief.call::<pb::Welcome>(Opcode::Hello, &hello("")).unwrap();
    // The form of a refresh token, and a secret that it is not.
    let guess = format!("{}.{FALSE_TOKEN}.canary-device", session.user_id);
    let guess = pb::Refresh { refresh_token: guess };
    thief.call::<pb::Session>(Opcode::Refresh, &guess).unwrap_err();
    // Bytes that are no frame end a connection.
    thief.send_bytes(&[&[0xff; 8], GARBAGE.as_bytes()].concat());
    thief.goodbye();
    tokens
}

fn hello(token: &str) -> pb::Hello {
    let device = pb::Device {
        id: "canary-device".into(),
        name: DEVICE_NAME.into(),
        ..pb::Device::default()
    };
    pb::Hello { device: Some(device), access_token: token.into(), ..pb::Hello::default() }
}

fn marks_of(session: &pb::Session) -> Vec<String> {
    let tokens = session.tokens.clone().unwrap();
    // The head of an access token is the same for all: its signature is the
    // secret, its claims are who and until when.
    let signature = tokens.access_token.rsplit('.').next().unwrap().to_owned();
    vec![tokens.access_token, signature, tokens.refresh_token]
}

/// Messages and groups, good and bad.
fn talk<S: std::io::Read + std::io::Write>(wire: &mut Wire<S>, me: &pb::Session, server: &Server) {
    let other = super::Person::register(server.address, "other").user;
    let chat = direct(me.user_id, other);
    wire.say(&chat, TEXT).unwrap();
    wire.say(&chat, &TEXT.repeat(2_000)).unwrap_err();
    wire.say(&direct(me.user_id, 77_777_777), TEXT).unwrap_err();
    let opaque = pb::Opaque {
        content_type: "image/webp".into(),
        data: Bytes::from_static(DATA.as_bytes()),
        summary: SUMMARY.into(),
    };
    let send = pb::Send {
        conversation: Some(chat),
        client_msg_id: client_id().into(),
        body: Some(pb::Body { kind: Some(pb::body::Kind::Opaque(opaque)) }),
        ..pb::Send::default()
    };
    wire.call::<pb::SendAck>(Opcode::Send, &send).unwrap();
    // The same id for something else.
    let mut conflict = send;
    conflict.body = Some(pb::Body { kind: Some(pb::body::Kind::Text(TEXT.into())) });
    wire.call::<pb::SendAck>(Opcode::Send, &conflict).unwrap_err();
    let history = pb::History { conversation: Some(chat), ..pb::History::default() };
    wire.call::<pb::HistoryPage>(Opcode::History, &history).unwrap();
    wire.call::<pb::SyncPage>(Opcode::Sync, &pb::SyncRequest::default()).unwrap();

    let group = |name: String| pb::CreateGroup {
        client_group_id: client_id().into(),
        name,
        members: vec![other],
        ..pb::CreateGroup::default()
    };
    wire.call::<pb::Group>(Opcode::CreateGroup, &group(GROUP_NAME.into())).unwrap();
    wire.call::<pb::Group>(Opcode::CreateGroup, &group(GROUP_NAME.repeat(9))).unwrap_err();
    wire.send(&Frame { opcode: 32, request: 902, payload: GARBAGE.as_bytes().into() });
    wire.reply(902);
}

/// What the operator's interface says, good and bad. Only the answer to a
/// request for tokens has some, and only Show says a display name.
fn ask_as_operator(server: &Server) -> String {
    let show = server.admin("POST", "/v1/users", &format!(r#"{{"do":"show","name":"{NAME}"}}"#));
    assert!(show.contains(DISPLAY_NAME) && show.contains(DEVICE_NAME), "{show}");
    let add = format!(r#"{{"do":"add","name":"{NAME}","password":"{ADMIN_PASSWORD}"}}"#);
    let short = format!(r#"{{"do":"add","name":"x","password":"{ADMIN_PASSWORD}"}}"#);
    let wrong = format!(r#"{{"do":"add","password":"{ADMIN_PASSWORD}"}}"#);
    let unknown = format!(r#"{{"do":"show","name":"x","password":"{ADMIN_PASSWORD}"}}"#);
    let cut = format!(r#"{{"do":"add","password":"{ADMIN_PASSWORD}"#);
    let set = format!(r#"{{"do":"set_password","name":"{NAME}","password":"{ADMIN_PASSWORD}"}}"#);
    let mut answers = server.admin("GET", "/metrics", "") + &server.admin("GET", "/health", "");
    for body in [add, short, wrong, unknown, cut, set] {
        answers += &server.admin("POST", "/v1/users", &body);
        answers += "\n";
    }
    answers + &show.replace(DISPLAY_NAME, "").replace(DEVICE_NAME, "").replace(NAME, "")
}
