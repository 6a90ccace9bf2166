//! Opening a store: the order in which its parts are locked, created, judged and joined.
//!
//! Owns the rules that no part can check alone: the log must reach at least as far as the views'
//! checkpoint, and must still hold everything after it. Nothing is created in a directory that
//! looks used but has lost its identity.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::durable;
use crate::error::StoreError;
use crate::evidence::Evidence;
use crate::identity::{self, Identity};
use crate::log::{Log, Lsn};
use crate::options::{Engine, Options};
use crate::private;
use crate::segment::{SegmentLog, SegmentOptions, SegmentReport, log_dir};
use crate::sled_log::{self, SledLog};
use crate::sled_views::{self, Scrub, SledViews};
use crate::space;
use crate::views::{Checkpoint, Views};

/// An open store. Dropping the lock lets another process in: keep it as long as the rest.
pub struct OpenStore {
    /// The log, for the committer thread.
    pub log: Box<dyn Log>,
    /// The views, for loaders and the settler.
    pub views: Arc<dyn Views>,
    /// What opening found and did.
    pub report: OpenReport,
    /// Holds the directory for this process.
    pub lock: StoreLock,
}

/// The directory's lock; released when dropped.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

/// What opening found and did; worth a line in the operator's log.
#[derive(Default)]
pub struct OpenReport {
    /// True when the store was made just now.
    pub created: bool,
    /// Where a replay of the log begins (exclusive) and which marks hold there.
    pub checkpoint: Checkpoint,
    /// The last record of the log.
    pub last: Lsn,
    /// A write that was never confirmed was cut off by a crash and has been cleared: the file,
    /// the offset, and how many bytes.
    pub torn_tail: Option<(PathBuf, u64, u64)>,
    /// Files of which a damaged copy was replaced by its good twin.
    pub healed: Vec<PathBuf>,
    /// The disk was short, so the reserve file was given up.
    pub reserve_freed: bool,
    /// What others may read, because it belongs to another user than this process.
    pub exposed: Vec<PathBuf>,
    /// Set when the views are too large to be verified while opening. Run it on a thread of its
    /// own soon: until it has run, the first checkpoint runs it.
    pub scrub: Option<Scrub>,
}

impl std::fmt::Debug for OpenReport {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("OpenReport")
            .field("created", &self.created)
            .field("checkpoint", &self.checkpoint)
            .field("last", &self.last)
            .field("torn_tail", &self.torn_tail)
            .field("healed", &self.healed)
            .field("reserve_freed", &self.reserve_freed)
            .field("exposed", &self.exposed)
            .field("scrub_pending", &self.scrub.is_some())
            .finish()
    }
}

/// Opens a store, or creates one in an empty or missing directory. Takes every right of the group
/// and of others from the directory and what is in it.
///
/// # Errors
/// [`StoreError::Locked`] when another process has it. [`StoreError::Corrupt`],
/// [`StoreError::Short`], [`StoreError::Version`]: stop with [`StoreError::exit_code`] and touch
/// nothing. [`StoreError::DiskFull`] and [`StoreError::Io`]: retry once the cause is gone.
/// [`StoreError::Misuse`] for options out of range.
pub fn open(options: &Options) -> Result<OpenStore, StoreError> {
    options.admit()?;
    durable::create_dir(&options.dir)?;
    if !options.dir.join(identity::LOCK_NAME).exists() {
        // Nobody has ever opened it: then not even a lock is left in what is not ours.
        refuse_foreign_content(&options.dir)?;
    }
    let lock = StoreLock { _file: identity::lock(&options.dir)? };
    let reserve_freed = space::free_reserve(&options.dir, options.free_bytes_min)?;
    let (identity, created) = match Identity::read(&options.dir)? {
        Some(identity) => (identity, false),
        None => (create(options)?, true),
    };
    if identity.engine != options.engine {
        return Err(StoreError::Version {
            file: options.dir.join(identity::NAME),
            found: format!("log engine {}", identity.engine.name()),
            supported: format!("log engine {}, as configured", options.engine.name()),
        });
    }
    let mut report = OpenReport { created, reserve_freed, ..OpenReport::default() };
    let log = open_log(options, identity, &mut report)?;
    let views = open_views(options, identity, log.as_ref(), &mut report)?;
    space::keep_reserve(&options.dir, options.reserve_bytes, options.free_bytes_min)?;
    report.last = log.last();
    report.exposed = private::tighten_all(&options.dir);
    Ok(OpenStore { log, views, report, lock })
}

