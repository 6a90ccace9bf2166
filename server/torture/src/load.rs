//! The load: every device sends and reads, as people do who never sleep.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use hongyan_client::{AckLevel, Event, NewMessage, Opcode, SignOutReason, Status, pb};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::cast::{Cast, Room};
use crate::client::Device;
use crate::journal::Journal;
use crate::letter::{Size, body_of, id_of};
use crate::numbers::Numbers;

/// Sends and cursor moves of one device that wait for an answer, usually.
pub const IN_FLIGHT: u32 = 8;

/// What the load is made of.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// A third of the messages asks for `written` only.
    pub written_too: bool,
    /// How large messages are.
    pub size: Size,
    /// Pause between two actions of a device.
    pub pace: Duration,
    /// Sends and cursor moves of one device that wait for an answer.
    pub in_flight: u32,
    /// Everybody writes into the group of all alone.
    pub one_room: bool,
}

impl Style {
    /// The usual load, at this pace.
    #[must_use]
    pub const fn usual(pace: Duration) -> Self {
        Self { written_too: true, size: Size::Usual, pace, in_flight: IN_FLIGHT, one_room: false }
    }
}

/// A running load. It begins closed.
#[derive(Debug)]
pub struct Load {
    gate: watch::Sender<bool>,
    lanes: Vec<(String, Arc<Semaphore>)>,
    in_flight: u32,
    tasks: JoinSet<()>,
}

struct Actor {
    device: Device,
    number: u16,
    run: u64,
    cast: Arc<Cast>,
    journal: Arc<Journal>,
    style: Style,
    numbers: Numbers,
}

impl Load {
    /// Prepares the load of these devices. `run` makes message ids unlike
    /// those of other runs and loads.
    #[must_use]
    pub fn new(
        devices: &[Device],
        cast: &Arc<Cast>,
        journal: &Arc<Journal>,
        style: Style,
        run: u64,
        numbers: &mut Numbers,
    ) -> Self {
        let gate = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        let mut lanes = Vec::new();
        for (number, device) in (0..).zip(devices) {
            let permits = Arc::new(Semaphore::new(style.in_flight as usize));
            lanes.push((device.viewer.clone(), Arc::clone(&permits)));
            let actor = Actor {
                device: device.clone(),
                number,
                run,
                cast: Arc::clone(cast),
                journal: Arc::clone(journal),
                style,
                numbers: numbers.fork(number.into()),
            };
            tasks.spawn(actor.act(gate.subscribe(), permits));
            tasks.spawn(watch_device(device.clone(), Arc::clone(journal)));
        }
        Self { gate, lanes, in_flight: style.in_flight, tasks }
    }

    /// Lets the devices act.
    pub fn open(&self) {
        self.gate.send_replace(true);
    }

    /// Keeps them from beginning anything new.
    pub fn close(&self) {
        self.gate.send_replace(false);
    }

    /// Closes, and waits until everything that was begun has its answer.
    ///
    /// # Errors
    /// When it has not in time.
    pub async fn quiesce(&mut self, within: Duration) -> anyhow::Result<()> {
        self.close();
        let all = async {
            for (viewer, lane) in &self.lanes {
                let answered = lane.acquire_many(self.in_flight).await;
                drop(answered.with_context(|| format!("the lane of {viewer} is closed"))?);
            }
            anyhow::Ok(())
        };
        if tokio::time::timeout(within, all).await.is_ok_and(|done| done.is_ok()) {
            return Ok(());
        }
        let waiting: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.available_permits() < self.in_flight as usize)
            .map(|(viewer, _)| viewer.as_str())
            .collect();
        bail!("no answer after {within:?} for {}", waiting.join(", "))
    }

    /// Ends the load for good.
    pub async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Actor {
    async fn act(mut self, mut gate: watch::Receiver<bool>, permits: Arc<Semaphore>) {
        let mut next = 1_u32;
        loop {
            if gate.wait_for(|open| *open).await.is_err() {
                return;
            }
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            if !*gate.borrow() {
                continue;
            }
            let cast = Arc::clone(&self.cast);
            let wanted =
                |room: &&Room| !self.style.one_room || room.members.len() == cast.people.len();
            let rooms: Vec<&Room> = cast.rooms_of(self.device.person).filter(wanted).collect();
            let Some(room) = rooms.get(self.numbers.below(rooms.len() as u64) as usize) else {
                return;
            };
            if self.numbers.one_in(6) {
                self.read(room, permit);
            } else {
                self.send(room, next, permit).await;
                next += 1;
            }
            tokio::time::sleep(self.style.pace).await;
        }
    }

    async fn send(&mut self, room: &Room, number: u32, permit: OwnedSemaphorePermit) {
        let id = id_of(self.run, self.number, number, self.style.size);
        let written = self.style.written_too && self.numbers.one_in(3);
        let level = if written { AckLevel::Written } else { AckLevel::Durable };
        self.journal.sent(self.device.person, id, room.id, level);
        let message =
            NewMessage { client_msg_id: id, conversation: room.id, body: body_of(id), level };
        let journal = Arc::clone(&self.journal);
        let viewer = self.device.viewer.clone();
        match self.device.client.send_message(message).await {
            Ok(handle) => {
                tokio::spawn(async move {
                    match handle.wait().await {
                        Ok(ack) => journal.acked(id, ack),
                        Err(hongyan_client::ClientError::Closed) => {}
                        Err(error) => journal.object(&viewer, format!("send {id}: {error}")),
                    }
                    drop(permit);
                });
            }
            Err(error) => journal.object(&viewer, format!("send {id} not taken: {error}")),
        }
    }

    /// Moves the read cursor: by a request of its own, whose answer is noted,
    /// or as apps do, without hearing of it.
    fn read(&mut self, room: &Room, permit: OwnedSemaphorePermit) {
        let Some(state) = self.device.client.conversation(room.id) else { return };
        if state.last_seq == 0 {
            return;
        }
        let seq = self.numbers.within(state.last_seq.saturating_sub(20).max(1), state.last_seq);
        let by_request = self.numbers.one_in(2);
        let (person, id) = (self.device.person, room.id);
        self.journal.read_asked(person, id, seq);
        let journal = Arc::clone(&self.journal);
        let client = self.device.client.clone();
        tokio::spawn(async move {
            if by_request {
                let cursor = pb::MoveCursor {
                    conversation: Some(id.to_wire()),
                    delivered_seq: seq,
                    read_seq: seq,
                };
                // No answer: the cursor may have moved or not.
                if client.request::<pb::Empty>(Opcode::MoveCursor, &cursor).await.is_ok() {
                    journal.read_acked(person, id, seq);
                }
            } else if let Err(error) = client.mark_read(id, seq).await {
                journal.note(&format!("mark_read: {error}"));
            }
            drop(permit);
        });
    }
}

/// Notes what a device is pushed, and objects to what must never happen.
async fn watch_device(device: Device, journal: Arc<Journal>) {
    let mut events = device.client.events();
    loop {
        match events.recv().await {
            Ok(Event::Message(message)) => journal.seen(&device.viewer, &message),
            Ok(Event::StatusChanged(Status::SignedOut { reason })) => {
                if reason != SignOutReason::Logout {
                    journal.object(&device.viewer, format!("signed out: {reason:?}"));
                }
            }
            Ok(Event::StorageFailed(error)) => {
                journal.object(&device.viewer, format!("its store failed: {error}"));
            }
            Ok(_) | Err(hongyan_client::EventError::Lagged(_)) => {}
            Err(_) => return,
        }
    }
}
