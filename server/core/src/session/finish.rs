//! What happens when slow work of a login, or of a change of password, is
//! done. Everything is checked again: time has passed.

use bytes::Bytes;
use hongyan_protocol::{ErrorCode, Frame, Opcode, Slot, UserId, pb};

use super::Session;
use super::enter::{check_status, session_of};
use crate::auth::RefreshToken;
use crate::effect::{Effects, Gate};
use crate::entity::Stop;
use crate::error::Refusal;
use crate::input::{ConnId, ExternalSubject, FreshSecret, OffloadJob, OffloadOutcome, Verified};
use crate::shard::{Shard, op, partition_of};
use crate::state::{self, DeviceRecord, op::Kind};
use crate::token::{Claims, TokenFault};

/// A refresh token that was replaced is still taken for so long, in case the
/// answer with its successor was lost.
const REFRESH_GRACE_MS: u64 = 60_000;

/// A request that waits for slow work.
#[derive(Debug, Clone)]
pub(crate) struct PendingLogin {
    pub(crate) conn: ConnId,
    pub(crate) request: u64,
    pub(crate) next: Next,
}

/// What to do when it is done.
#[derive(Debug, Clone)]
pub(crate) enum Next {
    /// Hash at hand: make the account.
    Create { name: String, display_name: String },
    /// Password checked: close the account.
    Deactivate { user: UserId },
    /// Digest at hand: compare and replace.
    Rotate { user: UserId },
    /// New hash at hand: store it.
    SetPassword { user: UserId },
    /// Password checked: sign the device in.
    SignIn { user: Option<UserId> },
    /// Secret at hand: sign the device in, making an account if need be.
    SignInExternal { subject: ExternalSubject },
    /// Old password checked: hash the new one.
    SwapPassword { user: UserId, new: String },
    /// External token checked: go where its user lives.
    VerifyExternal { frame: Frame },
}

