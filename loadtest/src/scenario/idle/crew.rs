//! Who holds the sessions: this process, or several when one is short of file descriptors.
//!
//! ```text
//! parent ── "open 500" ──▶ child     sessions of its own, from its share of the accounts
//!        ◀──── "ok 500" ──
//! ```
//!
//! A child does what its input says and answers each line with one; when its input ends, so does
//! it. The parent ends children by their handles, and waits for every answer for a bounded time.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::driver::Driver;
use crate::engine::topology::{Role, Seat};
use crate::stream::Stream;

const HEARTBEAT: &[u8] = &[0];
const PACE_STEP: Duration = Duration::from_millis(10);
/// Sessions that are open at once while all are touched.
const TOUCHED_AT_ONCE: usize = 64;
/// Longest wait for a child that opens its share, and for its end.
const ANSWER_LIMIT: Duration = Duration::from_secs(600);
const END_LIMIT: Duration = Duration::from_secs(5);
/// What a child may take longer to hold than it was told to.
const HOLD_SLACK: Duration = Duration::from_secs(60);

/// Holds sessions that do nothing.
pub trait Crew {
    /// Opens sessions until there are `total`, those of other processes counted in.
    ///
    /// # Errors
    /// One could not be opened.
    fn open_to(&mut self, total: usize) -> anyhow::Result<()>;

    /// Opens each of `total` sessions once and closes it again, few at a time; none may be open.
    ///
    /// # Errors
    /// One could not be opened.
    fn touch(&mut self, total: usize) -> anyhow::Result<()>;

    /// Sends each session's heartbeat in its turn for `length`; says how many sessions the server
    /// has ended.
    ///
    /// # Errors
    /// A process that held some is gone.
    fn hold(&mut self, length: Duration) -> anyhow::Result<usize>;
}

/// Sessions of this process.
#[derive(Debug)]
pub struct OwnCrew<D> {
    driver: D,
    part: Part,
    heartbeat: Duration,
    sessions: Vec<Stream>,
}

impl<D: Driver> OwnCrew<D> {
    /// Holds the sessions of its `part`, each with a heartbeat in every `heartbeat`.
    pub const fn new(driver: D, part: Part, heartbeat: Duration) -> Self {
        Self { driver, part, heartbeat, sessions: Vec::new() }
    }

    fn open(&self, index: usize) -> anyhow::Result<Stream> {
        let (stream, _link) = self
            .driver
            .open(index, &silent(index))
            .with_context(|| format!("opening session {index}"))?;
        Ok(stream.into_nonblocking()?)
    }
}

impl<D: Driver> Crew for OwnCrew<D> {
    fn open_to(&mut self, total: usize) -> anyhow::Result<()> {
        while self.sessions.len() < self.part.of(total) {
            let stream = self.open(self.part.index(self.sessions.len()))?;
            self.sessions.push(stream);
        }
        Ok(())
    }

    fn touch(&mut self, total: usize) -> anyhow::Result<()> {
        for own in 0..self.part.of(total) {
            if self.sessions.len() >= TOUCHED_AT_ONCE {
                self.sessions.clear();
            }
            let stream = self.open(self.part.index(own))?;
            self.sessions.push(stream);
        }
        self.sessions.clear();
        Ok(())
    }

    fn hold(&mut self, length: Duration) -> anyhow::Result<usize> {
        let count = self.sessions.len();
        let per_second = count as f64 / self.heartbeat.as_secs_f64().max(1.0);
        let began = Instant::now();
        let mut beaten = 0_usize;
        let mut dead = vec![false; count];
        while began.elapsed() < length {
            let due = (began.elapsed().as_secs_f64() * per_second) as usize;
            while beaten < due {
                let index = beaten % count;
                dead[index] |= !beat(&mut self.sessions[index]);
                beaten += 1;
            }
            thread::sleep(PACE_STEP.min(length.saturating_sub(began.elapsed())));
        }
        for (session, dead) in self.sessions.iter_mut().zip(&mut dead) {
            *dead |= !is_open(session);
        }
        Ok(dead.into_iter().filter(|dead| *dead).count())
    }
}

/// A seat that sends and hears nothing.
const fn silent(user: usize) -> Seat {
    Seat { user, role: Role::Both, talks: Vec::new(), sends: Vec::new(), hears: Vec::new() }
}

fn beat(session: &mut Stream) -> bool {
    is_open(session) && session.write_all(HEARTBEAT).is_ok()
}

