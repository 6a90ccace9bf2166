//! A client of a [`World`]: one connection, requests one at a time.

use hongyan_protocol::{ConversationId, ErrorCode, Frame, Opcode, UserId, pb};
use prost::Message;

use super::World;
use crate::{ConnId, Input};

/// See the module.
#[derive(Debug)]
pub struct Client {
    at: (u16, ConnId),
    /// The session, once there is one.
    pub session: pb::Session,
    /// Pushes that came and were not taken.
    pub pushes: Vec<Frame>,
    device: pb::Device,
    requests: u64,
}

impl Client {
    /// Connects to a shard and says hello as a phone with this device id.
    pub fn connect(world: &mut World, shard: u16, device_id: &str) -> Self {
        let mut client = Self::silent(world, shard, device_id);
        let hello = pb::Hello { device: Some(client.device.clone()), ..Default::default() };
        client.ask::<pb::Welcome>(world, Opcode::Hello, &hello).expect("hello is welcome");
        client
    }

    /// Connects and says nothing.
    pub fn silent(world: &mut World, shard: u16, device_id: &str) -> Self {
        let class = pb::DeviceClass::Phone.into();
        Self {
            at: world.open(shard),
            session: pb::Session::default(),
            pushes: Vec::new(),
            device: pb::Device { id: device_id.into(), class, name: "test".into() },
            requests: 0,
        }
    }

    /// Connects and makes an account.
    pub fn register(world: &mut World, shard: u16, name: &str) -> Self {
        let mut client = Self::connect(world, shard, &format!("{name}-phone"));
        let register = pb::Register {
            name: name.into(),
            password: format!("{name}-password"),
            display_name: String::new(),
        };
        client.session =
            client.ask(world, Opcode::Register, &register).expect("registering succeeds");
        client
    }

    /// Connects another device of an account, by password.
    pub fn login(world: &mut World, shard: u16, name: &str, device_id: &str) -> Self {
        let mut client = Self::connect(world, shard, device_id);
        let login = pb::Login { name: name.into(), password: format!("{name}-password") };
        client.session = client.ask(world, Opcode::Login, &login).expect("logging in succeeds");
        client
    }

    /// Connects again with the access token; resumes when `resume` is given.
    pub fn resume(
        &self,
        world: &mut World,
        shard: u16,
        resume: Option<pb::SyncRequest>,
    ) -> Result<(Self, pb::Welcome), ErrorCode> {
        let mut client = Self::silent(world, shard, &self.device.id);
        client.session = self.session.clone();
        let hello = pb::Hello {
            device: Some(client.device.clone()),
            access_token: self.tokens().access_token.clone(),
            resume,
            ..Default::default()
        };
        let welcome = client.ask(world, Opcode::Hello, &hello)?;
        Ok((client, welcome))
    }

    /// The tokens of the session.
    pub fn tokens(&self) -> &pb::Tokens {
        self.session.tokens.as_ref().expect("a session that was logged in has tokens")
    }

    /// Whose session it is.
    pub fn user(&self) -> UserId {
        World::user(self.session.user_id)
    }

    /// The conversation with another client's user.
    pub fn with(&self, other: &Self) -> ConversationId {
        ConversationId::direct(self.user(), other.user()).expect("two different users")
    }

    /// Sends a frame and returns at once.
    pub fn say(&mut self, world: &mut World, opcode: Opcode, message: &impl Message) -> u64 {
        self.requests += 1;
        let frame = Frame::new(opcode, self.requests, message);
        let (shard, conn) = world.place(self.at);
        world.input(shard, Input::Frame { conn, frame });
        self.requests
    }

    /// Sends a frame of any opcode with any payload.
    pub fn say_raw(&mut self, world: &mut World, opcode: u32, payload: &[u8]) -> u64 {
        self.requests += 1;
        let payload = bytes::Bytes::copy_from_slice(payload);
        let frame = Frame { opcode, request: self.requests, payload };
        let (shard, conn) = world.place(self.at);
        world.input(shard, Input::Frame { conn, frame });
        self.requests
    }

