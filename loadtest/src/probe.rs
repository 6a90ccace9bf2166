//! Looking at the server, the machine and the generator from outside: `/proc`, the disk, the
//! server's metrics page.
//!
//! Owns no state. What the system does not tell is `None` in the report, never a guess.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::ceilings::Ceilings;

const METRICS_TIMEOUT: Duration = Duration::from_secs(2);
const METRICS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessSample {
    /// User and system time since its start, in microseconds.
    pub cpu_us: u64,
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
    /// Resident memory that no file backs: what the process itself uses, in bytes.
    pub anon_bytes: u64,
}

impl ProcessSample {
    /// The process `pid`.
    ///
    /// # Errors
    /// There is none, or it is not ours to look at.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        Self::under(&format!("/proc/{pid}"))
    }

    /// This process.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn of_self() -> anyhow::Result<Self> {
        Self::under("/proc/self")
    }

    fn under(root: &str) -> anyhow::Result<Self> {
        let stat = fs::read_to_string(format!("{root}/stat"))
            .with_context(|| format!("reading {root}/stat"))?;
        let status = fs::read_to_string(format!("{root}/status"))
            .with_context(|| format!("reading {root}/status"))?;
        let kib = |name| field_after(&status, name).map_or(0, |kib: u64| kib * 1024);
        Ok(Self {
            cpu_us: cpu_us_of(&stat).with_context(|| format!("{root}/stat is not as expected"))?,
            rss_bytes: kib("VmRSS:"),
            anon_bytes: kib("RssAnon:"),
        })
    }
}

/// Memory of a process that no file backs, counted page by page: exact, where the kernel's own
/// counters are up to some hundred KiB off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnMemory {
    /// Bytes.
    pub bytes: u64,
    /// Of them in huge pages, which come and go 2 MiB at a time.
    pub huge_bytes: u64,
}

impl OwnMemory {
    /// Of the process `pid`; `None` where the kernel does not say.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let bytes = |name| field_after(&text, name).map(|kib| kib * 1024);
        Some(Self {
            bytes: bytes("Anonymous:")?,
            huge_bytes: bytes("AnonHugePages:").unwrap_or_default(),
        })
    }
}

/// User plus system time in a line of `/proc/<pid>/stat`, whose second field may hold anything.
fn cpu_us_of(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(ticks * 1_000_000 / rustix::param::clock_ticks_per_second().max(1))
}

fn field_after(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Bytes that files under `dir` take on the disk, preallocated space included.
///
/// # Errors
/// `dir` cannot be read. Files that vanish meanwhile are passed over.
pub fn disk_bytes(dir: &Path) -> anyhow::Result<u64> {
    let entries = fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    let mut total = 0;
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        total += metadata.blocks() * 512;
        if metadata.is_dir() {
            total += disk_bytes(&entry.path()).unwrap_or(0);
        }
    }
    Ok(total)
}

/// Bytes that the device under `dir` has taken since it was attached, from everybody; `None` where
/// the kernel does not say. What `/proc/<pid>/io` calls `write_bytes` is no substitute: it counts
/// whole folios, so that a record of 200 bytes in a cached log segment can count as a megabyte.
#[must_use]
pub fn device_written_bytes(dir: &Path) -> Option<u64> {
    let device = fs::metadata(dir).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    sectors_written(&stat).map(|sectors| sectors * 512)
}

/// The seventh field of a block device's `stat` (Documentation/block/stat.rst of the kernel).
fn sectors_written(stat: &str) -> Option<u64> {
    stat.split_whitespace().nth(6)?.parse().ok()
}

/// The values of a Prometheus page, summed over labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    values: BTreeMap<String, f64>,
}

impl Metrics {
    /// Reads `http://addr/metrics`.
    ///
    /// # Errors
    /// Nobody answers in two seconds, or not with a page of metrics.
    pub fn fetch(addr: SocketAddr) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&addr, METRICS_TIMEOUT)?;
        stream.set_read_timeout(Some(METRICS_TIMEOUT))?;
        stream.set_write_timeout(Some(METRICS_TIMEOUT))?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(METRICS_BYTES_MAX).read_to_string(&mut answer)?;
        let Some((head, body)) = answer.split_once("\r\n\r\n") else {
            bail!("{addr} did not answer with HTTP");
        };
        if !head.starts_with("HTTP/1.1 200") {
            bail!("{addr}/metrics: {}", head.lines().next().unwrap_or_default());
        }
        Ok(Self::parse(body))
    }

    /// Reads the text of such a page; lines that are not samples are passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut values = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let name = series.split('{').next().unwrap_or(series).trim();
            if let Ok(value) = value.parse::<f64>() {
                *values.entry(name.to_owned()).or_insert(0.0) += value;
            }
        }
        Self { values }
    }

    /// The value of `name`, if the page has it.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied()
    }
}

