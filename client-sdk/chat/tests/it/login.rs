//! The login screen.

use crossterm::event::{KeyCode, KeyModifiers};
use hongyan_chat::io::{Command, Input, Outcome};
use hongyan_chat::model::{Field, Mode};
use hongyan_client::{Account, ClientError, Credentials, ErrorCode, SignOutReason, Status};

use crate::world::{NOW_MS, World, me};

fn refused(code: ErrorCode) -> ClientError {
    ClientError::Refused { code: code.number(), message: String::new(), retry_after_ms: 0 }
}

fn fail(world: &mut World, error: ClientError) {
    world.put(Input::Done(Outcome::Authenticated(Err(error))));
}

fn fill_in(world: &mut World) {
    world.type_text("alice");
    world.key(KeyCode::Tab);
    world.type_text("correct horse");
}

fn message(world: &World) -> String {
    let login = world.model.login.as_ref().expect("the login screen");
    login.message.as_ref().expect("a message").text.clone()
}

#[test]
fn enter_in_the_last_field_logs_in() {
    let mut world = World::signed_out(false);
    fill_in(&mut world);
    world.key(KeyCode::Enter);
    let password = Credentials::Password { name: "alice".into(), password: "correct horse".into() };
    assert_eq!(world.take(), [Command::Authenticate(password)]);
    // One attempt at a time.
    world.key(KeyCode::Enter);
    assert_eq!(world.take(), []);
}

#[test]
fn a_new_account_wants_the_password_twice() {
    let mut world = World::signed_out(false);
    world.key(KeyCode::F(2));
    fill_in(&mut world);
    world.key(KeyCode::Enter);
    world.type_text("correct");
    world.key(KeyCode::Enter);
    assert_eq!(world.take(), []);
    assert!(message(&world).contains("differ"));
    world.type_text(" horse");
    world.key(KeyCode::Enter);
    let asked = world.take();
    assert!(
        matches!(&asked[..], [Command::Authenticate(Credentials::Register { name, .. })] if name == "alice"),
        "{asked:?}"
    );
}

#[test]
fn what_the_server_would_refuse_is_not_sent() {
    let mut world = World::signed_out(false);
    world.type_text("a b");
    world.key(KeyCode::Enter);
    world.type_text("long enough");
    world.key(KeyCode::Enter);
    assert_eq!(world.take(), []);
    assert!(message(&world).contains("a name has"));
}

#[test]
fn refusals_are_explained_and_the_form_is_ready_again() {
    let mut world = World::signed_out(false);
    fill_in(&mut world);
    world.key(KeyCode::Enter);
    fail(&mut world, refused(ErrorCode::BadCredentials));
    assert!(message(&world).contains("password is wrong"));
    let login = world.model.login.as_ref().expect("the login screen");
    assert_eq!(login.field, Field::Password);
    assert!(login.password.is_empty() && !login.busy);
    assert_eq!(login.retry_at_ms, None);

    world.key(KeyCode::F(2));
    let login = world.model.login.as_ref().expect("the login screen");
    assert_eq!(login.mode, Mode::Register);
    fail(&mut world, refused(ErrorCode::NameTaken));
    assert!(message(&world).contains("taken"));
}

#[test]
fn an_unreachable_server_is_tried_again_until_it_answers_or_esc() {
    let mut world = World::signed_out(false);
    fill_in(&mut world);
    world.key(KeyCode::Enter);
    world.take();
    fail(&mut world, ClientError::Connect("Connection refused".into()));
    assert!(message(&world).contains("cannot reach the server"));
    world.put(Input::Tick(NOW_MS + 999));
    assert_eq!(world.take(), []);
    world.put(Input::Tick(NOW_MS + 1_000));
    assert!(matches!(world.take()[..], [Command::Authenticate(_)]));
    // The second wait is longer.
    fail(&mut world, ClientError::Connect("Connection refused".into()));
    world.put(Input::Tick(NOW_MS + 2_999));
    assert_eq!(world.take(), []);
    world.key(KeyCode::Esc);
    world.put(Input::Tick(NOW_MS + 60_000));
    assert_eq!(world.take(), []);
}

