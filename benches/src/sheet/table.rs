//! The figures as a table for people: what was to be reached, what was, and the floor.

use std::fmt::{self, Display, Formatter};

use crate::append::{AppendFloor, nearest};
use crate::sheet::steps::{Figures, IDLE_DEVICES};
use hongyan_loadtest::report::RunReport;

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What it is.
    pub name: &'static str,
    /// What must be reached.
    pub reach: String,
    /// What was measured.
    pub measured: String,
    /// The floor beside it, or nothing.
    pub floor: String,
    /// Whether it is reached.
    pub reached: bool,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Sheet {
    figures: Figures,
    command: String,
}

impl Sheet {
    /// The sheet of a run of `command`.
    #[must_use]
    pub const fn new(figures: Figures, command: String) -> Self {
        Self { figures, command }
    }

    /// The rows that a reader wants first.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let Figures { relay, append, durable, idle, restart, .. } = &self.figures;
        let cpu = durable.outcome.costs.server_cpu_us_per_message;
        let per_sync = durable.outcome.costs.messages_per_sync;
        let relay_cpu = relay.outcome.costs.server_cpu_us_per_message.unwrap_or(0.0);
        // Noise in one of the two cannot make a session look free.
        let session = idle.bytes_per_connection.max(idle.growth_per_connection);
        let log = nearest(append, per_sync.unwrap_or(1.0));
        let (log_cpu, batch) =
            log.map_or((0.0, 0), |floor| (floor.cpu_us_per_message, floor.batch));
        vec![
            Row {
                name: "durable 1:1 messages/s, end to end",
                reach: ">= 100,000".into(),
                measured: format!("{:.0}", durable.outcome.delivered_per_s),
                floor: format!("{:.0} (null relay)", relay.outcome.delivered_per_s),
                reached: durable.outcome.delivered_per_s >= 100_000.0,
            },
            Row {
                name: "server CPU per durable message, us",
                reach: "<= 5".into(),
                measured: number(cpu),
                floor: format!(
                    "{:.2} = {relay_cpu:.2} (null relay) + {log_cpu:.2} (append + fdatasync of {batch})",
                    relay_cpu + log_cpu,
                ),
                reached: cpu.is_some_and(|us| us <= 5.0),
            },
            Row {
                name: "messages per fdatasync",
                reach: ">= 20".into(),
                measured: number(per_sync),
                floor: String::new(),
                reached: per_sync.is_some_and(|messages| messages >= 20.0),
            },
            Row {
                name: "user memory per idle connection, bytes",
                reach: "<= 2,048".into(),
                measured: format!("{session:.0}"),
                floor: String::new(),
                reached: session <= 2_048.0,
            },
            Row {
                name: "restart with the messages below, s",
                reach: "<= 5".into(),
                measured: format!(
                    "{:.2} after a kill, {:.2} after a stop",
                    restart.killed_s, restart.stopped_s
                ),
                floor: format!("{} messages", restart.messages),
                reached: restart.killed_s <= 5.0 && restart.stopped_s <= 5.0,
            },
        ]
    }

    /// True when every row is reached and every run is evidence of a kept promise.
    #[must_use]
    pub fn all_reached(&self) -> bool {
        self.rows().iter().all(|row| row.reached)
            && self.figures.durable.verdict.failures.is_empty()
            && self.figures.written.verdict.failures.is_empty()
    }

    /// Seconds since 1970 of the server's run.
    #[must_use]
    pub const fn taken_unix_s(&self) -> u64 {
        self.figures.durable.started_unix_s
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "not known".to_owned(), |value| format!("{value:.2}"))
}

/// Year, month and day of a moment (UTC); the days since 1970 counted in eras of 400 years.
#[must_use]
pub fn date_of(unix_s: u64) -> (u64, u64, u64) {
    let days = unix_s / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

impl Display for Sheet {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let durable = &self.figures.durable;
        let (year, month, day) = date_of(self.taken_unix_s());
        writeln!(f, "# Speed on {year}-{month:02}-{day:02}\n")?;
        writeln!(f, "Command: `{}`\n", self.command)?;
        writeln!(f, "{}\n", durable.machine.line())?;
        let plan = &durable.plan;
        writeln!(
            f,
            "{} connections in a ring, {} in flight each, {} B of text, receivers report what \
             arrived; {} generator thread(s), closed loop, {} s after {} s of warm-up. Every \
             message is checked for loss, doubling, order and content.\n",
            plan.connections, plan.window, plan.bytes, plan.threads, plan.seconds, plan.warmup_s
        )?;
        writeln!(f, "| figure | reach | measured | floor in the same run | |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        for Row { name, reach, measured, floor, reached } in self.rows() {
            let mark = if reached { "reached" } else { "NOT reached" };
            writeln!(f, "| {name} | {reach} | {measured} | {floor} | {mark} |")?;
        }
        runs(f, &self.figures)?;
        floors(f, &self.figures.append)?;
        idle(f, &self.figures)
    }
}

