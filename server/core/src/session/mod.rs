//! Connections, and the sessions that they become. Foundation.
//!
//! ```text
//!            Hello without token          Register, Login, Refresh,
//! Greeting ----------------------> Entry ------LoginExternal------> Live
//!    |  Hello with token                |   (busy while slow work is out)
//!    '----------------------------------'----> moved to the user's shard
//! any state --Closed--> gone
//! ```
//!
//! Owns: what each connection of the shard is, which sessions a user has,
//! and who watches whom. Refuses to know sockets: a connection is a number.

mod account;
mod devices;
mod enter;
mod finish;
mod presence;

use foldhash::fast::FixedState;
use hongyan_protocol::opcode::Stage;
use hongyan_protocol::{ErrorCode, Frame, Opcode, UserId, pb};
use indexmap::IndexMap;

pub(crate) use self::finish::PendingLogin;
pub(crate) use self::presence::Watchers;
use crate::command::Command;
use crate::effect::{Effect, Effects, Gate, delimited};
use crate::error::Refusal;
use crate::input::{ConnId, Greeting, Link, Peer};
use crate::shard::{Shard, Work, op, partition_of};
use crate::state::{self, op::Kind};

/// A frame of length zero.
const HEARTBEAT: bytes::Bytes = bytes::Bytes::from_static(&[0]);
/// Accounts with failed logins that are remembered at once.
const FAILURES_MAX: usize = 100_000;

/// One connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) peer: Peer,
    /// When it was opened, on the monotonic clock.
    pub(crate) opened_ms: u64,
    pub(crate) stage: ConnStage,
    bucket: Bucket,
}

/// How far a connection has come.
#[derive(Debug)]
pub(crate) enum ConnStage {
    /// Nothing said yet.
    Greeting,
    /// Said who the device is.
    Entry {
        greeting: Box<Greeting>,
        /// A login is being worked on.
        busy: bool,
    },
    /// In an open session.
    Live(Box<Session>),
}

/// An open session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) user: UserId,
    pub(crate) device_id: String,
    /// Nothing yet has shown that the device has its newest tokens.
    pub(crate) tokens_unseen: bool,
    /// People that this session watches.
    pub(crate) watched: Vec<UserId>,
    /// When it last asked for a page of a sync.
    pub(crate) synced_ms: Option<u64>,
    /// The submission behind whose gate its last page waits.
    pub(crate) page_until: u64,
}

/// Requests that a connection may still make.
#[derive(Debug, Default)]
struct Bucket {
    tokens_milli: u64,
    filled_ms: u64,
}

/// Whose password is tried, and whether from one of the account's own
/// devices: strangers who fail lock out strangers only.
pub(crate) type Tried = (UserId, bool);

/// Failed logins: how many, and when the last was.
#[derive(Debug, Default)]
pub(crate) struct LoginFailures(IndexMap<Tried, (u32, u64), FixedState>);

/// What people see of an account.
pub(crate) fn profile(account: &state::Account) -> pb::Profile {
    pb::Profile {
        user: account.user,
        name: account.name.clone(),
        display_name: account.display_name.clone(),
    }
}

impl Shard {
    pub(crate) fn opened(&mut self, conn: ConnId, peer: Peer, fx: &mut Effects) {
        self.conns.insert(conn, Conn::new(peer, self.now.mono_ms, ConnStage::Greeting));
        if self.draining_ms.is_some() {
            self.close_draining(conn, fx);
        }
    }

    /// A connection came from the shard that accepted it.
    pub(crate) fn adopted(&mut self, conn: ConnId, link: Link, fx: &mut Effects) {
        let stage = ConnStage::Entry { greeting: Box::new(link.greeting), busy: true };
        self.conns.insert(conn, Conn::new(link.peer, link.opened_ms, stage));
        if self.draining_ms.is_some() {
            self.close_draining(conn, fx);
            return;
        }
        self.run(Work::Enter { conn, frame: link.frame, verified: link.verified }, fx);
    }