impl Shard {
    pub(crate) fn finish_login(
        &mut self,
        pending: &PendingLogin,
        outcome: &OffloadOutcome,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        if !self.conns.contains_key(&pending.conn) {
            return Ok(());
        }
        match outcome {
            OffloadOutcome::Busy => {
                let busy = Refusal::later(ErrorCode::Busy, "too many logins at once", 500);
                return Err(busy.into());
            }
            OffloadOutcome::Failed => {
                return Err(Refusal::new(ErrorCode::Internal, "the login failed").into());
            }
            _ => {}
        }
        match (&pending.next, outcome) {
            (Next::Create { name, display_name }, OffloadOutcome::Hashed { hash, fresh }) => {
                self.create_account(pending, name, name, display_name, hash, fresh, fx)
            }
            (Next::SignIn { user }, OffloadOutcome::Verified { matches, fresh }) => {
                self.sign_in(pending, *user, *matches, fresh, fx)
            }
            (Next::Rotate { user }, OffloadOutcome::Rotated { presented, fresh }) => {
                self.rotate(pending, *user, presented, fresh, fx)
            }
            (Next::VerifyExternal { frame }, OffloadOutcome::External(result)) => {
                let (subject, _) = result.clone().map_err(Refusal::from)?;
                let slot = Slot::of_name(&subject.name);
                let verified = Some(Verified::External(subject));
                self.enter_at(pending.conn, slot, frame.clone(), verified, fx);
                Ok(())
            }
            (Next::SignInExternal { subject }, OffloadOutcome::Rotated { fresh, .. }) => {
                self.sign_in_external(pending, subject, fresh, fx)
            }
            (Next::SwapPassword { user, new }, OffloadOutcome::Verified { matches, .. }) => {
                self.check_own_password(*user, *matches)?;
                let next = Next::SetPassword { user: *user };
                let pending = PendingLogin { next, ..pending.clone() };
                self.offload(OffloadJob::HashPassword { password: new.clone() }, pending, fx);
                Ok(())
            }
            (Next::SetPassword { user }, OffloadOutcome::Hashed { hash, .. }) => {
                self.set_own_password(pending, *user, hash, fx)
            }
            (Next::Deactivate { user }, OffloadOutcome::Verified { matches, .. }) => {
                self.check_own_password(*user, *matches)?;
                self.deactivate(pending, *user, fx)
            }
            _ => {
                tracing::error!(?pending, "an offload's outcome is of another kind");
                Err(Refusal::new(ErrorCode::Internal, "the login failed").into())
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all that an account is made of")]
    fn create_account(
        &mut self,
        pending: &PendingLogin,
        bound_name: &str,
        name: &str,
        display_name: &str,
        hash: &str,
        fresh: &FreshSecret,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        if self.entities.name(bound_name)?.is_some() {
            return Err(Refusal::new(ErrorCode::NameTaken, "the name is taken").into());
        }
        let (user, ops) = self.account_ops(bound_name, name, display_name, hash);
        let partition = partition_of(user.slot());
        // Nobody knew this id before, so there is nothing to load.
        self.install_absent_account(user);
        self.commit(partition, ops);
        let device = self.device_for(pending.conn, user, fresh)?;
        self.enter_device(pending, user, device, fresh, fx)
    }

    /// A new user of the name's partition, and the ops that make the account.
    pub(crate) fn account_ops(
        &mut self,
        bound_name: &str,
        name: &str,
        display_name: &str,
        hash: &str,
    ) -> (UserId, Vec<state::Op>) {
        let slot = Slot::of_name(bound_name);
        let number = self.entities.partition(partition_of(slot)).next_user;
        let user = UserId::compose(number, slot);
        let account = state::Account {
            user: user.get(),
            name: name.to_owned(),
            display_name: display_name.to_owned(),
            password: hash.to_owned(),
            created_ms: self.now.unix_ms,
            ..state::Account::default()
        };
        let created = state::AccountCreated { account: Some(account), next_user: number + 1 };
        let mut ops = vec![op(Kind::AccountCreated(created))];
        if bound_name != name {
            let bound = state::NameBound { name: bound_name.to_owned(), user: user.get() };
            ops.push(op(Kind::NameBound(bound)));
        }
        (user, ops)
    }

    /// A user that was never there is known to be absent.
    pub(crate) fn install_absent_account(&mut self, user: UserId) {
        let key = crate::EntityKey::Account(user);
        if !self.entities.is_loaded(&key) && self.entities.install(key, None).is_err() {
            tracing::error!(?user, "an absent account cannot be installed");
        }
    }

    fn sign_in(
        &mut self,
        pending: &PendingLogin,
        user: Option<UserId>,
        matches: bool,
        fresh: &FreshSecret,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let bad = Refusal::new(ErrorCode::BadCredentials, "the name or the password is wrong");
        let user = user.ok_or(bad)?;
        let tried = self.tried_on(pending.conn, user)?;
        if !matches {
            self.login_failures.note(tried, &self.config, self.now.mono_ms);
            return Err(bad.into());
        }
        let status = self.entities.account(user)?.ok_or(bad)?.status;
        check_status(status)?;
        self.login_failures.forget(tried);
        let device = self.device_for(pending.conn, user, fresh)?;
        self.enter_device(pending, user, device, fresh, fx)
    }

    fn sign_in_external(
        &mut self,
        pending: &PendingLogin,
        subject: &ExternalSubject,
        fresh: &FreshSecret,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        if let Some(user) = self.entities.name(&subject.name)? {
            let account = self.entities.account(user)?;
            let status = account.ok_or(Refusal::from(TokenFault::Invalid))?.status;
            check_status(status)?;
            let device = self.device_for(pending.conn, user, fresh)?;
            return self.enter_device(pending, user, device, fresh, fx);
        }
        // Nameless: the subject, without whose it is.
        let shown = match subject.display_name.as_str() {
            "" => subject.name.rsplit('#').next().unwrap_or(&subject.name),
            name => name,
        };
        let display_name: String = shown.chars().take(16).collect();
        // The subject is the only name of such an account; it cannot be one
        // that a client registers, which has neither ':' nor '#'.
        self.create_account(pending, &subject.name, &subject.name, &display_name, "", fresh, fx)
    }

    fn rotate(
        &mut self,
        pending: &PendingLogin,
        user: UserId,
        presented: &Bytes,
        fresh: &FreshSecret,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let now_ms = self.now.unix_ms;
        let invalid = Refusal::from(TokenFault::Invalid);
        let device_id = self.greeting(pending.conn).ok_or(invalid)?.device_id.clone();
        let account = self.entities.account(user)?.ok_or(invalid)?;
        check_status(account.status)?;
        let revoked = Refusal::new(ErrorCode::DeviceRevoked, "the device was signed out");
        let known = account.devices.iter().find(|device| device.id == device_id).ok_or(revoked)?;
        if known.refresh_expires_ms <= now_ms {
            return Err(Refusal::from(TokenFault::Expired).into());
        }
        let current = known.refresh == *presented;
        let before = known.refresh_before == *presented && !presented.is_empty();
        // The answer that brought the newer pair may have been lost, however
        // long ago; one that arrived may not have been stored in time.
        let in_grace =
            before && (!known.tokens_seen || now_ms < known.refresh_rotated_ms + REFRESH_GRACE_MS);
        if before && !in_grace {
            // Somebody else has a copy of it: nobody can tell who is who.
            self.remove_device(user, &device_id, ErrorCode::SignedOut, fx);
            return Err(revoked.into());
        }
        if !current && !in_grace {
            return Err(invalid.into());
        }
        let mut device = self.device_for(pending.conn, user, fresh)?;
        device.refresh_before = presented.clone();
        self.enter_device(pending, user, device, fresh, fx)
    }

    /// The record of the device on `conn` after signing in now.
    fn device_for(
        &mut self,
        conn: ConnId,
        user: UserId,
        fresh: &FreshSecret,
    ) -> Result<DeviceRecord, Stop> {
        let now_ms = self.now.unix_ms;
        let expires_ms = now_ms + self.config.refresh_token_ms;
        let invalid = Refusal::from(TokenFault::Invalid);
        let greeting = self.greeting(conn).ok_or(invalid)?.clone();
        let account = self.entities.account(user)?.ok_or(invalid)?;
        let known = account.devices.iter().find(|device| device.id == greeting.device_id);
        Ok(DeviceRecord {
            id: greeting.device_id,
            class: greeting.device_class.clamp(0, i32::MAX) as u32,
            name: greeting.device_name,
            epoch: account.epochs + 1,
            refresh: fresh.digest.clone(),
            refresh_before: Bytes::new(),
            refresh_rotated_ms: now_ms,
            refresh_expires_ms: expires_ms,
            created_ms: known.map_or(now_ms, |device| device.created_ms),
            seen_ms: now_ms,
            tokens_seen: false,
        })
    }

    /// Stores the device, opens its session, and answers with tokens.
    fn enter_device(
        &mut self,
        pending: &PendingLogin,
        user: UserId,
        device: DeviceRecord,
        fresh: &FreshSecret,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        self.refuse_overtaken(pending.conn, user, &device.id)?;
        self.make_room(user, &device, fx);
        let mut reply = self.entities.account(user)?.map(|account| session_of(account, &device.id));
        if let Some(session) = &mut reply {
            session.tokens = Some(self.issue(user, &device, fresh));
        }
        let session = Session {
            user,
            device_id: device.id.clone(),
            tokens_unseen: true,
            watched: Vec::new(),
            synced_ms: None,
            page_until: 0,
        };
        let set = state::DeviceSet { user: user.get(), device: Some(device) };
        self.commit(partition_of(user.slot()), vec![op(Kind::DeviceSet(set))]);
        self.want_sync();
        self.open_session(pending.conn, session, fx);
        let opcode = pending.next.opcode();
        let reply = reply.unwrap_or_default();
        fx.reply(Gate::Durable, pending.conn, opcode, pending.request, &reply);
        Ok(())
    }

    /// A pair of tokens for a device.
    pub(crate) fn issue(
        &self,
        user: UserId,
        device: &DeviceRecord,
        fresh: &FreshSecret,
    ) -> pb::Tokens {
        let issued_ms = self.now.unix_ms;
        let expires_ms = issued_ms + self.config.access_token_ms;
        let device_id = device.id.clone();
        let claims = Claims {
            user,
            device_id: device_id.clone(),
            epoch: device.epoch,
            issued_ms,
            expires_ms,
        };
        let refresh = RefreshToken { user, secret: fresh.secret.clone(), device_id };
        pb::Tokens {
            access_token: self.tokens.issue(&claims),
            access_expires_ms: expires_ms,
            refresh_token: refresh.to_text(),
            refresh_expires_ms: device.refresh_expires_ms,
        }
    }
}

impl Next {
    const fn opcode(&self) -> Opcode {
        match self {
            Self::Create { .. } => Opcode::Register,
            Self::SignIn { .. } => Opcode::Login,
            Self::Rotate { .. } => Opcode::Refresh,
            Self::SignInExternal { .. } | Self::VerifyExternal { .. } => Opcode::LoginExternal,
            Self::SetPassword { .. } | Self::SwapPassword { .. } => Opcode::ChangePassword,
            Self::Deactivate { .. } => Opcode::Deactivate,
        }
    }
}