/// Where a run took place.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Processor, as it calls itself.
    pub cpu: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Kernel release.
    pub kernel: String,
    /// Type of the file system that the server's data is on; empty when it was not named.
    pub file_system: String,
    /// Revision of the source tree that the run was started in, with `+` when it has changes;
    /// empty outside one.
    pub revision: String,
    /// What the system lets a run have, and how near this one came.
    #[serde(default)]
    pub ceilings: Ceilings,
}

impl Machine {
    /// This machine; `data` names the server's directory where it is known. What a run saw of the
    /// ceilings is for the caller to fill in.
    #[must_use]
    pub fn look(data: Option<&Path>) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo")
            .lines()
            .find(|line| line.starts_with("model name"))
            .and_then(|line| line.split_once(':'))
            .map_or_else(String::new, |(_, name)| name.trim().to_owned());
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: field_after(&read("/proc/meminfo"), "MemTotal:").unwrap_or(0) * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: data.map_or_else(String::new, file_system_of),
            revision: revision(),
            ceilings: Ceilings::default(),
        }
    }

    /// A line for pages: what it is, and which revision ran on it with the generator beside it.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "Machine: {} vCPU ({}), {:.0} GiB, Linux {}, {}; server and generator together. \
             Revision {}.",
            self.cores,
            self.cpu,
            self.memory_bytes as f64 / f64::from(1 << 30),
            self.kernel,
            self.file_system,
            self.revision
        )
    }
}

fn file_system_of(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(at, _)| path.starts_with(at))
        .max_by_key(|(at, _)| at.len())
        .map_or_else(String::new, |(_, kind)| kind.to_owned())
}

fn revision() -> String {
    let git = |args: &[&str]| -> Option<String> {
        let output = Command::new("git").args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return String::new();
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    let mark = if changed.is_some_and(|changed| !changed.is_empty()) { "+" } else { "" };
    commit + mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_spaces_and_brackets_is_passed_over() {
        let stat = "42 (a ) b) S 1 1 1 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 5 0 1 1 1";
        let tick_us = 1_000_000 / rustix::param::clock_ticks_per_second();
        assert_eq!(cpu_us_of(stat), Some(300 * tick_us));
        assert_eq!(cpu_us_of("42 nonsense"), None);
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let sample = ProcessSample::of_self().unwrap();
        assert!(sample.rss_bytes >= sample.anon_bytes && sample.anon_bytes > 0);
        let own = OwnMemory::of(std::process::id());
        assert!(own.is_none_or(|own| own.bytes > 0 && own.huge_bytes <= own.bytes));
        assert_eq!(OwnMemory::of(u32::MAX), None);
    }

    #[test]
    fn metrics_are_summed_over_labels() {
        let page = "# HELP a b\na_total{shard=\"0\"} 3\na_total{shard=\"1\"} 4\nb 1.5\nno sample\n";
        let metrics = Metrics::parse(page);
        assert_eq!(metrics.value("a_total"), Some(7.0));
        assert_eq!(metrics.value("b"), Some(1.5));
        assert_eq!(metrics.value("c"), None);
    }

    #[test]
    fn sectors_written_are_the_seventh_field() {
        let stat = "  4105  12 210 90  733  20 77512 300 0 410 390 0 0 0 0 5 2\n";
        assert_eq!(sectors_written(stat), Some(77_512));
        assert_eq!(sectors_written("1 2 3"), None);
        assert_eq!(device_written_bytes(Path::new("/no/such/place")), None);
    }

    #[test]
    fn disk_bytes_sees_into_directories() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("inner")).unwrap();
        fs::write(dir.path().join("inner/file"), vec![1; 100_000]).unwrap();
        assert!(disk_bytes(dir.path()).unwrap() >= 98_304);
        assert!(disk_bytes(&dir.path().join("absent")).is_err());
    }
}
