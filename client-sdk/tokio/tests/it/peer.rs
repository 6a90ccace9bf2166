//! A peer that speaks just enough of the protocol to serve clients in one
//! process: accounts by name, direct conversations, pushes, and faults on
//! demand. It knows no persistence and no rules; the real server's tests are
//! elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::BytesMut;
use hongyan_client::{ConversationId, ErrorCode, Opcode, UserId, pb};
use hongyan_protocol::frame::encode_message;
use hongyan_protocol::version::{CLIENT_PREFACE, PREFACE_BYTES};
use hongyan_protocol::{Frame, FrameDecoder};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

#[derive(Default)]
pub(crate) struct State {
    names: BTreeMap<String, u64>,
    pub(crate) conversations: BTreeMap<ConversationId, Vec<pb::Message>>,
    read: HashMap<(ConversationId, u64), u64>,
    delivered: HashMap<(ConversationId, u64), u64>,
    sessions: Vec<(u64, u64, mpsc::Sender<Vec<u8>>)>,
    connections: u64,
    /// Closes the connection instead of answering so many Sends, after they
    /// were stored.
    pub(crate) cut_sends: usize,
    /// Tokens of this many logins are refused as expired.
    pub(crate) expire_tokens: bool,
    pub(crate) refreshes: usize,
}

#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Peer {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    pub(crate) async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be bound");
        let address = listener.local_addr().expect("it is bound");
        let peer = Self { address, state: Arc::default() };
        let serving = peer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let peer = serving.clone();
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => peer.serve(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                peer.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        peer
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }

    /// Closes every session with this Goodbye.
    pub(crate) fn goodbye(&self, code: ErrorCode, reconnect_after_ms: u32) {
        let goodbye =
            pb::Goodbye { code: code.number(), message: String::new(), reconnect_after_ms };
        let bytes = Frame::new(Opcode::Goodbye, 0, &goodbye).to_delimited().to_vec();
        for (_, _, pushes) in self.state().sessions.drain(..) {
            pushes.try_send(bytes.clone()).expect("the queue has room");
        }
    }

    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut incoming = BytesMut::new();
        while incoming.len() < PREFACE_BYTES {
            if !matches!(stream.read_buf(&mut incoming).await, Ok(read) if read > 0) {
                return;
            }
        }
        let preface = incoming.split_to(PREFACE_BYTES);
        if preface[..] != CLIENT_PREFACE {
            return;
        }
        let (pushes, mut pushed) = mpsc::channel::<Vec<u8>>(4_096);
        let connection = {
            let mut state = self.state();
            state.connections += 1;
            state.connections
        };
        let mut session = Session { peer: self.clone(), pushes, connection, user: None };
        let mut out = CLIENT_PREFACE.to_vec();
        let decoder = FrameDecoder::new(1 << 20);
        'serving: loop {
            while let Ok(Some(frame)) = decoder.decode(&mut incoming) {
                let mut reply = BytesMut::new();
                let goes_on = session.handle(&frame, &mut reply);
                out.extend_from_slice(&reply);
                if !goes_on {
                    break 'serving;
                }
            }
            if stream.write_all(&out).await.is_err() || stream.flush().await.is_err() {
                break;
            }
            out.clear();
            tokio::select! {
                read = stream.read_buf(&mut incoming) => match read {
                    Ok(read) if read > 0 => {}
                    _ => break,
                },
                Some(bytes) = pushed.recv() => {
                    let goodbye = bytes.get(2) == Some(&2);
                    out.extend_from_slice(&bytes);
                    if goodbye {
                        stream.write_all(&out).await.ok();
                        stream.shutdown().await.ok();
                        break;
                    }
                }
            }
        }
        self.state().sessions.retain(|(_, open, _)| *open != connection);
    }
}

struct Session {
    peer: Peer,
    pushes: mpsc::Sender<Vec<u8>>,
    connection: u64,
    user: Option<u64>,
}

impl Session {
    fn handle(&mut self, frame: &Frame, out: &mut BytesMut) -> bool {
        if frame.is_heartbeat() {
            out.extend_from_slice(&[0]);
            return true;
        }
        let opcode = Opcode::from_number(frame.opcode).expect("a known opcode");
        match (opcode, self.user) {
            (Opcode::Hello, _) => self.hello(frame, out),
            (Opcode::Register, _) => {
                let register: pb::Register = frame.message().expect("a Register");
                let taken = self.peer.state().names.contains_key(&register.name);
                if taken {
                    return refuse(frame, ErrorCode::NameTaken, out);
                }
                self.open(frame, &register.name, out);
            }
            (Opcode::Login, _) => {
                let login: pb::Login = frame.message().expect("a Login");
                let known = self.peer.state().names.contains_key(&login.name);
                if !known || login.password == "wrong password" {
                    return refuse(frame, ErrorCode::BadCredentials, out);
                }
                self.open(frame, &login.name, out);
            }
            (Opcode::Refresh, _) => {
                let refresh: pb::Refresh = frame.message().expect("a Refresh");
                let name = refresh.refresh_token.trim_start_matches("refresh ").to_owned();
                self.peer.state().expire_tokens = false;
                self.peer.state().refreshes += 1;
                self.open(frame, &name, out);
            }
            (_, None) => return refuse(frame, ErrorCode::OutOfOrder, out),
            (opcode, Some(me)) => return self.request(opcode, me, frame, out),
        }
        true
    }

