//! Many seeds, one after another or on several threads.
//!
//! Owns turning a panic of the rules into a failure of its seed, and showing
//! the last events of one: a failing seed is run again with its trace on.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use crate::coverage::Coverage;
use crate::plan::Options;
use crate::trace::TraceMode;
use crate::violation::Violation;
use crate::world::{Report, World};

/// Events shown of a failing seed.
const EVENTS_SHOWN: usize = 50;

/// A seed that found something.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Which, and how long.
    pub options: Options,
    /// What it found.
    pub violation: Violation,
    /// The last events before it, oldest first.
    pub events: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for event in &self.events {
            writeln!(f, "  {event}")?;
        }
        let Options { seed, steps } = self.options;
        writeln!(f, "seed {seed} breaks: {}", self.violation)?;
        write!(
            f,
            "replay: cargo run -p hongyan-simulator --bin simulate -- --seed {seed} --steps {steps} --trace"
        )
    }
}

/// Simulates one seed.
///
/// # Errors
/// What it found, with the last events before it.
pub fn run_seed(options: Options) -> Result<(Report, Coverage), Box<Failure>> {
    let (outcome, world) = attempt(options, TraceMode::Digest);
    outcome.map(|report| (report, world.coverage().clone())).map_err(|violation| {
        let (again, world) = attempt(options, TraceMode::Last(EVENTS_SHOWN));
        let violation = match again {
            Err(again) if again == violation => violation,
            again => Violation {
                invariant: "a seed does the same twice",
                detail: format!("first: {violation}; then: {again:?}"),
            },
        };
        let events = world.trace().lines().map(str::to_owned).collect();
        Box::new(Failure { options, violation, events })
    })
}

/// Simulates one seed and prints every event.
///
/// # Errors
/// What it found.
pub fn print_seed(options: Options) -> Result<Report, Violation> {
    attempt(options, TraceMode::Print).0
}

/// Which seeds a sweep runs, and how.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    /// The first seed.
    pub first: u64,
    /// How many, one after another.
    pub seeds: u64,
    /// Of each seed.
    pub steps: u64,
    /// Threads, at least one.
    pub threads: usize,
    /// Begin no further seed after one has failed.
    pub until_failure: bool,
}

/// What a sweep found.
#[derive(Debug, Default)]
pub struct Summary {
    /// Seeds without a failure.
    pub passed: u64,
    /// Seeds with one.
    pub failed: u64,
    /// Things that happened.
    pub events: u64,
    /// Virtual time, in milliseconds.
    pub virtual_ms: u64,
    /// Messages that devices sent.
    pub sends: usize,
    /// Of them, acknowledged ones.
    pub acked: usize,
    /// Process deaths.
    pub crashes: u32,
    /// What all runs together have gone through.
    pub coverage: Coverage,
}

impl Sweep {
    /// Runs all seeds; gives each failure to `report` when it is found.
    pub fn run(&self, report: &mut dyn FnMut(u64, Option<&Failure>)) -> Summary {
        let next = AtomicU64::new(0);
        // One place per thread: who is ahead waits for the report.
        let (sender, outcomes) = mpsc::sync_channel(self.threads.max(1));
        let mut summary = Summary::default();
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                let sender = sender.clone();
                let next = &next;
                scope.spawn(move || {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        if at >= self.seeds {
                            break;
                        }
                        let options = Options { seed: self.first + at, steps: self.steps };
                        if sender.send(run_seed(options)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            for outcome in outcomes {
                match outcome {
                    Ok((done, coverage)) => {
                        summary.count(&done, &coverage);
                        report(summary.passed + summary.failed, None);
                    }
                    Err(failure) => {
                        summary.failed += 1;
                        report(summary.passed + summary.failed, Some(&failure));
                        if self.until_failure {
                            next.store(self.seeds, Ordering::Relaxed);
                        }
                    }
                }
            }
        });
        summary
    }
}

impl Summary {
    fn count(&mut self, report: &Report, coverage: &Coverage) {
        self.passed += 1;
        self.events += report.events;
        self.virtual_ms += report.virtual_ms;
        self.sends += report.sends;
        self.acked += report.acked;
        self.crashes += report.crashes;
        self.coverage.absorb(coverage);
    }
}

fn attempt(options: Options, mode: TraceMode) -> (Result<Report, Violation>, World) {
    listen_to_panics();
    let mut world = World::new(options, mode);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run()));
    let outcome = outcome.unwrap_or_else(|_| {
        let detail = PANIC.with(|panic| panic.take()).unwrap_or_default();
        Err(Violation { invariant: "nothing panics", detail })
    });
    (outcome, world)
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps the message of a panic for the failure, instead of printing it.
fn listen_to_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANIC.with(|panic| *panic.borrow_mut() = Some(info.to_string()));
            if std::thread::current().name() == Some("main") {
                before(info);
            }
        }));
    });
}
