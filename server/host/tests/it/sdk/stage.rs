//! A server and its clients, all reached the same way.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hongyan::RawConfig;
use hongyan_client::wire::RawConnection;
use hongyan_client::{
    Client, ClientBuilder, ClientError, FileLocalStore, LocalStore, StoredState, TlsRoots, pb,
};

use crate::support::{PASSWORD, TestNode};

/// How clients reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Plain TCP.
    Tcp,
    /// TLS, trusting the test's certificate alone.
    Tls,
}

/// A test that takes longer hangs.
const TEST_LIMIT: Duration = Duration::from_secs(150);

/// Runs a test on a runtime of its own. Clients end before the server does.
pub(super) fn run(over: Over, test: impl AsyncFnOnce(&mut Stage)) {
    let mut stage = Stage { over, node: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let done = tokio::time::timeout(TEST_LIMIT, test(&mut stage)).await;
        done.expect("the test hangs");
    });
}

/// A server in this process and the way to it.
pub(super) struct Stage {
    pub(super) over: Over,
    node: Option<TestNode>,
}

impl Stage {
    /// Starts the server with its defaults.
    pub(super) fn open(&mut self) {
        self.open_with(|_| {});
    }

    /// Starts the server with other settings.
    pub(super) fn open_with(&mut self, change: impl FnOnce(&mut RawConfig)) {
        let mut node = TestNode::start_with(|raw| {
            let own = SocketAddr::from((own_loopback(), 0)).to_string();
            raw.listen.tcp.clone_from(&own);
            raw.listen.tls = own;
            // A client of a stopped server is back soon.
            raw.session.drain_spread_ms = 100;
            change(raw);
        });
        // A later start is where the first one was.
        node.raw.listen.tcp = node.tcp().to_string();
        node.raw.listen.tls = node.tls().to_string();
        self.node = Some(node);
    }

    pub(super) const fn node(&self) -> &TestNode {
        self.node.as_ref().expect("the server was opened")
    }

    /// Stops the server in order, while its clients go on.
    pub(super) async fn stop(&mut self) {
        self.with_node(TestNode::stop).await;
    }

    /// Starts it again on the same addresses and data.
    pub(super) async fn start_again(&mut self) {
        self.with_node(TestNode::restart).await;
    }

    /// Does something slow to the node, with clients still running.
    async fn with_node(&mut self, act: fn(&mut TestNode)) {
        let mut node = self.node.take().expect("the server was opened");
        let acted = tokio::task::spawn_blocking(move || {
            act(&mut node);
            node
        });
        self.node = Some(acted.await.unwrap());
    }

    /// A client to be, pointed at the server.
    pub(super) fn builder(&self) -> ClientBuilder {
        let node = self.node();
        match self.over {
            Over::Tcp => builder(&node.raw.listen.tcp, None),
            Over::Tls => builder(&node.raw.listen.tls, Some(&node.certificate.pem)),
        }
    }

    /// Where a client of this name keeps its state.
    pub(super) fn files(&self, name: &str) -> PathBuf {
        self.node().dir.path().join(name)
    }

    /// A client that keeps its state in [`Stage::files`], not signed in by
    /// this: it goes on where the last one of that name was.
    pub(super) async fn reopen(&self, name: &str) -> Client {
        let store = FileLocalStore::open(self.files(name)).unwrap();
        self.builder().store(store).build().await.unwrap()
    }

    /// Ends a client that [`Stage::reopen`] made, and says what it keeps.
    pub(super) async fn close(&self, name: &str, client: Client) -> StoredState {
        client.shutdown().await;
        FileLocalStore::open(self.files(name)).unwrap().load().unwrap()
    }

    /// A connection without a client.
    pub(super) async fn raw_connection(&self) -> RawConnection {
        let node = self.node();
        let connection = match self.over {
            Over::Tcp => RawConnection::connect(&node.raw.listen.tcp).await,
            Over::Tls => {
                let roots = TlsRoots::Pem(node.certificate.pem.clone().into_bytes());
                let address = &node.raw.listen.tls;
                RawConnection::connect_tls(address, &roots, Some("localhost")).await
            }
        };
        connection.unwrap()
    }

    /// A new account on a new device, up to date.
    pub(super) async fn register(&self, name: &str) -> Client {
        registered(self.builder(), name).await
    }

    /// Another device of an account, up to date.
    pub(super) async fn login(&self, name: &str) -> Client {
        self.login_on(name, pb::DeviceClass::Desktop, "").await.unwrap()
    }

    /// Another device of an account, by class and name.
    pub(super) async fn login_on(
        &self,
        name: &str,
        class: pb::DeviceClass,
        device: &str,
    ) -> Result<Client, ClientError> {
        let client = self.builder().device(class, device).build().await?;
        client.login(name, PASSWORD).await?;
        client.wait_live().await?;
        Ok(client)
    }
}

/// A client to be for the server at `address`; with a certificate, over TLS.
pub(super) fn builder(address: &str, pem: Option<&str>) -> ClientBuilder {
    let builder = Client::builder(address);
    let builder = match pem {
        None => builder.plaintext(),
        Some(pem) => builder.tls_with_roots(pem).server_name("localhost"),
    };
    // The machine may be slow: no request is given up, and a test that looks
    // at events later loses none. A server that is away is soon found again.
    let builder = builder.request_timeout(Duration::from_secs(60)).events_max(65_536);
    builder.configure(|config| {
        config.handshake_timeout_ms = 60_000;
        config.backoff.base_ms = 20;
        config.backoff.delay_max_ms = 200;
    })
}

/// A new account by way of `builder`, up to date.
pub(super) async fn registered(builder: ClientBuilder, name: &str) -> Client {
    let client = builder.build().await.unwrap();
    client.register(name, PASSWORD, "").await.unwrap();
    client.wait_live().await.unwrap();
    client
}

/// An address of this machine that no other process uses, so that a server
/// finds its port free when it starts again: outgoing connections come from
/// 127.0.0.1.
pub(super) fn own_loopback() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // A process id has at most 22 bits.
    let within = NEXT.fetch_add(1, Ordering::Relaxed) % 4;
    let host = ((std::process::id() << 2) | within) & 0x00ff_ffff;
    Ipv4Addr::from(0x7f00_0000 | host)
}
