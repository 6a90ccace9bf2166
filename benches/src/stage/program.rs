//! Programs that a stage starts, and ends by their process id.
//!
//! Invariant: none outlives its [`Program`].

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

const LOOK_STEP: Duration = Duration::from_millis(20);

/// A running program.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
}

impl Program {
    /// Starts `command` with its output in the file `output`.
    ///
    /// # Errors
    /// The program or the file cannot be opened.
    pub fn start(name: &str, command: &mut Command, output: &Path) -> anyhow::Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(output)
            .with_context(|| format!("opening {}", output.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails when it has ended.
    ///
    /// # Errors
    /// It has.
    pub fn must_run(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended: {status}", self.name),
        }
    }

    /// Waits for its end, and kills it when that takes longer than `limit`.
    ///
    /// # Errors
    /// It took longer.
    pub fn wait(mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= until {
                bail!("{} took longer than {} s", self.name, limit.as_secs());
            }
            thread::sleep(LOOK_STEP);
        }
    }

    /// Asks it to end and waits.
    ///
    /// # Errors
    /// It did not end within `limit`; it is killed then.
    pub fn terminate(self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process id is positive")?, Signal::TERM)?;
        self.wait(limit)
    }

    /// Kills it.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // It is ours and still runs; both calls fail only when it has just ended.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(dir: &Path) -> Program {
        Program::start("sleep", Command::new("sleep").arg("600"), &dir.join("out")).unwrap()
    }

    #[test]
    fn programs_end_when_they_are_told_to() {
        let dir = tempfile::tempdir().unwrap();
        let mut program = sleeper(dir.path());
        program.must_run().unwrap();
        assert!(!program.terminate(Duration::from_secs(60)).unwrap().success());
        assert!(sleeper(dir.path()).wait(Duration::ZERO).is_err());
        sleeper(dir.path()).kill().unwrap();
    }
}
