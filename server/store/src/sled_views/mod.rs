//! The views in sled.
//!
//! Owns `views/` and the `checkpoint` file beside it. Three trees: `heads` by the caller's key,
//! `pieces` for values too long for one entry, `meta` with the checkpoint. A long value is written
//! to fresh pieces first and appears with the one insert of its head, so an entry is old or new
//! as a whole whatever prefix of the writes a crash keeps.
//!
//! sled can lose entries without an error when a file is damaged. So every checkpoint carries the
//! sum of the hashes of all entries and their count, and opening recomputes both (`scrub`). What
//! was written since does not disturb the sum: a new entry remembers the hash of its predecessor,
//! and a deletion leaves a tombstone until the next checkpoint has passed.
//!
//! Lock order: `checkpoints`, then `writer`. Readers take neither.

mod counted;
pub(crate) mod entry;
pub(crate) mod marks;
pub(crate) mod scrub;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

use self::counted::Uncounted;
use self::entry::{Body, Place, Pointer, Stored, piece_key};
use self::scrub::{Progress, Sum};
use crate::error::StoreError;
use crate::sled_db::{PIECE_BYTES_MAX, SledDb};
use crate::slots::{Kind, SlotFile};
use crate::views::{Checkpoint, Entry, Views, admit_checkpoint, admit_entries};

pub(crate) use self::marks::NAME as CHECKPOINT_NAME;

/// Name of sled's directory in the store's directory.
pub(crate) const DIR_NAME: &str = "views";

/// The views in sled; see the module.
pub struct SledViews {
    heads: sled::Tree,
    pieces: sled::Tree,
    meta: sled::Tree,
    checkpoints: Mutex<Checkpoints>,
    writer: Mutex<Writer>,
    poisoned: AtomicBool,
    // Last, so that the trees are gone when the database is dropped.
    db: SledDb,
}

/// The checkpoint in force, and where it is noted.
struct Checkpoints {
    current: Checkpoint,
    recorded: marks::Recorded,
    slots: SlotFile,
    store_id: u64,
    scrubbed: bool,
}

/// What the settler's writes change.
struct Writer {
    /// Generation of new entries: one more than that of the checkpoint in force.
    generation: u64,
    /// Digest of the present state, for keys that the scrub has passed.
    sum: Sum,
    progress: Progress,
    next_version: u64,
    /// Keys whose tombstones go after the next checkpoint.
    tombstones: Vec<(Place, Vec<u8>)>,
}

impl SledViews {
    /// Makes empty views.
    pub(crate) fn create(dir: &Path, store_id: u64, cache_bytes: u64) -> Result<(), StoreError> {
        let recorded = marks::Recorded::default();
        SlotFile::create(&dir.join(marks::NAME), Kind::Checkpoint, recorded.words(store_id))?;
        let db = SledDb::open(&views_dir(dir), cache_bytes)?;
        let meta = db.tree("meta")?;
        marks::write(&db, &meta, store_id, &recorded, &Checkpoint::default())?;
        db.tree("heads")?;
        db.tree("pieces")?;
        db.flush()?;
        db.sync()
    }

    /// Opens the views and compares their checkpoint with the file beside them; the bool says that
    /// a slot of that file was healed. The contents are not verified yet: see [`Scrub`].
    pub(crate) fn open(
        dir: &Path,
        store_id: u64,
        cache_bytes: u64,
    ) -> Result<(Self, bool), StoreError> {
        let path = dir.join(marks::NAME);
        let (mut slots, read) = SlotFile::open(&path, Kind::Checkpoint)?;
        let noted = marks::Recorded::from_words(&path, read.words, store_id)?;
        let db = SledDb::open(&views_dir(dir), cache_bytes)?;
        let meta = db.tree("meta")?;
        let (recorded, current) = marks::read(&db, &meta, store_id, &path, &noted)?;
        if recorded != noted {
            slots.write(recorded.words(store_id))?;
            slots.sync()?;
        }
        let (heads, pieces) = (db.tree("heads")?, db.tree("pieces")?);
        let newest = db.contain(|| pieces.last())?;
        let next_version =
            newest.and_then(|(key, _)| entry::version_of(&key)).map_or(1, |version| version + 1);
        let views = Self {
            heads,
            pieces,
            meta,
            checkpoints: Mutex::new(Checkpoints {
                current,
                recorded,
                slots,
                store_id,
                scrubbed: false,
            }),
            writer: Mutex::new(Writer {
                generation: recorded.generation + 1,
                sum: Sum::default(),
                progress: Progress::NotBegun,
                next_version,
                tombstones: Vec::new(),
            }),
            poisoned: AtomicBool::new(false),
            db,
        };
        Ok((views, read.damaged_at.is_some()))
    }

