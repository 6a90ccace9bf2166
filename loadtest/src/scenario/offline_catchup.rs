//! People who were away come back and fetch what they missed.
//!
//! ```text
//! receivers: log in, note where their conversations stand, log out
//! senders:   write until every receiver has missed its messages (closed loop)
//! receivers: come back, at once or by a schedule: resume, further pages, history
//! ```
//!
//! Only the third part is measured. A conversation that is new may be in its people's lists a moment
//! after its first message; who comes back before that waits for the server's word and syncs again,
//! which counts into the time to be complete. Each message must come exactly once, in order and unchanged.
//! Sessions block, on a bounded number of threads: so many come back at the same time.

use std::fmt::{self, Display, Formatter};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use hongyan_protocol::limits::HELD_CURSORS_MAX;
use hongyan_protocol::{Opcode, pb};
use serde::{Deserialize, Serialize};

use crate::catchup::{self, Kept};
use crate::crew;
use crate::driver::hongyan::{HongyanDriver, text_of};
use crate::engine;
use crate::engine::ledger::{Findings, Inbound, Outbound};
use crate::engine::payload::TextForm;
use crate::engine::topology::{Talk, Topology};
use crate::histogram::{LatencySummary, nanoseconds};
use crate::plan::{CONNECTIONS_MAX, Plan, PlanError, RING_MIN, Stop, within};
use crate::probe::ProcessSample;
use crate::report::RunReport;
use crate::scenario::{Watch, line, percentiles};
use crate::session::Traffic;

/// Threads that bring people back, at most.
pub const AT_ONCE_MAX: usize = 1_000;
/// Receivers that log in at the same time to see where they stand; not measured.
const LOOKING_AT_ONCE: usize = 8;
/// Reasons that are kept of those who could not come back.
const REASONS_MAX: usize = 5;

/// Who misses how much.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CatchUpPlan {
    /// People who are away.
    pub receivers: usize,
    /// People who write to them.
    pub senders: usize,
    /// Conversations of each receiver in which messages come.
    pub talks: usize,
    /// Messages that each receiver misses, rounded up to a multiple of `talks`.
    pub messages: u64,
    /// Receivers that come back at the same time, at most.
    pub at_once: usize,
    /// Receivers that come back per second; all at once when it is absent.
    pub per_second: Option<f64>,
}

/// The run in which messages were sent, and what catching up took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OfflineCatchupReport {
    /// The sending.
    #[serde(flatten)]
    pub run: RunReport,
    /// The catching up.
    pub catch_up: CatchUpFigures,
}

/// What catching up took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CatchUpFigures {
    /// Receivers that hold everything.
    pub complete: usize,
    /// Messages that they fetched.
    pub messages: u64,
    /// From connecting (with a schedule: from the planned moment) to holding everything.
    pub latency: LatencySummary,
    /// From the first connect to the last message, in seconds.
    pub whole_s: f64,
    /// Messages fetched per second.
    pub messages_per_s: f64,
    /// Server CPU time per message, in microseconds.
    pub server_cpu_us_per_message: Option<f64>,
    /// Server CPU time per receiver, in microseconds.
    pub server_cpu_us_per_receiver: Option<f64>,
    /// CPU time of this program per message, in microseconds.
    pub generator_cpu_us_per_message: f64,
    /// Bytes that came per message.
    pub bytes_per_message: f64,
    /// Requests per receiver.
    pub round_trips_per_receiver: f64,
    /// Proof over every message.
    pub findings: Findings,
    /// Why receivers could not come back; the first few.
    pub failed: Vec<String>,
}

impl CatchUpPlan {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`PlanError`] that names the first field out of range.
    pub fn check(&self) -> Result<(), PlanError> {
        within("receivers", self.receivers, 1, CONNECTIONS_MAX)?;
        within("senders", self.senders, RING_MIN, CONNECTIONS_MAX)?;
        within("talks", self.talks, 1, self.senders.min(HELD_CURSORS_MAX))?;
        within("messages", self.messages, 1, 1_000_000)?;
        within("at-once", self.at_once, 1, AT_ONCE_MAX)?;
        match self.per_second {
            Some(rate) if !(rate > 0.0 && rate <= 1e6) => {
                Err(PlanError::new(format!("per-second must be above 0, not {rate}")))
            }
            _ => Ok(()),
        }
    }

    /// Accounts that it needs.
    #[must_use]
    pub const fn users(&self) -> usize {
        self.receivers + self.senders
    }

    /// Messages of each conversation.
    const fn per_talk(&self) -> u64 {
        self.messages.div_ceil(self.talks as u64)
    }

    /// How the messages are sent: a closed loop until all are stored.
    #[must_use]
    pub fn sending(&self, load: &Plan) -> Plan {
        let messages = self.per_talk() * (self.receivers * self.talks) as u64;
        Plan {
            connections: self.senders,
            fan: 1,
            threads: load.threads.min(self.senders),
            stop: Stop::Messages { messages },
            ..load.clone()
        }
    }
}

