//! Starts cargo-fuzz targets. They live in `fuzz/` folders outside the
//! workspace, because libFuzzer needs its own build of everything.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::shell::Workspace;

/// Folders that may hold a `fuzz/`.
const ROOMS: &[&str] =
    &["protocol", "server/core", "server/store", "server/host", "client-sdk/core"];

#[derive(Debug)]
struct Target {
    folder: PathBuf,
    name: String,
}

/// Fuzzes `only`, or every target in turn, for `seconds` each.
///
/// # Errors
/// cargo-fuzz is not installed, there is no such target, or a target found
/// an input that fails (its path is in the output).
pub(crate) fn run(workspace: &Workspace, only: Option<&str>, seconds: u32) -> Result<()> {
    let mut targets = targets(workspace)?;
    if let Some(only) = only {
        let names: Vec<_> = targets.iter().map(|target| target.name.clone()).collect();
        targets.retain(|target| target.name == only);
        ensure!(!targets.is_empty(), "no target {only}; there are {}", names.join(", "));
    }
    if !workspace.has_cargo("fuzz") {
        bail!("cargo-fuzz is not installed (`cargo install cargo-fuzz`)");
    }
    for target in targets {
        println!("fuzzing {} for {seconds} s", target.name);
        let folder = target.folder.to_string_lossy().into_owned();
        let time = format!("-max_total_time={seconds}");
        // libFuzzer writes what it finds into the first folder, and reads both.
        // So the committed corpus grows by hand only.
        let found = workspace.target.join("fuzz-corpus").join(&target.name);
        std::fs::create_dir_all(&found)
            .with_context(|| format!("cannot make {}", found.display()))?;
        let found = found.to_string_lossy().into_owned();
        let committed = format!("{folder}/corpus/{}", target.name);
        // cargo-fuzz needs flags that a stable compiler takes only like this.
        let status = workspace
            .cargo(&["fuzz", "run", "--fuzz-dir", &folder])
            .args([&target.name, &found, &committed, "--", &time])
            .env("RUSTC_BOOTSTRAP", "1")
            .status()
            .context("cannot start cargo fuzz")?;
        ensure!(status.success(), "{} found a failing input ({status})", target.name);
    }
    Ok(())
}

fn targets(workspace: &Workspace) -> Result<Vec<Target>> {
    let mut found = Vec::new();
    for room in ROOMS {
        let folder = workspace.root.join(room).join("fuzz");
        let Ok(entries) = std::fs::read_dir(folder.join("fuzz_targets")) else {
            continue;
        };
        for entry in entries {
            let path = entry.context("cannot list fuzz_targets")?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                found.push(Target { folder: folder.clone(), name });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}
