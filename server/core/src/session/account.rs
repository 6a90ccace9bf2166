//! Requests of an open session: the account's own, and the way to the
//! conversation's shard for all others.

use hongyan_protocol::{ErrorCode, Opcode, Slot, UserId, pb};

use super::finish::{Next, PendingLogin};
use crate::command::Command;
use crate::effect::{Effects, Gate};
use crate::entity::{Need, Stop};
use crate::envelope::{Ask, AskKind, Envelope, Origin};
use crate::error::Refusal;
use crate::input::{ConnId, OffloadJob};
use crate::shard::{Shard, Work, op, partition_of};
use crate::state::{self, AccountStatus, op::Kind};
use crate::sync::Shape;

impl Shard {
    pub(crate) fn command(
        &mut self,
        conn: ConnId,
        request: u64,
        command: &Command,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let Some(session) = self.session(conn) else {
            return Ok(());
        };
        let user = session.user;
        let origin = Origin { shard: self.id, conn, request, user };
        match command {
            Command::Ask(ask) => {
                self.check_peer(user, ask)?;
                self.route(origin, ask.clone(), fx);
            }
            Command::CreateGroup { ask, .. } => {
                if let AskKind::CreateGroup { members, .. } = &ask.kind {
                    self.check_exist(members)?;
                }
                self.route(origin, ask.clone(), fx);
            }
            Command::Invite { ask } => {
                if let AskKind::Invite { users } = &ask.kind {
                    self.check_exist(users)?;
                }
                self.route(origin, ask.clone(), fx);
            }
            Command::FindUser { name } => {
                let shard = self.layout.shard_of(Slot::of_name(name));
                if shard == self.id {
                    self.run(Work::Find { origin, name: name.clone() }, fx);
                } else {
                    let ask = Envelope::FindAsk { origin, name: name.clone() };
                    self.send(Gate::Now, shard, ask, fx);
                }
            }
            Command::Profiles { users } => self.gather_profiles(conn, request, user, users, fx),
            Command::Sync(command) => {
                self.sync(conn, request, user, command, Shape::Page, fx)?;
            }
            Command::Watch { users } => self.watch_presence(conn, request, user, users, fx)?,
            Command::ListDevices => self.list_devices(conn, request, user, fx)?,
            Command::Logout => self.log_out(conn, request, user, fx)?,
            Command::RevokeDevice { device_id } => {
                self.revoke_device(conn, request, user, device_id, fx)?;
            }
            Command::ChangePassword { old, new } => {
                let next = Next::SwapPassword { user, new: new.clone() };
                self.verify_own(PendingLogin { conn, request, next }, user, old, fx)?;
            }
            Command::Deactivate { password } => {
                let next = Next::Deactivate { user };
                self.verify_own(PendingLogin { conn, request, next }, user, password, fx)?;
            }
        }
        Ok(())
    }

    /// Does what [`Shard::command`] does for an ask: at once when nothing is missing, which is
    /// nearly always, and else as a work that waits.
    pub(crate) fn ask(
        &mut self,
        conn: ConnId,
        request: u64,
        user: UserId,
        ask: Ask,
        fx: &mut Effects,
    ) {
        if self.check_peer(user, &ask).is_ok() {
            self.route(Origin { shard: self.id, conn, request, user }, ask, fx);
        } else {
            self.run(Work::Command { conn, request, command: Command::Ask(ask) }, fx);
        }
    }

    /// Whoever is written to directly must exist.
    fn check_peer(&mut self, user: UserId, ask: &Ask) -> Result<(), Stop> {
        match (ask.conversation.peer_of(user), &ask.kind) {
            (Some(peer), AskKind::Send { .. }) => self.check_exist(&[peer]),
            _ => Ok(()),
        }
    }

    fn route(&mut self, origin: Origin, ask: Ask, fx: &mut Effects) {
        let shard = self.layout.shard_of(ask.conversation.slot());
        if shard == self.id {
            self.run(Work::Ask(origin, ask), fx);
        } else {
            self.send(Gate::Now, shard, Envelope::Ask(origin, ask), fx);
        }
    }

    /// Whether all of these users exist; asks their shards when it is not
    /// known.
    fn check_exist(&self, users: &[UserId]) -> Result<(), Stop> {
        let absent = self.absent_users();
        if users.iter().any(|user| absent.contains(user)) {
            return Err(Refusal::new(ErrorCode::NoSuchUser, "no such user").into());
        }
        let unknown: Vec<_> = users.iter().copied().filter(|user| !self.is_known(*user)).collect();
        if unknown.is_empty() { Ok(()) } else { Err(Stop::Need(Need::Peers(unknown))) }
    }

    /// Asks the shards of these users whether they exist.
    pub(crate) fn send_probes(&mut self, users: Vec<UserId>, fx: &mut Effects) {
        let mut by_shard: std::collections::BTreeMap<_, Vec<UserId>> =
            std::collections::BTreeMap::new();
        for user in users {
            by_shard.entry(self.layout.shard_of(user.slot())).or_default().push(user);
        }
        for (shard, users) in by_shard {
            if shard == self.id {
                self.run(Work::Probe { shard, users }, fx);
            } else {
                let ask = Envelope::ProbeAsk { shard: self.id, users };
                self.send(Gate::Now, shard, ask, fx);
            }
        }
    }

