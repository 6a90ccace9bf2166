//! The task behind a client: it owns the core, the socket, the clock and the
//! store.
//!
//! ```text
//! turn:  store ▸ connect ▸ transmit ▸ close ▸ events      (until nothing is left)
//! wait:  command | bytes | writable | connected | stored | timeout
//! ```
//!
//! One write per turn carries everything that the turn produced, and one
//! batch per turn goes to the store: both follow the load without a timer.
//! At most one connection attempt and one store batch are under way.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes, BytesMut};
use hongyan_client_core::event::{PresenceWatch, RequestToken};
use hongyan_client_core::{
    ClientCore, ClientError, ConversationId, ConversationState, CoreConfig, Credentials, Event,
    LocalStore, Status, StoreBatch, StoreError, StoredState, TimelineView,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::account::AccountState;
use crate::client::{Answer, Client, Command};
use crate::outlet::Outlet;
use crate::tls::{Endpoint, Reader, Writer};
use crate::tracks::Tracks;

const COMMANDS_MAX: usize = 1_024;
const COMMANDS_PER_TURN: usize = 256;
const READ_BYTES: usize = 64 * 1024;
const LAST_WRITE: Duration = Duration::from_millis(500);
const LAST_EVENTS: Duration = Duration::from_millis(500);

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send + Sync>>;
type Opened = Result<(Reader, Writer), ClientError>;
type Stored = (Box<dyn LocalStore>, u64, Result<(), StoreError>);

/// Starts the task.
pub(crate) fn start(
    endpoint: Endpoint,
    config: CoreConfig,
    store: Box<dyn LocalStore>,
    stored: StoredState,
    credentials: Option<Credentials>,
    events_max: usize,
) -> Client {
    let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
    let device_id = config.device.id.as_str().into();
    let core = ClientCore::new(config, stored);
    let account = watch::Sender::new(Arc::new(AccountState::of(&core)));
    let status = watch::Sender::new(core.status());
    let list: BTreeMap<_, _> =
        core.conversations().into_iter().map(|state| (state.id, Arc::new(state))).collect();
    let conversations = watch::Sender::new(ordered(&list));
    let events = Outlet::new(events_max);
    let client = Client {
        commands,
        events: events.downgrade(),
        status: status.subscribe(),
        account: account.subscribe(),
        conversations: conversations.subscribe(),
        device_id,
    };
    let mut driver = Driver {
        core,
        endpoint,
        clock: Clock::new(),
        store: Some(store),
        storing: None,
        connecting: None,
        reader: None,
        writer: None,
        needs_flush: false,
        outgoing: Bytes::new(),
        incoming: BytesMut::new(),
        replies: HashMap::new(),
        watches: HashMap::new(),
        last_token: 0,
        tracks: Tracks::default(),
        timelines: BTreeMap::new(),
        list,
        list_changed: false,
        shutting_down: Vec::new(),
        account,
        status,
        conversations,
        events,
    };
    let now_ms = driver.clock.now_ms();
    if driver.core.has_tokens() {
        driver.core.start(now_ms);
    } else if let Some(credentials) = credentials {
        let token = driver.token();
        if let Err(error) = driver.core.authenticate(now_ms, token, credentials) {
            tracing::debug!(%error, "the credentials were not used");
        }
    } else {
        driver.core.start(now_ms);
    }
    // Before anybody can look: what start() decided.
    driver.publish();
    tokio::spawn(driver.run(receiver));
    client
}

/// Milliseconds since 1970 that never go back.
struct Clock {
    started: Instant,
    started_ms: u64,
}

impl Clock {
    fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_ms: u64::try_from(since.as_millis()).unwrap_or(0) }
    }

    fn now_ms(&self) -> u64 {
        self.started_ms + u64::try_from(self.started.elapsed().as_millis()).unwrap_or(0)
    }

    fn instant(&self, at_ms: u64) -> Instant {
        self.started + Duration::from_millis(at_ms.saturating_sub(self.started_ms).min(FAR_MS))
    }
}

const FAR_MS: u64 = 1 << 40;

