//! Power cuts: what reached the disk at a moment is all that there is.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use crate::canon::Canon;
use crate::cli::CutPlan;
use crate::client::{PATIENCE, look_everywhere};
use crate::disk::{self, Mount};
use crate::judge::Survived;
use crate::load::{Load, Style};
use crate::numbers::Numbers;
use crate::scene::{Scene, server_binary};
use crate::server::{Server, Settings};
use crate::tally::{Ending, Tally};
use crate::work_dir::WorkDir;

const PEOPLE: usize = 6;

// Fields are dropped in this order: the server before its disk.
struct Run {
    server: Server,
    scene: Scene,
    load: Load,
    settings: Settings,
    judge: Settings,
    numbers: Numbers,
    image: PathBuf,
    frozen: PathBuf,
    frozen_at: PathBuf,
    _disk: Mount,
}

/// Runs the rounds; each is judged by itself.
///
/// # Errors
/// When nothing could be tried, or the live server failed.
pub async fn run(plan: &CutPlan, seed: u64) -> anyhow::Result<Ending> {
    if let Some(why) = disk::missing() {
        return Ok(Ending::Skipped(format!("no power cut is possible here: {why}")));
    }
    let mut work = WorkDir::new(plan.shared.dir.as_deref())?;
    let mut tally = Tally::default();
    let mut run = Run::begin(plan, seed, &work).await?;
    for round in 1..=plan.rounds {
        let acked = run.until_the_cut().await.with_context(|| format!("round {round}"))?;
        match run.judge_the_copy().await {
            Ok(boot) => {
                tally.pass(1);
                println!("round {round}: held, {acked} acked, boot after {} ms", boot.as_millis());
            }
            Err(error) => {
                tally.fail();
                println!("round {round}: FAILED ({acked} acked): {error:#}");
                let kept = work.join(&format!("frozen-{round}.img"));
                // Evidence of one failure is enough: images are large.
                if tally.failed == 1 && !plan.shared.expect_failure {
                    std::fs::rename(&run.frozen, &kept)?;
                    run.scene.journal.flush();
                }
            }
        }
        run.go_on().await.with_context(|| format!("round {round}"))?;
    }
    println!("{}", run.scene.summary());
    if tally.failed == 0 || plan.shared.expect_failure {
        work.discard();
    }
    Ok(Ending::Done(tally))
}

impl Run {
    async fn begin(plan: &CutPlan, seed: u64, work: &WorkDir) -> anyhow::Result<Self> {
        let mut numbers = Numbers::new(seed);
        let binary = server_binary(plan.shared.server.as_deref())?;
        let (image, frozen) = (work.join("disk.img"), work.join("frozen.img"));
        let frozen_at = work.join("frozen");
        disk::make_image(&image, plan.image_mib)?;
        let disk = Mount::new(&image, &work.join("disk"))?;
        let dir = disk.at().join("data");
        let mut settings = Settings::new(&binary, dir, work.path(), "server", &mut numbers)?;
        settings.engine.clone_from(&plan.shared.engine);
        let dir = frozen_at.join("data");
        let mut judge = Settings::new(&binary, dir, work.path(), "judge", &mut numbers)?;
        judge.engine.clone_from(&plan.shared.engine);
        let mut server = Server::start(&settings)?;
        server.ready(PATIENCE).await?;
        let path = work.join("journal.jsonl");
        let scene = Scene::set_up(&settings.address(), PEOPLE, &path, seed).await;
        let scene = scene.with_context(|| format!("setting up: {}", server.last_words()))?;
        let style = Style { written_too: false, ..Style::usual(Duration::from_millis(8)) };
        let load =
            Load::new(&scene.devices, &scene.cast, &scene.journal, style, seed, &mut numbers);
        let _disk = disk;
        Ok(Self { server, scene, load, settings, judge, numbers, image, frozen, frozen_at, _disk })
    }

    /// Loads the server, and copies its disk at a moment. Says how many acks
    /// there are until then.
    async fn until_the_cut(&mut self) -> anyhow::Result<u64> {
        let before = self.scene.journal.acks();
        self.load.open();
        let begin = async {
            while self.scene.journal.acks() == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let begun = tokio::time::timeout(PATIENCE, begin).await;
        begun.with_context(|| format!("no ack: {}", self.server.last_words()))?;
        tokio::time::sleep(Duration::from_millis(self.numbers.within(20, 1_800))).await;
        self.server.freeze()?;
        disk::freeze(&self.image, &self.frozen)?;
        // What it had sent before it stood still is on its way to the clients.
        let mut acks = self.scene.journal.acks();
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = self.scene.journal.acks();
            if now == acks {
                break;
            }
            acks = now;
        }
        self.load.close();
        self.server.kill()?;
        Ok(acks)
    }

    /// Boots a server on the copy, as after the cut, and compares.
    async fn judge_the_copy(&self) -> anyhow::Result<Duration> {
        let _copy = Mount::new(&self.frozen, &self.frozen_at)?;
        let mut server = Server::start(&self.judge)?;
        let boot = server.ready(PATIENCE).await?;
        let views = look_everywhere(&self.judge.address(), &self.scene.cast).await;
        let views = views.with_context(|| server.last_words())?;
        self.scene.judge(&mut Canon::default(), &views, Survived::PowerCut)?;
        server.kill()?;
        Ok(boot)
    }

    /// The machine itself had power all the time: its server comes back.
    async fn go_on(&mut self) -> anyhow::Result<()> {
        self.server = Server::start(&self.settings)?;
        self.server.ready(PATIENCE).await?;
        Ok(())
    }
}
