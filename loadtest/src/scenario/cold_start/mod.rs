//! A client that holds nothing: what it costs until its list of conversations is complete.
//!
//! ```text
//! fill: somebody else writes into every conversation ─ starts until all of it comes ─ starts that count
//! a start: connect ─ hello with token, holding nothing ─ Welcome with the first page ─ more pages
//! ```
//!
//! Starts come one after the other, so that CPU and latency are those of a start and not of a
//! queue. Each must bring every conversation with its last message and its unread count. A server
//! may list a conversation some time after it has acknowledged its message, so starts count once
//! every list is complete; how long that took is told, and there is a limit to it.

mod check;
mod prepare;
mod report;

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use hongyan_protocol::limits::{
    CONVERSATIONS_MAX, INVITE_USERS_MAX, PAGE_BYTES_MAX, TEXT_BYTES_MAX,
};
use hongyan_protocol::{Opcode, pb};
use serde::{Deserialize, Serialize};

pub use self::check::ColdFindings;
pub use self::report::ColdStartReport;

use self::prepare::{Expected, People};
use crate::ceilings::Ceilings;
use crate::cpu_clock::{CpuClock, CpuTime};
use crate::histogram::nanoseconds;
use crate::plan::{CONNECTIONS_MAX, PlanError, within};
use crate::probe::Machine;
use crate::pulse::{CpuTrace, Done, TICKS_MAX};
use crate::roster::Account;
use crate::scenario::Watch;
use crate::session::{Traffic, Wire, refusal};
use crate::stream::Endpoint;

/// Connections of this scenario at once, at most: those that write.
const CONNECTIONS: usize = 16;
/// Pages of one start, at most; a list that does not end is the server's mistake.
const PAGES_MAX: usize = 10_000;
/// How long lists may take to be complete.
const COMPLETE_LIMIT: Duration = Duration::from_secs(60);
const COMPLETE_STEP: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColdStartPlan {
    /// Users who start cold, in turn.
    pub users: usize,
    /// Conversations of each.
    pub conversations: usize,
    /// Of them groups, which all users are in; the others are direct.
    pub groups: usize,
    /// Starts of each user that count.
    pub repeats: u64,
    /// Bytes of text of each last message.
    pub bytes: usize,
    /// Bound for one page in bytes; zero for the server's own.
    pub page_bytes: u32,
}

impl Default for ColdStartPlan {
    fn default() -> Self {
        Self { users: 4, conversations: 1_000, groups: 0, repeats: 50, bytes: 64, page_bytes: 0 }
    }
}

impl ColdStartPlan {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`PlanError`] that names the first field out of range.
    pub fn check(&self) -> Result<(), PlanError> {
        within("users", self.users, 1, INVITE_USERS_MAX)?;
        within("conversations", self.conversations, 1, CONVERSATIONS_MAX)?;
        within("groups", self.groups, 0, self.conversations)?;
        within("repeats", self.repeats, 1, 1_000_000)?;
        within("bytes", self.bytes, 1, TEXT_BYTES_MAX - 64)?;
        within("page-bytes", self.page_bytes as usize, 0, PAGE_BYTES_MAX)?;
        within("accounts", self.accounts(), 1, CONNECTIONS_MAX)
    }

    /// Direct conversations of each user.
    #[must_use]
    pub const fn directs(&self) -> usize {
        self.conversations - self.groups
    }

    /// Accounts that it takes: the users, and those who write to them.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.users + self.directs().max(1)
    }
}

/// Fills conversations and starts cold against the server at `endpoint`; the accounts must have
/// tokens in force.
///
/// # Errors
/// The plan is out of range, there are too few accounts, the server refuses or cannot be reached,
/// or its process is gone. What comes wrong is part of the report.
pub fn run(
    endpoint: &Endpoint,
    accounts: &[Account],
    plan: &ColdStartPlan,
    watch: &Watch,
) -> anyhow::Result<ColdStartReport> {
    plan.check()?;
    let accounts = accounts.get(..plan.accounts()).context("there are too few accounts")?;
    let (users, senders) = accounts.split_at(plan.users);
    let mut ceilings = Ceilings::look(watch.server_pid);
    ceilings.check(CONNECTIONS, CONNECTIONS)?;
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let began = Instant::now();
    let run = started.as_nanos() as u64;
    let expected = prepare::fill(endpoint, People { users, senders }, plan, run)
        .context("filling conversations")?;
    let filled = began.elapsed();
    if !watch.quiet {
        eprintln!("{} conversations of {} users in {filled:.1?}", plan.conversations, plan.users);
    }
    let mut starts = Starts::new(endpoint, users, plan, &expected);
    let (first, complete) = starts.until_complete()?;
    let trace = CpuTrace::start(watch.server_pid);
    starts.began = Instant::now();
    let clock = watch.server_pid.map(CpuClock::now).transpose()?;
    for _ in 0..plan.repeats {
        starts.round()?;
    }
    let server: Option<CpuTime> = clock.map(|clock| clock.spent()).transpose()?;
    let length = starts.began.elapsed();
    let counted = starts.take();
    ceilings.look_again();
    let machine = Machine { ceilings, ..Machine::look(watch.data.as_deref()) };
    let mut report = ColdStartReport::new(plan, machine, &first, &counted, server);
    report.timeline = trace.into_ticks(&counted.done, &[], length, TICKS_MAX);
    report.started_unix_s = started.as_secs();
    report.transport = endpoint.transport();
    report.filled_s = filled.as_secs_f64();
    report.complete_s = complete.as_secs_f64();
    Ok(report)
}