struct Driver {
    core: ClientCore,
    endpoint: Endpoint,
    clock: Clock,
    store: Option<Box<dyn LocalStore>>,
    storing: Option<Boxed<Stored>>,
    connecting: Option<(u64, Boxed<Opened>)>,
    reader: Option<Reader>,
    writer: Option<Writer>,
    needs_flush: bool,
    outgoing: Bytes,
    incoming: BytesMut,
    replies: HashMap<RequestToken, Answer<Bytes>>,
    watches: HashMap<RequestToken, Answer<Vec<PresenceWatch>>>,
    last_token: u64,
    tracks: Tracks,
    timelines: BTreeMap<ConversationId, watch::Sender<Arc<TimelineView>>>,
    list: BTreeMap<ConversationId, Arc<ConversationState>>,
    list_changed: bool,
    shutting_down: Vec<oneshot::Sender<()>>,
    account: watch::Sender<Arc<AccountState>>,
    status: watch::Sender<Status>,
    conversations: watch::Sender<Arc<Vec<Arc<ConversationState>>>>,
    events: Outlet,
}

enum Woken {
    Closed,
    Command(Option<Box<Command>>),
    Connected(u64, Opened),
    Read,
    Stored(Stored),
    Timeout,
    WriteFailed,
    Wrote,
}

