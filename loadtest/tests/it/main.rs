//! The generator against a null relay on the loopback interface. Correctness only: nothing here
//! depends on how fast the machine is.

mod direct;
