//! Who is online.

use hongyan_protocol::pb;
use hongyan_protocol::{ConversationId, Frame, Opcode, UserId};

use super::Bench;
use crate::device::{Device, Pending};

/// Watches some of the people known.
pub(crate) fn watch(device: &mut Device, bench: &mut Bench<'_>) -> Option<Frame> {
    let me = bench.me?;
    let others = bench.people.others(me);
    let users: Vec<u64> =
        others.iter().filter(|_| bench.rng.chance(500)).map(|user| user.get()).collect();
    let watch = pb::WatchPresence { users };
    let list = bench.model.log.lists.get(&me);
    let known = |user: &u64| {
        let id = UserId::new(*user).and_then(|user| ConversationId::direct(me, user));
        id.is_some_and(|id| list.is_some_and(|list| list.contains(&id)))
    };
    let what = Pending::Watch { listed: watch.users.iter().all(known) };
    Some(device.ask(Opcode::WatchPresence, &watch, what, bench.model.log.lsn))
}
