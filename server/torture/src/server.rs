//! The real server as a child process.
//!
//! Owns its configuration file, its life and its output. Only the pid that
//! was started here is ever signalled, and no server outlives its [`Server`].

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hongyan_client::wire::RawConnection;
use rustix::process::{Pid, Signal, kill_process};

use crate::numbers::Numbers;

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The binary.
    pub binary: PathBuf,
    /// Its data.
    pub dir: PathBuf,
    /// Where its configuration and its output go.
    pub beside: PathBuf,
    /// Name of this server among those of the run.
    pub name: String,
    /// Port on loopback.
    pub port: u16,
    /// Engine of the log; the server's default when none.
    pub engine: Option<String>,
    /// Writes are refused below so much free space.
    pub free_mib_min: u64,
    /// State is settled that often.
    pub settle_seconds: u64,
    /// Or after so much log.
    pub settle_log_mib: u64,
    /// Runs before the server's own command line, such as a tracer.
    pub wrapper: Vec<String>,
}

impl Settings {
    /// Settings of a server with its data in `dir` and a free port.
    ///
    /// # Errors
    /// When no port is free.
    pub fn new(
        binary: &Path,
        dir: PathBuf,
        beside: &Path,
        name: &str,
        numbers: &mut Numbers,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            binary: binary.to_path_buf(),
            dir,
            beside: beside.to_path_buf(),
            name: name.to_owned(),
            port: free_port(numbers)?,
            engine: None,
            free_mib_min: 16,
            settle_seconds: 1,
            settle_log_mib: 1,
            wrapper: Vec::new(),
        })
    }

    /// `host:port` for clients.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The file that the server's output goes to.
    #[must_use]
    pub fn output_path(&self) -> PathBuf {
        self.beside.join(format!("{}.log", self.name))
    }

    /// The file with its configuration.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.beside.join(format!("{}.toml", self.name))
    }

    /// The configuration: small and restless, so that every mechanism runs
    /// within a round.
    #[must_use]
    pub fn config(&self) -> String {
        let engine = match &self.engine {
            Some(engine) => format!("log = {engine:?}\n"),
            None => String::new(),
        };
        format!(
            "[listen]\ntcp = \"{}\"\nshards = 2\n[websocket]\nlisten = \"\"\n\
             [store]\ndir = {:?}\n{engine}free_mib_min = {}\nsettle_log_mib = {}\n\
             settle_seconds = {}\n\
             [session]\ndrain_spread_ms = 200\n\
             [auth]\nlogin_failures_max = 1000\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n\
             [log]\nlevel = \"info\"\n",
            self.address(),
            self.dir.display().to_string(),
            self.free_mib_min,
            self.settle_log_mib,
            self.settle_seconds,
        )
    }
}

/// A port on loopback that nobody has now, outside the range from which
/// connections take theirs.
fn free_port(numbers: &mut Numbers) -> anyhow::Result<u16> {
    let base = u64::from(std::process::id());
    for _ in 0..200 {
        let port = 20_000 + ((base * 131 + numbers.below(12_000)) % 12_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port on loopback")
}

/// A server that was started.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: String,
    output: PathBuf,
    output_from: u64,
}

impl Server {
    /// Starts one; does not wait for anything.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(settings: &Settings) -> anyhow::Result<Self> {
        let config = settings.config_path();
        std::fs::write(&config, settings.config())?;
        let output = settings.output_path();
        let file = OpenOptions::new().create(true).append(true).open(&output)?;
        let output_from = file.metadata()?.len();
        let mut command = match settings.wrapper.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(&settings.binary);
                command
            }
            None => Command::new(&settings.binary),
        };
        let child = command
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .arg("--data")
            .arg(&settings.dir)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {}", settings.binary.display()))?;
        Ok(Self { child, address: settings.address(), output, output_from })
    }

    /// Waits until it answers a Hello.
    ///
    /// # Errors
    /// When it exits first, or does not answer in time.
    pub async fn ready(&mut self, within: Duration) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        while begun.elapsed() < within {
            if let Some(status) = self.exited()? {
                bail!("the server exited at start with {}: {}", code(status), self.last_words());
            }
            if self.answers().await {
                return Ok(begun.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("the server does not answer after {within:?}: {}", self.last_words())
    }

    /// Whether it answers a Hello now.
    pub async fn answers(&self) -> bool {
        let hello = async {
            let mut connection = RawConnection::connect(&self.address).await?;
            connection.hello("probe", "", None).await
        };
        matches!(tokio::time::timeout(Duration::from_secs(5), hello).await, Ok(Ok(_)))
    }

    /// How it exited, if it has.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn exited(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until it exits.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn wait_exit(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            if begun.elapsed() > within {
                bail!("the server has not exited after {within:?}: {}", self.last_words());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Kills it with SIGKILL and waits for its end.
    ///
    /// # Errors
    /// When it had exited by itself: a server must not.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.exited()? {
            bail!("the server exited by itself with {}: {}", code(status), self.last_words());
        }
        self.child.kill()?;
        self.child.wait()?;
        self.panic_free()
    }

    /// Freezes it with SIGSTOP and waits until every thread stands.
    ///
    /// # Errors
    /// When the signal cannot be sent, or it does not stop within a second.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)?;
        for _ in 0..1_000 {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            if state == Some('T') {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        bail!("the server does not stop")
    }

    /// Asks it to end with SIGTERM and waits for its end.
    ///
    /// # Errors
    /// When it had exited by itself, does not end in time, or does not exit
    /// with zero.
    pub async fn terminate(&mut self, within: Duration) -> anyhow::Result<Duration> {
        if let Some(status) = self.exited()? {
            bail!("the server exited by itself with {}: {}", code(status), self.last_words());
        }
        let begun = Instant::now();
        self.signal(Signal::TERM)?;
        let status = self.wait_exit(within).await.context("after SIGTERM")?;
        if !status.success() {
            bail!("after SIGTERM it exited with {}: {}", code(status), self.last_words());
        }
        self.panic_free()?;
        Ok(begun.elapsed())
    }

    /// Everything that it has written since it was started.
    #[must_use]
    pub fn output(&self) -> String {
        use std::io::{Read, Seek, SeekFrom};
        let mut text = Vec::new();
        let read = File::open(&self.output).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.output_from))?;
            file.take(16 << 20).read_to_end(&mut text)
        });
        match read {
            Ok(_) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => format!("(its output cannot be read: {error})"),
        }
    }

    /// Refuses an output that tells of a panic.
    ///
    /// # Errors
    /// With the line that does.
    pub fn panic_free(&self) -> anyhow::Result<()> {
        match panic_in(&self.output()) {
            Some(line) => bail!("the server panicked: {line}"),
            None => Ok(()),
        }
    }

    /// The end of its output.
    #[must_use]
    pub fn last_words(&self) -> String {
        let output = self.output();
        let lines: Vec<&str> = output.lines().rev().take(6).collect();
        let panic = panic_in(&output).map(|line| format!("PANIC: {line} ... ")).unwrap_or_default();
        panic + &lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has exited already is no matter.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first line that tells of a panic.
#[must_use]
pub fn panic_in(output: &str) -> Option<&str> {
    output.lines().find(|line| line.contains("panicked"))
}

/// An exit status in words.
#[must_use]
pub fn code(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}