/// Carries out all three parts; `driver` has the accounts of receivers, then of senders.
///
/// # Errors
/// A number is out of range, nobody could log in, or the sending could not begin. What fails in
/// the third part is part of the report.
pub fn run(
    driver: &HongyanDriver,
    plan: &CatchUpPlan,
    load: &Plan,
    watch: &Watch,
) -> anyhow::Result<OfflineCatchupReport> {
    plan.check()?;
    let sending = plan.sending(load);
    let topology = Topology::letters(plan.receivers, plan.senders, plan.talks);
    let talks = talks_of(plan);
    let before = crew::share(LOOKING_AT_ONCE, plan.receivers, |receiver| {
        let account = driver.account(receiver, receiver)?;
        let talks = driver.conversations(&talks[receiver])?;
        Ok(catchup::begin(driver.endpoint(), receiver, &account, &talks)?.kept)
    })?;
    let ran = engine::run(driver, &topology, &sending, watch)?;
    let coming = Coming {
        driver,
        plan,
        before: &before,
        text: TextForm::new(load.bytes, load.seed),
        run: ran.run,
    };
    let catch_up = coming.everybody(watch)?;
    let names = ("offline-catchup", "hongyan");
    let mut run = RunReport::new(names, &sending, watch, ran).shaped(plan);
    // How fast they were sent is not what is measured here.
    run.verdict.doubts.clear();
    run.object(failures(plan, &catch_up), Vec::new());
    Ok(OfflineCatchupReport { run, catch_up })
}

/// The talks of each receiver, in the order of streams.
fn talks_of(plan: &CatchUpPlan) -> Vec<Vec<Talk>> {
    let sender = |receiver: usize, talk: usize| plan.receivers + (receiver + talk) % plan.senders;
    (0..plan.receivers)
        .map(|receiver| {
            (0..plan.talks)
                .map(|talk| Talk::Direct { me: receiver, with: sender(receiver, talk) })
                .collect()
        })
        .collect()
}

