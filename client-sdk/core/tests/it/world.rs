//! Client, store, wire and server under one virtual clock.

use bytes::BytesMut;
use hongyan_client_core::event::RequestToken;
use hongyan_client_core::{
    AckLevel, ClientCore, ClientError, ClientMsgId, ConversationId, CoreConfig, Credentials,
    DeviceInfo, Event, NewMessage, SendUpdate, Status, StoreBatch, StoredState, pb,
};

use crate::server::Server;

pub(crate) struct World {
    pub(crate) core: ClientCore,
    pub(crate) server: Server,
    pub(crate) now_ms: u64,
    pub(crate) events: Vec<Event>,
    /// What a killed process finds.
    pub(crate) stored: StoredState,
    /// What a power cut leaves.
    pub(crate) durable: StoredState,
    pub(crate) batches_durable: usize,
    pub(crate) connected: bool,
    pub(crate) reachable: bool,
    /// Batches are taken from the core but not applied.
    pub(crate) store_stalled: bool,
    stalled: Option<StoreBatch>,
    to_server: Vec<u8>,
    from_server: BytesMut,
    next_id: u64,
}

pub(crate) fn config() -> CoreConfig {
    let device =
        DeviceInfo { id: "device".into(), class: pb::DeviceClass::Phone, name: "a phone".into() };
    CoreConfig::new(device)
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_config(config())
    }

    pub(crate) fn with_config(config: CoreConfig) -> Self {
        Self {
            core: ClientCore::new(config, StoredState::default()),
            server: Server::new(),
            now_ms: 1_000_000,
            events: Vec::new(),
            stored: StoredState::default(),
            durable: StoredState::default(),
            batches_durable: 0,
            connected: false,
            reachable: true,
            store_stalled: false,
            stalled: None,
            to_server: Vec::new(),
            from_server: BytesMut::new(),
            next_id: 0,
        }
    }

    /// A client that has logged in and is live.
    pub(crate) fn live() -> Self {
        let mut world = Self::new();
        world.login();
        world.run();
        assert_eq!(world.core.status(), Status::Live);
        world.events.clear();
        world
    }

    pub(crate) fn login(&mut self) {
        let credentials = Credentials::Password { name: "me".into(), password: "secret12".into() };
        self.core
            .authenticate(self.now_ms, RequestToken(1), credentials)
            .expect("nobody is signed in");
    }

    /// Lets everything happen that can without time passing.
    pub(crate) fn run(&mut self) {
        self.server.now_ms = self.now_ms;
        for _ in 0..10_000 {
            self.settle();
            if !self.exchange() {
                return;
            }
        }
        panic!("the client never rests");
    }

    /// Lets `ms` pass, with every timer on the way.
    pub(crate) fn pass(&mut self, ms: u64) {
        let until_ms = self.now_ms + ms;
        self.run();
        for _ in 0..100_000 {
            let Some(at) = self.core.poll_timeout(self.now_ms).filter(|at| *at <= until_ms) else {
                self.now_ms = until_ms;
                return self.run();
            };
            assert!(at >= self.now_ms || self.core.poll_timeout(self.now_ms).is_some());
            self.now_ms = self.now_ms.max(at);
            self.core.handle_timeout(self.now_ms);
            self.run();
        }
        panic!("the client never waits");
    }

    /// Moves bytes once; false when there were none.
    pub(crate) fn step(&mut self) -> bool {
        self.server.now_ms = self.now_ms;
        self.settle();
        let moved = self.exchange();
        self.settle();
        moved
    }

    /// Lets time pass up to the next timer; false when there is none.
    pub(crate) fn skip_to_timeout(&mut self) -> bool {
        let at = self.core.poll_timeout(self.now_ms);
        self.now_ms = self.now_ms.max(at.unwrap_or(0));
        self.core.handle_timeout(self.now_ms);
        at.is_some()
    }

    /// Does what the core asks for, but moves no bytes.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut busy = false;
            while !self.store_stalled || self.stalled.is_none() {
                let Some(batch) = self.core.poll_store() else {
                    break;
                };
                if self.store_stalled {
                    self.stalled = Some(batch);
                } else {
                    self.apply(batch);
                    busy = true;
                }
            }
            if let Some(generation) = self.core.poll_connect() {
                busy = true;
                if self.reachable {
                    self.connected = true;
                    self.server.accept();
                    self.from_server.clear();
                    self.to_server.clear();
                    self.core.handle_connected(self.now_ms, generation);
                } else {
                    let error = ClientError::Connect("unreachable".into());
                    self.core.handle_connect_failed(self.now_ms, generation, error, u64::MAX);
                }
            }
            while let Some(bytes) = self.core.poll_transmit(self.now_ms) {
                self.to_server.extend_from_slice(&bytes);
            }
            if self.core.poll_close() {
                busy = true;
                self.cut();
            }
            while let Some(event) = self.core.poll_event() {
                self.events.push(event);
            }
            if !busy {
                return;
            }
        }
    }

    /// Moves bytes both ways; false when there were none.
    fn exchange(&mut self) -> bool {
        self.deliver_to_server() | self.deliver_to_client()
    }

    pub(crate) fn deliver_to_server(&mut self) -> bool {
        let bytes = std::mem::take(&mut self.to_server);
        if self.connected {
            self.server.receive(&bytes);
        }
        !bytes.is_empty()
    }

    pub(crate) fn deliver_to_client(&mut self) -> bool {
        let bytes = self.server.outgoing.split();
        if !self.connected || bytes.is_empty() {
            return false;
        }
        self.from_server.extend_from_slice(&bytes);
        self.core.handle_bytes(self.now_ms, &mut self.from_server);
        true
    }

    /// The connection breaks, with all that is on its way.
    pub(crate) fn cut(&mut self) {
        self.connected = false;
        self.to_server.clear();
        self.from_server.clear();
        self.server.outgoing.clear();
        self.core.handle_closed(self.now_ms, u64::MAX / 2);
    }

    fn apply(&mut self, batch: StoreBatch) {
        batch.ops.iter().for_each(|op| self.stored.apply(op));
        if batch.durable {
            self.batches_durable += 1;
            self.durable = self.stored.clone();
        }
        self.core.handle_stored(self.now_ms, batch.ticket, Ok(()));
    }

    pub(crate) fn unstall_store(&mut self) {
        self.store_stalled = false;
        if let Some(batch) = self.stalled.take() {
            self.apply(batch);
        }
        self.run();
    }

    /// The process dies and starts again; after a power cut with less.
    pub(crate) fn restart(&mut self, power_cut: bool) {
        if power_cut {
            self.stored = self.durable.clone();
        }
        self.durable = self.stored.clone();
        self.stalled = None;
        self.connected = false;
        self.to_server.clear();
        self.from_server.clear();
        self.server.outgoing.clear();
        self.core = ClientCore::new(config(), self.stored.clone());
        self.core.start(self.now_ms);
    }

    pub(crate) fn send(&mut self, id: ConversationId, text: &str) -> ClientMsgId {
        self.try_send(id, text).expect("the outbox takes it")
    }

    pub(crate) fn try_send(
        &mut self,
        conversation: ConversationId,
        text: &str,
    ) -> Result<ClientMsgId, ClientError> {
        self.next_id += 1;
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next_id.to_be_bytes());
        let client_msg_id = ClientMsgId::new(bytes);
        let body = text.into();
        let level = AckLevel::Durable;
        self.core
            .send(self.now_ms, NewMessage { client_msg_id, conversation, body, level })
            .map(|()| client_msg_id)
    }

    /// What became of a message, oldest first.
    pub(crate) fn updates(&self, id: ClientMsgId) -> Vec<SendUpdate> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Send { client_msg_id, update, .. } if *client_msg_id == id => {
                    Some(update.clone())
                }
                _ => None,
            })
            .collect()
    }

    pub(crate) fn statuses(&self) -> Vec<Status> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::StatusChanged(status) => Some(*status),
                _ => None,
            })
            .collect()
    }

    /// The texts that events told of, in order.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Message(message) => message.body.text().map(str::to_owned),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn texts(&self, id: ConversationId) -> Vec<String> {
        let view = self.core.timeline(id);
        view.messages.iter().filter_map(|m| m.body.text().map(str::to_owned)).collect()
    }
}
