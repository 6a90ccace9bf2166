//! The conversations that a cold start finds: one message from somebody else in each.
//!
//! A direct conversation is one of two people, so each needs an account of its own on the other
//! side; a group needs none. Both can be made again: the same accounts get the same conversations,
//! with one more message in each.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, bail};
use hongyan_protocol::ids::mix64;
use hongyan_protocol::{ConversationId, Opcode, UserId, pb};

use crate::roster::Account;
use crate::scenario::cold_start::ColdStartPlan;
use crate::session::{Wire, refusal};
use crate::stream::Endpoint;

/// Senders that are connected at once.
const AT_ONCE: usize = 8;

/// The last message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) seq: u64,
    pub(super) text: String,
}

/// What every user must find: the last message of each conversation.
pub(super) type Expected = Vec<HashMap<ConversationId, Last>>;

/// Who is who among the accounts.
#[derive(Debug, Clone, Copy)]
pub(super) struct People<'a> {
    /// They start cold.
    pub(super) users: &'a [Account],
    /// They write; the first one owns the groups.
    pub(super) senders: &'a [Account],
}

/// Has everybody written to; gives what each of the users must find.
pub(super) fn fill(
    endpoint: &Endpoint,
    people: People<'_>,
    plan: &ColdStartPlan,
    run: u64,
) -> anyhow::Result<Expected> {
    let next = AtomicUsize::new(0);
    let work = || -> anyhow::Result<Vec<(usize, ConversationId, Last)>> {
        let mut written = Vec::new();
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            let Some(sender) = people.senders.get(nth) else {
                return Ok(written);
            };
            let mut writer = Writer::open(endpoint, people, nth, sender, plan, run)?;
            if nth < plan.directs() {
                writer.write_to_each(&mut written)?;
            }
            if nth == 0 {
                writer.write_to_groups(plan.groups, &mut written)?;
            }
        }
    };
    let parts: Vec<anyhow::Result<_>> = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..AT_ONCE.min(people.senders.len())).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect()
    });
    let mut expected: Expected = people.users.iter().map(|_| HashMap::new()).collect();
    for part in parts {
        for (user, conversation, last) in part? {
            expected[user].insert(conversation, last);
        }
    }
    Ok(expected)
}

/// The session of a sender.
struct Writer<'a> {
    wire: Wire,
    me: UserId,
    people: People<'a>,
    plan: &'a ColdStartPlan,
    run: u64,
    sent: u64,
}

impl<'a> Writer<'a> {
    fn open(
        endpoint: &Endpoint,
        people: People<'a>,
        nth: usize,
        account: &Account,
        plan: &'a ColdStartPlan,
        run: u64,
    ) -> anyhow::Result<Self> {
        let mut wire = Wire::connect(endpoint, nth)?;
        let welcome = wire.greet(&account.device_id, account.access_token.clone())?;
        welcome.session.with_context(|| format!("no session for {}", account.name))?;
        Ok(Self { wire, me: id(account)?, people, plan, run, sent: 0 })
    }

    fn write_to_each(
        &mut self,
        written: &mut Vec<(usize, ConversationId, Last)>,
    ) -> anyhow::Result<()> {
        for (user, account) in self.people.users.iter().enumerate() {
            let conversation = ConversationId::direct(self.me, id(account)?)
                .context("a sender is one of the users")?;
            written.push((user, conversation, self.write(conversation)?));
        }
        Ok(())
    }

    /// Makes the groups, or finds those of an earlier run, and writes into each.
    fn write_to_groups(
        &mut self,
        groups: usize,
        written: &mut Vec<(usize, ConversationId, Last)>,
    ) -> anyhow::Result<()> {
        let members: Vec<u64> = self.people.users.iter().map(|user| user.user_id).collect();
        let crowd = members.iter().fold(0, |so_far, user| mix64(so_far ^ user));
        for nth in 0..groups as u64 {
            let request = pb::CreateGroup {
                client_group_id: [crowd.to_be_bytes(), nth.to_be_bytes()].concat().into(),
                name: format!("cold start {nth}"),
                members: members.clone(),
                history_visible: false,
            };
            let group: pb::Group = self
                .wire
                .ask(Opcode::CreateGroup, &request)?
                .map_err(|error| refusal("making a group", &error))?;
            let wire_id = pb::ConversationId { group: group.id, ..pb::ConversationId::default() };
            let conversation =
                ConversationId::from_wire(&wire_id).context("a group without an id")?;
            let last = self.write(conversation)?;
            written.extend((0..members.len()).map(|user| (user, conversation, last.clone())));
        }
        Ok(())
    }

    fn write(&mut self, conversation: ConversationId) -> anyhow::Result<Last> {
        self.sent += 1;
        let mut text = format!("{:016x} {} {} ", self.run, self.me.get(), self.sent);
        while text.len() < self.plan.bytes {
            text.push('.');
        }
        let unique = mix64(self.run ^ mix64(self.me.get() ^ self.sent));
        let send = pb::Send {
            conversation: Some(conversation.to_wire()),
            client_msg_id: [unique.to_be_bytes(), self.sent.to_be_bytes()].concat().into(),
            body: Some(pb::Body { kind: Some(pb::body::Kind::Text(text.clone())) }),
            level: pb::AckLevel::Written.into(),
        };
        let ack: pb::SendAck = self
            .wire
            .ask(Opcode::Send, &send)?
            .map_err(|error| refusal("writing a message", &error))?;
        Ok(Last { seq: ack.seq, text })
    }
}

fn id(account: &Account) -> anyhow::Result<UserId> {
    UserId::new(account.user_id).with_context(|| format!("{} has no id", account.name))
}
