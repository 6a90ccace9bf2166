//! Bringing a session from what its device holds to what the server holds.
//!
//! ```text
//! Hello with the held cursors ─ page ─ Sync for further pages ─ History where a page leaves a hole
//!                                 └─ pushes that came meanwhile, and Sync again when it is asked for
//! ```
//!
//! Owns the order: of each conversation, messages come out ascending and without a gap, each once.
//! Whether they are the right ones is for the caller to judge. Blocking; every wait is bounded as
//! in [`session`](crate::session).

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use hongyan_protocol::limits::{HELD_CURSORS_MAX, HISTORY_LIMIT_MAX};
use hongyan_protocol::{Frame, Opcode, pb};

use crate::roster::Account;
use crate::session::{Wire, refusal};
use crate::stream::Endpoint;

/// Syncs of one coming back: the server asks for another when it dropped pushes meanwhile.
const SYNCS_MAX: usize = 10;
/// Tries until a group that was just made is in its member's list.
const LISTING_TRIES: usize = 1_000;
const LISTING_WAIT: Duration = Duration::from_millis(20);

/// A conversation that a device keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Which.
    pub conversation: pb::ConversationId,
    /// The highest seq below which the device has no gap.
    pub seq: u64,
    /// What was missed, ascending and without a gap up to `seq`.
    pub missed: Vec<pb::Message>,
}

/// A session that holds everything.
#[derive(Debug)]
pub struct CaughtUp {
    /// The session. It keeps its pushes: those that come from now on are newer.
    pub wire: Wire,
    /// In the order that was asked for.
    pub kept: Vec<Kept>,
}

type Key = (u64, u64, u64);

const fn key(id: &pb::ConversationId) -> Key {
    (id.group, id.low_user, id.high_user)
}

/// What is held while it grows.
#[derive(Debug)]
struct Shelf {
    kept: Vec<Kept>,
    at: HashMap<Key, usize>,
}

impl Shelf {
    fn new(held: impl Iterator<Item = (pb::ConversationId, u64)>) -> Self {
        let kept = held.map(|(conversation, seq)| Kept { conversation, seq, missed: Vec::new() });
        Self::of(kept.collect())
    }

    fn of(kept: Vec<Kept>) -> Self {
        let at = kept.iter().enumerate().map(|(at, kept)| (key(&kept.conversation), at)).collect();
        Self { kept, at }
    }

    fn request(&self, page: u64) -> pb::SyncRequest {
        let held = self
            .kept
            .iter()
            .map(|kept| pb::HeldCursor { conversation: Some(kept.conversation), seq: kept.seq });
        pb::SyncRequest { held: held.collect(), page, max_bytes: 0 }
    }

    fn find(&mut self, id: Option<&pb::ConversationId>) -> Option<&mut Kept> {
        let at = self.at.get(&key(id?))?;
        self.kept.get_mut(*at)
    }

    /// Takes a message; one that leaves a hole before it asks for the hole first.
    fn take(&mut self, wire: &mut Wire, message: pb::Message) -> anyhow::Result<()> {
        let Some(kept) = self.find(message.conversation.as_ref()) else {
            return Ok(());
        };
        if message.seq > kept.seq + 1 {
            kept.fill(wire, message.seq - 1)?;
        }
        kept.append(message);
        Ok(())
    }
}

impl Kept {
    /// Takes a message if it is the next one.
    fn append(&mut self, message: pb::Message) {
        if message.seq == self.seq + 1 {
            self.seq = message.seq;
            self.missed.push(message);
        }
    }

    /// Reads history up to `to_seq`.
    fn fill(&mut self, wire: &mut Wire, to_seq: u64) -> anyhow::Result<()> {
        while self.seq < to_seq {
            let ask = pb::History {
                conversation: Some(self.conversation),
                from_seq: self.seq + 1,
                to_seq,
                limit: HISTORY_LIMIT_MAX,
                backwards: false,
            };
            let page: pb::HistoryPage = wire
                .ask(Opcode::History, &ask)?
                .map_err(|error| refusal("reading history", &error))?;
            let before = self.seq;
            page.messages.into_iter().for_each(|message| self.append(message));
            if self.seq == before {
                bail!("history from {} to {to_seq} gives no message {}", ask.from_seq, before + 1);
            }
        }
        Ok(())
    }
}

/// Opens a session of `account` that says what its device holds, and brings it up to date. At most
/// [`HELD_CURSORS_MAX`] conversations; others are passed over.
///
/// # Errors
/// The server cannot be reached, refuses, or leaves a hole that its history does not fill.
pub fn resume(
    endpoint: &Endpoint,
    index: usize,
    account: &Account,
    held: &[(pb::ConversationId, u64)],
) -> anyhow::Result<CaughtUp> {
    let mut shelf = Shelf::new(held.iter().copied());
    let (mut wire, page) = open(endpoint, index, account, shelf.request(0))?;
    take_pages(&mut wire, &mut shelf, page)?;
    settle(&mut wire, &mut shelf)?;
    Ok(CaughtUp { wire, kept: shelf.kept })
}

