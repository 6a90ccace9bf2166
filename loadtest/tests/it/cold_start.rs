//! Cold starts against a real server: everything comes, however it is cut into pages.

use hongyan_loadtest::scenario::cold_start::{self, ColdFindings, ColdStartPlan};
use hongyan_loadtest::stream::Transport;

use crate::server::TestServer;

#[test]
fn every_conversation_comes_with_its_last_message() {
    let Some(server) = TestServer::start() else { return };
    let plan = ColdStartPlan {
        users: 2,
        conversations: 9,
        groups: 4,
        repeats: 3,
        bytes: 900,
        ..Default::default()
    };
    let accounts = server.accounts(plan.accounts(), "cold-");
    // The second run finds the same conversations with a message more; the third has small pages.
    for (transport, page_bytes) in
        [(Transport::Tcp, 0), (Transport::Tls, 0), (Transport::Tcp, 4_096), (Transport::Wss, 0)]
    {
        let plan = ColdStartPlan { page_bytes, ..plan.clone() };
        let endpoint = server.endpoint(transport);
        let report = cold_start::run(&endpoint, &accounts, &plan, &server.watch()).unwrap();
        assert_eq!(report.verdict.failures, Vec::<String>::new());
        assert_eq!(report.findings, ColdFindings::default());
        assert_eq!((report.starts, report.latency.samples, report.first.samples), (6, 6, 2));
        assert_eq!(report.spectrum.samples(), 6);
        assert_eq!(report.timeline.iter().map(|tick| tick.done).sum::<u64>(), 6);
        let one_page = page_bytes == 0;
        assert_eq!(report.round_trips_max == 1, one_page, "{report:?}");
        // Nine messages, and what is around them.
        assert!(report.bytes_down_per_start > 9.0 * 900.0, "{report:?}");
    }
}

#[test]
fn conversations_of_another_plan_are_told() {
    let Some(server) = TestServer::start() else { return };
    let plan = ColdStartPlan { users: 1, conversations: 4, repeats: 1, ..Default::default() };
    let accounts = server.accounts(plan.accounts(), "cold-");
    let endpoint = server.endpoint(Transport::Tcp);
    cold_start::run(&endpoint, &accounts, &plan, &server.watch()).unwrap();
    let fewer = ColdStartPlan { conversations: 3, ..plan };
    let report = cold_start::run(&endpoint, &accounts, &fewer, &server.watch()).unwrap();
    assert_eq!(report.findings.unexpected, 1);
    assert!(report.verdict.failures[0].contains("--users-prefix"), "{:?}", report.verdict);
}
