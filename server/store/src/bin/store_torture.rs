//! Tortures a store: kills the process that writes, cuts the power under it, or fills its disk.
//!
//! `store_torture kill|cut|full [--rounds N] [--engine segment|sled] [--seed N] [--image-mib N]`
//!
//! A child appends, syncs and then confirms on a pipe, while a settler thread writes views,
//! checkpoints and trims. `kill` ends it with SIGKILL and opens its directory. `cut` keeps the
//! directory on an ext4 image behind a loop device, stops the child, copies the image (which holds
//! what reached the device and nothing else), mounts the copy and opens that. `full` fills such a
//! disk to the last byte while the child works, opens the store on the full disk, frees the space and
//! opens again. After every round the contents are compared with what was confirmed, and the store
//! must take writes again.
//!
//! Exit code: 0 when every round held, 1 when one did not, 2 for wrong arguments, 77 when `cut` or
//! `full` is impossible here (no root, no loop device).

#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use hongyan_store::{Engine, Lsn, Numbers, OpenStore, Options, open, workload};
use rustix::process::{Pid, Signal, kill_process};

type Failure = Box<dyn std::error::Error>;

const SKIPPED: u8 = 77;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("{wrong}");
            eprintln!(
                "usage: store_torture kill|cut|full [--rounds N] [--engine segment|sled] [--seed N] \
                 [--image-mib N]"
            );
            return ExitCode::from(2);
        }
    };
    let outcome = match arguments.mode.as_str() {
        "child" => child(&arguments).map(|()| 0),
        "kill" => kill_rounds(&arguments),
        "full" => on_a_disk(&arguments, full_rounds),
        _ => on_a_disk(&arguments, cut_rounds),
    };
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(SKIPPED) => ExitCode::from(SKIPPED),
        Ok(failed) => {
            eprintln!("{failed} of {} rounds failed", arguments.rounds);
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("the torture itself failed: {failure}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug)]
struct Arguments {
    mode: String,
    rounds: u64,
    engine: Engine,
    seed: u64,
    image_mib: u64,
    dir: PathBuf,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mode = words.next().unwrap_or_default();
        if !["kill", "cut", "full", "child"].contains(&mode.as_str()) {
            return Err(format!("unknown mode {mode:?}"));
        }
        let mut arguments = Self {
            mode,
            rounds: 10,
            engine: Engine::Segment,
            seed: 1,
            image_mib: 256,
            dir: PathBuf::new(),
        };
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            let number = || value.parse::<u64>().map_err(|_| format!("{word}: {value}?"));
            match word.as_str() {
                "--rounds" => arguments.rounds = number()?,
                "--engine" => arguments.engine = value.parse().map_err(|_| format!("{value}?"))?,
                "--seed" => arguments.seed = number()?,
                "--image-mib" => arguments.image_mib = number()?,
                "--dir" => arguments.dir = PathBuf::from(&value),
                _ => return Err(format!("unknown option {word}")),
            }
        }
        Ok(arguments)
    }
}

/// A small store's options: segments that roll often, a cache that is too small.
fn options(dir: &Path, engine: Engine) -> Options {
    let mut options = Options::new(dir);
    options.engine = engine;
    options.segment_bytes = 1 << 20;
    options.cache_bytes = 4 << 20;
    options.reserve_bytes = 1 << 20;
    options.free_bytes_min = 8 << 20;
    options
}

fn kill_rounds(arguments: &Arguments) -> Result<u8, Failure> {
    let work = WorkDir::new()?;
    let dir = work.path.join("store");
    let mut numbers = Numbers::new(arguments.seed);
    let (mut acked, mut failed) = (0, 0);
    for round in 1..=arguments.rounds {
        let mut writer = Writer::start(&dir, arguments.engine, arguments.seed + round)?;
        writer.run_for(Duration::from_millis(5 + numbers.below(495)));
        acked = acked.max(writer.kill()?);
        match judge(&dir, arguments.engine, acked) {
            Ok(last) => {
                println!("round {round}: held, {acked} confirmed, {last} found");
                acked = acked.max(last);
            }
            Err(loss) => {
                failed += 1;
                println!("round {round}: FAILED: {loss}");
                // A broken store stays broken: the next round needs a new one.
                std::fs::remove_dir_all(&dir)?;
                acked = 0;
            }
        }
    }
    Ok(failed)
}

