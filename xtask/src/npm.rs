//! The packages of npm in this tree: what they need, and how their scripts are
//! run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};

use crate::shell::Workspace;

/// The TypeScript SDK.
pub(crate) const SDK: &str = "client-sdk/uniapp";
/// The chat app.
pub(crate) const APP: &str = "client-sdk/uniapp/demo";

/// Node 20 is what the packages ask for.
const NODE_MAJOR_MIN: u32 = 20;

/// Whether Node and npm are there.
///
/// # Errors
/// One of them is not, or Node is too old.
pub(crate) fn find_node() -> Result<()> {
    let help = "the web app is built with Node.js 20 or newer and npm (Debian: apt-get install nodejs npm)";
    for program in ["node", "npm"] {
        let output = Command::new(program).arg("--version").output();
        let output = output.with_context(|| format!("{program} is not there; {help}"))?;
        ensure!(output.status.success(), "{program} --version failed; {help}");
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if program == "node" {
            let major = version.trim_start_matches('v').split('.').next().unwrap_or_default();
            let old = major.parse().unwrap_or(0_u32) < NODE_MAJOR_MIN;
            ensure!(!old, "node is {version}; {help}");
        }
    }
    Ok(())
}

/// Installs exactly what the lock file says, unless that is there. A package
/// without one gets what its own file asks for.
///
/// # Errors
/// npm's.
pub(crate) fn install(package: &Path) -> Result<()> {
    let lock = modified(&package.join("package-lock.json"));
    let installed = modified(&package.join("node_modules/.package-lock.json"));
    match (lock, installed) {
        (Some(lock), Some(installed)) if installed >= lock => Ok(()),
        (None, Some(_)) => Ok(()),
        (Some(_), _) => npm(package, &["ci"]),
        (None, None) => npm(package, &["install"]),
    }
}

/// Runs npm in the folder of `package`.
///
/// # Errors
/// It cannot be started, or fails.
pub(crate) fn npm(package: &Path, args: &[&str]) -> Result<()> {
    println!("npm {} in {}", args.join(" "), package.display());
    // Without CI the builder asks questions.
    let status = Command::new("npm").args(args).current_dir(package).env("CI", "1").status();
    let status = status.context("cannot start npm")?;
    ensure!(status.success(), "npm {} failed in {} ({status})", args.join(" "), package.display());
    Ok(())
}

/// A script of a package, against the programs that the `build` step left.
pub(crate) fn script(workspace: &Workspace, package: &str, words: &[&str]) -> Command {
    let program = |name: &str| workspace.program(name, &[]).get_program().to_owned();
    let mut command = Command::new("npm");
    command
        .args(["run", "--silent"])
        .args(words)
        .current_dir(workspace.root.join(package))
        .env("CI", "1")
        .env("HONGYAN_BIN", program("hongyan"))
        .env("HONGYAN_CHAT", program("hongyan-chat"));
    command
}

/// Whether there is a browser for the end-to-end tests; installs Debian's when
/// it may.
pub(crate) fn find_browser() -> bool {
    let found = || {
        let chosen = std::env::var_os("CHROMIUM").map(PathBuf::from);
        chosen.unwrap_or_else(|| PathBuf::from("/usr/bin/chromium")).is_file()
    };
    if found() {
        return true;
    }
    if rustix::process::geteuid().is_root() {
        println!("installing chromium");
        for words in [&["update", "-qq"][..], &["install", "-y", "-qq", "chromium"]] {
            let run = Command::new("apt-get")
                .args(words)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status();
            if let Err(error) = run {
                println!("apt-get: {error}");
            }
        }
    }
    found()
}

/// When a file was changed last; `None`: it is not there.
pub(crate) fn modified(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}
