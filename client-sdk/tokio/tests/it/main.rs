//! The tokio client against a small peer in this process that has faults on
//! demand, against a whole server, and its file store on a real disk.

mod client;
mod peer;
mod real;
mod store;
mod tls;
mod wire;
