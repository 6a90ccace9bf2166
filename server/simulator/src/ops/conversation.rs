//! Messages, cursors and history, in direct conversations and groups alike.

use std::collections::VecDeque;

use bytes::Bytes;
use hongyan_protocol::pb;
use hongyan_protocol::{ConversationId, Frame, Opcode};

use super::Bench;
use crate::device::{Device, HistoryAsk, OUTBOX_MAX, Outgoing, Pending};

/// A new message.
pub(crate) fn send(device: &mut Device, bench: &mut Bench<'_>) -> Option<Frame> {
    let me = bench.me?;
    if device.outbox.len() >= OUTBOX_MAX {
        return None;
    }
    let conversation = bench.conversation(me)?;
    let outgoing = Outgoing {
        client_msg_id: Bytes::copy_from_slice(&bench.rng.id()),
        conversation,
        body: body(bench),
        level: *bench.rng.pick(bench.plan.levels)?,
        request: None,
    };
    device.outbox.push_back(outgoing);
    device.send(device.outbox.len() - 1, bench.model, me)
}

/// What waits in the outbox without being on its way, oldest first.
pub(crate) fn resend(device: &mut Device, bench: &mut Bench<'_>) -> Option<Frame> {
    let me = bench.me?;
    let at = device.outbox.iter().position(|outgoing| outgoing.request.is_none())?;
    device.send(at, bench.model, me)
}

/// A message that was acknowledged, once more: as it was, or as another
/// message under the same id.
pub(crate) fn repeat(device: &mut Device, bench: &mut Bench<'_>) -> Option<Frame> {
    let me = bench.me?;
    let acked = recent(&device.acked, bench)?;
    let written = bench.model.log.lsn;
    Some(device.ask_send(&acked, bench.model, me, written))
}

/// The own cursors, mostly to the end of what is held.
pub(crate) fn move_cursor(device: &mut Device, bench: &mut Bench<'_>) -> Option<Frame> {
    let conversation = held(device, bench)?;
    let cursor = device.timeline.conversations.get(&conversation)?.cursor();
    let read_seq = if bench.rng.chance(500) { cursor } else { bench.rng.below(cursor + 1) };
    let moved = pb::MoveCursor {
        conversation: Some(conversation.to_wire()),
        delivered_seq: cursor,
        read_seq,
    };
    if bench.rng.chance(300) {
        return Some(Frame::new(Opcode::MoveCursor, 0, &moved));
    }
    let written = bench.model.log.lsn;
    let what = Pending::Cursor { conversation };
    Some(device.ask(Opcode::MoveCursor, &moved, what, written))
}

/// A range of messages: a hole if there is one, or anything.
pub(crate) fn history(device: &mut Device, bench: &mut Bench<'_>) -> Option<Frame> {
    let conversation = held(device, bench)?;
    let known = device.timeline.conversations.get(&conversation)?;
    let hole = known.hole(known.base + 1);
    let (from_seq, to_seq) = match hole {
        Some(hole) if bench.rng.chance(800) => hole,
        _ => {
            let last = known.last_heard.max(1);
            let from = bench.rng.between(1, last);
            (from, if bench.rng.chance(300) { 0 } else { bench.rng.between(from, last) })
        }
    };
    let ask = HistoryAsk {
        conversation,
        from_seq,
        to_seq,
        limit: bench.rng.below(20) as u32,
        backwards: bench.rng.chance(400),
    };
    Some(ask_history(device, ask, bench.model.log.lsn))
}

/// The frame of a question for history.
pub(crate) fn ask_history(device: &mut Device, ask: HistoryAsk, written: u64) -> Frame {
    let history = pb::History {
        conversation: Some(ask.conversation.to_wire()),
        from_seq: ask.from_seq,
        to_seq: ask.to_seq,
        limit: ask.limit,
        backwards: ask.backwards,
    };
    device.ask(Opcode::History, &history, Pending::History(ask), written)
}

fn recent(acked: &VecDeque<Outgoing>, bench: &mut Bench<'_>) -> Option<Outgoing> {
    let mut outgoing = acked.get(bench.rng.index(acked.len()))?.clone();
    // Provoking a clash is only safe where the first one cannot be lost.
    if outgoing.level == pb::AckLevel::Durable && bench.rng.chance(300) {
        outgoing.body = body(bench);
    }
    Some(outgoing)
}

fn held(device: &Device, bench: &mut Bench<'_>) -> Option<ConversationId> {
    bench.rng.pick(&device.timeline.ids()).copied()
}

fn body(bench: &mut Bench<'_>) -> pb::Body {
    let len = bench.rng.between(1, bench.plan.text_bytes_max) as usize;
    let letter = char::from(b'a' + bench.rng.below(26) as u8);
    let number = bench.rng.next();
    let kind = if bench.rng.chance(900) {
        let mut text = format!("{number:x} ");
        text.extend(std::iter::repeat_n(letter, len));
        pb::body::Kind::Text(text)
    } else {
        let mut data = number.to_le_bytes().to_vec();
        data.resize(8 + len, letter as u8);
        pb::body::Kind::Opaque(pb::Opaque {
            content_type: "application/x-simulated".into(),
            data: data.into(),
            summary: String::new(),
        })
    };
    pb::Body { kind: Some(kind) }
}
