//! Devices of an account: how many, and signing them out.

use hongyan_protocol::limits::DEVICES_MAX;
use hongyan_protocol::{ErrorCode, UserId};

use crate::config::DevicePolicy;
use crate::effect::Effects;
use crate::shard::{Shard, op, partition_of};
use crate::state::{self, DeviceRecord, op::Kind};

impl Shard {
    /// Signs out what the policy does not allow beside `device`, which is
    /// about to sign in.
    pub(crate) fn make_room(&mut self, user: UserId, device: &DeviceRecord, fx: &mut Effects) {
        let policy = self.config.device_policy;
        let Ok(Some(account)) = self.entities.account(user) else {
            return;
        };
        let mut others: Vec<_> =
            account.devices.iter().filter(|other| other.id != device.id).collect();
        others.sort_by_key(|other| other.seen_ms);
        let surplus = (others.len() + 1).saturating_sub(DEVICES_MAX);
        let leaving: Vec<String> = others
            .iter()
            .enumerate()
            .filter(|(at, other)| match policy {
                DevicePolicy::All => *at < surplus,
                DevicePolicy::OnePerClass => *at < surplus || other.class == device.class,
                DevicePolicy::One => true,
            })
            .map(|(_, other)| other.id.clone())
            .collect();
        for id in leaving {
            self.remove_device(user, &id, ErrorCode::Replaced, fx);
        }
    }

    /// Forgets a device and ends its session, for `code`; says how many
    /// sessions there were.
    pub(crate) fn remove_device(
        &mut self,
        user: UserId,
        device_id: &str,
        code: ErrorCode,
        fx: &mut Effects,
    ) -> usize {
        let removed = state::DeviceRemoved { user: user.get(), device_id: device_id.to_owned() };
        self.commit(partition_of(user.slot()), vec![op(Kind::DeviceRemoved(removed))]);
        self.want_sync();
        let message = match code {
            ErrorCode::Replaced => "another device took this one's place",
            _ => "the device was signed out",
        };
        self.close_sessions(user, |_, session| session.device_id == device_id, code, message, fx)
    }

    /// Forgets all devices but `kept` and ends their sessions.
    pub(crate) fn remove_devices_but(
        &mut self,
        user: UserId,
        kept: Option<&str>,
        fx: &mut Effects,
    ) -> usize {
        let Ok(Some(account)) = self.entities.account(user) else {
            return 0;
        };
        let others: Vec<String> = account
            .devices
            .iter()
            .filter(|device| kept != Some(device.id.as_str()))
            .map(|device| device.id.clone())
            .collect();
        let mut closed = 0;
        for id in others {
            closed += self.remove_device(user, &id, ErrorCode::SignedOut, fx);
        }
        closed
    }
}
