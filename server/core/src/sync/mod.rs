//! Catching up: pages put together from all shards.
//!
//! The user's shard knows which conversations there are; each conversation's
//! shard says how it stands; people's shards say their names. A page is sent
//! when every part has come.
//!
//! ```text
//! session --SyncRequest--> user's shard --SyncAsk-----> conversations' shards
//!                              |        <-SyncAnswer---
//!                              |        --ProfilesAsk-> people's shards
//!                              |        <-ProfilesAnswer
//!                          SyncPage (or Welcome with the page in it)
//! ```

mod answer;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hongyan_protocol::{ConversationId, ErrorCode, Opcode, UserId, pb, raw};
use indexmap::{IndexMap, IndexSet};
use prost::Message;

use crate::command::SyncCommand;
use crate::effect::{Effect, Effects, Gate};
use crate::entity::Stop;
use crate::envelope::{Envelope, Gather, SyncItem};
use crate::error::Refusal;
use crate::input::ConnId;
use crate::routing::ShardId;
use crate::session::{Conn, ConnStage, Session};
use crate::shard::{Shard, Work};

/// Conversations of one page.
const PAGE_CONVERSATIONS: usize = 1_000;
/// A conversation is in the lists of its members at most so long after they
/// joined, unless the shard stands still: a few rounds of telling tasks.
const LISTING_LATE_MS: u64 = 30_000;
/// Pages that one connection may have under way.
const GATHERINGS_PER_CONN: usize = 4;

/// What the parts become.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Reply to Sync.
    Page,
    /// Reply to GetProfiles.
    Profiles,
    /// Reply to Hello; everything but the page is there already.
    Welcome(Box<pb::Welcome>),
}

/// A page under way.
#[derive(Debug)]
pub(crate) struct Gathering {
    conn: ConnId,
    request: u64,
    shape: Shape,
    /// In the order of the user's list, with the number of each entry.
    wanted: Vec<(u64, ConversationId)>,
    /// The list has entries beyond `wanted`.
    more: bool,
    bytes_max: usize,
    parts: usize,
    items: IndexMap<ConversationId, Bytes, FixedState>,
    profiles: Vec<pb::Profile>,
    refusal: Option<Refusal>,
    /// The connection was told meanwhile that a conversation appeared or is
    /// gone; the page may say otherwise.
    overtaken: bool,
}

impl Gathering {
    /// Puts the conversations that came into `reply`, in the order of the
    /// user's list, up to the page's budget, and the number to go on from
    /// beside them (zero when nothing follows). True when an entry that came
    /// late or is over the budget ended the page early.
    fn list(&self, reply: &mut raw::SyncPage) -> bool {
        let mut bytes = 0;
        let mut cut = false;
        // A page's token is one more than the number of its last entry, so
        // that it is never zero; one stands for the beginning of the list.
        for (number, conversation) in &self.wanted {
            let Some(item) = self.items.get(conversation) else {
                if *number == 0 {
                    // Over the budget of what is not listed: the device holds
                    // it still, so the next sync tells it.
                    continue;
                }
                // It was over its shard's budget.
                cut = true;
                break;
            };
            if *number > 0 && bytes + item.len() > self.bytes_max && reply.next_page > 0 {
                cut = true;
                break;
            }
            bytes += item.len();
            reply.conversations.push(item.clone());
            reply.next_page = reply.next_page.max(*number + 1);
        }
        if !cut && !self.more {
            reply.next_page = 0;
        }
        cut
    }
}

impl Shard {
    /// Begins a page for a session of this shard.
    pub(crate) fn sync(
        &mut self,
        conn: ConnId,
        request: u64,
        user: UserId,
        command: &SyncCommand,
        shape: Shape,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        if self.gatherings.values().filter(|page| page.conn == conn).count() >= GATHERINGS_PER_CONN
        {
            let message = "too many pages under way on one connection";
            return Err(Refusal::later(ErrorCode::Busy, message, 100).into());
        }
        let mut wanted: Vec<_> = match self.entities.inbox(user)? {
            Some(inbox) => {
                inbox.after(command.page.saturating_sub(1)).take(PAGE_CONVERSATIONS + 1).collect()
            }
            None => Vec::new(),
        };
        let more = wanted.len() > PAGE_CONVERSATIONS;
        wanted.truncate(PAGE_CONVERSATIONS);
        let mut items =
            if command.page == 0 { self.forgotten(user, &command.held)? } else { Vec::new() };
        // What is only held has number zero and comes first.
        wanted.splice(0..0, items.iter().map(|item| (0, item.conversation)));
        items.extend(wanted[items.len()..].iter().map(|(_, conversation)| SyncItem {
            conversation: *conversation,
            held: held_seq(&command.held, *conversation),
            listed: true,
        }));
        let peers: IndexSet<UserId, FixedState> =
            items.iter().filter_map(|item| item.conversation.peer_of(user)).collect();
        let now_ms = self.now.mono_ms;
        if let Some(session) = self.session_mut(conn) {
            session.synced_ms = Some(now_ms);
        }
        let page = Gathering {
            conn,
            request,
            shape,
            wanted,
            more,
            bytes_max: command.bytes_max,
            parts: 0,
            items: IndexMap::default(),
            profiles: Vec::new(),
            refusal: None,
            overtaken: false,
        };
        let peers: Vec<_> = peers.into_iter().collect();
        self.gather(page, user, items, &peers, fx);
        Ok(())
    }

