//! A child appends, settles and trims, and is killed at random moments; nothing it confirmed is
//! missing afterwards.
//!
//! The child is this test binary again: `child_appends_until_killed` does nothing unless the
//! environment names a directory.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use hongyan_store::conformance::Numbers;
use hongyan_store::{Engine, Lsn};

use crate::fixture::{append_upto, compare, open_small, settle_upto};

const DIR_VARIABLE: &str = "HONGYAN_STORE_CRASH_DIR";
const ENGINE_VARIABLE: &str = "HONGYAN_STORE_CRASH_ENGINE";

#[test]
fn a_killed_process_loses_nothing_confirmed_segment() {
    kill_rounds(Engine::Segment, 25);
}

#[test]
fn a_killed_process_loses_nothing_confirmed_sled() {
    kill_rounds(Engine::Sled, 12);
}

fn kill_rounds(engine: Engine, rounds: u64) {
    let dir = tempfile::tempdir().expect("temporary directory");
    drop(open_small(dir.path(), engine));
    let mut numbers = Numbers::new(11);
    let mut acked = 0;
    for round in 0..rounds {
        let pause = Duration::from_millis(20 + numbers.below(150));
        acked = acked.max(one_kill(dir.path().into(), engine, pause));
        let store = open_small(dir.path(), engine);
        if let Err(loss) = compare(&store, acked) {
            panic!("round {round}: {loss}");
        }
        acked = acked.max(store.log.last().0);
    }
    assert!(acked > rounds, "the child got work done: {acked} records");
}

/// Lets a child run for a while, kills it, and returns the last lsn that it confirmed.
fn one_kill(dir: PathBuf, engine: Engine, pause: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "crash::child_appends_until_killed", "--nocapture"])
        .env(DIR_VARIABLE, dir)
        .env(ENGINE_VARIABLE, engine.name())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let out = child.stdout.take().expect("piped");
    let reader = std::thread::spawn(move || {
        let mut last = 0;
        for line in BufReader::new(out).lines() {
            let Ok(line) = line else { break };
            if let Some(lsn) = line.strip_prefix("acked ") {
                last = lsn.parse().unwrap_or(last);
            }
        }
        last
    });
    std::thread::sleep(pause);
    child.kill().expect("kill");
    child.wait().expect("wait");
    reader.join().expect("the reader ends with the pipe")
}

#[test]
fn child_appends_until_killed() {
    let Ok(dir) = std::env::var(DIR_VARIABLE) else {
        return;
    };
    let engine = std::env::var(ENGINE_VARIABLE).expect("set").parse().expect("an engine");
    let mut store = open_small(&PathBuf::from(dir), engine);
    let mut numbers = Numbers::new(u64::from(std::process::id()));
    let end = store.log.last().0 + 100_000;
    while store.log.last().0 < end {
        let last = store.log.last().0 + 1 + numbers.below(40);
        append_upto(store.log.as_mut(), last, 16);
        println!("acked {last}");
        std::io::stdout().flush().expect("flush");
        if numbers.below(8) == 0 {
            settle_upto(store.views.as_ref(), last);
            store.log.truncate_before(Lsn(last)).expect("truncate");
        }
    }
}

#[test]
fn writes_since_the_checkpoint_do_not_disturb_the_scrub() {
    // The process dies with entries overwritten, deleted and added since the checkpoint, in every
    // combination with what the checkpoint saw.
    let dir = tempfile::tempdir().expect("temporary directory");
    let key = |n: u64| bytes::Bytes::from(format!("k{n:03}"));
    let long = bytes::Bytes::from(vec![5; 20_000]);
    {
        let mut store = open_small(dir.path(), Engine::Segment);
        append_upto(store.log.as_mut(), 10, 5);
        let views = &store.views;
        let all: Vec<_> =
            (0..100).map(|n| (key(n), Some(long.slice(..(n * 150) as usize)))).collect();
        views.write(&all).expect("write");
        settle_upto(views.as_ref(), 5);
        for round in 0..4 {
            let some = |n: u64| (n + round).is_multiple_of(3);
            let changed: Vec<_> = (0..130)
                .filter(|n| some(*n))
                .map(|n| (key(n), (n % 2 == 0).then(|| long.slice(..(n * 100 + round) as usize))))
                .collect();
            views.write(&changed).expect("write");
        }
        // Give sled's flusher the chance to write all of it, then leave without a checkpoint.
        std::thread::sleep(Duration::from_millis(1_200));
    }
    let store = open_small(dir.path(), Engine::Segment);
    assert!(store.report.scrub.is_none(), "the views were verified while opening");
    settle_upto(store.views.as_ref(), 10);
    drop(store);
    let report = hongyan_store::check(dir.path()).expect("check runs");
    assert!(report.faults.is_empty(), "{report:?}");
}
