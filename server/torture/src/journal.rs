//! What the clients know, kept outside the server.
//!
//! One for all clients of a run. Every line also goes to a file, so that it
//! survives this process and can be read beside the evidence.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use hongyan_client::{AckLevel, ClientMsgId, ConversationId, Message, SendAck};
use serde_json::json;

use crate::fault::Fault;

/// One message as its sender knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Index of the sender.
    pub sender: usize,
    /// Where it was sent.
    pub conversation: ConversationId,
    /// The level that was asked.
    pub level: AckLevel,
    /// The ack, when it came.
    pub ack: Option<SendAck>,
}

/// A read cursor as its owner knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Read {
    /// The highest that was asked for.
    pub asked: u64,
    /// The highest that was acknowledged.
    pub acked: u64,
}

/// Everything that is known.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Messages by id.
    pub sends: HashMap<ClientMsgId, Sent>,
    /// Read cursors by person and conversation.
    pub reads: BTreeMap<(usize, ConversationId), Read>,
    /// Message ids that devices were pushed, by place.
    pub seen: BTreeMap<(ConversationId, u64), u64>,
    /// What clients objected to.
    pub faults: Vec<Fault>,
    /// Acks so far.
    pub acks: u64,
}

/// The journal.
#[derive(Debug)]
pub struct Journal {
    known: Mutex<Known>,
    file: Mutex<Option<BufWriter<File>>>,
}

impl Journal {
    /// A journal that is also written to `path`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { known: Mutex::default(), file: Mutex::new(Some(BufWriter::new(file))) })
    }

    /// A journal in memory alone.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { known: Mutex::default(), file: Mutex::new(None) }
    }

    /// A message is about to be sent.
    pub fn sent(
        &self,
        sender: usize,
        id: ClientMsgId,
        conversation: ConversationId,
        level: AckLevel,
    ) {
        self.line(|| json!({"sent": id.to_string(), "by": sender, "to": words(conversation), "level": format!("{level:?}")}));
        let sent = Sent { sender, conversation, level, ack: None };
        self.lock().sends.insert(id, sent);
    }

    /// A message was acknowledged.
    pub fn acked(&self, id: ClientMsgId, ack: SendAck) {
        self.line(|| json!({"acked": id.to_string(), "seq": ack.seq, "message": ack.message_id, "level": format!("{:?}", ack.level), "again": ack.repeated_send}));
        let mut known = self.lock();
        known.acks += 1;
        let Some(sent) = known.sends.get_mut(&id) else {
            known.faults.push(Fault::Client {
                viewer: "journal".into(),
                detail: format!("an ack for {id}, which nobody sent"),
            });
            return;
        };
        let too_weak = ack.level < sent.level;
        let changed = sent.ack.as_ref().filter(|first| {
            (first.seq, first.message_id, first.time_ms) != (ack.seq, ack.message_id, ack.time_ms)
        });
        let changed = changed.map(|first| format!("{first:?} and {ack:?}"));
        sent.ack.get_or_insert(ack);
        if too_weak {
            known.faults.push(Fault::AckTooWeak { id });
        }
        if let Some(acks) = changed {
            known.faults.push(Fault::AckChanged { id, acks });
        }
    }

    /// A read cursor is about to be moved.
    pub fn read_asked(&self, person: usize, conversation: ConversationId, seq: u64) {
        self.line(|| json!({"reading": words(conversation), "by": person, "seq": seq}));
        let mut known = self.lock();
        let read = known.reads.entry((person, conversation)).or_default();
        read.asked = read.asked.max(seq);
    }

    /// A read cursor was moved and acknowledged.
    pub fn read_acked(&self, person: usize, conversation: ConversationId, seq: u64) {
        self.line(|| json!({"read": words(conversation), "by": person, "seq": seq}));
        let mut known = self.lock();
        let read = known.reads.entry((person, conversation)).or_default();
        read.acked = read.acked.max(seq);
        read.asked = read.asked.max(seq);
    }

    /// A device was pushed a message.
    pub fn seen(&self, viewer: &str, message: &Message) {
        let place = (message.conversation, message.seq);
        let mut known = self.lock();
        let first = *known.seen.entry(place).or_insert(message.message_id);
        if first != message.message_id {
            known.faults.push(Fault::Different {
                viewer: viewer.into(),
                conversation: message.conversation,
                seq: message.seq,
                both: format!("message {first} was pushed, then {}", message.message_id),
            });
        }
        drop(known);
        self.line(|| json!({"seen": words(message.conversation), "seq": message.seq, "message": message.message_id, "by": viewer}));
    }

    /// A client objects.
    pub fn object(&self, viewer: &str, detail: impl Into<String>) {
        let fault = Fault::Client { viewer: viewer.into(), detail: detail.into() };
        self.line(|| json!({"objection": fault.to_string()}));
        self.lock().faults.push(fault);
    }

    /// A line for people who read the file.
    pub fn note(&self, text: &str) {
        self.line(|| json!({"note": text}));
    }

    /// Acks so far.
    #[must_use]
    pub fn acks(&self) -> u64 {
        self.lock().acks
    }

    /// Everything known, as of now.
    #[must_use]
    pub fn known(&self) -> Known {
        self.lock().clone()
    }

    /// Looks at what is known without copying it.
    pub fn with_known<R>(&self, look: impl FnOnce(&Known) -> R) -> R {
        look(&self.lock())
    }

    /// Writes what is buffered to the file.
    pub fn flush(&self) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = file.as_mut()
            && let Err(error) = file.flush()
        {
            eprintln!("the journal cannot be written: {error}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, line: impl FnOnce() -> serde_json::Value) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(out) = file.as_mut()
            && let Err(error) = writeln!(out, "{}", line())
        {
            eprintln!("the journal cannot be written: {error}");
            *file = None;
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.flush();
    }
}

fn words(conversation: ConversationId) -> String {
    format!("{conversation:?}")
}
