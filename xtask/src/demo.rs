//! `cargo xtask demo`: a chat in the browser from one command.
//!
//! Builds the SDK and the web app when they are not there or older than their
//! sources, then the server; starts it on the loopback with two accounts and
//! runs until Ctrl-C. Owns the directory of the data when none was named, and
//! takes it away at the end.
//!
//! The server is in a process group of its own, so that a terminal's Ctrl-C
//! reaches us alone and is passed on once: a second one would cut its stop
//! short.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::npm::{self, APP, SDK, modified};
use crate::shell::Workspace;

/// What `cargo xtask demo` takes.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Keep the data in this directory; without it they go at the end.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Build the web app anew even when it looks fresh.
    #[arg(long)]
    rebuild: bool,
}

/// Who can log in. The server listens on this machine only.
const PEOPLE: [(&str, &str); 2] = [("alice", "wild-goose-alice"), ("bob", "wild-goose-bob")];

/// What the app's build leaves.
const BUILT: &str = "client-sdk/uniapp/demo/dist/build/h5";

/// Runs until Ctrl-C.
///
/// # Errors
/// Node is missing, something does not build, or the server does not start.
pub(crate) fn run(workspace: &Workspace, args: &DemoArgs) -> Result<ExitCode> {
    let site = build_app(workspace, args.rebuild)?;
    let status = workspace
        .cargo(&["build", "--locked", "--package", "hongyan"])
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "the server does not build ({status})");
    let throw_away = match &args.dir {
        Some(_) => None,
        None => Some(tempfile::tempdir().context("cannot make a directory for the data")?),
    };
    let data = match (&args.dir, &throw_away) {
        (Some(dir), _) => std::path::absolute(dir).context("--dir")?,
        (None, Some(dir)) => dir.path().join("data"),
        (None, None) => bail!("no directory for the data"),
    };
    // Before the server starts, so that no signal is lost.
    let asked = Asked::register()?;
    let mut server = Server::start(workspace, &data, &site)?;
    let browser = server.greeting()?;
    for (name, password) in PEOPLE {
        make_account(workspace, &data, name, password)?;
    }
    println!("\nOpen {browser} and log in; a second person in a private window.");
    for (name, password) in PEOPLE {
        println!("  {name:<6} {password}");
    }
    println!("Ctrl-C ends it.\n");
    server.wait(&asked)
}

/// The built web app's folder.
fn build_app(workspace: &Workspace, rebuild: bool) -> Result<PathBuf> {
    let (sdk, app) = (workspace.root.join(SDK), workspace.root.join(APP));
    let site = workspace.root.join(BUILT);
    ensure!(app.join("package.json").is_file(), "there is no web app in {}", app.display());
    let sources = [sdk.join("src"), app.clone()];
    if !rebuild && is_fresh(&site.join("index.html"), &sources) {
        println!("the web app in {} is fresh", site.display());
        return Ok(site);
    }
    npm::find_node()?;
    npm::install(&sdk)?;
    npm::npm(&sdk, &["run", "build"])?;
    npm::install(&app)?;
    npm::npm(&app, &["run", "build:h5"])?;
    ensure!(site.join("index.html").is_file(), "the build left no {}", site.display());
    Ok(site)
}

/// True when `built` is there and nothing in `sources` is newer.
fn is_fresh(built: &Path, sources: &[PathBuf]) -> bool {
    let Some(built) = modified(built) else { return false };
    sources.iter().all(|source| newest(source, 0).is_none_or(|newest| newest <= built))
}

/// Folders are looked into so deep.
const DEPTH_MAX: u32 = 16;

/// The newest change below `folder`, but for what tools put there.
fn newest(folder: &Path, depth: u32) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut newest_seen = None;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let tools = ["node_modules", "dist", "e2e", "test"].iter().any(|tool| name == *tool);
        let Ok(kind) = entry.file_type() else { continue };
        let changed = if kind.is_dir() && !tools && depth < DEPTH_MAX {
            newest(&entry.path(), depth + 1)
        } else if kind.is_file() {
            modified(&entry.path())
        } else {
            None
        };
        newest_seen = newest_seen.max(changed);
    }
    newest_seen
}

/// Makes an account unless a run before this one did.
fn make_account(workspace: &Workspace, data: &Path, name: &str, password: &str) -> Result<()> {
    let hongyan = |args: &[&str]| {
        let mut command = workspace.program("hongyan", args);
        command.arg("--data").arg(data);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    if hongyan(&["user", "show", name]).status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    let mut child = hongyan(&["user", "add", name]).spawn().context("cannot start hongyan")?;
    if let Some(mut stdin) = child.stdin.take() {
        writeln!(stdin, "{password}").context("cannot pass a password on")?;
    }
    let status = child.wait().context("cannot wait for hongyan")?;
    ensure!(status.success(), "the account {name} could not be made ({status})");
    Ok(())
}

/// Whether somebody asked us to end.
struct Asked(Arc<AtomicBool>);

impl Asked {
    fn register() -> Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, asked.clone()).context("signals")?;
        }
        Ok(Self(asked))
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// The running server; gone when this is dropped.
struct Server {
    child: Child,
    output: BufReader<ChildStdout>,
}

/// How often signals and the server's end are looked for.
const LOOK: Duration = Duration::from_millis(100);

impl Server {
    fn start(workspace: &Workspace, data: &Path, site: &Path) -> Result<Self> {
        let mut command = workspace.program("hongyan", &["serve", "--data"]);
        command.arg(data).arg("--web").arg(site).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the server")?;
        let output = child.stdout.take().context("stdout is piped")?;
        Ok(Self { child, output: BufReader::new(output) })
    }

    /// Reads what the server says when it is ready; the app's address in it.
    fn greeting(&mut self) -> Result<String> {
        let mut browser = None;
        for line in self.output.by_ref().lines() {
            let line = line.context("cannot read what the server says")?;
            if let Some(address) = line.trim_start().strip_prefix("browser") {
                browser = Some(address.trim().to_owned());
            }
            if line.contains("Ctrl-C") {
                break;
            }
            println!("{line}");
        }
        match browser {
            Some(browser) => Ok(browser),
            None => {
                let status = self.child.wait().context("cannot wait for the server")?;
                bail!("the server did not start ({status}); what it said is above")
            }
        }
    }

    /// Waits for its end, and brings it about when asked to; at once when
    /// asked twice.
    fn wait(&mut self, asked: &Asked) -> Result<ExitCode> {
        let mut told = false;
        loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for the server")? {
                let good = told || status.success();
                return Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            if asked.take() {
                let signal = if told { Signal::KILL } else { Signal::TERM };
                kill_process(Pid::from_child(&self.child), signal).context("cannot stop it")?;
                told = true;
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After an error nothing stays behind; otherwise it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_older_than_its_sources_is_built_again() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("src");
        let built = dir.path().join("index.html");
        std::fs::create_dir_all(source.join("deep/node_modules")).unwrap();
        let write = |file: &Path, seconds| {
            std::fs::write(file, "x").unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            std::fs::File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
        };
        assert!(!is_fresh(&built, std::slice::from_ref(&source)));
        write(&built, 100);
        write(&source.join("deep/a.ts"), 99);
        write(&source.join("deep/node_modules/b.js"), 200);
        assert!(is_fresh(&built, std::slice::from_ref(&source)));
        write(&source.join("deep/a.ts"), 101);
        assert!(!is_fresh(&built, &[source]));
    }
}
