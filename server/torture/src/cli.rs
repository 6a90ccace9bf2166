//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// Tortures the real Hongyan server.
///
/// Exit code: 0 when every round held, 1 when one did not, 2 for wrong
/// arguments, 77 when this machine cannot do it (no root, no loop devices,
/// no strace).
#[derive(Debug, Clone, Parser)]
#[command(name = "torture")]
pub struct Cli {
    /// What to do to it.
    #[command(subcommand)]
    pub torture: Torture,
}

/// One kind of torture.
#[derive(Debug, Clone, Subcommand)]
pub enum Torture {
    /// kill -9 under load, also while booting and settling, and SIGTERM.
    Crash(CrashPlan),
    /// Power cuts: the data on an ext4 image that is copied at a moment.
    Cut(CutPlan),
    /// Flipped bits and cut files.
    Corrupt(CorruptPlan),
    /// A full disk.
    Full(FullPlan),
    /// EIO from fdatasync and pwrite64, by strace.
    Eio(EioPlan),
}

/// What every kind has.
#[derive(Debug, Clone, Args)]
pub struct Shared {
    /// The same seed makes the same choices. Drawn and printed when not given.
    #[arg(long)]
    pub seed: Option<u64>,
    /// The server's binary; otherwise `hongyan` beside this program.
    #[arg(long)]
    pub server: Option<PathBuf>,
    /// Where the data goes; otherwise the system's temporary directory.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// The engine of the log (`store.log`); otherwise the server's default.
    #[arg(long, value_parser = ["segment", "sled"])]
    pub engine: Option<String>,
    /// Succeed when a round fails: shows that a broken build is caught.
    #[arg(long)]
    pub expect_failure: bool,
}

/// `torture crash`.
#[derive(Debug, Clone, Args)]
pub struct CrashPlan {
    /// Rounds.
    #[arg(long, default_value_t = 40)]
    pub rounds: u64,
    /// Compare after so many rounds, and at the end.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub every: u64,
    /// Pause of a device between two actions, in milliseconds.
    #[arg(long, default_value_t = 10)]
    pub pace_ms: u64,
    /// Sends of a device that wait for an answer.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub in_flight: u32,
    /// Everybody writes into the group of all alone.
    #[arg(long)]
    pub one_room: bool,
    /// What every kind has.
    #[command(flatten)]
    pub shared: Shared,
}

/// `torture cut`.
#[derive(Debug, Clone, Args)]
pub struct CutPlan {
    /// Rounds.
    #[arg(long, default_value_t = 10)]
    pub rounds: u64,
    /// Size of the image in MiB.
    #[arg(long, default_value_t = 512)]
    pub image_mib: u64,
    /// What every kind has.
    #[command(flatten)]
    pub shared: Shared,
}

/// `torture corrupt`.
#[derive(Debug, Clone, Args)]
pub struct CorruptPlan {
    /// Faults to try, one at a time.
    #[arg(long, default_value_t = 50)]
    pub flips: u64,
    /// Try this fault alone (they are numbered from 1).
    #[arg(long)]
    pub only: Option<u64>,
    /// Messages in the data that is damaged.
    #[arg(long, default_value_t = 3_000)]
    pub messages: u64,
    /// What every kind has.
    #[command(flatten)]
    pub shared: Shared,
}

/// `torture full`.
#[derive(Debug, Clone, Args)]
pub struct FullPlan {
    /// Rounds.
    #[arg(long, default_value_t = 3)]
    pub rounds: u64,
    /// Size of the image in MiB.
    #[arg(long, default_value_t = 96)]
    pub image_mib: u64,
    /// Others fill the disk to the last byte: the server may stop then, but
    /// not lose or invent anything.
    #[arg(long)]
    pub brim: bool,
    /// What every kind has.
    #[command(flatten)]
    pub shared: Shared,
}

/// `torture eio`.
#[derive(Debug, Clone, Args)]
pub struct EioPlan {
    /// Rounds.
    #[arg(long, default_value_t = 6)]
    pub rounds: u64,
    /// What every kind has.
    #[command(flatten)]
    pub shared: Shared,
}

impl Torture {
    /// The part that every kind has.
    #[must_use]
    pub const fn shared(&self) -> &Shared {
        match self {
            Self::Crash(plan) => &plan.shared,
            Self::Cut(plan) => &plan.shared,
            Self::Corrupt(plan) => &plan.shared,
            Self::Full(plan) => &plan.shared,
            Self::Eio(plan) => &plan.shared,
        }
    }

    /// The words to do it again, with the seed that was used.
    #[must_use]
    pub fn again(&self, seed: u64) -> String {
        let own = match self {
            Self::Crash(plan) => format!(
                "crash --rounds {} --every {} --pace-ms {} --in-flight {}{}",
                plan.rounds,
                plan.every,
                plan.pace_ms,
                plan.in_flight,
                if plan.one_room { " --one-room" } else { "" }
            ),
            Self::Cut(plan) => {
                format!("cut --rounds {} --image-mib {}", plan.rounds, plan.image_mib)
            }
            Self::Corrupt(plan) => {
                let only = plan.only.map(|only| format!(" --only {only}")).unwrap_or_default();
                format!("corrupt --flips {} --messages {}{only}", plan.flips, plan.messages)
            }
            Self::Full(plan) => {
                let brim = if plan.brim { " --brim" } else { "" };
                format!("full --rounds {} --image-mib {}{brim}", plan.rounds, plan.image_mib)
            }
            Self::Eio(plan) => format!("eio --rounds {}", plan.rounds),
        };
        let shared = self.shared();
        let mut words = format!("torture {own} --seed {seed}");
        if let Some(server) = &shared.server {
            words += &format!(" --server {}", server.display());
        }
        if let Some(engine) = &shared.engine {
            words += &format!(" --engine {engine}");
        }
        words
    }

    /// Longer than any sound run takes.
    #[must_use]
    pub const fn time_limit(&self) -> Duration {
        let seconds = match self {
            Self::Crash(plan) => 300 + plan.rounds * 20,
            Self::Cut(plan) => 300 + plan.rounds * 60,
            Self::Corrupt(plan) => 600 + plan.flips * 60,
            Self::Full(plan) => 300 + plan.rounds * 180,
            Self::Eio(plan) => 300 + plan.rounds * 120,
        };
        Duration::from_secs(seconds)
    }
}