    fn hello(&mut self, frame: &Frame, out: &mut BytesMut) {
        let hello: pb::Hello = frame.message().expect("a Hello");
        let mut welcome = pb::Welcome {
            server_time_ms: now_ms(),
            heartbeat_ms: 30_000,
            ..pb::Welcome::default()
        };
        if let Some(name) = hello.access_token.strip_prefix("access ") {
            if self.peer.state().expire_tokens {
                refuse(frame, ErrorCode::TokenExpired, out);
                return;
            }
            let session = self.join(name, None);
            welcome.resumed = hello.resume.map(|resume| self.page(session.user_id, &resume));
            welcome.session = Some(session);
        }
        encode_message(Opcode::Hello, frame.request, &welcome, out);
    }

    fn open(&mut self, frame: &Frame, name: &str, out: &mut BytesMut) {
        let tokens = pb::Tokens {
            access_token: format!("access {name}"),
            access_expires_ms: now_ms() + 900_000,
            refresh_token: format!("refresh {name}"),
            refresh_expires_ms: now_ms() + 9_000_000,
        };
        let session = self.join(name, Some(tokens));
        encode_message(
            Opcode::from_number(frame.opcode).expect("a known opcode"),
            frame.request,
            &session,
            out,
        );
    }

    fn join(&mut self, name: &str, tokens: Option<pb::Tokens>) -> pb::Session {
        let mut state = self.peer.state();
        let next = (state.names.len() as u64 + 1) << 12;
        let user_id = *state.names.entry(name.to_owned()).or_insert(next);
        state.sessions.push((user_id, self.connection, self.pushes.clone()));
        drop(state);
        self.user = Some(user_id);
        pb::Session {
            user_id,
            name: name.into(),
            display_name: name.to_uppercase(),
            device_id: "device".into(),
            tokens,
        }
    }

    fn request(&mut self, opcode: Opcode, me: u64, frame: &Frame, out: &mut BytesMut) -> bool {
        let request = frame.request;
        match opcode {
            Opcode::FindUser => {
                let find: pb::FindUser = frame.message().expect("a FindUser");
                let Some(user) = self.peer.state().names.get(&find.name).copied() else {
                    return refuse(frame, ErrorCode::NoSuchUser, out);
                };
                let profiles = vec![pb::Profile { user, name: find.name, ..Default::default() }];
                encode_message(opcode, request, &pb::Profiles { profiles }, out);
            }
            Opcode::Send => return self.send(me, frame, out),
            Opcode::MoveCursor => {
                self.move_cursor(me, &frame.message().expect("a MoveCursor"));
                if request != 0 {
                    encode_message(opcode, request, &pb::Empty {}, out);
                }
            }
            Opcode::Sync => {
                let page = self.page(me, &frame.message().expect("a SyncRequest"));
                encode_message(opcode, request, &page, out);
            }
            Opcode::History => {
                let ask: pb::History = frame.message().expect("a History");
                let id = id_of(ask.conversation.as_ref());
                let state = self.peer.state();
                let all = state.conversations.get(&id).cloned().unwrap_or_default();
                let mut messages: Vec<_> = all
                    .into_iter()
                    .filter(|message| (ask.from_seq..=ask.to_seq).contains(&message.seq))
                    .collect();
                let skipped = messages.len().saturating_sub(ask.limit.max(1) as usize);
                messages.drain(..skipped);
                let page =
                    pb::HistoryPage { messages, more: skipped > 0, first_seq: 1, last_seq: 0 };
                encode_message(opcode, request, &page, out);
            }
            Opcode::CreateGroup => {
                let create: pb::CreateGroup = frame.message().expect("a CreateGroup");
                let group = pb::Group {
                    id: 9 << 12,
                    name: create.name,
                    member_count: create.members.len() as u32 + 1,
                    role: 1,
                    ..pb::Group::default()
                };
                encode_message(opcode, request, &group, out);
            }
            _ if request != 0 => encode_message(opcode, request, &pb::Empty {}, out),
            _ => {}
        }
        true
    }

