//! What one device is shown: its list of conversations and their messages,
//! read over the wire.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use hongyan_client::wire::RawConnection;
use hongyan_client::{Body, Client, ClientError, ClientMsgId, ConversationId, Opcode, pb};

use crate::letter::digest;

/// What matters of a stored message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// Given by the server.
    pub message_id: u64,
    /// Who sent it, or did what it tells.
    pub sender: u64,
    /// When it was stored.
    pub time_ms: u64,
    /// The sender's id for it; none for what the server wrote.
    pub id: Option<ClientMsgId>,
    /// Stands for the body.
    pub body: u64,
}

/// A part of one conversation's messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// The lowest seq that was asked for.
    pub from_seq: u64,
    /// The lowest that the viewer may see; zero: none.
    pub first_seq: u64,
    /// The newest, as the server says.
    pub last_seq: u64,
    /// The messages, in the order in which they came.
    pub messages: Vec<(u64, Fact)>,
    /// Who was named by an invitation at which seq.
    pub invited: Vec<(u64, u64)>,
}

/// One line of the list of conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Listed {
    /// The newest seq.
    pub last_seq: u64,
    /// Unread.
    pub unread: u64,
    /// The viewer's read cursor.
    pub read_seq: u64,
    /// The lowest seq that the viewer may see.
    pub first_seq: u64,
    /// Id of the last message shown; zero: none.
    pub last_message: u64,
    /// The viewer is no member any more.
    pub gone: bool,
}

/// All that one device is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// Index of the person.
    pub person: usize,
    /// Which device, for people.
    pub viewer: String,
    /// The list.
    pub list: BTreeMap<ConversationId, Listed>,
    /// Conversations that were in the list more than once.
    pub listed_twice: Vec<ConversationId>,
    /// The messages that were asked for.
    pub shown: BTreeMap<ConversationId, Shown>,
}

/// A session to ask through.
pub enum Session<'a> {
    /// A client of the SDK.
    Sdk(&'a Client),
    /// A bare connection.
    Raw(&'a mut RawConnection),
}

impl Session<'_> {
    /// Sends a request and waits for its reply.
    ///
    /// # Errors
    /// What a request can meet.
    pub async fn request<R: prost::Message + Default>(
        &mut self,
        opcode: Opcode,
        message: &impl prost::Message,
    ) -> Result<R, ClientError> {
        match self {
            Self::Sdk(client) => client.request(opcode, message).await,
            Self::Raw(connection) => connection.request(opcode, message).await,
        }
    }

    /// Reads the list of conversations as a device that holds nothing does,
    /// in pages of at most `page_bytes`.
    ///
    /// # Errors
    /// What a request can meet; a server that never stops sending pages.
    pub async fn read_list(&mut self, page_bytes: u32, view: &mut View) -> anyhow::Result<()> {
        let mut page = 0;
        for _ in 0..10_000 {
            let request = pb::SyncRequest { held: Vec::new(), page, max_bytes: page_bytes };
            let reply: pb::SyncPage =
                self.request(Opcode::Sync, &request).await.context("the list cannot be read")?;
            for synced in reply.conversations {
                let state = synced.state.context("a conversation without a state")?;
                let (id, listed) = listed(&state)?;
                if view.list.insert(id, listed).is_some() {
                    view.listed_twice.push(id);
                }
            }
            if reply.next_page == 0 {
                return Ok(());
            }
            page = reply.next_page;
        }
        bail!("the list has more than 10,000 pages")
    }

    /// Reads the messages of a conversation from `from_seq` (at least 1) to
    /// the newest, in pages from the lower or from the upper end.
    ///
    /// # Errors
    /// What a request can meet; a page that brings nothing and promises more.
    pub async fn read_history(
        &mut self,
        id: ConversationId,
        from_seq: u64,
        backwards: bool,
    ) -> anyhow::Result<Shown> {
        let mut shown = Shown { from_seq, ..Shown::default() };
        let (mut low, mut high) = (from_seq, 0);
        loop {
            let request = pb::History {
                conversation: Some(id.to_wire()),
                from_seq: low,
                to_seq: high,
                limit: 500,
                backwards,
            };
            let page: pb::HistoryPage = self
                .request(Opcode::History, &request)
                .await
                .with_context(|| format!("the history of {id:?} from {low} cannot be read"))?;
            (shown.first_seq, shown.last_seq) = (page.first_seq, page.last_seq.max(shown.last_seq));
            let (first, last) = (page.messages.first(), page.messages.last());
            let ends = first.zip(last).map(|(first, last)| (first.seq, last.seq));
            let facts = page.messages.iter().map(|message| (message.seq, fact(message)));
            if backwards {
                shown.messages.splice(0..0, facts);
            } else {
                shown.messages.extend(facts);
            }
            for message in &page.messages {
                shown.invited.extend(invited(message));
            }
            match ends {
                _ if !page.more => return Ok(shown),
                None => bail!("a page of {id:?} is empty and says that more remain"),
                Some((first, _)) if backwards => high = first - 1,
                Some((_, last)) => low = last + 1,
            }
        }
    }
}

fn listed(state: &pb::Conversation) -> anyhow::Result<(ConversationId, Listed)> {
    let id = state.id.as_ref().and_then(ConversationId::from_wire);
    let id = id.context("a conversation without an id")?;
    let listed = Listed {
        last_seq: state.last_seq,
        unread: state.unread,
        read_seq: state.read_seq,
        first_seq: state.first_seq,
        last_message: state.last_message.as_ref().map_or(0, |message| message.message_id),
        gone: state.gone,
    };
    Ok((id, listed))
}

/// What matters of a message.
#[must_use]
pub fn fact(message: &pb::Message) -> Fact {
    Fact {
        message_id: message.message_id,
        sender: message.sender,
        time_ms: message.time_ms,
        id: ClientMsgId::from_slice(&message.client_msg_id),
        body: digest(&Body::from_wire(message.body.clone())),
    }
}

/// The users that an invitation names, with its seq.
fn invited(message: &pb::Message) -> Vec<(u64, u64)> {
    match message.body.as_ref().and_then(|body| body.kind.as_ref()) {
        Some(pb::body::Kind::Event(event))
            if event.kind == pb::group_event::Kind::Invited as i32 =>
        {
            event.users.iter().map(|user| (*user, message.seq)).collect()
        }
        _ => Vec::new(),
    }
}