/// Runs rounds on an ext4 image behind a loop device, where that is possible.
fn on_a_disk(
    arguments: &Arguments,
    rounds: fn(&Arguments, &WorkDir, &Mount) -> Result<u8, Failure>,
) -> Result<u8, Failure> {
    if !rustix::process::geteuid().is_root() || !Path::new("/dev/loop-control").exists() {
        eprintln!("SKIPPED: this torture needs root and loop devices");
        return Ok(SKIPPED);
    }
    let work = WorkDir::new()?;
    let image = work.image();
    std::fs::File::create(&image)?.set_len(arguments.image_mib << 20)?;
    run("mkfs.ext4", &["-q", "-F", text(&image)?])?;
    let disk = Mount::new(&image, &work.path.join("disk"))?;
    rounds(arguments, &work, &disk)
}

fn cut_rounds(arguments: &Arguments, work: &WorkDir, disk: &Mount) -> Result<u8, Failure> {
    let dir = disk.at.join("store");
    let mut numbers = Numbers::new(arguments.seed);
    let (mut acked, mut failed) = (0, 0);
    for round in 1..=arguments.rounds {
        let mut writer = Writer::start(&dir, arguments.engine, arguments.seed + round)?;
        writer.run_for(Duration::from_millis(150 + numbers.below(1_500)));
        writer.stop()?;
        acked = acked.max(writer.acked());
        let frozen = work.path.join("frozen.img");
        run("cp", &["--sparse=always", text(&work.image())?, text(&frozen)?])?;
        writer.kill()?;
        let copy = Mount::new(&frozen, &work.path.join("frozen"))?;
        match judge(&copy.at.join("store"), arguments.engine, acked) {
            Ok(last) => println!("round {round}: held, {acked} confirmed, {last} found"),
            Err(loss) => {
                failed += 1;
                println!("round {round}: FAILED: {loss} ({acked} confirmed)");
            }
        }
        drop(copy);
        // The machine itself did not lose power: its next child goes on with the live directory.
        acked = acked.max(open(&options(&dir, arguments.engine))?.log.last().0);
    }
    Ok(failed)
}

fn full_rounds(arguments: &Arguments, _: &WorkDir, disk: &Mount) -> Result<u8, Failure> {
    let dir = disk.at.join("store");
    let ballast = disk.at.join("ballast");
    let mut numbers = Numbers::new(arguments.seed);
    let (mut acked, mut failed) = (0, 0);
    for round in 1..=arguments.rounds {
        let mut writer = Writer::start(&dir, arguments.engine, arguments.seed + round)?;
        writer.run_for(Duration::from_millis(20 + numbers.below(600)));
        fill(&ballast)?;
        // The child notices and ends by itself, or has nothing to allocate for a while.
        writer.run_for(Duration::from_millis(800));
        acked = acked.max(writer.kill()?);
        let while_full = match open(&options(&dir, arguments.engine)) {
            Ok(store) => workload::compare(&store, acked).map(|()| "served reads"),
            Err(error) if error.exit_code() == hongyan_store::EXIT_IO => Ok("did not open"),
            Err(error) => Err(format!("a full disk was taken for damage: {error}")),
        };
        std::fs::remove_file(&ballast)?;
        let outcome = while_full.and_then(|full| Ok((full, judge(&dir, arguments.engine, acked)?)));
        match outcome {
            Ok((full, last)) => {
                println!("round {round}: held, {acked} confirmed, {last} found; full: {full}");
                acked = acked.max(last);
            }
            Err(loss) => {
                failed += 1;
                println!("round {round}: FAILED: {loss} ({acked} confirmed)");
                std::fs::remove_dir_all(&dir)?;
                acked = 0;
            }
        }
    }
    Ok(failed)
}

/// Writes a file until not a byte more fits.
fn fill(ballast: &Path) -> Result<(), Failure> {
    let mut file = std::fs::File::create(ballast)?;
    let mut piece = vec![7; 1 << 20];
    while !piece.is_empty() {
        match file.write(&piece) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                piece.truncate(piece.len() / 2);
            }
            Err(error) => return Err(error.into()),
        }
    }
    // Allocation may be delayed until the sync, which then finds no room for all of it.
    let _ = file.sync_all();
    Ok(())
}