fn failures(plan: &CatchUpPlan, figures: &CatchUpFigures) -> Vec<String> {
    let findings = &figures.findings;
    let mut failures: Vec<String> = [
        (findings.lost, "messages were not there on coming back"),
        (findings.duplicates, "messages came twice on coming back"),
        (findings.reordered, "messages came out of order on coming back"),
        (findings.damaged, "messages came back with other bytes than were sent"),
        (findings.seq_disagreements, "conversations came back with other seqs"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    if figures.complete < plan.receivers {
        let missing = plan.receivers - figures.complete;
        let first = figures.failed.first().map_or("", String::as_str);
        failures.push(format!("{missing} receivers did not get everything; {first}"));
    }
    failures
}

/// The third part.
struct Coming<'a> {
    driver: &'a HongyanDriver,
    plan: &'a CatchUpPlan,
    before: &'a [Vec<Kept>],
    text: TextForm,
    run: u32,
}

/// What one receiver found.
struct Found {
    took: Duration,
    messages: u64,
    traffic: Traffic,
    findings: Findings,
}

impl Coming<'_> {
    fn everybody(&self, watch: &Watch) -> anyhow::Result<CatchUpFigures> {
        let server = |_: &()| watch.server_pid.map(ProcessSample::of).transpose();
        let (server_before, own_before) = (server(&())?, ProcessSample::of_self()?);
        let failed = Mutex::new(Vec::new());
        let began = Instant::now();
        let found = crew::share(self.plan.at_once, self.plan.receivers, |receiver| {
            let planned = self.wait_for_turn(receiver, began);
            Ok(match self.come_back(receiver) {
                Ok(found) => Some(Found { took: planned.elapsed(), ..found }),
                Err(error) => {
                    let mut failed =
                        failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    if failed.len() < REASONS_MAX {
                        failed.push(format!("receiver {receiver}: {error:#}"));
                    }
                    None
                }
            })
        })?;
        let whole_s = began.elapsed().as_secs_f64();
        let (server_after, own_after) = (server(&())?, ProcessSample::of_self()?);
        let failed = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let found: Vec<Found> = found.into_iter().flatten().collect();
        let server_us =
            server_before.zip(server_after).map(|(from, to)| to.cpu_us.saturating_sub(from.cpu_us));
        let own_us = own_after.cpu_us.saturating_sub(own_before.cpu_us);
        Ok(CatchUpFigures { whole_s, failed, ..self.sum_up(&found, whole_s, server_us, own_us) })
    }

    /// Sleeps until this receiver is due; gives the moment that its latency counts from.
    fn wait_for_turn(&self, receiver: usize, began: Instant) -> Instant {
        let Some(per_second) = self.plan.per_second else {
            return Instant::now();
        };
        let planned = began + Duration::from_secs_f64(receiver as f64 / per_second);
        thread::sleep(planned.saturating_duration_since(Instant::now()));
        planned
    }

    fn come_back(&self, receiver: usize) -> anyhow::Result<Found> {
        let before = &self.before[receiver];
        let held: Vec<_> = before.iter().map(|kept| (kept.conversation, kept.seq)).collect();
        let account = self.driver.account(receiver, receiver)?;
        let mut caught = catchup::resume(self.driver.endpoint(), receiver, &account, &held)?;
        caught.wait_for(self.plan.per_talk() * self.plan.talks as u64)?;
        let mut found = Found {
            took: Duration::ZERO,
            messages: 0,
            traffic: caught.wire.traffic,
            findings: Findings::default(),
        };
        for (talk, kept) in caught.kept.iter().enumerate() {
            let stream = (receiver * self.plan.talks + talk) as u32;
            found.messages += kept.missed.len() as u64;
            let expected = Expected {
                text: &self.text,
                run: self.run,
                stream,
                messages: self.plan.per_talk(),
                held: held[talk].1,
            };
            found.findings.add(&expected.judge(&kept.missed));
            let receipt = pb::MoveCursor {
                conversation: Some(kept.conversation),
                delivered_seq: kept.seq,
                read_seq: 0,
            };
            caught.wire.tell(Opcode::MoveCursor, &receipt)?;
        }
        Ok(found)
    }

    fn sum_up(
        &self,
        found: &[Found],
        whole_s: f64,
        server_us: Option<u64>,
        own_us: u64,
    ) -> CatchUpFigures {
        let mut latency: Histogram<u64> = nanoseconds();
        let mut figures = CatchUpFigures::default();
        let (mut bytes_in, mut round_trips) = (0, 0);
        let expected = self.plan.per_talk() * self.plan.talks as u64;
        for one in found {
            latency.saturating_record(one.took.as_nanos() as u64);
            figures.messages += one.messages;
            figures.findings.add(&one.findings);
            figures.complete += usize::from(one.messages == expected);
            bytes_in += one.traffic.bytes_in;
            round_trips += one.traffic.round_trips;
        }
        let per_message = |amount: u64| amount as f64 / figures.messages.max(1) as f64;
        let per_receiver = |amount: u64| amount as f64 / found.len().max(1) as f64;
        CatchUpFigures {
            latency: LatencySummary::of(&latency),
            messages_per_s: figures.messages as f64 / whole_s,
            server_cpu_us_per_message: server_us.map(per_message),
            server_cpu_us_per_receiver: server_us.map(per_receiver),
            generator_cpu_us_per_message: per_message(own_us),
            bytes_per_message: per_message(bytes_in),
            round_trips_per_receiver: per_receiver(round_trips),
            ..figures
        }
    }
}

/// What the messages of one conversation must be.
struct Expected<'a> {
    text: &'a TextForm,
    run: u32,
    stream: u32,
    /// Messages that its one sender wrote, in order.
    messages: u64,
    /// The seq before the first of them.
    held: u64,
}

impl Expected<'_> {
    /// Holds what came against it.
    fn judge(&self, missed: &[pb::Message]) -> Findings {
        let mut from = Outbound::default();
        for _ in 0..self.messages {
            let counter = from.next_counter();
            from.note_ack(counter, self.held + 1 + counter);
        }
        let mut to = Inbound::default();
        let mut damaged = 0;
        for message in missed {
            match self.text.read(&text_of(message)) {
                Some(stamp) if stamp.run == self.run && stamp.flow == self.stream => {
                    to.note(stamp.counter, message.seq);
                }
                _ => damaged += 1,
            }
        }
        let mut findings = Findings::of_pair(&from, &to);
        findings.damaged += damaged;
        findings
    }
}

