//! Sends messages again that were acknowledged before: the server must tell
//! them from new ones, also when it was killed in between.
//!
//! The SDK looks first whether a message has arrived, so it seldom puts the
//! server to this test by itself.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use hongyan_client::{
    AckLevel, Body, ClientError, ClientMsgId, ConversationId, ErrorCode, Opcode, SendAck, pb,
};

use crate::client::PATIENCE;
use crate::fault::Fault;
use crate::journal::Known;
use crate::letter::body_of;
use crate::scene::{Scene, refuse};

/// Messages of one person in one conversation that are sent again: fewer than
/// a server remembers.
const AGAIN: usize = 12;

/// The newest acknowledged messages of each person in each conversation.
#[must_use]
pub fn newest_acked(known: &Known) -> Vec<(usize, ConversationId, ClientMsgId, SendAck)> {
    let mut lanes = BTreeMap::<_, Vec<_>>::new();
    for (id, sent) in &known.sends {
        if let Some(ack) = sent.ack {
            lanes.entry((sent.sender, sent.conversation)).or_default().push((ack.seq, *id, ack));
        }
    }
    let mut chosen = Vec::new();
    for ((person, conversation), mut acked) in lanes {
        acked.sort_by_key(|(seq, ..)| std::cmp::Reverse(*seq));
        let newest = acked.into_iter().take(AGAIN);
        chosen.extend(newest.map(|(_, id, ack)| (person, conversation, id, ack)));
    }
    chosen
}

/// Sends them again, on a quiet server: each must get its first ack, and one
/// with another body must be refused.
///
/// # Errors
/// With the faults, in words; what a request can meet.
pub async fn resend(scene: &Scene) -> anyhow::Result<()> {
    let chosen = scene.journal.with_known(newest_acked);
    let mut faults = Vec::new();
    for (person, conversation, id, first) in &chosen {
        let again = ask(scene, *person, *conversation, *id, &body_of(*id)).await?;
        let again = again.with_context(|| format!("{id} sent again"))?;
        let same = (again.seq, again.message_id, again.time_ms)
            == (first.seq, first.message_id, first.time_ms);
        if !same || !again.repeated_send {
            let acks = format!("{first:?} first, {again:?} when sent again");
            faults.push(Fault::AckChanged { id: *id, acks });
        }
    }
    refuse(&faults)?;
    for (person, conversation, id, _) in chosen.iter().step_by(AGAIN) {
        match ask(scene, *person, *conversation, *id, &Body::from("another body")).await? {
            Err(error) if error.is(ErrorCode::IdConflict) => {}
            other => bail!("{id} with another body: {other:?}"),
        }
    }
    Ok(())
}

async fn ask(
    scene: &Scene,
    person: usize,
    conversation: ConversationId,
    id: ClientMsgId,
    body: &Body,
) -> anyhow::Result<Result<SendAck, ClientError>> {
    // From the device that sent it first, as a retry does.
    let number = u16::from_be_bytes([id.as_bytes()[8], id.as_bytes()[9]]);
    let first = scene.devices.get(usize::from(number));
    let any = scene.devices.iter().find(|device| device.person == person);
    let device = first.filter(|device| device.person == person).or(any);
    let device = device.context("the person has no device")?;
    let send = pb::Send {
        conversation: Some(conversation.to_wire()),
        client_msg_id: id.as_bytes().to_vec().into(),
        body: Some(body.to_wire()),
        level: AckLevel::Durable.to_wire().into(),
    };
    let reply = device.client.request::<pb::SendAck>(Opcode::Send, &send);
    let reply = tokio::time::timeout(PATIENCE, reply).await.context("no answer to a send")?;
    Ok(reply.map(SendAck::from))
}
