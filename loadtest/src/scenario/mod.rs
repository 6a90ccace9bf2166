//! What can be run. Each scenario takes a plan and where to look, and gives a report; a new one is
//! a new file here and a subcommand in [`cli`](crate::cli).

pub mod capacity;
pub mod cold_start;
pub mod connect_storm;
pub mod direct;
pub mod group_fanout;
pub mod idle;
pub mod mixed_day;
pub mod offline_catchup;
pub mod slow_consumers;
pub mod soak;

use std::fmt::{self, Formatter};
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::histogram::LatencySummary;

/// Where a scenario looks besides the connections themselves. Everything is optional; what is not
/// named is absent from the report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    /// The server's process.
    pub server_pid: Option<u32>,
    /// The server's metrics page.
    pub metrics: Option<SocketAddr>,
    /// The server's data directory.
    pub data: Option<PathBuf>,
    /// No progress lines.
    pub quiet: bool,
}

/// One line of a report: a name and what it is.
pub(crate) fn line(f: &mut Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    writeln!(f, "  {name:<16}{value}")
}

/// A distribution in one line, in milliseconds.
pub(crate) fn percentiles(summary: &LatencySummary) -> String {
    let ms = |us: f64| us / 1_000.0;
    format!(
        "p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2}  ms ({} samples)",
        ms(summary.p50_us),
        ms(summary.p90_us),
        ms(summary.p99_us),
        ms(summary.p999_us),
        ms(summary.max_us),
        summary.samples
    )
}