impl CaughtUp {
    /// Messages that were missed, in all conversations.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.kept.iter().map(|kept| kept.missed.len() as u64).sum()
    }

    /// Goes on until `messages` were missed in all: a conversation that is new may be in its
    /// people's lists a moment later, and the server then asks for another sync.
    ///
    /// # Errors
    /// As [`resume`]; or nothing more came in time.
    pub fn wait_for(&mut self, messages: u64) -> anyhow::Result<()> {
        while self.missed() < messages {
            self.wire.wait_for_push().with_context(|| {
                format!("{} of {messages} messages came, and no word of more", self.missed())
            })?;
            self.settle()?;
        }
        Ok(())
    }

    /// Takes what was pushed while something else was asked through the wire.
    ///
    /// # Errors
    /// As [`resume`].
    pub fn settle(&mut self) -> anyhow::Result<()> {
        let mut shelf = Shelf::of(std::mem::take(&mut self.kept));
        let settled = settle(&mut self.wire, &mut shelf);
        self.kept = shelf.kept;
        settled
    }
}

/// Takes pushes until there are none, with the syncs that they ask for.
fn settle(wire: &mut Wire, shelf: &mut Shelf) -> anyhow::Result<()> {
    for _ in 0..SYNCS_MAX {
        let mut again = false;
        // Asking for what is missing may bring further pushes.
        loop {
            let pushes = wire.take_pushes();
            if pushes.is_empty() {
                break;
            }
            for push in pushes {
                again |= take_push(wire, shelf, &push)?;
            }
        }
        if !again {
            return Ok(());
        }
        let page = sync(wire, &shelf.request(0))?;
        take_pages(wire, shelf, page)?;
    }
    bail!("the server asked for a sync {SYNCS_MAX} times in a row");
}

/// Opens a session of `account` whose device holds nothing yet, and says where each of
/// `conversations` stands: a device that starts here misses nothing from there on.
///
/// # Errors
/// The server cannot be reached or refuses, or a group is not in the account's list.
pub fn begin(
    endpoint: &Endpoint,
    index: usize,
    account: &Account,
    conversations: &[pb::ConversationId],
) -> anyhow::Result<CaughtUp> {
    let mut shelf = Shelf::new(conversations.iter().map(|conversation| (*conversation, 0)));
    let nothing = pb::SyncRequest::default();
    let (mut wire, mut page) = open(endpoint, index, account, nothing.clone())?;
    for _ in 0..LISTING_TRIES {
        let mut listed = std::collections::HashSet::new();
        loop {
            for state in page.conversations.iter().filter_map(|synced| synced.state.as_ref()) {
                if let Some(kept) = shelf.find(state.id.as_ref()) {
                    kept.seq = kept.seq.max(state.last_seq);
                    listed.insert(key(&kept.conversation));
                }
            }
            if page.next_page == 0 {
                break;
            }
            page = sync(&mut wire, &pb::SyncRequest { page: page.next_page, ..nothing.clone() })?;
        }
        // A direct conversation is not there before its first message; a group must be.
        if conversations.iter().all(|id| id.group == 0 || listed.contains(&key(id))) {
            settle(&mut wire, &mut shelf)?;
            return Ok(CaughtUp { wire, kept: shelf.kept });
        }
        thread::sleep(LISTING_WAIT);
        page = sync(&mut wire, &nothing)?;
    }
    bail!("a group is not in the list of {}", account.name);
}

fn open(
    endpoint: &Endpoint,
    index: usize,
    account: &Account,
    request: pb::SyncRequest,
) -> anyhow::Result<(Wire, pb::SyncPage)> {
    if request.held.len() > HELD_CURSORS_MAX {
        bail!("{} held conversations are more than one sync takes", request.held.len());
    }
    let mut wire = Wire::connect(endpoint, index)?.keeping_pushes();
    let token = account.access_token.clone();
    let welcome = wire.resume(&account.device_id, token, Some(request))?;
    welcome.session.with_context(|| format!("no session for {}", account.name))?;
    let page = welcome.resumed.context("the session was not resumed")?;
    Ok((wire, page))
}

fn sync(wire: &mut Wire, request: &pb::SyncRequest) -> anyhow::Result<pb::SyncPage> {
    wire.ask(Opcode::Sync, request)?.map_err(|error| refusal("catching up", &error))
}

fn take_pages(wire: &mut Wire, shelf: &mut Shelf, first: pb::SyncPage) -> anyhow::Result<()> {
    // `held` must be the same in every page of one sync.
    let request = shelf.request(0);
    let mut page = first;
    loop {
        for synced in std::mem::take(&mut page.conversations) {
            for message in synced.messages {
                shelf.take(wire, message)?;
            }
        }
        if page.next_page == 0 {
            return Ok(());
        }
        page = sync(wire, &pb::SyncRequest { page: page.next_page, ..request.clone() })?;
    }
}

/// True when the server asks for another sync.
fn take_push(wire: &mut Wire, shelf: &mut Shelf, push: &Frame) -> anyhow::Result<bool> {
    if push.opcode == Opcode::SyncNeeded.number() {
        return Ok(true);
    }
    if push.opcode == Opcode::Message.number() {
        shelf.take(wire, push.message()?)?;
    }
    Ok(false)
}
