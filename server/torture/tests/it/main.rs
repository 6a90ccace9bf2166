//! The judge must be able to fail: each broken promise is shown to it.

mod damages;
mod judging;
mod stage;
