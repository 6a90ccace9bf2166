//! How a process ends and how the next one begins.

use hongyan_core::{Effects, EntityKey, Layout, PartitionId, Shard, ShardId};

use super::server::Server;
use super::{Event, World};
use crate::crashing_store::Crash;
use crate::model::LogModel;
use crate::network::Place;
use crate::tokens::PlainTokens;
use crate::violation::{Checked, violated};

impl World {
    /// The process dies now. What the machine keeps is compared at once with
    /// everything that was promised.
    pub(super) fn crash(&mut self, power_cut: bool) -> Checked {
        if self.server.take().is_none() {
            return Ok(());
        }
        self.process += 1;
        self.restores.clear();
        self.crashes += 1;
        let kind =
            if power_cut { Crash::PowerCut { choice: self.rng.next() } } else { Crash::Kill };
        let before = self.store.written();
        self.store.crash(kind)?;
        let after = self.store.written();
        self.note(
            &[12, before, after],
            format_args!("crash ({kind:?}): the log goes back from {before} to {after}"),
        );
        self.model.log = LogModel::reread(self.store.archive(), &self.model.sends)?;
        self.model.sends.check_survivors(&self.model.log, power_cut)?;
        self.model.check_cursors()?;
        self.coverage.note(if power_cut { "crash: power cut" } else { "crash: kill" });
        if after < before {
            self.coverage.note("crash: written records lost");
        }
        self.invariants.on_crash(&self.model, power_cut)?;
        for device in &mut self.devices {
            device.timeline.forget_lost(&self.model.log);
        }
        let links: Vec<_> = self.network.links.keys().copied().collect();
        for link in links {
            if let Some(known) = self.network.links.get_mut(&link) {
                known.place = Place::Gone;
                known.severed = true;
            }
            let delay = self.rng.between(100, 50_000);
            self.schedule.after(delay, Event::CutAtDevice { link });
        }
        let delay = self.rng.between(1_000, 1_500_000);
        self.schedule.after(delay, Event::Restart);
        Ok(())
    }

    /// A process starts: partitions from the views, then the log's tail. The
    /// number of shards is drawn anew each time.
    pub(super) fn boot(&mut self) -> Checked {
        const BOOT: &str = "every store left behind by a crash boots";
        if self.server.is_some() {
            return Ok(());
        }
        let layout = Layout::new(self.rng.between(1, 4) as u16);
        let mut shards: Vec<Shard> = (0..layout.shards())
            .map(|id| {
                let config = self.plan.config.clone();
                Shard::new(ShardId(id), layout, config, Box::new(PlainTokens))
            })
            .collect();
        for partition in PartitionId::all() {
            let Ok(value) = self.store.load(&EntityKey::Partition(partition)) else {
                violated!(BOOT, "{partition:?} cannot be read")
            };
            let shard = &mut shards[usize::from(layout.shard_of_partition(partition).0)];
            if let Err(error) = shard.install_partition(partition, value.as_deref()) {
                violated!(BOOT, "{error}")
            }
        }
        let records = self.store.to_replay()?;
        for record in &records {
            let shard = &mut shards[usize::from(layout.shard_of_partition(record.partition).0)];
            let mut load = |key: &EntityKey| self.store.load(key);
            let done = shard.replay(record.partition, record.idx, &record.payload, &mut load);
            if let Err(error) = done {
                violated!(BOOT, "record {}: {error}", record.lsn)
            }
        }
        self.note(
            &[13, u64::from(layout.shards()), records.len() as u64],
            format_args!(
                "boot with {} shards, {} records replayed",
                layout.shards(),
                records.len()
            ),
        );
        let mut owed = Vec::new();
        for shard in &mut shards {
            let mut fx = Effects::new();
            shard.finish_replay(&mut fx);
            owed.push(fx);
        }
        self.server = Some(Server::new(layout, shards));
        if !records.is_empty() {
            self.coverage.note("boot: records replayed");
        }
        let process = self.process;
        for (id, fx) in owed.into_iter().enumerate() {
            let shard = ShardId(id as u16);
            self.gate(shard, fx)?;
            self.after_wake(shard);
            let delay = self.rng.between(1, self.plan.settle_every);
            self.schedule.after(delay, Event::SettleTick { process, shard });
        }
        Ok(())
    }
}
