//! The figures of a run: a table for people, JSON for the next run to compare with.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use hongyan_loadtest::probe::Machine;
use serde::{Deserialize, Serialize};

/// One case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// Of the case.
    pub name: String,
    /// What is counted as one.
    pub operation: String,
    /// Operations that were counted.
    pub operations: u64,
    /// Instructions that they took.
    pub instructions: u64,
}

impl Figure {
    /// Instructions per operation.
    #[must_use]
    pub fn each(&self) -> f64 {
        self.instructions as f64 / self.operations.max(1) as f64
    }
}

/// What a run found, and under which conditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sheet {
    /// Year-month-day, UTC.
    pub date: String,
    /// What was typed.
    pub command: String,
    /// Where it ran, and on which revision.
    pub machine: Machine,
    /// Version of valgrind.
    pub valgrind: String,
    /// Version of the compiler that is in use where the run was started; empty when it is unknown.
    pub compiler: String,
    /// In the order of the table.
    pub figures: Vec<Figure>,
}

impl Sheet {
    /// The sheet of a run of `command` on this machine.
    #[must_use]
    pub fn new(date: String, command: String, valgrind: String, figures: Vec<Figure>) -> Self {
        let machine = Machine::look(None);
        Self { date, command, machine, valgrind, compiler: compiler(), figures }
    }

    /// Reads a sheet that [`Sheet::write`] wrote; the extension of `file` does not matter.
    ///
    /// # Errors
    /// There is none, or it is not one.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let file = file.with_extension("json");
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("reading {}", file.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not a sheet of instructions", file.display()))
    }

    /// Writes the table as `file` with the extension `md`, and the figures beside it as `json`.
    ///
    /// # Errors
    /// One of them cannot be written.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        if let Some(directory) = file.parent().filter(|path| !path.as_os_str().is_empty()) {
            std::fs::create_dir_all(directory)?;
        }
        let json = serde_json::to_string_pretty(self)? + "\n";
        for (extension, text) in [("md", self.to_string()), ("json", json)] {
            let file = file.with_extension(extension);
            std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        }
        Ok(())
    }
}

impl Display for Sheet {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(f, "# Instructions on {}\n", self.date)?;
        writeln!(f, "Command: `{}`\n", self.command)?;
        writeln!(
            f,
            "Machine: {} vCPU ({}), {:.0} GiB, Linux {}; {}, {}. Revision {}.\n",
            machine.cores,
            machine.cpu,
            machine.memory_bytes as f64 / f64::from(1 << 30),
            machine.kernel,
            self.valgrind,
            if self.compiler.is_empty() { "unknown compiler" } else { &self.compiler },
            machine.revision
        )?;
        writeln!(
            f,
            "Instructions in user space per operation, counted by callgrind in a steady state. \
             Release build, the server's allocator, the same inputs in every run. The shard's \
             cases include what the bench does in the host's place (it drops the effects); system \
             calls cost nothing here. Valgrind's processor has no instructions for SHA-256, so \
             tokens cost less on a real one.\n"
        )?;
        writeln!(f, "| case | instructions | per | operations |")?;
        writeln!(f, "|---|---|---|---|")?;
        for figure in &self.figures {
            let Figure { name, operation, operations, .. } = figure;
            writeln!(f, "| `{name}` | {:.1} | {operation} | {operations} |", figure.each())?;
        }
        Ok(())
    }
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_that_is_written_reads_back() {
        let figure = Figure {
            name: "frame_decode".into(),
            operation: "frame".into(),
            operations: 64,
            instructions: 6_400,
        };
        let sheet = Sheet {
            date: "2026-11-26".into(),
            command: "instructions".into(),
            machine: Machine::default(),
            valgrind: "valgrind-3".into(),
            compiler: String::new(),
            figures: vec![figure],
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("evidence/instructions-2026-11-26.md");
        sheet.write(&file).unwrap();
        assert_eq!(Sheet::read(&file).unwrap(), sheet);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("| `frame_decode` | 100.0 | frame | 64 |"), "{text}");
        assert!(Sheet::read(&dir.path().join("absent.json")).is_err());
    }
}
