//! A simulated device: one installation of a client, with one connection at
//! a time.
//!
//! Owns what a client library owns: tokens, an outbox that is retried under
//! the same ids until every result is definite, and a timeline for each
//! conversation. It speaks real frames and believes only what it is told.
//! Refuses to know the server's state; what it may ask of the model are
//! things a client cannot know but a judge must.
//!
//! ```text
//! Offline -> Greeting -> (Entering ->) Live -> Offline
//!    connect     Hello      login        session
//! ```

mod reply;
mod timeline;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use hongyan_protocol::pb::{self, AckLevel};
use hongyan_protocol::{ConversationId, Frame, Opcode, UserId};

pub(crate) use self::timeline::Timeline;
use crate::coverage::Coverage;
use crate::model::Model;
use crate::network::LinkId;
use crate::people::People;
use crate::violation::Checked;

/// Sends without a result that a device keeps.
pub(crate) const OUTBOX_MAX: usize = 24;

/// How far a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Offline,
    Greeting,
    Entering,
    Live,
}

/// What a request was, until its reply.
#[derive(Debug, Clone)]
pub(crate) enum Pending {
    Hello,
    Register,
    Login {
        /// The account was known to exist.
        known: bool,
    },
    Refresh,
    Send {
        client_msg_id: Bytes,
    },
    Cursor {
        conversation: ConversationId,
    },
    History(HistoryAsk),
    Sync,
    Group {
        opcode: Opcode,
        conversation: ConversationId,
    },
    Members {
        conversation: ConversationId,
    },
    /// It may sign devices out, this one too.
    Revoke,
    Watch {
        /// Everybody named was in the user's list.
        listed: bool,
    },
    Other,
}

/// What of a conversation was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HistoryAsk {
    pub(crate) conversation: ConversationId,
    pub(crate) from_seq: u64,
    /// Zero: the newest.
    pub(crate) to_seq: u64,
    pub(crate) limit: u32,
    pub(crate) backwards: bool,
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) what: Pending,
    /// The last record of the log at that time.
    pub(crate) written: u64,
}

/// A message without a definite result.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) client_msg_id: Bytes,
    pub(crate) conversation: ConversationId,
    pub(crate) body: pb::Body,
    pub(crate) level: AckLevel,
    /// On its way under this request number.
    pub(crate) request: Option<u64>,
}

/// What a device makes of its connection after a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Stay,
    Disconnect,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) index: usize,
    pub(crate) person: usize,
    pub(crate) id: String,
    /// It reads slowly, by so many microseconds per frame.
    pub(crate) slowness: u64,
    pub(crate) stage: Stage,
    pub(crate) link: Option<LinkId>,
    pub(crate) access: Option<String>,
    pub(crate) refresh: Option<String>,
    /// A sign-in was tried since the access token was given, so it may have
    /// been replaced without our knowing.
    pub(crate) access_doubtful: bool,
    pub(crate) refresh_doubtful: bool,
    /// A connection was given up while it signed in: what it asked for may
    /// be carried out after a later sign-in.
    pub(crate) signs_in_astray: bool,
    pub(crate) requests: u64,
    pub(crate) pending: BTreeMap<u64, Sent>,
    pub(crate) outbox: VecDeque<Outgoing>,
    /// Messages acknowledged lately, to be sent once more for a test.
    pub(crate) acked: VecDeque<Outgoing>,
    pub(crate) timeline: Timeline,
    /// A sync goes on: what was held when it began, and the page to ask for.
    pub(crate) sync: Option<SyncRun>,
    pub(crate) sync_wanted: bool,
    /// Syncs that ran to their end.
    pub(crate) syncs_done: u64,
}

/// See [`Device::sync`].
#[derive(Debug, Clone)]
pub(crate) struct SyncRun {
    pub(crate) held: Vec<pb::HeldCursor>,
    pub(crate) page: u64,
    pub(crate) max_bytes: u32,
}

/// What a device may look at while it handles a frame.
pub(crate) struct Surroundings<'a> {
    pub(crate) people: &'a mut People,
    pub(crate) model: &'a mut Model,
    pub(crate) coverage: &'a mut Coverage,
    /// The wall clock has been set back, so that tokens may be from the
    /// future.
    pub(crate) clock_set_back: bool,
}

