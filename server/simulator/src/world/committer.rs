//! The log's one thread: appends what came from all shards, syncs it, and
//! tells every shard how far it is.
//!
//! ```text
//! idle -- submission --> appending -- written --> syncing -- durable --> idle
//!   '-- nothing wants a sync: one lazy sync a little later --'
//! ```

use std::collections::BTreeMap;

use hongyan_core::{ShardId, Submission};

use super::{Event, World};
use crate::violation::Checked;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Committer {
    queue: Vec<(ShardId, Submission)>,
    busy: bool,
    /// Something was appended and not synced.
    unsynced: bool,
    lazy_planned: bool,
    appended: BTreeMap<ShardId, u64>,
}

impl Committer {
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && !self.busy && !self.unsynced
    }
}

impl World {
    /// A shard hands over the records of a wake.
    pub(super) fn submit(&mut self, shard: ShardId, submission: Submission) {
        let delay = self.rng.between(10, 200);
        let Some(server) = &mut self.server else {
            return;
        };
        let committer = &mut server.committer;
        committer.queue.push((shard, submission));
        if !committer.busy {
            committer.busy = true;
            self.schedule.after(delay, Event::Append { process: self.process });
        }
    }

    pub(super) fn on_append(&mut self) -> Checked {
        let unix_ms = self.now().unix_ms;
        let Some(server) = &mut self.server else {
            return Ok(());
        };
        let committer = &mut server.committer;
        let mut wants_sync = false;
        let mut records = 0;
        for (shard, submission) in committer.queue.drain(..) {
            for record in self.store.append(&submission, unix_ms)? {
                self.model.log.read(record, &self.model.sends)?;
                records += 1;
            }
            wants_sync |= submission.wants_sync;
            committer.appended.insert(shard, submission.number);
        }
        committer.unsynced = true;
        let appended = committer.appended.clone();
        let written = self.store.written();
        self.note(&[10, written], format_args!("appended {records} records up to {written}"));
        let process = self.process;
        if self.strikes(self.plan.crash_at_point) {
            self.coverage.note("crash: after an append");
            let power_cut = self.rng.chance(self.plan.power_cut);
            let delay = self.rng.below(60);
            self.schedule.after(delay, Event::Crash { process, power_cut });
        }
        for (shard, number) in appended {
            let delay = self.rng.between(1, 150);
            let notice = Event::Notice { process, shard, written: number, durable: 0 };
            self.schedule.after(delay, notice);
        }
        if wants_sync || self.rng.chance(300) {
            let delay = self.sync_delay();
            self.schedule.after(delay, Event::SyncDone { process });
        } else {
            self.rest();
        }
        Ok(())
    }

    pub(super) fn on_sync_done(&mut self) -> Checked {
        let process = self.process;
        let fails = self.strikes(self.plan.sync_fails);
        if !self.store.sync(fails) {
            self.coverage.note("crash: failed sync");
            // What the failed sync left behind nobody can know.
            return self.crash(true);
        }
        let durable = self.store.durable();
        self.note(&[11, durable], format_args!("durable up to {durable}"));
        if self.strikes(self.plan.crash_at_point) {
            self.coverage.note("crash: after a sync");
            let delay = self.rng.below(60);
            let power_cut = self.rng.chance(self.plan.power_cut);
            self.schedule.after(delay, Event::Crash { process, power_cut });
        }
        let Some(server) = &mut self.server else {
            return Ok(());
        };
        server.committer.unsynced = false;
        let appended = server.committer.appended.clone();
        for (shard, number) in appended {
            let delay = self.rng.between(1, 150);
            let notice = Event::Notice { process, shard, written: number, durable: number };
            self.schedule.after(delay, notice);
        }
        self.rest();
        Ok(())
    }

    pub(super) fn on_lazy_sync(&mut self) {
        let delay = self.sync_delay();
        let Some(server) = &mut self.server else {
            return;
        };
        let committer = &mut server.committer;
        committer.lazy_planned = false;
        if committer.unsynced && !committer.busy {
            committer.busy = true;
            self.schedule.after(delay, Event::SyncDone { process: self.process });
        }
    }

    /// Goes on with what came meanwhile, or waits for more.
    fn rest(&mut self) {
        let process = self.process;
        let delay = self.rng.between(5, 100);
        let Some(server) = &mut self.server else {
            return;
        };
        let committer = &mut server.committer;
        if !committer.queue.is_empty() {
            self.schedule.after(delay, Event::Append { process });
            return;
        }
        committer.busy = false;
        if committer.unsynced && !committer.lazy_planned {
            committer.lazy_planned = true;
            self.schedule.after(20_000, Event::LazySync { process });
        }
    }

    fn sync_delay(&mut self) -> u64 {
        if self.strikes(self.plan.sync_slow) {
            self.rng.between(50_000, 2_500_000)
        } else {
            self.rng.between(150, 4000)
        }
    }
}
