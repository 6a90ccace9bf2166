//! From a greeting to a login on the right shard.
//!
//! A connection is accepted anywhere. What it says first names a user, whose
//! slot names a shard: if that is another one, the connection moves there
//! with the request that it made, and the request is handled there as if it
//! had come in there.

use hongyan_protocol::limits::{
    CLIENT_BYTES_MAX, DEVICE_ID_BYTES_MAX, DISPLAY_NAME_BYTES_MAX, FRAME_BYTES_MIN_CLIENT,
    PASSWORD_BYTES_MAX, TOKEN_BYTES_MAX,
};
use hongyan_protocol::{ErrorCode, Frame, Opcode, Slot, UserId, pb};

use super::finish::{Next, PendingLogin};
use super::{ConnStage, Session, Tried};
use crate::auth::{RefreshToken, fold_name};
use crate::command::{SyncCommand, check_password, check_text, decode};
use crate::effect::{Effect, Effects, Gate};
use crate::entity::Stop;
use crate::error::Refusal;
use crate::input::{ConnId, Greeting, Link, OffloadJob, Verified};
use crate::shard::{Shard, Work};
use crate::state::AccountStatus;
use crate::sync::Shape;
use crate::token::{Claims, TokenFault};

const BAD_CREDENTIALS: Refusal =
    Refusal::new(ErrorCode::BadCredentials, "the name or the password is wrong");

impl From<TokenFault> for Refusal {
    fn from(fault: TokenFault) -> Self {
        match fault {
            TokenFault::Expired => Self::new(ErrorCode::TokenExpired, "the token has expired"),
            TokenFault::Invalid => Self::new(ErrorCode::TokenInvalid, "the token is not valid"),
        }
    }
}

impl Shard {
    /// The first frame of a connection.
    pub(crate) fn hello(&mut self, conn: ConnId, frame: Frame, fx: &mut Effects) {
        match parse_hello(&frame) {
            Err(refusal) => self.reply_refusal(conn, frame.request, refusal, fx),
            Ok((hello, greeting)) => {
                let with_token = !hello.access_token.is_empty();
                if let Some(found) = self.conns.get_mut(&conn) {
                    let greeting = Box::new(greeting);
                    found.stage = ConnStage::Entry { greeting, busy: with_token };
                }
                if with_token {
                    self.login(conn, frame, fx);
                } else {
                    fx.reply(Gate::Now, conn, Opcode::Hello, frame.request, &self.welcome());
                }
            }
        }
    }

    /// Takes a login request to the shard of its user.
    pub(crate) fn login(&mut self, conn: ConnId, frame: Frame, fx: &mut Effects) {
        match self.home_of(conn, &frame, fx) {
            Ok(None) => {}
            Ok(Some((slot, verified))) => self.enter_at(conn, slot, frame, verified, fx),
            Err(refusal) => self.refuse_login(conn, frame.request, refusal, fx),
        }
    }

    /// Goes on with a login where the user lives.
    pub(crate) fn enter_at(
        &mut self,
        conn: ConnId,
        slot: Slot,
        frame: Frame,
        verified: Option<Verified>,
        fx: &mut Effects,
    ) {
        let shard = self.layout.shard_of(slot);
        if shard == self.id {
            self.run(Work::Enter { conn, frame, verified }, fx);
            return;
        }
        let Some(found) = self.conns.swap_remove(&conn) else {
            return;
        };
        let ConnStage::Entry { greeting, .. } = found.stage else {
            return;
        };
        let (peer, opened_ms) = (found.peer, found.opened_ms);
        let link = Box::new(Link { peer, opened_ms, greeting: *greeting, frame, verified });
        fx.push(Gate::Now, Effect::Handoff { conn, shard, link });
    }

