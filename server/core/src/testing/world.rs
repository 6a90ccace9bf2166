//! Shards, mailboxes, a log and views; and the executor's rules in few lines.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use bytes::{Bytes, BytesMut};
use hongyan_protocol::{Frame, FrameDecoder, UserId};

use crate::input::{FreshSecret, StoreFailure, Ticket};
use crate::key::{EntityKey, page_key, parse_page_key};
use crate::{
    AccessTokens, AdminCommand, AdminOutcome, Claims, ConnId, CoreConfig, Effect, Effects, Gate,
    Input, Layout, Now, OffloadJob, OffloadOutcome, PartitionId, Peer, RecordDraft, Shard, ShardId,
    Submission, TokenFault,
};

struct Running {
    shard: Shard,
    inbox: VecDeque<Input>,
    waiting: VecDeque<(u64, Effect)>,
    submission: u64,
    durable: u64,
}

/// See the module.
pub struct World {
    config: CoreConfig,
    layout: Layout,
    shards: Vec<Running>,
    /// Everything committed, in order.
    pub log: Vec<RecordDraft>,
    unsynced: Vec<(usize, Submission)>,
    /// The views.
    pub views: BTreeMap<Bytes, Bytes>,
    trimmed: BTreeMap<PartitionId, u64>,
    /// The clocks.
    pub now: Now,
    /// Sync after each wake; off: only by [`World::sync_log`].
    pub auto_sync: bool,
    received: BTreeMap<(u16, ConnId), BytesMut>,
    moved: BTreeMap<(u16, ConnId), (u16, ConnId)>,
    closed: Vec<(u16, ConnId)>,
    admin: Vec<AdminOutcome>,
    next_conn: u64,
    secrets: u64,
    /// Loads that fail.
    pub views_fail: bool,
    /// Slow work is put off until [`World::release`].
    pub hold_offload: bool,
    held: VecDeque<(u16, Input)>,
}

impl World {
    /// A new server with so many shards.
    pub fn new(shards: u16) -> Self {
        Self::with_config(shards, CoreConfig { requests_per_second: 0, ..CoreConfig::default() })
    }

    /// A new server with these settings.
    pub fn with_config(shards: u16, config: CoreConfig) -> Self {
        let mut world = Self {
            config,
            layout: Layout::new(shards),
            shards: Vec::new(),
            log: Vec::new(),
            unsynced: Vec::new(),
            views: BTreeMap::new(),
            trimmed: BTreeMap::new(),
            now: Now { unix_ms: 1_700_000_000_000, mono_ms: 1_000 },
            auto_sync: true,
            received: BTreeMap::new(),
            moved: BTreeMap::new(),
            closed: Vec::new(),
            admin: Vec::new(),
            next_conn: 0,
            secrets: 0,
            views_fail: false,
            hold_offload: false,
            held: VecDeque::new(),
        };
        world.boot();
        world
    }

    /// Stops without a word and starts again with `shards` shards: what was
    /// synced is still there, connections are not.
    pub fn crash(&mut self, shards: u16) {
        for (_, lost) in self.unsynced.drain(..) {
            self.log.retain(|record| !lost.records.contains(record));
        }
        self.layout = Layout::new(shards);
        self.received.clear();
        self.moved.clear();
        self.boot();
    }

    fn boot(&mut self) {
        self.shards.clear();
        for id in 0..self.layout.shards() {
            let id = ShardId(id);
            let mut shard = Shard::new(id, self.layout, self.config.clone(), Box::new(PlainTokens));
            for partition in self.layout.partitions_of(id) {
                let key = EntityKey::Partition(partition).to_bytes();
                let value = self.views.get(&key).map(Bytes::as_ref);
                shard.install_partition(partition, value).expect("partitions install");
            }
            let mut load = |key: &EntityKey| Ok(self.views.get(&key.to_bytes()).cloned());
            for record in &self.log {
                let trimmed = self.trimmed.get(&record.partition).copied().unwrap_or(0);
                if self.layout.shard_of_partition(record.partition) == id && record.idx > trimmed {
                    shard
                        .replay(record.partition, record.idx, &record.payload, &mut load)
                        .expect("records replay");
                }
            }
            let mut fx = Effects::new();
            shard.finish_replay(&mut fx);
            let waiting = fx.queue.into_iter().map(|(_, effect)| (0, effect)).collect();
            self.shards.push(Running {
                shard,
                inbox: VecDeque::new(),
                waiting,
                submission: 0,
                durable: 0,
            });
        }
        self.run();
    }

