//! The client against a whole server in this process: what the wire must bear
//! out and a model could only repeat.

mod account;
mod bodies;
mod groups;
mod people;
mod stage;
