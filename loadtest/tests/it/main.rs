//! The generator against a null relay on the loopback interface, and what is made of its results.
//! Correctness only: nothing here depends on how fast the machine is.

mod diff;
mod direct;
mod page;
mod sample;
mod text;
