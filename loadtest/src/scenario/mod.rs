//! What can be run. Each scenario takes a plan and where to look, and gives a report; a new one is
//! a new file here and a subcommand in [`cli`](crate::cli).

pub mod connect_storm;
pub mod direct;
pub mod idle;

use std::net::SocketAddr;
use std::path::PathBuf;

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
