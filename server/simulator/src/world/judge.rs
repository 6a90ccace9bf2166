//! The end of a run: the world calms down, everybody syncs, and the oracle
//! compares; then once more after a crash.
//!
//! ```text
//! Work -> Calm -> Audit 0 (as they are: pushes, gaps filled, one sync each
//!                          since they connected)
//!                 Audit 1 (from nothing)
//!         crash   Audit 2 (resumed)    Audit 3 (from nothing)
//! ```

use super::{Event, PATIENCE_US, World};
use crate::oracle;
use crate::violation::{Checked, ensure};
use crate::workload::{self, Phase};

/// How often everything is compared.
pub(super) const AUDITS: u32 = 4;

impl World {
    /// Goes on to the next phase when this one is done.
    pub(super) fn advance_phase(&mut self) -> Checked {
        match self.phase {
            Phase::Work if self.steps_left == 0 => {
                self.enter(Phase::Calm);
                for device in &mut self.devices {
                    device.slowness = 0;
                }
                if self.server.is_none() {
                    self.schedule.after(0, Event::Restart);
                }
            }
            Phase::Calm if self.is_calm() => {
                oracle::check_model(&self.model)?;
                self.begin_audit();
            }
            Phase::Audit if self.is_audited() => self.end_audit()?,
            Phase::Work => {}
            Phase::Calm | Phase::Audit => self.check_patience()?,
        }
        Ok(())
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.phase_since = self.schedule.now();
        let audits = self.audits;
        self.note(&[21, u64::from(audits)], format_args!("phase {phase:?} {audits}"));
    }

    fn is_calm(&self) -> bool {
        self.devices.iter().all(|device| {
            device.outbox.is_empty()
                && workload::is_audited(device, self.people.persons[device.person].user)
        }) && self.invariants.open_requests() == 0
            && self.model.log.tasks_owed() == 0
            && self.server.as_ref().is_some_and(super::server::Server::is_idle)
            && self.network.links.values().all(|link| link.unread == 0 && link.open_at_device)
    }

    fn begin_audit(&mut self) {
        self.enter(Phase::Audit);
        for device in &mut self.devices {
            device.sync_wanted |= self.audits > 0;
            if self.audits % 2 == 1 {
                device.sync = None;
                device.timeline = crate::device::Timeline::default();
            }
        }
    }

    fn is_audited(&self) -> bool {
        self.devices
            .iter()
            .all(|device| workload::is_audited(device, self.people.persons[device.person].user))
    }

    fn end_audit(&mut self) -> Checked {
        let cold = self.audits % 2 == 1;
        oracle::check_devices(&self.devices, &self.people, &self.model, cold)?;
        self.audits += 1;
        if self.audits == AUDITS {
            return Ok(());
        }
        if self.audits == 2 {
            self.enter(Phase::Calm);
            return self.crash(true);
        }
        self.begin_audit();
        Ok(())
    }

    /// In a calm world everything comes to an end.
    fn check_patience(&self) -> Checked {
        let now = self.schedule.now();
        if now - self.phase_since < PATIENCE_US {
            return Ok(());
        }
        self.invariants.check_answered(now, PATIENCE_US / 2)?;
        let devices: Vec<String> = self
            .devices
            .iter()
            .map(|device| {
                let asked: Vec<_> = device.pending.values().map(|sent| &sent.what).collect();
                format!(
                    "{} {:?} outbox {} sync {:?} {asked:?}",
                    device.index,
                    device.stage,
                    device.outbox.len(),
                    device.sync.is_some()
                )
            })
            .collect();
        ensure!(
            false,
            "a calm world comes to rest",
            "in {:?} {} after {} s: {} tasks owed; {}; {}",
            self.phase,
            self.audits,
            PATIENCE_US / 1_000_000,
            self.model.log.tasks_owed(),
            self.server.as_ref().map_or_else(String::new, super::server::Server::describe),
            devices.join("; ")
        );
        Ok(())
    }
}
