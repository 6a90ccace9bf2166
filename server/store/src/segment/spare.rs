//! Spare segment files: made ahead of need, and taken back from the front of the log.
//!
//! Owns the names `spare-*.seg` (usable, full length, any content) and `*.new` (being made). A
//! spare never counts as part of the log: it becomes a segment by getting a synced header first
//! and its real name second. Old records in a reused file can never be accepted, because each
//! record must carry the next lsn and the checksum of the record before it.
//!
//! As many files are kept as the log has used between the last two times that its front was trimmed, so
//! that a log under load goes round in its own files and none is zeroed anew; a few otherwise.
//!
//! A spare is made no faster than it is needed: writing it in one go would take CPU and disk from
//! acks for a third of a second. The maker keeps an eighth of a segment ahead of the log, and is
//! done at the latest when the log needs it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::durable;
use crate::error::StoreError;
use crate::space;

/// Spare files kept while the log uses no more than that between two trims.
const SPARES_MIN: usize = 2;
/// Spare files kept at most.
const SPARES_MAX: usize = 8;

/// How much further than the log a spare is, in parts of its length.
const AHEAD_PART: u64 = 8;
/// How often the maker looks whether it must go on.
const PAUSE: Duration = Duration::from_millis(5);
/// After so many pauses it writes the next piece anyway: a log that stands still has its spare
/// within seconds.
const PAUSES_MAX: usize = 40;

/// How far the log is in its active segment, in bytes; the largest number when a spare is waited for.
#[derive(Debug, Clone, Default)]
struct Need(Arc<AtomicU64>);

impl Need {
    fn set(&self, used: u64) {
        self.0.store(used, Ordering::Relaxed);
    }

