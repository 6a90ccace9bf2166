//! Servers that the drivers are tried against: started from the files in `tests/peers/`, in a
//! directory of their own, on ports that are free, and ended by their pid.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hongyan_loadtest::plan::{Plan, Stop};
use hongyan_loadtest::report::RunReport;
use tempfile::TempDir;

/// Longest wait for a server to listen; an Erlang node takes seconds, on a busy machine many.
const READY_TIMEOUT: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A server that runs, with what it needs beside it. Ends with the value.
pub(crate) struct Node {
    pub(crate) addr: SocketAddr,
    /// The first is the server.
    children: Vec<Child>,
    dir: TempDir,
}

impl Drop for Node {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            for log in ["out.txt", "log"] {
                print_all(&self.dir.path().join(log));
            }
        }
    }
}

impl Node {
    /// RabbitMQ, or `None` and a loud word when it is not installed.
    pub(crate) fn rabbitmq() -> Option<Self> {
        let programs = ["/usr/lib/rabbitmq/bin/rabbitmq-server", "/usr/bin/epmd"];
        if let Some(absent) = programs.iter().find(|program| !Path::new(program).is_file()) {
            say_loudly(&format!("SKIPPED: rabbitmq-server is not installed ({absent} is absent)"));
            return None;
        }
        let [port, epmd_port, dist_port] = free_ports();
        let files = Files::new(
            "rabbitmq",
            &[("PORT", port), ("EPMD_PORT", epmd_port), ("DIST_PORT", dist_port)],
            &[],
        );
        files.write("rabbitmq.conf");
        files.write("enabled_plugins");
        let mut epmd = files.command("/usr/bin/epmd");
        epmd.args(["-address", "127.0.0.1", "-port", &epmd_port.to_string()]);
        let server = files.command("/usr/lib/rabbitmq/bin/rabbitmq-server");
        Some(Self::start(files, port, vec![server, epmd]))
    }

    /// ejabberd, or `None` and a loud word when it is not installed.
    pub(crate) fn ejabberd() -> Option<Self> {
        let Some(libs) = ejabberd_libs() else {
            say_loudly("SKIPPED: ejabberd is not installed (as the package of Debian does it)");
            return None;
        };
        let [port] = free_ports();
        let files = Files::new("ejabberd", &[("PORT", port)], &[("ERL_LIBS", &libs)]);
        files.write("ejabberd.yml");
        let spool = files.dir.path().join("spool");
        for folder in [&spool, &files.dir.path().join("log")] {
            fs::create_dir(folder).unwrap();
        }
        let mut server = files.command("erl");
        server.args(["-noinput", "+K", "true", "+P", "250000", "-mnesia", "dir"]);
        server.arg(format!("{spool:?}")).args(["-s", "ejabberd"]);
        Some(Self::start(files, port, vec![server]))
    }

    /// Starts the commands, the last one first, and waits until `port` takes connections.
    fn start(files: Files, port: u16, commands: Vec<Command>) -> Self {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut node = Self { addr, children: Vec::new(), dir: files.dir };
        for mut command in commands.into_iter().rev() {
            node.children.insert(0, command.spawn().unwrap());
        }
        let until = Instant::now() + READY_TIMEOUT;
        while TcpStream::connect(addr).is_err() {
            let ended = node.children[0].try_wait().unwrap();
            assert!(ended.is_none(), "the server ended: {ended:?}");
            assert!(Instant::now() < until, "the server does not listen on {addr}");
            thread::sleep(LOOK_EVERY);
        }
        node
    }
}

/// The files of a peer, with the placeholders filled in.
struct Files {
    from: PathBuf,
    dir: TempDir,
    values: Vec<(String, String)>,
}

impl Files {
    fn new(peer: &str, ports: &[(&str, u16)], others: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ports = ports.iter().map(|(name, port)| (format!("@{name}@"), port.to_string()));
        let others = others.iter().map(|(name, value)| (format!("@{name}@"), (*value).to_owned()));
        let mut values: Vec<_> = ports.chain(others).collect();
        values.push(("@DIR@".to_owned(), dir.path().to_str().unwrap().to_owned()));
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(peer);
        Self { from, dir, values }
    }

    fn text(&self, name: &str) -> String {
        let text = fs::read_to_string(self.from.join(name)).unwrap();
        self.values.iter().fold(text, |text, (mark, value)| text.replace(mark, value))
    }

    fn write(&self, name: &str) {
        fs::write(self.dir.path().join(name), self.text(name)).unwrap();
    }

    /// A program in the peer's environment, silent and in its directory.
    fn command(&self, program: &str) -> Command {
        let out = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("out.txt"))
            .unwrap();
        let mut command = Command::new(program);
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command.stdout(out.try_clone().unwrap()).stderr(out);
        let environment = self.text("environment");
        let lines = environment.lines().filter(|line| !line.starts_with('#'));
        command.envs(lines.filter_map(|line| line.split_once('=')));
        command
    }
}

/// What `ejabberdctl` sets `ERL_LIBS` to.
fn ejabberd_libs() -> Option<String> {
    let script = fs::read_to_string("/usr/sbin/ejabberdctl").ok()?;
    let line = script.lines().find_map(|line| line.strip_prefix("ERL_LIBS="))?;
    let libs = line.trim_matches(['\'', '"']);
    (libs.starts_with('/') && Path::new(libs).is_dir()).then(|| libs.to_owned())
}

/// Ports that nobody listens on; all different, because they are held until all are found.
fn free_ports<const N: usize>() -> [u16; N] {
    let held: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    std::array::from_fn(|at| held[at].local_addr().unwrap().port())
}

/// Past the capture of a test's output, which is thrown away when the test passes.
fn say_loudly(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn print_all(path: &Path) {
    if let Ok(text) = fs::read_to_string(path) {
        println!("{}:\n{text}", path.display());
    } else if let Ok(entries) = fs::read_dir(path) {
        entries.flatten().for_each(|entry| print_all(&entry.path()));
    }
}

/// A ring of 5 connections that sends 500 messages.
pub(crate) fn small_ring(window: usize) -> Plan {
    Plan { connections: 5, window, stop: Stop::Messages { messages: 500 }, ..Plan::default() }
}

/// Everything that was sent was acknowledged and arrived once.
#[track_caller]
pub(crate) fn assert_complete(report: &RunReport) {
    let outcome = &report.outcome;
    assert_eq!(report.verdict.failures, Vec::<String>::new(), "{:?}", outcome.broken);
    let counts = (outcome.sent_in_all, outcome.acked_in_all, outcome.delivered_in_all);
    assert_eq!(counts, (500, 500, 500));
    assert!(outcome.refusals.is_empty(), "{:?}", outcome.refusals);
}
