//! What an operator may choose about a store.
//!
//! Owns [`Options`] and its defaults. Values are checked by `open`; nothing here touches a disk.

use std::path::PathBuf;

use crate::error::StoreError;

/// Which log engine a store uses; fixed when the store is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// Own segment files: the default, see `docs/decisions/0001-log-in-segment-files.md`.
    #[default]
    Segment,
    /// The log in sled.
    Sled,
}

impl Engine {
    /// The name used in the identity file and in configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Sled => "sled",
        }
    }
}

impl std::str::FromStr for Engine {
    type Err = StoreError;

    fn from_str(name: &str) -> Result<Self, StoreError> {
        match name {
            "segment" => Ok(Self::Segment),
            "sled" => Ok(Self::Sled),
            _ => Err(StoreError::misuse(format!("the log engine is segment or sled, not {name}"))),
        }
    }
}

/// How to open a store. `Options::new(dir)` gives the defaults.
#[derive(Debug, Clone)]
pub struct Options {
    /// The store's directory; created when missing.
    pub dir: PathBuf,
    /// The log's engine; must be the one that the store was created with.
    pub engine: Engine,
    /// Bytes of sled's page cache. Default 64 MiB; at least 1 MiB.
    pub cache_bytes: u64,
    /// Bytes of a log segment. Default 64 MiB; 16 KiB to 1 GiB, a multiple of 4 KiB.
    pub segment_bytes: u64,
    /// Bytes of the reserve file that a start on a full disk may free. Default 16 MiB; 0 keeps none.
    pub reserve_bytes: u64,
    /// Appends are refused with less than this free. Default 256 MiB; 0 never refuses.
    pub free_bytes_min: u64,
    /// Views up to this size on disk are verified while opening, larger ones by
    /// `OpenReport::scrub`. Default 256 MiB.
    pub scrub_bytes_max: u64,
    /// The epoch written into records. Default 1.
    pub epoch: u32,
}

impl Options {
    /// The defaults for a directory.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            engine: Engine::Segment,
            cache_bytes: 64 * MIB,
            segment_bytes: 64 * MIB,
            reserve_bytes: 16 * MIB,
            free_bytes_min: 256 * MIB,
            scrub_bytes_max: 256 * MIB,
            epoch: 1,
        }
    }

    /// Refuses values out of the documented ranges.
    #[cfg(feature = "sled")]
    pub(crate) fn admit(&self) -> Result<(), StoreError> {
        let segment_ok = (16 * 1024..=1024 * MIB).contains(&self.segment_bytes)
            && self.segment_bytes.is_multiple_of(4096);
        if !segment_ok {
            return Err(StoreError::misuse(
                "segment_bytes is 16 KiB to 1 GiB and a multiple of 4 KiB",
            ));
        }
        if self.cache_bytes < MIB {
            return Err(StoreError::misuse("cache_bytes is at least 1 MiB"));
        }
        Ok(())
    }
}

const MIB: u64 = 1024 * 1024;
