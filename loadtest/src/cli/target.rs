//! What a run talks to, where it looks, and where its result goes.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use crate::driver::hongyan::HongyanDriver;
use crate::driver::rabbitmq::QueueKind;
use crate::plan::{Plan, PlanError};
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
    /// For rabbitmq: kind of the users' queues, which decides what a confirm means.
    #[arg(long, value_enum, default_value_t = QueueKind::Quorum)]
    pub queue: QueueKind,
    /// What carries the bytes. A server has an address of its own for each.
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
    /// NATS with JetStream: one stream, a durable consumer for each user.
    Jetstream,
    /// An MQTT 3.1.1 broker: QoS 1 both ways.
    Mqtt,
    /// The null relay: the floor.
    Null,
    /// RabbitMQ over AMQP 0-9-1.
    Rabbitmq,
    /// Redis: a stream and a consumer group for each user.
    Redis,
    /// An XMPP server with stream management, such as ejabberd.
    Xmpp,
}

impl TargetArgs {
    /// How to reach it.
    ///
    /// # Errors
    /// TLS without a usable certificate to trust, or WebSocket to another server.
    pub fn endpoint(&self) -> anyhow::Result<Endpoint> {
        if self.transport.is_websocket() && self.driver != DriverName::Hongyan {
            bail!("--transport ws and wss are for a Hongyan server");
        }
        let trust = TlsTrust { ca: self.ca.clone(), server_name: Some(self.server_name.clone()) };
        Endpoint::new(self.addr, self.transport, &trust)
    }

    /// The arguments that lead another process of this program to the same target.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<OsString> {
        let named = |value: Option<clap::builder::PossibleValue>| {
            value.map_or_else(OsString::new, |value| value.get_name().to_owned().into())
        };
        let mut arguments: Vec<OsString> = vec![
            "--addr".into(),
            self.addr.to_string().into(),
            "--driver".into(),
            named(self.driver.to_possible_value()),
            "--transport".into(),
            named(self.transport.to_possible_value()),
            "--server-name".into(),
            self.server_name.clone().into(),
        ];
        for (flag, file) in [("--ca", &self.ca), ("--users-file", &self.users_file)] {
            if let Some(file) = file {
                arguments.extend([flag.into(), file.clone().into_os_string()]);
            }
        }
        arguments
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

    /// Tokens for `count` sessions: of as many accounts, or of fewer with `devices` each, whose
    /// tokens come from the operator's interface. A users file that has enough is taken as it is.
    ///
    /// # Errors
    /// As [`roster::prepare`] and [`roster::issue_devices`]; or several devices without `--data`.
    pub fn sessions(&self, count: usize, devices: usize) -> anyhow::Result<Vec<Account>> {
        let file = self.users_file.as_deref();
        if devices <= 1 || roster::holds(file, count)? {
            return self.accounts(count);
        }
        let data = self.data.as_deref().context("several --devices need --data")?;
        let operator = roster::Operator::of_data(data)?;
        let people = count.div_ceil(devices);
        let accounts = roster::prepare(&self.endpoint()?, people, &self.users_prefix, None)
            .context("preparing accounts")?;
        let mut users =
            roster::issue_devices(&operator, &accounts, devices).context("issuing tokens")?;
        if let Some(file) = file {
            roster::write_file(file, &users)?;
        }
        users.truncate(count);
        Ok(users)
    }

    /// The driver for a run of `plan` with so many accounts.
    ///
    /// # Errors
    /// As [`TargetArgs::accounts`].
    pub fn hongyan(&self, plan: &Plan, users: usize) -> anyhow::Result<HongyanDriver> {
        self.driver_of(self.accounts(users)?, plan)
    }

    /// The driver for a run of `plan` with `accounts`.
    ///
    /// # Errors
    /// As [`TargetArgs::endpoint`].
    pub fn driver_of(&self, accounts: Vec<Account>, plan: &Plan) -> anyhow::Result<HongyanDriver> {
        Ok(HongyanDriver::new(self.endpoint()?, accounts, plan.clone()))
    }

    /// Writes tokens that were renewed during a run back to the users file, where there is one.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn keep(&self, driver: &HongyanDriver) -> anyhow::Result<()> {
        match self.users_file.as_deref() {
            Some(file) => roster::update_file(file, &driver.accounts()),
            None => Ok(()),
        }
    }

    /// Refuses a driver that `scenario` cannot be run on.
    ///
    /// # Errors
    /// [`PlanError`] unless the driver is Hongyan's.
    pub fn must_be_hongyan(&self, scenario: &str) -> Result<(), PlanError> {
        if self.driver == DriverName::Hongyan {
            return Ok(());
        }
        Err(PlanError::new(format!("{scenario} runs on a Hongyan server only")))
    }
}
