//! A server, a floor and a generator on one machine, for the programs that put figures side by
//! side.
//!
//! Owns one directory on the disk in question and starts everything in it: each part is a program
//! of its own, reached over loopback, ended by its process id, with a time limit. Promises that
//! none outlives its [`Server`] or [`Program`].

mod program;
mod server;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hongyan_loadtest::peers::server::free_ports;
use hongyan_loadtest::report::EXIT_FAILED;
use serde::de::DeserializeOwned;

pub use program::Program;
pub use server::{Relay, Server, Setting};

const START_LIMIT: Duration = Duration::from_secs(120);
/// A stop writes everything that is not in the views yet: up to a gigabyte.
const STOP_LIMIT: Duration = Duration::from_secs(900);
const RUN_LIMIT: Duration = Duration::from_secs(3_600);
const TRY_STEP: Duration = Duration::from_millis(5);
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `hongyan`.
    pub server: PathBuf,
    /// `hongyan-loadtest`.
    pub loadtest: PathBuf,
    /// `null-relay`.
    pub relay: PathBuf,
}

impl Programs {
    /// Those beside this program, built before when `build` says so.
    ///
    /// # Errors
    /// They cannot be built, or this program does not know where it is.
    pub fn beside_this(build: bool) -> anyhow::Result<Self> {
        let here = std::env::current_exe()?;
        let release = here.parent().context("a program is in a directory")?;
        if build {
            // The server by itself: together with the benches it would get the doors that they
            // need.
            cargo_build(&["--package", "hongyan", "--bin", "hongyan"])?;
            let loadtest = ["--package", "hongyan-loadtest", "--bin", "hongyan-loadtest"];
            let relay = ["--package", "hongyan-benches", "--bin", "null-relay"];
            cargo_build(&[loadtest, relay].concat())?;
        }
        Ok(Self {
            server: release.join("hongyan"),
            loadtest: release.join("hongyan-loadtest"),
            relay: release.join("null-relay"),
        })
    }

    /// A directory beside the builds, for what is called `name`.
    #[must_use]
    pub fn dir(&self, name: &str) -> PathBuf {
        self.server.parent().unwrap_or(Path::new(".")).with_file_name(name)
    }
}

fn cargo_build(what: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release"])
        .args(what)
        .status()
        .context("starting cargo")?;
    if !status.success() {
        bail!("the programs could not be built");
    }
    Ok(())
}

/// See the module.
#[derive(Debug)]
pub struct Stage {
    programs: Programs,
    work: tempfile::TempDir,
}

impl Stage {
    /// A stage in a new directory under `dir`, which goes with it.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn new(dir: &Path, programs: &Programs) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self { programs: programs.clone(), work: tempfile::tempdir_in(dir)? })
    }

    /// The stage's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.work.path()
    }

    /// A place in the stage's directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Runs the generator with a report.
    ///
    /// # Errors
    /// It could not be started, took too long, or says that the product failed.
    pub fn run<R: DeserializeOwned>(&self, args: &[&str]) -> anyhow::Result<R> {
        self.run_on(None, args)
    }

    /// The same on one processor.
    ///
    /// # Errors
    /// As [`Stage::run`].
    pub fn run_on<R: DeserializeOwned>(
        &self,
        processor: Option<usize>,
        args: &[&str],
    ) -> anyhow::Result<R> {
        let json = self.path("run.json");
        let said = self.generate(processor, &[args, &["--json", &text(&json)]].concat())?;
        let report = fs::read_to_string(&json).with_context(|| said)?;
        fs::remove_file(&json)?;
        Ok(serde_json::from_str(&report)?)
    }

    /// Runs the generator for what it does, not for a report.
    ///
    /// # Errors
    /// As [`Stage::run`].
    pub fn carry_out(&self, args: &[&str]) -> anyhow::Result<()> {
        self.generate(None, args).map(drop)
    }

    fn generate(&self, processor: Option<usize>, args: &[&str]) -> anyhow::Result<String> {
        let output = self.path("loadtest.out");
        let _ = fs::remove_file(&output);
        let mut command = pinned(&self.programs.loadtest, processor);
        command.args(args).arg("--quiet");
        let program = Program::start("hongyan-loadtest", &mut command, &output)?;
        let status = program.wait(RUN_LIMIT)?;
        let said = fs::read_to_string(&output).unwrap_or_default();
        if status.code().is_none_or(|code| code == i32::from(EXIT_FAILED)) {
            bail!("hongyan-loadtest {}: {status}\n{said}", args.join(" "));
        }
        Ok(said)
    }
}

/// A command that runs on one processor only, where one is named.
fn pinned(program: &Path, processor: Option<usize>) -> Command {
    let Some(processor) = processor else {
        return Command::new(program);
    };
    let mut command = Command::new("taskset");
    command.args(["-c", &processor.to_string()]).arg(program);
    command
}

/// A path as an argument.
#[must_use]
pub fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Addresses of this machine that nobody listens on at the moment, all different.
fn free_addrs<const COUNT: usize>() -> anyhow::Result<[SocketAddr; COUNT]> {
    Ok(free_ports()?.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
}

fn wait_for_listener(addr: SocketAddr, program: &mut Program) -> anyhow::Result<()> {
    let until = Instant::now() + START_LIMIT;
    while TcpStream::connect_timeout(&addr, ANSWER_LIMIT).is_err() {
        program.must_run()?;
        if Instant::now() > until {
            bail!("nobody listens on {addr}");
        }
        thread::sleep(TRY_STEP);
    }
    Ok(())
}
