//! Verifies a store offline without changing it.
//!
//! Owns [`check`]. Every part is judged by the code that opening uses; all faults are gathered, so
//! one run names everything that is wrong. sled cannot be opened without writing, so its
//! directories are copied to a temporary directory and the copies are opened.

use std::path::{Path, PathBuf};

use crate::error::{EXIT_REFUSED, StoreError};
use crate::evidence::copy_dir;
use crate::high_water;
use crate::identity::{self, Identity};
use crate::log::{Log, Lsn};
use crate::open::join;
use crate::options::Engine;
use crate::private;
use crate::segment::{log_dir, recovery};
use crate::sled_log::{self, SledLog};
use crate::sled_preflight;
use crate::sled_views::{self, SledViews};
use crate::views::Views;

/// What a check found.
#[derive(Debug, Default)]
pub struct CheckReport {
    /// Everything that is wrong; empty means that the store opens.
    pub faults: Vec<StoreError>,
    /// Oddities that opening heals by itself, in words.
    pub notes: Vec<String>,
    /// First record held.
    pub first: Lsn,
    /// Last record.
    pub last: Lsn,
    /// Last checkpoint of the views.
    pub checkpoint: Lsn,
    /// Bytes of log and views read and verified.
    pub verified_bytes: u64,
}

impl CheckReport {
    /// 0 without a fault, 78 when one must be looked at by a human, else 74.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        let codes = self.faults.iter().map(StoreError::exit_code);
        codes.max_by_key(|code| *code == EXIT_REFUSED).unwrap_or(0)
    }
}

/// Verifies the store in `dir`, which no process may have open.
///
/// # Errors
/// Only when checking itself is impossible: [`StoreError::Locked`], [`StoreError::Io`],
/// [`StoreError::Misuse`] when there is no store. What is wrong with the store is in the report.
pub fn check(dir: &Path) -> Result<CheckReport, StoreError> {
    if !dir.join(identity::LOCK_NAME).exists() && !dir.join(identity::NAME).exists() {
        return Err(StoreError::misuse(format!("there is no store in {}", dir.display())));
    }
    let _lock = identity::lock(dir)?;
    let mut report = CheckReport::default();
    match Identity::read(dir) {
        Ok(Some(identity)) => check_parts(dir, identity, &mut report)?,
        Ok(None) if dir.join(identity::CREATING_NAME).exists() => {
            report
                .notes
                .push("the creation of the store never finished; opening begins again".into());
        }
        Ok(None) => report.faults.push(StoreError::corrupt(
            &dir.join(identity::NAME),
            0,
            "the identity is missing",
        )),
        Err(fault) => sort_out(fault, &mut report)?,
    }
    Ok(report)
}

fn check_parts(dir: &Path, identity: Identity, report: &mut CheckReport) -> Result<(), StoreError> {
    let log = match identity.engine {
        Engine::Segment => check_segments(dir, identity, report),
        Engine::Sled => check_sled_log(dir, identity, report),
    };
    let log = keep_fault(log, report)?;
    let views = check_views(dir, identity, report);
    let views = keep_fault(views, report)?;
    if let (Some((first, last)), Some(checkpoint)) = (log, views) {
        (report.first, report.last, report.checkpoint) = (first, last, checkpoint);
        keep_fault(join(dir, first, last, checkpoint), report)?;
    }
    Ok(())
}

fn check_segments(
    dir: &Path,
    identity: Identity,
    report: &mut CheckReport,
) -> Result<(Lsn, Lsn), StoreError> {
    let confirmed = check_high_water(dir, identity, report)?;
    let judged = recovery::judge(&log_dir(dir), identity.store_id, confirmed)?;
    report.verified_bytes += judged.bytes;
    let first = judged.segments.front().map_or(judged.last.next(), |segment| segment.first);
    Ok((first, judged.last))
}

