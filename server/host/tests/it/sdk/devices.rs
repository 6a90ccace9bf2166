//! Devices of an account: the list, signing one out, and how many the
//! operator lets in at once.

use hongyan_client::pb::{
    self,
    DeviceClass::{Desktop, Phone, Web},
};
use hongyan_client::{
    Client, ClientError, ErrorCode, Event, MemoryLocalStore, SignOutReason, Status,
};

use super::stage::Stage;
use super::wait::{next, refusal, signed_out, within};
use crate::support::PASSWORD;

over_both!(
    devices_are_listed_and_signed_out,
    the_same_device_takes_its_own_place,
    any_number_of_devices,
    one_device_of_each_class,
    one_device,
);

const REPLACED: SignOutReason = SignOutReason::Goodbye(ErrorCode::Replaced.number());

/// Id, class, name, whether it is on line, whether it is the asker; by name.
async fn listed(client: &Client) -> Vec<(String, pb::DeviceClass, String, bool, bool)> {
    let mut list: Vec<_> = client
        .devices()
        .await
        .unwrap()
        .into_iter()
        .map(|state| {
            assert!(state.created_ms > 0 && state.last_seen_ms >= state.created_ms);
            let device = state.device.unwrap();
            (device.id.clone(), device.class(), device.name, state.online, state.current)
        })
        .collect();
    list.sort_by(|a, b| a.2.cmp(&b.2));
    list
}

async fn names(client: &Client) -> Vec<String> {
    listed(client).await.into_iter().map(|device| device.2).collect()
}

async fn enter(stage: &Stage, class: pb::DeviceClass, name: &str) -> Client {
    stage.login_on("ann", class, name).await.unwrap()
}

/// Makes the account, with no device left.
async fn account(stage: &Stage) {
    stage.register("ann").await.logout().await.unwrap();
}

async fn devices_are_listed_and_signed_out(stage: &mut Stage) {
    stage.open();
    account(stage).await;
    let desktop = enter(stage, Desktop, "a desktop").await;
    let phone = stage.login("ann").await;
    let id = phone.device_id().to_owned();
    let row = |client: &Client, name: &str, online, current| {
        (client.device_id().to_owned(), Desktop, name.to_owned(), online, current)
    };
    assert_eq!(
        listed(&desktop).await,
        [row(&phone, "", true, false), row(&desktop, "a desktop", true, true)]
    );
    phone.disconnect().await.unwrap();
    // The server learns of the end of a connection in its own time.
    within("the phone off line", async { while listed(&desktop).await[0].3 {} }).await;
    phone.resume().await.unwrap();
    phone.wait_live().await.unwrap();

    assert_eq!(refusal(desktop.revoke_device("nobody's").await), ErrorCode::NoSuchDevice);
    let mut events = phone.events();
    desktop.revoke_device(&id).await.unwrap();
    let ended = next(&mut events, "the end of the session", |event| match event {
        Event::Disconnected(error) => Some(error),
        _ => None,
    });
    assert!(ended.await.is(ErrorCode::SignedOut));
    let reason = SignOutReason::Goodbye(ErrorCode::SignedOut.number());
    assert_eq!(signed_out(&phone).await, reason);
    assert_eq!(names(&desktop).await, ["a desktop"]);
    assert_eq!(phone.resume().await, Err(ClientError::Offline));
    phone.login("ann", PASSWORD).await.unwrap();
    assert_eq!(names(&desktop).await, ["", "a desktop"]);
    // A device may sign itself out as well.
    phone.revoke_device(&id).await.unwrap();
    assert_eq!(signed_out(&phone).await, reason);
}

async fn the_same_device_takes_its_own_place(stage: &mut Stage) {
    stage.open();
    let first = stage.reopen("ann").await;
    first.register("ann", PASSWORD, "").await.unwrap();
    first.wait_live().await.unwrap();
    // Another process that has the same state, as after a copied disk.
    let state = stage.close("ann", first).await;
    let first = stage.reopen("ann").await;
    first.wait_live().await.unwrap();
    let second = stage.builder().store(MemoryLocalStore::with_state(state)).build().await.unwrap();
    second.wait_live().await.unwrap();
    assert_eq!(signed_out(&first).await, REPLACED);
    assert_eq!(second.devices().await.unwrap().len(), 1);
    // The first may take the place back: its tokens are good still.
    first.resume().await.unwrap();
    assert_eq!(signed_out(&second).await, REPLACED);
    assert_eq!(first.devices().await.unwrap().len(), 1);
}

async fn any_number_of_devices(stage: &mut Stage) {
    stage.open();
    account(stage).await;
    let mut clients = Vec::new();
    for (class, name) in [(Phone, "a"), (Phone, "b"), (Desktop, "c"), (Web, "d"), (Web, "e")] {
        clients.push(enter(stage, class, name).await);
    }
    for client in &clients {
        let list = listed(client).await;
        assert!(list.len() == 5 && list.iter().all(|device| device.3), "{list:?}");
        assert_eq!(client.status(), Status::Live);
    }
}

async fn one_device_of_each_class(stage: &mut Stage) {
    stage.open_with(|raw| raw.session.device_policy = "one-per-class".into());
    account(stage).await;
    let old = enter(stage, Phone, "an old phone").await;
    let desktop = enter(stage, Desktop, "a desktop").await;
    let new = enter(stage, Phone, "a new phone").await;
    assert_eq!(signed_out(&old).await, REPLACED);
    assert_eq!(names(&new).await, ["a desktop", "a new phone"]);
    assert_eq!(names(&desktop).await, ["a desktop", "a new phone"]);
    // Its place is gone for good, not only taken for now.
    assert_eq!(old.resume().await, Err(ClientError::Offline));
    let revoked = SignOutReason::Refused(ErrorCode::DeviceRevoked.number());
    assert_eq!(signed_out(&old).await, revoked);
    old.login("ann", PASSWORD).await.unwrap();
    assert_eq!(signed_out(&new).await, REPLACED);
    assert_eq!(names(&desktop).await, ["a desktop", "an old phone"]);
}

async fn one_device(stage: &mut Stage) {
    stage.open_with(|raw| raw.session.device_policy = "one".into());
    account(stage).await;
    let phone = enter(stage, Phone, "a phone").await;
    let desktop = enter(stage, Desktop, "a desktop").await;
    assert_eq!(signed_out(&phone).await, REPLACED);
    assert_eq!(names(&desktop).await, ["a desktop"]);
    let web = enter(stage, Web, "a browser").await;
    assert_eq!(signed_out(&desktop).await, REPLACED);
    assert_eq!(names(&web).await, ["a browser"]);
}
