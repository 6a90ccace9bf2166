//! The driver for RabbitMQ against the real server.

use hongyan_loadtest::driver::rabbitmq::{QueueKind, RabbitDriver};
use hongyan_loadtest::plan::{Plan, Receipts};
use hongyan_loadtest::report::RunReport;
use hongyan_loadtest::scenario::{Watch, direct};
use hongyan_loadtest::stream::Endpoint;

use crate::peers_node::{Node, assert_complete, small_ring};

fn run(node: &Node, kind: QueueKind, plan: &Plan) -> RunReport {
    let driver = RabbitDriver::new(Endpoint::tcp(node.addr), kind, plan.clone());
    let watch = Watch { quiet: true, ..Watch::default() };
    direct::run(&driver, ("direct", driver.name()), plan, &watch).unwrap()
}

#[test]
fn rabbitmq_carries_a_ring_in_queues_of_both_kinds() {
    let Some(node) = Node::rabbitmq() else {
        return;
    };
    for kind in [QueueKind::Quorum, QueueKind::Classic] {
        for (window, receipts) in [(1, Receipts::Batch), (8, Receipts::Each)] {
            let plan = Plan { receipts, ..small_ring(window) };
            assert_complete(&run(&node, kind, &plan));
        }
        // A text that takes more than one read.
        let plan = Plan { bytes: 16_384, ..small_ring(64) };
        assert_complete(&run(&node, kind, &plan));
    }
    // Without receipts the server asks for no acks.
    let plan = Plan { receipts: Receipts::None, ..small_ring(8) };
    assert_complete(&run(&node, QueueKind::Quorum, &plan));
    assert_complete(&run(&node, QueueKind::Quorum, &small_ring(8)));
}
