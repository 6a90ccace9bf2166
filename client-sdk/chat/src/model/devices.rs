//! The list of the account's devices, and signing one out.

use crossterm::event::{KeyCode, KeyEvent};

use super::{Model, Overlay};
use crate::io::{Command, Device};

impl Model {
    /// Shows the devices as soon as they are known.
    pub(super) fn show_devices(&mut self, commands: &mut Vec<Command>) {
        self.overlay = Some(Overlay::Devices { devices: None, selected: 0 });
        commands.push(Command::ListDevices);
    }

    pub(super) fn on_devices(&mut self, found: Vec<Device>) {
        if let Some(Overlay::Devices { devices, selected }) = &mut self.overlay {
            *selected = (*selected).min(found.len().saturating_sub(1));
            *devices = Some(found);
        }
    }

    /// A key while the devices are shown. True when it was used.
    pub(super) fn on_devices_key(&mut self, key: KeyEvent, commands: &mut Vec<Command>) {
        let Some(Overlay::Devices { devices: Some(devices), selected }) = &mut self.overlay else {
            return;
        };
        match key.code {
            KeyCode::Up => *selected = selected.saturating_sub(1),
            KeyCode::Down => *selected = (*selected + 1).min(devices.len().saturating_sub(1)),
            KeyCode::Delete | KeyCode::Char('x') => {
                let Some(device) = devices.get(*selected) else {
                    return;
                };
                if device.current {
                    self.complain("this is the device you are at: /logout signs it out");
                } else {
                    commands.push(Command::RevokeDevice(device.id.clone()));
                    commands.push(Command::ListDevices);
                }
            }
            _ => {}
        }
    }

    /// A device's id by the number that the list gives it, or by itself.
    pub(super) fn device_named(&self, named: &str) -> String {
        let number = named.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        let listed = match &self.overlay {
            Some(Overlay::Devices { devices: Some(devices), .. }) => {
                number.and_then(|at| devices.get(at))
            }
            _ => None,
        };
        listed.map_or_else(|| named.to_owned(), |device| device.id.clone())
    }
}