    fn send(&self, me: u64, frame: &Frame, out: &mut BytesMut) -> bool {
        let send: pb::Send = frame.message().expect("a Send");
        let id = id_of(send.conversation.as_ref());
        let mut state = self.peer.state();
        let messages = state.conversations.entry(id).or_default();
        let known = messages
            .iter()
            .find(|message| message.sender == me && message.client_msg_id == send.client_msg_id);
        let repeated_send = known.is_some();
        let message = known.cloned().unwrap_or_else(|| pb::Message {
            conversation: Some(id.to_wire()),
            seq: messages.len() as u64 + 1,
            message_id: messages.len() as u64 + 1_000,
            sender: me,
            time_ms: now_ms(),
            client_msg_id: send.client_msg_id.clone(),
            body: send.body.clone(),
        });
        if !repeated_send {
            messages.push(message.clone());
            let bytes = Frame::new(Opcode::Message, 0, &message).to_delimited();
            for (_, connection, pushes) in members(&state, id) {
                if *connection != self.connection {
                    pushes.try_send(bytes.to_vec()).ok();
                }
            }
        }
        if state.cut_sends > 0 {
            state.cut_sends -= 1;
            return false;
        }
        let ack = pb::SendAck {
            message_id: message.message_id,
            seq: message.seq,
            time_ms: message.time_ms,
            level: send.level,
            repeated_send,
        };
        encode_message(Opcode::Send, frame.request, &ack, out);
        true
    }

    fn move_cursor(&self, me: u64, moved: &pb::MoveCursor) {
        let id = id_of(moved.conversation.as_ref());
        let mut state = self.peer.state();
        let read = state.read.entry((id, me)).or_default();
        *read = moved.read_seq.max(*read);
        let read_seq = *read;
        let delivered = state.delivered.entry((id, me)).or_default();
        *delivered = moved.delivered_seq.max(*delivered).max(read_seq);
        let delivered_seq = *delivered;
        let told =
            pb::CursorMoved { conversation: Some(id.to_wire()), user: me, delivered_seq, read_seq };
        let bytes = Frame::new(Opcode::CursorMoved, 0, &told).to_delimited();
        for (_, connection, pushes) in members(&state, id) {
            if *connection != self.connection {
                pushes.try_send(bytes.to_vec()).ok();
            }
        }
    }

    fn page(&self, me: u64, request: &pb::SyncRequest) -> pb::SyncPage {
        let state = self.peer.state();
        let me = UserId::new(me).expect("not zero");
        let mut page = pb::SyncPage { server_time_ms: now_ms(), ..pb::SyncPage::default() };
        for (id, all) in &state.conversations {
            let Some(peer) = id.peer_of(me) else { continue };
            let held = request
                .held
                .iter()
                .find(|held| id_of(held.conversation.as_ref()) == *id)
                .map_or(all.len(), |held| held.seq as usize);
            let cursor = |cursors: &HashMap<(ConversationId, u64), u64>, user: UserId| {
                cursors.get(&(*id, user.get())).copied().unwrap_or(0)
            };
            let own = all.iter().rev().find(|message| message.sender == me.get());
            let floor = own.map_or(0, |message| message.seq).max(cursor(&state.read, me));
            page.conversations.push(pb::SyncedConversation {
                state: Some(pb::Conversation {
                    id: Some(id.to_wire()),
                    last_seq: all.len() as u64,
                    delivered_seq: cursor(&state.delivered, me),
                    read_seq: cursor(&state.read, me),
                    unread: (all.len() as u64).saturating_sub(floor),
                    first_seq: 1,
                    last_message: all.last().cloned(),
                    peer_delivered_seq: cursor(&state.delivered, peer),
                    peer_read_seq: cursor(&state.read, peer),
                    group: None,
                    gone: false,
                }),
                messages: all[held.min(all.len())..].to_vec(),
                too_old: false,
            });
        }
        page
    }
}

fn members(
    state: &State,
    id: ConversationId,
) -> impl Iterator<Item = &(u64, u64, mpsc::Sender<Vec<u8>>)> {
    state.sessions.iter().filter(move |(user, _, _)| {
        UserId::new(*user).is_some_and(|user| id.peer_of(user).is_some())
    })
}

fn refuse(frame: &Frame, code: ErrorCode, out: &mut BytesMut) -> bool {
    let error = pb::Error { code: code.number(), message: "no".into(), retry_after_ms: 0 };
    encode_message(Opcode::Error, frame.request, &error, out);
    true
}

fn id_of(id: Option<&pb::ConversationId>) -> ConversationId {
    id.and_then(ConversationId::from_wire).expect("a valid conversation")
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
