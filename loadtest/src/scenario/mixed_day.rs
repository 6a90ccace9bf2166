//! A day on one server: people write to each other and in groups of two sizes, read what they get,
//! watch who is there, and go away and come back.
//!
//! Everything at once, because parts that are quick alone get in each other's way: a message to a
//! large group before one to a friend, a sync beside a send. Figures are kept apart by where a
//! message went.

use std::fmt::{self, Display, Formatter};

use hongyan_protocol::limits::GROUP_MEMBERS_MAX;
use serde::{Deserialize, Serialize};

use crate::driver::Driver;
use crate::engine::life::{Life, Slow, absences};
use crate::engine::topology::{MixedShape, Topology};
use crate::engine::{self, KindFigures, LifeFigures};
use crate::histogram::LatencySummary;
use crate::plan::{CONNECTIONS_MAX, Pace, Plan, PlanError, RING_MIN, Receipts, Stop, within};
use crate::report::RunReport;
use crate::scenario::{Watch, line, percentiles};

/// Who is with whom, and who comes and goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MixedDayPlan {
    /// People and groups.
    #[serde(flatten)]
    pub shape: MixedShape,
    /// Per cent of the people that go away in a minute.
    pub leave_percent_per_minute: f64,
    /// How long each is away, in seconds.
    pub away_s: f64,
    /// Whether people watch who is there of those that they talk to.
    pub presence: bool,
}

/// A run, and the figures by where a message went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MixedDayReport {
    /// The run.
    #[serde(flatten)]
    pub run: RunReport,
    /// Kept apart.
    pub day: DayFigures,
}

/// See [`MixedDayReport`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DayFigures {
    /// By where a message went.
    pub kinds: Vec<KindFigures>,
    /// Those who came and went.
    pub life: LifeFigures,
    /// Pushes that said who is there, from the first on.
    pub presences: u64,
    /// From a message's first arrival to its last, of group messages that nobody missed.
    pub spread: LatencySummary,
}

impl MixedDayPlan {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`PlanError`] that names the first field out of range.
    pub fn check(&self) -> Result<(), PlanError> {
        let shape = &self.shape;
        let error = |text: String| Err(PlanError::new(text));
        within("people", shape.people, RING_MIN, CONNECTIONS_MAX)?;
        within("fan", shape.fan, 1, (shape.people - 1) / 2)?;
        for (name, members) in [("small", shape.small), ("large", shape.large)] {
            within(name, members, 2, shape.people.min(GROUP_MEMBERS_MAX))?;
            if !shape.people.is_multiple_of(members) {
                let people = shape.people;
                return error(format!(
                    "{name} must divide {people} people, and {members} does not"
                ));
            }
        }
        let percents = [
            ("direct", shape.direct_percent),
            ("in-small", shape.small_percent),
            ("in-large", shape.large_percent),
            ("leave", self.leave_percent_per_minute),
        ];
        for (name, percent) in percents {
            if !(0.0..=100.0).contains(&percent) {
                return error(format!("{name} must be 0 to 100, not {percent}"));
            }
        }
        if percents[..3].iter().all(|(_, percent)| *percent == 0.0) {
            return error("direct, in-small and in-large are all 0: nothing is sent".to_owned());
        }
        if !(self.away_s > 0.0 && self.away_s <= 86_400.0) {
            return error(format!("away must be above 0 and at most 86400, not {}", self.away_s));
        }
        Ok(())
    }
}

/// Lets everybody say something to those that they write to, so that the talks are in their lists.
///
/// # Errors
/// As [`engine::run`], or something was not acknowledged.
pub fn introduce<D: Driver>(
    driver: &D,
    day: &MixedDayPlan,
    plan: &Plan,
    watch: &Watch,
) -> anyhow::Result<()> {
    let MixedShape { people, fan, .. } = day.shape;
    let all = (people * fan) as u64;
    let plan = Plan {
        connections: people,
        fan,
        pace: Pace::ClosedLoop,
        receipts: Receipts::None,
        stop: Stop::Messages { messages: all },
        ..plan.clone()
    };
    let watch = Watch { quiet: true, ..watch.clone() };
    let ran = engine::run(driver, &Topology::mesh(people, fan), &plan, &watch)?;
    if ran.outcome.acked_in_all < all {
        anyhow::bail!("{} of {all} first messages were stored", ran.outcome.acked_in_all);
    }
    Ok(())
}

