//! The core against a server that is a model, with a virtual clock and
//! without sockets.

mod bodies;
mod groups;
mod outbox;
mod presence;
mod random;
mod server;
mod session;
mod sync;
mod telling;
mod timeline;
mod world;
