//! A run as a table on the terminal.

use std::fmt::{self, Display, Formatter, Write as _};

use crate::histogram::LatencySummary;
use crate::plan::{Pace, Plan, Stop};
use crate::report::{Costs, EXIT_FAILED, EXIT_OK, RunReport, Verdict};

impl Display for RunReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Plan { connections, window, bytes, level, threads, .. } = &self.plan;
        let outcome = &self.outcome;
        let pace = match self.plan.pace {
            Pace::ClosedLoop => "closed loop".to_owned(),
            Pace::OpenLoop { per_second } => format!("open loop at {per_second}/s"),
        };
        writeln!(
            f,
            "{} on {}: {connections} connections x {window} in flight, {bytes} B, {level:?}, {pace}, \
             {threads} generator thread(s), run {:08x}",
            self.scenario, self.driver, self.run
        )?;
        let machine = &self.machine;
        writeln!(
            f,
            "{} ({} cores), Linux {}, {} {}",
            machine.cpu, machine.cores, machine.kernel, machine.file_system, machine.revision
        )?;
        let of_all = match self.plan.stop {
            Stop::Time => format!("over {:.1} s", outcome.measured_s),
            Stop::Messages { .. } => {
                format!("all {} in {:.1} s", outcome.acked, outcome.measured_s)
            }
        };
        writeln!(f)?;
        row(f, "acked/s", &format!("{:.0} ({of_all})", outcome.acked_per_s))?;
        row(f, "delivered/s", &format!("{:.0}", outcome.delivered_per_s))?;
        latency(f, "ack latency", &outcome.ack_latency)?;
        if outcome.service_latency.samples > 0 {
            latency(f, "ack uncorrected", &outcome.service_latency)?;
        }
        latency(f, "e2e latency", &outcome.e2e_latency)?;
        if let Some(lateness) = &outcome.lateness {
            latency(f, "generator late", lateness)?;
            row(f, "postponed", &format!("{} planned sends met a full window", outcome.postponed))?;
        }
        costs(f, &outcome.costs)?;
        let findings = &outcome.findings;
        row(
            f,
            "verified",
            &format!(
                "{} sent, {} acked, {} delivered; lost {}, twice {}, out of order {}, damaged {}",
                outcome.sent_in_all,
                outcome.acked_in_all,
                outcome.delivered_in_all,
                findings.lost,
                findings.duplicates,
                findings.reordered,
                findings.damaged
            ),
        )?;
        writeln!(f)?;
        verdict(f, &self.verdict)
    }
}

fn row(f: &mut Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    writeln!(f, "  {name:<16}{value}")
}

/// A line with a distribution.
pub(crate) fn latency(f: &mut Formatter<'_>, name: &str, summary: &LatencySummary) -> fmt::Result {
    let mut text = String::new();
    for (label, us) in [
        ("p50", summary.p50_us),
        ("p90", summary.p90_us),
        ("p99", summary.p99_us),
        ("p99.9", summary.p999_us),
        ("p99.99", summary.p9999_us),
        ("max", summary.max_us),
    ] {
        write!(text, "{label} {:.2}  ", us / 1_000.0)?;
    }
    row(f, name, &format!("{text}ms"))
}

fn costs(f: &mut Formatter<'_>, costs: &Costs) -> fmt::Result {
    if let (Some(us), Some(cores)) = (costs.server_cpu_us_per_message, costs.server_cpu_cores) {
        row(f, "server CPU", &format!("{us:.2} us per acked message ({cores:.2} cores)"))?;
    }
    let (us, cores) = (costs.generator_cpu_us_per_message, costs.generator_cpu_cores);
    row(f, "generator CPU", &format!("{us:.2} us per acked message ({cores:.2} cores)"))?;
    if let (Some(rss), Some(anon)) = (costs.server_rss_bytes, costs.server_anon_bytes) {
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        row(f, "server memory", &format!("{:.1} MiB ({:.1} its own)", mib(rss), mib(anon)))?;
    }
    if let (Some(syncs), Some(per_sync)) = (costs.syncs, costs.messages_per_sync) {
        row(f, "syncs", &format!("{syncs}, {per_sync:.1} messages each"))?;
    }
    if let Some(bytes) = costs.device_written_bytes_per_message {
        row(f, "written", &format!("{bytes:.0} B per message, by all that use the disk"))?;
    }
    if let Some(bytes) = costs.disk_bytes_per_message {
        row(f, "on disk", &format!("{bytes:.0} B per message, preallocation included"))?;
    }
    Ok(())
}

/// The verdict, with its reasons.
pub(crate) fn verdict(f: &mut Formatter<'_>, verdict: &Verdict) -> fmt::Result {
    let word = match verdict.exit_code {
        EXIT_OK => "ok",
        EXIT_FAILED => "THE PRODUCT FAILED",
        _ => "NO EVIDENCE",
    };
    writeln!(f, "verdict: {word}")?;
    for reason in verdict.failures.iter().chain(&verdict.doubts) {
        writeln!(f, "  - {reason}")?;
    }
    Ok(())
}
