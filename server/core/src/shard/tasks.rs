//! Work that one partition owes another: told after it is durable, in order,
//! until the other confirms that it has carried it out for good.
//!
//! The receiver keeps a watermark per sender, in the same write-set as the
//! work, so a task counts once however often it is told.

use std::collections::BTreeSet;

use hongyan_protocol::ids::Slot;
use hongyan_protocol::{ConversationId, UserId};

use super::Shard;
use crate::conversation::{conversation_id, conversation_key};
use crate::effect::{Effects, Gate};
use crate::entity::{Need, Stop};
use crate::envelope::Envelope;
use crate::key::EntityKey;
use crate::routing::PartitionId;
use crate::state::op::Kind;
use crate::state::{self, Op, task};

/// Users of one task; keeps what a task needs loaded small.
const TASK_USERS: usize = 64;
/// Tasks in one envelope.
const TASKS_SENT: usize = 64;
/// Unconfirmed tasks are told again after so long, in milliseconds.
const RESEND_MS: u64 = 3_000;

/// One op.
pub(crate) const fn op(kind: Kind) -> Op {
    Op { kind: Some(kind) }
}

impl Shard {
    /// The ops that put a conversation into, or take it out of, the lists of
    /// these users.
    pub(crate) fn list_ops(
        &self,
        conversation: ConversationId,
        users: &[UserId],
        listed: bool,
    ) -> Vec<Op> {
        let from = PartitionId::of(conversation.slot());
        let mut by_partition: std::collections::BTreeMap<PartitionId, Vec<u64>> =
            std::collections::BTreeMap::new();
        for user in users {
            by_partition.entry(PartitionId::of(user.slot())).or_default().push(user.get());
        }
        let mut ops = Vec::new();
        for (to, users) in by_partition {
            let first = self.entities.partition(from).next_task(to);
            for (number, users) in (first..).zip(users.chunks(TASK_USERS)) {
                let conversation = Some(conversation_key(conversation));
                let users = users.to_vec();
                let kind = if listed {
                    task::Kind::List(state::ListConversation { conversation, users })
                } else {
                    task::Kind::Unlist(state::UnlistConversation { conversation, users })
                };
                ops.push(op(Kind::TaskPut(state::TaskPut {
                    to: u32::from(to.0),
                    number,
                    task: Some(state::Task { kind: Some(kind) }),
                })));
            }
        }
        ops
    }

    /// Tells the tasks among `ops`, which were just committed.
    pub(crate) fn tell_tasks(&mut self, from: PartitionId, ops: &[Op], fx: &mut Effects) {
        for op in ops {
            if let Some(Kind::TaskPut(put)) = &op.kind
                && let Some(task) = &put.task
            {
                let to = PartitionId(put.to as u16);
                let envelope =
                    Envelope::Tasks { from, to, first: put.number, tasks: vec![task.clone()] };
                self.send(Gate::Durable, self.layout.shard_of_partition(to), envelope, fx);
                self.resend_at_ms.get_or_insert(self.now.mono_ms + RESEND_MS);
            }
        }
    }

    /// Tells everything that is still owed; at boot and from time to time.
    pub(crate) fn tell_all_tasks(&mut self, fx: &mut Effects) {
        let mut owed = Vec::new();
        for from in self.layout.partitions_of(self.id) {
            for (to, outbox) in &self.entities.partition(from).outboxes {
                if !outbox.tasks.is_empty() {
                    let tasks = outbox.tasks.iter().take(TASKS_SENT).cloned().collect();
                    owed.push(Envelope::Tasks { from, to: *to, first: outbox.first, tasks });
                }
            }
        }
        self.resend_at_ms = (!owed.is_empty()).then_some(self.now.mono_ms + RESEND_MS);
        for envelope in owed {
            if let Envelope::Tasks { to, .. } = &envelope {
                let shard = self.layout.shard_of_partition(*to);
                self.send(Gate::Durable, shard, envelope, fx);
            }
        }
    }

    /// Tasks came for a partition of this shard.
    pub(crate) fn take_tasks(
        &mut self,
        from: PartitionId,
        to: PartitionId,
        first: u64,
        tasks: &[state::Task],
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let done = self.entities.partition(to).watermark(from);
        if first > done + 1 {
            // One before was lost on the way; all will be told again.
            return Ok(());
        }
        let new: Vec<_> = tasks.iter().skip((done + 1 - first) as usize).collect();
        let mut ops = Vec::new();
        let mut inboxes = Vec::new();
        for task in &new {
            task_ops(task, &mut ops, &mut inboxes);
        }
        let missing = self.entities.missing(inboxes.into_iter());
        if !missing.is_empty() {
            return Err(Stop::Need(Need::Entities(missing)));
        }
        let number = done + new.len() as u64;
        if !new.is_empty() {
            let taken = state::TasksTaken { from: u32::from(from.0), number };
            ops.push(op(Kind::TasksTaken(taken)));
            let relisted: BTreeSet<UserId> = ops.iter().filter_map(relisted_user).collect();
            self.commit(to, ops);
            for user in relisted {
                self.tell_late_listing(user, fx);
            }
        }
        // Also when nothing was new: the confirmation may have been lost.
        let shard = self.layout.shard_of_partition(from);
        self.send(Gate::Durable, shard, Envelope::TasksTaken { from, to, number }, fx);
        Ok(())
    }

    /// The other partition has carried tasks out.
    pub(crate) fn tasks_taken(&mut self, from: PartitionId, to: PartitionId, number: u64) {
        let outbox = self.entities.partition(from).outboxes.get(&to);
        if outbox.is_some_and(|outbox| !outbox.tasks.is_empty() && outbox.first <= number) {
            let confirmed = state::TasksConfirmed { to: u32::from(to.0), number };
            self.commit(from, vec![op(Kind::TasksConfirmed(confirmed))]);
        }
        let owes = self
            .layout
            .partitions_of(self.id)
            .any(|id| self.entities.partition(id).owes_anything());
        if !owes {
            self.resend_at_ms = None;
        }
    }
}

fn task_ops(task: &state::Task, ops: &mut Vec<Op>, inboxes: &mut Vec<EntityKey>) {
    let (conversation, users, listed) = match &task.kind {
        Some(task::Kind::List(list)) => (&list.conversation, &list.users, true),
        Some(task::Kind::Unlist(list)) => (&list.conversation, &list.users, false),
        // A task of a later version: passed over, and taken all the same.
        None => return,
    };
    if conversation_id(conversation.as_ref()).is_none() {
        return;
    }
    for user in users {
        let Some(id) = UserId::new(*user) else {
            continue;
        };
        inboxes.push(EntityKey::Inbox(id));
        let (user, conversation) = (*user, *conversation);
        ops.push(op(if listed {
            Kind::Listed(state::Listed { user, conversation })
        } else {
            Kind::Unlisted(state::Unlisted { user, conversation })
        }));
    }
}

fn relisted_user(op: &Op) -> Option<UserId> {
    match &op.kind {
        Some(Kind::Listed(listed)) => UserId::new(listed.user),
        Some(Kind::Unlisted(unlisted)) => UserId::new(unlisted.user),
        _ => None,
    }
}

/// The partition of a user, a name or a conversation.
pub(crate) const fn partition_of(slot: Slot) -> PartitionId {
    PartitionId::of(slot)
}