    /// Bytes of sled's data file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.db.file_bytes()
    }

    /// Recomputes the digest of the last checkpoint from what is stored; see [`Scrub::run`].
    pub(crate) fn scrub(&self) -> Result<(), StoreError> {
        let mut checkpoints = self.checkpoints.lock();
        let result = self.scrub_locked(&mut checkpoints);
        self.poison(result)
    }

    fn tree(&self, place: Place) -> &sled::Tree {
        match place {
            Place::Heads => &self.heads,
            Place::Pieces => &self.pieces,
        }
    }

    fn corrupt(&self, detail: impl Into<String>) -> StoreError {
        StoreError::corrupt(self.db.path(), 0, detail)
    }

    fn refuse_if_poisoned(&self) -> Result<(), StoreError> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(StoreError::Poisoned {
                first: "an earlier write to the views failed".into(),
            });
        }
        Ok(())
    }

    fn poison<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.is_err() {
            self.poisoned.store(true, Ordering::Release);
        }
        result
    }

    /// The value that a head stands for; `None` when a writer replaced the head meanwhile.
    fn resolve(&self, key: &[u8], head: &sled::IVec) -> Result<Resolved, StoreError> {
        let stored = entry::decode(key, head).map_err(|detail| self.corrupt(detail))?;
        let pointer = match stored.body {
            Body::Tombstone => return Ok(Resolved::Absent),
            Body::Bytes(bytes) => return Ok(Resolved::Value(Bytes::copy_from_slice(bytes))),
            Body::Pointer(pointer) => pointer,
        };
        let total = pointer.bytes as usize;
        let mut value = BytesMut::with_capacity(total.min(crate::views::VALUE_BYTES_MAX));
        for number in 0..piece_count(total) {
            let key = piece_key(pointer.version, number);
            let Some(piece) = self.db.contain(|| self.pieces.get(key))? else {
                return Ok(Resolved::Replaced);
            };
            match entry::decode(&key, &piece).map_err(|detail| self.corrupt(detail))?.body {
                Body::Bytes(bytes) => value.extend_from_slice(bytes),
                Body::Tombstone => return Ok(Resolved::Replaced),
                Body::Pointer(_) => return Err(self.corrupt("a piece points to pieces")),
            }
        }
        if value.len() != total {
            return Err(self.corrupt("the pieces of a value do not add up"));
        }
        let mut uncounted = Uncounted::default();
        uncounted.leaf_of(total.min(PIECE_BYTES_MAX));
        uncounted.walked(total);
        self.count(&mut uncounted, Place::Pieces, &piece_key(pointer.version, 0))?;
        Ok(Resolved::Value(value.freeze()))
    }

    /// Reads a key whose head is known, again and again while a writer replaces it.
    fn settle_read(
        &self,
        key: &[u8],
        mut head: Option<sled::IVec>,
    ) -> Result<Option<Bytes>, StoreError> {
        while let Some(found) = head {
            match self.resolve(key, &found)? {
                Resolved::Absent => return Ok(None),
                Resolved::Value(value) => return Ok(Some(value)),
                Resolved::Replaced => {
                    head = self.db.contain(|| self.heads.get(key))?;
                    if head.as_ref() == Some(&found) {
                        return Err(self.corrupt("a piece of a value is missing"));
                    }
                }
            }
        }
        Ok(None)
    }

    fn write_value(&self, writer: &mut Writer, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let before = self.pointer_under(key)?;
        if value.len() <= PIECE_BYTES_MAX {
            self.put(writer, Place::Heads, key, Body::Bytes(value))?;
        } else {
            let version = writer.next_version;
            writer.next_version += 1;
            for (number, piece) in (0..).zip(value.chunks(PIECE_BYTES_MAX)) {
                let key = piece_key(version, number);
                self.put(writer, Place::Pieces, &key, Body::Bytes(piece))?;
            }
            let pointer = Pointer { version, bytes: value.len() as u32 };
            self.put(writer, Place::Heads, key, Body::Pointer(pointer))?;
        }
        self.drop_pieces(writer, before)
    }

    fn delete(&self, writer: &mut Writer, key: &[u8]) -> Result<(), StoreError> {
        let before = self.pointer_under(key)?;
        self.take(writer, Place::Heads, key)?;
        self.drop_pieces(writer, before)
    }

    fn pointer_under(&self, key: &[u8]) -> Result<Option<Pointer>, StoreError> {
        let Some(head) = self.db.contain(|| self.heads.get(key))? else {
            return Ok(None);
        };
        match entry::decode(key, &head).map_err(|detail| self.corrupt(detail))?.body {
            Body::Pointer(pointer) => Ok(Some(pointer)),
            Body::Bytes(_) | Body::Tombstone => Ok(None),
        }
    }

    fn drop_pieces(&self, writer: &mut Writer, of: Option<Pointer>) -> Result<(), StoreError> {
        let Some(pointer) = of else { return Ok(()) };
        for number in 0..piece_count(pointer.bytes as usize) {
            self.take(writer, Place::Pieces, &piece_key(pointer.version, number))?;
        }
        Ok(())
    }

    /// Puts one entry and keeps the digest.
    fn put(
        &self,
        writer: &mut Writer,
        place: Place,
        key: &[u8],
        body: Body<'_>,
    ) -> Result<(), StoreError> {
        let tree = self.tree(place);
        let current = self.db.contain(|| tree.get(key))?;
        let old = self.account_for_old(writer, place, key, current.as_deref())?;
        let stored = Stored { generation: writer.generation, old, body };
        if writer.progress.has_passed(place, key)
            && let Some(hash) = stored.hash(place, key)
        {
            writer.sum.add(hash);
        }
        self.db.contain(|| tree.insert(key, entry::encode(key, &stored))).map(drop)
    }

    /// Deletes one entry: a tombstone while the last checkpoint still counts it.
    fn take(&self, writer: &mut Writer, place: Place, key: &[u8]) -> Result<(), StoreError> {
        let tree = self.tree(place);
        let Some(current) = self.db.contain(|| tree.get(key))? else {
            return Ok(());
        };
        let stored = entry::decode(key, &current).map_err(|detail| self.corrupt(detail))?;
        if stored.body == Body::Tombstone {
            return Ok(());
        }
        let Some(old) = self.account_for_old(writer, place, key, Some(&current))? else {
            return self.db.contain(|| tree.remove(key)).map(drop);
        };
        let tombstone =
            Stored { generation: writer.generation, old: Some(old), body: Body::Tombstone };
        self.db.contain(|| tree.insert(key, entry::encode(key, &tombstone)))?;
        writer.tombstones.push((place, key.to_vec()));
        Ok(())
    }

    /// Takes the present entry out of the digest and returns what the checkpoint saw of the key.
    fn account_for_old(
        &self,
        writer: &mut Writer,
        place: Place,
        key: &[u8],
        current: Option<&[u8]>,
    ) -> Result<Option<u64>, StoreError> {
        let Some(current) = current else {
            return Ok(None);
        };
        let stored = entry::decode(key, current).map_err(|detail| self.corrupt(detail))?;
        if writer.progress.has_passed(place, key)
            && let Some(hash) = stored.hash(place, key)
        {
            writer.sum.remove(hash);
        }
        Ok(stored.hash_at(writer.generation - 1, place, key))
    }

    fn checkpoint_locked(
        &self,
        checkpoints: &mut Checkpoints,
        next: &Checkpoint,
    ) -> Result<(), StoreError> {
        self.scrub_locked(checkpoints)?;
        let mut writer = self.writer.lock();
        self.db.flush()?;
        self.db.sync()?;
        let recorded =
            marks::Recorded { generation: writer.generation, lsn: next.lsn, sum: writer.sum };
        marks::write(&self.db, &self.meta, checkpoints.store_id, &recorded, next)?;
        checkpoints.slots.write(recorded.words(checkpoints.store_id))?;
        checkpoints.slots.sync()?;
        checkpoints.current = next.clone();
        checkpoints.recorded = recorded;
        writer.generation += 1;
        self.purge_tombstones(&mut writer)
    }

    /// Removes tombstones that no checkpoint needs any more.
    fn purge_tombstones(&self, writer: &mut Writer) -> Result<(), StoreError> {
        for (place, key) in std::mem::take(&mut writer.tombstones) {
            let tree = self.tree(place);
            let Some(current) = self.db.contain(|| tree.get(&key))? else {
                continue;
            };
            let stored = entry::decode(&key, &current).map_err(|detail| self.corrupt(detail))?;
            if stored.body == Body::Tombstone && stored.generation < writer.generation {
                self.db.contain(|| tree.remove(&key))?;
            }
        }
        Ok(())
    }
}

