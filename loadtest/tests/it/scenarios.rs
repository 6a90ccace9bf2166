//! Every scenario that has messages, small and short, against a real server: whether what it
//! says about correctness is right, nothing about time.

use hongyan_loadtest::report::EXIT_FAILED;
use serde_json::Value;

use crate::server::TestServer;

/// Runs a command line and checks that the product did not fail; gives the result.
#[track_caller]
fn is_correct(server: &TestServer, line: &str) -> Value {
    let (code, result) = server.loadtest(line);
    assert_ne!(code, EXIT_FAILED, "{line}: {}", result["verdict"]);
    assert_eq!(result["verdict"]["failures"], Value::Array(Vec::new()), "{line}");
    result
}

fn count(result: &Value, path: &str) -> u64 {
    let found = result.pointer(path).unwrap_or_else(|| panic!("no {path} in {result}"));
    found.as_u64().unwrap_or_else(|| panic!("{path} is {found}"))
}

#[test]
fn a_ring_over_websocket_loses_nothing() {
    let Some(server) = TestServer::start() else { return };
    let [ws, wss] = server.websocket;
    let ca = server.ca();
    for flags in [
        format!("--addr {ws} --transport ws"),
        format!("--addr {wss} --transport wss --ca {}", ca.display()),
    ] {
        let line = format!(
            "direct --connections 8 --window 16 --messages 2000 --receipts batch --warmup 0 {flags}"
        );
        let result = is_correct(&server, &line);
        assert_eq!(count(&result, "/outcome/findings/lost"), 0);
        assert_eq!(count(&result, "/outcome/delivered_in_all"), 2_000);
    }
}

#[test]
fn everybody_who_is_online_hears_everybody_in_the_group() {
    let Some(server) = TestServer::start() else { return };
    let line = "group-fanout --groups 2 --members 6 --online 4 --senders 2 --window 4 \
                --messages 200 --receipts batch";
    for round in 0..2 {
        let result = is_correct(&server, line);
        let acked = count(&result, "/outcome/acked_in_all");
        assert_eq!(acked, 200, "round {round}");
        assert_eq!(count(&result, "/outcome/delivered_in_all"), acked * 3);
        assert_eq!(count(&result, "/shape/members"), 6);
        assert!(count(&result, "/fanout/spread/samples") > 0);
    }
}

#[test]
fn a_search_for_capacity_tries_rates_until_it_knows() {
    let Some(server) = TestServer::start() else { return };
    let line = "capacity --gate-ms 30000 --from 100 --most 400 --connections 4 --warmup 0 \
                --seconds 1";
    let result = is_correct(&server, line);
    let steps = result["curve"].as_array().unwrap();
    assert!(!steps.is_empty());
    assert!(steps.iter().all(|step| step["finding"] != "failed"), "{result}");
    assert_eq!(result["scenario"], "capacity");
}

#[test]
fn people_who_were_away_get_everything_once_and_in_order() {
    let Some(server) = TestServer::start() else { return };
    // One talk with more messages than a sync brings, so that history is read; then several.
    for (line, messages) in [
        ("offline-catchup --receivers 3 --senders 3 --missed 450 --at-once 3", 3 * 450),
        ("offline-catchup --receivers 4 --senders 3 --talks 3 --missed 30 --per-second 50", 4 * 30),
    ] {
        let result = is_correct(&server, line);
        assert_eq!(count(&result, "/catch_up/messages"), messages);
        assert_eq!(count(&result, "/catch_up/findings/lost"), 0);
        assert!(count(&result, "/catch_up/latency/samples") > 0);
    }
}

#[test]
fn those_who_read_slowly_lose_nothing() {
    let Some(server) = TestServer::start() else { return };
    for speed in ["0", "2000"] {
        let line = format!(
            "slow-consumers --connections 6 --share 0.34 --read-bytes-per-s {speed} --rate 1000 \
             --bytes 2000 --level accepted --warmup 0 --seconds 1 --drain 60"
        );
        let result = is_correct(&server, &line);
        assert_eq!(count(&result, "/slow/consumers"), 2);
        assert_eq!(count(&result, "/slow/life/returns"), 2);
        let acked = count(&result, "/outcome/acked_in_all");
        assert_eq!(count(&result, "/outcome/delivered_in_all"), acked);
        assert!(count(&result, "/slow/life/caught_up") > 0);
    }
}

#[test]
fn a_long_run_in_which_people_reconnect_loses_nothing() {
    let Some(server) = TestServer::start() else { return };
    // Forty in a minute: the first after 0.75 s.
    let line = "soak --connections 40 --rate 200 --reconnect 100 --interval 1 --warmup 0 \
                --seconds 3 --level accepted";
    let result = is_correct(&server, line);
    assert!(count(&result, "/soak/life/returns") > 0);
    let acked = count(&result, "/outcome/acked_in_all");
    assert_eq!(count(&result, "/outcome/delivered_in_all"), acked);
    assert!(!result["soak"]["samples"].as_array().unwrap().is_empty());
}

#[test]
fn a_day_of_talks_groups_and_absences_loses_nothing() {
    let Some(server) = TestServer::start() else { return };
    let line = "mixed-day --people 24 --talks 2 --small 4 --large 12 --direct 50 --in-small 30 \
                --in-large 20 --leave 100 --away 0.5 --rate 200 --level accepted --warmup 0 \
                --seconds 6 --drain 60";
    let result = is_correct(&server, line);
    assert!(count(&result, "/day/life/returns") > 0);
    assert!(count(&result, "/day/life/caught_up") > 0);
    assert!(count(&result, "/day/presences") > 0);
    let kinds = result["day"]["kinds"].as_array().unwrap();
    assert_eq!(kinds.len(), 3);
    for kind in kinds {
        assert!(count(kind, "/ack_latency/samples") > 0 && count(kind, "/e2e_latency/samples") > 0);
    }
}
