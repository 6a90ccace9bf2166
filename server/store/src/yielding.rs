//! Which threads let others go first when the CPUs are short.
//!
//! What settles the views can wait; whoever answers a device cannot. A woken worker competes for a
//! CPU with sled's pool of writing threads, one against eight, and at an equal priority its share is
//! so small that an ack waits for tens of milliseconds (docs/PERFORMANCE.md). Owns the number; promises
//! no more than a preference: a thread that yields still gets a tenth of the weight of one that
//! does not, so that settling goes on under full load.

use std::thread;

/// What is added to the niceness, of 19 steps (`setpriority(2)`; on Linux it is the thread's own).
const NICENESS: i32 = 10;

/// Makes the calling thread yield to others, and every thread that it starts from now on.
///
/// A system that refuses is not an error: the thread then competes as before.
pub fn yield_to_others() {
    let _ = rustix::process::nice(NICENESS);
}

/// Runs `work` on a thread that yields to others and waits for it. What `work` starts and leaves
/// behind, as sled does its pool, yields too.
pub(crate) fn yielding<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            yield_to_others();
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn niceness() -> i32 {
        rustix::process::getpriority_process(None).expect("a thread has a priority")
    }

    #[test]
    fn only_the_thread_and_those_it_starts_yield() {
        let before = niceness();
        let expected = (before + NICENESS).min(19);
        let (own, child) = yielding(|| {
            let child = thread::spawn(niceness).join().expect("the child ends");
            (niceness(), child)
        });
        assert_eq!((own, child), (expected, expected));
        assert_eq!(niceness(), before);
    }
}