/// The rule between log and views, shared with `check`.
pub(crate) fn join(dir: &Path, first: Lsn, last: Lsn, checkpoint: Lsn) -> Result<(), StoreError> {
    let short =
        |what, have, expected| StoreError::Short { file: dir.to_path_buf(), what, have, expected };
    if last < checkpoint {
        return Err(short(
            "last lsn of the log, under the views' checkpoint,",
            last.0,
            checkpoint.0,
        ));
    }
    if first > checkpoint.next() {
        return Err(short(
            "the views' checkpoint, under the first lsn held,",
            checkpoint.0,
            first.0,
        ));
    }
    Ok(())
}

fn open_log(
    options: &Options,
    identity: Identity,
    report: &mut OpenReport,
) -> Result<Box<dyn Log>, StoreError> {
    let dir = &options.dir;
    match identity.engine {
        Engine::Segment => {
            let (log, SegmentReport { torn, healed_high_water }) =
                SegmentLog::open(segment_options(options, identity.store_id))?;
            report.torn_tail = torn;
            if healed_high_water {
                report.healed.push(dir.join(crate::high_water::NAME));
            }
            Ok(Box::new(log))
        }
        Engine::Sled => {
            let evidence =
                Evidence::secure(&dir.join(sled_log::DIR_NAME), options.scrub_bytes_max)?;
            let (log, healed) = evidence.judge(SledLog::open(
                dir,
                identity.store_id,
                options.cache_bytes,
                options.free_bytes_min,
                options.epoch,
            ))?;
            if healed {
                report.healed.push(dir.join(crate::high_water::NAME));
            }
            Ok(Box::new(log))
        }
    }
}

fn open_views(
    options: &Options,
    identity: Identity,
    log: &dyn Log,
    report: &mut OpenReport,
) -> Result<Arc<dyn Views>, StoreError> {
    let dir = &options.dir;
    let evidence = Evidence::secure(&sled_views::views_dir(dir), options.scrub_bytes_max)?;
    let opened =
        SledViews::open(dir, identity.store_id, options.cache_bytes).and_then(|(views, healed)| {
            let now = views.file_bytes() <= options.scrub_bytes_max;
            if now {
                views.scrub()?;
            }
            Ok((Arc::new(views), healed, now))
        });
    let (views, healed, scrubbed) = evidence.judge(opened)?;
    if healed {
        report.healed.push(dir.join(sled_views::CHECKPOINT_NAME));
    }
    if !scrubbed {
        report.scrub = Some(Scrub::new(Arc::clone(&views)));
    }
    report.checkpoint = views.last_checkpoint()?;
    join(dir, log.first(), log.last(), report.checkpoint.lsn)?;
    Ok(views)
}

/// Makes a new store. A creation that never finished is begun again; any other content is a
/// store that lost its identity.
fn create(options: &Options) -> Result<Identity, StoreError> {
    let dir = &options.dir;
    refuse_foreign_content(dir)?;
    // Before anything is written; the rest follows when all is open.
    private::tighten(dir);
    let creating = dir.join(identity::CREATING_NAME);
    File::create(&creating).map_err(|error| StoreError::io(&creating, "create", error))?;
    durable::sync_dir(dir)?;
    for leftover in [log_dir(dir), dir.join(sled_log::DIR_NAME), sled_views::views_dir(dir)] {
        if leftover.exists() {
            std::fs::remove_dir_all(&leftover)
                .map_err(|error| StoreError::io(&leftover, "remove", error))?;
        }
    }
    let identity = Identity::new(options.engine);
    match identity.engine {
        Engine::Segment => SegmentLog::create(&segment_options(options, identity.store_id))?,
        Engine::Sled => SledLog::create(dir, identity.store_id, options.cache_bytes)?,
    }
    SledViews::create(dir, identity.store_id, options.cache_bytes)?;
    identity.write(dir)?;
    Ok(identity)
}

fn refuse_foreign_content(dir: &Path) -> Result<(), StoreError> {
    if dir.join(identity::NAME).exists() || dir.join(identity::CREATING_NAME).exists() {
        return Ok(());
    }
    let entries = std::fs::read_dir(dir).map_err(|error| StoreError::io(dir, "list", error))?;
    for entry in entries {
        let name = entry.map_err(|error| StoreError::io(dir, "list", error))?.file_name();
        if name != identity::LOCK_NAME && name != "lost+found" {
            let detail = format!(
                "the identity is missing, but the directory holds {}",
                name.to_string_lossy()
            );
            return Err(StoreError::corrupt(&dir.join(identity::NAME), 0, detail));
        }
    }
    Ok(())
}

fn segment_options(options: &Options, store_id: u64) -> SegmentOptions {
    SegmentOptions {
        dir: options.dir.clone(),
        store_id,
        segment_bytes: options.segment_bytes,
        free_bytes_min: options.free_bytes_min,
        epoch: options.epoch,
    }
}