    /// The slot of the user that a login request names, with what was checked
    /// to find it. `None` when it takes slow work to find out.
    fn home_of(
        &mut self,
        conn: ConnId,
        frame: &Frame,
        fx: &mut Effects,
    ) -> Result<Option<(Slot, Option<Verified>)>, Refusal> {
        let slot = match Opcode::from_number(frame.opcode) {
            Some(Opcode::Hello) => {
                let hello: pb::Hello = decode(frame)?;
                let claims = self.tokens.verify(&hello.access_token, self.now.unix_ms)?;
                return Ok(Some((claims.user.slot(), Some(Verified::Claims(claims)))));
            }
            Some(Opcode::Register) => {
                if !self.config.registration_open {
                    let message = "accounts cannot be made by clients here";
                    return Err(Refusal::new(ErrorCode::RegistrationClosed, message));
                }
                Slot::of_name(&fold_name(&decode::<pb::Register>(frame)?.name)?)
            }
            Some(Opcode::Login) => {
                // A name that cannot be one is told so like any other.
                let name = decode::<pb::Login>(frame)?.name;
                Slot::of_name(&fold_name(&name).map_err(|_| BAD_CREDENTIALS)?)
            }
            Some(Opcode::Refresh) => {
                let token = decode::<pb::Refresh>(frame)?.refresh_token;
                RefreshToken::parse(&token).ok_or(TokenFault::Invalid)?.user.slot()
            }
            Some(Opcode::LoginExternal) => {
                let id_token = decode::<pb::LoginExternal>(frame)?.id_token;
                if !self.config.external_login {
                    let message = "tokens of external issuers are not taken here";
                    return Err(Refusal::new(ErrorCode::ExternalLoginClosed, message));
                }
                if id_token.len() > TOKEN_BYTES_MAX {
                    return Err(TokenFault::Invalid.into());
                }
                let request = frame.request;
                let next = Next::VerifyExternal { frame: frame.clone() };
                let job = OffloadJob::VerifyExternal { id_token };
                self.offload(job, PendingLogin { conn, request, next }, fx);
                return Ok(None);
            }
            _ => return Err(Refusal::new(ErrorCode::OutOfOrder, "not now")),
        };
        Ok(Some((slot, None)))
    }

    /// Handles a login request on its user's shard.
    pub(crate) fn enter(
        &mut self,
        conn: ConnId,
        frame: &Frame,
        verified: Option<&Verified>,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        if !self.conns.contains_key(&conn) {
            return Ok(());
        }
        match Opcode::from_number(frame.opcode) {
            Some(Opcode::Hello) => {
                let Some(Verified::Claims(claims)) = verified else {
                    return Err(Refusal::from(TokenFault::Invalid).into());
                };
                self.enter_by_token(conn, frame, claims, fx)
            }
            Some(Opcode::Register) => self.enter_by_registering(conn, frame, fx),
            Some(Opcode::Login) => self.enter_by_password(conn, frame, fx),
            Some(Opcode::Refresh) => self.enter_by_refresh(conn, frame, fx),
            Some(Opcode::LoginExternal) => {
                let Some(Verified::External(subject)) = verified.cloned() else {
                    return Err(Refusal::from(TokenFault::Invalid).into());
                };
                let (request, next) = (frame.request, Next::SignInExternal { subject });
                let job = OffloadJob::RotateRefresh { secret: String::new() };
                self.offload(job, PendingLogin { conn, request, next }, fx);
                Ok(())
            }
            _ => Err(Refusal::new(ErrorCode::OutOfOrder, "not now").into()),
        }
    }

