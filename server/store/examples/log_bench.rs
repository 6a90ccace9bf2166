//! What a committed message costs: the segment log, the sled log, and the floor under both.
//!
//! `cargo run --release -p hongyan-store --features torture --example log_bench [seconds [dir]]`
//!
//! One thread appends a batch and syncs, again and again, for a fixed time per cell; the engines
//! take turns within a batch size, so that a change of the disk's mood hits all of them. A batch is
//! one record, as a shard's wake makes one record of all its messages. The floor is `pwrite` of
//! the same bytes into a file of zeroes, and `fdatasync`.

#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

use hongyan_store::{Draft, Engine, Log, Lsn, Numbers, Options, open};

type Failure = Box<dyn std::error::Error>;

const MESSAGE_BYTES: usize = 200;
const FLOOR_BYTES: u64 = 256 << 20;

fn main() -> Result<(), Failure> {
    let seconds: u64 = std::env::args().nth(1).map_or(Ok(4), |word| word.parse())?;
    let base = std::env::args().nth(2).unwrap_or_else(|| ".".into());
    let dir = Path::new(&base).join(format!("log-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let outcome = measure(&dir, Duration::from_secs(seconds));
    std::fs::remove_dir_all(&dir)?;
    outcome
}

fn measure(dir: &Path, time: Duration) -> Result<(), Failure> {
    println!(
        "| messages per sync | engine | messages/s | CPU µs/message | commit p50 ms | p99 ms | bytes/message |"
    );
    println!("|---|---|---|---|---|---|---|");
    for batch in [16, 64, 256] {
        for round in 0..2 {
            for engine in ["floor", "segment", "sled"] {
                let place = dir.join(format!("{engine}-{batch}-{round}"));
                std::fs::create_dir_all(&place)?;
                let cell = match engine {
                    "floor" => floor(&place, batch, time)?,
                    "segment" => with_log(&place, Engine::Segment, batch, time)?,
                    _ => with_log(&place, Engine::Sled, batch, time)?,
                };
                cell.print(batch, engine);
                std::fs::remove_dir_all(&place)?;
            }
        }
    }
    Ok(())
}

struct Cell {
    messages: u64,
    wall: Duration,
    cpu: Duration,
    commits: Vec<Duration>,
    disk_bytes: u64,
}

impl Cell {
    fn print(mut self, batch: usize, engine: &str) {
        self.commits.sort();
        let at = |share: usize| {
            self.commits
                .get(self.commits.len() * share / 100)
                .map_or(0.0, |d| d.as_secs_f64() * 1e3)
        };
        let messages = self.messages as f64;
        println!(
            "| {batch} | {engine} | {:.0} | {:.2} | {:.2} | {:.2} | {:.0} |",
            messages / self.wall.as_secs_f64(),
            self.cpu.as_secs_f64() * 1e6 / messages,
            at(50),
            at(99),
            self.disk_bytes as f64 / messages,
        );
    }
}

/// Commits until the time is over; `commit` makes one batch durable.
fn drive(
    batch: usize,
    time: Duration,
    mut commit: impl FnMut(u64, &[u8]) -> Result<(), Failure>,
) -> Result<Cell, Failure> {
    let payload = Numbers::new(7).bytes(batch * MESSAGE_BYTES);
    let mut commits = Vec::new();
    let (begin, cpu_before) = (Instant::now(), cpu_time()?);
    let mut number = 0;
    while begin.elapsed() < time {
        number += 1;
        let start = Instant::now();
        commit(number, &payload)?;
        commits.push(start.elapsed());
    }
    Ok(Cell {
        messages: number * batch as u64,
        wall: begin.elapsed(),
        cpu: cpu_time()? - cpu_before,
        commits,
        disk_bytes: 0,
    })
}

fn with_log(dir: &Path, engine: Engine, batch: usize, time: Duration) -> Result<Cell, Failure> {
    let mut options = Options::new(dir);
    options.engine = engine;
    options.reserve_bytes = 0;
    let mut store = open(&options)?;
    let log: &mut dyn Log = store.log.as_mut();
    // The first spare is made in the background; let it finish.
    std::thread::sleep(Duration::from_millis(500));
    let mut cell = drive(batch, time, |idx, payload| {
        let payload = bytes::Bytes::copy_from_slice(payload);
        log.append(&[Draft { partition: 0, idx, payload }], 1)?;
        log.sync()?;
        // A settler trims behind: keep about two segments, as a running server does.
        if idx % 1_024 == 0 && engine == Engine::Segment && idx > 40_000 {
            log.truncate_before(Lsn(idx - 40_000))?;
        }
        Ok(())
    })?;
    cell.disk_bytes = if engine == Engine::Segment {
        // What was written to the files, not the preallocated rest.
        cell.messages * MESSAGE_BYTES as u64 + cell.messages / batch as u64 * 64
    } else {
        bytes_under(&dir.join("log-sled"))?
    };
    Ok(cell)
}

fn floor(dir: &Path, batch: usize, time: Duration) -> Result<Cell, Failure> {
    let path = dir.join("floor");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
    let zeroes = vec![0; 1 << 20];
    for piece in 0..FLOOR_BYTES >> 20 {
        file.write_all_at(&zeroes, piece << 20)?;
    }
    file.sync_all()?;
    let mut at = 0;
    let mut cell = drive(batch, time, |_, payload| {
        if at + payload.len() as u64 > FLOOR_BYTES {
            at = 0;
        }
        file.write_all_at(payload, at)?;
        file.sync_data()?;
        at += payload.len() as u64;
        Ok(())
    })?;
    cell.disk_bytes = cell.messages * MESSAGE_BYTES as u64;
    Ok(cell)
}

/// CPU time of this process, all threads, from `/proc` in nanoseconds of run time.
fn cpu_time() -> Result<Duration, Failure> {
    let mut total = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let path = task?.path().join("schedstat");
        // A thread may end between the listing and the reading.
        let Ok(text) = std::fs::read_to_string(path) else {
            continue;
        };
        total += text.split(' ').next().unwrap_or("0").parse::<u64>()?;
    }
    Ok(Duration::from_nanos(total))
}

fn bytes_under(dir: &Path) -> Result<u64, Failure> {
    let mut total = 0;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        total += if path.is_dir() {
            bytes_under(&path)?
        } else {
            File::open(&path)?.metadata()?.blocks() * 512
        };
    }
    Ok(total)
}
