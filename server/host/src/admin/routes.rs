//! The routes.
//!
//! ```text
//! GET  /health       200 while serving, 503 while stopping or failed; no token
//! GET  /metrics      Prometheus text
//! POST /v1/users     a UserRequest, answered by a UserAnswer
//! POST /v1/drain     stop in order, as SIGTERM does
//! ```

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hongyan_core::state::AccountStatus;
use hongyan_core::{AdminCommand, AdminOutcome};
use hongyan_protocol::limits::{PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN};
use serde_json::json;

use super::AdminState;
use super::wire::{UserAnswer, UserRequest};
use crate::node::Event;
use crate::offload::{fresh_secret, hash_password};
use crate::shared::{Condition, Shared};

/// Bytes of a request.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a shard may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

type Shard = State<Arc<AdminState>>;

pub(super) fn routes(state: Arc<AdminState>) -> Router {
    let guarded = Router::new()
        .route("/v1/users", post(users))
        .route("/v1/drain", post(drain))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(state.clone(), check_token));
    Router::new()
        .route("/health", get(health))
        .merge(guarded)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(state)
}

async fn check_token(State(state): Shard, request: Request, next: Next) -> Response {
    let open = state.open_metrics && request.uri().path() == "/metrics";
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or("");
    let same =
        aws_lc_rs::constant_time::verify_slices_are_equal(given.as_bytes(), state.token.as_bytes());
    if open || same.is_ok() {
        next.run(request).await
    } else {
        (StatusCode::UNAUTHORIZED, "the bearer token of admin.json is needed\n").into_response()
    }
}

async fn health(State(state): Shard) -> Response {
    let health = &state.shared.health;
    let (status, word) = match health.condition() {
        Condition::Well if health.writes_allowed() => (StatusCode::OK, "well"),
        Condition::Well => (StatusCode::OK, "read_only"),
        Condition::Draining => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        Condition::Poisoned => (StatusCode::SERVICE_UNAVAILABLE, "failed"),
    };
    let body = json!({
        "status": word,
        "reason": health.reason(),
        "free_bytes": health.free_bytes(),
        "connections": state.shared.connections.load(std::sync::atomic::Ordering::Relaxed),
        "version": env!("CARGO_PKG_VERSION"),
    });
    (status, Json(body)).into_response()
}

async fn metrics(State(state): Shard) -> Response {
    let text = state.shared.render_metrics();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn drain(State(state): Shard) -> StatusCode {
    // A full queue means that the owner has already been told something.
    let _ = state.shared.events.try_send(Event::StopAsked);
    StatusCode::ACCEPTED
}

async fn users(State(state): Shard, Json(request): Json<UserRequest>) -> Json<UserAnswer> {
    let shared = state.shared.clone();
    // Hashing takes tens of milliseconds, and a full mailbox blocks.
    let asked = tokio::task::spawn_blocking(move || ask(&shared, request)).await;
    let answer = match asked {
        Ok(Ok(answer)) => answer,
        Ok(Err(refused)) => return Json(refused),
        Err(_) => return Json(UserAnswer::Timeout),
    };
    match tokio::time::timeout(ANSWER_LIMIT, answer).await {
        Ok(Ok(outcome)) => Json(outcome.into()),
        Ok(Err(_)) | Err(_) => Json(UserAnswer::Timeout),
    }
}

type Answer = tokio::sync::oneshot::Receiver<AdminOutcome>;

fn ask(shared: &Shared, request: UserRequest) -> Result<Answer, UserAnswer> {
    if !shared.health.writes_allowed() && !matches!(request, UserRequest::Show { .. }) {
        let code = hongyan_protocol::ErrorCode::StoreUnavailable;
        return Err(refused(code, "the disk is nearly full; nothing was done"));
    }
    Ok(shared.ask(command(request)?))
}

/// Turns a request into what the rules take; hashes passwords, so it takes
/// tens of milliseconds.
pub(crate) fn command(request: UserRequest) -> Result<AdminCommand, UserAnswer> {
    let name = request.name();
    Ok(match request {
        UserRequest::Add { password, display_name, .. } => {
            AdminCommand::AddUser { name, password_hash: hash(&password)?, display_name }
        }
        UserRequest::SetPassword { password, .. } => {
            AdminCommand::SetPassword { name, password_hash: hash(&password)? }
        }
        UserRequest::Ban { reason, .. } => {
            AdminCommand::SetStatus { name, status: AccountStatus::Banned, reason }
        }
        UserRequest::Restore { .. } => {
            AdminCommand::SetStatus { name, status: AccountStatus::Active, reason: String::new() }
        }
        UserRequest::Kick { device_id, .. } => AdminCommand::Kick { name, device_id },
        UserRequest::Show { .. } => AdminCommand::ShowUser { name },
        UserRequest::IssueToken { device_id, .. } => {
            AdminCommand::IssueToken { name, device_id, fresh: fresh_secret() }
        }
    })
}

fn hash(password: &str) -> Result<String, UserAnswer> {
    if !(PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&password.len()) {
        let code = hongyan_protocol::ErrorCode::InvalidField;
        return Err(refused(code, "a password has 8 to 256 bytes"));
    }
    hash_password(password).map_err(|error| {
        tracing::error!(%error, "a password could not be hashed");
        refused(hongyan_protocol::ErrorCode::Internal, "the password could not be hashed")
    })
}

fn refused(code: hongyan_protocol::ErrorCode, message: &str) -> UserAnswer {
    UserAnswer::Refused {
        code: code.number(),
        name: code.name().to_owned(),
        message: message.to_owned(),
    }
}
