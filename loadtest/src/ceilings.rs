//! What the system lets a run have: open files, and connections that the kernel keeps track of.
//!
//! Refuses a run that cannot fit before its first connection, with what to change; says afterwards
//! when a limit was reached, since connections that the kernel dropped look like a slow server.
//! What the system does not tell is `None`, and stops nothing.

use std::fs;

use anyhow::bail;
use serde::{Deserialize, Serialize};

/// Descriptors that a process needs besides its connections: the poll, files, the metrics page.
const SPARE_FILES: u64 = 64;
/// The server keeps so many free for its own use.
const SERVER_SPARE_FILES: u64 = 128;
/// Part of the kernel's table that may be taken, in percent.
const TRACKED_PERCENT_MAX: u64 = 95;
const TRACKED_MAX: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
const TRACKED_NOW: &str = "/proc/sys/net/netfilter/nf_conntrack_count";

/// The limits at the beginning of a run, and how near it came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ceilings {
    /// Files that this program may have open at once: its soft limit.
    pub open_files: Option<u64>,
    /// The same of the server.
    pub server_open_files: Option<u64>,
    /// Connections that the kernel keeps track of, at most.
    pub tracked_max: Option<u64>,
    /// Connections that it kept track of before the run.
    pub tracked_before: Option<u64>,
    /// The same at its end.
    pub tracked_after: Option<u64>,
}

impl Ceilings {
    /// Looks before a run; `server` is the server's process where it is known.
    #[must_use]
    pub fn look(server: Option<u32>) -> Self {
        Self {
            open_files: open_files_of("/proc/self/limits"),
            server_open_files: server.and_then(|pid| open_files_of(&format!("/proc/{pid}/limits"))),
            tracked_max: number_in(TRACKED_MAX),
            tracked_before: number_in(TRACKED_NOW),
            tracked_after: None,
        }
    }

    /// Whether `here` connections of this process, and `there` of the server, fit.
    ///
    /// # Errors
    /// They do not; the message says which limit to raise, and how.
    pub fn check(&self, here: usize, there: usize) -> anyhow::Result<()> {
        let needed = here as u64 + files_in_use() + SPARE_FILES;
        if let Some(limit) = self.open_files.filter(|limit| needed > *limit) {
            bail!(
                "{here} connections need {needed} open files, and this program may have {limit}: \
                 open fewer, or raise the limit before the run with `ulimit -n {needed}`"
            );
        }
        let needed = there as u64 + SERVER_SPARE_FILES;
        if let Some(limit) = self.server_open_files.filter(|limit| needed > *limit) {
            bail!(
                "{there} connections need {needed} open files of the server, and it may have \
                 {limit}: open fewer, or start the server after `ulimit -n {needed}`"
            );
        }
        // Both ends of a connection on one machine are one entry.
        let needed = there as u64 + self.tracked_before.unwrap_or(0);
        if let Some(limit) = self.tracked_max.filter(|limit| is_near(needed, *limit))
            && self.tracked_before.is_some_and(|now| now > 0)
        {
            bail!(
                "the kernel keeps track of at most {limit} connections, and there would be \
                 {needed}: open fewer, or raise net.netfilter.nf_conntrack_max"
            );
        }
        Ok(())
    }

    /// Looks again at the end of the run.
    pub fn look_again(&mut self) {
        self.tracked_after = number_in(TRACKED_NOW);
    }

    /// Why the run's figures prove nothing, as far as limits go.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        let Some(limit) = self.tracked_max else {
            return Vec::new();
        };
        let most = self.tracked_before.max(self.tracked_after).unwrap_or(0);
        if !is_near(most, limit) {
            return Vec::new();
        }
        vec![format!(
            "the kernel kept track of {most} connections and can of {limit}: it drops packets \
             then; raise net.netfilter.nf_conntrack_max, or wait until old entries are gone"
        )]
    }
}

const fn is_near(count: u64, limit: u64) -> bool {
    count.saturating_mul(100) >= limit.saturating_mul(TRACKED_PERCENT_MAX)
}

fn number_in(file: &str) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn files_in_use() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64)
}

fn open_files_of(file: &str) -> Option<u64> {
    soft_limit_in(&fs::read_to_string(file).ok()?)
}

/// The soft limit of open files in the text of a `limits` file.
fn soft_limit_in(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_the_first_number() {
        let text = "Limit     Soft Limit  Hard Limit  Units\n\
                    Max processes   1   2   processes\n\
                    Max open files            1024                 524288               files\n";
        assert_eq!(soft_limit_in(text), Some(1024));
        let none = "Max open files            unlimited            unlimited            files";
        assert_eq!(soft_limit_in(none), Some(u64::MAX));
        assert_eq!(soft_limit_in("Max processes 1 2 processes"), None);
        assert!(Ceilings::look(Some(std::process::id())).server_open_files.is_some());
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_to_change() {
        let few = Ceilings { open_files: Some(1_024), ..Ceilings::default() };
        few.check(100, 100).unwrap();
        let error = few.check(1_000, 1_000).unwrap_err().to_string();
        assert!(error.contains("ulimit -n") && error.contains("1024"), "{error}");
        let server = Ceilings { server_open_files: Some(1_024), ..Ceilings::default() };
        let error = server.check(10, 1_000).unwrap_err().to_string();
        assert!(error.contains("start the server after `ulimit -n 1128`"), "{error}");
        let full =
            Ceilings { tracked_max: Some(1_000), tracked_before: Some(500), ..Ceilings::default() };
        full.check(400, 400).unwrap();
        let error = full.check(450, 450).unwrap_err().to_string();
        assert!(error.contains("nf_conntrack_max"), "{error}");
        // Zero means that nothing is tracked, whatever the size of the table.
        Ceilings { tracked_before: Some(0), ..full }.check(450, 5_000).unwrap();
        Ceilings::default().check(1_000_000, 1_000_000).unwrap();
    }

    #[test]
    fn a_full_table_is_a_doubt_at_either_end() {
        let with = |before, after| Ceilings {
            tracked_max: Some(1_000),
            tracked_before: Some(before),
            tracked_after: Some(after),
            ..Ceilings::default()
        };
        assert_eq!(with(10, 900).doubts(), Vec::<String>::new());
        assert_eq!(with(950, 10).doubts().len(), 1);
        assert_eq!(with(10, 1_000).doubts().len(), 1);
        assert_eq!(Ceilings::default().doubts(), Vec::<String>::new());
    }
}
