//! What a device does next, by its stage and by what the world is up to.

use hongyan_protocol::{Frame, UserId};

use crate::device::{Device, HistoryAsk, Pending, Stage};
use crate::ops::{self, Bench};

/// What the world is up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Devices do as they please, and things break.
    Work,
    /// Nothing breaks any more; what was begun is brought to an end.
    Calm,
    /// Everybody syncs and reads everything, to be compared.
    Audit,
}

/// The next request of a connected device, if it has one.
pub(crate) fn step(device: &mut Device, bench: &mut Bench<'_>, phase: Phase) -> Option<Frame> {
    match device.stage {
        Stage::Offline | Stage::Greeting => None,
        Stage::Entering => {
            let entering = device.pending.values().any(|sent| {
                matches!(sent.what, Pending::Register | Pending::Login { .. } | Pending::Refresh)
            });
            (!entering).then(|| ops::auth::enter(device, bench))
        }
        Stage::Live => match phase {
            Phase::Work => work(device, bench),
            Phase::Calm => {
                ops::conversation::resend(device, bench).or_else(|| audit(device, bench))
            }
            Phase::Audit => audit(device, bench),
        },
    }
}

fn work(device: &mut Device, bench: &mut Bench<'_>) -> Option<Frame> {
    // A client catches up and brings its outbox out before anything else, but
    // not always at once.
    if (device.sync.is_some() || device.sync_wanted) && bench.rng.chance(700) {
        return ops::sync::go_on(device, bench);
    }
    if bench.rng.chance(700)
        && let Some(frame) = ops::conversation::resend(device, bench)
    {
        return Some(frame);
    }
    match bench.rng.below(1000) {
        0..=499 => ops::conversation::send(device, bench),
        500..=629 => ops::conversation::move_cursor(device, bench),
        630..=719 => ops::conversation::history(device, bench),
        720..=759 => ops::conversation::repeat(device, bench),
        760..=879 => ops::group::sample(device, bench),
        880..=909 => {
            device.sync_wanted = true;
            ops::sync::go_on(device, bench)
        }
        910..=929 => ops::presence::watch(device, bench),
        930..=949 => ops::auth::sample(device, bench),
        950..=959 => Some(Frame::HEARTBEAT),
        960..=962 if bench.plan.revokes => Some(ops::auth::revoke(device, bench)),
        _ => None,
    }
}

/// Syncs to the end, then reads what is missing below.
fn audit(device: &mut Device, bench: &mut Bench<'_>) -> Option<Frame> {
    if device.sync.is_some() || device.sync_wanted {
        return ops::sync::go_on(device, bench);
    }
    if !device.pending.is_empty() {
        return None;
    }
    let (conversation, hole) = device.timeline.conversations.iter().find_map(|(id, held)| {
        let first = held.first_seq.max(1);
        held.hole(first).map(|hole| (*id, hole))
    })?;
    let ask = HistoryAsk {
        conversation,
        from_seq: hole.0,
        to_seq: hole.1,
        limit: bench.rng.between(1, 60) as u32,
        backwards: bench.rng.chance(500),
    };
    Some(ops::conversation::ask_history(device, ask, bench.model.log.lsn))
}

/// Whether a device has nothing left to do in an audit.
pub(crate) fn is_audited(device: &Device, me: Option<UserId>) -> bool {
    me.is_some()
        && device.stage == Stage::Live
        && device.pending.is_empty()
        && device.sync.is_none()
        && !device.sync_wanted
        && device.timeline.conversations.values().all(|held| {
            let first = held.first_seq.max(1);
            held.hole(first).is_none()
        })
}
