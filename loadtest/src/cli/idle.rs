//! Idle sessions as flags and as the `[idle]` table of a plan file.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cli::load::overlay;
use crate::cli::target::{DriverName, TargetArgs};
use crate::driver::hongyan::HongyanDriver;
use crate::driver::null::NullDriver;
use crate::plan::{Plan, PlanError};
use crate::roster::Account;
use crate::scenario::idle::IdlePlan;
use crate::scenario::idle::crew::{Crew, OwnCrew, Part, ProcessCrew};

/// How many sessions, and for how long.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Idle sessions")]
pub struct IdleFlags {
    /// Sessions in all (default: 1000).
    #[arg(long)]
    pub connections: Option<usize>,
    /// Steps to open them in (default: 5).
    #[arg(long)]
    pub steps: Option<usize>,
    /// Seconds to hold them (default: 20).
    #[arg(long)]
    pub hold: Option<u64>,
    /// Seconds between two heartbeats of a session (default: 50: what a server asks for by default).
    #[arg(long)]
    pub heartbeat: Option<u64>,
    /// Processes that hold them, for more than one may have open files for (default: 1).
    #[arg(long)]
    pub processes: Option<usize>,
    /// Opens and closes each session once, few at a time, before anything is measured (default: true).
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    pub warm: Option<bool>,
    /// Milliseconds that the server's memory must stay as it is before it is believed (default: 1500).
    #[arg(long)]
    pub settle_ms: Option<u64>,
    /// Devices of each account, 1 to 32. More than one: all tokens come from the operator's
    /// interface, found through --data, so that many sessions cost few password hashes (default: 1).
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=32))]
    pub devices: Option<u64>,
}

overlay!(IdleFlags { connections, steps, hold, heartbeat, processes, warm, settle_ms, devices });

impl IdleFlags {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> IdlePlan {
        let defaults = IdlePlan::default();
        IdlePlan {
            connections: self.connections.unwrap_or(defaults.connections),
            steps: self.steps.unwrap_or(defaults.steps),
            hold_s: self.hold.unwrap_or(defaults.hold_s),
            heartbeat_s: self.heartbeat.unwrap_or(defaults.heartbeat_s),
            processes: self.processes.unwrap_or(defaults.processes),
            warm: self.warm.unwrap_or(defaults.warm),
            settle_ms: self.settle_ms.unwrap_or(defaults.settle_ms),
        }
    }
}

/// What a process of `idle --processes` holds. Not for people: see
/// [`crew`](crate::scenario::idle::crew).
#[derive(Debug, Args)]
pub struct IdlePartArgs {
    /// Which part, from 0.
    #[arg(long)]
    pub nth: usize,
    /// Parts in all.
    #[arg(long)]
    pub parts: usize,
    /// Seconds between two heartbeats of a session.
    #[arg(long)]
    pub heartbeat: u64,
    /// Sessions of all parts.
    #[arg(long)]
    pub connections: usize,
    /// Target.
    #[command(flatten)]
    pub target: TargetArgs,
}

impl IdlePartArgs {
    /// The part.
    ///
    /// # Errors
    /// There is no such part.
    pub fn part(&self) -> anyhow::Result<Part> {
        anyhow::ensure!(self.nth < self.parts, "part {} of {}", self.nth, self.parts);
        Ok(Part { nth: self.nth, parts: self.parts })
    }
}

/// Sessions of this process.
///
/// # Errors
/// TLS without a usable certificate to trust.
pub fn own_crew(
    target: &TargetArgs,
    accounts: Vec<Account>,
    part: Part,
    heartbeat_s: u64,
) -> anyhow::Result<Box<dyn Crew>> {
    let heartbeat = Duration::from_secs(heartbeat_s);
    let (endpoint, form) = (target.endpoint()?, Plan::default());
    Ok(match target.driver {
        DriverName::Hongyan => {
            Box::new(OwnCrew::new(HongyanDriver::new(endpoint, accounts, form), part, heartbeat))
        }
        DriverName::Null => {
            Box::new(OwnCrew::new(NullDriver::new(endpoint, form), part, heartbeat))
        }
        DriverName::Jetstream
        | DriverName::Mqtt
        | DriverName::Rabbitmq
        | DriverName::Redis
        | DriverName::Xmpp => {
            return Err(PlanError::new("idle sessions are hongyan's or null's".to_owned()).into());
        }
    })
}

/// Sessions of as many processes as the plan says; each takes its accounts from the users file.
///
/// # Errors
/// A process cannot be started.
pub fn crew_of_processes(target: &TargetArgs, plan: &IdlePlan) -> anyhow::Result<ProcessCrew> {
    let arguments: Vec<Vec<OsString>> = (0..plan.processes)
        .map(|nth| {
            let mut line: Vec<OsString> = vec!["idle-part".into()];
            for (flag, number) in [
                ("--nth", nth),
                ("--parts", plan.processes),
                ("--connections", plan.connections),
                ("--heartbeat", plan.heartbeat_s as usize),
            ] {
                line.extend([flag.into(), number.to_string().into()]);
            }
            line.extend(target.to_arguments());
            line
        })
        .collect();
    ProcessCrew::start(&std::env::current_exe()?, &arguments)
}
