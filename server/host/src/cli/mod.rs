//! The command line.
//!
//! ```text
//! hongyan [serve]  run the server
//! hongyan check    verify a store's files
//! hongyan audit    recompute what is derived and show differences
//! hongyan user     accounts: on the running server, or offline without one
//! hongyan token    tokens for scripts and tests
//! hongyan config   print or check the settings
//! hongyan version
//! ```
//! Exit codes: 0 done; 1 refused, or differences were found; 64 usage; 70 a
//! mistake of ours; 74 input or output; 78 the store or the settings must be looked at.

mod accounts;
mod password;
mod serve;
mod stores;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use rustix::fs::Mode;

use crate::config::{Config, ConfigError, RawConfig};

/// Everything was done.
pub const DONE: u8 = 0;
/// Refused, or differences were found.
pub const REFUSED: u8 = 1;
/// The command line was wrong.
pub const USAGE: u8 = 64;
/// Input or output failed.
pub const IO: u8 = 74;
/// The store or the settings must be looked at by a human.
pub const CONFIG: u8 = 78;

/// An instant-messaging server.
#[derive(Debug, Parser)]
#[command(name = "hongyan", version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

/// Where the settings come from.
#[derive(Debug, Clone, Args)]
struct Settings {
    /// The settings; without it the defaults. See hongyan.toml.
    #[arg(long, global = true, env = "HONGYAN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The store's directory, instead of store.dir.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The web app's folder; a flag of `serve` alone.
    #[arg(skip)]
    web: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (also without a command).
    Serve {
        /// Also serve the web app in this folder, instead of web.dir.
        #[arg(long, value_name = "DIR")]
        web: Option<PathBuf>,
    },
    /// Verify the files of a store that no server has open; changes nothing.
    Check {
        /// The store's directory.
        dir: PathBuf,
    },
    /// Recompute what is derived from messages and show differences.
    Audit {
        /// The store's directory.
        dir: PathBuf,
    },
    /// Accounts.
    #[command(subcommand)]
    User(accounts::UserCommand),
    /// Tokens.
    #[command(subcommand)]
    Token(accounts::TokenCommand),
    /// Settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the version.
    Version,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum ConfigCommand {
    /// Print the settings in force, secrets masked.
    Print,
    /// Say whether the settings would be taken.
    Check,
}

/// Why a command failed: what to print and the exit code.
#[derive(Debug)]
struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    fn new(code: u8, message: impl ToString) -> Self {
        Self { message: message.to_string(), code }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(CONFIG, error)
    }
}

impl From<crate::node::StartError> for Failure {
    fn from(error: crate::node::StartError) -> Self {
        Self::new(error.exit_code(), error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(IO, error)
    }
}

impl Settings {
    fn raw(&self) -> Result<RawConfig, Failure> {
        let mut environment = Vec::new();
        for (name, value) in std::env::vars_os() {
            // A name that is no UTF-8 cannot be one of ours.
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => environment.push((name, value)),
                Err(_) if RawConfig::is_named_by(&name) => {
                    let detail = "is not UTF-8".to_owned();
                    return Err(ConfigError::Environment { variable: name, detail }.into());
                }
                Err(_) => {}
            }
        }
        let mut raw = RawConfig::load(self.config.as_deref(), environment)?;
        if let Some(data) = &self.data {
            raw.store.dir = data.display().to_string();
        }
        if let Some(web) = &self.web {
            raw.web.dir = web.display().to_string();
        }
        Ok(raw)
    }

    fn checked(&self) -> Result<Config, Failure> {
        Ok(Config::check(&self.raw()?)?)
    }
}

/// Parses the command line of this process and carries it out.
pub fn run() -> ExitCode {
    crate::observe::panics::silence_contained();
    // What people write to each other goes into files; sled makes its own by
    // the mask, so the mask says that they are for nobody else.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nowhere to print to: then the exit code must do.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { DONE });
        }
    };
    match carry_out(cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("hongyan: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn carry_out(cli: Cli) -> Result<u8, Failure> {
    let settings = cli.settings;
    match cli.command.unwrap_or(Command::Serve { web: None }) {
        Command::Serve { web } => serve::serve(&Settings { web, ..settings }),
        Command::Check { dir } => stores::check(&dir),
        Command::Audit { dir } => stores::audit(&settings, &dir),
        Command::User(command) => accounts::user(&settings, command),
        Command::Token(command) => accounts::token(&settings, command),
        Command::Config(ConfigCommand::Print) => {
            print!("{}", settings.raw()?.to_masked_toml());
            Ok(DONE)
        }
        Command::Config(ConfigCommand::Check) => {
            crate::prepare::prepare(&settings.checked()?)?;
            println!("the settings would be taken");
            Ok(DONE)
        }
        Command::Version => {
            println!("hongyan {}", env!("CARGO_PKG_VERSION"));
            Ok(DONE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves() {
        let cli = Cli::try_parse_from(["hongyan", "--data", "d"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.settings.data, Some("d".into()));
        let cli = Cli::try_parse_from(["hongyan", "user", "add", "ann", "--data", "d"]).unwrap();
        assert_eq!(cli.settings.data, Some("d".into()));
        assert!(Cli::try_parse_from(["hongyan", "servee"]).is_err());
    }
}