fn runs(f: &mut Formatter<'_>, figures: &Figures) -> fmt::Result {
    writeln!(f, "\n## The runs\n")?;
    writeln!(
        f,
        "| run | acked/s | ack p50 / p99 / p99.9 / max ms | end to end p50 / p99 ms | server CPU us \
         (cores) | generator CPU us (cores) | messages per sync | written B per message | server \
         memory MiB | lost / twice / order | verdict |"
    )?;
    writeln!(f, "|---|---|---|---|---|---|---|---|---|---|---|")?;
    for (name, report) in [
        ("null relay", &figures.relay),
        ("durable", &figures.durable),
        ("written", &figures.written),
    ] {
        run(f, name, report)?;
    }
    Ok(())
}

fn run(f: &mut Formatter<'_>, name: &str, report: &RunReport) -> fmt::Result {
    let outcome = &report.outcome;
    let (ack, e2e, costs) = (&outcome.ack_latency, &outcome.e2e_latency, &outcome.costs);
    let ms = |us: f64| us / 1_000.0;
    writeln!(
        f,
        "| {name} | {:.0} | {:.2} / {:.2} / {:.2} / {:.2} | {:.2} / {:.2} | {} ({}) | {:.2} ({:.2}) | \
         {} | {} | {} | {} / {} / {} | {} |",
        outcome.acked_per_s,
        ms(ack.p50_us),
        ms(ack.p99_us),
        ms(ack.p999_us),
        ms(ack.max_us),
        ms(e2e.p50_us),
        ms(e2e.p99_us),
        number(costs.server_cpu_us_per_message),
        number(costs.server_cpu_cores),
        costs.generator_cpu_us_per_message,
        costs.generator_cpu_cores,
        number(costs.messages_per_sync),
        number(costs.device_written_bytes_per_message),
        number(costs.server_rss_bytes.map(|bytes| bytes as f64 / 1_048_576.0)),
        outcome.findings.lost,
        outcome.findings.duplicates,
        outcome.findings.reordered,
        verdict(report),
    )
}

fn verdict(report: &RunReport) -> String {
    let reasons: Vec<_> =
        report.verdict.failures.iter().chain(&report.verdict.doubts).cloned().collect();
    if reasons.is_empty() { "ok".to_owned() } else { reasons.join("; ") }
}

fn floors(f: &mut Formatter<'_>, floors: &[AppendFloor]) -> fmt::Result {
    writeln!(f, "\n## The bare log recipe (append and fdatasync, preallocated file)\n")?;
    writeln!(
        f,
        "| messages per sync | messages/s | CPU us per message | fdatasync p50 / p99 ms |"
    )?;
    writeln!(f, "|---|---|---|---|")?;
    for floor in floors {
        writeln!(
            f,
            "| {} | {:.0} | {:.3} | {:.2} / {:.2} |",
            floor.batch,
            floor.messages_per_s,
            floor.cpu_us_per_message,
            floor.sync.p50_us / 1_000.0,
            floor.sync.p99_us / 1_000.0
        )?;
    }
    Ok(())
}

fn idle(f: &mut Formatter<'_>, figures: &Figures) -> fmt::Result {
    let (idle, restart) = (&figures.idle, &figures.restart);
    writeln!(f, "\n## Idle sessions and restart\n")?;
    writeln!(f, "| sessions | resident MiB | of its own MiB |")?;
    writeln!(f, "|---|---|---|")?;
    for step in &idle.steps {
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        writeln!(
            f,
            "| {} | {:.1} | {:.1} |",
            step.connections,
            mib(step.rss_bytes),
            mib(step.anon_bytes)
        )?;
    }
    writeln!(
        f,
        "\nPer session: {:.0} bytes by the slope over the steps, {:.0} by the growth from none.\n\n\
         {:.3} us of CPU per session and second, each with a heartbeat every {} s, less the {:.4} \
         cores of the server alone. {IDLE_DEVICES} sessions per account; {} were ended by the \
         server.\n\nThe restarted store held {} messages in {:.0} MiB.",
        idle.bytes_per_connection,
        idle.growth_per_connection,
        idle.cpu_us_per_connection_second,
        idle.plan.heartbeat_s,
        idle.base_cpu_cores,
        idle.closed,
        restart.messages,
        restart.store_bytes as f64 / 1_048_576.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date_of(0), (1970, 1, 1));
        assert_eq!(date_of(951_782_400), (2000, 2, 29));
        assert_eq!(date_of(1_735_689_599), (2024, 12, 31));
        assert_eq!(date_of(1_795_392_000), (2026, 11, 23));
    }
}
