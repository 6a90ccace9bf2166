//! The account as one state that can be watched.

use hongyan_client::{AccountState, SignOutReason, Status};

use super::stage::{PASSWORD, run};

fn devices(state: &AccountState) -> Option<usize> {
    state.devices.as_ref().map(Vec::len)
}

#[test]
fn names_session_and_devices_are_one_state() {
    run(async |stage| {
        let client = stage.builder().build().await.expect("the settings are valid");
        let mut watched = client.account_state();
        assert_eq!(watched.borrow_and_update().account, None);
        client.register("ann", PASSWORD, "Ann").await.expect("it is free");
        let state = watched.wait_for(|state| state.status == Status::Live).await;
        let state = state.expect("the client runs").clone();
        let account = state.account.as_ref().expect("somebody is signed in");
        assert_eq!((account.name.as_str(), account.display_name.as_str()), ("ann", "Ann"));
        assert_eq!(state.devices, None, "nobody asked");
        let phone = stage.login("ann").await;
        client.devices().await.expect("the server is there");
        assert_eq!(devices(&watched.borrow_and_update()), Some(2));
        client.revoke_device(phone.device_id()).await.expect("it is there");
        assert_eq!(devices(&watched.borrow_and_update()), Some(1));
        // The other one sees how its session ended.
        let mut elsewhere = phone.account_state();
        let ended = elsewhere.wait_for(|it| matches!(it.status, Status::SignedOut { .. })).await;
        let ended = ended.expect("the client runs").clone();
        let Status::SignedOut { reason } = ended.status else {
            unreachable!("it was waited for");
        };
        assert!(matches!(reason, SignOutReason::Goodbye(_) | SignOutReason::Refused(_)));
        let tablet = stage.login("ann").await;
        client.devices().await.expect("the server is there");
        assert_eq!(devices(&watched.borrow_and_update()), Some(2));
        client.change_password(PASSWORD, "another horse").await.expect("it is right");
        assert_eq!(devices(&watched.borrow_and_update()), Some(1));
        drop(tablet);
        client.logout().await.expect("the server is there");
        let state = watched.borrow_and_update().clone();
        assert_eq!((&state.account, &state.devices), (&None, &None));
        let reason = SignOutReason::Logout;
        assert_eq!(state.status, Status::SignedOut { reason });
    });
}
