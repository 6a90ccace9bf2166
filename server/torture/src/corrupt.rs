//! Corruption: one fault in one file, then `check` and a start.
//!
//! A server may refuse to start (exit code 78, the file named), refuse later
//! in the same way, or serve everything as it was. Anything else failed.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::canon::Canon;
use crate::cli::CorruptPlan;
use crate::client::{PATIENCE, look_everywhere};
use crate::damage::{Damage, DataFile, files};
use crate::judge::Survived;
use crate::load::{Load, Style};
use crate::numbers::Numbers;
use crate::scene::{Scene, server_binary};
use crate::server::{Server, Settings, code, panic_in};
use crate::tally::{Ending, Tally};
use crate::work_dir::{WorkDir, copy_tree};

const PEOPLE: usize = 5;
/// Exit code of what must be looked at by a human.
const REFUSED: i32 = 78;
/// Longer than checking or starting takes.
const LIMIT: Duration = Duration::from_secs(60);

/// What a fault came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// The server did not start, and named the file.
    Refused,
    /// It served all, then stopped and named the file.
    RefusedLater,
    /// All is as it was.
    Whole,
    /// None of these.
    Failed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::RefusedLater => "refused later",
            Self::Whole => "whole",
            Self::Failed => "FAILED",
        })
    }
}

struct Run {
    scene: Scene,
    settings: Settings,
    base: PathBuf,
    files: Vec<DataFile>,
    numbers: Numbers,
    contained: Cell<u64>,
}

/// Tries the faults, each on its own copy.
///
/// # Errors
/// When nothing could be tried.
pub async fn run(plan: &CorruptPlan, seed: u64) -> anyhow::Result<Ending> {
    let mut work = WorkDir::new(plan.shared.dir.as_deref())?;
    let mut run = Run::fill(plan, seed, &work).await?;
    let mut tally = Tally::default();
    let mut table = BTreeMap::<String, BTreeMap<Outcome, u64>>::new();
    let mut disagreements = 0;
    for number in 1..=plan.flips {
        let damage = Damage::draw(&run.files, number, &mut run.numbers).context("no files")?;
        if plan.only.is_some_and(|only| only != number) {
            continue;
        }
        let (outcome, checked) = match run.fault(&damage).await {
            Ok(found) => {
                tally.pass(1);
                found
            }
            Err(error) => {
                tally.fail();
                println!("fault {number}: {damage}: FAILED: {error:#}");
                (Outcome::Failed, false)
            }
        };
        let finds = if checked { "finds it" } else { "finds nothing" };
        if outcome != Outcome::Failed {
            println!("fault {number}: {damage}: {outcome}, check {finds}");
            disagreements += u64::from(checked != (outcome != Outcome::Whole));
        }
        *table.entry(damage.class()).or_default().entry(outcome).or_default() += 1;
        if outcome == Outcome::Failed {
            let kept = work.join(&format!("fault-{number}"));
            std::fs::rename(&run.settings.dir, kept)?;
        }
    }
    print_table(&table);
    println!("check and the start disagree on {disagreements} faults");
    println!("{} refusals contain a panic of sled", run.contained.get());
    println!("{}", run.scene.summary());
    if tally.failed == 0 {
        work.discard();
    }
    run.scene.end().await;
    Ok(Ending::Done(tally))
}

impl Run {
    /// Makes the data that is damaged: settled views and a tail of the log,
    /// as a kill leaves them.
    async fn fill(plan: &CorruptPlan, seed: u64, work: &WorkDir) -> anyhow::Result<Self> {
        let mut numbers = Numbers::new(seed);
        let binary = server_binary(plan.shared.server.as_deref())?;
        let base = work.join("base");
        let mut settings =
            Settings::new(&binary, base.clone(), work.path(), "server", &mut numbers)?;
        settings.engine.clone_from(&plan.shared.engine);
        let mut server = Server::start(&settings)?;
        server.ready(PATIENCE).await?;
        let path = work.join("journal.jsonl");
        let scene = Scene::set_up(&settings.address(), PEOPLE, &path, seed).await?;
        let style = Style::usual(Duration::from_millis(1));
        let mut load =
            Load::new(&scene.devices, &scene.cast, &scene.journal, style, seed, &mut numbers);
        load_until(&mut load, &scene, plan.messages * 4 / 5).await?;
        // Two settle rounds pass.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        server.kill()?;
        let restless = settings.settle_seconds;
        (settings.settle_seconds, settings.settle_log_mib) = (3_600, 1_024);
        server = Server::start(&settings)?;
        server.ready(PATIENCE).await?;
        load_until(&mut load, &scene, plan.messages).await?;
        load.end().await;
        for device in &scene.devices {
            device.client.disconnect().await?;
        }
        server.kill()?;
        (settings.settle_seconds, settings.settle_log_mib) = (restless, 1);
        settings.dir = work.join("copy");
        "copy".clone_into(&mut settings.name);
        let files = files(&base)?;
        let run = Self { scene, settings, base, files, numbers, contained: Cell::new(0) };
        run.copy()?;
        let (outcome, checked) =
            run.judge_copy(None).await.context("the data is not sound before any fault")?;
        if outcome != Outcome::Whole || checked {
            bail!("the data is not sound before any fault: {outcome}");
        }
        Ok(run)
    }