    fn enter_by_token(
        &mut self,
        conn: ConnId,
        frame: &Frame,
        claims: &Claims,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let (hello, greeting) = parse_hello(frame)?;
        let user = claims.user;
        let account = self.entities.account(user)?;
        let account = account.ok_or(Refusal::from(TokenFault::Invalid))?;
        check_status(account.status)?;
        let known = account.devices.iter().find(|device| device.id == claims.device_id);
        let Some(known) = known.filter(|_| claims.device_id == greeting.device_id) else {
            return Err(Refusal::new(ErrorCode::DeviceRevoked, "the device was signed out").into());
        };
        if known.epoch != claims.epoch {
            // Replaced by a newer one, whose way to the device may have been cut.
            return Err(Refusal::from(TokenFault::Invalid).into());
        }
        let tokens_unseen = !known.tokens_seen;
        self.refuse_overtaken(conn, user, &claims.device_id)?;
        let mut welcome = self.welcome();
        welcome.session =
            self.entities.account(user)?.map(|account| session_of(account, &claims.device_id));
        // Cold state is asked for before anything is changed.
        let resume = hello.resume.as_ref().map(SyncCommand::parse).transpose()?;
        if resume.is_some() {
            self.entities.inbox(user)?;
        }
        let session = Session {
            user,
            device_id: claims.device_id.clone(),
            tokens_unseen,
            watched: Vec::new(),
            synced_ms: None,
            page_until: 0,
        };
        self.open_session(conn, session, fx);
        match resume {
            Some(resume) => {
                let shape = Shape::Welcome(Box::new(welcome));
                self.sync(conn, frame.request, user, &resume, shape, fx)
            }
            None => {
                fx.reply(Gate::Now, conn, Opcode::Hello, frame.request, &welcome);
                Ok(())
            }
        }
    }

    fn enter_by_registering(
        &mut self,
        conn: ConnId,
        frame: &Frame,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let message: pb::Register = decode(frame)?;
        let name = fold_name(&message.name)?;
        check_password(&message.password)?;
        check_text(&message.display_name, 0, DISPLAY_NAME_BYTES_MAX, "name")?;
        if self.entities.name(&name)?.is_some() {
            return Err(Refusal::new(ErrorCode::NameTaken, "the name is taken").into());
        }
        let display_name =
            if message.display_name.is_empty() { message.name } else { message.display_name };
        let (request, next) = (frame.request, Next::Create { name, display_name });
        let job = OffloadJob::HashPassword { password: message.password };
        self.offload(job, PendingLogin { conn, request, next }, fx);
        Ok(())
    }

    fn enter_by_password(
        &mut self,
        conn: ConnId,
        frame: &Frame,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let message: pb::Login = decode(frame)?;
        let name = fold_name(&message.name).map_err(|_| BAD_CREDENTIALS)?;
        if message.password.len() > PASSWORD_BYTES_MAX {
            return Err(BAD_CREDENTIALS.into());
        }
        let user = self.entities.name(&name)?;
        let hash = match user {
            Some(user) => {
                let tried = self.tried_on(conn, user)?;
                self.check_login_rate(tried)?;
                self.entities.account(user)?.map(|account| account.password.clone())
            }
            None => None,
        };
        // An account of an external issuer has no password to match.
        let hash = hash.filter(|hash| !hash.is_empty());
        let (request, next) = (frame.request, Next::SignIn { user });
        let job = OffloadJob::VerifyPassword { hash, password: message.password };
        self.offload(job, PendingLogin { conn, request, next }, fx);
        Ok(())
    }

    fn enter_by_refresh(
        &mut self,
        conn: ConnId,
        frame: &Frame,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let message: pb::Refresh = decode(frame)?;
        let token = RefreshToken::parse(&message.refresh_token)
            .ok_or(Refusal::from(TokenFault::Invalid))?;
        let greeting = self.greeting(conn).ok_or(Refusal::from(TokenFault::Invalid))?;
        if token.device_id != greeting.device_id {
            return Err(Refusal::from(TokenFault::Invalid).into());
        }
        self.entities.account(token.user)?;
        let (request, next) = (frame.request, Next::Rotate { user: token.user });
        let job = OffloadJob::RotateRefresh { secret: token.secret };
        self.offload(job, PendingLogin { conn, request, next }, fx);
        Ok(())
    }