/// What starts brought together.
#[derive(Debug)]
struct Counted {
    starts: u64,
    latency: hdrhistogram::Histogram<u64>,
    done: Vec<Done>,
    traffic: Traffic,
    round_trips_max: u64,
    findings: ColdFindings,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            starts: 0,
            latency: nanoseconds(),
            done: Vec::new(),
            traffic: Traffic::default(),
            round_trips_max: 0,
            findings: ColdFindings::default(),
        }
    }
}

struct Starts<'a> {
    endpoint: &'a Endpoint,
    users: &'a [Account],
    plan: &'a ColdStartPlan,
    expected: &'a Expected,
    /// Connections so far; each has its own number, for its source address.
    connections: usize,
    /// When the starts that count began.
    began: Instant,
    counted: Counted,
}

impl<'a> Starts<'a> {
    fn new(
        endpoint: &'a Endpoint,
        users: &'a [Account],
        plan: &'a ColdStartPlan,
        expected: &'a Expected,
    ) -> Self {
        let (began, counted) = (Instant::now(), Counted::default());
        Self { endpoint, users, plan, expected, connections: 0, began, counted }
    }

    fn take(&mut self) -> Counted {
        std::mem::take(&mut self.counted)
    }

    /// Rounds until every list is complete, for a bounded time; gives the first round and the time
    /// that it took.
    fn until_complete(&mut self) -> anyhow::Result<(Counted, Duration)> {
        let began = Instant::now();
        self.round()?;
        let first = self.take();
        let mut missing = first.findings.missing;
        while missing > 0 && began.elapsed() < COMPLETE_LIMIT {
            thread::sleep(COMPLETE_STEP);
            self.round()?;
            missing = self.take().findings.missing;
        }
        Ok((first, began.elapsed()))
    }

    /// One start of each user.
    fn round(&mut self) -> anyhow::Result<()> {
        for (user, account) in self.users.iter().enumerate() {
            let (pages, traffic, length) =
                self.start(account).with_context(|| format!("starting {} cold", account.name))?;
            let counted = &mut self.counted;
            counted.starts += 1;
            let took_ns = length.as_nanos() as u64;
            counted.latency.saturating_record(took_ns);
            let at_ns = self.began.elapsed().as_nanos() as u64;
            counted.done.push(Done { at_ns, took_ns });
            counted.traffic.bytes_in += traffic.bytes_in;
            counted.traffic.bytes_out += traffic.bytes_out;
            counted.traffic.round_trips += traffic.round_trips;
            counted.round_trips_max = counted.round_trips_max.max(traffic.round_trips);
            counted.findings.check(account.user_id, &pages, &self.expected[user]);
        }
        Ok(())
    }

    /// From nothing to the last page.
    fn start(
        &mut self,
        account: &Account,
    ) -> anyhow::Result<(Vec<pb::SyncPage>, Traffic, Duration)> {
        let began = Instant::now();
        let mut wire = Wire::connect(self.endpoint, self.connections)?;
        self.connections += 1;
        let holding_nothing =
            pb::SyncRequest { max_bytes: self.plan.page_bytes, ..pb::SyncRequest::default() };
        let welcome = wire.resume(
            &account.device_id,
            account.access_token.clone(),
            Some(holding_nothing.clone()),
        )?;
        let mut page = welcome.resumed.context("the server's welcome has no page")?;
        let mut pages = Vec::new();
        loop {
            let next = page.next_page;
            pages.push(page);
            if next == 0 {
                return Ok((pages, wire.traffic, began.elapsed()));
            }
            if pages.len() >= PAGES_MAX {
                bail!("the list does not end after {PAGES_MAX} pages");
            }
            let request = pb::SyncRequest { page: next, ..holding_nothing.clone() };
            page = wire
                .ask(Opcode::Sync, &request)?
                .map_err(|error| refusal("asking for the next page", &error))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_by_name_and_accounts_are_counted() {
        let plan = ColdStartPlan::default();
        plan.check().unwrap();
        assert_eq!((plan.directs(), plan.accounts()), (1_000, 1_004));
        let groups = ColdStartPlan { groups: 1_000, ..plan.clone() };
        assert_eq!((groups.directs(), groups.accounts()), (0, 5));
        for (field, plan) in [
            ("users", ColdStartPlan { users: 0, ..plan.clone() }),
            ("conversations", ColdStartPlan { conversations: 0, ..plan.clone() }),
            ("groups", ColdStartPlan { groups: 1_001, ..plan.clone() }),
            ("repeats", ColdStartPlan { repeats: 0, ..plan.clone() }),
        ] {
            let error = plan.check().unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
