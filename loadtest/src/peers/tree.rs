//! Which processes belong to a program that starts others.
//!
//! Reads `/proc` and nothing else. A process id is only acted on together with its start time, so
//! that an id that the system has given away again is left alone.

use std::fs;
use std::path::Path;

/// Where the system shows its processes.
pub const PROC: &str = "/proc";
/// Generations that are followed; deeper ones would be a mistake of ours.
const DEPTH_MAX: usize = 16;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// Name of its program, cut to 15 bytes by the kernel.
    pub name: String,
    /// When it was started, in clock ticks since the machine was.
    pub started: u64,
    /// It has ended, and its parent has not asked how.
    pub ended: bool,
}

/// The process `pid`, if there is one.
#[must_use]
pub fn process(proc: &Path, pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(proc.join(pid.to_string()).join("stat")).ok()?;
    parse(pid, &stat)
}

/// The process `root` and everything that descends from it, parents before children.
#[must_use]
pub fn family(proc: &Path, root: u32) -> Vec<Process> {
    let all = processes(proc);
    let mut family: Vec<Process> = all.iter().filter(|one| one.pid == root).cloned().collect();
    let mut generation: Vec<u32> = family.iter().map(|one| one.pid).collect();
    for _ in 0..DEPTH_MAX {
        let children: Vec<Process> =
            all.iter().filter(|one| generation.contains(&one.parent)).cloned().collect();
        if children.is_empty() {
            break;
        }
        generation = children.iter().map(|one| one.pid).collect();
        family.extend(children);
    }
    family
}

/// The member of `root`'s family with that program name: the one nearest to the root.
#[must_use]
pub fn named(proc: &Path, root: u32, name: &str) -> Option<Process> {
    family(proc, root).into_iter().find(|one| one.name == name)
}

fn processes(proc: &Path) -> Vec<Process> {
    let Ok(entries) = fs::read_dir(proc) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| process(proc, pid))
        .collect()
}

/// `42 (a name) S 1 ...`: the name may hold anything, brackets included.
fn parse(pid: u32, stat: &str) -> Option<Process> {
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = after.split_whitespace().collect();
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        name,
        started: fields.get(19)?.parse().ok()?,
        ended: matches!(*fields.first()?, "Z" | "X"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(proc: &Path, pid: u32, parent: u32, name: &str) {
        let dir = proc.join(pid.to_string());
        fs::create_dir_all(&dir).unwrap();
        let rest = "0 0 0 -1 0 1 0 0 0 2 1 0 0 20 0 5 0";
        let stat = format!("{pid} ({name}) S {parent} {rest} {} 1 1", pid * 10);
        fs::write(dir.join("stat"), stat).unwrap();
    }

    #[test]
    fn the_beam_below_a_shell_is_found_and_strangers_are_not() {
        let proc = tempfile::tempdir().unwrap();
        let proc = proc.path();
        add(proc, 1, 0, "init");
        add(proc, 10, 1, "rabbitmq (x) S 9");
        add(proc, 11, 10, "beam.smp");
        add(proc, 12, 11, "erl_child_setup");
        add(proc, 13, 12, "beam.smp");
        add(proc, 20, 1, "beam.smp");
        fs::create_dir(proc.join("self")).unwrap();
        fs::create_dir(proc.join("99")).unwrap();
        let pids: Vec<u32> = family(proc, 10).iter().map(|one| one.pid).collect();
        assert_eq!(pids, [10, 11, 12, 13]);
        assert_eq!(named(proc, 10, "beam.smp").unwrap().pid, 11);
        assert_eq!(named(proc, 12, "redis-server"), None);
        assert_eq!(process(proc, 11).unwrap().started, 110);
        assert_eq!(family(proc, 77), []);
    }

    #[test]
    fn a_ring_of_parents_ends() {
        let proc = tempfile::tempdir().unwrap();
        add(proc.path(), 5, 6, "a");
        add(proc.path(), 6, 5, "b");
        assert!(family(proc.path(), 5).len() <= 2 + DEPTH_MAX);
    }

    #[test]
    fn this_process_is_its_parents_child() {
        let own = std::process::id();
        let found = process(Path::new(PROC), own).unwrap();
        assert!(found.started > 0 && !found.ended);
        assert!(family(Path::new(PROC), found.parent).iter().any(|one| one.pid == own));
    }
}
