//! A server that is played: a journal and the views that fit it, to be
//! spoiled by a test.

use hongyan_client::{
    AckLevel, Body, ClientMsgId, ConversationId, GroupId, Message, SendAck, UserId, pb,
};
use hongyan_torture::canon::Canon;
use hongyan_torture::cast::{Cast, Person, Room};
use hongyan_torture::fault::Fault;
use hongyan_torture::journal::Journal;
use hongyan_torture::judge::{Survived, judge};
use hongyan_torture::letter::{Size, body_of, id_of};
use hongyan_torture::reading::{Fact, Listed, Shown, View, fact};

/// Messages in the direct conversation.
pub(crate) const LETTERS: u64 = 6;
/// Seq of the event that lets person 2 into the group.
pub(crate) const JOINED: u64 = 2;

pub(crate) struct Stage {
    pub(crate) cast: Cast,
    pub(crate) journal: Journal,
    pub(crate) views: Vec<View>,
    pub(crate) canon: Canon,
}

pub(crate) fn user(index: usize) -> UserId {
    UserId::new(4_097 + index as u64).expect("not zero")
}

pub(crate) fn direct() -> ConversationId {
    ConversationId::direct(user(0), user(1)).expect("two people")
}

pub(crate) fn group() -> ConversationId {
    ConversationId::Group(GroupId::new(9).expect("not zero"))
}

pub(crate) fn letter(number: u32) -> ClientMsgId {
    id_of(1, 0, number, Size::Usual)
}

fn stored(id: ConversationId, seq: u64, sender: usize, letter: ClientMsgId, body: &Body) -> Fact {
    fact(&pb::Message {
        conversation: Some(id.to_wire()),
        seq,
        message_id: 100 + seq,
        sender: user(sender).get(),
        time_ms: 1_000 + seq,
        client_msg_id: letter.as_bytes().to_vec().into(),
        body: Some(body.to_wire()),
    })
}

fn event(seq: u64) -> Fact {
    Fact { message_id: 200 + seq, sender: user(0).get(), time_ms: seq, id: None, body: seq }
}

pub(crate) fn ack(seq: u64, level: AckLevel) -> SendAck {
    SendAck { message_id: 100 + seq, seq, time_ms: 1_000 + seq, level, repeated_send: false }
}

impl Stage {
    /// Persons 0 and 1 write in turns; in a group whose history newcomers do
    /// not see, person 2 came after the first event.
    pub(crate) fn sound() -> Self {
        let people = (0..3).map(|index| Person {
            name: format!("person-{index}"),
            password: String::new(),
            user: user(index),
        });
        let room = |id, members, hidden_history| Room { id, members, hidden_history, begun: true };
        let rooms = vec![room(direct(), vec![0, 1], false), room(group(), vec![0, 1, 2], true)];
        let cast = Cast { people: people.collect(), rooms };
        let journal = Journal::in_memory();
        let mut letters = Vec::new();
        for seq in 1..=LETTERS {
            let (sender, id) = (seq as usize % 2, letter(seq as u32));
            let level = if seq == 5 { AckLevel::Written } else { AckLevel::Durable };
            journal.sent(sender, id, direct(), level);
            if seq < LETTERS {
                journal.acked(id, ack(seq, level));
            }
            letters.push((seq, stored(direct(), seq, sender, id, &body_of(id))));
        }
        journal.read_asked(1, direct(), 4);
        journal.read_acked(1, direct(), 2);
        journal.seen("device-1a", &pushed(3));
        let views = (0..3).map(|person| view(person, &letters)).collect();
        Self { cast, journal, views, canon: Canon::default() }
    }

    pub(crate) fn faults(&mut self, survived: Survived) -> Vec<Fault> {
        let known = self.journal.known();
        judge(&self.cast, &known, &mut self.canon, &self.views, survived)
    }

    pub(crate) fn shown(&mut self, person: usize, id: ConversationId) -> &mut Shown {
        self.views[person].shown.get_mut(&id).expect("it is shown")
    }

    pub(crate) fn listed(&mut self, person: usize, id: ConversationId) -> &mut Listed {
        self.views[person].list.get_mut(&id).expect("it is listed")
    }

    /// Changes what everybody is shown of the direct conversation.
    pub(crate) fn everywhere(&mut self, change: impl Fn(&mut Shown)) {
        for person in 0..2 {
            change(self.shown(person, direct()));
        }
    }
}

pub(crate) fn pushed(seq: u64) -> Message {
    Message {
        conversation: direct(),
        seq,
        message_id: 100 + seq,
        sender: None,
        time_ms: 0,
        client_msg_id: None,
        body: Body::from("x"),
        newer_body: None,
    }
}

fn view(person: usize, letters: &[(u64, Fact)]) -> View {
    let mut view = View { person, viewer: format!("device-{person}a"), ..View::default() };
    if person < 2 {
        let shown = Shown {
            from_seq: 1,
            first_seq: 1,
            last_seq: LETTERS,
            messages: letters.to_vec(),
            invited: Vec::new(),
        };
        view.shown.insert(direct(), shown);
        // Person 0 sent the last one, person 1 the one before.
        let read_seq = if person == 1 { 3 } else { 0 };
        let unread = if person == 1 { 1 } else { 0 };
        let listed = Listed {
            last_seq: LETTERS,
            unread,
            read_seq,
            first_seq: 1,
            last_message: 100 + LETTERS,
            gone: false,
        };
        view.list.insert(direct(), listed);
    }
    let first_seq = if person == 2 { JOINED } else { 1 };
    let shown = Shown {
        from_seq: 1,
        first_seq: if person == 2 { JOINED } else { 1 },
        last_seq: 3,
        messages: (first_seq..=3).map(|seq| (seq, event(seq))).collect(),
        invited: vec![(user(2).get(), JOINED)],
    };
    view.shown.insert(group(), shown);
    let listed = Listed {
        last_seq: 3,
        unread: match person {
            0 => 0,
            1 => 3,
            _ => 2,
        },
        read_seq: 0,
        // Who was there from the beginning sees it from there.
        first_seq,
        last_message: 203,
        gone: false,
    };
    view.list.insert(group(), listed);
    view
}