    /// What a connection that is not live yet said of itself.
    pub(crate) fn greeting(&self, conn: ConnId) -> Option<&Greeting> {
        match &self.conns.get(&conn)?.stage {
            ConnStage::Entry { greeting, .. } => Some(greeting),
            _ => None,
        }
    }

    /// Refuses a login; the connection may try another.
    pub(crate) fn refuse_login(
        &mut self,
        conn: ConnId,
        request: u64,
        refusal: Refusal,
        fx: &mut Effects,
    ) {
        if let Some(found) = self.conns.get_mut(&conn)
            && let ConnStage::Entry { busy, .. } = &mut found.stage
        {
            *busy = false;
        }
        self.reply_refusal(conn, request, refusal, fx);
    }

    /// Refuses another try after too many that failed.
    pub(crate) fn check_login_rate(&self, tried: Tried) -> Result<(), Refusal> {
        match self.login_failures.wait_ms(tried, &self.config, self.now.mono_ms) {
            Some(wait_ms) => {
                Err(Refusal::later(ErrorCode::RateLimited, "too many failed logins", wait_ms))
            }
            None => Ok(()),
        }
    }

    /// Who tries a password on `conn`, before a session.
    pub(crate) fn tried_on(&mut self, conn: ConnId, user: UserId) -> Result<Tried, Stop> {
        let device_id = self.greeting(conn).map(|greeting| greeting.device_id.clone());
        let account = self.entities.account(user)?;
        let mut devices = account.iter().flat_map(|account| &account.devices);
        Ok((user, devices.any(|device| Some(&device.id) == device_id.as_ref())))
    }

    fn welcome(&self) -> pb::Welcome {
        pb::Welcome {
            server_time_ms: self.now.unix_ms,
            server: self.config.server.clone(),
            max_frame_bytes: self.config.frame_bytes_max,
            heartbeat_ms: self.config.heartbeat_ms,
            session: None,
            resumed: None,
        }
    }
}

/// Whether somebody with this status may come in.
pub(crate) fn check_status(status: i32) -> Result<(), Refusal> {
    match AccountStatus::try_from(status) {
        Ok(AccountStatus::Active) => Ok(()),
        Ok(AccountStatus::Deactivated) => {
            Err(Refusal::new(ErrorCode::AccountDeactivated, "the account is closed"))
        }
        Ok(AccountStatus::Banned) | Err(_) => {
            Err(Refusal::new(ErrorCode::AccountBanned, "the account is banned"))
        }
    }
}

/// A session's description, without tokens.
pub(crate) fn session_of(account: &crate::state::Account, device_id: &str) -> pb::Session {
    pb::Session {
        user_id: account.user,
        name: account.name.clone(),
        display_name: account.display_name.clone(),
        device_id: device_id.to_owned(),
        tokens: None,
    }
}

fn parse_hello(frame: &Frame) -> Result<(pb::Hello, Greeting), Refusal> {
    let hello: pb::Hello = decode(frame)?;
    check_text(&hello.client, 0, CLIENT_BYTES_MAX, "client")?;
    if hello.access_token.len() > TOKEN_BYTES_MAX {
        return Err(TokenFault::Invalid.into());
    }
    let frame_bytes_max = hello.max_frame_bytes as usize;
    if frame_bytes_max != 0 && frame_bytes_max < FRAME_BYTES_MIN_CLIENT {
        let message = "max_frame_bytes: at least 524,288";
        return Err(Refusal::new(ErrorCode::InvalidField, message));
    }
    let device = hello.device.clone().unwrap_or_default();
    check_text(&device.id, 1, DEVICE_ID_BYTES_MAX, "device_id")?;
    check_text(&device.name, 0, DISPLAY_NAME_BYTES_MAX, "name")?;
    let greeting =
        Greeting { device_id: device.id, device_class: device.class, device_name: device.name };
    Ok((hello, greeting))
}
