//! The order of things: who is compared with, and runs in alternation.
//!
//! Owns the working directory, which is gone at the end. Each run has a directory of its own in
//! it and a server of its own on it; both are gone before the next begins, so that at any moment
//! one server runs and what an earlier one has left to be written disturbs nobody.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tempfile::TempDir;

use super::catalog::{Launch, Peer, Setup};
use super::class::Class;
use super::contest::{Comparison, Contest, Pair, Run};
use super::interrupt::{Interrupt, Interrupted};
use super::ours::Ours;
use super::places::Places;
use super::server::{self, Order, Server};
use super::survey::{LeftOut, Survey, version_of};
use super::trial;
use crate::plan::Plan;
use crate::probe::Machine;
use crate::report::RunReport;

/// What to compare, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Peers to look for.
    pub peers: Vec<&'static Peer>,
    /// Classes to compare in.
    pub classes: Vec<Class>,
    /// Runs of each server, per peer and class.
    pub rounds: usize,
    /// The load; its level is that of the class.
    pub plan: Plan,
    /// Directory on the disk in question; everything is made in it, and removed.
    pub dir: PathBuf,
    /// Our server.
    pub ours: OurServer,
    /// Folder with configs to take instead of those that ship.
    pub config_dir: Option<PathBuf>,
    /// Drivers of this build.
    pub drivers: Vec<String>,
    /// The command line, for the result.
    pub command: String,
}

/// Who runs on our side.
#[derive(Debug, Clone)]
pub enum OurServer {
    /// This server program.
    Hongyan(PathBuf),
    /// A peer in its place; for tests.
    StandIn(&'static Peer),
}

/// Compares. What could not be carried out stands in the result.
///
/// # Errors
/// There is no room to work in, or our own server could not be made ready at all.
pub fn run(
    settings: &Settings,
    places: &Places,
    interrupt: &Interrupt,
) -> anyhow::Result<Comparison> {
    fs::create_dir_all(&settings.dir)
        .with_context(|| format!("making {}", settings.dir.display()))?;
    let work = tempfile::Builder::new().prefix("peers-").tempdir_in(&settings.dir)?;
    let mut comparison = Comparison {
        generator: generator(),
        command: settings.command.clone(),
        started_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs()),
        machine: Machine::look(Some(work.path())),
        plan: settings.plan.clone(),
        rounds: settings.rounds,
        ours: String::new(),
        contests: Vec::new(),
        left_out: Vec::new(),
        interrupted: false,
    };
    if comparison.machine.file_system == "tmpfs" {
        let dir = settings.dir.display();
        say(&format!("{dir} is a tmpfs: no sync reaches a disk there; choose another with --dir"));
    }
    let done = fill(settings, places, interrupt, &work, &mut comparison);
    comparison.interrupted = interrupt.check().is_err();
    match done {
        // What was found before the interrupt is worth showing.
        Err(_) if comparison.interrupted => Ok(comparison),
        Err(error) => Err(error),
        Ok(()) => Ok(comparison),
    }
}

fn generator() -> String {
    let version = concat!("hongyan-loadtest ", env!("CARGO_PKG_VERSION"));
    let debug = if cfg!(debug_assertions) { ", built for debugging: no evidence" } else { "" };
    format!("{version}{debug}")
}

fn fill(
    settings: &Settings,
    places: &Places,
    interrupt: &Interrupt,
    work: &TempDir,
    comparison: &mut Comparison,
) -> anyhow::Result<()> {
    let mut able = Vec::new();
    for peer in &settings.peers {
        let survey = Survey::of(peer, places, &settings.drivers, interrupt)?;
        if survey.missing.is_empty() {
            able.push(survey);
        } else {
            say(&format!("{} is left out: {}", peer.name, survey.missing));
            let what = peer.name.to_owned();
            comparison.left_out.push(LeftOut { what, why: survey.missing });
        }
    }
    let contests = contests(settings, &able, &mut comparison.left_out);
    if contests.is_empty() {
        return Ok(());
    }
    let template = work.path().join("template");
    fs::create_dir(&template)?;
    let ours = make_ready(settings, places, &template, interrupt)?;
    comparison.ours = ours.version.clone();
    let arena = Arena { settings, places, interrupt, ours, work: work.path() };
    for (survey, setup) in contests {
        comparison.contests.push(Contest {
            peer: survey.peer.name.to_owned(),
            version: survey.version.clone(),
            class: setup.class,
            note: setup.note.to_owned(),
            pairs: Vec::new(),
        });
        if let Some(contest) = comparison.contests.last_mut() {
            arena.hold(survey.peer, setup, &mut contest.pairs)?;
        }
    }
    Ok(())
}

/// Who meets us in which class, class by class.
fn contests<'a>(
    settings: &Settings,
    able: &'a [Survey],
    left_out: &mut Vec<LeftOut>,
) -> Vec<(&'a Survey, &'static Setup)> {
    let mut contests = Vec::new();
    for class in Class::ALL.into_iter().filter(|class| settings.classes.contains(class)) {
        for survey in able {
            for setup in survey.peer.setups.iter().filter(|setup| setup.class == class) {
                match survey.too_old_for(setup) {
                    Some(too_old) => left_out.push(too_old),
                    None => contests.push((survey, setup)),
                }
            }
        }
    }
    contests
}

