//! Starts programs, passes their output on, and counts the tests in it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};

/// Where the tree is and where its programs are built.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The folder of the root Cargo.toml.
    pub(crate) root: PathBuf,
    /// The target directory.
    pub(crate) target: PathBuf,
}

/// What a program did.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Tests that its output says have passed.
    pub(crate) passed: u64,
    /// Tests that its output says have failed.
    pub(crate) failed: u64,
}

impl Workspace {
    /// The workspace that this program was built in.
    pub(crate) fn open() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask lies in a workspace")?
            .to_path_buf();
        ensure!(root.join("Cargo.toml").is_file(), "{} is no workspace any more", root.display());
        // Cargo resolves a relative directory against the folder it runs in,
        // and every cargo we start runs in the root.
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |target| root.join(target));
        Ok(Self { root, target })
    }

    /// A cargo command in the root; warnings of rustdoc are errors.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(args).current_dir(&self.root).env("RUSTDOCFLAGS", "-D warnings");
        command
    }

    /// A program that `cargo build` left in the target directory.
    pub(crate) fn program(&self, name: &str, args: &[&str]) -> Command {
        let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        let mut command = Command::new(self.target.join("debug").join(file));
        command.args(args).current_dir(&self.root);
        command
    }

    /// True when cargo has this subcommand (`cargo-nextest`, `cargo-deny`).
    pub(crate) fn has_cargo(&self, subcommand: &str) -> bool {
        self.cargo(&[subcommand, "--version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

/// The words of a command, as a person would type them.
pub(crate) fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let mut line = program.to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

/// How totals are read from a line of output: tests that passed and failed.
pub(crate) type Totals = fn(&str) -> Option<(u64, u64)>;

/// Runs `command` to its end. Both of its streams are passed on line by
/// line, and the totals in them are added up.
pub(crate) fn run(command: &mut Command, totals: Totals) -> Result<Outcome> {
    let words = words(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{words}`"))?;
    let (passed, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let stdout = child.stdout.take().context("stdout is piped")?;
    let stderr = child.stderr.take().context("stderr is piped")?;
    std::thread::scope(|scope| {
        scope.spawn(|| pass_on(stderr, &mut std::io::stderr(), totals, &passed, &failed));
        pass_on(stdout, &mut std::io::stdout(), totals, &passed, &failed);
    });
    let status = child.wait().with_context(|| format!("cannot wait for `{words}`"))?;
    Ok(Outcome { status, passed: passed.into_inner(), failed: failed.into_inner() })
}

fn pass_on(
    from: impl Read,
    to: &mut impl Write,
    totals: Totals,
    passed: &AtomicU64,
    failed: &AtomicU64,
) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        // A reader that went away must not stop the step.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        if let Some((more_passed, more_failed)) = totals(&String::from_utf8_lossy(&line)) {
            passed.fetch_add(more_passed, Ordering::Relaxed);
            failed.fetch_add(more_failed, Ordering::Relaxed);
        }
    }
}

/// Reads the totals of libtest (`test result: ok. 3 passed; 0 failed; …`) and
/// of nextest (`Summary [ 1.2s] 4 tests run: 3 passed (1 slow), 1 failed, …`).
pub(crate) fn test_totals(line: &str) -> Option<(u64, u64)> {
    let line = without_colours(line);
    let line = line.trim();
    let nextest = || line.strip_prefix("Summary [")?.split_once("run:").map(|(_, counts)| counts);
    let counts = line.strip_prefix("test result:").or_else(nextest)?;
    let words: Vec<&str> = counts.split([' ', ',', ';']).filter(|word| !word.is_empty()).collect();
    let count = |what: &str| {
        let pair = words.windows(2).find(|pair| pair[1] == what)?;
        pair[0].parse::<u64>().ok()
    };
    let failed = count("failed").unwrap_or(0) + count("timed").unwrap_or(0);
    Some((count("passed").unwrap_or(0), failed))
}

/// Reads what our own programs say: `3 passed, 1 failed`, alone on a line.
pub(crate) fn own_totals(line: &str) -> Option<(u64, u64)> {
    let (passed, failed) = line.trim().strip_suffix(" failed")?.split_once(" passed, ")?;
    Some((passed.parse().ok()?, failed.parse().ok()?))
}

/// Reads what vitest says: `Tests  1 failed | 3 passed (4)`.
pub(crate) fn vitest_totals(line: &str) -> Option<(u64, u64)> {
    let line = without_colours(line);
    let words: Vec<&str> = line.trim().strip_prefix("Tests ")?.split_whitespace().collect();
    let count = |what: &str| {
        let pair = words.windows(2).find(|pair| pair[1] == what)?;
        pair[0].parse::<u64>().ok()
    };
    match (count("passed"), count("failed")) {
        (None, None) => None,
        (passed, failed) => Some((passed.unwrap_or(0), failed.unwrap_or(0))),
    }
}

/// `line` without the escape sequences that colour it.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            chars.by_ref().find(|c| *c == 'm');
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_of_both_runners_are_read() {
        assert_eq!(
            test_totals("test result: FAILED. 12 passed; 1 failed; 0 ignored; finished in 0.1s\n"),
            Some((12, 1))
        );
        assert_eq!(
            test_totals(
                "     Summary [   0.049s] 5 tests run: 4 passed (2 slow), 1 failed, 3 skipped"
            ),
            Some((4, 1))
        );
        assert_eq!(
            test_totals(
                "\x1b[32;1m     Summary\x1b[0m [ 0.1s] \x1b[1m2\x1b[0m tests run: \x1b[1m2\x1b[0m passed, 0 skipped"
            ),
            Some((2, 0))
        );
        assert_eq!(own_totals("499 passed, 1 failed\n"), Some((499, 1)));
        assert_eq!(vitest_totals("      Tests  1 failed | 3 passed (4)"), Some((3, 1)));
        assert_eq!(
            vitest_totals("\x1b[2m Tests \x1b[22m \x1b[1m12 passed\x1b[22m (12)"),
            Some((12, 0))
        );
        assert_eq!(vitest_totals(" Test Files  3 passed (3)"), None);
        assert_eq!(test_totals("running 3 tests"), None);
        assert_eq!(own_totals("1 of the 40 rounds failed"), None);
    }
}