impl Driver {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            self.turn();
            let woken = self.wait(&mut commands).await;
            self.core.set_listening(self.events.listening());
            match woken {
                Woken::Closed => self.drop_connection(),
                Woken::Command(None) => break,
                Woken::Command(Some(command)) => {
                    self.command(*command);
                    for _ in 1..COMMANDS_PER_TURN {
                        let Ok(command) = commands.try_recv() else {
                            break;
                        };
                        self.command(command);
                    }
                }
                Woken::Connected(generation, result) => self.connected(generation, result),
                Woken::Read => {
                    let now_ms = self.clock.now_ms();
                    self.core.handle_bytes(now_ms, &mut self.incoming);
                }
                Woken::Stored((store, ticket, result)) => {
                    self.storing = None;
                    self.store = Some(store);
                    self.core.handle_stored(self.clock.now_ms(), ticket, result);
                }
                Woken::Timeout => self.core.handle_timeout(self.clock.now_ms()),
                // A Goodbye may still be on its way in: the reading side, or
                // its silence, ends the connection.
                Woken::WriteFailed => self.writer = None,
                Woken::Wrote => {}
            }
            if !self.shutting_down.is_empty() {
                break;
            }
        }
        commands.close();
        self.finish().await;
    }

    /// Does everything that the core wants done now.
    fn turn(&mut self) {
        loop {
            let now_ms = self.clock.now_ms();
            let stored = self.apply_store(now_ms);
            if let Some(generation) = self.core.poll_connect() {
                let endpoint = self.endpoint.clone();
                let opening = Box::pin(async move { endpoint.open().await });
                self.connecting = Some((generation, opening));
            }
            if self.outgoing.is_empty()
                && let Some(bytes) = self.core.poll_transmit(now_ms)
            {
                self.outgoing = bytes;
            }
            let closed = self.core.poll_close();
            if closed {
                self.drop_connection();
            }
            if !stored && !closed {
                break;
            }
        }
        self.publish();
    }

    /// Hands the next batch to the store. True when it was applied on the
    /// spot.
    fn apply_store(&mut self, now_ms: u64) -> bool {
        let Some(mut store) = self.store.take() else {
            return false;
        };
        let Some(StoreBatch { ticket, ops, durable }) = self.core.poll_store() else {
            self.store = Some(store);
            return false;
        };
        if !store.is_blocking() {
            let result = store.apply(&ops, durable);
            self.store = Some(store);
            self.core.handle_stored(now_ms, ticket, result);
            return true;
        }
        let task = tokio::task::spawn_blocking(move || {
            let result = store.apply(&ops, durable);
            (store, ticket, result)
        });
        self.storing = Some(Box::pin(async move {
            match task.await {
                Ok(stored) => stored,
                // The store panicked, or the runtime is stopping.
                Err(error) => (
                    Box::new(LostStore) as Box<dyn LocalStore>,
                    ticket,
                    Err(StoreError::Io(error.to_string())),
                ),
            }
        }));
        false
    }

    async fn wait(&mut self, commands: &mut mpsc::Receiver<Command>) -> Woken {
        let core_at = self.core.poll_timeout(self.clock.now_ms()).map(|ms| self.clock.instant(ms));
        let at = core_at.into_iter().chain(self.events.deadline(Instant::now())).min();
        if self.incoming.capacity() - self.incoming.len() < READ_BYTES / 4 {
            self.incoming.reserve(READ_BYTES);
        }
        tokio::select! {
            read = read_some(&mut self.reader, &mut self.incoming) => match read {
                Ok(0) | Err(_) => Woken::Closed,
                Ok(_) => Woken::Read,
            },
            wrote = write_some(&mut self.writer, &mut self.outgoing, &mut self.needs_flush) => {
                match wrote {
                    Ok(()) => Woken::Wrote,
                    Err(_) => Woken::WriteFailed,
                }
            }
            stored = pending_or(&mut self.storing) => Woken::Stored(stored),
            (generation, result) = opened(&mut self.connecting) => {
                Woken::Connected(generation, result)
            }
            command = commands.recv() => Woken::Command(command.map(Box::new)),
            () = sleep_until(at) => Woken::Timeout,
        }
    }

    fn connected(&mut self, generation: u64, result: Opened) {
        self.connecting = None;
        let now_ms = self.clock.now_ms();
        match result {
            Ok((reader, writer)) => {
                self.reader = Some(reader);
                self.writer = Some(writer);
                self.core.handle_connected(now_ms, generation);
            }
            Err(error) => {
                self.core.handle_connect_failed(now_ms, generation, error, random());
            }
        }
    }

    fn drop_connection(&mut self) {
        self.connecting = None;
        self.reader = None;
        self.writer = None;
        self.outgoing = Bytes::new();
        self.needs_flush = false;
        self.incoming.clear();
        self.core.handle_closed(self.clock.now_ms(), random());
    }

    fn command(&mut self, command: Command) {
        let now_ms = self.clock.now_ms();
        match command {
            Command::Discard { id, answer } => tell(answer, self.core.discard(id)),
            Command::KnownProfiles { users, answer } => {
                let known = users.iter().filter_map(|user| self.core.profile(*user).cloned());
                tell(answer, Ok(known.collect()));
            }
            Command::MarkRead { conversation, seq, answer } => {
                self.core.mark_read(conversation, seq);
                // Whoever waited for this finds it in the list.
                self.publish();
                tell(answer, Ok(()));
            }
            Command::OpenTimeline { conversation, answer } => {
                tell(answer, Ok(self.open_timeline(conversation)));
            }
            Command::Retry { id, answer } => match self.core.retry(id) {
                Ok(()) => self.tracks.follow(id, answer),
                Err(error) => tell(answer, Err(error)),
            },
            Command::Send { message, answer } => {
                let id = message.client_msg_id;
                match self.core.send(now_ms, message) {
                    Ok(()) => self.tracks.follow(id, answer),
                    Err(error) => tell(answer, Err(error)),
                }
            }
            Command::Shutdown { answer } => self.shutting_down.push(answer),
            Command::Start { answer } => {
                self.core.start(now_ms);
                // The caller waits for what the status becomes.
                self.publish();
                tell(answer, Ok(()));
            }
            Command::Stop { answer } => {
                self.core.stop();
                self.publish();
                tell(answer, Ok(()));
            }
            request => self.request(now_ms, request),
        }
    }

    /// Commands that the server answers.
    fn request(&mut self, now_ms: u64, command: Command) {
        match command {
            Command::Authenticate { credentials, answer } => {
                self.ask(answer, |core, token| core.authenticate(now_ms, token, credentials));
            }
            Command::LoadOlder { conversation, limit, answer } => {
                self.ask(answer, |core, token| core.load_older(now_ms, token, conversation, limit));
            }
            Command::Logout { answer } => self.ask(answer, |core, token| {
                core.logout(now_ms, token);
                Ok(())
            }),
            Command::Request { opcode, payload, answer } => {
                self.ask(answer, |core, token| core.request(now_ms, token, opcode, payload));
            }
            Command::WatchPresence { users, answer } => {
                let token = self.token();
                match self.core.watch_presence(token, &users) {
                    Ok(()) => {
                        self.watches.insert(token, answer);
                    }
                    Err(error) => tell(answer, Err(error)),
                }
            }
            Command::Discard { .. }
            | Command::KnownProfiles { .. }
            | Command::MarkRead { .. }
            | Command::OpenTimeline { .. }
            | Command::Retry { .. }
            | Command::Send { .. }
            | Command::Shutdown { .. }
            | Command::Start { .. }
            | Command::Stop { .. } => {}
        }
    }

    fn open_timeline(&mut self, id: ConversationId) -> watch::Receiver<Arc<TimelineView>> {
        self.close_timelines();
        self.core.open_timeline(id);
        self.timelines
            .entry(id)
            .or_insert_with(|| watch::Sender::new(Arc::new(self.core.timeline(id))))
            .subscribe()
    }

    fn ask(
        &mut self,
        answer: Answer<Bytes>,
        request: impl FnOnce(&mut ClientCore, RequestToken) -> Result<(), ClientError>,
    ) {
        let token = self.token();
        match request(&mut self.core, token) {
            Ok(()) => {
                self.replies.insert(token, answer);
            }
            Err(error) => tell(answer, Err(error)),
        }
    }

    fn token(&mut self) -> RequestToken {
        self.last_token += 1;
        RequestToken(self.last_token)
    }

    /// Tells handles and subscribers what happened.
    ///
    /// Whoever waits for a reply hears it last, and so finds account, status
    /// and list as they are after it.
    fn publish(&mut self) {
        let mut answers = Vec::new();
        let now = Instant::now();
        while let Some(event) = self.core.poll_event() {
            match &event {
                Event::Reply { token, result } => {
                    if let (Some(answer), Err(error)) = (self.watches.remove(token), result) {
                        tell(answer, Err(error.clone()));
                    } else if let Some(answer) = self.replies.remove(token)
                        && let Event::Reply { result, .. } = event
                    {
                        answers.push((answer, result));
                    }
                    continue;
                }
                Event::Send { client_msg_id, conversation, update } => {
                    self.tracks.update(&self.core, *client_msg_id, *conversation, update);
                }
                Event::ConversationChanged(id) => self.conversation_changed(*id),
                Event::TimelineChanged(id) => self.timeline_changed(*id),
                Event::StatusChanged(status) => {
                    self.publish_account();
                    self.status.send_replace(*status);
                }
                Event::DevicesChanged | Event::SignedIn(_) => self.publish_account(),
                Event::Watching { token, people } => {
                    if let Some(answer) = self.watches.remove(token) {
                        tell(answer, Ok(people.clone()));
                    }
                    continue;
                }
                _ => {}
            }
            self.events.send(now, event);
        }
        self.events.pump(now);
        if std::mem::take(&mut self.list_changed) {
            self.conversations.send_replace(ordered(&self.list));
        }
        for (answer, result) in answers {
            tell(answer, result);
        }
    }

    fn publish_account(&mut self) {
        let state = AccountState::of(&self.core);
        self.account.send_if_modified(|before| {
            let changed = **before != state;
            if changed {
                *before = Arc::new(state);
            }
            changed
        });
    }

    fn conversation_changed(&mut self, id: ConversationId) {
        self.tracks.conversation_changed(&self.core, id);
        match self.core.conversation(id) {
            Some(state) => self.list.insert(id, Arc::new(state)),
            None => self.list.remove(&id),
        };
        self.list_changed = true;
    }

    fn timeline_changed(&mut self, id: ConversationId) {
        if let Some(view) = self.timelines.get(&id) {
            if view.is_closed() {
                self.timelines.remove(&id);
                self.core.close_timeline(id);
            } else {
                view.send_replace(Arc::new(self.core.timeline(id)));
            }
        }
    }

    /// Gives back what timelines that nobody looks at any more hold.
    fn close_timelines(&mut self) {
        let core = &mut self.core;
        self.timelines.retain(|id, view| {
            let open = !view.is_closed();
            if !open {
                core.close_timeline(*id);
            }
            open
        });
    }

    /// Writes what is left to store and socket, and ends.
    async fn finish(mut self) {
        let now_ms = self.clock.now_ms();
        if self.outgoing.is_empty()
            && let Some(bytes) = self.core.poll_transmit(now_ms)
        {
            self.outgoing = bytes;
        }
        let last_write = async {
            while self.writer.is_some() && (!self.outgoing.is_empty() || self.needs_flush) {
                write_some(&mut self.writer, &mut self.outgoing, &mut self.needs_flush).await?;
            }
            match &mut self.writer {
                Some(writer) => writer.shutdown().await,
                None => Ok(()),
            }
        };
        if let Ok(Err(error)) = tokio::time::timeout(LAST_WRITE, last_write).await {
            tracing::debug!(%error, "the last bytes were not written");
        }
        self.core.stop();
        if self.core.poll_close() {
            self.drop_connection();
        }
        loop {
            while self.apply_store(now_ms) {}
            let Some(storing) = &mut self.storing else {
                break;
            };
            let (store, ticket, result) = storing.await;
            self.storing = None;
            self.store = Some(store);
            self.core.handle_stored(now_ms, ticket, result);
        }
        self.publish();
        let until = Instant::now() + LAST_EVENTS;
        while let Some(at) = self.events.deadline(Instant::now()).filter(|at| *at < until) {
            tokio::time::sleep_until(at).await;
            self.events.pump(Instant::now());
        }
        self.events.flush();
        let waiting = std::mem::take(&mut self.shutting_down);
        // The store is closed before anybody hears that this is done.
        drop(self);
        for answer in waiting {
            answer.send(()).ok();
        }
    }
}

