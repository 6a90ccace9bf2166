//! The account that is signed in: its state as one value, its devices, its
//! password.

use std::sync::Arc;

use hongyan_client_core::store::Account;
use hongyan_client_core::{ClientCore, ClientError, Opcode, Status, pb};
use tokio::sync::watch;

use crate::client::Client;

/// The account that is signed in on this device, as an app shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountState {
    /// Who, by which names; `None` when nobody is.
    pub account: Option<Account>,
    /// How the session is, and why it ended when it did.
    pub status: Status,
    /// The account's devices as [`Client::devices`] last found them, less
    /// those that were signed out from here since; `None` before that. The
    /// server does not tell of devices by itself.
    pub devices: Option<Vec<pb::DeviceState>>,
}

impl AccountState {
    /// As the core has it now.
    pub(crate) fn of(core: &ClientCore) -> Self {
        Self {
            account: core.account().cloned(),
            status: core.status(),
            devices: core.devices().map(<[_]>::to_vec),
        }
    }
}

impl Client {
    /// The account, its session and its devices, now and as they change.
    pub fn account_state(&self) -> watch::Receiver<Arc<AccountState>> {
        self.account.clone()
    }

    /// The account's devices.
    ///
    /// # Errors
    /// What a request can meet.
    pub async fn devices(&self) -> Result<Vec<pb::DeviceState>, ClientError> {
        let reply: pb::Devices = self.request(Opcode::ListDevices, &pb::ListDevices {}).await?;
        Ok(reply.devices)
    }

    /// Signs a device of the account out, at once.
    ///
    /// # Errors
    /// [`ClientError::Refused`] (`NoSuchDevice`), and what a request can meet.
    pub async fn revoke_device(&self, device_id: &str) -> Result<(), ClientError> {
        let request = pb::RevokeDevice { device_id: device_id.into() };
        self.request::<pb::Empty>(Opcode::RevokeDevice, &request).await.map(drop)
    }

    /// Changes the password and signs every other device out.
    ///
    /// # Errors
    /// [`ClientError::Refused`] (`BadCredentials`, `InvalidField`), and what a
    /// request can meet.
    pub async fn change_password(&self, old: &str, new: &str) -> Result<(), ClientError> {
        let request = pb::ChangePassword { old_password: old.into(), new_password: new.into() };
        self.request::<pb::Empty>(Opcode::ChangePassword, &request).await.map(drop)
    }

    /// Closes the account for good.
    ///
    /// # Errors
    /// [`ClientError::Refused`] (`BadCredentials`), and what a request can
    /// meet. After [`ClientError::TimedOut`] it may be closed.
    pub async fn deactivate(&self, password: &str) -> Result<(), ClientError> {
        let request = pb::Deactivate { password: password.into() };
        self.request::<pb::Empty>(Opcode::Deactivate, &request).await.map(drop)
    }
}
