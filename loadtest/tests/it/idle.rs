//! Idle sessions of a real server: all are open in every step, and none is ended.

use std::process::Command;
use std::time::Duration;

use hongyan_loadtest::driver::hongyan::HongyanDriver;
use hongyan_loadtest::plan::Plan;
use hongyan_loadtest::report::EXIT_FAILED;
use hongyan_loadtest::scenario::idle::crew::{OwnCrew, Part};
use hongyan_loadtest::scenario::idle::{self, IdlePlan, IdleReport};
use hongyan_loadtest::stream::Transport;

use crate::server::TestServer;

fn small() -> IdlePlan {
    IdlePlan {
        connections: 12,
        steps: 3,
        hold_s: 1,
        heartbeat_s: 1,
        settle_ms: 20,
        ..IdlePlan::default()
    }
}

/// Everything but the figures, which so few sessions do not show.
fn assert_whole(report: &IdleReport) {
    assert_eq!(report.verdict.failures, Vec::<String>::new());
    assert_eq!(report.closed, 0);
    let open: Vec<usize> = report.steps.iter().map(|step| step.connections).collect();
    assert_eq!(open, [0, 4, 8, 12]);
    assert!(report.steps.iter().all(|step| step.anon_bytes > 0));
    assert!(report.fit.slope_error.is_some());
}

#[test]
fn sessions_are_held_over_every_layer() {
    let Some(server) = TestServer::start() else { return };
    let sessions = server.devices(&server.accounts(1, "idle-"), 12);
    for (transport, warm) in
        [(Transport::Tcp, true), (Transport::Tls, false), (Transport::Ws, true)]
    {
        let endpoint = server.endpoint(transport);
        let driver = HongyanDriver::new(endpoint, sessions.clone(), Plan::default());
        let mut crew = OwnCrew::new(driver, Part::ALL, Duration::from_secs(1));
        let plan = IdlePlan { warm, ..small() };
        assert_whole(&idle::run(&mut crew, &plan, &server.watch()).unwrap());
    }
}

#[test]
fn processes_share_the_sessions() {
    let Some(server) = TestServer::start() else { return };
    let (users, json) = (server.scratch("users.jsonl"), server.scratch("idle.json"));
    let status = Command::new(env!("CARGO_BIN_EXE_hongyan-loadtest"))
        .args(["idle", "--connections", "12", "--devices", "6", "--processes", "3"])
        .args(["--steps", "3", "--hold", "1", "--heartbeat", "1", "--settle-ms", "20", "--quiet"])
        .args(["--addr", &server.tcp.to_string(), "--server-pid", &server.pid().to_string()])
        .arg("--data")
        .arg(server.data())
        .arg("--users-file")
        .arg(users)
        .arg("--json")
        .arg(&json)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&status.stderr).into_owned();
    assert!(status.status.code().is_some_and(|code| code != i32::from(EXIT_FAILED)), "{said}");
    let report: IdleReport = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    assert_whole(&report);
    assert_eq!(report.plan.processes, 3);
}
