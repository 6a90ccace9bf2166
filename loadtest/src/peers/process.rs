//! Programs that a comparison starts, and ends by their process ids.
//!
//! Invariant: neither a program nor what it has started outlives its [`Program`].

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::interrupt::Interrupt;
use super::tree::{self, PROC, Process};

/// Time between two looks at something that is waited for.
pub const LOOK_STEP: Duration = Duration::from_millis(10);
/// Longest wait for a process that has been killed.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// What is shown of a program's last words, in bytes.
const TAIL_BYTES: usize = 1_000;

/// A running program.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    output: PathBuf,
}

impl Program {
    /// Starts `command` with its output in the file `output`, in a process group of its own: a
    /// Ctrl-C on the terminal is for this program only, which ends the others in order.
    ///
    /// # Errors
    /// The program or the file cannot be opened.
    pub fn start(name: &str, command: &mut Command, output: &Path) -> anyhow::Result<Self> {
        let file = File::create(output).with_context(|| format!("opening {}", output.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self { name: name.to_owned(), child, output: output.to_path_buf() })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails when it has ended.
    ///
    /// # Errors
    /// It has; the error has its last words.
    pub fn must_run(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended: {status}; {}", self.name, self.last_words()),
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It took longer than `limit`, or an interrupt came; it is killed then.
    pub fn wait(mut self, limit: Duration, interrupt: &Interrupt) -> anyhow::Result<ExitStatus> {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= until {
                let (name, limit) = (&self.name, limit.as_secs());
                bail!("{name} took longer than {limit} s; {}", self.last_words());
            }
            interrupt.pause(LOOK_STEP)?;
        }
    }

    /// Asks `main`, one of its family, to end, and waits for all of them; those that still run
    /// after `limit` are killed. Not to be interrupted: an interrupt leads here.
    pub fn stop(mut self, main: u32, limit: Duration) {
        let family = tree::family(Path::new(PROC), self.pid());
        if let Some(main) = family.iter().find(|one| one.pid == main) {
            signal(main, Signal::TERM);
        }
        let until = Instant::now() + limit;
        // Asking for the status is what frees a child's process id.
        while matches!(self.child.try_wait(), Ok(None)) || family.iter().any(runs) {
            if Instant::now() >= until {
                break;
            }
            thread::sleep(LOOK_STEP);
        }
        end(&mut self.child, &family);
    }

    /// The end of what it has said, on one line.
    #[must_use]
    pub fn last_words(&self) -> String {
        last_words(&self.output)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let family = tree::family(Path::new(PROC), self.child.id());
            end(&mut self.child, &family);
        }
    }
}

/// Kills what still runs of a family.
fn end(child: &mut Child, family: &[Process]) {
    // Parents first: a shell would go on when what it waits for ends. Both calls fail only when it
    // has ended already, which is what is wanted.
    let _ = child.kill();
    let _ = child.wait();
    for one in family.iter().filter(|one| one.pid != child.id()) {
        signal(one, Signal::KILL);
    }
    // A killed process is gone a little later; a disk that hangs must not hold us up for ever.
    let until = Instant::now() + KILL_LIMIT;
    while family.iter().any(runs) && Instant::now() < until {
        thread::sleep(LOOK_STEP);
    }
}

/// Whether a process that was seen still runs; not so when its id is another's now.
fn runs(one: &Process) -> bool {
    tree::process(Path::new(PROC), one.pid)
        .is_some_and(|now| now.started == one.started && !now.ended)
}

fn signal(one: &Process, signal: Signal) {
    let pid = i32::try_from(one.pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid
        && runs(one)
    {
        // It can only have ended by itself in between.
        let _ = kill_process(pid, signal);
    }
}

/// The end of the file `output`, on one line.
#[must_use]
pub fn last_words(output: &Path) -> String {
    let said = fs::read(output).unwrap_or_default();
    let tail = &said[said.len().saturating_sub(TAIL_BYTES)..];
    let words: Vec<String> = String::from_utf8_lossy(tail)
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    if words.is_empty() { "it said nothing".to_owned() } else { words.join(" | ") }
}

/// Runs `command` to its end and gives what it said.
///
/// # Errors
/// It cannot be started, or took longer than `limit`. How it ended does not matter.
pub fn output_of(
    command: &mut Command,
    limit: Duration,
    interrupt: &Interrupt,
) -> anyhow::Result<String> {
    let file = tempfile::NamedTempFile::new()?;
    let name = command.get_program().to_string_lossy().into_owned();
    Program::start(&name, command, file.path())?.wait(limit, interrupt)?;
    Ok(String::from_utf8_lossy(&fs::read(file.path())?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn shell(script: &str, dir: &Path) -> Program {
        Program::start("sh", Command::new("sh").args(["-c", script]), &dir.join("out")).unwrap()
    }

    /// A shell and the `sleep` below it, once both are there.
    fn shell_with_sleep(dir: &Path) -> (Program, Process) {
        let mut program = shell("sleep 600; echo woke", dir);
        loop {
            program.must_run().unwrap();
            if let Some(sleep) = tree::named(Path::new(PROC), program.pid(), "sleep") {
                return (program, sleep);
            }
            Interrupt::default().pause(LOOK_STEP).unwrap();
        }
    }

    #[test]
    fn a_program_below_a_shell_is_ended_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let (program, sleep) = shell_with_sleep(dir.path());
        program.stop(sleep.pid, LIMIT);
        assert!(!runs(&sleep));
        // The shell went on by itself: it was not killed.
        let said = last_words(&dir.path().join("out"));
        assert!(said.ends_with("woke"), "{said}");
    }

    #[test]
    fn what_does_not_end_in_time_is_killed_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let (program, sleep) = shell_with_sleep(dir.path());
        let shell = tree::process(Path::new(PROC), program.pid()).unwrap();
        program.stop(u32::MAX, Duration::ZERO);
        assert!(!runs(&sleep) && !runs(&shell));
        let (program, sleep) = shell_with_sleep(dir.path());
        drop(program);
        assert!(!runs(&sleep));
    }

    #[test]
    fn an_interrupt_ends_what_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (program, sleep) = shell_with_sleep(dir.path());
        let interrupt = Interrupt::default();
        interrupt.ask();
        assert!(program.wait(LIMIT, &interrupt).is_err());
        assert!(!runs(&sleep));
    }

    #[test]
    fn last_words_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut program = shell("echo first; echo; echo second >&2; exit 3", dir.path());
        let error = loop {
            if let Err(error) = program.must_run() {
                break error.to_string();
            }
            Interrupt::default().pause(LOOK_STEP).unwrap();
        };
        assert!(error.contains("first | second") && error.contains("3"), "{error}");
        let said = output_of(
            Command::new("sh").args(["-c", "echo 1.2; exit 1"]),
            LIMIT,
            &Interrupt::default(),
        );
        assert_eq!(said.unwrap(), "1.2\n");
    }
}
