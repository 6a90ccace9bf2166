//! What a hostile or broken client may try, over real sockets.
//!
//! Every file is one kind of abuse. Each asks the same three things: is the
//! abuser answered as the protocol says, does the server stay within its
//! bounds, and do the others notice nothing. The last is always a [`Pair`] of
//! people whose messages are counted. Nothing here asserts on time: what must
//! happen is waited for.

mod addresses;
mod canaries;
mod churn;
mod corpus;
mod descriptors;
mod drain;
mod length_bombs;
mod slow_reader;
mod slowloris;
mod unknown_fields;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;

use hongyan::admin::client;
use hongyan::admin::wire::Contact;
use hongyan_protocol::{Opcode, pb};
use tempfile::TempDir;

use crate::support::{ChildNode, PATIENCE, Wire, direct, eventually, metric, text_to};

/// The server as a process of its own, so that its memory, descriptors and
/// processor time are its own too.
struct Server {
    /// Taken out by a test that stops it.
    node: Option<ChildNode>,
    contact: Contact,
    address: SocketAddr,
    pid: u32,
    _directory: TempDir,
}

impl Server {
    /// Starts `hongyan serve` with these extra variables.
    fn start(variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hongyan"));
        command.arg("serve");
        Self::spawn(command, variables)
    }

    /// As [`Server::start`], from a prepared command.
    fn spawn(command: Command, variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let node = ChildNode::spawn(command, &data, variables);
        let contact = client::find(&data).unwrap().expect("the server is found by its file");
        let (address, pid) = (node.tcp, node.pid());
        Self { node: Some(node), contact, address, pid, _directory: directory }
    }

    /// One request to the admin interface; its answer as text.
    fn admin(&self, method: &str, path: &str, body: &str) -> String {
        let (_, answer) = client::exchange(&self.contact, method, path, body.as_bytes()).unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// The value of a metric, summed over its labels.
    fn metric(&self, name: &str) -> f64 {
        metric(&self.admin("GET", "/metrics", ""), name)
    }

    /// Waits until the gauge of open connections says this.
    fn await_connections(&self, count: usize) {
        eventually(&format!("{count} connections"), || {
            self.metric("hongyan_connections") == count as f64
        });
    }

    /// Memory that the process has in use, in bytes.
    fn memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// Descriptors that the process has open.
    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid)).unwrap().count()
    }

    /// Processor time that the process has used, in ticks of the kernel's
    /// clock.
    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap();
        // The second field is the name in parentheses; user and system time
        // are the 14th and the 15th.
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        rest.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// SIGTERM; it must stop in order.
    fn terminate(mut self) {
        assert!(self.node.take().unwrap().terminate().success());
    }
}

/// A session and whose it is.
struct Person {
    wire: Wire,
    user: u64,
    session: pb::Session,
}

impl Person {
    /// A new account and its first session.
    fn register(address: SocketAddr, name: &str) -> Self {
        let mut wire = Wire::connect(address);
        wire.hello(&format!("{name}-device"));
        let session = wire.register(name);
        Self { wire, user: session.user_id, session }
    }

    /// The access token of the session.
    fn token(&self) -> String {
        self.session.tokens.clone().unwrap().access_token
    }
}

/// Opens a session on `wire` by token: as a rule of the same device, whose
/// session before then ends.
fn resume<S: std::io::Read + std::io::Write>(wire: &mut Wire<S>, device: &str, token: &str) {
    let hello = pb::Hello {
        client: "test/1".into(),
        device: Some(pb::Device { id: device.into(), ..pb::Device::default() }),
        access_token: token.into(),
        ..pb::Hello::default()
    };
    let welcome: pb::Welcome = wire.call(Opcode::Hello, &hello).unwrap();
    assert!(welcome.session.is_some(), "the token opened no session");
}

/// Two people who talk while others misbehave, and count what arrives.
struct Pair {
    talkers: [Person; 2],
    conversation: pb::ConversationId,
    said: u64,
}

impl Pair {
    fn meet(address: SocketAddr) -> Self {
        raise_descriptors();
        let talkers = ["carol", "dave"].map(|name| Person::register(address, name));
        let conversation = direct(talkers[0].user, talkers[1].user);
        Self { talkers, conversation, said: 0 }
    }

    /// Each says `count` messages; each must be acknowledged as durable, and
    /// reach the other once and in order.
    fn talk(&mut self, count: u64) {
        for _ in 0..count {
            for from in [0, 1] {
                self.said += 1;
                let text = format!("number {}", self.said);
                let said = text_to(&self.conversation, &text);
                let ack: pb::SendAck = self.talkers[from].wire.call(Opcode::Send, &said).unwrap();
                assert_eq!(ack.seq, self.said);
                let heard = self.talkers[1 - from].wire.push(Opcode::Message);
                let heard: pb::Message = heard.message().unwrap();
                assert_eq!(heard.seq, self.said);
                assert_eq!(heard.body, said.body);
            }
        }
    }
}

/// As many descriptors as the system allows: tests that run in one process
/// share them.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    // What there is may well be enough.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// A connection from another address of the loopback, 127.0.0.`last`.
fn connect_from(last: u8, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into()).unwrap();
    socket.connect_timeout(&to.into(), PATIENCE).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}
