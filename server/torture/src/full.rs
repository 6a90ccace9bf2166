//! A full disk: writes are refused, reads go on, and a restart with space
//! again needs no hand.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hongyan_client::wire::RawConnection;
use hongyan_client::{AckLevel, ErrorCode, Opcode, SendAck, pb};

use crate::admin;
use crate::canon::Canon;
use crate::cli::FullPlan;
use crate::client::{PATIENCE, look_everywhere, look_through, open_raw};
use crate::disk::{self, Mount};
use crate::judge::Survived;
use crate::letter::{Size, body_of, id_of};
use crate::load::{Load, Style};
use crate::numbers::Numbers;
use crate::scene::{Scene, server_binary};
use crate::server::{Server, Settings, code};
use crate::tally::{Ending, Tally};
use crate::work_dir::WorkDir;

const PEOPLE: usize = 5;
const MIB: u64 = 1 << 20;
const FREE_MIB_MIN: u64 = 16;
const BALLAST: &str = "ballast";
/// How long the server may take to notice, after a write was refused or the
/// space was gone.
const NOTICE: Duration = Duration::from_secs(5);
/// How long the load may take to fill what is left.
const FILL: Duration = Duration::from_secs(60);

// Fields are dropped in this order: the server before its disk.
struct Run {
    server: Server,
    scene: Scene,
    load: Load,
    settings: Settings,
    numbers: Numbers,
    probe: Probe,
    brim: bool,
    image: PathBuf,
    disk: Mount,
}

/// Sends messages of its own, one at a time, and hears each refusal.
struct Probe {
    run: u64,
    next: u32,
}

/// What a probe heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Acked,
    Refused,
    Gone,
}

/// Runs the rounds, each on a disk of its own; ends at the first that fails.
///
/// # Errors
/// When nothing could be tried.
pub async fn run(plan: &FullPlan, seed: u64) -> anyhow::Result<Ending> {
    if let Some(why) = disk::missing() {
        return Ok(Ending::Skipped(format!("no small disk is possible here: {why}")));
    }
    let mut work = WorkDir::new(plan.shared.dir.as_deref())?;
    let mut tally = Tally::default();
    for round in 1..=plan.rounds {
        let mut run = Run::begin(plan, seed.wrapping_add(round), &work, round).await?;
        let held = run.round(round).await;
        println!("{}", run.scene.summary());
        match held {
            Ok(story) => {
                tally.pass(1);
                println!("round {round}: held: {story}");
            }
            Err(error) => {
                tally.fail();
                println!("round {round}: FAILED: {error:#}");
                break;
            }
        }
        let image = run.image.clone();
        run.scene.end().await;
        drop((run.server, run.disk));
        std::fs::remove_file(image)?;
    }
    if tally.failed == 0 {
        work.discard();
    }
    Ok(Ending::Done(tally))
}

impl Run {
    async fn begin(plan: &FullPlan, seed: u64, work: &WorkDir, round: u64) -> anyhow::Result<Self> {
        let mut numbers = Numbers::new(seed);
        let binary = server_binary(plan.shared.server.as_deref())?;
        let image = work.join(&format!("disk-{round}.img"));
        disk::make_image(&image, plan.image_mib)?;
        let disk = Mount::new(&image, &work.join(&format!("disk-{round}")))?;
        let dir = disk.at().join("data");
        let mut settings = Settings::new(&binary, dir, work.path(), "server", &mut numbers)?;
        settings.engine.clone_from(&plan.shared.engine);
        settings.free_mib_min = FREE_MIB_MIN;
        let mut server = Server::start(&settings)?;
        server.ready(PATIENCE).await?;
        let path = work.join(&format!("journal-{round}.jsonl"));
        let scene = Scene::set_up(&settings.address(), PEOPLE, &path, seed).await?;
        let style = Style { size: Size::Large, ..Style::usual(Duration::from_millis(20)) };
        let load =
            Load::new(&scene.devices, &scene.cast, &scene.journal, style, seed, &mut numbers);
        let probe = Probe { run: !seed, next: 1 };
        Ok(Self { server, scene, load, settings, numbers, probe, brim: plan.brim, image, disk })
    }

    /// Fills the disk, looks around, makes space, restarts, compares.
    async fn round(&mut self, round: u64) -> anyhow::Result<String> {
        // Logging in writes, so sessions are opened while there is space.
        let mut sessions = Vec::new();
        for person in &self.scene.cast.people {
            sessions.push(open_raw(&self.settings.address(), person).await?);
        }
        let before = self.scene.journal.acks();
        self.load.open();
        tokio::time::sleep(Duration::from_millis(self.numbers.within(50, 1_500))).await;
        let how = self.fill(round)?;
        let mut alive = self.until_refused(&mut sessions).await?;
        if alive && let Err(error) = self.look_while_full(&mut sessions).await {
            alive = false;
            self.stopped_at_the_brim().await.with_context(|| format!("while full: {error:#}"))?;
        }
        drop(sessions);
        self.load.close();
        let acked = self.scene.journal.acks() - before;
        let end = self.end(alive).await?;
        // A start while it is full may be refused, but must not break it.
        let early = self.start_while_full().await.context("a start while full")?;
        std::fs::remove_file(self.disk.at().join(BALLAST))?;
        self.server = Server::start(&self.settings)?;
        self.server.ready(PATIENCE).await.context("with space again")?;
        self.load.open();
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.load.quiesce(PATIENCE).await.context("writes with space again")?;
        let views = look_everywhere(&self.settings.address(), &self.scene.cast).await?;
        self.scene.judge(&mut Canon::default(), &views, Survived::Kill)?;
        self.server.panic_free()?;
        Ok(format!("{how}; {acked} acked; {end}; {early}"))
    }

