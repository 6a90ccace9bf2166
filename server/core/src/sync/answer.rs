//! How one conversation stands for one user: the conversation's side of a
//! sync page.

use bytes::Bytes;
use hongyan_protocol::{ConversationId, UserId, pb, raw};
use prost::Message;

use crate::conversation::Range;
use crate::effect::{Effects, Gate};
use crate::entity::{Need, Stop};
use crate::envelope::{Envelope, Gather, SyncItem};
use crate::key::EntityKey;
use crate::shard::Shard;

/// Messages of one conversation in a page; who missed more reads on by
/// History.
const MISSED_MAX: u64 = 200;
/// Their bytes.
const MISSED_BYTES: usize = 64 * 1024;
/// Bytes of conversations in a page that the user's list does not have.
const UNLISTED_BYTES: usize = hongyan_protocol::limits::PAGE_BYTES_MAX;

impl Shard {
    /// Answers a SyncAsk for conversations of this shard.
    pub(crate) fn answer_sync(
        &mut self,
        gather: Gather,
        user: UserId,
        items: &[SyncItem],
        bytes_max: usize,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let keys = items.iter().map(|item| EntityKey::Conversation(item.conversation));
        let missing = self.entities.missing(keys);
        if !missing.is_empty() {
            return Err(Stop::Need(Need::Entities(missing)));
        }
        let mut answer = Vec::with_capacity(items.len());
        let mut bytes = 0;
        let mut unlisted_bytes = 0;
        for item in items {
            let encoded = self.sync_item(user, item)?;
            if !item.listed {
                // Mostly a few bytes that say "gone": they have no place in
                // the list at which a page could end.
                unlisted_bytes += encoded.len();
                if unlisted_bytes <= UNLISTED_BYTES / usize::from(self.layout.shards()) {
                    answer.push((item.conversation, encoded));
                }
                continue;
            }
            if bytes > 0 && bytes + encoded.len() > bytes_max {
                break;
            }
            bytes += encoded.len();
            answer.push((item.conversation, encoded));
        }
        let gate = self.read_gate();
        if gather.shard == self.id {
            self.gathered_sync(gather, answer, fx);
        } else {
            self.send(gate, gather.shard, Envelope::SyncAnswer { gather, items: answer }, fx);
        }
        Ok(())
    }

    fn sync_item(&mut self, user: UserId, item: &SyncItem) -> Result<Bytes, Stop> {
        let id = item.conversation;
        let Some(found) = self.entities.conversation(id)? else {
            return Ok(encode(&empty(id, user), Vec::new(), false));
        };
        let view = found.state_for(user);
        let (first_seq, last_seq, gone) = (view.first_seq, view.last_seq, view.gone);
        let Some(held) = item.held.filter(|_| !gone) else {
            return Ok(encode(&view, Vec::new(), false));
        };
        let missed_from = (held + 1).max(first_seq);
        if missed_from > last_seq {
            return Ok(encode(&view, Vec::new(), false));
        }
        let from_seq = missed_from.max((last_seq + 1).saturating_sub(MISSED_MAX));
        let range = Range { from_seq, to_seq: last_seq, limit: MISSED_MAX as u32, backwards: true };
        let (mut messages, _) = self.collect(id, range, MISSED_BYTES)?;
        messages.reverse();
        let too_old = (messages.len() as u64) < last_seq - missed_from + 1;
        Ok(encode(&view, messages, too_old))
    }

    /// Says how many of `users` of this shard have which name.
    pub(crate) fn answer_profiles(
        &mut self,
        gather: Gather,
        users: &[UserId],
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let missing = self.entities.missing(users.iter().map(|user| EntityKey::Account(*user)));
        if !missing.is_empty() {
            return Err(Stop::Need(Need::Entities(missing)));
        }
        let mut profiles = Vec::with_capacity(users.len());
        for user in users {
            if let Some(account) = self.entities.account(*user)? {
                profiles.push(crate::session::profile(account));
            }
        }
        if gather.shard == self.id {
            self.gathered_profiles(gather, profiles, fx);
        } else {
            let gate = self.read_gate();
            self.send(gate, gather.shard, Envelope::ProfilesAnswer { gather, profiles }, fx);
        }
        Ok(())
    }

    /// Says whose name it is, to the session that asked.
    pub(crate) fn find_user(
        &mut self,
        origin: crate::Origin,
        name: &str,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let found = match self.entities.name(name)? {
            Some(user) => self.entities.account(user)?.map(crate::session::profile),
            None => None,
        };
        let Some(profile) = found else {
            let code = hongyan_protocol::ErrorCode::NoSuchUser;
            return Err(crate::error::Refusal::new(code, "nobody has this name").into());
        };
        let reply = pb::Profiles { profiles: vec![profile] };
        let frame =
            crate::effect::delimited(hongyan_protocol::Opcode::FindUser, origin.request, &reply);
        let gate: Gate = self.read_gate();
        self.answer(gate, origin, frame, None, fx);
        Ok(())
    }
}

/// A direct conversation that nobody has written in, or no conversation.
fn empty(id: ConversationId, user: UserId) -> raw::Conversation {
    let gone = id.peer_of(user).is_none();
    raw::Conversation { id: Some(id.to_wire()), gone, ..Default::default() }
}

fn encode(state: &raw::Conversation, messages: Vec<Bytes>, too_old: bool) -> Bytes {
    let state = state.encode_to_vec().into();
    raw::SyncedConversation { state, messages, too_old }.encode_to_vec().into()
}