fn check_sled_log(
    dir: &Path,
    identity: Identity,
    report: &mut CheckReport,
) -> Result<(Lsn, Lsn), StoreError> {
    let source = dir.join(sled_log::DIR_NAME);
    sled_preflight::verify(&source)?;
    check_high_water(dir, identity, report)?;
    let scratch = Scratch::of(dir, &[sled_log::DIR_NAME, high_water::NAME])?;
    let log = SledLog::open(&scratch.dir, identity.store_id, CACHE_BYTES, 0, 1);
    let (log, _) = log.map_err(|fault| blame(fault, &scratch.dir, dir, &source))?;
    report.verified_bytes += bytes_of(&source.join("db"));
    Ok((log.first(), log.last()))
}

fn check_views(
    dir: &Path,
    identity: Identity,
    report: &mut CheckReport,
) -> Result<Lsn, StoreError> {
    let source = sled_views::views_dir(dir);
    sled_preflight::verify(&source)?;
    let scratch = Scratch::of(dir, &[sled_views::DIR_NAME, sled_views::CHECKPOINT_NAME])?;
    let opened = SledViews::open(&scratch.dir, identity.store_id, CACHE_BYTES);
    let checked = opened.and_then(|(views, healed)| {
        if healed {
            report.notes.push("a slot of the checkpoint file is damaged, its twin is good".into());
        }
        views.scrub()?;
        views.last_checkpoint()
    });
    let checkpoint = checked.map_err(|fault| blame(fault, &scratch.dir, dir, &source))?;
    report.verified_bytes += bytes_of(&source.join("db"));
    Ok(checkpoint.lsn)
}

fn check_high_water(
    dir: &Path,
    identity: Identity,
    report: &mut CheckReport,
) -> Result<Lsn, StoreError> {
    let (confirmed, damaged_at) = high_water::confirmed(dir, identity.store_id)?;
    if let Some(offset) = damaged_at {
        report.notes.push(format!(
            "the slot at byte {offset} of {} is damaged, its twin is good",
            dir.join(high_water::NAME).display()
        ));
    }
    Ok(confirmed)
}

/// Names the original file instead of the copy, and the offset when a walk finds one.
fn blame(fault: StoreError, scratch: &Path, dir: &Path, source: &Path) -> StoreError {
    let original = |file: PathBuf| match file.strip_prefix(scratch) {
        Ok(relative) => dir.join(relative),
        Err(_) => file,
    };
    match fault {
        StoreError::Corrupt { file, offset: 0, detail } => {
            let (offset, seen) = match sled_preflight::first_fault(source) {
                Ok(Some((offset, seen))) => (offset, format!(" ({seen})")),
                _ => (0, String::new()),
            };
            StoreError::Corrupt { file: original(file), offset, detail: detail + &seen }
        }
        StoreError::Corrupt { file, offset, detail } => {
            StoreError::Corrupt { file: original(file), offset, detail }
        }
        StoreError::Short { file, what, have, expected } => {
            StoreError::Short { file: original(file), what, have, expected }
        }
        other => other,
    }
}

/// Gathers a fault of the store; passes on what keeps the check itself from working.
fn keep_fault<T>(
    result: Result<T, StoreError>,
    report: &mut CheckReport,
) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(fault) => sort_out(fault, report).map(|()| None),
    }
}

fn sort_out(fault: StoreError, report: &mut CheckReport) -> Result<(), StoreError> {
    if fault.exit_code() == EXIT_REFUSED {
        report.faults.push(fault);
        return Ok(());
    }
    Err(fault)
}

fn bytes_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |found| found.len())
}

const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// A temporary copy of some parts of a store; removed when dropped.
struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    fn of(dir: &Path, parts: &[&str]) -> Result<Self, StoreError> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hongyan-check-{}-{number}", std::process::id());
        let scratch = Self { dir: std::env::temp_dir().join(name) };
        // The temporary directory is everybody's, the copy is not.
        private::create_dir(&scratch.dir)
            .map_err(|error| StoreError::io(&scratch.dir, "create", error))?;
        for part in parts {
            let (from, to) = (dir.join(part), scratch.dir.join(part));
            if from.is_dir() {
                copy_dir(&from, &to)?;
            } else if from.exists() {
                std::fs::copy(&from, &to).map_err(|error| StoreError::io(&from, "copy", error))?;
            }
        }
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover in the temporary directory harms nothing.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
