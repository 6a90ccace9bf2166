//! Kill rounds: SIGKILL at any moment, restart, and nothing is lost.

use std::time::Duration;

use anyhow::Context;

use crate::canon::Canon;
use crate::cli::CrashPlan;
use crate::client::{Depth, PATIENCE};
use crate::judge::Survived;
use crate::load::{Load, Style};
use crate::numbers::Numbers;
use crate::resend::resend;
use crate::scene::{Scene, server_binary};
use crate::server::{Server, Settings};
use crate::tally::{Ending, Tally};
use crate::work_dir::WorkDir;

const PEOPLE: usize = 8;
/// Messages before the known end that are read again by every comparison.
const OVERLAP: u64 = 300;

/// How the server of a round ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Killed so long after the first ack.
    Kill(u64),
    /// The same, at a time when it settles.
    KillSettling(u64),
    /// Killed, and again so many times while it boots.
    KillBooting(u64),
    /// Asked to stop so long after the first ack.
    Terminate(u64),
}

impl End {
    fn draw(numbers: &mut Numbers) -> Self {
        match numbers.below(20) {
            0..=12 => Self::Kill(numbers.within(5, 500)),
            13 | 14 => Self::KillSettling(numbers.within(900, 1_500)),
            15..=17 => Self::KillBooting(numbers.within(1, 3)),
            _ => Self::Terminate(numbers.within(5, 500)),
        }
    }
}

struct Run {
    settings: Settings,
    server: Server,
    scene: Scene,
    load: Load,
    canon: Canon,
    numbers: Numbers,
    boot: Duration,
}

/// Runs the rounds; ends at the first comparison that fails.
///
/// # Errors
/// When nothing could be tried.
pub async fn run(plan: &CrashPlan, seed: u64) -> anyhow::Result<Ending> {
    let mut work = WorkDir::new(plan.shared.dir.as_deref())?;
    let mut run = Run::begin(plan, seed, &work).await?;
    let mut tally = Tally::default();
    let mut unjudged = 0;
    for round in 1..=plan.rounds {
        unjudged += 1;
        let last = round == plan.rounds;
        let held = run.round(round, last || round.is_multiple_of(plan.every), last).await;
        match held {
            Ok(false) => {}
            Ok(true) => tally.pass(std::mem::take(&mut unjudged)),
            Err(error) => {
                println!("round {round}: FAILED: {error:#}");
                tally.fail();
                run.scene.journal.flush();
                break;
            }
        }
    }
    println!("{}", run.scene.summary());
    if tally.failed == 0 {
        work.discard();
    }
    Ok(Ending::Done(tally))
}

impl Run {
    async fn begin(plan: &CrashPlan, seed: u64, work: &WorkDir) -> anyhow::Result<Self> {
        let mut numbers = Numbers::new(seed);
        let binary = server_binary(plan.shared.server.as_deref())?;
        let dir = work.join("data");
        let mut settings = Settings::new(&binary, dir, work.path(), "server", &mut numbers)?;
        settings.engine.clone_from(&plan.shared.engine);
        let mut server = Server::start(&settings)?;
        let boot = server.ready(PATIENCE).await?;
        let path = work.join("journal.jsonl");
        let scene = Scene::set_up(&settings.address(), PEOPLE, &path, seed).await;
        let scene = scene.with_context(|| format!("setting up: {}", server.last_words()))?;
        let style = Style {
            in_flight: plan.in_flight,
            one_room: plan.one_room,
            ..Style::usual(Duration::from_millis(plan.pace_ms))
        };
        let load =
            Load::new(&scene.devices, &scene.cast, &scene.journal, style, seed, &mut numbers);
        Ok(Self { settings, server, scene, load, canon: Canon::default(), numbers, boot })
    }

    /// One life of the server. True when it was judged, and held.
    async fn round(&mut self, round: u64, judged: bool, full: bool) -> anyhow::Result<bool> {
        let end = End::draw(&mut self.numbers);
        self.scene.journal.note(&format!("round {round}: {end:?}"));
        let before = self.scene.journal.acks();
        self.load.open();
        self.first_ack(before).await?;
        match end {
            End::Kill(after) | End::KillSettling(after) => {
                tokio::time::sleep(Duration::from_millis(after)).await;
                self.server.kill()?;
            }
            End::KillBooting(times) => {
                self.server.kill()?;
                for _ in 0..times {
                    self.server = Server::start(&self.settings)?;
                    let boot_us = self.boot.as_micros() as u64;
                    let after = self.numbers.below(boot_us + 20_000);
                    tokio::time::sleep(Duration::from_micros(after)).await;
                    self.server.kill().context("while booting")?;
                }
            }
            End::Terminate(after) => {
                tokio::time::sleep(Duration::from_millis(after)).await;
                self.server.terminate(Duration::from_secs(20)).await?;
            }
        }
        let acked = self.scene.journal.acks() - before;
        self.server = Server::start(&self.settings)?;
        self.boot = self.server.ready(PATIENCE).await?;
        if judged {
            self.compare(full).await?;
        }
        println!(
            "round {round}: {end:?}, {acked} acked, back after {} ms{}",
            self.boot.as_millis(),
            if judged { ", compared: held" } else { "" }
        );
        Ok(judged)
    }

    async fn first_ack(&mut self, before: u64) -> anyhow::Result<()> {
        let wait = async {
            while self.scene.journal.acks() == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_ok() {
            return Ok(());
        }
        anyhow::bail!("no ack within {PATIENCE:?}: {}", self.server.last_words())
    }

    async fn compare(&mut self, full: bool) -> anyhow::Result<()> {
        self.load.quiesce(PATIENCE).await?;
        resend(&self.scene).await?;
        self.scene.clients_agree().await?;
        let depth = if full { Depth::Full } else { Depth::Tail(OVERLAP) };
        let views = self.scene.look(&self.canon, depth).await?;
        self.scene.judge(&mut self.canon, &views, Survived::Kill)?;
        self.server.panic_free()
    }
}
