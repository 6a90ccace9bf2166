//! Where a run keeps the server's data, the journal and the logs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use tempfile::TempDir;

/// Set when somebody ends the run by hand: then nothing is evidence.
static ENDED_BY_HAND: AtomicBool = AtomicBool::new(false);

/// Says that the run was ended by hand: nothing is kept.
pub fn ended_by_hand() {
    ENDED_BY_HAND.store(true, Ordering::Relaxed);
}

/// A directory of one run. It is evidence, and stays when it is dropped,
/// unless [`WorkDir::discard`] says that all was sound.
#[derive(Debug)]
pub struct WorkDir {
    dir: Option<TempDir>,
    path: PathBuf,
    sound: bool,
}

impl WorkDir {
    /// Makes one, inside `parent` when given.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new(parent: Option<&Path>) -> anyhow::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("hongyan-torture-");
        let made = match parent {
            Some(parent) => builder.tempdir_in(parent),
            None => builder.tempdir(),
        };
        let dir = made.context("cannot make a temporary directory")?;
        let path = dir.path().to_path_buf();
        Ok(Self { dir: Some(dir), path, sound: false })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path within it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// All was sound: it goes away when it is dropped.
    pub const fn discard(&mut self) {
        self.sound = true;
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        if !self.sound
            && !ENDED_BY_HAND.load(Ordering::Relaxed)
            && let Some(dir) = self.dir.take()
        {
            eprintln!("data, journal and logs are kept in {}", dir.keep().display());
        }
    }
}

/// Copies a directory of plain files and directories; holes stay holes.
///
/// # Errors
/// When `cp` fails.
pub fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    crate::disk::command("cp", ["-a", "--sparse=always"], [&from.join("."), to])
}
