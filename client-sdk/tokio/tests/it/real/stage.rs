//! A server, and clients of it that end before it does.

use std::sync::Arc;
use std::time::Duration;

use hongyan::{Config, Node, NodeHandle, RawConfig};
use hongyan_client::{Client, ClientBuilder, ConversationId, ConversationState};
use tempfile::TempDir;

pub(super) const PASSWORD: &str = "correct horse";
/// Far longer than anything here takes; a test that hangs must end.
const TEST_LIMIT: Duration = Duration::from_secs(150);

/// A server on a port and in a directory of its own.
pub(super) struct Stage {
    node: NodeHandle,
    _dir: TempDir,
}

/// Runs a test on a server of its own. The runtime, and every client with it,
/// ends first: a server waits for its clients when it stops.
pub(super) fn run(test: impl AsyncFnOnce(&Stage)) {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let mut raw = RawConfig::default();
    raw.listen.tcp = "127.0.0.1:0".into();
    raw.listen.shards = 2;
    raw.websocket.listen = String::new();
    raw.admin.listen = String::new();
    raw.store.dir = dir.path().join("data").display().to_string();
    raw.store.free_mib_min = 16;
    let config = Config::check(&raw).expect("the settings are valid");
    let node = Node::start(config).expect("a server starts on the loopback");
    let stage = Stage { node, _dir: dir };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    runtime.block_on(async {
        let done = tokio::time::timeout(TEST_LIMIT, test(&stage)).await;
        done.expect("the test hangs");
    });
    drop(runtime);
}

impl Stage {
    pub(super) fn builder(&self) -> ClientBuilder {
        let address = self.node.tcp_addr().expect("it listens");
        Client::builder(address.to_string()).plaintext()
    }

    /// A client with a new account, in session.
    pub(super) async fn register(&self, name: &str) -> Client {
        let client = self.builder().build().await.expect("the settings are valid");
        client.register(name, PASSWORD, &format!("{name} the goose")).await.expect("it is free");
        client.wait_live().await.expect("it goes live");
        client
    }

    /// Another device of an account, in session.
    pub(super) async fn login(&self, name: &str) -> Client {
        let client = self.builder().build().await.expect("the settings are valid");
        client.login(name, PASSWORD).await.expect("the password is right");
        client.wait_live().await.expect("it goes live");
        client
    }
}

/// Waits until a conversation is as wanted.
pub(super) async fn until(
    client: &Client,
    id: ConversationId,
    mut wanted: impl FnMut(&ConversationState) -> bool,
) -> Arc<ConversationState> {
    let mut list = client.conversations();
    let found = list.wait_for(|list| list.iter().any(|state| state.id == id && wanted(state)));
    let found = found.await.expect("the client runs");
    found.iter().find(|state| state.id == id).cloned().expect("it was found")
}

/// Sends text and waits until the server has it.
pub(super) async fn say(client: &Client, id: ConversationId, text: &str) -> u64 {
    let sent = client.send_text(id, text).await.expect("it is kept");
    sent.wait().await.expect("it is stored").seq
}
