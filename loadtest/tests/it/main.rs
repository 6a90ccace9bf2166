//! The generator against a null relay, a real server, and other people's servers where they are
//! installed, on the loopback interface, and what is made of its results. Correctness only: nothing
//! here depends on how fast the machine is.

mod cold_start;
mod diff;
mod direct;
mod idle;
mod page;
mod peers;
mod peers_jetstream;
mod peers_mqtt;
mod peers_node;
mod peers_program;
mod peers_rabbitmq;
mod peers_redis;
mod peers_xmpp;
mod sample;
mod scenarios;
mod server;
mod storms;
mod text;
