//! Settle rounds: what a shard gives is written into the views, made durable,
//! and the log is trimmed to what they lack.

use hongyan_core::{Input, ShardId};

use super::{Event, World};
use crate::violation::Checked;

impl World {
    /// Asks a shard for the next part of a settle round, if none is being
    /// written.
    pub(super) fn on_settle_tick(&mut self, shard: ShardId) {
        let bytes_max = self.plan.settle_bytes;
        let every = self.plan.settle_every;
        let process = self.process;
        let Some(server) = &mut self.server else {
            return;
        };
        let host = server.host(shard);
        match host.shard.settle(bytes_max) {
            Some(step) => {
                host.step = Some(step);
                let delay = self.rng.between(50, 3000);
                self.schedule.after(delay, Event::SettleWrite { process, shard });
            }
            None => {
                let delay = self.rng.between(every / 2, every);
                self.schedule.after(delay, Event::SettleTick { process, shard });
            }
        }
    }

    pub(super) fn on_settle_write(&mut self, shard: ShardId) -> Checked {
        let process = self.process;
        let Some(server) = &mut self.server else {
            return Ok(());
        };
        let host = server.host(shard);
        let Some(step) = host.step.take() else {
            return Ok(());
        };
        if host.durable < step.after {
            host.step = Some(step);
            self.schedule.after(1000, Event::SettleWrite { process, shard });
            return Ok(());
        }
        self.store.write(&step.entries)?;
        let words = [8, u64::from(shard.0), step.round, step.entries.len() as u64];
        self.note(&words, format_args!("{shard:?} settles {} entries", step.entries.len()));
        if self.strikes(self.plan.crash_at_point) {
            self.coverage.note("crash: in a settle round");
            self.schedule.after(0, Event::Crash { process, power_cut: true });
        }
        let delay = self.rng.between(50, 2000);
        match step.marks {
            None => self.schedule.after(delay, Event::SettleTick { process, shard }),
            Some(marks) => {
                let lsn = self.store.settle(&marks)?;
                self.coverage.note("settle: checkpoint");
                self.note(&[9, lsn], format_args!("checkpoint at {lsn}"));
                self.later(shard, delay, Input::Settled { round: step.round });
                let pause = self.rng.between(self.plan.settle_every / 2, self.plan.settle_every);
                self.schedule.after(delay + pause, Event::SettleTick { process, shard });
            }
        }
        Ok(())
    }
}