#[test]
fn a_certificate_that_is_not_trusted_and_wrong_ports_say_what_helps() {
    let mut world = World::signed_out(false);
    fill_in(&mut world);
    world.key(KeyCode::Enter);
    fail(&mut world, ClientError::Certificate("it has expired".into()));
    assert!(message(&world).contains("it has expired") && message(&world).contains("--ca"));
    let retry_at_ms = |world: &World| world.model.login.as_ref().and_then(|it| it.retry_at_ms);
    assert!(retry_at_ms(&world).is_some(), "the server may get another one");
    for (error, help) in [
        (ClientError::NeedsTls, "--tls"),
        (ClientError::SpeaksNoTls, "--plaintext"),
        (ClientError::NotHongyan, "not a Hongyan server"),
    ] {
        world.key(KeyCode::Enter);
        fail(&mut world, error);
        assert!(message(&world).contains(help), "{}", message(&world));
        assert_eq!(retry_at_ms(&world), None, "waiting does not mend it");
    }
}

#[test]
fn making_an_account_that_is_there_logs_in_when_asked_to() {
    let mut world = World::signed_out(false);
    let login = world.model.login.as_mut().expect("the login screen");
    login.login_when_taken = true;
    world.key(KeyCode::F(2));
    fill_in(&mut world);
    world.key(KeyCode::Tab);
    world.type_text("correct horse");
    world.key(KeyCode::Enter);
    world.take();
    fail(&mut world, refused(ErrorCode::NameTaken));
    let asked = world.take();
    assert!(
        matches!(&asked[..], [Command::Authenticate(Credentials::Password { .. })]),
        "{asked:?}"
    );
}

#[test]
fn an_account_that_is_remembered_without_a_session_logs_in_again() {
    let mut world = World::signed_out(false);
    fill_in(&mut world);
    world.key(KeyCode::Enter);
    world.take();
    let account = Account { user: me(), name: "alice".into(), display_name: String::new() };
    world.put(Input::Account(Some(account.clone())));
    world.put(Input::Status(Status::AuthRequired));
    world.put(Input::Account(Some(account)));
    world.put(Input::Status(Status::Connecting));
    assert!(world.model.login.as_ref().is_some_and(|login| login.busy));
    world.put(Input::Status(Status::Live));
    assert!(world.model.login.is_none());
}

#[test]
fn whether_anything_is_tried_is_known() {
    let mut world = World::signed_out(true);
    assert_eq!(world.model.login_objection(), Some("nobody is signed in"));
    fill_in(&mut world);
    world.key(KeyCode::Enter);
    assert_eq!(world.model.login_objection(), None);
    fail(&mut world, ClientError::Connect("Connection refused".into()));
    assert_eq!(world.model.login_objection(), None, "it is tried again");
    world.put(Input::Tick(NOW_MS + 1_000));
    fail(&mut world, refused(ErrorCode::AccountBanned));
    assert_eq!(world.model.login_objection(), Some("this account is banned"));
}

#[test]
fn being_signed_out_leaves_nothing_of_the_account_on_the_screen() {
    let mut world = World::live(false);
    world.type_text("a secret draft");
    world.put(Input::Account(None));
    world.put(Input::Status(Status::SignedOut {
        reason: SignOutReason::Goodbye(ErrorCode::SignedOut.number()),
    }));
    // The protocol does not say by whom: neither is ruled out.
    assert!(message(&world).contains("from another one") && message(&world).contains("operator"));
    assert!(world.model.list.is_empty());
    assert!(world.model.composer().is_empty());
    assert_eq!(world.model.account, None);
}

#[test]
fn a_place_taken_by_another_device_can_be_taken_back() {
    let mut world = World::live(false);
    world.put(Input::Status(Status::SignedOut {
        reason: SignOutReason::Goodbye(ErrorCode::Replaced.number()),
    }));
    assert!(world.model.login.is_none());
    assert!(world.model.banner().is_some_and(|it| it.contains("/resume")));
    world.type_text("/resume");
    world.key(KeyCode::Enter);
    assert_eq!(world.take(), [Command::Resume]);
}

#[test]
fn control_q_quits_from_everywhere() {
    for mut world in [World::signed_out(false), World::live(false)] {
        world.key_with(KeyCode::Char('q'), KeyModifiers::CONTROL);
        assert_eq!(world.take(), [Command::Quit]);
        assert!(world.model.quitting);
    }
}
