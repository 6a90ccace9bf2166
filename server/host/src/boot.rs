//! From a directory to shards that know everything that was committed.
//!
//! Opens the store, gives each shard its partitions as the views have them,
//! replays the log's records after the checkpoint, and hands back what the
//! threads need. Blocks; nothing is served meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hongyan_core::input::StoreFailure;
use hongyan_core::{Effects, EntityKey, Layout, PartitionId, ReplayError, Shard, ShardId};
use hongyan_store::{Checkpoint, Engine, Log, Options, StoreError, StoreLock, Views, open};

use crate::commit::LsnIndex;
use crate::config::{Config, StoreConfig};
use crate::tokens::SignedTokens;

/// Why the store's content cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// The store does not open or cannot be read.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The store opens, but its content is not what this version writes.
    #[error("replay of record {idx} of partition {partition}: {source}")]
    Replay {
        /// Which partition.
        partition: u16,
        /// Which record; zero for the partition's own state.
        idx: u64,
        /// What is wrong.
        source: ReplayError,
    },
}

/// What boot leaves.
pub(crate) struct Booted {
    pub(crate) log: Box<dyn Log>,
    pub(crate) views: Arc<dyn Views>,
    pub(crate) lock: StoreLock,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) index: LsnIndex,
    pub(crate) shards: Vec<(Shard, Effects)>,
    pub(crate) scrub: Option<hongyan_store::Scrub>,
}

/// How the host's settings become the store's. The log itself refuses only
/// when the disk is really full: it writes into files that are allocated
/// beforehand, so what is already decided still has room when new writes are
/// refused (see the settler).
pub(crate) fn store_options(config: &StoreConfig) -> Options {
    const KIB: u64 = 1024;
    let mut options = Options::new(&config.dir);
    options.engine = if config.sled_log { Engine::Sled } else { Engine::Segment };
    options.cache_bytes = config.cache_bytes;
    options.free_bytes_min = 0;
    // A small limit on free space means a small disk: smaller segments too.
    let scaled = config.free_bytes_min / 4;
    options.segment_bytes = scaled.clamp(256 * KIB, options.segment_bytes) / (4 * KIB) * (4 * KIB);
    options.reserve_bytes = options.reserve_bytes.min(config.free_bytes_min / 8);
    options
}

/// Opens and replays.
pub(crate) fn boot(
    config: &Config,
    layout: Layout,
    tokens: impl FnOnce() -> Result<SignedTokens, crate::tokens::TokenKeyError>,
) -> Result<Booted, crate::node::StartError> {
    let opened = open(&store_options(&config.store)).map_err(BootError::Store)?;
    let report = opened.report;
    if report.created {
        tracing::info!(dir = %config.store.dir.display(), "a new store");
    }
    if let Some((file, offset, bytes)) = &report.torn_tail {
        tracing::warn!(file = %file.display(), offset, bytes, "a write cut off by a crash was cleared");
    }
    for file in &report.healed {
        tracing::warn!(file = %file.display(), "a damaged copy was replaced by its twin");
    }
    if let Some(first) = report.exposed.first() {
        let (files, first) = (report.exposed.len(), first.display());
        tracing::warn!(files, %first, "others may read what people write: it is not ours to chmod");
    }
    let tokens = tokens()?;
    let core = hongyan_core::CoreConfig {
        hash_seed: u64::from_le_bytes(crate::tokens::random_bytes()),
        ..config.core.clone()
    };
    let mut shards: Vec<(Shard, Effects)> = (0..layout.shards())
        .map(|id| {
            let tokens = Box::new(tokens.clone());
            (Shard::new(ShardId(id), layout, core.clone(), tokens), Effects::new())
        })
        .collect();
    install(&mut shards, layout, opened.views.as_ref())?;
    let checkpoint = report.checkpoint;
    let mut index = LsnIndex::new(checkpoint.lsn);
    replay(
        &mut shards,
        layout,
        opened.log.as_ref(),
        opened.views.as_ref(),
        &checkpoint,
        &mut index,
    )?;
    for (shard, fx) in &mut shards {
        shard.finish_replay(fx);
    }
    Ok(Booted {
        log: opened.log,
        views: opened.views,
        lock: opened.lock,
        checkpoint,
        index,
        shards,
        scrub: report.scrub,
    })
}

fn install(
    shards: &mut [(Shard, Effects)],
    layout: Layout,
    views: &dyn Views,
) -> Result<(), BootError> {
    for partition in PartitionId::all() {
        let value = views.read(&EntityKey::Partition(partition).to_bytes())?;
        let shard = &mut shards[usize::from(layout.shard_of_partition(partition).0)].0;
        shard
            .install_partition(partition, value.as_deref())
            .map_err(|source| BootError::Replay { partition: partition.0, idx: 0, source })?;
    }
    Ok(())
}

fn replay(
    shards: &mut [(Shard, Effects)],
    layout: Layout,
    log: &dyn Log,
    views: &dyn Views,
    checkpoint: &Checkpoint,
    index: &mut LsnIndex,
) -> Result<(), BootError> {
    let begun = Instant::now();
    let mut said = begun;
    let mut count = 0_u64;
    let mut failure = None;
    let mut load = |key: &EntityKey| {
        views.read(&key.to_bytes()).map_err(|error| {
            tracing::error!(%error, "the views cannot be read");
            failure.get_or_insert(error);
            StoreFailure
        })
    };
    let mut fault = None;
    for record in log.read_from(checkpoint.lsn.next())? {
        let record = record?;
        let partition = PartitionId(record.partition);
        let shard = &mut shards[usize::from(layout.shard_of_partition(partition).0)].0;
        if let Err(source) = shard.replay(partition, record.idx, &record.payload, &mut load) {
            fault = Some(BootError::Replay { partition: partition.0, idx: record.idx, source });
            break;
        }
        index.note(record.partition, record.idx, record.lsn, checkpoint.lsn.next());
        count += 1;
        if said.elapsed() >= Duration::from_secs(2) {
            said = Instant::now();
            let (done, all) = (record.lsn.0 - checkpoint.lsn.0, log.last().0 - checkpoint.lsn.0);
            tracing::info!(records = count, percent = done * 100 / all.max(1), "replaying the log");
        }
    }
    match (failure, fault) {
        (Some(error), _) => return Err(BootError::Store(error)),
        (None, Some(fault)) => return Err(fault),
        (None, None) => {}
    }
    if count > 0 {
        let millis = begun.elapsed().as_millis() as u64;
        tracing::info!(records = count, millis, "the log was replayed");
    }
    Ok(())
}
