//! Nodes to test against, and a client that speaks raw frames.
//!
//! [`TestNode`] is a node in this process with its own directory; dropping it
//! stops it and removes the directory. [`ChildNode`] is the binary as a child
//! process, for tests that kill it. [`Wire`] is a blocking socket with the
//! frame codec and nothing else: what it sends is what arrives.

// Feature tests beside this file use different parts of it.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use hongyan::{Config, Node, NodeHandle, RawConfig};
use hongyan_protocol::{ErrorCode, Frame, FrameDecoder, Opcode, pb, version};
use prost::Message;
use tempfile::TempDir;

/// No answer within this is a failure, however slow the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A certificate for `localhost` and 127.0.0.1, made for one test.
pub(crate) struct TestCertificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) pem: String,
}

impl TestCertificate {
    /// Writes a new certificate and key into `dir`, over those that are there.
    pub(crate) fn write(dir: &Path) -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
        let pem = made.cert.pem();
        std::fs::write(&certificate, &pem).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        Self { certificate, key, pem }
    }

    /// A rustls client that trusts this certificate alone.
    pub(crate) fn client(&self) -> Arc<rustls::ClientConfig> {
        use rustls_pki_types::pem::PemObject;
        let mut roots = rustls::RootCertStore::empty();
        let der = rustls_pki_types::CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap();
        roots.add(der).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}

/// A node in this process: plain TCP, TLS and the admin interface on
/// ephemeral ports of the loopback, two shards.
pub(crate) struct TestNode {
    pub(crate) node: Option<NodeHandle>,
    pub(crate) dir: TempDir,
    pub(crate) raw: RawConfig,
    pub(crate) certificate: TestCertificate,
}

impl TestNode {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// With other settings.
    pub(crate) fn start_with(change: impl FnOnce(&mut RawConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let certificate = TestCertificate::write(dir.path());
        let mut raw = RawConfig::default();
        raw.listen.tcp = "127.0.0.1:0".into();
        raw.listen.tls = "127.0.0.1:0".into();
        raw.listen.tls_certificate = certificate.certificate.display().to_string();
        raw.listen.tls_key = certificate.key.display().to_string();
        raw.listen.shards = 2;
        raw.websocket.listen = "127.0.0.1:0".into();
        raw.websocket.tls = "127.0.0.1:0".into();
        raw.admin.listen = "127.0.0.1:0".into();
        raw.store.dir = dir.path().join("data").display().to_string();
        raw.store.free_mib_min = 16;
        change(&mut raw);
        let mut test = Self { node: None, dir, raw, certificate };
        test.restart();
        test
    }

    /// Stops it in order, if it runs, and starts it again on the same store
    /// (on other ports).
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.node = Some(Node::start(Config::check(&self.raw).unwrap()).unwrap());
    }

    /// Stops it in order.
    pub(crate) fn stop(&mut self) {
        if let Some(node) = self.node.take() {
            let stopped = node.shutdown();
            assert!(stopped.drained && stopped.settled, "{stopped:?}");
        }
    }

    pub(crate) fn handle(&self) -> &NodeHandle {
        self.node.as_ref().unwrap()
    }

    pub(crate) fn tcp(&self) -> SocketAddr {
        self.handle().tcp_addr().unwrap()
    }

    pub(crate) fn tls(&self) -> SocketAddr {
        self.handle().tls_addr().unwrap()
    }

    /// A connection that has exchanged prefaces.
    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.tcp())
    }

    /// A session of a new account.
    pub(crate) fn register(&self, name: &str) -> Wire {
        let mut wire = self.connect();
        wire.hello(&format!("{name}-device"));
        wire.register(name);
        wire
    }

    /// The value of a metric, summed over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        metric(&self.handle().metrics(), name)
    }
}