/// Opens and compares a store, then makes it work and compares again. Returns the last lsn found.
fn judge(dir: &Path, engine: Engine, acked: u64) -> Result<u64, String> {
    if !dir.exists() && acked == 0 {
        return Ok(0);
    }
    let say =
        |error: hongyan_store::StoreError| format!("{error} (exit code {})", error.exit_code());
    let mut store = open(&options(dir, engine)).map_err(say)?;
    workload::compare(&store, acked)?;
    let last = store.log.last().0;
    workload::append_upto(store.log.as_mut(), last + 50, 7).map_err(say)?;
    workload::settle_upto(store.views.as_ref(), last + 25).map_err(say)?;
    drop(store);
    let store = open(&options(dir, engine)).map_err(say)?;
    workload::compare(&store, last + 50)?;
    Ok(last + 50)
}

/// The child: commits on this thread, settles on another, until it is killed.
fn child(arguments: &Arguments) -> Result<(), Failure> {
    let store = open(&options(&arguments.dir, arguments.engine))?;
    let OpenStore { mut log, views, lock: _lock, .. } = store;
    let mut numbers = Numbers::new(arguments.seed);
    let (to_settler, targets) = sync_channel::<u64>(1);
    let (to_committer, settled) = sync_channel::<u64>(1);
    let settler_views = Arc::clone(&views);
    std::thread::spawn(move || {
        for target in targets {
            if let Err(error) = workload::settle_upto(settler_views.as_ref(), target) {
                eprintln!("settler: {error}");
                std::process::exit(error.exit_code());
            }
            if to_committer.send(target).is_err() {
                return;
            }
        }
    });
    let mut out = std::io::stdout().lock();
    loop {
        let last = log.last().0 + 1 + numbers.below(60);
        workload::append_upto(log.as_mut(), last, 1 + numbers.below(30))?;
        writeln!(out, "{last}")?;
        out.flush()?;
        // A full channel means that the settler is still busy with the target before.
        let _ = to_settler.try_send(last);
        match settled.try_recv() {
            Ok(settled) => log.truncate_before(Lsn(settled + 1))?,
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Err("the settler is gone".into()),
        }
    }
}

/// A running child and what it has confirmed.
struct Writer {
    child: Child,
    acked: Arc<AtomicU64>,
    reader: Option<JoinHandle<()>>,
}

impl Writer {
    fn start(dir: &Path, engine: Engine, seed: u64) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["child", "--engine", engine.name(), "--seed", &seed.to_string()])
            .arg("--dir")
            .arg(dir)
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or("the child has no pipe")?;
        let acked = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&acked);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                // The last line of a killed child may be cut: it confirms nothing.
                let Ok(Ok(lsn)) = line.map(|line| line.parse()) else {
                    return;
                };
                seen.fetch_max(lsn, Ordering::AcqRel);
            }
        });
        Ok(Self { child, acked, reader: Some(reader) })
    }

    /// Waits for the first confirmation (or the child's end), then for the pause.
    fn run_for(&mut self, pause: Duration) {
        for _ in 0..2_000 {
            if self.acked() > 0 || !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(pause);
    }

    fn acked(&self) -> u64 {
        self.acked.load(Ordering::Acquire)
    }

    /// Freezes the child and waits until what it has confirmed has been read.
    fn stop(&self) -> Result<(), Failure> {
        kill_process(Pid::from_child(&self.child), Signal::STOP)?;
        let mut before = self.acked();
        loop {
            std::thread::sleep(Duration::from_millis(20));
            if self.acked() == before {
                return Ok(());
            }
            before = self.acked();
        }
    }

    /// Kills the child and returns what it has confirmed.
    fn kill(&mut self) -> Result<u64, Failure> {
        self.child.kill()?;
        self.child.wait()?;
        if let Some(reader) = self.reader.take() {
            reader.join().map_err(|_| "the reader panicked")?;
        }
        Ok(self.acked())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // On the way out of a failed round; a child that has ended already is no matter.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A mounted image; unmounted when dropped.
struct Mount {
    at: PathBuf,
}

impl Mount {
    fn new(image: &Path, at: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(at)?;
        run("mount", &["-o", "loop", text(image)?, text(at)?])?;
        Ok(Self { at: at.to_path_buf() })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        for _ in 0..50 {
            if self.at.to_str().is_some_and(|at| run("umount", &[at]).is_ok()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        eprintln!("{} stays mounted", self.at.display());
    }
}

/// A temporary directory; removed when dropped.
struct WorkDir {
    path: PathBuf,
}

impl WorkDir {
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("store-torture-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self { path })
    }

    fn image(&self) -> PathBuf {
        self.path.join("disk.img")
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), Failure> {
    let output = Command::new(program).args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {}: {}", arguments.join(" "), why.trim()).into())
}

fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| "a path is not text".into())
}