    /// Answers whether users of this shard exist.
    pub(crate) fn probe(
        &mut self,
        shard: crate::ShardId,
        users: &[UserId],
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let keys = users.iter().map(|user| crate::EntityKey::Account(*user));
        let missing = self.entities.missing(keys);
        if !missing.is_empty() {
            return Err(Stop::Need(Need::Entities(missing)));
        }
        let mut found = Vec::with_capacity(users.len());
        for user in users {
            found.push((*user, self.entities.account(*user)?.is_some()));
        }
        if shard == self.id {
            self.probed(&found, fx);
        } else {
            let gate = self.read_gate();
            self.send(gate, shard, Envelope::ProbeAnswer { users: found }, fx);
        }
        Ok(())
    }

    fn list_devices(
        &mut self,
        conn: ConnId,
        request: u64,
        user: UserId,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let devices = self.entities.account(user)?.map(|account| account.devices.clone());
        let current = self.session(conn).map(|session| session.device_id.clone());
        let online: Vec<_> =
            self.sessions_of(user).map(|(_, session)| session.device_id.clone()).collect();
        let devices = devices.unwrap_or_default().into_iter().map(|device| pb::DeviceState {
            online: online.contains(&device.id),
            current: current.as_ref() == Some(&device.id),
            last_seen_ms: device.seen_ms,
            created_ms: device.created_ms,
            device: Some(pb::Device {
                id: device.id,
                class: device.class as i32,
                name: device.name,
            }),
        });
        let reply = pb::Devices { devices: devices.collect() };
        fx.reply(self.read_gate(), conn, Opcode::ListDevices, request, &reply);
        Ok(())
    }

    fn log_out(
        &mut self,
        conn: ConnId,
        request: u64,
        user: UserId,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        self.entities.account(user)?;
        let Some(device_id) = self.session(conn).map(|session| session.device_id.clone()) else {
            return Ok(());
        };
        self.want_sync();
        fx.reply(Gate::Durable, conn, Opcode::Logout, request, &pb::Empty {});
        self.remove_device(user, &device_id, ErrorCode::SignedOut, fx);
        Ok(())
    }

    fn revoke_device(
        &mut self,
        conn: ConnId,
        request: u64,
        user: UserId,
        device_id: &str,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let account = self.entities.account(user)?;
        let known = account
            .is_some_and(|account| account.devices.iter().any(|device| device.id == device_id));
        if !known {
            return Err(Refusal::new(ErrorCode::NoSuchDevice, "no such device").into());
        }
        self.want_sync();
        fx.reply(Gate::Durable, conn, Opcode::RevokeDevice, request, &pb::Empty {});
        self.remove_device(user, device_id, ErrorCode::SignedOut, fx);
        Ok(())
    }

    /// Checks the user's own password before something that needs it.
    fn verify_own(
        &mut self,
        pending: PendingLogin,
        user: UserId,
        password: &str,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        self.check_login_rate((user, true))?;
        let hash = self.entities.account(user)?.map(|account| account.password.clone());
        let hash = hash.filter(|hash| !hash.is_empty());
        let job = OffloadJob::VerifyPassword { hash, password: password.to_owned() };
        self.offload(job, pending, fx);
        Ok(())
    }

    pub(crate) fn check_own_password(&mut self, user: UserId, matches: bool) -> Result<(), Stop> {
        if matches {
            self.login_failures.forget((user, true));
            return Ok(());
        }
        self.login_failures.note((user, true), &self.config, self.now.mono_ms);
        Err(Refusal::new(ErrorCode::BadCredentials, "the password is wrong").into())
    }

    pub(crate) fn set_own_password(
        &mut self,
        pending: &PendingLogin,
        user: UserId,
        hash: &str,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        self.entities.account(user)?;
        let set = state::PasswordSet { user: user.get(), password: hash.to_owned() };
        self.commit(partition_of(user.slot()), vec![op(Kind::PasswordSet(set))]);
        self.want_sync();
        let kept = self.session(pending.conn).map(|session| session.device_id.clone());
        self.remove_devices_but(user, kept.as_deref(), fx);
        let (conn, request) = (pending.conn, pending.request);
        fx.reply(Gate::Durable, conn, Opcode::ChangePassword, request, &pb::Empty {});
        Ok(())
    }

    pub(crate) fn deactivate(
        &mut self,
        pending: &PendingLogin,
        user: UserId,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        self.entities.account(user)?;
        let (conn, request) = (pending.conn, pending.request);
        self.want_sync();
        fx.reply(Gate::Durable, conn, Opcode::Deactivate, request, &pb::Empty {});
        self.set_status(user, AccountStatus::Deactivated, "closed by its owner", fx);
        Ok(())
    }

    /// Sets the status of an account that is in memory; whoever may not come
    /// in any more is put out. Says how many sessions ended.
    pub(crate) fn set_status(
        &mut self,
        user: UserId,
        status: AccountStatus,
        reason: &str,
        fx: &mut Effects,
    ) -> usize {
        let set =
            state::StatusSet { user: user.get(), status: status.into(), reason: reason.to_owned() };
        self.commit(partition_of(user.slot()), vec![op(Kind::StatusSet(set))]);
        self.want_sync();
        let (code, message) = match status {
            AccountStatus::Active => return 0,
            AccountStatus::Deactivated => (ErrorCode::AccountDeactivated, "the account is closed"),
            AccountStatus::Banned => (ErrorCode::AccountBanned, "the account is banned"),
        };
        self.close_sessions(user, |_, _| true, code, message, fx)
    }
}
