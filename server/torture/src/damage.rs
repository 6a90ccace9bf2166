//! One fault in one file of a data directory.

use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::numbers::Numbers;

/// Blocks by which the used parts of a file are told from zeroes.
const BLOCK: usize = 4_096;

/// A data file and where it holds something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Relative to the data directory.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Offsets of blocks that are not all zero.
    pub used: Vec<u64>,
}

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file, relative to the data directory.
    pub path: PathBuf,
    /// What is done to it.
    pub kind: Kind,
}

/// See [`Damage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One bit of the byte at `offset` is turned.
    Flip {
        /// Where.
        offset: u64,
        /// Which bit.
        bit: u8,
    },
    /// The file ends at `bytes`.
    Truncate {
        /// What is left.
        bytes: u64,
    },
}

/// The files of a data directory, in order of their paths. Empty ones, which
/// cannot be damaged, are left out.
///
/// # Errors
/// When the directory cannot be read.
pub fn files(dir: &Path) -> anyhow::Result<Vec<DataFile>> {
    let mut found = Vec::new();
    walk(dir, dir, &mut found)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn walk(root: &Path, dir: &Path, found: &mut Vec<DataFile>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            walk(root, &path, found)?;
            continue;
        }
        let contents = std::fs::read(&path).with_context(|| path.display().to_string())?;
        if contents.is_empty() {
            continue;
        }
        let used = contents.chunks(BLOCK).zip((0..).step_by(BLOCK));
        let used = used.filter(|(block, _)| block.iter().any(|byte| *byte != 0));
        found.push(DataFile {
            path: path.strip_prefix(root)?.to_path_buf(),
            bytes: contents.len() as u64,
            used: used.map(|(_, offset)| offset).collect(),
        });
    }
    Ok(())
}

impl Damage {
    /// Draws the fault number `number`: every file gets its turn, and half of
    /// the faults go where most data is. Nine of ten are where data is.
    #[must_use]
    pub fn draw(files: &[DataFile], number: u64, numbers: &mut Numbers) -> Option<Self> {
        let blocks: u64 = files.iter().map(|file| file.used.len() as u64).sum();
        let file = if number.is_multiple_of(2) || blocks == 0 {
            files.get((number / 2) as usize % files.len().max(1))?
        } else {
            let mut at = numbers.below(blocks);
            files.iter().find(|file| {
                let here = at < file.used.len() as u64;
                if !here {
                    at -= file.used.len() as u64;
                }
                here
            })?
        };
        let anywhere = file.used.is_empty() || numbers.one_in(10);
        let offset = if anywhere {
            numbers.below(file.bytes)
        } else {
            let block = file.used[numbers.below(file.used.len() as u64) as usize];
            (block + numbers.below(BLOCK as u64)).min(file.bytes - 1)
        };
        let kind = match numbers.below(5) {
            0 => Kind::Truncate { bytes: if numbers.one_in(4) { 0 } else { offset } },
            _ => Kind::Flip { offset, bit: numbers.below(8) as u8 },
        };
        Some(Self { path: file.path.clone(), kind })
    }

    /// Does it to the files in `dir`.
    ///
    /// # Errors
    /// When the file cannot be changed.
    pub fn apply(&self, dir: &Path) -> anyhow::Result<()> {
        let path = dir.join(&self.path);
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.with_context(|| path.display().to_string())?;
        match self.kind {
            Kind::Flip { offset, bit } => {
                let mut byte = [0];
                file.read_exact_at(&mut byte, offset)?;
                byte[0] ^= 1 << bit;
                file.write_all_at(&byte, offset)?;
            }
            Kind::Truncate { bytes } => file.set_len(bytes)?,
        }
        Ok(())
    }

    /// The file's path with its digits made alike, so that all segments of a
    /// log are one line of a table.
    #[must_use]
    pub fn class(&self) -> String {
        let mut class = String::new();
        for c in self.path.display().to_string().chars() {
            let digit = c.is_ascii_digit();
            if !(digit && class.ends_with('#')) {
                class.push(if digit { '#' } else { c });
            }
        }
        class
    }

    /// Whether `output` names the file, or the directory of a database that
    /// the file is a part of.
    #[must_use]
    pub fn is_named_in(&self, output: &str) -> bool {
        let path = self.path.display().to_string();
        let parent = self.path.parent().map(|parent| parent.display().to_string());
        let parent = parent.filter(|parent| !parent.is_empty());
        output.contains(&format!("/{path}"))
            || parent.is_some_and(|parent| output.contains(&format!("/{parent}")))
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Flip { offset, bit } => {
                write!(f, "bit {bit} of byte {offset} of {} turned", self.path.display())
            }
            Kind::Truncate { bytes } => {
                write!(f, "{} cut at byte {bytes}", self.path.display())
            }
        }
    }
}