impl Views for SledViews {
    fn read(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let head = self.db.contain(|| self.heads.get(key))?;
        if let Some(head) = &head {
            let mut uncounted = Uncounted::default();
            uncounted.leaf_of(head.len());
            self.count(&mut uncounted, Place::Heads, key)?;
        }
        self.settle_read(key, head)
    }

    fn scan(
        &self,
        from: &[u8],
        to_inclusive: &[u8],
        backwards: bool,
        bytes_max: usize,
        entries_max: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut page = Vec::new();
        if from > to_inclusive {
            return Ok(page);
        }
        let mut range = self.heads.range(from..=to_inclusive);
        let mut bytes = 0;
        let mut uncounted = Uncounted::default();
        while page.len() < entries_max {
            let row = self
                .db
                .contain(|| if backwards { range.next_back() } else { range.next() }.transpose())?;
            let Some((key, head)) = row else { break };
            uncounted.walked(head.len());
            uncounted.leaf_of(head.len());
            let Some(value) = self.settle_read(&key, Some(head))? else {
                continue;
            };
            bytes += key.len() + value.len();
            if bytes > bytes_max && !page.is_empty() {
                break;
            }
            page.push((Bytes::copy_from_slice(&key), value));
        }
        if let Some((key, _)) = page.last() {
            self.count(&mut uncounted, Place::Heads, key)?;
        }
        Ok(page)
    }

