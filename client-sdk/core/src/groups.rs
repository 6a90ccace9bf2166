//! Groups as their members see them: replies to changes of one's own, and the
//! events by which everybody else hears of them.
//!
//! Invariants: an event is applied once, in the order of seqs and with no gap
//! below it, and never on a state that counts it in already; so replies,
//! pushes, filled gaps and syncs end in the same state whichever comes first.

use hongyan_protocol::ids::ConversationId;
use hongyan_protocol::pb;

use crate::client::ClientCore;
use crate::conversation::GroupInfo;
use crate::message::Body;

impl ClientCore {
    /// The server carried a change out and says how the group is now.
    pub(crate) fn on_group(&mut self, now_ms: u64, group: pb::Group) {
        let seq = group.last_seq;
        let Some(info) = GroupInfo::from_wire(group) else {
            return;
        };
        let id = info.conversation();
        // Of a group that was made just now everything is known; one that a
        // retry found may have a history.
        let unheard_of = !self.convs.contains_key(&id) && seq > 1;
        let record = &mut self.conv(id).record;
        record.apply_group(info, seq);
        record.gone = false;
        self.touch(id);
        if unheard_of {
            self.want_sync(now_ms);
        }
    }

    /// The user ended the group.
    pub(crate) fn on_dissolved(&mut self, id: ConversationId) {
        if let Some(conv) = self.convs.get_mut(&id)
            && let Some(group) = &mut conv.record.group
        {
            group.dissolved = true;
            self.touch(id);
        }
    }

    /// Applies the events that are held without a gap and not applied yet.
    pub(crate) fn follow_events(&mut self, now_ms: u64, id: ConversationId) {
        let (Some(me), Some(conv)) = (self.me(), self.convs.get_mut(&id)) else {
            return;
        };
        let (record, timeline) = (&mut conv.record, &conv.timeline);
        let (from_seq, held_seq) = (record.group_seq + 1, timeline.held_seq());
        if record.group.is_none() || record.gone || from_seq > held_seq {
            return;
        }
        for message in timeline.held_from(from_seq) {
            if let Body::Event(event) = &message.body {
                record.apply_event(event, me);
            }
        }
        record.group_seq = held_seq;
        // A stretch was given up, and with it what it may have told.
        if timeline.lo() > from_seq {
            self.want_sync(now_ms);
        }
    }
}
