//! Disks that can lose their power: ext4 in a file behind a loop device.
//!
//! What has reached such a disk is in the file and nothing else is: data that
//! is only in the page cache of the mounted file system is not. A copy of the
//! file is therefore the disk as a power cut leaves it.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// Space below this is left as it is.
const BALLAST_PIECE_MIN: u64 = 16 * 1024;

/// Why loop devices cannot be used here; `None` when they can.
#[must_use]
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("loop devices need root".to_owned());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("there is no /dev/loop-control".to_owned());
    }
    for program in ["mkfs.ext4", "mount", "umount"] {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
        if !found.is_ok_and(|found| found.status.success()) {
            return Some(format!("there is no {program}"));
        }
    }
    None
}

/// Makes a sparse file of `mib` MiB with an empty ext4 in it.
///
/// # Errors
/// When the file or the file system cannot be made.
pub fn make_image(path: &Path, mib: u64) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    file.set_len(mib << 20)?;
    command("mkfs.ext4", ["-q", "-F", "-m", "0"], [path])
}

/// Copies an image as it is at this moment; holes stay holes.
///
/// # Errors
/// When `cp` fails.
pub fn freeze(image: &Path, to: &Path) -> anyhow::Result<()> {
    command("cp", ["--sparse=always"], [image, to])
}

/// A mounted image; unmounted when dropped.
#[derive(Debug)]
pub struct Mount {
    at: PathBuf,
}

impl Mount {
    /// Mounts `image` at `at`, which is made.
    ///
    /// # Errors
    /// When `mount` fails: no root, no free loop device, a damaged image.
    pub fn new(image: &Path, at: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(at).with_context(|| format!("cannot make {}", at.display()))?;
        command("mount", ["-o", "loop"], [image, at])?;
        Ok(Self { at: at.to_path_buf() })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn at(&self) -> &Path {
        &self.at
    }

    /// Bytes that an ordinary user may still write.
    ///
    /// # Errors
    /// When the file system cannot be asked.
    pub fn free_bytes(&self) -> anyhow::Result<u64> {
        let answer = rustix::fs::statvfs(&self.at)?;
        Ok(answer.f_bavail.saturating_mul(answer.f_frsize))
    }

    /// Lets a file `name` take space until at most about `leave` bytes are
    /// free.
    ///
    /// # Errors
    /// Anything but a full disk.
    pub fn ballast(&self, name: &str, leave: u64) -> anyhow::Result<PathBuf> {
        let path = self.at.join(name);
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        // The file's own blocks need some too, so what is asked for may not
        // be there in one piece: then a half of it, and so on.
        let mut piece = u64::MAX;
        loop {
            piece = piece.min(self.free_bytes()?.saturating_sub(leave));
            if piece < BALLAST_PIECE_MIN {
                return Ok(path);
            }
            let held = file.metadata()?.len();
            match fallocate(&file, FallocateFlags::empty(), held, piece) {
                Ok(()) => {}
                Err(Errno::NOSPC) => piece /= 2,
                Err(error) => return Err(error).context("cannot take space"),
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        for _ in 0..50 {
            if command("umount", [] as [&str; 0], [&self.at]).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        // Somebody still has a file open: detach now, the kernel unmounts
        // when the last one is closed.
        if let Err(error) = command("umount", ["-l"], [&self.at]) {
            eprintln!("{} stays mounted: {error:#}", self.at.display());
        }
    }
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started or does not exit with zero.
pub fn command<P: AsRef<OsStr>, const A: usize, const N: usize>(
    program: &str,
    arguments: [&str; A],
    paths: [P; N],
) -> anyhow::Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .args(&paths)
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if output.status.success() {
        return Ok(());
    }
    let paths: Vec<_> = paths.iter().map(|path| path.as_ref().to_string_lossy()).collect();
    let why = String::from_utf8_lossy(&output.stderr);
    bail!("{program} {} {}: {}", arguments.join(" "), paths.join(" "), why.trim())
}
