//! The driver for XMPP against ejabberd.

use hongyan_loadtest::driver::Driver;
use hongyan_loadtest::driver::xmpp::XmppDriver;
use hongyan_loadtest::plan::Plan;
use hongyan_loadtest::report::RunReport;
use hongyan_loadtest::scenario::{Watch, direct};
use hongyan_loadtest::stream::Endpoint;

use crate::peers_node::{Node, assert_complete, small_ring};

fn run(node: &Node, plan: &Plan) -> RunReport {
    let driver = XmppDriver::new(Endpoint::tcp(node.addr), plan.clone());
    let watch = Watch { quiet: true, ..Watch::default() };
    direct::run(&driver, ("direct", "xmpp"), plan, &watch).unwrap()
}

#[test]
fn ejabberd_carries_a_ring() {
    let Some(node) = Node::ejabberd() else {
        return;
    };
    // Each run finds what its predecessor left without an ack, with texts of another length.
    for plan in [small_ring(1), Plan { bytes: 16_384, ..small_ring(64) }, small_ring(64)] {
        assert_complete(&run(&node, &plan));
    }
    // Accounts that exist are no reason to stop.
    let plan = small_ring(8);
    let driver = XmppDriver::new(Endpoint::tcp(node.addr), plan.clone());
    driver.prepare().unwrap();
    driver.prepare().unwrap();
}