    /// Opens a connection on a shard.
    pub fn open(&mut self, shard: u16) -> (u16, ConnId) {
        self.next_conn += 1;
        let conn = ConnId(self.next_conn);
        let peer = Peer { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), encrypted: false };
        let shard = shard % self.layout.shards();
        self.input(shard, Input::Opened { conn, peer });
        (shard, conn)
    }

    /// Where a connection is now.
    pub fn place(&self, mut at: (u16, ConnId)) -> (u16, ConnId) {
        while let Some(next) = self.moved.get(&at) {
            at = *next;
        }
        at
    }

    /// Gives an input and runs until nothing moves.
    pub fn input(&mut self, shard: u16, input: Input) {
        self.shards[usize::from(shard)].inbox.push_back(input);
        self.run();
    }

    /// All frames that came on a connection since the last call.
    pub fn frames(&mut self, at: (u16, ConnId)) -> Vec<Frame> {
        let Some(bytes) = self.received.get_mut(&at) else {
            return Vec::new();
        };
        let decoder = FrameDecoder::new(hongyan_protocol::limits::FRAME_BYTES_MAX);
        let mut frames = Vec::new();
        while let Some(frame) = decoder.decode(bytes).expect("the server sends whole frames") {
            frames.push(frame);
        }
        frames
    }

    /// Whether the server has closed this connection.
    pub fn is_closed(&self, at: (u16, ConnId)) -> bool {
        self.closed.contains(&at)
    }

    /// Asks what an operator asks.
    pub fn administer(&mut self, command: AdminCommand) -> AdminOutcome {
        let slot = hongyan_protocol::Slot::of_name(&command.name().to_ascii_lowercase());
        let shard = self.layout.shard_of(slot).0;
        self.input(shard, Input::Admin { ticket: crate::input::AdminTicket(1), command });
        self.admin.pop().expect("the admin interface answers")
    }

    /// Lets time pass.
    pub fn pass(&mut self, ms: u64) {
        self.now.unix_ms += ms;
        self.now.mono_ms += ms;
        for shard in 0..self.shards.len() {
            if self.shards[shard].shard.poll_timeout().is_some_and(|at| at <= self.now.mono_ms) {
                self.shards[shard].inbox.push_back(Input::Timeout);
            }
        }
        self.run();
    }

    /// The oldest slow work that is put off gets done.
    pub fn release(&mut self) {
        let (at, done) = self.held.pop_front().expect("work is put off");
        self.input(at, done);
    }

    /// Syncs what was appended.
    pub fn sync_log(&mut self) {
        for (shard, submission) in std::mem::take(&mut self.unsynced) {
            self.shards[shard].durable = submission.number;
        }
        self.run();
    }

    /// A whole settle round of every shard; the log before it is let go.
    pub fn settle(&mut self) {
        for at in 0..self.shards.len() {
            while let Some(step) = self.shards[at].shard.settle(16 * 1024) {
                assert!(step.after <= self.shards[at].durable, "settling waits for the sync");
                for (key, value) in step.entries {
                    match value {
                        Some(value) => self.views.insert(key, value),
                        None => self.views.remove(&key),
                    };
                }
                if let Some(marks) = step.marks {
                    for (partition, idx) in marks {
                        self.trimmed.insert(partition, idx);
                    }
                    let trimmed = &self.trimmed;
                    self.log.retain(|record| {
                        record.idx > trimmed.get(&record.partition).copied().unwrap_or(0)
                    });
                    let round = step.round;
                    self.shards[at].inbox.push_back(Input::Settled { round });
                    break;
                }
            }
        }
        self.run();
    }

    /// One shard, for its statistics.
    pub fn shard(&self, shard: u16) -> &Shard {
        &self.shards[usize::from(shard)].shard
    }

    /// The user with this id; panics on zero.
    pub fn user(id: u64) -> UserId {
        UserId::new(id).expect("a user id is not zero")
    }

    fn run(&mut self) {
        loop {
            let mut moved = false;
            for at in 0..self.shards.len() {
                moved |= self.wake(at);
            }
            if !moved {
                return;
            }
        }
    }

    fn wake(&mut self, at: usize) -> bool {
        let now = self.now;
        let running = &mut self.shards[at];
        let mut fx = Effects::new();
        let mut moved = false;
        running.shard.durable(running.durable);
        while let Some(input) = running.inbox.pop_front() {
            running.shard.handle(now, input, &mut fx);
            moved = true;
        }
        while running.shard.has_backlog() {
            running.shard.work(now, &mut fx);
            moved = true;
        }
        if let Some(submission) = running.shard.end_wake() {
            running.submission = submission.number;
            self.log.extend(submission.records.iter().cloned());
            if self.auto_sync {
                running.durable = submission.number;
            } else {
                self.unsynced.push((at, submission));
            }
        }
        let number = running.submission;
        for (gate, effect) in fx.queue {
            let number = if gate == Gate::Durable { number } else { 0 };
            running.waiting.push_back((number, effect));
        }
        let durable = running.durable;
        let (due, kept) =
            std::mem::take(&mut running.waiting).into_iter().partition(|(n, _)| *n <= durable);
        running.waiting = kept;
        let due: VecDeque<(u64, Effect)> = due;
        moved |= !due.is_empty();
        for (_, effect) in due {
            self.carry_out(at as u16, effect);
        }
        moved
    }

    fn carry_out(&mut self, at: u16, effect: Effect) {
        let back = |world: &mut Self, input| world.shards[usize::from(at)].inbox.push_back(input);
        match effect {
            Effect::Reply { conn, frame } | Effect::Push { conn, frame, .. } => {
                if !self.closed.contains(&(at, conn)) {
                    self.received.entry((at, conn)).or_default().extend_from_slice(&frame);
                }
            }
            Effect::Close { conn, goodbye } => {
                self.received.entry((at, conn)).or_default().extend_from_slice(&goodbye);
                self.closed.push((at, conn));
            }
            Effect::SessionOpened { .. } => {}
            Effect::Handoff { conn, shard, link } => {
                self.next_conn += 1;
                let adopted = ConnId(self.next_conn);
                self.moved.insert((at, conn), (shard.0, adopted));
                let inbox = &mut self.shards[usize::from(shard.0)].inbox;
                inbox.push_back(Input::Adopted { conn: adopted, link });
            }
            Effect::Forward { shard, envelope } => {
                self.shards[usize::from(shard.0)].inbox.push_back(Input::Envelope(envelope));
            }
            Effect::Load { key } => {
                let value = if self.views_fail {
                    Err(StoreFailure)
                } else {
                    Ok(self.views.get(&key.to_bytes()).cloned())
                };
                back(self, Input::Loaded { key, value });
            }
            Effect::ReadPages { ticket, conversation, from_seq, to_seq, backwards, bytes_max } => {
                let pages = self.read_pages(conversation, from_seq, to_seq, backwards, bytes_max);
                back(self, Input::PagesRead { ticket, pages: Ok(pages) });
            }
            Effect::Offload { ticket, job } => self.offload(at, ticket, &job),
            Effect::AdminReply { outcome, .. } => self.admin.push(outcome),
        }
    }

    fn read_pages(
        &self,
        id: hongyan_protocol::ConversationId,
        from_seq: u64,
        to_seq: u64,
        backwards: bool,
        bytes_max: usize,
    ) -> Vec<Bytes> {
        let start = self
            .views
            .range(page_key(id, 1)..=page_key(id, from_seq))
            .next_back()
            .and_then(|(key, _)| parse_page_key(key))
            .map_or(from_seq, |(_, first)| first);
        let mut pages: Vec<_> = self
            .views
            .range(page_key(id, start)..=page_key(id, to_seq))
            .map(|(_, page)| page.clone())
            .collect();
        if backwards {
            pages.reverse();
        }
        let mut bytes = 0;
        pages
            .into_iter()
            .take_while(|page| {
                let within = bytes < bytes_max;
                bytes += page.len();
                within
            })
            .collect()
    }

    fn offload(&mut self, at: u16, ticket: Ticket, job: &OffloadJob) {
        self.secrets += 1;
        let secret = format!("secret{}", self.secrets);
        let fresh = FreshSecret { digest: digest(&secret), secret };
        let outcome = match job {
            OffloadJob::HashPassword { password } => {
                OffloadOutcome::Hashed { hash: format!("hash:{password}"), fresh }
            }
            OffloadJob::VerifyPassword { hash, password } => {
                let matches = hash.as_ref() == Some(&format!("hash:{password}"));
                OffloadOutcome::Verified { matches, fresh }
            }
            OffloadJob::RotateRefresh { secret } => {
                OffloadOutcome::Rotated { presented: digest(secret), fresh }
            }
            OffloadJob::VerifyExternal { .. } => OffloadOutcome::External(Err(TokenFault::Invalid)),
        };
        let done = Input::OffloadDone { ticket, outcome };
        if self.hold_offload {
            self.held.push_back((at, done));
        } else {
            self.shards[usize::from(at)].inbox.push_back(done);
        }
    }
}

fn digest(secret: &str) -> Bytes {
    Bytes::from(format!("digest:{secret}"))
}

/// Tokens that anybody can read and make: `user/device/epoch/expires`.
struct PlainTokens;

impl AccessTokens for PlainTokens {
    fn issue(&self, claims: &Claims) -> String {
        format!("{}/{}/{}/{}", claims.user, claims.device_id, claims.epoch, claims.expires_ms)
    }

    fn verify(&self, token: &str, unix_ms: u64) -> Result<Claims, TokenFault> {
        let parts: Vec<_> = token.split('/').collect();
        let [user, device_id, epoch, expires_ms] = parts[..] else {
            return Err(TokenFault::Invalid);
        };
        let number = |text: &str| text.parse::<u64>().map_err(|_| TokenFault::Invalid);
        let claims = Claims {
            user: UserId::new(number(user)?).ok_or(TokenFault::Invalid)?,
            device_id: device_id.to_owned(),
            epoch: number(epoch)? as u32,
            issued_ms: 0,
            expires_ms: number(expires_ms)?,
        };
        if claims.expires_ms <= unix_ms { Err(TokenFault::Expired) } else { Ok(claims) }
    }
}
