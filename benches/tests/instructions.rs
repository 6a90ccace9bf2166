//! The program `instructions`, from outside.

use std::process::{Command, Output};

use hongyan_benches::instructions::{Figure, Sheet, Valgrind};
use hongyan_loadtest::probe::Machine;

fn instructions(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_instructions"));
    command.args(args);
    command
}

fn text(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn a_machine_without_valgrind_is_told_so() {
    let nothing = tempfile::tempdir().unwrap();
    let output = instructions(&[]).env("PATH", nothing.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(77), "{}", text(&output));
    assert!(text(&output).contains("SKIPPED"));
}

#[test]
fn a_case_that_nobody_knows_is_refused() {
    let output = instructions(&["--case", "no-such-case"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
}

#[test]
fn a_case_that_got_worse_is_told_by_the_exit_code() {
    if Valgrind::find().unwrap().is_none() {
        eprintln!("!!! SKIPPED: valgrind is not installed here");
        return;
    }
    let figure = Figure {
        name: "frame_encode".into(),
        operation: "frame".into(),
        operations: 100,
        instructions: 1,
    };
    let before = Sheet {
        date: "2026-01-01".into(),
        command: String::new(),
        machine: Machine::default(),
        valgrind: String::new(),
        compiler: String::new(),
        figures: vec![figure],
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("before.json");
    before.write(&file).unwrap();
    let output = instructions(&["--case", "frame_encode", "--divide", "64", "--against"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("WORSE"), "{}", text(&output));
}