impl Device {
    pub(crate) fn new(index: usize, person: usize, slowness: u64) -> Self {
        Self {
            index,
            person,
            id: format!("device-{index}"),
            slowness,
            stage: Stage::Offline,
            link: None,
            access: None,
            refresh: None,
            access_doubtful: false,
            refresh_doubtful: false,
            signs_in_astray: false,
            requests: 0,
            pending: BTreeMap::new(),
            outbox: VecDeque::new(),
            acked: VecDeque::new(),
            timeline: Timeline::default(),
            sync: None,
            sync_wanted: true,
            syncs_done: 0,
        }
    }

    /// The frame of a request, remembered until its reply.
    pub(crate) fn ask(
        &mut self,
        opcode: Opcode,
        message: &impl prost::Message,
        what: Pending,
        written: u64,
    ) -> Frame {
        self.requests += 1;
        self.pending.insert(self.requests, Sent { what, written });
        Frame::new(opcode, self.requests, message)
    }

    /// The first frame of a new connection.
    pub(crate) fn hello(&mut self, link: LinkId, resume: bool, written: u64) -> Frame {
        self.link = Some(link);
        self.stage = Stage::Greeting;
        let token = self.access.clone();
        let mut hello = pb::Hello {
            client: "simulator".into(),
            device: Some(pb::Device {
                id: self.id.clone(),
                class: pb::DeviceClass::Phone as i32,
                name: String::new(),
            }),
            max_frame_bytes: 0,
            access_token: token.clone().unwrap_or_default(),
            resume: None,
        };
        if token.is_some() && resume {
            let run = self.begin_sync(0);
            hello.resume = Some(run);
        }
        self.ask(Opcode::Hello, &hello, Pending::Hello, written)
    }

    /// Begins a sync with what is held now; says the first request.
    pub(crate) fn begin_sync(&mut self, max_bytes: u32) -> pb::SyncRequest {
        let held = self.timeline.held();
        self.sync_wanted = false;
        self.sync = Some(SyncRun { held: held.clone(), page: 0, max_bytes });
        pb::SyncRequest { held, page: 0, max_bytes }
    }

    /// The request for the next page of the sync that goes on.
    pub(crate) fn continue_sync(&self) -> Option<pb::SyncRequest> {
        let run = self.sync.as_ref()?;
        Some(pb::SyncRequest { held: run.held.clone(), page: run.page, max_bytes: run.max_bytes })
    }

    /// The frame that sends, or sends again, the message at `at` of the
    /// outbox.
    pub(crate) fn send(&mut self, at: usize, model: &mut Model, me: UserId) -> Option<Frame> {
        let written = model.log.lsn;
        let outgoing = self.outbox.get(at)?.clone();
        let frame = self.ask_send(&outgoing, model, me, written);
        self.outbox[at].request = Some(self.requests);
        Some(frame)
    }

    /// The frame that sends a message, whether it is in the outbox or not.
    pub(crate) fn ask_send(
        &mut self,
        outgoing: &Outgoing,
        model: &mut Model,
        me: UserId,
        written: u64,
    ) -> Frame {
        use prost::Message as _;
        let body = crate::trace::fingerprint(&outgoing.body.encode_to_vec());
        model.sends.attempt(
            &outgoing.client_msg_id,
            me,
            outgoing.conversation,
            body,
            outgoing.level,
        );
        let send = pb::Send {
            conversation: Some(outgoing.conversation.to_wire()),
            client_msg_id: outgoing.client_msg_id.clone(),
            body: Some(outgoing.body.clone()),
            level: outgoing.level as i32,
        };
        let what = Pending::Send { client_msg_id: outgoing.client_msg_id.clone() };
        self.ask(Opcode::Send, &send, what, written)
    }

    /// The connection is gone: results of what was asked stay unknown.
    pub(crate) fn on_disconnected(&mut self) {
        self.stage = Stage::Offline;
        self.link = None;
        self.signs_in_astray |= self.pending.values().any(|sent| {
            matches!(sent.what, Pending::Register | Pending::Login { .. } | Pending::Refresh)
        });
        self.pending.clear();
        self.sync = None;
        self.sync_wanted = true;
        for outgoing in &mut self.outbox {
            outgoing.request = None;
        }
    }

    /// Something arrived.
    pub(crate) fn on_frame(
        &mut self,
        frame: &Frame,
        around: &mut Surroundings<'_>,
    ) -> Checked<Next> {
        if frame.is_heartbeat() {
            return Ok(Next::Stay);
        }
        if frame.opcode == Opcode::Goodbye.number() {
            return Ok(Next::Disconnect);
        }
        if frame.request == 0 {
            self.on_push(frame)?;
            return Ok(Next::Stay);
        }
        self.on_reply(frame, around)
    }
}
