//! The Redis driver against redis-server.

use hongyan_loadtest::driver::redis::RedisDriver;
use hongyan_loadtest::stream::Endpoint;

use crate::peers_program::{Program, carries_every_message};

#[test]
fn redis_carries_every_message_once() {
    let Some(server) = Program::start("redis-server", |port, dir| {
        let (port, dir) = (port.to_string(), dir.display().to_string());
        ["--port", &port, "--bind", "127.0.0.1", "--dir", &dir, "--save", ""]
            .map(Into::into)
            .into_iter()
            .chain(["--appendonly", "yes", "--appendfsync", "always"].map(Into::into))
            .collect()
    }) else {
        return;
    };
    carries_every_message(|plan| RedisDriver::new(Endpoint::tcp(server.addr), plan.clone()));
}