impl Display for OfflineCatchupReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let figures = &self.catch_up;
        writeln!(
            f,
            "offline-catchup: {} people came back and fetched {} messages",
            figures.complete, figures.messages
        )?;
        line(f, "to be complete", &percentiles(&figures.latency))?;
        let rate = format!("{:.0} in {:.2} s", figures.messages_per_s, figures.whole_s);
        line(f, "messages/s", &rate)?;
        if let (Some(message), Some(person)) =
            (figures.server_cpu_us_per_message, figures.server_cpu_us_per_receiver)
        {
            let text = format!("{message:.2} us per message, {person:.0} us per person");
            line(f, "server CPU", &text)?;
        }
        line(
            f,
            "generator CPU",
            &format!("{:.2} us per message", figures.generator_cpu_us_per_message),
        )?;
        line(
            f,
            "on the wire",
            &format!(
                "{:.0} B per message, {:.1} round trips per person",
                figures.bytes_per_message, figures.round_trips_per_receiver
            ),
        )?;
        writeln!(f, "\nHow the messages were sent (not what is measured here):")?;
        self.run.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::payload::{Stamp, stamp_over};

    fn plan() -> CatchUpPlan {
        CatchUpPlan {
            receivers: 5,
            senders: 3,
            talks: 2,
            messages: 7,
            at_once: 4,
            per_second: None,
        }
    }

    #[test]
    fn messages_are_shared_among_the_talks() {
        let plan = plan();
        assert_eq!((plan.per_talk(), plan.users()), (4, 8));
        let sending = plan.sending(&Plan::default());
        assert_eq!(sending.stop, Stop::Messages { messages: 40 });
        assert_eq!(sending.quota(&Topology::letters(5, 3, 2)), 4);
    }

    #[test]
    fn the_talks_of_a_receiver_are_those_of_its_senders() {
        let talks = talks_of(&plan());
        for seat in Topology::letters(5, 3, 2).seats {
            for lane in seat.sends {
                let (receiver, talk) = (lane.flow as usize / 2, lane.flow as usize % 2);
                let expected = Talk::Direct { me: receiver, with: seat.user };
                assert_eq!(talks[receiver][talk], expected);
            }
        }
    }

    #[test]
    fn what_is_wrong_with_the_messages_is_told_apart() {
        let text = TextForm::new(64, 1);
        let message = |counter: u64, seq: u64| {
            let mut bytes = text.blank();
            let stamp = Stamp { run: 9, flow: 3, counter, planned_ns: 0 };
            stamp_over(&mut bytes, &stamp);
            let kind = pb::body::Kind::Text(String::from_utf8(bytes).unwrap());
            pb::Message { seq, body: Some(pb::Body { kind: Some(kind) }), ..Default::default() }
        };
        let judge = |run: u32, messages: &[pb::Message]| {
            Expected { text: &text, run, stream: 3, messages: 3, held: 10 }.judge(messages)
        };
        let all = [message(0, 11), message(1, 12), message(2, 13)];
        assert_eq!(judge(9, &all), Findings::default());
        assert_eq!(judge(9, &all[..2]).lost, 1);
        assert_eq!(judge(9, &[]).lost, 3);
        assert_eq!(judge(8, &all).damaged, 3);
        let [first, second, third] = all;
        let twice = [first.clone(), first.clone(), second.clone(), third.clone()];
        assert_eq!(judge(9, &twice).duplicates, 1);
        assert_eq!(judge(9, &[first.clone(), third.clone(), second]).reordered, 1);
        assert_eq!(judge(9, &[first, message(1, 99), third]).seq_disagreements, 1);
    }

    #[test]
    fn numbers_out_of_range_are_refused_by_name() {
        assert_eq!(plan().check(), Ok(()));
        for (name, plan) in [
            ("receivers", CatchUpPlan { receivers: 0, ..plan() }),
            ("talks", CatchUpPlan { talks: 4, ..plan() }),
            ("at-once", CatchUpPlan { at_once: 0, ..plan() }),
            ("per-second", CatchUpPlan { per_second: Some(0.0), ..plan() }),
        ] {
            let error = plan.check().unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
