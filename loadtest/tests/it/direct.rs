//! Rings of a few connections: every message is accounted for, and faults are found.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use hongyan_loadtest::driver::null::NullDriver;
use hongyan_loadtest::null_relay::NullRelay;
use hongyan_loadtest::plan::{Pace, Plan, Stop};
use hongyan_loadtest::report::{EXIT_FAILED, RunReport};
use hongyan_loadtest::scenario::{Watch, direct};
use hongyan_loadtest::stream::Endpoint;

struct Relay {
    addr: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    fn start(connections: usize) -> Self {
        let mut relay = NullRelay::bind(([127, 0, 0, 1], 0).into(), connections).unwrap();
        let addr = relay.local_addr().unwrap();
        let stop = relay.stop_flag();
        let thread = Some(thread::spawn(move || relay.run().unwrap()));
        Self { addr, stop, thread }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn small(messages: u64) -> Plan {
    Plan { connections: 5, window: 8, stop: Stop::Messages { messages }, ..Plan::default() }
}

fn run(addr: SocketAddr, plan: &Plan) -> RunReport {
    let driver = NullDriver::new(Endpoint::tcp(addr), plan.clone());
    let watch = Watch { quiet: true, ..Watch::default() };
    direct::run(&driver, ("direct", "null relay"), plan, &watch).unwrap()
}

#[test]
fn every_message_is_acked_and_delivered_once() {
    let relay = Relay::start(5);
    for (threads, bytes, window) in [(1, 40, 1), (2, 128, 8), (1, 16_384, 127)] {
        let plan = Plan { threads, bytes, window, ..small(2_000) };
        let report = run(relay.addr, &plan);
        let outcome = &report.outcome;
        assert_eq!(report.verdict.failures, Vec::<String>::new());
        let counts = (outcome.sent_in_all, outcome.acked_in_all, outcome.delivered_in_all);
        assert_eq!(counts, (2_000, 2_000, 2_000));
        assert_eq!(outcome.ack_latency.samples, 2_000);
        assert_eq!(outcome.e2e_latency.samples, 2_000);
    }
}

#[test]
fn an_open_loop_offers_what_was_planned() {
    let relay = Relay::start(5);
    let pace = Pace::OpenLoop { per_second: 2_000.0 };
    let plan = Plan { pace, stop: Stop::Time, warmup_s: 0, seconds: 1, ..small(1) };
    let report = run(relay.addr, &plan);
    let outcome = &report.outcome;
    assert_eq!(report.verdict.failures, Vec::<String>::new());
    assert_eq!(outcome.sent_in_all, outcome.delivered_in_all);
    // The schedule is arithmetic, so the number of sends does not depend on the machine.
    assert!((1_990..=2_001).contains(&(outcome.sent_in_all + outcome.not_offered)), "{outcome:?}");
    assert!(outcome.lateness.is_some());
}

/// Passes bytes on between the generator and a relay, and lets `spoil` change them.
fn spoiler(
    upstream: SocketAddr,
    connections: usize,
    spoil: fn(usize, &mut Vec<u8>),
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let mut pumps = Vec::new();
        for index in 0..connections {
            let (near, _) = listener.accept().unwrap();
            let far = TcpStream::connect(upstream).unwrap();
            let (near_in, far_out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            pumps.push(thread::spawn(move || pump(near_in, far_out, &mut |_| {})));
            pumps.push(thread::spawn(move || {
                pump(far, near, &mut |bytes| spoil(index, bytes));
            }));
        }
        for pump in pumps {
            pump.join().unwrap();
        }
    });
    (addr, thread)
}

fn pump(mut from: TcpStream, mut to: TcpStream, change: &mut dyn FnMut(&mut Vec<u8>)) {
    let mut scratch = vec![0; 64 * 1024];
    while let Ok(count) = from.read(&mut scratch) {
        let mut bytes = scratch[..count].to_vec();
        change(&mut bytes);
        if count == 0 || to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}

#[test]
fn a_changed_byte_fails_the_run() {
    let relay = Relay::start(5);
    let (addr, proxy) = spoiler(relay.addr, 5, |index, bytes| {
        // The last byte of what arrives is in a text's filler or in an ack.
        if index == 2 && bytes.len() > 150 {
            *bytes.last_mut().unwrap() ^= 1;
        }
    });
    let plan = Plan { drain_s: 1, ..small(500) };
    let report = run(addr, &plan);
    assert_eq!(report.verdict.exit_code, EXIT_FAILED);
    assert!(!report.verdict.failures.is_empty());
    proxy.join().unwrap();
}

#[test]
fn a_server_that_hangs_up_fails_the_run() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let open: Vec<_> = (0..5).map(|_| listener.accept().unwrap()).collect();
        drop(open);
    });
    let report = run(addr, &Plan { drain_s: 1, ..small(500) });
    server.join().unwrap();
    assert_eq!(report.verdict.exit_code, EXIT_FAILED);
    assert_eq!(report.outcome.broken.len(), 5);
    assert_eq!(report.outcome.acked_in_all, 0);
}