    /// A frame came.
    pub(crate) fn frame(&mut self, conn: ConnId, frame: Frame, fx: &mut Effects) {
        let Some(found) = self.conns.get_mut(&conn) else {
            return;
        };
        if frame.is_heartbeat() {
            fx.push(Gate::Now, Effect::Reply { conn, frame: HEARTBEAT });
            return;
        }
        let request = frame.request;
        let exempt = found.peer.ip.is_loopback() && !self.config.limit_loopback;
        if !exempt && let Err(refusal) = found.bucket.take(&self.config, self.now.mono_ms) {
            self.reply_refusal(conn, request, refusal, fx);
            return;
        }
        let Some(opcode) = Opcode::from_number(frame.opcode) else {
            let refusal = Refusal::new(ErrorCode::UnknownOpcode, "no such opcode");
            self.reply_refusal(conn, request, refusal, fx);
            return;
        };
        match (opcode.stage(), &mut found.stage) {
            (Stage::Session, ConnStage::Live(session)) => {
                let user = session.user;
                // What writes all the time: a store that takes no writes now gets none.
                if matches!(opcode, Opcode::Send | Opcode::MoveCursor) {
                    self.note_tokens_seen(conn);
                }
                match Command::parse(opcode, &frame, user) {
                    Ok(Command::Ask(ask)) => self.ask(conn, request, user, ask, fx),
                    Ok(command) => self.run(Work::Command { conn, request, command }, fx),
                    Err(refusal) => self.reply_refusal(conn, request, refusal, fx),
                }
            }
            (Stage::Hello, ConnStage::Greeting) if opcode == Opcode::Hello => {
                self.hello(conn, frame, fx);
            }
            (Stage::Hello, ConnStage::Entry { busy: false, .. }) if opcode == Opcode::Hello => {
                self.hello(conn, frame, fx);
            }
            (Stage::Login, ConnStage::Entry { busy, .. }) if !*busy => {
                *busy = true;
                self.login(conn, frame, fx);
            }
            _ => {
                let refusal = Refusal::new(ErrorCode::OutOfOrder, "not now");
                self.reply_refusal(conn, request, refusal, fx);
            }
        }
    }

    /// The device on `conn` goes on with its newest tokens, or in the session
    /// that they came with: from now on the pair before is good for nobody.
    pub(crate) fn note_tokens_seen(&mut self, conn: ConnId) {
        let Some(session) = self.session_mut(conn).filter(|session| session.tokens_unseen) else {
            return;
        };
        session.tokens_unseen = false;
        let (user, device_id) = (session.user, session.device_id.clone());
        // Let go from memory since: then the next session notes it.
        let Ok(Some(account)) = self.entities.account(user) else {
            return;
        };
        let mut device = account.devices.iter().find(|device| device.id == device_id).cloned();
        let Some(known) = device.as_mut().filter(|known| !known.tokens_seen) else {
            return;
        };
        known.tokens_seen = true;
        // Without a pair before there is nothing to refuse.
        if known.refresh_before.is_empty() {
            return;
        }
        let set = state::DeviceSet { user: user.get(), device };
        self.commit(partition_of(user.slot()), vec![op(Kind::DeviceSet(set))]);
    }

    /// A connection is gone.
    pub(crate) fn closed(&mut self, conn: ConnId, fx: &mut Effects) {
        self.drop_gatherings(conn);
        let Some(found) = self.conns.swap_remove(&conn) else {
            return;
        };
        if let ConnStage::Live(session) = found.stage {
            self.end_session(conn, *session, fx);
        }
    }

    /// The session of a connection.
    pub(crate) fn session(&self, conn: ConnId) -> Option<&Session> {
        match &self.conns.get(&conn)?.stage {
            ConnStage::Live(session) => Some(session),
            _ => None,
        }
    }

    /// Makes a connection the session of a device; a session that the device
    /// still had elsewhere ends.
    pub(crate) fn open_session(&mut self, conn: ConnId, session: Session, fx: &mut Effects) {
        let user = session.user;
        let former: Vec<_> = self
            .sessions_of(user)
            .filter(|(_, other)| other.device_id == session.device_id)
            .map(|(conn, _)| conn)
            .collect();
        for former in former {
            self.close(former, ErrorCode::Replaced, "the device connected again", 0, fx);
        }
        let Some(found) = self.conns.get_mut(&conn) else {
            return;
        };
        found.stage = ConnStage::Live(Box::new(session));
        let conns = self.online.entry(user).or_default();
        let first = conns.is_empty();
        conns.push(conn);
        let frame_bytes_max = self.config.frame_bytes_max;
        fx.push(Gate::Now, Effect::SessionOpened { conn, user, frame_bytes_max });
        if first {
            self.presence_changed(user, true, fx);
        }
    }

    /// Refuses a device that is in on a connection opened later than `conn`: what comes late on
    /// one that the device has given up must not end the session that took its place.
    pub(crate) fn refuse_overtaken(
        &self,
        conn: ConnId,
        user: UserId,
        device_id: &str,
    ) -> Result<(), Refusal> {
        let opened_ms = |conn| self.conns.get(&conn).map(|found| found.opened_ms);
        let overtaken = self
            .sessions_of(user)
            .filter(|(_, session)| session.device_id == device_id)
            .any(|(other, _)| opened_ms(other) > opened_ms(conn));
        if overtaken {
            return Err(Refusal::new(ErrorCode::Replaced, "the device has connected again since"));
        }
        Ok(())
    }

    /// Open sessions of a user of this shard.
    pub(crate) fn sessions_of(&self, user: UserId) -> impl Iterator<Item = (ConnId, &Session)> {
        let conns = self.online.get(&user).map_or(&[][..], |conns| conns.as_slice());
        conns.iter().filter_map(|conn| Some((*conn, self.session(*conn)?)))
    }