/// The value of a metric in Prometheus text, summed over its labels.
pub(crate) fn metric(text: &str, name: &str) -> f64 {
    text.lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

/// Waits until `condition` holds; panics with `what` when it never does.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The binary as a child process on a directory of the test's.
pub(crate) struct ChildNode {
    child: Child,
    pub(crate) tcp: SocketAddr,
    /// Where TLS is served, when the variables ask for it.
    pub(crate) tls: Option<SocketAddr>,
    /// What it said when it was ready.
    greeting: String,
}

impl ChildNode {
    /// Starts `hongyan serve` on `data` with these extra variables and waits
    /// until it says where it serves.
    pub(crate) fn start(data: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hongyan"));
        command.arg("serve");
        Self::spawn(command, data, variables)
    }

    /// As [`ChildNode::start`], from a prepared command.
    pub(crate) fn spawn(mut command: Command, data: &Path, variables: &[(&str, &str)]) -> Self {
        command
            .env("HONGYAN_LISTEN__TCP", "127.0.0.1:0")
            .env("HONGYAN_LISTEN__SHARDS", "2")
            .env("HONGYAN_WEBSOCKET__LISTEN", "127.0.0.1:0")
            .env("HONGYAN_ADMIN__LISTEN", "127.0.0.1:0")
            .env("HONGYAN_STORE__DIR", data)
            .env("HONGYAN_STORE__FREE_MIB_MIN", "16")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let mut greeting = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        // Its last line is about Ctrl-C.
        while !greeting.contains("Ctrl-C") && stdout.read_line(&mut greeting).unwrap() > 0 {}
        let line = greeting.lines().next().unwrap_or_default();
        // "Hongyan 0.1.0 serves 127.0.0.1:40000 (TCP, not encrypted) and
        // 127.0.0.1:40001 (TLS); data in ..."
        let mut places = line.split(' ').filter_map(|word| word.parse().ok());
        let tcp = places.next().unwrap_or_else(|| panic!("the server said: {line:?}"));
        Self { child, tcp, tls: places.next(), greeting }
    }

    /// Where it serves, for a person.
    pub(crate) fn greeting(&self) -> &str {
        &self.greeting
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, as a power cut for the process.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(9));
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// Waits for its end, and says how it ended.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for ChildNode {
    fn drop(&mut self) {
        // A test that failed leaves nothing running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A socket that speaks frames.
pub(crate) struct Wire<S = TcpStream> {
    pub(crate) stream: S,
    buffer: BytesMut,
    next_request: u64,
    /// What came while something else was waited for.
    pub(crate) pushes: Vec<Frame>,
}

impl Wire {
    /// Connects without sending anything.
    pub(crate) fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// Connects and exchanges prefaces.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut wire = Self::silent(address);
        wire.exchange_prefaces();
        wire
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// 16 bytes that no other call gets.
pub(crate) fn client_id() -> Vec<u8> {
    let number = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    [number.to_be_bytes(), u64::from(std::process::id()).to_be_bytes()].concat()
}

impl<S: Read + Write> Wire<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new(), next_request: 1, pushes: Vec::new() }
    }

    pub(crate) fn exchange_prefaces(&mut self) {
        self.send_bytes(&version::CLIENT_PREFACE);
        assert_eq!(self.read_preface(), version::CLIENT_PREFACE);
    }

    pub(crate) fn read_preface(&mut self) -> [u8; 8] {
        while self.buffer.len() < 8 {
            assert!(self.fill(), "closed before the preface");
        }
        let mut preface = [0; 8];
        self.buffer.copy_to_slice(&mut preface);
        preface
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
        self.stream.flush().unwrap();
    }

    pub(crate) fn send(&mut self, frame: &Frame) {
        self.send_bytes(&frame.to_delimited());
    }

    /// Sends a request and returns its number.
    pub(crate) fn request(&mut self, opcode: Opcode, message: &impl Message) -> u64 {
        let request = self.next_request;
        self.next_request += 1;
        self.send(&Frame::new(opcode, request as _, message));
        request
    }

    /// Reads more; false at the end.
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(bytes) => {
                self.buffer.extend_from_slice(&chunk[..bytes]);
                true
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof
                ) =>
            {
                false
            }
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    /// Reads one byte and keeps it for the next frame.
    pub(crate) fn sip(&mut self) {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).unwrap();
        self.buffer.extend_from_slice(&byte);
    }

    /// The next frame; `None` when the server has closed.
    pub(crate) fn receive(&mut self) -> Option<Frame> {
        loop {
            let decoder = FrameDecoder::new(hongyan_protocol::limits::FRAME_BYTES_MAX);
            if let Some(frame) = decoder.decode(&mut self.buffer).unwrap() {
                return Some(frame);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// The reply to `request`; pushes and other replies before it are kept.
    pub(crate) fn reply(&mut self, request: u64) -> Frame {
        let early = self.pushes.iter().position(|frame| frame.request == request);
        if let Some(at) = early {
            return self.pushes.remove(at);
        }
        loop {
            let frame = self.receive().expect("closed before the reply");
            if frame.request == request {
                return frame;
            }
            assert_ne!(
                frame.opcode,
                Opcode::Goodbye.number(),
                "goodbye: {:?}",
                frame.message::<pb::Goodbye>()
            );
            self.pushes.push(frame);
        }
    }

    /// Sends a request and decodes its reply.
    ///
    /// # Errors
    /// What the server refused it with.
    pub(crate) fn call<R: Message + Default>(
        &mut self,
        opcode: Opcode,
        message: &impl Message,
    ) -> Result<R, pb::Error> {
        let request = self.request(opcode, message);
        let frame = self.reply(request);
        if frame.opcode == Opcode::Error.number() {
            return Err(frame.message().unwrap());
        }
        assert_eq!(frame.opcode, opcode.number());
        Ok(frame.message().unwrap())
    }

    /// The next push of this kind.
    pub(crate) fn push(&mut self, opcode: Opcode) -> Frame {
        if let Some(at) = self.pushes.iter().position(|push| push.opcode == opcode.number()) {
            return self.pushes.remove(at);
        }
        loop {
            let frame = self.receive().expect("closed before the push");
            if frame.opcode == opcode.number() && frame.request == 0 {
                return frame;
            }
            self.pushes.push(frame);
        }
    }

    /// Reads up to the Goodbye and the end of the stream.
    pub(crate) fn goodbye(&mut self) -> pb::Goodbye {
        loop {
            let frame = self.receive().expect("closed without a Goodbye");
            if frame.opcode == Opcode::Goodbye.number() {
                assert_eq!(self.receive(), None, "something came after the Goodbye");
                return frame.message().unwrap();
            }
        }
    }

    /// Reads up to the Goodbye and expects this code.
    pub(crate) fn goodbye_with(&mut self, code: ErrorCode) -> pb::Goodbye {
        let goodbye = self.goodbye();
        assert_eq!(ErrorCode::from_number(goodbye.code), Some(code), "{goodbye:?}");
        goodbye
    }

    pub(crate) fn hello(&mut self, device: &str) -> pb::Welcome {
        let hello = pb::Hello {
            client: "test/1".into(),
            device: Some(pb::Device {
                id: device.into(),
                class: pb::DeviceClass::Desktop as i32,
                name: "a test".into(),
            }),
            ..pb::Hello::default()
        };
        self.call(Opcode::Hello, &hello).unwrap()
    }

    pub(crate) fn register(&mut self, name: &str) -> pb::Session {
        let register = pb::Register {
            name: name.into(),
            password: PASSWORD.into(),
            display_name: String::new(),
        };
        self.call(Opcode::Register, &register).unwrap()
    }

    pub(crate) fn login(&mut self, name: &str) -> Result<pb::Session, pb::Error> {
        let login = pb::Login { name: name.into(), password: PASSWORD.into() };
        self.call(Opcode::Login, &login)
    }

    /// Sends a text, durable, and returns the ack.
    pub(crate) fn say(
        &mut self,
        to: &pb::ConversationId,
        text: &str,
    ) -> Result<pb::SendAck, pb::Error> {
        self.call(Opcode::Send, &text_to(to, text))
    }

    /// A heartbeat and its echo: the connection lives.
    pub(crate) fn beat(&mut self) {
        self.send_bytes(&[0]);
        loop {
            let frame = self.receive().expect("closed before the heartbeat came back");
            if frame.is_heartbeat() {
                return;
            }
            self.pushes.push(frame);
        }
    }
}

/// Every test account's password.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A text message with a fresh client id.
pub(crate) fn text_to(to: &pb::ConversationId, text: &str) -> pb::Send {
    pb::Send {
        conversation: Some(*to),
        client_msg_id: client_id().into(),
        body: Some(pb::Body { kind: Some(pb::body::Kind::Text(text.into())) }),
        level: pb::AckLevel::Durable as i32,
    }
}

/// The conversation of two users.
pub(crate) fn direct(a: u64, b: u64) -> pb::ConversationId {
    pb::ConversationId { group: 0, low_user: a.min(b), high_user: a.max(b) }
}