    /// Waits until a spare of `whole` bytes of which `made` are written must go on.
    fn wait(&self, made: u64, whole: u64) {
        for _ in 0..PAUSES_MAX {
            if made < self.0.load(Ordering::Relaxed).saturating_add(whole / AHEAD_PART) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Makes spares on a thread of its own, one at a time.
pub(crate) struct SpareMaker {
    log_dir: PathBuf,
    segment_bytes: u64,
    ready: Vec<PathBuf>,
    /// Files that the log began since it was last trimmed.
    begun: usize,
    requests: Option<SyncSender<()>>,
    made: Receiver<Option<PathBuf>>,
    pending: bool,
    need: Need,
    thread: Option<JoinHandle<()>>,
}

impl SpareMaker {
    /// Takes over spares that an earlier run left, and starts the thread.
    pub(crate) fn start(log_dir: &Path, segment_bytes: u64) -> Result<Self, StoreError> {
        let (requests, requested) = sync_channel(1);
        // Holds one at most: nothing is asked for while an answer is on its way.
        let (sender, made) = channel();
        let (dir, need) = (log_dir.to_path_buf(), Need::default());
        let needed = need.clone();
        let thread = std::thread::Builder::new()
            .name("log-spare".into())
            .spawn(move || serve(&dir, segment_bytes, &needed, &requested, &sender))
            .map_err(|error| StoreError::io(log_dir, "start the spare thread for", error))?;
        let mut maker = Self {
            log_dir: log_dir.to_path_buf(),
            segment_bytes,
            ready: Vec::new(),
            begun: 0,
            requests: Some(requests),
            made,
            pending: false,
            need,
            thread: Some(thread),
        };
        for path in files_ending(log_dir, "spare-", ".seg")? {
            let usable = std::fs::metadata(&path).is_ok_and(|found| found.len() == segment_bytes);
            if usable && maker.ready.len() < SPARES_MIN {
                maker.ready.push(path);
            } else {
                remove(&path)?;
            }
        }
        Ok(maker)
    }

    /// Tells how many bytes of the active segment are used.
    pub(crate) fn keep_ahead_of(&self, used: u64) {
        self.need.set(used);
    }

    /// Asks for a spare unless one is there or being made.
    pub(crate) fn request(&mut self) {
        self.collect();
        if self.ready.is_empty()
            && !self.pending
            && let Some(requests) = &self.requests
        {
            self.pending = requests.try_send(()).is_ok();
        }
    }

    /// A spare, when one is ready or being made; waits for the latter.
    pub(crate) fn take(&mut self) -> Option<PathBuf> {
        self.collect();
        if self.ready.is_empty() && self.pending {
            self.pending = false;
            self.need.set(u64::MAX);
            self.ready.extend(self.made.recv().ok().flatten());
        }
        self.ready.pop()
    }

    /// Takes a file out of the log: keeps it as a spare when it fits and there is room, else
    /// removes it. The caller syncs the directory before any spare is taken.
    pub(crate) fn retire(&mut self, path: &Path, bytes: u64, room: bool) -> Result<(), StoreError> {
        self.collect();
        if !room || bytes != self.segment_bytes || self.ready.len() >= self.kept() {
            return remove(path);
        }
        let spare = free_name(&self.log_dir, ".seg");
        std::fs::rename(path, &spare).map_err(|error| StoreError::io(path, "rename", error))?;
        self.ready.push(spare);
        Ok(())
    }

    /// The log has begun another file.
    pub(crate) fn note_begun(&mut self) {
        self.begun += 1;
    }

    /// The log has been trimmed: removes what is more than will be needed until the next time.
    pub(crate) fn trimmed(&mut self) -> Result<(), StoreError> {
        let kept = self.kept();
        self.begun = 0;
        self.keep(kept)
    }

    /// Removes what is kept for a load that is over, or that there is no room for.
    pub(crate) fn rest(&mut self) -> Result<(), StoreError> {
        self.collect();
        self.begun = 0;
        self.keep(SPARES_MIN)
    }

    fn kept(&self) -> usize {
        self.begun.clamp(SPARES_MIN, SPARES_MAX)
    }

    fn keep(&mut self, most: usize) -> Result<(), StoreError> {
        let surplus = self.ready.len().saturating_sub(most);
        self.ready.drain(..surplus).try_for_each(|path| remove(&path))
    }

    fn collect(&mut self) {
        match self.made.try_recv() {
            Ok(made) => {
                self.pending = false;
                self.ready.extend(made);
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
    }
}

impl Drop for SpareMaker {
    fn drop(&mut self) {
        self.requests = None;
        self.need.set(u64::MAX);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has already been reported by the runtime.
            let _ = thread.join();
        }
    }
}

/// Makes a spare and returns its path. `pause` is called between its pieces with the bytes written
/// so far.
pub(crate) fn make(
    log_dir: &Path,
    bytes: u64,
    pause: impl FnMut(u64),
) -> Result<PathBuf, StoreError> {
    let unfinished = free_name(log_dir, ".new");
    if let Err(error) = space::write_zeroes(&unfinished, bytes, pause) {
        // The half-made file would take the very space that is missing.
        let _ = std::fs::remove_file(&unfinished);
        return Err(error);
    }
    let finished = unfinished.with_extension("seg");
    std::fs::rename(&unfinished, &finished)
        .map_err(|error| StoreError::io(&unfinished, "rename", error))?;
    durable::sync_dir(log_dir)?;
    Ok(finished)
}

/// Removes spares that a crash left half made.
pub(crate) fn remove_unfinished(log_dir: &Path) -> Result<(), StoreError> {
    files_ending(log_dir, "spare-", ".new")?.iter().try_for_each(|path| remove(path))
}

fn serve(
    dir: &Path,
    bytes: u64,
    need: &Need,
    requested: &Receiver<()>,
    made: &Sender<Option<PathBuf>>,
) {
    while requested.recv().is_ok() {
        let spare = make(dir, bytes, |made| need.wait(made, bytes));
        // A failure is not lost: the log makes the file itself when it needs it, and reports.
        if made.send(spare.ok()).is_err() {
            return;
        }
    }
}

/// A spare's name that no file has; names count up within a process.
fn free_name(log_dir: &Path, extension: &str) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let stem = format!("spare-{number:08x}");
        let taken = |ending: &str| log_dir.join(format!("{stem}{ending}")).exists();
        if !taken(".seg") && !taken(".new") {
            return log_dir.join(format!("{stem}{extension}"));
        }
    }
}

fn files_ending(dir: &Path, start: &str, end: &str) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(dir).map_err(|error| StoreError::io(dir, "list", error))?;
    for entry in entries {
        let entry = entry.map_err(|error| StoreError::io(dir, "list", error))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(start) && name.ends_with(end) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn remove(path: &Path) -> Result<(), StoreError> {
    std::fs::remove_file(path).map_err(|error| StoreError::io(path, "remove", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: u64 = 16 * 1024 * 1024;

    #[test]
    fn a_spare_keeps_ahead_of_the_log_and_no_more() {
        let need = Need::default();
        need.set(WHOLE / 2);
        // Behind: returns without a pause, or the test would take 200 ms for each of these.
        for _ in 0..1_000 {
            need.wait(WHOLE / 2, WHOLE);
        }
        // Ahead: waits until the log has come closer.
        let waiting = {
            let need = need.clone();
            std::thread::spawn(move || {
                need.wait(WHOLE / 4 * 3, WHOLE);
                need.0.load(Ordering::Relaxed)
            })
        };
        need.set(WHOLE / 4 * 3);
        assert_eq!(waiting.join().expect("the thread ends"), WHOLE / 4 * 3);
    }

    /// Spares that lie in `dir`.
    fn spares_in(dir: &Path) -> usize {
        files_ending(dir, "spare-", ".seg").expect("the directory is read").len()
    }

    #[test]
    fn as_many_are_kept_as_were_used_and_a_few_at_rest() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut maker = SpareMaker::start(dir.path(), 4_096).expect("the maker starts");
        let mut number = 0;
        let mut trim = |maker: &mut SpareMaker, files: usize| {
            for _ in 0..files {
                number += 1;
                let path = dir.path().join(format!("{number:08x}.seg"));
                std::fs::write(&path, [0; 4_096]).expect("a segment");
                maker.retire(&path, 4_096, true).expect("it is retired");
            }
            maker.trimmed().expect("trimmed");
            spares_in(dir.path())
        };
        assert_eq!(trim(&mut maker, 5), SPARES_MIN, "none was used");
        (0..5).for_each(|_| maker.note_begun());
        assert_eq!(trim(&mut maker, 5), 5, "five were used");
        (0..50).for_each(|_| maker.note_begun());
        assert_eq!(trim(&mut maker, 50), SPARES_MAX);
        (0..3).for_each(|_| maker.note_begun());
        assert_eq!(trim(&mut maker, 0), 3, "three were used since");
        maker.rest().expect("at rest");
        assert_eq!(spares_in(dir.path()), SPARES_MIN);
    }

    #[test]
    fn a_spare_that_is_waited_for_is_made_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut maker = SpareMaker::start(dir.path(), WHOLE).expect("the maker starts");
        maker.request();
        let spare = maker.take().expect("it was being made");
        assert_eq!(std::fs::metadata(spare).expect("it is there").len(), WHOLE);
    }
}
