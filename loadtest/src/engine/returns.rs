//! Brings sessions back while the workers go on: connecting and catching up block, so they are
//! done beside the workers, by a few threads.
//!
//! ```text
//! worker ─ Job (who, what it holds) ─> crew of threads ─ Driver::reopen ─> Back ─> worker (woken)
//! ```
//!
//! Bounded: a seat has one job at most. The threads end when the last worker has.

use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use mio::Waker;

use crate::driver::Return;
use crate::engine::topology::{Seat, Topology};

/// Seats that come back at the same time.
pub(crate) const AT_ONCE: usize = 4;

/// A seat that wants to come back.
#[derive(Debug)]
pub(crate) struct Job<L> {
    /// Its place in the topology.
    pub(crate) seat: usize,
    /// Its place on the worker.
    pub(crate) local: usize,
    /// By talk: the highest seq below which it has no gap.
    pub(crate) held: Vec<u64>,
    pub(crate) reply: SyncSender<Back<L>>,
    pub(crate) waker: Arc<Waker>,
}

/// What came of a [`Job`].
#[derive(Debug)]
pub(crate) struct Back<L> {
    pub(crate) local: usize,
    /// The session, or why there is none.
    pub(crate) returned: Result<Return<L>, String>,
    pub(crate) took_ns: u64,
}

/// How a driver opens a seat again.
pub(crate) type Reopen<'a, L> =
    dyn Fn(usize, &Seat, Option<&[u64]>) -> anyhow::Result<Return<L>> + Sync + 'a;

/// One thread of the crew: works until no worker is left that could ask.
pub(crate) fn serve<L>(
    jobs: &Mutex<Receiver<Job<L>>>,
    topology: &Topology,
    reopen: &Reopen<'_, L>,
) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else {
            return;
        };
        let began = Instant::now();
        let returned = reopen(job.seat, &topology.seats[job.seat], Some(&job.held))
            .map_err(|error| format!("{error:#}"));
        let took_ns = began.elapsed().as_nanos() as u64;
        // A worker that ended meanwhile needs neither.
        let _ = job.reply.send(Back { local: job.local, returned, took_ns });
        let _ = job.waker.wake();
    }
}
