//! The identity file and the lock of a store's directory.
//!
//! The identity is written last when a store is created: a directory without it is either new, or
//! a creation that never finished, or damaged; only the first two are (re)created. It holds the
//! store's random id, which binds all other files to it, and the log engine. One line of text:
//! `hongyan-store 1 <engine> <id, 16 hex digits> <crc, 8 hex digits>`.

use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::{ErrorKind, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::durable;
use crate::error::StoreError;
use crate::options::Engine;
use crate::private;

/// Name of the identity file.
pub(crate) const NAME: &str = "identity";
/// Name of the marker of a creation under way.
pub(crate) const CREATING_NAME: &str = "creating";
/// Name of the lock file.
pub(crate) const LOCK_NAME: &str = "lock";

const FORMAT: &str = "1";

/// What the identity file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) store_id: u64,
    pub(crate) engine: Engine,
}

impl Identity {
    /// A new identity with a random id. `RandomState` is seeded by the operating system.
    pub(crate) fn new(engine: Engine) -> Self {
        let mut hasher = std::hash::RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        Self { store_id: hasher.finish(), engine }
    }

    /// Reads the file; `None` when there is none.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join(NAME);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(&path, "read", error)),
        };
        Self::parse(&path, &bytes).map(Some)
    }

    /// Reads the contents of the file at `path`: exactly what [`Identity::line`] makes.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = || StoreError::corrupt(path, 0, "the identity does not verify");
        let text = std::str::from_utf8(bytes).map_err(|_| damaged())?;
        let (body, crc) =
            text.strip_suffix('\n').and_then(|t| t.rsplit_once(' ')).ok_or_else(damaged)?;
        if crc != format!("{:08x}", crc32fast::hash(body.as_bytes())) {
            return Err(damaged());
        }
        let words: Vec<&str> = body.split(' ').collect();
        let ["hongyan-store", format, engine, id] = words[..] else {
            return Err(damaged());
        };
        if format != FORMAT {
            return Err(StoreError::Version {
                file: path.to_path_buf(),
                found: format!("store format {format}"),
                supported: format!("store format {FORMAT}"),
            });
        }
        let store_id = u64::from_str_radix(id, 16).map_err(|_| damaged())?;
        let engine = engine.parse().map_err(|_| damaged())?;
        let identity = Self { store_id, engine };
        if identity.line() != text { Err(damaged()) } else { Ok(identity) }
    }

    /// The contents of the file.
    pub(crate) fn line(self) -> String {
        let body = format!("hongyan-store {FORMAT} {} {:016x}", self.engine.name(), self.store_id);
        format!("{body} {:08x}\n", crc32fast::hash(body.as_bytes()))
    }

    /// Writes the file durably and ends the creation.
    pub(crate) fn write(self, dir: &Path) -> Result<(), StoreError> {
        let path = dir.join(NAME);
        let creating = dir.join(CREATING_NAME);
        let line = self.line();
        let mut file =
            File::create(&creating).map_err(|error| StoreError::io(&creating, "create", error))?;
        file.write_all(line.as_bytes())
            .map_err(|error| StoreError::io(&creating, "write", error))?;
        durable::sync_all(&file, &creating)?;
        std::fs::rename(&creating, &path)
            .map_err(|error| StoreError::io(&creating, "rename", error))?;
        durable::sync_dir(dir)
    }
}

/// Takes the directory for this process; the lock goes with the returned file.
pub(crate) fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK_NAME);
    let file = private::new_file()
        .read(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| StoreError::io(&path, "open", error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => {
            Err(StoreError::Locked { file: path })
        }
        Err(error) => Err(StoreError::io(&path, "lock", error.into())),
    }
}
