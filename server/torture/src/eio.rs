//! EIO from the n-th fdatasync or pwrite64 of a thread, by strace: nothing is
//! acknowledged after it, and the process says so by its exit code.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::canon::Canon;
use crate::cli::EioPlan;
use crate::client::{PATIENCE, look_everywhere};
use crate::judge::Survived;
use crate::load::{Load, Style};
use crate::numbers::Numbers;
use crate::scene::{Scene, server_binary};
use crate::server::{Server, Settings, code};
use crate::tally::{Ending, Tally};
use crate::work_dir::WorkDir;

const PEOPLE: usize = 5;
/// How long the load may take to reach the call that fails.
const REACH: Duration = Duration::from_secs(30);
/// How long a server may live after an error of its disk.
const EXIT_WITHIN: Duration = Duration::from_secs(20);
/// What strace writes beside a call that it made fail.
const MARK: &str = "(INJECTED)";

// Fields are dropped in this order.
struct Run {
    server: Server,
    scene: Scene,
    load: Load,
    settings: Settings,
    numbers: Numbers,
}

/// Runs the rounds on one directory; ends at the first that fails.
///
/// # Errors
/// When nothing could be tried.
pub async fn run(plan: &EioPlan, seed: u64) -> anyhow::Result<Ending> {
    let strace = Command::new("strace").arg("-V").output();
    if !strace.is_ok_and(|output| output.status.success()) {
        return Ok(Ending::Skipped("no EIO is possible here: there is no strace".to_owned()));
    }
    let mut work = WorkDir::new(plan.shared.dir.as_deref())?;
    let mut tally = Tally::default();
    let mut run = Run::begin(plan, seed, &work).await?;
    for round in 1..=plan.rounds {
        match run.round(&work.join(&format!("strace-{round}.txt"))).await {
            Ok(story) => {
                tally.pass(1);
                println!("round {round}: held: {story}");
            }
            Err(error) => {
                tally.fail();
                println!("round {round}: FAILED: {error:#}");
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
    async fn begin(plan: &EioPlan, seed: u64, work: &WorkDir) -> anyhow::Result<Self> {
        let mut numbers = Numbers::new(seed);
        let binary = server_binary(plan.shared.server.as_deref())?;
        let dir = work.join("data");
        let mut settings = Settings::new(&binary, dir, work.path(), "server", &mut numbers)?;
        settings.engine.clone_from(&plan.shared.engine);
        let mut server = Server::start(&settings)?;
        server.ready(PATIENCE).await?;
        let path = work.join("journal.jsonl");
        let scene = Scene::set_up(&settings.address(), PEOPLE, &path, seed).await?;
        let style = Style::usual(Duration::from_millis(5));
        let load =
            Load::new(&scene.devices, &scene.cast, &scene.journal, style, seed, &mut numbers);
        Ok(Self { server, scene, load, settings, numbers })
    }

    /// One server with a disk that fails, then one with a sound disk.
    async fn round(&mut self, trace: &Path) -> anyhow::Result<String> {
        let (call, most) = match self.numbers.below(3) {
            0 => ("pwrite64", 150),
            1 => ("fdatasync", 40),
            _ => ("fdatasync,fsync,pwrite64", 150),
        };
        let first = self.numbers.within(1, most);
        // Once, or from then on for ever.
        let plus = if self.numbers.one_in(2) { "+" } else { "" };
        let story = format!("EIO from {call} number {first}{plus}");
        self.server.kill().or_else(|error| if self.is_down() { Ok(()) } else { Err(error) })?;
        self.settings.wrapper = strace(call, first, plus, trace);
        self.server = Server::start(&self.settings)?;
        self.settings.wrapper.clear();
        self.load.open();
        let reached = self.until_injected(trace).await?;
        let acks = self.scene.journal.acks();
        let injected = Instant::now();
        if reached {
            let exited = self.server.wait_exit(EXIT_WITHIN).await;
            self.server.panic_free().context(story.clone())?;
            let status = exited.context(story.clone())?;
            if status.success() || status.code().is_none() {
                bail!("{story}: it exited with {}: {}", code(status), self.server.last_words());
            }
        } else {
            self.server.kill()?;
        }
        let lived = injected.elapsed();
        let after = self.scene.journal.acks() - acks;
        self.load.close();
        self.server = Server::start(&self.settings)?;
        self.server.ready(PATIENCE).await.with_context(|| format!("{story}: the next start"))?;
        self.load.open();
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.load.quiesce(PATIENCE).await?;
        let views = look_everywhere(&self.settings.address(), &self.scene.cast).await?;
        self.scene.judge(&mut Canon::default(), &views, Survived::Kill).context(story.clone())?;
        let end = if reached { "it stopped after" } else { "not reached in" };
        Ok(format!("{story}: {end} {lived:.1?}, {after} acks on their way then"))
    }

    fn is_down(&mut self) -> bool {
        matches!(self.server.exited(), Ok(Some(_)))
    }

    /// Waits until a call was made to fail.
    async fn until_injected(&self, trace: &Path) -> anyhow::Result<bool> {
        let wait = async {
            loop {
                // strace makes the file a moment after it starts.
                let text = std::fs::read(trace).unwrap_or_default();
                if String::from_utf8_lossy(&text).contains(MARK) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        Ok(tokio::time::timeout(REACH, wait).await.is_ok())
    }
}

/// Traces as a detached grandchild, so that the server stays our child and
/// its exit code comes to us.
fn strace(call: &str, first: u64, plus: &str, trace: &Path) -> Vec<String> {
    let inject = format!("inject={call}:error=EIO:when={first}{plus}");
    let only = format!("trace={call}");
    let trace = trace.display().to_string();
    ["strace", "-D", "-f", "-q", "-e", &only, "-e", &inject, "-o", &trace]
        .map(str::to_owned)
        .to_vec()
}