    /// Conversations that the device holds but the list has no more: it must
    /// be told that they are gone.
    fn forgotten(&mut self, user: UserId, held: &[SyncItem]) -> Result<Vec<SyncItem>, Stop> {
        let inbox = self.entities.inbox(user)?;
        let forgotten = held.iter().filter(|item| {
            !inbox.is_some_and(|inbox| inbox.contains(item.conversation))
                && matches!(item.conversation, ConversationId::Group(_))
        });
        Ok(forgotten.take(PAGE_CONVERSATIONS).cloned().collect())
    }

    /// Names for ids.
    pub(crate) fn gather_profiles(
        &mut self,
        conn: ConnId,
        request: u64,
        own: UserId,
        users: &[UserId],
        fx: &mut Effects,
    ) {
        let page = Gathering {
            conn,
            request,
            shape: Shape::Profiles,
            wanted: Vec::new(),
            more: false,
            bytes_max: 0,
            parts: 0,
            items: IndexMap::default(),
            profiles: Vec::new(),
            refusal: None,
            overtaken: false,
        };
        self.gather(page, own, Vec::new(), users, fx);
    }

    fn gather(
        &mut self,
        mut page: Gathering,
        user: UserId,
        items: Vec<SyncItem>,
        peers: &[UserId],
        fx: &mut Effects,
    ) {
        self.next_gathering += 1;
        let gather = Gather { shard: self.id, number: self.next_gathering };
        let bytes_max = page.bytes_max;
        let layout = self.layout;
        let items = by_shard(items, |item| layout.shard_of(item.conversation.slot()));
        let peers = by_shard(peers.to_vec(), |user| layout.shard_of(user.slot()));
        page.parts = items.len() + peers.len() + 1;
        self.gatherings.insert(gather.number, page);
        for (shard, items) in items {
            if shard == self.id {
                self.run(Work::SyncAsk { gather, user, items, bytes_max }, fx);
            } else {
                let ask = Envelope::SyncAsk { gather, user, items, bytes_max };
                self.send(Gate::Now, shard, ask, fx);
            }
        }
        for (shard, users) in peers {
            if shard == self.id {
                self.run(Work::Profiles { gather, users }, fx);
            } else {
                self.send(Gate::Now, shard, Envelope::ProfilesAsk { gather, users }, fx);
            }
        }
        // The part that stands for this function: without it a page whose
        // other parts are all at hand would be sent before it was begun.
        self.part_came(gather, fx);
    }

    /// Conversations of a page came.
    pub(crate) fn gathered_sync(
        &mut self,
        gather: Gather,
        items: Vec<(ConversationId, Bytes)>,
        fx: &mut Effects,
    ) {
        if let Some(page) = self.gatherings.get_mut(&gather.number) {
            page.items.extend(items);
        }
        self.part_came(gather, fx);
    }

    /// Names for a page came.
    pub(crate) fn gathered_profiles(
        &mut self,
        gather: Gather,
        profiles: Vec<pb::Profile>,
        fx: &mut Effects,
    ) {
        if let Some(page) = self.gatherings.get_mut(&gather.number) {
            page.profiles.extend(profiles);
        }
        self.part_came(gather, fx);
    }

    /// A part of a page could not be had.
    pub(crate) fn answer_gather_empty(
        &mut self,
        gather: Gather,
        refusal: Refusal,
        fx: &mut Effects,
    ) {
        if gather.shard == self.id {
            if let Some(page) = self.gatherings.get_mut(&gather.number) {
                page.refusal = Some(refusal);
            }
            self.part_came(gather, fx);
        } else {
            // An answer without its items: the page ends before them and the
            // client asks for the next one.
            let answer = Envelope::SyncAnswer { gather, items: Vec::new() };
            self.send(Gate::Now, gather.shard, answer, fx);
        }
    }

    fn part_came(&mut self, gather: Gather, fx: &mut Effects) {
        let Some(page) = self.gatherings.get_mut(&gather.number) else {
            return;
        };
        page.parts -= 1;
        if page.parts == 0
            && let Some(page) = self.gatherings.shift_remove(&gather.number)
            && self.conns.contains_key(&page.conn)
        {
            self.send_page(page, fx);
        }
    }

