//! The server as a child process, which can be killed and started again on
//! the same addresses and data.

use std::net::SocketAddr;

use hongyan_client::{Client, ClientBuilder};
use rustix::process::Signal;
use tempfile::TempDir;

use super::stage::{Over, builder, own_loopback, registered};
use crate::support::{ChildNode, TestCertificate};

/// See the module.
pub(super) struct Server {
    over: Over,
    dir: TempDir,
    certificate: TestCertificate,
    /// Where it was first, and is again after each start.
    tcp: String,
    tls: String,
    child: Option<ChildNode>,
}

impl Server {
    /// Starts it, with these settings besides.
    pub(super) fn start(over: Over, variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let certificate = TestCertificate::write(dir.path());
        let own = SocketAddr::from((own_loopback(), 0)).to_string();
        let mut server = Self { over, dir, certificate, tcp: own.clone(), tls: own, child: None };
        server.run(variables);
        let child = server.child.as_ref().unwrap();
        server.tcp = child.tcp.to_string();
        server.tls = child.tls.unwrap().to_string();
        server
    }

    fn run(&mut self, variables: &[(&str, &str)]) {
        let certificate = self.certificate.certificate.display().to_string();
        let key = self.certificate.key.display().to_string();
        let mut all = vec![
            ("HONGYAN_LISTEN__TCP", self.tcp.as_str()),
            ("HONGYAN_LISTEN__TLS", self.tls.as_str()),
            ("HONGYAN_LISTEN__TLS_CERTIFICATE", certificate.as_str()),
            ("HONGYAN_LISTEN__TLS_KEY", key.as_str()),
        ];
        all.extend(variables);
        self.child = Some(ChildNode::start(&self.dir.path().join("data"), &all));
    }

    /// Starts it again after [`Server::kill`].
    pub(super) fn start_again(&mut self) {
        self.run(&[]);
    }

    /// As if somebody had pulled the process out from under its clients.
    pub(super) fn kill(&mut self) {
        self.child.take().expect("it runs").kill();
    }

    /// Asks it to stop in order. It may go on for a while.
    pub(super) fn ask_to_stop(&self) {
        self.child.as_ref().expect("it runs").signal(Signal::TERM);
    }

    /// Waits for its end; true when that was in order.
    pub(super) async fn ended_well(&mut self) -> bool {
        let child = self.child.take().expect("it runs");
        let ended = tokio::task::spawn_blocking(move || child.wait());
        ended.await.unwrap().success()
    }

    /// A client to be, pointed at the server.
    pub(super) fn builder(&self) -> ClientBuilder {
        match self.over {
            Over::Tcp => builder(&self.tcp, None),
            Over::Tls => builder(&self.tls, Some(&self.certificate.pem)),
        }
    }

    /// A new account on a new device, up to date.
    pub(super) async fn register(&self, name: &str) -> Client {
        registered(self.builder(), name).await
    }
}
