//! `broken-builds`: shows that the simulator can fail.
//!
//! Builds it three times over rules that are broken on purpose (private
//! features of `hongyan-core`), sweeps each, and demands that each sweep ends
//! with a failure that names the promise which is broken. The builds have a
//! target directory of their own, so that no other build sees the features.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Seeds within which a broken build must be caught.
const SEEDS: &str = "100";

/// A way to break the rules, and what must be found.
struct Broken {
    feature: &'static str,
    what: &'static str,
    /// Parts of the promises of which one must be named.
    expected: &'static [&'static str],
}

const BROKEN: [Broken; 3] = [
    Broken {
        feature: "__break_ack_before_durable",
        what: "acks leave before their records are durable",
        expected: &[
            "nothing is told before it is as safe as its level says",
            "no acknowledged message is lost",
        ],
    },
    Broken {
        feature: "__break_dedupe_outside_commit",
        what: "retries are not recognised inside the commit",
        expected: &["a message is stored once", "a retry gets the first ack again"],
    },
    Broken {
        feature: "__break_unread_counter",
        what: "unread is counted instead of computed",
        expected: &["unread is arithmetic"],
    },
];

fn main() -> ExitCode {
    let mut missed = 0;
    for broken in &BROKEN {
        match judge(broken) {
            Ok(found) => println!("caught: {} ({})\n  {found}", broken.what, broken.feature),
            Err(why) => {
                missed += 1;
                println!("NOT caught: {} ({})\n  {why}", broken.what, broken.feature);
            }
        }
    }
    println!("{} passed, {missed} failed", BROKEN.len() - missed);
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Builds and sweeps; says which seed found what.
fn judge(broken: &Broken) -> Result<String, String> {
    let target = target_dir();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "hongyan-simulator",
            "--bin",
            "simulate",
        ])
        .args(["--features", broken.feature])
        // Caught within seconds: not worth optimising every dependency for.
        .args(["--config", "profile.dev.package.\"*\".opt-level=0"])
        .arg("--target-dir")
        .arg(&target)
        .status()
        .map_err(|error| format!("cargo does not start: {error}"))?;
    if !built.success() {
        return Err(format!("the build ended with {built}"));
    }
    let swept = Command::new(target.join("debug").join("simulate"))
        .args(["--until-failure", "--seeds", SEEDS])
        .output()
        .map_err(|error| format!("the sweep does not start: {error}"))?;
    let output = String::from_utf8_lossy(&swept.stdout);
    if swept.status.success() {
        return Err(format!("{SEEDS} seeds found nothing"));
    }
    let found: Vec<&str> = output.lines().filter(|line| line.contains(" breaks: ")).collect();
    match found.iter().find(|line| broken.expected.iter().any(|part| line.contains(part))) {
        Some(line) => Ok((*line).to_owned()),
        None => Err(format!("something else was found: {found:?}")),
    }
}

/// Inside the target directory of the workspace.
fn target_dir() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("..");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("broken-builds")
}
