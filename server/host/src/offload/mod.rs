//! Slow work that left a shard: passwords, and tokens of other issuers.
//!
//! A bounded queue and a few threads; the answer goes back as an input with
//! the ticket of the question. When the queue is full the answer is Busy, at
//! once. Passwords and external tokens have a queue each, so that an issuer
//! that does not answer holds up no login by password. What takes
//! microseconds (a refresh token) is done on the spot.
//!
//! Argon2id takes 19 MiB for each password being hashed, so the number of
//! threads is also a bound on memory.

mod external;
mod jwks;
mod password;

pub(crate) use jwks::check as check_keys;

use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use hongyan_core::input::{FreshSecret, Ticket};
use hongyan_core::{Input, OffloadJob, OffloadOutcome, ShardId, TokenFault};

use crate::config::ExternalConfig;
use crate::shared::Shared;

pub(crate) use external::Verifier;
pub use password::{HashError, hash_password};

/// Threads that hash passwords.
pub(crate) const PASSWORD_THREADS: usize = 2;
/// External tokens that may wait.
const EXTERNAL_QUEUE_LEN: usize = 256;

/// Where workers leave slow work.
pub(crate) struct OffloadQueue {
    passwords: Sender<Task>,
    external: Option<Sender<Task>>,
}

/// What the threads take from.
pub(crate) struct OffloadWork {
    pub(crate) passwords: Receiver<Task>,
    pub(crate) external: Option<(Receiver<Task>, ExternalConfig)>,
}

/// One piece of work, and whose.
pub(crate) enum Task {
    Job { shard: ShardId, ticket: Ticket, job: OffloadJob },
    Stop,
}

/// The queues, at most `len_max` passwords long.
pub(crate) fn queues(
    len_max: usize,
    external: Option<ExternalConfig>,
) -> (OffloadQueue, OffloadWork) {
    let (passwords, password_work) = bounded(len_max);
    let (external_queue, external_work) = match external {
        None => (None, None),
        Some(config) => {
            let (sender, receiver) = bounded(EXTERNAL_QUEUE_LEN);
            (Some(sender), Some((receiver, config)))
        }
    };
    (
        OffloadQueue { passwords, external: external_queue },
        OffloadWork { passwords: password_work, external: external_work },
    )
}

impl OffloadQueue {
    /// Leaves `job` for the threads, or answers it at once.
    pub(crate) fn submit(
        &self,
        shard: ShardId,
        ticket: Ticket,
        job: OffloadJob,
    ) -> Option<OffloadOutcome> {
        let queue = match job {
            OffloadJob::RotateRefresh { secret } => {
                let presented = digest_of(&secret);
                return Some(OffloadOutcome::Rotated { presented, fresh: fresh_secret() });
            }
            OffloadJob::HashPassword { .. } | OffloadJob::VerifyPassword { .. } => &self.passwords,
            OffloadJob::VerifyExternal { .. } => match &self.external {
                Some(queue) => queue,
                None => return Some(OffloadOutcome::External(Err(TokenFault::Invalid))),
            },
        };
        match queue.try_send(Task::Job { shard, ticket, job }) {
            Ok(()) => None,
            Err(_) => Some(OffloadOutcome::Busy),
        }
    }

    /// Ends the threads once they have done what waits.
    pub(crate) fn stop(&self) {
        for _ in 0..PASSWORD_THREADS {
            // Nobody takes from it: then nobody has to be told.
            let _ = self.passwords.send(Task::Stop);
        }
        if let Some(external) = &self.external {
            let _ = external.send(Task::Stop);
        }
    }
}

/// Hashes and verifies passwords until told to stop.
pub(crate) fn run_passwords(shared: &Arc<Shared>, work: &Receiver<Task>) {
    while let Ok(Task::Job { shard, ticket, job }) = work.recv() {
        let outcome = match job {
            OffloadJob::HashPassword { password } => match hash_password(&password) {
                Ok(hash) => OffloadOutcome::Hashed { hash, fresh: fresh_secret() },
                Err(error) => {
                    tracing::error!(%error, "a password could not be hashed");
                    OffloadOutcome::Failed
                }
            },
            OffloadJob::VerifyPassword { hash, password } => {
                let matches = password::verify(hash.as_deref(), &password);
                OffloadOutcome::Verified { matches, fresh: fresh_secret() }
            }
            OffloadJob::RotateRefresh { .. } | OffloadJob::VerifyExternal { .. } => {
                OffloadOutcome::Failed
            }
        };
        shared.deliver(shard, Input::OffloadDone { ticket, outcome });
    }
}

/// Verifies tokens of another issuer until told to stop.
pub(crate) fn run_external(shared: &Arc<Shared>, work: &Receiver<Task>, config: ExternalConfig) {
    let mut verifier = Verifier::new(config);
    while let Ok(Task::Job { shard, ticket, job }) = work.recv() {
        let outcome = match job {
            OffloadJob::VerifyExternal { id_token } => {
                let now_ms = crate::shared::unix_ms();
                let verified = verifier.verify(&id_token, now_ms);
                OffloadOutcome::External(verified.map(|subject| (subject, fresh_secret())))
            }
            _ => OffloadOutcome::Failed,
        };
        shared.deliver(shard, Input::OffloadDone { ticket, outcome });
    }
}

/// A new refresh token's secret: 32 random bytes, and its SHA-256.
pub(crate) fn fresh_secret() -> FreshSecret {
    let secret = URL_SAFE_NO_PAD.encode(crate::tokens::random_bytes::<32>());
    let digest = digest_of(&secret);
    FreshSecret { secret, digest }
}

fn digest_of(secret: &str) -> Bytes {
    Bytes::copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_secret_is_found_by_its_digest() {
        let (queue, _work) = queues(1, None);
        let fresh = fresh_secret();
        assert_eq!(fresh.secret.len(), 43);
        let job = OffloadJob::RotateRefresh { secret: fresh.secret.clone() };
        let Some(OffloadOutcome::Rotated { presented, fresh: next }) =
            queue.submit(ShardId(0), Ticket(1), job)
        else {
            panic!("not answered at once");
        };
        assert_eq!(presented, fresh.digest);
        assert_ne!(next.secret, fresh.secret);
    }

    #[test]
    fn a_full_queue_says_busy_and_no_issuer_says_invalid() {
        let (queue, _work) = queues(1, None);
        let job = || OffloadJob::HashPassword { password: "correct horse".into() };
        assert_eq!(queue.submit(ShardId(0), Ticket(1), job()), None);
        assert_eq!(queue.submit(ShardId(0), Ticket(2), job()), Some(OffloadOutcome::Busy));
        let external = OffloadJob::VerifyExternal { id_token: "x".into() };
        assert_eq!(
            queue.submit(ShardId(0), Ticket(3), external),
            Some(OffloadOutcome::External(Err(TokenFault::Invalid)))
        );
    }
}
