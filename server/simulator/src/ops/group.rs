//! Groups: made, changed, left and dissolved, also by those who may not.

use bytes::Bytes;
use hongyan_protocol::pb::{self, Role};
use hongyan_protocol::{ConversationId, Frame, Opcode, UserId};

use super::Bench;
use crate::device::{Device, Pending};
use crate::people::{KnownGroup, group_id};

/// One request about a group.
pub(crate) fn sample(device: &mut Device, bench: &mut Bench<'_>) -> Option<Frame> {
    let me = bench.me?;
    let made = bench.people.groups.len();
    if made < bench.plan.groups_max && bench.rng.chance(if made == 0 { 800 } else { 200 }) {
        return create(device, bench, me);
    }
    let conversation = bench.group(me)?;
    let ConversationId::Group(group) = conversation else {
        return None;
    };
    let group = group.get();
    let written = bench.model.log.lsn;
    let mut ask = |opcode: Opcode, message: &dyn Encoded| {
        let frame = message.ask(device, opcode, Pending::Group { opcode, conversation }, written);
        Some(frame)
    };
    match bench.rng.below(100) {
        0..=24 => {
            let users = some_users(bench, me);
            if users.is_empty() {
                return None;
            }
            ask(Opcode::InviteMembers, &pb::InviteMembers { group, users })
        }
        25..=32 => ask(Opcode::LeaveGroup, &pb::LeaveGroup { group }),
        33..=47 => {
            let user = someone(bench, me)?;
            ask(Opcode::RemoveMember, &pb::RemoveMember { group, user })
        }
        48..=62 => {
            let user = someone(bench, me)?;
            let role = *bench.rng.pick(&[Role::Owner, Role::Admin, Role::Admin, Role::Member])?;
            ask(Opcode::SetRole, &pb::SetRole { group, user, role: role as i32 })
        }
        63..=77 => {
            let name = if bench.rng.chance(500) {
                format!("group {:x}", bench.rng.below(1 << 20))
            } else {
                String::new()
            };
            let history = bench.rng.below(3) as i32;
            ask(Opcode::UpdateGroup, &pb::UpdateGroup { group, name, history })
        }
        78..=79 => ask(Opcode::DissolveGroup, &pb::DissolveGroup { group }),
        80..=85 => create_again(device, bench, me),
        _ => {
            let members = pb::ListMembers { group, after_user: 0, limit: 0 };
            let what = Pending::Members { conversation };
            Some(device.ask(Opcode::ListMembers, &members, what, written))
        }
    }
}

fn create(device: &mut Device, bench: &mut Bench<'_>, me: UserId) -> Option<Frame> {
    let client_group_id = Bytes::copy_from_slice(&bench.rng.id());
    let group = KnownGroup {
        conversation: group_id(me, &client_group_id),
        creator: me,
        client_group_id,
        name: format!("group {:x}", bench.rng.below(1 << 20)),
        members: some_users(bench, me),
        history_visible: bench.rng.chance(500),
    };
    let frame = ask_create(device, bench, &group);
    bench.people.groups.push(group);
    Some(frame)
}

/// A retry of a creation, also long after it succeeded.
fn create_again(device: &mut Device, bench: &mut Bench<'_>, me: UserId) -> Option<Frame> {
    let mine: Vec<KnownGroup> =
        bench.people.groups.iter().filter(|group| group.creator == me).cloned().collect();
    let group = bench.rng.pick(&mine)?.clone();
    Some(ask_create(device, bench, &group))
}

fn ask_create(device: &mut Device, bench: &Bench<'_>, group: &KnownGroup) -> Frame {
    let create = pb::CreateGroup {
        client_group_id: group.client_group_id.clone(),
        name: group.name.clone(),
        members: group.members.clone(),
        history_visible: group.history_visible,
    };
    let opcode = Opcode::CreateGroup;
    let what = Pending::Group { opcode, conversation: group.conversation };
    device.ask(opcode, &create, what, bench.model.log.lsn)
}

fn some_users(bench: &mut Bench<'_>, me: UserId) -> Vec<u64> {
    let others = bench.people.others(me);
    let mut users: Vec<u64> =
        others.iter().filter(|_| bench.rng.chance(600)).map(|user| user.get()).collect();
    if users.is_empty() {
        users.extend(others.first().map(|user| user.get()));
    }
    users
}

fn someone(bench: &mut Bench<'_>, me: UserId) -> Option<u64> {
    let mut people = bench.people.others(me);
    if bench.rng.chance(100) {
        people.push(me);
    }
    bench.rng.pick(&people).map(|user| user.get())
}

/// Messages of any type, asked in one place.
trait Encoded {
    fn ask(&self, device: &mut Device, opcode: Opcode, what: Pending, written: u64) -> Frame;
}

impl<M: prost::Message> Encoded for M {
    fn ask(&self, device: &mut Device, opcode: Opcode, what: Pending, written: u64) -> Frame {
        device.ask(opcode, self, what, written)
    }
}
