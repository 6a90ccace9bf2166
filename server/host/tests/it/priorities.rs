//! Who lets whom go first when the CPUs are short.

use std::fs;

use crate::support::{ChildNode, eventually};

/// Name and niceness of each thread of a process. The name stands in brackets in `stat`; niceness
/// is the 17th field after it (`proc_pid_stat(5)`).
fn threads(pid: u32) -> Vec<(String, i32)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("stat")).ok());
    stats
        .map(|stat| {
            let (before, after) = stat.rsplit_once(") ").unwrap();
            let name = before.split_once('(').unwrap().1.to_owned();
            (name, after.split(' ').nth(16).unwrap().parse().unwrap())
        })
        .collect()
}

#[test]
fn settling_yields_to_those_who_serve() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let settings = [("HONGYAN_STORE__SETTLE_SECONDS", "1")];
    // A new store and one that is there: sled starts its threads at different moments.
    for _ in 0..2 {
        let server = ChildNode::start(&data, &settings);
        let of = |prefix: &str| -> Vec<i32> {
            let all = threads(server.pid()).into_iter();
            all.filter(|(name, _)| name.starts_with(prefix)).map(|(_, nice)| nice).collect()
        };
        eventually("sled has threads", || !of("sled-io").is_empty());
        // The names are cut off after 15 characters.
        let serving = [of("hongyan-worker"), of("hongyan-committ"), of("hongyan-accepto")].concat();
        let yielding = [of("sled-io"), of("hongyan-settler"), of("hongyan-passwor")].concat();
        assert!(serving.len() >= 3 && yielding.len() >= 3, "{:?}", threads(server.pid()));
        let most_patient = serving.iter().max();
        assert!(
            yielding.iter().all(|nice| Some(nice) > most_patient),
            "{:?}",
            threads(server.pid())
        );
        assert!(server.terminate().success());
    }
}