/// Runs `plan` over the people and groups of `day`, which `driver` knows by number. `name` is the
/// driver's.
///
/// # Errors
/// A number is out of range, the plan has no schedule, a connection could not be opened, or the
/// system failed a worker. Whatever the server does once the run has begun is part of the report.
pub fn run<D: Driver + Sync>(
    driver: &D,
    name: &str,
    day: &MixedDayPlan,
    plan: &Plan,
    watch: &Watch,
) -> anyhow::Result<MixedDayReport> {
    day.check()?;
    if plan.pace == Pace::ClosedLoop {
        return Err(PlanError::new("mixed-day needs a --rate".to_owned()).into());
    }
    let plan = Plan { connections: day.shape.people, fan: day.shape.fan, ..plan.clone() };
    plan.check()?;
    let topology = Topology::mixed(&day.shape);
    let seats: Vec<usize> = (0..topology.seats.len()).collect();
    let life = Life {
        absences: absences(
            &seats,
            day.leave_percent_per_minute / 100.0,
            (day.away_s * 1e9) as u64,
            (0, plan.stop_ns()),
            plan.seed,
        ),
        slow: Slow::default(),
    };
    let ran = engine::run_with(driver, &topology, &plan, watch, &life)?;
    let figures = DayFigures {
        kinds: ran.details.kinds.clone(),
        life: ran.details.life.clone(),
        presences: ran.details.presences,
        spread: ran.details.spread.clone(),
    };
    let run = RunReport::new(("mixed-day", name), &plan, watch, ran).shaped(day);
    Ok(MixedDayReport { run, day: figures })
}

impl Display for MixedDayReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let figures = &self.day;
        writeln!(f, "mixed-day: {} people", self.run.plan.connections)?;
        for kind in &figures.kinds {
            let rates = format!(
                "{:.0} sends/s, {:.0} deliveries/s",
                kind.acked_per_s, kind.delivered_per_s
            );
            line(f, &kind.name, &rates)?;
            line(f, "  ack", &percentiles(&kind.ack_latency))?;
            line(f, "  e2e", &percentiles(&kind.e2e_latency))?;
        }
        line(f, "first to last", &percentiles(&figures.spread))?;
        let life = &figures.life;
        line(
            f,
            "came back",
            &format!(
                "{} times; {} messages fetched in {} requests; {} sends not made meanwhile",
                life.returns, life.caught_up, life.round_trips, life.absent_sends
            ),
        )?;
        line(f, "to be back", &percentiles(&life.return_latency))?;
        line(f, "presence", &format!("{} changes were told", figures.presences))?;
        writeln!(f)?;
        self.run.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused_by_name() {
        let shape = MixedShape {
            people: 40,
            fan: 3,
            small: 20,
            large: 40,
            direct_percent: 80.0,
            small_percent: 18.0,
            large_percent: 2.0,
        };
        let good =
            MixedDayPlan { shape, leave_percent_per_minute: 10.0, away_s: 60.0, presence: true };
        assert_eq!(good.check(), Ok(()));
        let with = |shape| MixedDayPlan { shape, ..good.clone() };
        let none =
            MixedShape { direct_percent: 0.0, small_percent: 0.0, large_percent: 0.0, ..shape };
        for (name, plan) in [
            ("fan", with(MixedShape { fan: 20, ..shape })),
            ("small must divide", with(MixedShape { small: 30, ..shape })),
            ("large", with(MixedShape { large: 80, ..shape })),
            ("in-large", with(MixedShape { large_percent: 101.0, ..shape })),
            ("direct, in-small", with(none)),
            ("away", MixedDayPlan { away_s: 0.0, ..good.clone() }),
        ] {
            let error = plan.check().unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
