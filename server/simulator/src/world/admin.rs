//! The operator: bans, kicks, restores, and stops the server.

use hongyan_core::input::AdminTicket;
use hongyan_core::state::AccountStatus;
use hongyan_core::{AdminCommand, AdminOutcome, Input, ShardId};
use hongyan_protocol::Slot;

use super::{Event, World};

impl World {
    /// What an operator may do while the device at `index` acts.
    pub(super) fn operate(&mut self, index: usize) {
        if self.rng.chance(self.plan.drain) {
            self.drain();
        }
        if !self.rng.chance(self.plan.operator) {
            return;
        }
        let at = self.devices[index].person;
        if self.people.persons[at].user.is_none() {
            return;
        }
        let name = self.people.persons[at].name.clone();
        if self.people.persons[at].banned {
            self.restore(at);
            return;
        }
        self.people.persons[at].revoked = true;
        if self.rng.chance(600) {
            let device_id = self.rng.chance(500).then(|| self.devices[index].id.clone());
            self.command(at, AdminCommand::Kick { name, device_id }, false);
        } else {
            self.people.persons[at].banned = true;
            self.people.persons[at].ever_banned = true;
            let reason = "simulated".to_owned();
            let status = AccountStatus::Banned;
            self.command(at, AdminCommand::SetStatus { name, status, reason }, false);
        }
    }

    /// Lifts a ban, if there is one and nobody is about to.
    pub(super) fn restore(&mut self, at: usize) {
        if !self.people.persons[at].banned || self.restores.values().any(|person| *person == at) {
            return;
        }
        let name = self.people.persons[at].name.clone();
        let (status, reason) = (AccountStatus::Active, String::new());
        self.command(at, AdminCommand::SetStatus { name, status, reason }, true);
    }

    pub(super) fn on_admin_reply(&mut self, ticket: AdminTicket, outcome: &AdminOutcome) {
        self.coverage.note("operator: answered");
        let restored = self.restores.remove(&ticket.0);
        if let (Some(at), AdminOutcome::Done { .. }) = (restored, outcome) {
            self.people.persons[at].banned = false;
        }
    }

    fn command(&mut self, at: usize, command: AdminCommand, restores: bool) {
        let Some(server) = &self.server else { return };
        let shard = server.layout.shard_of(Slot::of_name(command.name()));
        self.offloads += 1;
        let ticket = AdminTicket(self.offloads);
        if restores {
            self.restores.insert(ticket.0, at);
        }
        self.note(&[22, ticket.0], format_args!("the operator says {command:?}"));
        self.arrive(shard, Input::Admin { ticket, command });
    }

    /// Tells every shard to say goodbye; the process ends a little later.
    fn drain(&mut self) {
        let Some(server) = &self.server else { return };
        let shards = server.layout.shards();
        self.coverage.note("operator: drained");
        for shard in 0..shards {
            self.arrive(ShardId(shard), Input::Drain { spread_ms: 1000 });
        }
        let delay = self.rng.between(50_000, 1_000_000);
        self.schedule.after(delay, Event::Crash { process: self.process, power_cut: false });
    }
}