    fn end_session(&mut self, conn: ConnId, session: Session, fx: &mut Effects) {
        self.unwatch_all(conn, &session.watched, fx);
        if let Some(conns) = self.online.get_mut(&session.user) {
            conns.retain(|other| *other != conn);
            if conns.is_empty() {
                self.online.swap_remove(&session.user);
                self.presence_changed(session.user, false, fx);
            }
        }
    }

    /// Says goodbye to a connection; nothing more is sent to it.
    pub(crate) fn close(
        &mut self,
        conn: ConnId,
        code: ErrorCode,
        message: &str,
        reconnect_after_ms: u32,
        fx: &mut Effects,
    ) {
        let goodbye =
            pb::Goodbye { code: code.number(), message: message.to_owned(), reconnect_after_ms };
        let goodbye = delimited(Opcode::Goodbye, 0, &goodbye);
        // What waits for the log and is on its way to this connection comes
        // first: the gate keeps the order.
        let gate = self.read_gate();
        if gate == Gate::Durable {
            self.want_sync();
        }
        fx.push(gate, Effect::Close { conn, goodbye });
        self.closed(conn, fx);
    }

    /// Ends sessions of a user; says how many there were.
    pub(crate) fn close_sessions(
        &mut self,
        user: UserId,
        chosen: impl Fn(ConnId, &Session) -> bool,
        code: ErrorCode,
        message: &str,
        fx: &mut Effects,
    ) -> usize {
        let conns: Vec<_> = self
            .sessions_of(user)
            .filter(|(conn, session)| chosen(*conn, session))
            .map(|(conn, _)| conn)
            .collect();
        for conn in &conns {
            self.close(*conn, code, message, 0, fx);
        }
        conns.len()
    }

    /// The server is stopping.
    pub(crate) fn drain(&mut self, spread_ms: u32, fx: &mut Effects) {
        self.draining_ms = Some(spread_ms);
        let conns: Vec<_> = self.conns.keys().copied().collect();
        for conn in conns {
            self.close_draining(conn, fx);
        }
    }

    fn close_draining(&mut self, conn: ConnId, fx: &mut Effects) {
        // Spread by the connection's number, which each shard counts for itself:
        // no two neighbours come back at the same moment.
        let spread = u64::from(self.draining_ms.unwrap_or(0).max(1));
        let number = conn.0 ^ u64::from(self.id.0) << 48 ^ self.now.unix_ms;
        let jitter = hongyan_protocol::ids::mix64(number) % spread;
        let after_ms = 500 + jitter as u32;
        self.close(conn, ErrorCode::GoingAway, "the server is restarting", after_ms, fx);
    }
}

impl Conn {
    fn new(peer: Peer, opened_ms: u64, stage: ConnStage) -> Self {
        Self { peer, opened_ms, stage, bucket: Bucket::default() }
    }
}

impl Bucket {
    fn take(&mut self, config: &crate::CoreConfig, now_ms: u64) -> Result<(), Refusal> {
        let rate = u64::from(config.requests_per_second);
        if rate == 0 {
            return Ok(());
        }
        let burst = u64::from(config.requests_burst.max(1)) * 1000;
        if self.filled_ms == 0 {
            self.tokens_milli = burst;
        }
        let passed_ms = now_ms.saturating_sub(self.filled_ms);
        self.tokens_milli =
            burst.min(self.tokens_milli.saturating_add(passed_ms.saturating_mul(rate)));
        self.filled_ms = now_ms.max(1);
        if self.tokens_milli < 1000 {
            let wait_ms = (1000 - self.tokens_milli).div_ceil(rate) as u32;
            return Err(Refusal::later(
                ErrorCode::RateLimited,
                "too many requests",
                wait_ms.max(1),
            ));
        }
        self.tokens_milli -= 1000;
        Ok(())
    }
}

impl LoginFailures {
    /// How long whoever tries must still wait.
    fn wait_ms(&self, user: Tried, config: &crate::CoreConfig, now_ms: u64) -> Option<u32> {
        let (count, last_ms) = *self.0.get(&user)?;
        let until = last_ms + config.login_penalty_ms;
        (count >= config.login_failures_max && now_ms < until).then(|| (until - now_ms) as u32)
    }

    fn note(&mut self, user: Tried, config: &crate::CoreConfig, now_ms: u64) {
        if self.0.len() >= FAILURES_MAX {
            self.0.swap_remove_index(0);
        }
        let entry = self.0.entry(user).or_insert((0, now_ms));
        if now_ms >= entry.1 + config.login_penalty_ms {
            entry.0 = 0;
        }
        *entry = (entry.0 + 1, now_ms);
    }

    fn forget(&mut self, user: Tried) {
        self.0.swap_remove(&user);
    }
}