    /// How many replies to a request have come; takes them.
    pub fn replies(&mut self, world: &mut World, request: u64) -> usize {
        self.receive(world);
        let before = self.pushes.len();
        self.pushes.retain(|frame| frame.request != request);
        before - self.pushes.len()
    }

    /// Makes a request and takes its reply.
    ///
    /// # Errors
    /// The code of an error reply.
    pub fn ask<M: Message + Default>(
        &mut self,
        world: &mut World,
        opcode: Opcode,
        message: &impl Message,
    ) -> Result<M, ErrorCode> {
        let request = self.say(world, opcode, message);
        self.reply(world, request).expect("every request has a reply")
    }

    /// The reply to a request, if it has come.
    pub fn reply<M: Message + Default>(
        &mut self,
        world: &mut World,
        request: u64,
    ) -> Option<Result<M, ErrorCode>> {
        self.receive(world);
        let at = self.pushes.iter().position(|frame| frame.request == request)?;
        let frame = self.pushes.remove(at);
        if frame.opcode == Opcode::Error.number() {
            let error: pb::Error = frame.message().expect("errors decode");
            return Some(Err(ErrorCode::from_number(error.code).expect("a known code")));
        }
        Some(Ok(frame.message().expect("replies decode")))
    }

    /// Takes all pushes of one kind that have come.
    pub fn take<M: Message + Default>(&mut self, world: &mut World, opcode: Opcode) -> Vec<M> {
        self.receive(world);
        let (taken, kept) = std::mem::take(&mut self.pushes)
            .into_iter()
            .partition(|frame| frame.opcode == opcode.number() && frame.request == 0);
        self.pushes = kept;
        let taken: Vec<Frame> = taken;
        taken.iter().map(|frame| frame.message().expect("pushes decode")).collect()
    }

    /// Sends a text and takes the ack.
    ///
    /// # Errors
    /// The code of an error reply.
    pub fn send(
        &mut self,
        world: &mut World,
        to: ConversationId,
        id: u8,
        text: &str,
    ) -> Result<pb::SendAck, ErrorCode> {
        self.ask(world, Opcode::Send, &text_message(to, id, text))
    }

    /// Syncs what a device that holds nothing gets, in one page.
    pub fn cold_start(&mut self, world: &mut World) -> pb::SyncPage {
        self.ask(world, Opcode::Sync, &pb::SyncRequest::default()).expect("syncing succeeds")
    }

    /// All messages of a conversation that this user may see.
    pub fn history(&mut self, world: &mut World, of: ConversationId) -> Vec<pb::Message> {
        let mut messages: Vec<pb::Message> = Vec::new();
        loop {
            let ask = pb::History {
                conversation: Some(of.to_wire()),
                from_seq: messages.last().map_or(0, |message| message.seq + 1),
                limit: 7,
                ..Default::default()
            };
            let page: pb::HistoryPage =
                self.ask(world, Opcode::History, &ask).expect("history is readable");
            messages.extend(page.messages);
            if !page.more {
                return messages;
            }
        }
    }

    /// Drops the connection.
    pub fn disconnect(&self, world: &mut World) {
        let (shard, conn) = world.place(self.at);
        world.input(shard, Input::Closed { conn });
    }

    /// Whether the server closed the connection.
    pub fn is_closed(&self, world: &World) -> bool {
        world.is_closed(world.place(self.at))
    }

    fn receive(&mut self, world: &mut World) {
        let before = world.frames(self.at);
        let place = world.place(self.at);
        self.pushes.extend(before);
        self.pushes.extend(world.frames(place));
    }
}

/// A durable text message with an id made of one byte.
pub fn text_message(to: ConversationId, id: u8, text: &str) -> pb::Send {
    pb::Send {
        conversation: Some(to.to_wire()),
        client_msg_id: vec![id; 16].into(),
        body: Some(pb::Body { kind: Some(pb::body::Kind::Text(text.into())) }),
        level: pb::AckLevel::Durable.into(),
    }
}
