//! Whole comparisons through the command line, against a server that is always there: the null
//! relay as the peer, and as its own opponent. And every peer that is installed is started once as
//! each class.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use hongyan_loadtest::peers::catalog::{PEERS, Peer, Setup};
use hongyan_loadtest::peers::contest::Comparison;
use hongyan_loadtest::peers::interrupt::Interrupt;
use hongyan_loadtest::peers::places::Places;
use hongyan_loadtest::peers::server::{self, Order};
use hongyan_loadtest::peers::tree;
use hongyan_loadtest::report::{EXIT_FAILED, EXIT_NOT_EVIDENCE, EXIT_OK, EXIT_USAGE};

const PROGRAM: &str = env!("CARGO_BIN_EXE_hongyan-loadtest");

fn peers(dir: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(["peers", "--only", "null-relay", "--connections", "5", "--window", "4"])
        .args(["--warmup", "0", "--seconds", "1"])
        .args(["--dir", &dir.to_string_lossy()])
        .args(more);
    command
}

fn told(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    format!("{out}\n{err}")
}

fn code(output: &Output) -> u8 {
    output.status.code().and_then(|code| u8::try_from(code).ok()).unwrap()
}

#[test]
fn a_peer_is_compared_and_nothing_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (work, json, page) =
        (dir.path().join("work"), dir.path().join("out.json"), dir.path().join("out.md"));
    let (json_arg, page_arg) = (json.to_string_lossy(), page.to_string_lossy());
    let flags = ["--stand-in", "--rounds", "2", "--json", &json_arg, "--markdown", &page_arg];
    let output = peers(&work, &flags).output().unwrap();
    // How fast the machine is decides whether the figures are evidence; nothing may fail.
    assert!([EXIT_OK, EXIT_NOT_EVIDENCE].contains(&code(&output)), "{}", told(&output));
    assert!(told(&output).contains("Class memory"), "{}", told(&output));
    let found: Comparison = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!((found.contests.len(), found.left_out.len()), (1, 0));
    let pairs = &found.contests[0].pairs;
    assert_eq!(pairs.len(), 2);
    for run in pairs.iter().flat_map(|pair| [&pair.peer, &pair.ours]) {
        let report = run.report.as_ref().unwrap();
        assert_eq!(report.verdict.failures, Vec::<String>::new());
        assert!(report.outcome.acked > 0 && report.plan.connections == 5);
    }
    assert!(fs::read_to_string(&page).unwrap().starts_with("# Peers on 20"));
    assert_eq!(fs::read_dir(&work).unwrap().count(), 0, "the directories of the runs are gone");
}

#[test]
fn our_server_runs_on_a_copy_for_each_round() {
    let server = Path::new(PROGRAM).with_file_name("hongyan");
    if !server.is_file() {
        eprintln!("NOT TESTED: there is no {}; cargo build -p hongyan makes it", server.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (work, json) = (dir.path().join("work"), dir.path().join("out.json"));
    let output = peers(&work, &["--rounds", "2", "--json", &json.to_string_lossy()]).output();
    let output = output.unwrap();
    assert!([EXIT_OK, EXIT_NOT_EVIDENCE].contains(&code(&output)), "{}", told(&output));
    let found: Comparison = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert!(!found.ours.is_empty());
    for pair in &found.contests[0].pairs {
        let report = pair.ours.report.as_ref().unwrap();
        assert_eq!(report.verdict.failures, Vec::<String>::new());
        assert_eq!(report.driver, "hongyan");
        // Each run has a directory that knows the accounts and no message.
        assert!(report.outcome.sent_in_all > 0 && report.outcome.costs.syncs.is_some());
    }
    assert_eq!(fs::read_dir(&work).unwrap().count(), 0);
}

#[test]
fn a_class_that_no_peer_has_is_no_evidence() {
    let dir = tempfile::tempdir().unwrap();
    let output = peers(dir.path(), &["--stand-in", "--class", "fsync"]).output().unwrap();
    assert_eq!(code(&output), EXIT_NOT_EVIDENCE, "{}", told(&output));
    assert!(told(&output).contains("Nothing was compared"), "{}", told(&output));
}

#[test]
fn a_server_of_ours_that_does_not_serve_fails_the_comparison() {
    let dir = tempfile::tempdir().unwrap();
    let output = peers(dir.path(), &["--server", "/bin/false"]).output().unwrap();
    assert_eq!(code(&output), EXIT_FAILED, "{}", told(&output));
    assert!(told(&output).contains("hongyan ended"), "{}", told(&output));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let absent = dir.path().join("absent");
    let output = peers(dir.path(), &["--server", &absent.to_string_lossy()]).output().unwrap();
    assert_eq!(code(&output), EXIT_USAGE, "{}", told(&output));
}

#[test]
fn the_list_has_every_peer_and_how_to_get_it() {
    let output = Command::new(PROGRAM).args(["peers", "--list"]).output().unwrap();
    assert_eq!(code(&output), EXIT_OK, "{}", told(&output));
    for peer in PEERS.iter().filter(|peer| !peer.hidden) {
        assert!(told(&output).contains(peer.name), "{}", told(&output));
    }
}

#[test]
fn an_interrupt_ends_every_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = peers(dir.path(), &["--stand-in", "--rounds", "100"]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines();
    // The first round is over, so the next server runs or is about to.
    let first = lines.by_ref().map_while(Result::ok).find(|line| line.contains("1/100: hongyan"));
    assert!(first.is_some());
    let family = tree::family(Path::new(tree::PROC), running.id());
    let term = Command::new("kill").args(["-TERM", &running.id().to_string()]).status().unwrap();
    assert!(term.success());
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let status = running.wait().unwrap();
    assert_eq!(status.code(), Some(EXIT_NOT_EVIDENCE.into()), "{rest:?}");
    for one in family.iter().skip(1) {
        let now = tree::process(Path::new(tree::PROC), one.pid);
        assert!(now.is_none_or(|now| now.started != one.started), "{one:?} still runs");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn every_installed_peer_starts_as_each_class_and_is_ended() {
    let interrupt = Interrupt::default();
    let places = Places::of_this_process().unwrap();
    for peer in PEERS.iter().filter(|peer| !peer.hidden) {
        let launches = peer.beside.into_iter().chain([peer.launch]);
        if launches.into_iter().any(|launch| places.find(launch.programs).is_none()) {
            eprintln!("NOT TESTED: {} is not installed: {}", peer.name, peer.from);
            continue;
        }
        for (index, setup) in peer.setups.iter().enumerate() {
            let names =
                |setup: &Setup| -> Vec<&str> { setup.files.iter().map(|file| file.name).collect() };
            // Where two classes differ in what the driver asks for, one start is enough.
            if peer.setups[..index].iter().all(|other| names(other) != names(setup)) {
                start(peer, setup, &places, &interrupt);
            }
        }
    }
}

fn start(peer: &Peer, setup: &Setup, places: &Places, interrupt: &Interrupt) {
    let dir = tempfile::tempdir().unwrap();
    let order = Order { peer, setup, connections: 5, config_dir: None };
    let title = format!("{}, {}", peer.name, setup.class);
    let server = server::start(&order, places, dir.path(), interrupt)
        .unwrap_or_else(|error| panic!("{title}: {error:#}"));
    let proc = Path::new(tree::PROC);
    let measured = tree::process(proc, server.pid).unwrap();
    assert!(peer.measured.is_none_or(|name| measured.name == name), "{title}: {measured:?}");
    server.stop();
    let now = tree::process(proc, measured.pid);
    assert!(now.is_none_or(|now| now.started != measured.started), "{title} still runs");
}
