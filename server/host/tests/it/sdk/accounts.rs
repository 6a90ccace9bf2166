//! Accounts: made, opened, closed by their owner, closed by an operator.

use std::process::Command;

use hongyan_client::{Client, ClientError, ErrorCode, SignOutReason, Status};

use super::stage::Stage;
use super::wait::{me, refusal, signed_out};
use crate::support::PASSWORD;

over_both!(
    registering_and_logging_in_are_checked,
    logging_out_is_for_good,
    a_changed_password_signs_the_other_devices_out,
    a_closed_account_lets_nobody_in,
    a_banned_account_lets_nobody_in_until_it_is_restored,
);

const ANOTHER: &str = "another password";

fn ended_with(code: ErrorCode) -> SignOutReason {
    SignOutReason::Goodbye(code.number())
}

/// A client that keeps its state, signed in to an existing account.
async fn keep(stage: &Stage, name: &str) -> Client {
    let client = stage.reopen(name).await;
    client.login(name, PASSWORD).await.unwrap();
    client.wait_live().await.unwrap();
    client
}

async fn registering_and_logging_in_are_checked(stage: &mut Stage) {
    stage.open();
    let ann = stage.builder().build().await.unwrap();
    assert_eq!(ann.status(), Status::AuthRequired);
    for (name, password) in [("an", PASSWORD), ("a b c", PASSWORD), ("ann", "short")] {
        let refused = ann.register(name, password, "").await;
        assert_eq!(refusal(refused), ErrorCode::InvalidField, "{name} {password}");
    }
    let account = ann.register("Ann", PASSWORD, "Ann A.").await.unwrap();
    assert_eq!((account.name.as_str(), account.display_name.as_str()), ("ann", "Ann A."));
    ann.wait_live().await.unwrap();
    let again = ann.login("ann", PASSWORD).await;
    assert!(matches!(again, Err(ClientError::Invalid(_))), "{again:?}");

    let other = stage.builder().build().await.unwrap();
    assert_eq!(refusal(other.register("ANN", PASSWORD, "").await), ErrorCode::NameTaken);
    for (name, password) in [("ann", ANOTHER), ("nobody", PASSWORD), ("no name", PASSWORD)] {
        let refused = other.login(name, password).await;
        assert_eq!(refusal(refused), ErrorCode::BadCredentials, "{name}");
        assert_eq!(other.status(), Status::AuthRequired);
    }
    let same = other.login("aNN", PASSWORD).await.unwrap();
    assert_eq!(same, account);
    other.wait_live().await.unwrap();
    assert_eq!(ann.status(), Status::Live);
}

async fn logging_out_is_for_good(stage: &mut Stage) {
    stage.open();
    let phone = stage.register("ann").await;
    let desktop = keep(stage, "ann").await;
    assert_eq!(phone.devices().await.unwrap().len(), 2);
    let id = desktop.device_id().to_owned();
    desktop.logout().await.unwrap();
    assert_eq!(desktop.status(), Status::SignedOut { reason: SignOutReason::Logout });
    assert_eq!(desktop.account(), None);
    assert_eq!(desktop.devices().await, Err(ClientError::Offline));
    let devices = phone.devices().await.unwrap();
    assert!(devices.len() == 1 && devices[0].current, "{devices:?}");
    desktop.shutdown().await;

    // Nothing is left that opens a session; the device is still the same.
    let desktop = stage.reopen("ann").await;
    assert_eq!(desktop.device_id(), id);
    assert_eq!(desktop.resume().await, Err(ClientError::Offline));
    desktop.login("ann", PASSWORD).await.unwrap();
}

async fn a_changed_password_signs_the_other_devices_out(stage: &mut Stage) {
    stage.open();
    let phone = stage.register("ann").await;
    let desktop = stage.login("ann").await;
    let wrong = phone.change_password(ANOTHER, "something else").await;
    assert_eq!(refusal(wrong), ErrorCode::BadCredentials);
    assert_eq!(refusal(phone.change_password(PASSWORD, "short").await), ErrorCode::InvalidField);
    assert_eq!(desktop.status(), Status::Live);
    phone.change_password(PASSWORD, ANOTHER).await.unwrap();
    assert_eq!(signed_out(&desktop).await, ended_with(ErrorCode::SignedOut));
    assert_eq!(refusal(desktop.login("ann", PASSWORD).await), ErrorCode::BadCredentials);
    desktop.login("ann", ANOTHER).await.unwrap();
    // The device that changed it was not asked to sign in again.
    assert_eq!(phone.devices().await.unwrap().len(), 2);
}

async fn a_closed_account_lets_nobody_in(stage: &mut Stage) {
    stage.open();
    let phone = stage.register("ann").await;
    let desktop = keep(stage, "ann").await;
    assert_eq!(refusal(phone.deactivate(ANOTHER).await), ErrorCode::BadCredentials);
    assert_eq!(desktop.status(), Status::Live);
    phone.deactivate(PASSWORD).await.unwrap();
    let closed = ended_with(ErrorCode::AccountDeactivated);
    assert_eq!(signed_out(&phone).await, closed);
    assert_eq!(signed_out(&desktop).await, closed);
    assert_eq!(refusal(phone.login("ann", PASSWORD).await), ErrorCode::AccountDeactivated);
    assert_eq!(refusal(phone.login("ann", ANOTHER).await), ErrorCode::BadCredentials);
    assert_eq!(refusal(phone.register("ann", PASSWORD, "").await), ErrorCode::NameTaken);
    assert_eq!(desktop.resume().await, Err(ClientError::Offline));
}

async fn a_banned_account_lets_nobody_in_until_it_is_restored(stage: &mut Stage) {
    stage.open();
    let phone = stage.register("ann").await;
    let desktop = keep(stage, "ann").await;
    let away = keep_away(stage, "ann").await;
    operator(stage, &["user", "ban", "ann", "--reason", "spam"]);
    let banned = ended_with(ErrorCode::AccountBanned);
    assert_eq!(signed_out(&phone).await, banned);
    assert_eq!(signed_out(&desktop).await, banned);
    assert_eq!(refusal(phone.login("ann", PASSWORD).await), ErrorCode::AccountBanned);
    // A device that was away learns it when it comes back with its tokens.
    away.resume().await.unwrap_err();
    let refused = SignOutReason::Refused(ErrorCode::AccountBanned.number());
    assert_eq!(signed_out(&away).await, refused);

    operator(stage, &["user", "unban", "ann"]);
    let account = phone.login("ann", PASSWORD).await.unwrap();
    assert_eq!(account.user, me(&desktop));
}

/// A device that is signed in and not connected.
async fn keep_away(stage: &Stage, name: &str) -> Client {
    let client = stage.login(name).await;
    client.disconnect().await.unwrap();
    client
}

/// What an operator types, with the server running.
fn operator(stage: &Stage, arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_hongyan"))
        .args(arguments)
        .arg("--data")
        .arg(stage.node().handle().dir())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
