//! Access tokens that have expired, refresh tokens that work once.

use std::time::{SystemTime, UNIX_EPOCH};

use hongyan::config::Secret;
use hongyan::tokens::SignedTokens;
use hongyan_client::{
    Client, ErrorCode, FileLocalStore, LocalStore, MemoryLocalStore, SignOutReason, StoreOp,
    StoredState,
};
use hongyan_core::{AccessTokens, Claims, EntityKey, state};
use hongyan_store::Options;
use prost::Message;

use super::stage::Stage;
use super::wait::{direct, me, refusal, say, signed_out};
use crate::support::PASSWORD;

over_both!(
    an_access_token_that_is_not_taken_is_refreshed,
    a_refresh_whose_answer_was_lost_is_asked_for_again,
    a_refresh_token_that_is_used_again_ends_the_session,
);

const KEY: &str = "d3Jn8zQm5tYb1LxVw7CkR2uHs9fGp4Ea";

/// Signs somebody up and keeps the state; the client is closed.
async fn sign_up(stage: &Stage) -> StoredState {
    let client = stage.reopen("ann").await;
    client.register("ann", PASSWORD, "").await.unwrap();
    client.wait_live().await.unwrap();
    stage.close("ann", client).await
}

/// Changes the access token that is kept.
fn plant(stage: &Stage, access_token: &str, access_expires_ms: u64) {
    let mut store = FileLocalStore::open(stage.files("ann")).unwrap();
    let mut tokens = store.load().unwrap().tokens.unwrap();
    tokens.access_token = access_token.to_owned();
    tokens.access_expires_ms = access_expires_ms;
    store.apply(&[StoreOp::SetTokens(Some(tokens))], true).unwrap();
}

/// A client that is sure to use its refresh token.
async fn refreshing(stage: &Stage, state: &StoredState) -> Client {
    let mut state = state.clone();
    state.tokens.as_mut().unwrap().access_expires_ms = 1;
    stage.builder().store(MemoryLocalStore::with_state(state)).build().await.unwrap()
}

async fn an_access_token_that_is_not_taken_is_refreshed(stage: &mut Stage) {
    stage.open_with(|raw| raw.auth.token_key = Secret::new(KEY));
    let state = sign_up(stage).await;
    let (user, device_id) = (state.account.unwrap().user, state.device_id.unwrap());
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let expired = SignedTokens::new(KEY.as_bytes()).unwrap().issue(&Claims {
        user,
        device_id: device_id.clone(),
        epoch: 1,
        issued_ms: now_ms - 7_200_000,
        expires_ms: now_ms - 3_600_000,
    });
    let mut raw = stage.raw_connection().await;
    let refused = raw.hello(&device_id, &expired, None).await;
    assert_eq!(refusal(refused), ErrorCode::TokenExpired);

    let mut refresh_token = state.tokens.unwrap().refresh_token;
    // The server says so, the client knows so, nobody can read it.
    for (token, expires_ms) in [(expired.as_str(), u64::MAX), ("x", 1), ("x", u64::MAX)] {
        plant(stage, token, expires_ms);
        let client = stage.reopen("ann").await;
        client.wait_live().await.unwrap();
        assert_eq!(me(&client), user);
        client.devices().await.unwrap();
        let tokens = stage.close("ann", client).await.tokens.unwrap();
        assert_ne!(tokens.refresh_token, refresh_token, "not rotated");
        assert_ne!(tokens.access_token, token);
        refresh_token = tokens.refresh_token;
    }
}

async fn a_refresh_whose_answer_was_lost_is_asked_for_again(stage: &mut Stage) {
    stage.open();
    let state = sign_up(stage).await;
    let first = refreshing(stage, &state).await;
    first.wait_live().await.unwrap();
    first.disconnect().await.unwrap();
    stage.stop().await;
    two_minutes_pass(stage, &state);
    stage.start_again().await;
    // The device that never got the answer has the old token only.
    let again = refreshing(stage, &state).await;
    again.wait_live().await.unwrap();
    assert_eq!(again.devices().await.unwrap().len(), 1);
}

async fn a_refresh_token_that_is_used_again_ends_the_session(stage: &mut Stage) {
    stage.open();
    let stolen = sign_up(stage).await;
    plant(stage, "x", 1);
    let bob = stage.reopen("bob").await;
    bob.register("bob", PASSWORD, "").await.unwrap();
    let ann = stage.reopen("ann").await;
    ann.wait_live().await.unwrap();
    // So the new tokens have arrived.
    say(&ann, direct(&ann, &bob), "hello").await;
    stage.close("ann", ann).await;
    stage.close("bob", bob).await;
    stage.stop().await;
    two_minutes_pass(stage, &stolen);
    stage.start_again().await;
    let ann = stage.reopen("ann").await;
    ann.wait_live().await.unwrap();

    let thief = refreshing(stage, &stolen).await;
    let revoked = SignOutReason::Refused(ErrorCode::DeviceRevoked.number());
    assert_eq!(signed_out(&thief).await, revoked);
    // Nobody can tell which of the two is the owner.
    let ended = SignOutReason::Goodbye(ErrorCode::SignedOut.number());
    assert_eq!(signed_out(&ann).await, ended);
    ann.login("ann", PASSWORD).await.unwrap();
    assert_eq!(ann.devices().await.unwrap().len(), 1);
}

/// Makes the last refresh of every device of an account two minutes older in
/// the store of a stopped server: longer than a lost answer is waited for.
fn two_minutes_pass(stage: &Stage, of: &StoredState) {
    let key = EntityKey::Account(of.account.as_ref().unwrap().user).to_bytes();
    let store = hongyan_store::open(&Options {
        reserve_bytes: 0,
        free_bytes_min: 0,
        ..Options::new(&stage.node().raw.store.dir)
    })
    .unwrap();
    let value = store.views.read(&key).unwrap().expect("the account is settled");
    let mut account = state::Account::decode(value).unwrap();
    for device in &mut account.devices {
        device.refresh_rotated_ms -= 120_000;
    }
    store.views.write(&[(key, Some(account.encode_to_vec().into()))]).unwrap();
    store.views.checkpoint(&store.report.checkpoint).unwrap();
}
