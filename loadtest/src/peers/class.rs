//! What an ack means: the classes that may be compared with each other.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use crate::plan::Level;

/// What must have happened before a server acknowledges a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Synced to the disk.
    Fsync,
    /// Handed to the kernel: survives kill -9.
    Kill,
    /// In the server's memory.
    Memory,
}

impl Class {
    /// All of them, the weakest first.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Kill, Self::Fsync];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Kill => "kill",
            Self::Memory => "memory",
        }
    }

    /// What it promises.
    #[must_use]
    pub const fn promise(self) -> &'static str {
        match self {
            Self::Fsync => "synced to the disk before the ack",
            Self::Kill => "survives kill -9: handed to the kernel before the ack",
            Self::Memory => "acknowledged from memory",
        }
    }

    /// What the generator asks the servers for.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::Fsync => Level::Durable,
            Self::Kill => Level::Written,
            Self::Memory => Level::Accepted,
        }
    }
}

impl Display for Class {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
