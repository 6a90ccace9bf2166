//! An end that somebody asked for, with Ctrl-C or by a signal.
//!
//! The signal only sets a flag; every wait of a comparison looks at it, so that the servers are
//! ended in order before the program is.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};

/// Somebody asked for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Tells whether the end was asked for.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// One that SIGINT and SIGTERM set from now on, instead of ending the program.
    ///
    /// # Errors
    /// The system takes no handler.
    pub fn on_signals() -> io::Result<Self> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupt.asked))?;
        }
        Ok(interrupt)
    }

    /// Asks for the end.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Goes on unless the end was asked for.
    ///
    /// # Errors
    /// It was.
    pub fn check(&self) -> Result<(), Interrupted> {
        if self.asked.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
    }

    /// Waits for one short step of a loop that waits for something.
    ///
    /// # Errors
    /// As [`Interrupt::check`].
    pub fn pause(&self, step: Duration) -> Result<(), Interrupted> {
        self.check()?;
        thread::sleep(step);
        self.check()
    }
}