/// Our side, ready to be started.
#[derive(Debug)]
struct Ready {
    version: String,
    side: Side,
}

#[derive(Debug)]
enum Side {
    Hongyan(Ours),
    StandIn(&'static Peer, &'static Setup),
}

fn make_ready(
    settings: &Settings,
    places: &Places,
    template: &Path,
    interrupt: &Interrupt,
) -> anyhow::Result<Ready> {
    match &settings.ours {
        OurServer::Hongyan(server) => {
            let connections = settings.plan.connections;
            say(&format!("making {connections} accounts on {}", server.display()));
            // A relative name would be looked for on the PATH.
            let server = &fs::canonicalize(server)?;
            let name = server.to_string_lossy();
            let launch = &[&*name];
            let version = version_of(launch, &["--version"], places, interrupt);
            let ours = Ours::prepare(server, places.own(), connections, template, interrupt)
                .context("making our server ready")?;
            Ok(Ready { version, side: Side::Hongyan(ours) })
        }
        OurServer::StandIn(peer) => {
            let setup = peer.setups.first().context("a peer has a setup")?;
            let Launch { programs, args } = peer.version;
            let version = version_of(programs, args, places, interrupt);
            Ok(Ready { version, side: Side::StandIn(peer, setup) })
        }
    }
}

/// Everything that a run needs.
struct Arena<'a> {
    settings: &'a Settings,
    places: &'a Places,
    interrupt: &'a Interrupt,
    ours: Ready,
    work: &'a Path,
}

impl Arena<'_> {
    /// All rounds of one contest. A server that does not start once is not tried again.
    fn hold(
        &self,
        peer: &'static Peer,
        setup: &'static Setup,
        pairs: &mut Vec<Pair>,
    ) -> Result<(), Interrupted> {
        let class = setup.class;
        for round in 1..=self.settings.rounds {
            let title = format!("{class}, {}, round {round}/{}", peer.name, self.settings.rounds);
            let theirs =
                self.run(class, &format!("{title}: {}", peer.name), peer.driver, |dir| {
                    self.start(peer, setup, dir)
                })?;
            if theirs.report.is_none() {
                pairs.push(Pair { peer: theirs, ours: Run::default() });
                return Ok(());
            }
            let ours = self.run(class, &format!("{title}: hongyan"), self.our_driver(), |dir| {
                self.start_ours(dir)
            })?;
            let stop = ours.report.is_none();
            pairs.push(Pair { peer: theirs, ours });
            if stop {
                return Ok(());
            }
        }
        Ok(())
    }

    fn start(&self, peer: &Peer, setup: &Setup, dir: &Path) -> anyhow::Result<Server> {
        let connections = self.settings.plan.connections;
        let config_dir = self.settings.config_dir.as_deref();
        let order = Order { peer, setup, connections, config_dir };
        server::start(&order, self.places, dir, self.interrupt)
    }

    fn start_ours(&self, dir: &Path) -> anyhow::Result<Server> {
        match &self.ours.side {
            Side::Hongyan(ours) => ours.start(dir, self.interrupt),
            Side::StandIn(peer, setup) => self.start(peer, setup, dir),
        }
    }

    fn our_driver(&self) -> &'static str {
        match &self.ours.side {
            Side::Hongyan(_) => "hongyan",
            Side::StandIn(peer, _) => peer.driver,
        }
    }

    /// One run on an empty directory, which is gone afterwards.
    fn run(
        &self,
        class: Class,
        title: &str,
        driver: &str,
        start: impl Fn(&Path) -> anyhow::Result<Server>,
    ) -> Result<Run, Interrupted> {
        let found = self.try_run(class, driver, start);
        self.interrupt.check()?;
        let run = found.unwrap_or_else(|error| Run::failed(format!("{error:#}")));
        let figures = run.report.as_ref().map(in_short);
        let said: Vec<String> = figures.into_iter().chain(run.reasons()).collect();
        say(&format!("{title}: {}", said.join("; ")));
        Ok(run)
    }

    fn try_run(
        &self,
        class: Class,
        driver: &str,
        start: impl Fn(&Path) -> anyhow::Result<Server>,
    ) -> anyhow::Result<Run> {
        let dir = tempfile::Builder::new().prefix("run-").tempdir_in(self.work)?;
        // What an earlier server has left to be written must not fall into this run.
        rustix::fs::syncfs(File::open(self.work)?)?;
        let mut server = start(dir.path())?;
        let load = (&self.settings.plan, class);
        let own = self.places.own();
        let report = trial::run(own, (driver, &server), load, dir.path(), self.interrupt);
        let ended = server.must_run().err();
        server.stop();
        dir.close().context("removing the directory of a run")?;
        let trouble = ended.map(|ended| format!("during the run {ended:#}"));
        Ok(Run { report: Some(report?), trouble })
    }
}

fn in_short(report: &RunReport) -> String {
    let outcome = &report.outcome;
    let cpu = outcome.costs.server_cpu_us_per_message;
    let cpu = cpu.map_or_else(String::new, |us| format!(", {us:.2} us of server CPU each"));
    format!("{:.0} acked/s{cpu}", outcome.acked_per_s)
}

fn say(what: &str) {
    // Progress is a courtesy: a closed terminal must not end the comparison.
    let _ = writeln!(std::io::stderr(), "-- {what}");
}
