//! Storms of sign-ins: everybody gets in, is counted and answers; who is turned away comes back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use hongyan_loadtest::report::EXIT_FAILED;
use hongyan_loadtest::roster::Account;
use hongyan_loadtest::scenario::Watch;
use hongyan_loadtest::scenario::connect_storm::{self, StormPlan, StormReport};
use hongyan_loadtest::stream::{Endpoint, Transport};
use hongyan_protocol::version::{CLIENT_PREFACE, PREFACE_BYTES};
use hongyan_protocol::{Frame, Opcode, pb};

use crate::server::TestServer;

fn small(connections: usize) -> StormPlan {
    StormPlan { connections, at_once: 4, rounds: 2, hold_s: 0, ..StormPlan::default() }
}

/// Everything but what depends on the machine's speed.
fn assert_whole(report: &StormReport, plan: &StormPlan) {
    for wave in &report.waves {
        let in_ticks: u64 = wave.timeline.iter().map(|tick| tick.done).sum();
        assert_eq!(in_ticks, wave.sign_ins, "{}", wave.name);
    }
    let came_back = plan.connections as u64 * u64::from(plan.rounds.max(1));
    assert_eq!(report.sign_in_spectrum.samples(), came_back);
    assert_eq!(report.from_plan_spectrum.samples(), came_back);
    assert_eq!(report.verdict.failures, Vec::<String>::new());
    assert_eq!(report.waves.len(), plan.rounds as usize + 1);
    for wave in &report.waves {
        assert_eq!(wave.sign_ins, plan.connections as u64, "{wave:?}");
        assert_eq!(wave.counted, Some(plan.connections as u64), "{wave:?}");
        assert_eq!((wave.sign_in.samples, wave.silent), (wave.sign_ins, 0), "{wave:?}");
    }
}

#[test]
fn everybody_gets_in_again_and_again() {
    let Some(server) = TestServer::start() else { return };
    let sessions = server.devices(&server.accounts(2, "storm-"), 12);
    for (transport, plan) in [
        (Transport::Tcp, small(24)),
        (Transport::Tcp, StormPlan { spread_ms: 20, rate: Some(2_000.0), ..small(24) }),
        (Transport::Tcp, StormPlan { overlap: true, at_once: 64, ..small(24) }),
        (Transport::Ws, small(24)),
        (Transport::Wss, small(24)),
    ] {
        let endpoint = server.endpoint(transport);
        let report = connect_storm::run(&endpoint, &sessions, &plan, &server.watch()).unwrap();
        assert_whole(&report, &plan);
        assert_eq!(report.waves[0].gone_s, None);
        assert_eq!(report.waves[1].gone_s.is_some(), !plan.overlap);
        assert_eq!(report.waves[1].resumed, 0);
    }
}

#[test]
fn tls_is_resumed_by_those_who_come_back_and_only_when_asked() {
    let Some(server) = TestServer::start() else { return };
    let sessions = server.devices(&server.accounts(1, "tls-"), 12);
    let endpoint = server.endpoint(Transport::Tls);
    for resumption in [false, true] {
        let plan = StormPlan { resumption, ..small(12) };
        let report = connect_storm::run(&endpoint, &sessions, &plan, &server.watch()).unwrap();
        assert_whole(&report, &plan);
        let resumed: Vec<u64> = report.waves.iter().map(|wave| wave.resumed).collect();
        assert_eq!(resumed, if resumption { [0, 12, 12] } else { [0, 0, 0] });
    }
}

/// What a scripted server does with a connection.
#[derive(Clone, Copy)]
enum Act {
    /// Lets it in and answers heartbeats.
    Welcome,
    /// Turns it away with a hint.
    TurnAway,
    /// Refuses the hello, with a hint.
    Busy,
    /// Closes it without a word.
    HangUp,
}

/// A server that does with its first connections what the script says, and welcomes the rest.
fn scripted(script: &'static [Act]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    // Ends with the test's process; each connection ends with its client.
    thread::spawn(move || {
        for (nth, stream) in listener.incoming().enumerate() {
            let act = script.get(nth).copied().unwrap_or(Act::Welcome);
            thread::spawn(move || serve(stream.unwrap(), act));
        }
    });
    addr
}

fn serve(mut stream: TcpStream, act: Act) {
    let mut heard = [0; 1024];
    if matches!(stream.read(&mut heard[..PREFACE_BYTES]), Ok(0) | Err(_)) {
        return;
    }
    let hello = stream.read(&mut heard).unwrap();
    assert!(hello > 0);
    let frame = match act {
        Act::HangUp => return,
        Act::Welcome => {
            let session = Some(pb::Session { user_id: 5, ..pb::Session::default() });
            Frame::new(Opcode::Hello, 1, &pb::Welcome { session, ..pb::Welcome::default() })
        }
        Act::TurnAway => {
            let hint = pb::Goodbye { code: 606, reconnect_after_ms: 5, ..pb::Goodbye::default() };
            Frame::new(Opcode::Goodbye, 0, &hint)
        }
        Act::Busy => {
            let busy = pb::Error { code: 501, message: String::new(), retry_after_ms: 5 };
            Frame::new(Opcode::Error, 1, &busy)
        }
    };
    stream.write_all(&CLIENT_PREFACE).unwrap();
    stream.write_all(&frame.to_delimited()).unwrap();
    while let Ok(1) = stream.read(&mut heard[..1]) {
        stream.write_all(&[0]).unwrap();
    }
}

fn account(nth: usize) -> Account {
    Account {
        name: format!("storm-{nth}"),
        device_id: "d".to_owned(),
        user_id: 5,
        access_token: "token".to_owned(),
        access_expires_ms: u64::MAX,
        refresh_token: String::new(),
    }
}

fn storm_at(addr: SocketAddr, plan: &StormPlan) -> StormReport {
    let accounts: Vec<Account> = (0..plan.connections).map(account).collect();
    let watch = Watch { quiet: true, ..Watch::default() };
    connect_storm::run(&Endpoint::tcp(addr), &accounts, plan, &watch).unwrap()
}

#[test]
fn who_is_turned_away_comes_back_when_the_server_said() {
    let addr = scripted(&[Act::TurnAway, Act::Busy, Act::Welcome, Act::TurnAway]);
    let report = storm_at(addr, &StormPlan { rounds: 0, ..small(5) });
    let ramp = &report.waves[0];
    assert_eq!(report.verdict.failures, Vec::<String>::new());
    assert_eq!((ramp.sign_ins, ramp.tried_again), (5, 3));
    assert_eq!(ramp.refused.iter().collect::<Vec<_>>(), [(&501, &1), (&606, &2)]);
    assert!(ramp.from_plan.max_us >= ramp.sign_in.max_us);
}

#[test]
fn a_connection_that_ends_without_a_word_is_told() {
    let addr = scripted(&[Act::Welcome, Act::HangUp]);
    let plan = StormPlan { rounds: 0, tries: 1, ..small(3) };
    let report = storm_at(addr, &plan);
    assert_eq!(report.verdict.exit_code, EXIT_FAILED);
    assert_eq!(report.waves[0].broken.values().sum::<u64>(), 1);
    assert_eq!(report.waves[0].given_up.values().sum::<u64>(), 1);
    assert_eq!(report.waves[0].sign_ins, 2);
}
