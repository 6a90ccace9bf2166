//! Threads that work on one list of jobs: what blocks is done by several at once.
//!
//! Owns no queue: the next job is a number. Bounded by the number of threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use anyhow::bail;

/// Does the jobs `0..jobs` on at most `threads` threads and gives what came of them, in their
/// order. After the first failure no job is begun.
///
/// # Errors
/// The first failure of a job, or a thread panicked.
pub fn share<R: Send>(
    threads: usize,
    jobs: usize,
    work: impl Fn(usize) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let one = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= jobs {
                break;
            }
            match work(job) {
                Ok(result) => done.push((job, result)),
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(done)
    };
    let parts: Vec<anyhow::Result<Vec<(usize, R)>>> = thread::scope(|scope| {
        let crew: Vec<_> = (0..threads.clamp(1, jobs.max(1))).map(|_| scope.spawn(one)).collect();
        crew.into_iter()
            .map(|member| member.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect()
    });
    let mut done = Vec::with_capacity(jobs);
    for part in parts {
        done.extend(part?);
    }
    done.sort_unstable_by_key(|(job, _)| *job);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_and_in_its_place() {
        for threads in [1, 3, 50] {
            let done = share(threads, 20, |job| Ok(job * 2)).unwrap();
            assert_eq!(done, (0..20).map(|job| job * 2).collect::<Vec<_>>());
        }
        assert!(share(3, 0, |_| Ok(())).unwrap().is_empty());
    }

    #[test]
    fn a_failure_ends_the_work() {
        let begun = AtomicUsize::new(0);
        let error = share(1, 20, |job| {
            begun.fetch_add(1, Ordering::Relaxed);
            if job == 3 { bail!("job {job}") } else { Ok(()) }
        });
        assert_eq!(error.unwrap_err().to_string(), "job 3");
        assert_eq!(begun.load(Ordering::Relaxed), 4);
    }
}
