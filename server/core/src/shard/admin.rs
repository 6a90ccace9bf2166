//! What an operator does to an account, on the shard of its name.

use hongyan_protocol::limits::DISPLAY_NAME_BYTES_MAX;
use hongyan_protocol::{ErrorCode, UserId, pb};

use super::{Shard, op, partition_of};
use crate::auth::fold_name;
use crate::command::check_text;
use crate::effect::{Effect, Effects, Gate};
use crate::entity::Stop;
use crate::error::Refusal;
use crate::input::{AdminCommand, AdminOutcome, AdminTicket, FreshSecret};
use crate::state::{self, op::Kind};

impl Shard {
    pub(crate) fn administer(
        &mut self,
        ticket: AdminTicket,
        command: &AdminCommand,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let outcome = match command {
            AdminCommand::AddUser { name, password_hash, display_name } => {
                self.add_user(name, password_hash, display_name)?
            }
            AdminCommand::SetPassword { name, password_hash } => {
                let user = self.named(name)?;
                let set = state::PasswordSet { user: user.get(), password: password_hash.clone() };
                self.commit(partition_of(user.slot()), vec![op(Kind::PasswordSet(set))]);
                let sessions_closed = self.remove_devices_but(user, None, fx);
                AdminOutcome::Done { user, sessions_closed }
            }
            AdminCommand::SetStatus { name, status, reason } => {
                let user = self.named(name)?;
                let sessions_closed = self.set_status(user, *status, reason, fx);
                AdminOutcome::Done { user, sessions_closed }
            }
            AdminCommand::Kick { name, device_id } => {
                let user = self.named(name)?;
                let sessions_closed = match device_id {
                    Some(id) if !self.has_device(user, id)? => {
                        let message = "the account has no such device";
                        return Err(Refusal::new(ErrorCode::NoSuchDevice, message).into());
                    }
                    Some(id) => self.remove_device(user, id, ErrorCode::SignedOut, fx),
                    None => self.remove_devices_but(user, None, fx),
                };
                AdminOutcome::Done { user, sessions_closed }
            }
            AdminCommand::ShowUser { name } => {
                let user = self.named(name)?;
                let sessions = self.sessions_of(user).count();
                let account = self.entities.account(user)?.cloned().unwrap_or_default();
                AdminOutcome::User(Box::new(account), sessions)
            }
            AdminCommand::IssueToken { name, device_id, fresh } => {
                self.issue_by_admin(name, device_id, fresh)?
            }
        };
        self.want_sync();
        fx.push(Gate::Durable, Effect::AdminReply { ticket, outcome });
        Ok(())
    }

    fn has_device(&mut self, user: UserId, device_id: &str) -> Result<bool, Stop> {
        let account = self.entities.account(user)?;
        let mut devices = account.iter().flat_map(|account| &account.devices);
        Ok(devices.any(|device| device.id == device_id))
    }

    /// The user of a name, with the account in memory.
    fn named(&mut self, name: &str) -> Result<UserId, Stop> {
        let nobody = Refusal::new(ErrorCode::NoSuchUser, "nobody has this name");
        let user = self.entities.name(name)?.ok_or(nobody)?;
        self.entities.account(user)?.ok_or(nobody)?;
        Ok(user)
    }

    fn add_user(
        &mut self,
        name: &str,
        password_hash: &str,
        display_name: &str,
    ) -> Result<AdminOutcome, Stop> {
        let folded = fold_name(name)?;
        check_text(display_name, 0, DISPLAY_NAME_BYTES_MAX, "name")?;
        if self.entities.name(&folded)?.is_some() {
            return Err(Refusal::new(ErrorCode::NameTaken, "the name is taken").into());
        }
        let display_name = if display_name.is_empty() { name } else { display_name };
        let (user, ops) = self.account_ops(&folded, &folded, display_name, password_hash);
        self.install_absent_account(user);
        self.commit(partition_of(user.slot()), ops);
        Ok(AdminOutcome::Done { user, sessions_closed: 0 })
    }

    fn issue_by_admin(
        &mut self,
        name: &str,
        device_id: &str,
        fresh: &FreshSecret,
    ) -> Result<AdminOutcome, Stop> {
        check_text(device_id, 1, hongyan_protocol::limits::DEVICE_ID_BYTES_MAX, "device_id")?;
        let user = self.named(name)?;
        let now_ms = self.now.unix_ms;
        let account = self.entities.account(user)?.cloned().unwrap_or_default();
        let known = account.devices.iter().find(|device| device.id == device_id);
        let device = state::DeviceRecord {
            id: device_id.to_owned(),
            class: known.map_or(pb::DeviceClass::Bot as u32, |device| device.class),
            name: known.map_or_else(String::new, |device| device.name.clone()),
            epoch: account.epochs + 1,
            refresh: fresh.digest.clone(),
            refresh_before: bytes::Bytes::new(),
            refresh_rotated_ms: now_ms,
            refresh_expires_ms: now_ms + self.config.refresh_token_ms,
            created_ms: known.map_or(now_ms, |device| device.created_ms),
            seen_ms: now_ms,
            tokens_seen: false,
        };
        let mut session = pb::Session {
            user_id: user.get(),
            name: account.name.clone(),
            display_name: account.display_name.clone(),
            device_id: device_id.to_owned(),
            tokens: None,
        };
        session.tokens = Some(self.issue(user, &device, fresh));
        let set = state::DeviceSet { user: user.get(), device: Some(device) };
        self.commit(partition_of(user.slot()), vec![op(Kind::DeviceSet(set))]);
        Ok(AdminOutcome::Tokens(session))
    }
}
