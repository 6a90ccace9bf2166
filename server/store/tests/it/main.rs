//! The store's tests on real files: one binary.

mod compat;
mod conformance;
mod corpus;
mod crash;
mod damage;
mod fixture;
mod private;
mod space;
