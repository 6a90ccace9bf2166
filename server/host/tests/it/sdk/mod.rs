//! Every feature through the SDK against a whole server, each test over TCP
//! and over TLS.
//!
//! A test is an `async fn name(stage: &mut Stage)`; `over_both!` makes of it
//! `name::tcp` and `name::tls`. [`stage`] runs the server and makes clients,
//! [`wait`] waits for what they see. Nothing here sleeps for a while and
//! hopes, and nothing looks at a clock.

/// Makes of each `async fn name(stage: &mut Stage)` of a module the tests
/// `name::tcp` and `name::tls`.
macro_rules! over_both {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use crate::sdk::stage::{Over, run};

            #[test]
            fn tcp() {
                run(Over::Tcp, super::$name);
            }

            #[test]
            fn tls() {
                run(Over::Tls, super::$name);
            }
        }
    )+};
}

mod accounts;
mod child;
mod cursors;
mod devices;
mod direct;
pub(crate) mod external;
mod gaps;
mod groups;
mod people;
mod reconnect;
mod roles;
mod stage;
mod sync;
mod tokens;
mod wait;
