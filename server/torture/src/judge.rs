//! Compares what a server shows with what its clients know.
//!
//! A judgement never trusts one view: order and contents come from all views
//! together ([`Canon`]), and the arithmetic is done here again.

use std::collections::HashMap;

use hongyan_client::{AckLevel, ClientMsgId, ConversationId};

use crate::canon::Canon;
use crate::cast::{Cast, Room};
use crate::fault::Fault;
use crate::journal::{Known, Sent};
use crate::letter::{body_of, digest};
use crate::reading::{Fact, Listed, View};

/// Faults that are told; more are only counted.
pub const FAULTS_TOLD: usize = 40;

/// What must have survived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survived {
    /// A kill: all that was written.
    Kill,
    /// A power cut: all that was durable.
    PowerCut,
}

impl Survived {
    fn covers(self, level: AckLevel) -> bool {
        match self {
            Self::Kill => level >= AckLevel::Written,
            Self::PowerCut => level == AckLevel::Durable,
        }
    }
}

/// Judges `views` of a server that nobody writes to. `canon` may hold what
/// earlier judgements of the same directory were shown.
#[must_use]
pub fn judge(
    cast: &Cast,
    known: &Known,
    canon: &mut Canon,
    views: &[View],
    survived: Survived,
) -> Vec<Fault> {
    let mut faults = known.faults.clone();
    for view in views {
        for (id, shown) in &view.shown {
            faults.extend(canon.absorb(&view.viewer, *id, shown));
        }
    }
    judge_messages(cast, known, canon, &mut faults);
    judge_acks(known, canon, survived, &mut faults);
    for ((conversation, seq), message_id) in &known.seen {
        let found = canon.fact(*conversation, *seq);
        if found.is_none_or(|fact| fact.message_id != *message_id) {
            let instead = in_words(found, "nothing is there");
            let (conversation, seq) = (*conversation, *seq);
            faults.push(Fault::Unseen { conversation, seq, instead });
        }
    }
    for view in views {
        judge_list(cast, known, canon, view, &mut faults);
    }
    faults
}

/// Every stored message was sent, by this sender, there, once, like this.
fn judge_messages(cast: &Cast, known: &Known, canon: &Canon, faults: &mut Vec<Fault>) {
    let mut places: HashMap<(u64, ClientMsgId), (ConversationId, u64)> = HashMap::new();
    for (conversation, line) in &canon.lines {
        for (seq, fact) in &line.facts {
            let Some(id) = fact.id else { continue };
            if let Some(first) = places.insert((fact.sender, id), (*conversation, *seq)) {
                let (conversation, seqs) = (*conversation, (first.1, *seq));
                faults.push(Fault::Duplicate { conversation, id, seqs });
            }
            if let Some(detail) = foreign(cast, known, *conversation, fact, id) {
                let (conversation, seq) = (*conversation, *seq);
                faults.push(Fault::Foreign { conversation, seq, detail });
            }
        }
    }
}

fn foreign(
    cast: &Cast,
    known: &Known,
    conversation: ConversationId,
    fact: &Fact,
    id: ClientMsgId,
) -> Option<String> {
    let Some(sent) = known.sends.get(&id) else {
        return Some(format!("nobody sent {id}"));
    };
    let sender = cast.people.get(sent.sender).map_or(0, |person| person.user.get());
    if sender != fact.sender {
        return Some(format!("{id} was sent by another person"));
    }
    if sent.conversation != conversation {
        return Some(format!("{id} was sent to {:?}", sent.conversation));
    }
    (fact.body != digest(&body_of(id))).then(|| format!("{id} has another body"))
}

