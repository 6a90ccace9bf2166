//! The reactor: sockets, threads and time, without a domain word.
//! Private to the host, but for the [`mailbox`], which the benches measure.
//!
//! One worker is one thread, one `mio::Poll` and one shard. No lock, no
//! `async` and no blocking call on that thread. Bytes become frames here and
//! frames become bytes; what a frame means is the shard's.
//!
//! # A wake
//! ```text
//! poll > release what has become durable > mailbox > read to a budget and
//! handle > due timers > long work, a step at a time > end the wake: one
//! submission to the committer > queue what waits behind it > release > posts
//! to other workers > flush each dirty connection once
//! ```
//! There is never a timer that waits for more to come: a batch is what
//! arrived while the one before was under way.
//!
//! # The edge-trigger discipline
//! mio registers edges: readiness is told once, when it begins. Everybody
//! here keeps these rules, or a connection falls asleep for ever:
//! 1. A readable edge sets `readable`, and only a read that found the socket
//!    empty (would block, or a short read) takes it down. Whoever stops
//!    earlier (budget, a full out-queue, congestion) leaves it up and sees to
//!    it that the connection is in the ready list again. When the edge also
//!    said that the peer has ended, a short read is not the last one: the
//!    end itself is read too.
//! 2. Bytes queued while handling anything put the connection into the dirty
//!    list; the flush at the end of the wake tries the socket. Only a write
//!    that would block waits for a writable edge.
//! 3. Interest is registered once, for both directions, and never changed.
//! 4. Bytes left in the connection's own buffer raise no edge. Who leaves
//!    whole frames there keeps the connection in the ready list.
//! 5. After a move to another worker the new registration raises edges for
//!    what is there; the buffer's content does not, see 4.
//! 6. A lost accept edge (out of descriptors) is made good by a timer.
//!
//! # What is bounded, and what happens then
//! | what | bound | then |
//! |---|---|---|
//! | bytes read of one connection in a wake | `READ_BYTES_PER_WAKE` | others first, the rest in the next wake |
//! | frames of one connection in a wake | `FRAMES_PER_WAKE` | the same |
//! | bytes of a frame | negotiated | Goodbye |
//! | out-queue | soft, hard (configured) | pushes dropped and sync, nothing read; Goodbye |
//! | mailbox | `MAILBOX_LEN` | the sender's overflow; it stops reading sockets |
//! | submissions of a worker not written yet | `IN_FLIGHT_BYTES_MAX` | no worker reads a socket |
//! | log that is not in the views | `commit::UNSETTLED_ROUNDS` | no worker reads a socket |
//! | loads waiting for a loader | `commit::LOADS_LEN` | kept; no socket is read |
//! | connections | configured | Goodbye at accept |

pub(crate) mod acceptor;
pub(crate) mod addresses;
mod admission;
pub(crate) mod connection;
mod deadlines;
mod executor;
mod handoff;
mod jitter;
pub mod mailbox;
mod outqueue;
pub(crate) mod post;
mod reading;
mod sockets;
mod timer;
pub(crate) mod transport;
pub(crate) mod worker;

/// Posts that a mailbox holds.
pub(crate) const MAILBOX_LEN: usize = 4_096;
/// Bytes read of one connection in one wake.
const READ_BYTES_PER_WAKE: usize = 256 * 1024;
/// Frames taken of one connection in one wake.
const FRAMES_PER_WAKE: usize = 256;
/// Bytes read of all connections in one wake.
const READ_BYTES_ALL_PER_WAKE: usize = 4 * 1024 * 1024;
/// Bytes of a worker's read scratch.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Bytes of submissions that may be with the committer.
const IN_FLIGHT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Steps of long work in one wake.
const WORK_STEPS_PER_WAKE: usize = 8;
/// Events taken from one poll.
const EVENTS_PER_WAKE: usize = 1_024;