    fn send_page(&mut self, mut page: Gathering, fx: &mut Effects) {
        if let Some(refusal) = page.refusal {
            self.reply_refusal(page.conn, page.request, refusal, fx);
            return;
        }
        page.profiles.sort_unstable_by_key(|profile| profile.user);
        let gate = self.read_gate();
        if gate == Gate::Durable {
            self.want_sync();
        }
        if matches!(page.shape, Shape::Profiles) {
            let reply = pb::Profiles { profiles: page.profiles };
            fx.reply(gate, page.conn, Opcode::GetProfiles, page.request, &reply);
            return;
        }
        let mut reply = raw::SyncPage { server_time_ms: self.now.unix_ms, ..Default::default() };
        let cut = page.list(&mut reply);
        if cut && reply.conversations.is_empty() {
            let refusal = Refusal::later(ErrorCode::Busy, "a part of the page did not come", 200);
            self.reply_refusal(page.conn, page.request, refusal, fx);
            return;
        }
        reply.profiles = page.profiles;
        match page.shape {
            Shape::Welcome(welcome) => {
                let pb::Welcome {
                    server_time_ms,
                    server,
                    max_frame_bytes,
                    heartbeat_ms,
                    session,
                    ..
                } = *welcome;
                let reply = raw::Welcome {
                    server_time_ms,
                    server,
                    max_frame_bytes,
                    heartbeat_ms,
                    session,
                    resumed: Some(reply.encode_to_vec().into()),
                };
                fx.reply(gate, page.conn, Opcode::Hello, page.request, &reply);
            }
            _ => fx.reply(gate, page.conn, Opcode::Sync, page.request, &reply),
        }
        let until = self.next_submission();
        if let Some(session) = self.session_mut(page.conn) {
            session.page_until = until;
        }
        if page.overtaken {
            self.push_sync_needed(gate, page.conn, fx);
        }
    }

    /// A reply or push leaves for `conn`: pages for it that are under way, or
    /// wait behind their gate, may be older than what it says.
    pub(crate) fn overtake_pages(&mut self, conn: ConnId, frame: &[u8], fx: &mut Effects) {
        if !tells_of_membership(frame) {
            return;
        }
        for page in self.gatherings.values_mut().filter(|page| page.conn == conn) {
            page.overtaken = true;
        }
        let until = self.session(conn).map_or(0, |session| session.page_until);
        if !self.is_durable(until) {
            self.push_sync_needed(Gate::Durable, conn, fx);
        }
    }

    pub(crate) fn session_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        match self.conns.get_mut(&conn) {
            Some(Conn { stage: ConnStage::Live(session), .. }) => Some(session),
            _ => None,
        }
    }

    /// The list of `user` changed. Sessions that were there when it was
    /// decided were told then; one that has synced since may have come
    /// between, and found the list as it was.
    pub(crate) fn tell_late_listing(&mut self, user: UserId, fx: &mut Effects) {
        let recent = self.now.mono_ms.saturating_sub(LISTING_LATE_MS);
        let late: Vec<ConnId> = self
            .sessions_of(user)
            .filter(|(_, session)| session.synced_ms.is_some_and(|synced| synced >= recent))
            .map(|(conn, _)| conn)
            .collect();
        for conn in late {
            self.push_sync_needed(Gate::Now, conn, fx);
        }
    }

    fn push_sync_needed(&mut self, gate: Gate, conn: ConnId, fx: &mut Effects) {
        let frame = crate::effect::sync_needed();
        fx.push(gate, Effect::Push { conn, frame, patient: false });
    }

    /// Forgets pages of a connection that is gone.
    pub(crate) fn drop_gatherings(&mut self, conn: ConnId) {
        self.gatherings.retain(|_, page| page.conn != conn);
    }
}

/// `held` is sorted by conversation.
fn held_seq(held: &[SyncItem], conversation: ConversationId) -> Option<u64> {
    let at = held.binary_search_by_key(&conversation, |item| item.conversation).ok()?;
    held[at].held
}

/// Whether a delimited frame says that a conversation appeared or is gone.
fn tells_of_membership(frame: &[u8]) -> bool {
    // Length, then field 1 (the opcode), as `encode_header` writes them.
    let header = frame.iter().position(|byte| byte & 0x80 == 0);
    let opcode = header.and_then(|at| frame.get(at + 1..at + 3));
    opcode.is_some_and(|bytes| {
        bytes[0] == 1 << 3
            && [Opcode::ConversationChanged, Opcode::LeaveGroup]
                .iter()
                .any(|opcode| opcode.number() == u32::from(bytes[1]))
    })
}

fn by_shard<T>(items: Vec<T>, shard_of: impl Fn(&T) -> ShardId) -> Vec<(ShardId, Vec<T>)> {
    let mut parts: std::collections::BTreeMap<ShardId, Vec<T>> = std::collections::BTreeMap::new();
    for item in items {
        parts.entry(shard_of(&item)).or_default().push(item);
    }
    parts.into_iter().collect()
}

impl Shard {
    /// Queues an error reply, if one was asked for.
    pub(crate) fn reply_refusal(
        &mut self,
        conn: ConnId,
        request: u64,
        refusal: Refusal,
        fx: &mut Effects,
    ) {
        self.stats.refusals += 1;
        if request != 0 && self.conns.contains_key(&conn) {
            let frame = refusal.to_frame(request).to_delimited();
            fx.push(Gate::Now, Effect::Reply { conn, frame });
        }
    }
}
