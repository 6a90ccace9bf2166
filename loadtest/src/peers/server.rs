//! Starting a server, seeing that it serves, ending it.
//!
//! Invariant: when a [`Server`] is gone, so are its processes.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::catalog::{Launch, Peer, Probe, Setup};
use super::config::{self, Values};
use super::interrupt::Interrupt;
use super::places::Places;
use super::process::{LOOK_STEP, Program};
use super::tree::{self, PROC};

/// Longest wait until a server serves.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Longest wait until a server has ended by itself. Its data is thrown away, so nothing is lost.
const STOP_LIMIT: Duration = Duration::from_secs(15);
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// A server that serves.
#[derive(Debug)]
pub struct Server {
    /// Where it serves.
    pub addr: SocketAddr,
    /// The process whose CPU counts.
    pub pid: u32,
    /// Its data.
    pub data: PathBuf,
    /// Arguments of `direct` that only this server needs.
    pub run: Vec<String>,
    program: Program,
    beside: Option<Program>,
}

impl Server {
    /// A server of one program.
    #[must_use]
    pub fn new(addr: SocketAddr, program: Program, data: PathBuf, run: Vec<String>) -> Self {
        Self { addr, pid: program.pid(), data, run, program, beside: None }
    }

    /// Fails when it has ended.
    ///
    /// # Errors
    /// It has, or what must run beside it has; the error has the last words.
    pub fn must_run(&mut self) -> anyhow::Result<()> {
        self.program.must_run()?;
        self.beside.as_mut().map_or(Ok(()), Program::must_run)
    }

    /// Ends it.
    pub fn stop(self) {
        self.program.stop(self.pid, STOP_LIMIT);
        if let Some(beside) = self.beside {
            let pid = beside.pid();
            beside.stop(pid, STOP_LIMIT);
        }
    }
}

/// How a peer is to be started.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The peer.
    pub peer: &'a Peer,
    /// As which class.
    pub setup: &'a Setup,
    /// Connections of the run.
    pub connections: usize,
    /// Folder with configs to take instead of those that ship.
    pub config_dir: Option<&'a Path>,
}

/// Starts a peer in the empty directory `dir` and waits until it serves.
///
/// # Errors
/// A program is absent, ends, or does not serve in time, with its last words; or an interrupt.
pub fn start(
    order: &Order<'_>,
    places: &Places,
    dir: &Path,
    interrupt: &Interrupt,
) -> anyhow::Result<Server> {
    let Order { peer, setup, connections, config_dir } = *order;
    let dir = fs::canonicalize(dir)?;
    let data = dir.join("data");
    fs::create_dir(&data)?;
    let [port, port2, port3] = free_ports()?;
    let values = Values::default()
        .with("DIR", dir.display())
        .with("CONNECTIONS", connections)
        .with("PORT", port)
        .with("PORT2", port2)
        .with("PORT3", port3);
    config::write(peer.name, setup.files, &values, config_dir, &dir)?;
    let launch = |launch: &Launch, output: &str| -> anyhow::Result<Program> {
        let mut command = command(launch, places, &values)?;
        for (name, value) in peer.env {
            command.env(name, values.fill(value)?);
        }
        Program::start(peer.name, command.current_dir(&dir), &dir.join(output))
    };
    let beside = peer.beside.map(|beside| launch(&beside, "beside.out")).transpose()?;
    let mut program = launch(&peer.launch, "server.out")?;
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    wait_until_it_serves(addr, peer.probe, &mut program, interrupt)?;
    let pid = measured(peer, program.pid())?;
    let run = setup.run.iter().map(|arg| (*arg).to_owned()).collect();
    Ok(Server { addr, pid, data, run, program, beside })
}

fn command(launch: &Launch, places: &Places, values: &Values) -> anyhow::Result<Command> {
    let program = places
        .find(launch.programs)
        .with_context(|| format!("{} is not installed", launch.programs.join(" or ")))?;
    let mut command = Command::new(program);
    for arg in launch.args {
        command.arg(values.fill(arg)?);
    }
    Ok(command)
}

/// The process whose CPU counts: beam.smp below its shells, or the program itself.
fn measured(peer: &Peer, root: u32) -> anyhow::Result<u32> {
    let Some(name) = peer.measured else {
        return Ok(root);
    };
    let found = tree::named(Path::new(PROC), root, name);
    Ok(found.with_context(|| format!("{} runs without a {name}", peer.name))?.pid)
}

/// Ports of the loopback interface that nobody uses at the moment, all different.
///
/// # Errors
/// The system has none.
pub fn free_ports<const COUNT: usize>() -> anyhow::Result<[u16; COUNT]> {
    // Held all at once, so that they differ.
    let mut held = Vec::with_capacity(COUNT);
    let mut ports = [0; COUNT];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Waits until the server answers the probe as it should.
///
/// # Errors
/// The program ended, the time is over, or an interrupt came.
pub fn wait_until_it_serves(
    addr: SocketAddr,
    probe: Probe,
    program: &mut Program,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let until = Instant::now() + START_LIMIT;
    let mut seen = anyhow::anyhow!("nothing was tried");
    while Instant::now() < until {
        program.must_run()?;
        match ask(addr, probe) {
            // An earlier owner of the port could have answered, and ours have ended for it.
            Ok(()) => return program.must_run(),
            Err(error) => seen = error,
        }
        interrupt.pause(LOOK_STEP)?;
    }
    let limit = START_LIMIT.as_secs();
    bail!("it did not serve within {limit} s: {seen:#}; {}", program.last_words())
}

fn ask(addr: SocketAddr, probe: Probe) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect_timeout(&addr, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ANSWER_LIMIT))?;
    stream.write_all(probe.say)?;
    if probe.hear.is_empty() {
        // Its end of the connection closes when it has seen ours close: a server that gives out
        // places in the order of arrival has this one free again. Not all do, so an error is fine.
        stream.shutdown(Shutdown::Write)?;
        let _ = stream.read(&mut [0; 64]);
        return Ok(());
    }
    let mut heard = vec![0; probe.hear.len()];
    stream.read_exact(&mut heard).context("waiting for the answer to a probe")?;
    if heard != probe.hear {
        bail!("the answer to a probe begins with {:?}", String::from_utf8_lossy(&heard));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn free_ports_differ() {
        let [one, two, three] = free_ports().unwrap();
        assert!(one != two && two != three && one != three && one != 0);
    }

    #[test]
    fn only_the_right_answer_counts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            for answer in [&b"+PONG\r\n"[..], b"-LOADING", b""] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut said = [0; 6];
                stream.read_exact(&mut said).unwrap();
                stream.write_all(answer).unwrap();
            }
        });
        let probe = Probe { say: b"PING\r\n", hear: b"+PONG" };
        ask(addr, probe).unwrap();
        let error = ask(addr, probe).unwrap_err().to_string();
        assert!(error.contains("-LOAD"), "{error}");
        assert!(ask(addr, probe).is_err());
        server.join().unwrap();
    }

    #[test]
    fn a_server_that_ends_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let [port] = free_ports().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such user; exit 7"]);
        let mut program = Program::start("sh", &mut command, &dir.path().join("out")).unwrap();
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let probe = Probe { say: b"", hear: b"" };
        let error = wait_until_it_serves(addr, probe, &mut program, &Interrupt::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("no such user") && error.contains('7'), "{error}");
    }
}
