//! Our side: a Hongyan server for each run, on a fresh copy of a directory that already knows the
//! accounts.
//!
//! Making accounts costs a password hash each, so they are made once, on a server that is then
//! stopped in order. Each run gets a copy of its directory and of the accounts' tokens: as empty
//! of messages as the first, and with refresh tokens that this copy has not seen used.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use super::catalog::Probe;
use super::interrupt::Interrupt;
use super::process::{Program, last_words};
use super::server::{Server, free_ports, wait_until_it_serves};
use crate::session::Wire;
use crate::stream::Endpoint;

/// Longest making of accounts: a password hash each, on a slow machine.
const ACCOUNTS_LIMIT: Duration = Duration::from_secs(1800);
const PROBE: Probe = Probe { say: b"", hear: b"" };
const DATA: &str = "data";
const USERS: &str = "users.jsonl";

/// A server program, and a directory with accounts to copy.
#[derive(Debug)]
pub struct Ours {
    server: PathBuf,
    template: PathBuf,
}

impl Ours {
    /// Makes `count` accounts on `server` in the empty directory `template`, through `own`, which
    /// is this program.
    ///
    /// # Errors
    /// The server does not start, or does not take the accounts; or an interrupt.
    pub fn prepare(
        server: &Path,
        own: &Path,
        count: usize,
        template: &Path,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Self> {
        let ours =
            Self { server: fs::canonicalize(server)?, template: fs::canonicalize(template)? };
        let running = ours.start_in(&ours.template, interrupt)?;
        let output = ours.template.join("users.out");
        let mut command = Command::new(own);
        command
            .args(["users", "--count", &count.to_string()])
            .args(["--addr", &running.addr.to_string()])
            .arg("--users-file")
            .arg(ours.template.join(USERS));
        let status = Program::start("making accounts", &mut command, &output)?
            .wait(ACCOUNTS_LIMIT, interrupt)?;
        if !status.success() {
            bail!("accounts could not be made ({status}): {}", last_words(&output));
        }
        running.stop();
        Ok(ours)
    }

    /// Starts a server in the empty directory `dir`, as if nothing had ever been sent.
    ///
    /// # Errors
    /// The copy cannot be made, or the server does not serve; or an interrupt.
    pub fn start(&self, dir: &Path, interrupt: &Interrupt) -> anyhow::Result<Server> {
        let dir = fs::canonicalize(dir)?;
        copy(&self.template.join(DATA), &dir.join(DATA))?;
        fs::copy(self.template.join(USERS), dir.join(USERS)).context("copying the tokens")?;
        self.start_in(&dir, interrupt)
    }

    fn start_in(&self, dir: &Path, interrupt: &Interrupt) -> anyhow::Result<Server> {
        let [port, admin] = free_ports()?.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let data = dir.join(DATA);
        let mut command = Command::new(&self.server);
        command
            .arg("serve")
            .current_dir(dir)
            .env("HONGYAN_LISTEN__TCP", port.to_string())
            .env("HONGYAN_WEBSOCKET__LISTEN", "")
            .env("HONGYAN_ADMIN__LISTEN", admin.to_string())
            .env("HONGYAN_STORE__DIR", &data)
            .env("HONGYAN_LOG__LEVEL", "warn")
            // Tokens outlive the comparison, so that no run begins with renewing them.
            .env("HONGYAN_AUTH__ACCESS_TOKEN_SECONDS", "86400");
        let mut program = Program::start("hongyan", &mut command, &dir.join("server.out"))?;
        wait_until_it_serves(port, PROBE, &mut program, interrupt)?;
        // It answers once it has recovered.
        Wire::connect(&Endpoint::tcp(port), 0)?.greet("peers", String::new())?;
        let users = dir.join(USERS).to_string_lossy().into_owned();
        let run = vec!["--users-file".into(), users, "--metrics".into(), admin.to_string()];
        Ok(Server::new(port, program, data, run))
    }
}

/// Copies a directory of files and directories.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        let there = to.join(path.file_name().unwrap_or_default());
        if kind.is_dir() {
            copy(&path, &there)?;
        } else if kind.is_file() {
            fs::copy(&path, &there).with_context(|| format!("copying {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_every_file_and_changes_none() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("views/deep")).unwrap();
        fs::write(from.join("log"), "one").unwrap();
        fs::write(from.join("views/deep/file"), "two").unwrap();
        copy(&from, &to).unwrap();
        fs::write(to.join("log"), "changed").unwrap();
        assert_eq!(fs::read_to_string(to.join("views/deep/file")).unwrap(), "two");
        assert_eq!(fs::read_to_string(from.join("log")).unwrap(), "one");
        assert!(copy(&from, &to).is_err());
    }
}