/// Every ack that must have survived is true.
fn judge_acks(known: &Known, canon: &Canon, survived: Survived, faults: &mut Vec<Fault>) {
    let acked = known.sends.iter().filter_map(|(id, sent)| Some((id, sent, sent.ack.as_ref()?)));
    for (id, Sent { conversation, .. }, ack) in acked {
        if !survived.covers(ack.level) {
            continue;
        }
        let found = canon.fact(*conversation, ack.seq);
        let same = found.is_some_and(|fact| {
            (fact.id, fact.message_id, fact.time_ms) == (Some(*id), ack.message_id, ack.time_ms)
        });
        if !same {
            faults.push(Fault::Lost {
                conversation: *conversation,
                seq: ack.seq,
                id: *id,
                instead: in_words(found, "nothing is there"),
            });
        }
    }
}

/// The list is complete and its numbers are right.
fn judge_list(cast: &Cast, known: &Known, canon: &Canon, view: &View, faults: &mut Vec<Fault>) {
    let object = |conversation, detail: &str| Fault::List {
        viewer: view.viewer.clone(),
        conversation,
        detail: detail.into(),
    };
    faults.extend(view.listed_twice.iter().map(|id| object(*id, "it is there twice")));
    for room in cast.rooms_of(view.person) {
        let line = canon.lines.get(&room.id);
        let stored = line.is_some_and(|line| line.last_seq > 0);
        match view.list.get(&room.id) {
            Some(listed) if listed.gone => faults.push(object(room.id, "it is gone")),
            Some(listed) => judge_listed(cast, known, canon, view, room, *listed, faults),
            None if stored || room.begun => faults.push(object(room.id, "it is missing")),
            None => {}
        }
    }
    for id in view.list.keys() {
        let member = cast.room(*id).is_some_and(|room| room.members.contains(&view.person));
        if !member {
            faults.push(object(*id, "it is not theirs"));
        }
    }
}

fn judge_listed(
    cast: &Cast,
    known: &Known,
    canon: &Canon,
    view: &View,
    room: &Room,
    listed: Listed,
    faults: &mut Vec<Fault>,
) {
    let Some(line) = canon.lines.get(&room.id) else { return };
    let user = cast.people.get(view.person).map_or(0, |person| person.user.get());
    let object =
        |detail: String| Fault::List { viewer: view.viewer.clone(), conversation: room.id, detail };
    if listed.last_seq != line.last_seq {
        faults.push(object(format!("last_seq {}, not {}", listed.last_seq, line.last_seq)));
    }
    let last = line.facts.get(&line.last_seq).map_or(0, |fact| fact.message_id);
    if listed.last_message != last && line.last_seq > 0 {
        faults.push(object(format!("last message {}, not {last}", listed.last_message)));
    }
    let joined = line.joined.get(&user).copied().unwrap_or(1);
    let first = if room.hidden_history { joined } else { 1 };
    if listed.first_seq != first {
        faults.push(object(format!("first_seq {}, not {first}", listed.first_seq)));
    }
    let read = known.reads.get(&(view.person, room.id)).copied().unwrap_or_default();
    let read = (read.acked.min(line.last_seq), read.asked.min(line.last_seq));
    if !(read.0..=read.1).contains(&listed.read_seq) {
        faults.push(Fault::CursorLost {
            viewer: view.viewer.clone(),
            conversation: room.id,
            found: listed.read_seq,
            expected: read,
        });
    }
    let floor = canon.last_sent(room.id, user).max(joined - 1);
    let unread = |read: u64| line.last_seq.saturating_sub(floor.max(read));
    let expected = (unread(read.1), unread(read.0));
    if !(expected.0..=expected.1).contains(&listed.unread) {
        faults.push(Fault::Unread {
            viewer: view.viewer.clone(),
            conversation: room.id,
            found: listed.unread,
            expected,
        });
    }
    // Inside the range too, the two numbers of one answer must agree.
    if listed.unread != unread(listed.read_seq) {
        faults.push(object(format!(
            "unread {} does not follow from read_seq {}",
            listed.unread, listed.read_seq
        )));
    }
}

fn in_words(found: Option<&Fact>, nothing: &str) -> String {
    match found {
        Some(fact) => format!("message {} with id {:?} is there", fact.message_id, fact.id),
        None => nothing.to_owned(),
    }
}
