//! The terminal client without a terminal and without a server: the model is
//! fed by hand, the screen is drawn into a buffer.

mod chats;
mod groups;
mod login;
mod plain;
mod screens;
mod world;
