//! The MQTT driver against mosquitto.

use std::fs;

use hongyan_loadtest::driver::mqtt::MqttDriver;
use hongyan_loadtest::stream::Endpoint;

use crate::peers_program::{Program, carries_every_message};

#[test]
fn mosquitto_carries_every_message_once() {
    let Some(broker) = Program::start("mosquitto", |port, dir| {
        let config = dir.join("mosquitto.conf");
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n\
             max_inflight_messages 0\nmax_queued_messages 0\n"
        );
        fs::write(&config, text).unwrap();
        vec!["-c".to_owned(), config.display().to_string()]
    }) else {
        return;
    };
    carries_every_message(|plan| MqttDriver::new(Endpoint::tcp(broker.addr), plan));
}
