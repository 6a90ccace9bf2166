//! The run of a case under valgrind.
//!
//! Owns the process: it ends by itself or is killed after five minutes. Which instructions
//! valgrind's processor has is valgrind's choice, so code that looks for special ones (hashes,
//! copies) may take another path than on the machine itself.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use super::cases::Case;
use super::sheet::Figure;
use crate::stage::Program;

/// A run that takes longer is killed.
const RUN_LIMIT: Duration = Duration::from_secs(300);
/// Matches the symbol of [`counted`](super::cases::counted), demangled or not, and no other.
const COUNTED: &str = "*instructions*cases*counted*";

/// Valgrind, as found on this machine.
#[derive(Debug, Clone)]
pub struct Valgrind {
    program: PathBuf,
    /// What it says of itself.
    pub version: String,
}

impl Valgrind {
    /// The valgrind in the search path; `None` when there is none.
    ///
    /// # Errors
    /// It is there and does not run.
    pub fn find() -> anyhow::Result<Option<Self>> {
        Self::at(Path::new("valgrind"))
    }

    fn at(program: &Path) -> anyhow::Result<Option<Self>> {
        let output = match Command::new(program).arg("--version").output() {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("starting valgrind"),
        };
        if !output.status.success() {
            bail!("valgrind --version: {}", output.status);
        }
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Some(Self { program: program.to_owned(), version }))
    }

    /// Instructions of the first thread of `program` with these arguments, while it is within
    /// [`counted`](super::cases::counted).
    fn instructions(&self, program: &Path, args: &[&OsStr], dir: &Path) -> anyhow::Result<u64> {
        let profile = dir.join("profile");
        let mut option = OsStr::new("--callgrind-out-file=").to_owned();
        option.push(&profile);
        let output = dir.join("output");
        let mut command = Command::new(&self.program);
        // Threads of a store work whenever they like; only the one that calls is of interest.
        command.args(["--tool=callgrind", "--separate-threads=yes", "--collect-atstart=no"]);
        command.arg(format!("--toggle-collect={COUNTED}")).arg(option);
        // What the run leaves behind goes with the directory. An allocator that gives memory back
        // when a clock says so would not do the same in every run.
        command.arg(program).args(args).env("TMPDIR", dir).env("MIMALLOC_PURGE_DELAY", "-1");
        let ended = Program::start("valgrind", &mut command, &output)?.wait(RUN_LIMIT)?;
        if !ended.success() {
            let said = fs::read_to_string(&output).unwrap_or_default();
            bail!("valgrind ended with {ended}:\n{said}");
        }
        let profile = dir.join("profile-01");
        let text = fs::read_to_string(&profile)
            .with_context(|| format!("reading what valgrind wrote, {}", profile.display()))?;
        total_of(&text).context("a callgrind profile has a total of instructions")
    }
}

/// Counts `calls` calls of `case` with `program`, which must understand `--child`.
///
/// # Errors
/// The run failed or took too long, or nothing was counted in it.
pub fn count(
    valgrind: &Valgrind,
    program: &Path,
    case: &Case,
    calls: usize,
) -> anyhow::Result<Figure> {
    let dir = tempfile::tempdir()?;
    let number = calls.to_string();
    let args = ["--child", case.name, "--calls", &number].map(OsStr::new);
    let instructions = valgrind
        .instructions(program, &args, dir.path())
        .with_context(|| format!("counting {}", case.name))?;
    if instructions == 0 {
        bail!("{}: nothing was counted; is the program stripped of its symbols?", case.name);
    }
    Ok(Figure {
        name: case.name.to_owned(),
        operation: case.operation.to_owned(),
        operations: (calls * case.per_call) as u64,
        instructions,
    })
}

/// The total in a callgrind profile that counts instructions only.
fn total_of(profile: &str) -> Option<u64> {
    let value = |name: &str| profile.lines().find_map(|line| line.strip_prefix(name));
    if value("events:")?.trim() != "Ir" {
        return None;
    }
    value("totals:").or_else(|| value("summary:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_a_profile_is_found() {
        let profile =
            "# callgrind format\nversion: 1\nevents: Ir\nsummary: 5\n\nfn=a\n1 12\ntotals: 17\n";
        assert_eq!(total_of(profile), Some(17));
        assert_eq!(total_of("events: Ir\nsummary: 5\n"), Some(5));
        assert_eq!(total_of("events: Ir Dr\ntotals: 17 3\n"), None);
        assert_eq!(total_of("events: Ir\n"), None);
    }

    #[test]
    fn a_machine_without_valgrind_has_none() {
        assert!(Valgrind::at(Path::new("no-such-valgrind")).unwrap().is_none());
        assert!(Valgrind::at(Path::new("false")).is_err());
    }
}