    /// Takes most of the space: every second time the server's own growth
    /// does the rest.
    fn fill(&mut self, round: u64) -> anyhow::Result<String> {
        let leave = match (self.brim, round.is_multiple_of(2)) {
            (true, _) => 0,
            (false, true) => (FREE_MIB_MIN + 8) * MIB,
            (false, false) => self.numbers.within(4, FREE_MIB_MIN - 2) * MIB,
        };
        self.disk.ballast(BALLAST, leave)?;
        Ok(format!("filled to {} MiB", leave / MIB))
    }

    /// Waits for the first refused write. False when the server has stopped
    /// instead, which it may when others took the last byte.
    async fn until_refused(&mut self, sessions: &mut [RawConnection]) -> anyhow::Result<bool> {
        let begun = Instant::now();
        while begun.elapsed() < FILL {
            if let Some(status) = self.server.exited()? {
                self.server.panic_free()?;
                if self.brim && !status.success() && status.code().is_some() {
                    return Ok(false);
                }
                bail!("the server exited with {}: {}", code(status), self.server.last_words());
            }
            match self.probe.send(&self.scene, 0, &mut sessions[0]).await? {
                Heard::Refused => return Ok(true),
                Heard::Acked | Heard::Gone => {}
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!(
            "no write was refused within {FILL:?} with {} bytes free: {}",
            self.disk.free_bytes()?,
            self.server.last_words()
        )
    }

    /// Accepts that the server has stopped, when others took the last byte.
    async fn stopped_at_the_brim(&mut self) -> anyhow::Result<()> {
        if !self.brim {
            bail!("the server says: {}", self.server.last_words());
        }
        let status = self.server.wait_exit(NOTICE).await?;
        self.server.panic_free()?;
        if status.success() || status.code().is_none() {
            bail!("it exited with {}: {}", code(status), self.server.last_words());
        }
        Ok(())
    }

    /// Reads go on, writes do not, and the health says so.
    async fn look_while_full(&mut self, sessions: &mut [RawConnection]) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let (status, body) = admin::health(&self.settings.dir).await?;
            if status != 200 || !body.contains("\"well\"") {
                break;
            }
            if begun.elapsed() > NOTICE {
                bail!("the health says {status} {body}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // What was in flight when writes were shut out may still arrive.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let acks = self.scene.journal.acks();
        let views = look_through(sessions, &self.scene.cast).await.context("reading")?;
        let heard = self.probe.send(&self.scene, 1, &mut sessions[1]).await?;
        if heard != Heard::Refused || self.scene.journal.acks() != acks {
            bail!("writes are taken again without any space: {heard:?}");
        }
        self.scene.judge(&mut Canon::default(), &views, Survived::Kill)
    }

    /// Ends the server, by a kill or in order.
    async fn end(&mut self, alive: bool) -> anyhow::Result<&'static str> {
        if !alive {
            return Ok("it had stopped by itself");
        }
        if self.numbers.one_in(2) {
            self.server.kill()?;
            return Ok("killed");
        }
        // It may be unable to settle, and say so by its exit code.
        let ended = self.server.terminate(PATIENCE).await;
        self.server.panic_free()?;
        match self.server.exited()? {
            Some(_) if ended.is_ok() => Ok("ended in order"),
            Some(_) => Ok("ended, unsettled"),
            None => ended.map(|_| "ended in order"),
        }
    }

    async fn start_while_full(&mut self) -> anyhow::Result<&'static str> {
        self.server = Server::start(&self.settings)?;
        let ready = self.server.ready(PATIENCE).await;
        self.server.panic_free()?;
        match (self.server.exited()?, ready) {
            (Some(status), _) if status.code() == Some(78) => {
                bail!("a full disk is no damage: {}", self.server.last_words())
            }
            (Some(_), _) => Ok("no start while full"),
            (None, Ok(_)) => {
                self.server.kill()?;
                Ok("starts while full")
            }
            (None, Err(error)) => Err(error),
        }
    }
}

impl Probe {
    /// Sends one message of `person` and hears what becomes of it.
    async fn send(
        &mut self,
        scene: &Scene,
        person: usize,
        session: &mut RawConnection,
    ) -> anyhow::Result<Heard> {
        let everybody = scene
            .cast
            .rooms
            .iter()
            .find(|room| room.members.len() == scene.cast.people.len() && !room.hidden_history);
        let room = everybody.context("there is no group of all")?;
        let id = id_of(self.run, 0, self.next, Size::Large);
        self.next += 1;
        let request = pb::Send {
            conversation: Some(room.id.to_wire()),
            client_msg_id: id.as_bytes().to_vec().into(),
            body: Some(body_of(id).to_wire()),
            level: AckLevel::Durable.to_wire().into(),
        };
        scene.journal.sent(person, id, room.id, AckLevel::Durable);
        let reply = session.request::<pb::SendAck>(Opcode::Send, &request);
        match tokio::time::timeout(PATIENCE, reply).await.context("no answer to a send")? {
            Ok(ack) => {
                scene.journal.acked(id, SendAck::from(ack));
                Ok(Heard::Acked)
            }
            Err(error) if error.is(ErrorCode::StoreUnavailable) => Ok(Heard::Refused),
            Err(error) if error.is(ErrorCode::Busy) => Ok(Heard::Acked),
            Err(error) if error.code().is_some() => bail!("a send was refused with {error}"),
            Err(_) => Ok(Heard::Gone),
        }
    }
}