    fn write(&self, entries: &[(Bytes, Option<Bytes>)]) -> Result<(), StoreError> {
        self.refuse_if_poisoned()?;
        admit_entries(entries)?;
        let mut writer = self.writer.lock();
        for (key, value) in entries {
            let result = match value {
                Some(value) => self.write_value(&mut writer, key, value),
                None => self.delete(&mut writer, key),
            };
            self.poison(result)?;
        }
        Ok(())
    }

    fn checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        self.refuse_if_poisoned()?;
        let mut checkpoints = self.checkpoints.lock();
        admit_checkpoint(checkpoints.current.lsn, checkpoint)?;
        let result = self.checkpoint_locked(&mut checkpoints, checkpoint);
        self.poison(result)
    }

    fn last_checkpoint(&self) -> Result<Checkpoint, StoreError> {
        Ok(self.checkpoints.lock().current.clone())
    }
}

/// A verification of the views that has still to run; see `OpenReport::scrub`.
pub struct Scrub {
    views: Arc<SledViews>,
}

impl Scrub {
    pub(crate) fn new(views: Arc<SledViews>) -> Self {
        Self { views }
    }

    /// Reads every entry and compares the result with the last checkpoint. Blocks for as long as
    /// reading the whole file takes; reads and writes go on meanwhile, a checkpoint waits.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] or [`StoreError::Short`] when entries were lost or changed; the
    /// views are then poisoned for writing, and the process should stop with the error's exit code.
    pub fn run(self) -> Result<(), StoreError> {
        self.views.scrub()
    }
}

/// What a head leads to.
enum Resolved {
    Absent,
    Replaced,
    Value(Bytes),
}

/// sled's directory of a store.
pub(crate) fn views_dir(dir: &Path) -> PathBuf {
    dir.join(DIR_NAME)
}

fn piece_count(bytes: usize) -> u32 {
    bytes.div_ceil(PIECE_BYTES_MAX) as u32
}