/// Stands in for a store that is gone.
struct LostStore;

impl LocalStore for LostStore {
    fn load(&mut self) -> Result<StoredState, StoreError> {
        Err(StoreError::Io("the store is gone".into()))
    }

    fn apply(
        &mut self,
        _ops: &[hongyan_client_core::StoreOp],
        _durable: bool,
    ) -> Result<(), StoreError> {
        Err(StoreError::Io("the store is gone".into()))
    }

    fn is_blocking(&self) -> bool {
        false
    }
}

fn ordered(
    list: &BTreeMap<ConversationId, Arc<ConversationState>>,
) -> Arc<Vec<Arc<ConversationState>>> {
    let mut states: Vec<_> = list.values().cloned().collect();
    states.sort_by_key(|state| (std::cmp::Reverse(state.activity_ms), state.id));
    Arc::new(states)
}

fn tell<T>(answer: Answer<T>, result: Result<T, ClientError>) {
    // The caller stopped waiting; the result stands all the same.
    answer.send(result).ok();
}

fn random() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().1
}

async fn read_some(reader: &mut Option<Reader>, buffer: &mut BytesMut) -> std::io::Result<usize> {
    match reader {
        Some(reader) => reader.read_buf(buffer).await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Writes once, or flushes what a layer below may hold back.
async fn write_some(
    writer: &mut Option<Writer>,
    outgoing: &mut Bytes,
    needs_flush: &mut bool,
) -> std::io::Result<()> {
    match writer {
        Some(writer) if outgoing.has_remaining() => {
            writer.write_buf(outgoing).await?;
            *needs_flush = true;
            Ok(())
        }
        Some(writer) if *needs_flush => {
            writer.flush().await?;
            *needs_flush = false;
            Ok(())
        }
        _ => std::future::pending().await,
    }
}

async fn pending_or(storing: &mut Option<Boxed<Stored>>) -> Stored {
    match storing {
        Some(storing) => storing.await,
        None => std::future::pending().await,
    }
}

async fn opened(connecting: &mut Option<(u64, Boxed<Opened>)>) -> (u64, Opened) {
    match connecting {
        Some((generation, opening)) => (*generation, opening.await),
        None => std::future::pending().await,
    }
}
