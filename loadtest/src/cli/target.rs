//! What a run talks to, where it looks, and where its result goes.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::plan::Plan;
use crate::roster::{self, Account};
use crate::scenario::Watch;
use crate::stream::{Endpoint, TlsTrust, Transport};

/// Target, probes and output; the same for every scenario.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Target and output")]
pub struct TargetArgs {
    /// A plan file; flags win over what it says.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Address of the server (or of the null relay).
    #[arg(long, default_value = "127.0.0.1:5100")]
    pub addr: SocketAddr,
    /// What is there.
    #[arg(long, value_enum, default_value_t = DriverName::Hongyan)]
    pub driver: DriverName,
    /// What carries the bytes.
    #[arg(long, value_enum, default_value_t = Transport::Tcp)]
    pub transport: Transport,
    /// For TLS: the certificate to trust, in PEM.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// For TLS: the name in the server's certificate.
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    pub server_name: String,
    /// Keeps accounts and tokens between runs; made when it does not exist.
    #[arg(long, value_name = "FILE")]
    pub users_file: Option<PathBuf>,
    /// First part of the accounts' names: a-z, 0-9, '_', '-', '.'.
    #[arg(long, default_value = "load-")]
    pub users_prefix: String,
    /// Process of the server, for its CPU and memory.
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// The server's admin address, for its metrics.
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<SocketAddr>,
    /// The server's data directory, for bytes on disk.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Writes the result to a file, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes the result as one HTML page, too.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// No progress lines.
    #[arg(long)]
    pub quiet: bool,
}

/// Which driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DriverName {
    /// A Hongyan server.
    Hongyan,
    /// The null relay: the floor.
    Null,
}

impl TargetArgs {
    /// How to reach it.
    ///
    /// # Errors
    /// TLS without a usable certificate to trust.
    pub fn endpoint(&self) -> anyhow::Result<Endpoint> {
        let trust = TlsTrust { ca: self.ca.clone(), server_name: Some(self.server_name.clone()) };
        Endpoint::new(self.addr, self.transport, &trust)
    }

    /// Where to look.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch {
            server_pid: self.server_pid,
            metrics: self.metrics,
            data: self.data.clone(),
            quiet: self.quiet,
        }
    }

    /// The first `count` accounts of the roster, with tokens in force.
    ///
    /// # Errors
    /// As [`roster::prepare`].
    pub fn accounts(&self, count: usize) -> anyhow::Result<Vec<Account>> {
        let file = self.users_file.as_deref();
        roster::prepare(&self.endpoint()?, count, &self.users_prefix, file)
            .context("preparing accounts")
    }

    /// The driver for a run of `plan` with so many accounts.
    ///
    /// # Errors
    /// As [`TargetArgs::accounts`].
    pub fn hongyan(
        &self,
        plan: &Plan,
        users: usize,
    ) -> anyhow::Result<crate::driver::hongyan::HongyanDriver> {
        let accounts = self.accounts(users)?;
        Ok(crate::driver::hongyan::HongyanDriver::new(self.endpoint()?, accounts, plan.clone()))
    }
}
