//! The operator's interface.

use hongyan::admin::client;
use hongyan::admin::wire::{Contact, UserAnswer, UserRequest};
use hongyan_protocol::ErrorCode;

use crate::support::{PASSWORD, TestNode, metric};

fn contact(test: &TestNode) -> Contact {
    client::find(test.handle().dir()).unwrap().expect("the server is found by its file")
}

fn ask(test: &TestNode, request: &UserRequest) -> UserAnswer {
    client::ask(&contact(test), request).unwrap()
}

#[test]
fn health_is_open_and_the_rest_wants_the_token() {
    let test = TestNode::start_with(|raw| raw.admin.open_metrics = false);
    let mut contact = contact(&test);
    let (status, body) = client::exchange(&contact, "GET", "/metrics", b"").unwrap();
    assert_eq!(status, 200);
    assert!(metric(&String::from_utf8(body).unwrap(), "hongyan_health") == 0.0);
    contact.token.push('x');
    let (status, body) = client::exchange(&contact, "GET", "/health", b"").unwrap();
    assert_eq!(status, 200);
    assert!(String::from_utf8(body).unwrap().contains("\"status\":\"well\""));
    for path in ["/metrics", "/v1/drain", "/v1/users"] {
        let method = if path == "/metrics" { "GET" } else { "POST" };
        assert_eq!(client::exchange(&contact, method, path, b"{}").unwrap().0, 401, "{path}");
    }
}

#[test]
fn metrics_can_be_open() {
    let test = TestNode::start();
    let mut contact = contact(&test);
    contact.token.clear();
    assert_eq!(client::exchange(&contact, "GET", "/metrics", b"").unwrap().0, 200);
    assert_eq!(client::exchange(&contact, "POST", "/v1/drain", b"").unwrap().0, 401);
}

#[test]
fn an_account_made_by_an_operator_can_log_in_and_be_banned() {
    let test = TestNode::start();
    let name = "Ann".to_owned();
    let add = UserRequest::Add { name, password: PASSWORD.into(), display_name: "Ann A.".into() };
    assert!(matches!(ask(&test, &add), UserAnswer::Done { .. }));
    let UserAnswer::Refused { code, .. } = ask(&test, &add) else { panic!("made twice") };
    assert_eq!(code, ErrorCode::NameTaken.number());

    let mut wire = test.connect();
    wire.hello("d");
    assert_eq!(wire.login("ann").unwrap().display_name, "Ann A.");
    let show = UserRequest::Show { name: "ann".into() };
    let UserAnswer::User(view) = ask(&test, &show) else { panic!("not shown") };
    assert_eq!((view.status.as_str(), view.sessions, view.devices.len()), ("active", 1, 1));

    let ban = UserRequest::Ban { name: "ann".into(), reason: "spam".into() };
    assert!(matches!(ask(&test, &ban), UserAnswer::Done { sessions_closed: 1, .. }));
    wire.goodbye_with(ErrorCode::AccountBanned);
    let mut wire = test.connect();
    wire.hello("d");
    assert_eq!(wire.login("ann").unwrap_err().code, ErrorCode::AccountBanned.number());

    assert!(matches!(
        ask(&test, &UserRequest::Restore { name: "ann".into() }),
        UserAnswer::Done { .. }
    ));
    let mut wire = test.connect();
    wire.hello("d");
    wire.login("ann").unwrap();
    let kick = UserRequest::Kick { name: "ann".into(), device_id: None };
    assert!(matches!(ask(&test, &kick), UserAnswer::Done { sessions_closed: 1, .. }));
    wire.goodbye();
}

#[test]
fn an_issued_token_opens_a_session() {
    let test = TestNode::start();
    let add = UserRequest::Add {
        name: "bot".into(),
        password: PASSWORD.into(),
        display_name: String::new(),
    };
    ask(&test, &add);
    let issue = UserRequest::IssueToken { name: "bot".into(), device_id: "script".into() };
    let UserAnswer::Tokens { access_token, .. } = ask(&test, &issue) else { panic!("no token") };
    let mut wire = test.connect();
    let hello = hongyan_protocol::pb::Hello {
        device: Some(hongyan_protocol::pb::Device { id: "script".into(), ..Default::default() }),
        access_token,
        ..Default::default()
    };
    let welcome: hongyan_protocol::pb::Welcome =
        wire.call(hongyan_protocol::Opcode::Hello, &hello).unwrap();
    assert_eq!(welcome.session.unwrap().name, "bot");
}

#[test]
fn what_cannot_be_is_refused() {
    let test = TestNode::start();
    let short = UserRequest::Add {
        name: "ann".into(),
        password: "short".into(),
        display_name: String::new(),
    };
    assert!(matches!(ask(&test, &short), UserAnswer::Refused { .. }));
    let nobody = UserRequest::Show { name: "nobody".into() };
    let UserAnswer::Refused { code, .. } = ask(&test, &nobody) else { panic!("shown") };
    assert_eq!(code, ErrorCode::NoSuchUser.number());
    let contact = contact(&test);
    let unknown = br#"{"do":"show","name":"a","extra":1}"#;
    assert_eq!(client::exchange(&contact, "POST", "/v1/users", unknown).unwrap().0, 422);
    let huge = vec![b' '; 100_000];
    assert_eq!(client::exchange(&contact, "POST", "/v1/users", &huge).unwrap().0, 413);
}

#[test]
fn a_drain_is_an_event_for_the_owner() {
    let test = TestNode::start();
    assert_eq!(client::exchange(&contact(&test), "POST", "/v1/drain", b"").unwrap().0, 202);
    let event = test.handle().next_event(crate::support::PATIENCE);
    assert_eq!(event, Some(hongyan::Event::StopAsked));
}

#[test]
fn clients_of_a_stopping_server_are_told_when_to_come_back() {
    let mut test = TestNode::start();
    let mut wires: Vec<_> = ["ann", "bob", "cat"].map(|name| test.register(name)).into();
    let readers: Vec<_> = wires
        .drain(..)
        .map(|mut wire| std::thread::spawn(move || wire.goodbye_with(ErrorCode::GoingAway)))
        .collect();
    test.stop();
    for reader in readers {
        // Half a second for the server, and the spread.
        let hint = reader.join().unwrap().reconnect_after_ms;
        assert!((500..500 + 5_000).contains(&hint), "{hint}");
    }
}
