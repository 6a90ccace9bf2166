//! Deadlines and limits: what a connection may cost.

use std::time::Duration;

use hongyan_protocol::{ErrorCode, Frame, Opcode, pb};

use crate::support::{TestNode, Wire, eventually};

#[test]
fn a_stranger_who_says_nothing_is_closed() {
    let test = TestNode::start_with(|raw| raw.limits.login_timeout_ms = 300);
    let mut wire = Wire::silent(test.tcp());
    wire.read_preface();
    wire.goodbye_with(ErrorCode::LoginTimeout);
}

#[test]
fn a_slow_loris_is_closed_however_busy_it_looks() {
    let test = TestNode::start_with(|raw| raw.limits.login_timeout_ms = 600);
    let mut wire = test.connect();
    let closed = (0..1_000).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        std::io::Write::write_all(&mut wire.stream, &[0]).is_err()
            || test.metric("hongyan_connections_closed_total") >= 1.0
    });
    assert!(closed, "still open");
}

#[test]
fn a_frame_that_is_never_finished_closes_a_session() {
    let test = TestNode::start_with(|raw| raw.limits.frame_timeout_ms = 300);
    let mut wire = test.register("ann");
    wire.send_bytes(&[100, 1, 2, 3]);
    wire.goodbye_with(ErrorCode::IdleTimeout);
}

#[test]
fn a_frame_may_come_slowly_within_its_time() {
    let test = TestNode::start();
    let mut wire = test.register("ann");
    let frame = Frame::new(Opcode::ListDevices, 40, &pb::ListDevices {}).to_delimited();
    for byte in &frame {
        wire.send_bytes(&[*byte]);
        std::thread::sleep(Duration::from_millis(3));
    }
    assert_eq!(wire.reply(40).opcode, Opcode::ListDevices.number());
}

#[test]
fn a_silent_session_is_closed_and_a_beating_one_is_not() {
    let test = TestNode::start_with(|raw| raw.session.heartbeat_ms = 1_000);
    let mut silent = test.register("ann");
    let mut beating = test.register("bob");
    // Half a heartbeat apart, well past two and a half heartbeats.
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(500));
        beating.beat();
    }
    silent.goodbye_with(ErrorCode::IdleTimeout);
    beating.beat();
}

#[test]
fn one_connection_too_many_is_told_so() {
    let test = TestNode::start_with(|raw| raw.limits.connections_max = 3);
    let mut wires: Vec<Wire> = (0..3).map(|_| test.connect()).collect();
    let mut fourth = Wire::silent(test.tcp());
    fourth.read_preface();
    fourth.goodbye_with(ErrorCode::TooManyConnections);
    wires.pop();
    eventually("room for another", || test.handle().connections() < 3);
    test.connect().beat();
}

#[test]
fn an_address_that_comes_too_often_is_shut_out() {
    let test = TestNode::start_with(|raw| {
        raw.limits.limit_loopback = true;
        raw.limits.address_connections_burst = 5;
        raw.limits.address_connections_per_second = 1;
    });
    let mut wires: Vec<Wire> = (0..20).map(|_| Wire::silent(test.tcp())).collect();
    eventually("some were shut out", || test.metric("hongyan_accept_rate_limited_total") >= 5.0);
    wires[0].exchange_prefaces();
    wires[0].beat();
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    let test = TestNode::start();
    let mut lasting = test.register("ann");
    for _ in 0..20 {
        let wires: Vec<Wire> = (0..100).map(|_| Wire::silent(test.tcp())).collect();
        drop(wires);
        lasting.beat();
    }
    eventually("only one is left", || test.handle().connections() == 1);
    lasting.beat();
}

#[test]
fn a_full_disk_refuses_writes_and_serves_reads() {
    let mut test = TestNode::start();
    let mut wire = test.register("ann");
    wire.call::<pb::Devices>(Opcode::ListDevices, &pb::ListDevices {}).unwrap();
    drop(wire);
    test.stop();
    // More must be free than any disk has.
    test.raw.store.free_mib_min = 1 << 20;
    test.restart();
    eventually("writes are refused", || {
        let mut wire = test.connect();
        wire.hello("ann-device");
        match wire.login("ann") {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.code, ErrorCode::StoreUnavailable.number());
                assert_eq!(error.retry_after_ms, 5_000);
                true
            }
        }
    });
    let mut wire = test.connect();
    wire.hello("ann-device");
    wire.beat();
}