    fn copy(&self) -> anyhow::Result<()> {
        if self.settings.dir.exists() {
            std::fs::remove_dir_all(&self.settings.dir)?;
        }
        copy_tree(&self.base, &self.settings.dir)
    }

    /// Damages a copy. What it came to, and whether `check` found it.
    async fn fault(&self, damage: &Damage) -> anyhow::Result<(Outcome, bool)> {
        self.copy()?;
        damage.apply(&self.settings.dir)?;
        self.judge_copy(Some(damage)).await
    }

    async fn judge_copy(&self, damage: Option<&Damage>) -> anyhow::Result<(Outcome, bool)> {
        let checked = self.check(damage).await?;
        let mut server = Server::start(&self.settings)?;
        let ready = server.ready(LIMIT).await;
        self.panics(&server.output())?;
        if let Some(status) = server.exited()? {
            refusal(damage, status, &server.output(), "the start")?;
            return Ok((Outcome::Refused, checked));
        }
        ready?;
        let looked = look_everywhere(&self.settings.address(), &self.scene.cast).await;
        self.panics(&server.output())?;
        let views = match looked {
            Ok(views) => views,
            Err(error) => {
                // An error while reading is honest if the server then stops
                // and names the file.
                let status = server.wait_exit(Duration::from_secs(10)).await;
                let status = status.with_context(|| format!("reading: {error:#}"))?;
                refusal(damage, status, &server.output(), "reading")?;
                return Ok((Outcome::RefusedLater, checked));
            }
        };
        self.scene
            .judge(&mut Canon::default(), &views, Survived::Kill)
            .with_context(|| format!("SILENT LOSS (the server says: {})", server.last_words()))?;
        if let Err(stopped) = server.terminate(LIMIT).await {
            self.panics(&server.output())?;
            let status = server.exited()?.with_context(|| format!("{stopped:#}"))?;
            refusal(damage, status, &server.output(), "stopping")?;
            return Ok((Outcome::RefusedLater, checked));
        }
        // Whoever serves has no excuse for any.
        server.panic_free()?;
        Ok((Outcome::Whole, checked))
    }

    /// Refuses a panic of the server. One inside sled that the store turned
    /// into a refusal is counted: its message still goes to the output.
    fn panics(&self, output: &str) -> anyhow::Result<()> {
        match panic_in(output) {
            None => Ok(()),
            Some(line) if line.contains("/sled-") && output.contains("sled panicked") => {
                self.contained.set(self.contained.get() + 1);
                Ok(())
            }
            Some(line) => bail!("a panic: {line}"),
        }
    }

    /// Runs `hongyan check`. True when it found a fault, and named the file.
    async fn check(&self, damage: Option<&Damage>) -> anyhow::Result<bool> {
        let path = self.settings.beside.join("check.log");
        let file = std::fs::File::create(&path)?;
        let mut child = Command::new(&self.settings.binary)
            .arg("check")
            .arg(&self.settings.dir)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("cannot start the check")?;
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if begun.elapsed() > LIMIT {
                child.kill()?;
                child.wait()?;
                bail!("check is not done after {LIMIT:?}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let output = read_text(&path)?;
        self.panics(&output).context("check")?;
        if status.success() {
            return Ok(false);
        }
        refusal(damage, status, &output, "check")?;
        Ok(true)
    }
}

/// Opens the load until there are so many acks, then waits for the rest.
async fn load_until(load: &mut Load, scene: &Scene, acks: u64) -> anyhow::Result<()> {
    load.open();
    let enough = async {
        while scene.journal.acks() < acks {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let filled = tokio::time::timeout(PATIENCE * 3, enough).await;
    filled.with_context(|| format!("only {} acks", scene.journal.acks()))?;
    load.quiesce(PATIENCE).await
}

/// Accepts an end with code 78 and words that name the damaged file.
fn refusal(
    damage: Option<&Damage>,
    status: std::process::ExitStatus,
    output: &str,
    what: &str,
) -> anyhow::Result<()> {
    let tail: Vec<&str> = output.lines().rev().take(4).collect();
    if status.code() != Some(REFUSED) {
        bail!("{what} ended with {}, not {REFUSED}: {tail:?}", code(status));
    }
    let named = damage.is_some_and(|damage| damage.is_named_in(output));
    if !named {
        bail!("{what} was refused, but no word names the file: {tail:?}");
    }
    Ok(())
}

fn print_table(table: &BTreeMap<String, BTreeMap<Outcome, u64>>) {
    println!("{:<40} {:>8} {:>8} {:>8} {:>8}", "file", "refused", "later", "whole", "FAILED");
    let all = [Outcome::Refused, Outcome::RefusedLater, Outcome::Whole, Outcome::Failed];
    for (class, outcomes) in table {
        let [a, b, c, d] = all.map(|outcome| outcomes.get(&outcome).copied().unwrap_or(0));
        println!("{class:<40} {a:>8} {b:>8} {c:>8} {d:>8}");
    }
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