/// Empties what arrived; false when the server has ended the session.
fn is_open(session: &mut Stream) -> bool {
    let mut scratch = [0; 256];
    loop {
        match session.read(&mut scratch) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// Which sessions a process holds: every `parts`th from the `nth` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// From 0.
    pub nth: usize,
    /// At least 1.
    pub parts: usize,
}

impl Part {
    /// All sessions.
    pub const ALL: Self = Self { nth: 0, parts: 1 };

    /// How many of the first `total` sessions it holds.
    #[must_use]
    pub const fn of(self, total: usize) -> usize {
        (total + self.parts - 1 - self.nth) / self.parts
    }

    /// Number of its `own`th session among all.
    #[must_use]
    pub const fn index(self, own: usize) -> usize {
        self.nth + own * self.parts
    }
}

/// A child's work: does what each line says until the input ends.
///
/// # Errors
/// The output is closed. What goes wrong with sessions is said to the parent.
pub fn serve(crew: &mut dyn Crew, input: impl BufRead, mut out: impl Write) -> anyhow::Result<()> {
    for line in input.lines() {
        let answer = match obey(crew, &line?) {
            Ok(answer) => format!("ok {answer}"),
            Err(error) => format!("failed {error:#}").replace('\n', " "),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn obey(crew: &mut dyn Crew, line: &str) -> anyhow::Result<usize> {
    let (word, number) = line.split_once(' ').context("a line without a number")?;
    let number: usize = number.parse().context("a line without a number")?;
    match word {
        "open" => crew.open_to(number).map(|()| 0),
        "touch" => crew.touch(number).map(|()| 0),
        "hold" => crew.hold(Duration::from_millis(number as u64)),
        other => bail!("{other} is not known"),
    }
}

/// Sessions of other processes.
#[derive(Debug)]
pub struct ProcessCrew {
    children: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    child: Child,
    /// `None` once it was told to end.
    input: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl ProcessCrew {
    /// Starts one process of `program` per entry of `arguments`; each [`serve`]s its [`Part`].
    ///
    /// # Errors
    /// A process cannot be started.
    pub fn start(program: &Path, arguments: &[Vec<OsString>]) -> anyhow::Result<Self> {
        let mut crew = Self { children: Vec::with_capacity(arguments.len()) };
        for arguments in arguments {
            let mut child = Command::new(program)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("starting a process for sessions")?;
            let input = child.stdin.take();
            let output = child.stdout.take().context("its output is a pipe")?;
            let (tell, answers) = sync_channel(1);
            thread::Builder::new().name("answers".into()).spawn(move || pass_on(output, &tell))?;
            crew.children.push(Member { child, input, answers });
        }
        Ok(crew)
    }

    /// Tells every process a line, and sums up the answers.
    fn tell(&mut self, limit: Duration, line: &str) -> anyhow::Result<usize> {
        for member in &mut self.children {
            let input = member.input.as_mut().context("the process has ended")?;
            writeln!(input, "{line}").context("a process for sessions has ended")?;
        }
        let until = Instant::now() + limit;
        let mut sum = 0;
        for member in &self.children {
            let answer = member
                .answers
                .recv_timeout(until.saturating_duration_since(Instant::now()))
                .context("a process for sessions has ended or does not answer")?;
            match answer.strip_prefix("ok ").map(str::parse::<usize>) {
                Some(Ok(number)) => sum += number,
                _ => bail!("a process for sessions: {answer}"),
            }
        }
        Ok(sum)
    }
}

fn pass_on(output: ChildStdout, tell: &std::sync::mpsc::SyncSender<String>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if tell.send(line).is_err() {
            return;
        }
    }
}

impl Crew for ProcessCrew {
    fn open_to(&mut self, total: usize) -> anyhow::Result<()> {
        self.tell(ANSWER_LIMIT, &format!("open {total}")).map(|_| ())
    }

    fn touch(&mut self, total: usize) -> anyhow::Result<()> {
        self.tell(ANSWER_LIMIT, &format!("touch {total}")).map(|_| ())
    }

    fn hold(&mut self, length: Duration) -> anyhow::Result<usize> {
        self.tell(length + HOLD_SLACK, &format!("hold {}", length.as_millis()))
    }
}

impl Drop for ProcessCrew {
    fn drop(&mut self) {
        for member in &mut self.children {
            member.input = None;
        }
        let until = Instant::now() + END_LIMIT;
        for member in &mut self.children {
            while Instant::now() < until && matches!(member.child.try_wait(), Ok(None)) {
                thread::sleep(PACE_STEP);
            }
            // It is ours; both calls fail only when it has ended.
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Paper {
        open: usize,
        held: Duration,
    }

    impl Crew for Paper {
        fn open_to(&mut self, total: usize) -> anyhow::Result<()> {
            if total > 10 {
                bail!("no room\nfor {total}");
            }
            self.open = total;
            Ok(())
        }

        fn touch(&mut self, _total: usize) -> anyhow::Result<()> {
            self.open = 0;
            Ok(())
        }

        fn hold(&mut self, length: Duration) -> anyhow::Result<usize> {
            self.held = length;
            Ok(2)
        }
    }

    #[test]
    fn a_child_answers_each_line_with_one() {
        let mut crew = Paper::default();
        let mut out = Vec::new();
        let input = "open 7\nhold 1500\nopen 11\ntouch 5\nsing 1\nopen\n";
        serve(&mut crew, input.as_bytes(), &mut out).unwrap();
        let said = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[..4], ["ok 0", "ok 2", "failed no room for 11", "ok 0"]);
        assert!(lines[4].starts_with("failed") && lines[5].starts_with("failed"));
        assert_eq!((crew.open, crew.held), (0, Duration::from_millis(1_500)));
    }

    #[test]
    fn every_session_is_in_one_part() {
        for (total, parts) in [(10, 3), (7, 7), (3, 5), (18_000, 4), (8, 5)] {
            let mut held = vec![0; total];
            for nth in 0..parts {
                let part = Part { nth, parts };
                (0..part.of(total)).for_each(|own| held[part.index(own)] += 1);
            }
            assert_eq!(held, vec![1; total]);
        }
        assert_eq!((Part::ALL.of(9), Part::ALL.index(8)), (9, 8));
    }
}
