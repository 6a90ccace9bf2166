//! The generator against a null relay and against a real server, on the loopback interface, and
//! what is made of its results. Correctness only: nothing here depends on how fast the machine is.

mod diff;
mod direct;
mod page;
mod peers;
mod sample;
mod scenarios;
mod server;
mod storms;
mod text;
