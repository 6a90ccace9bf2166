//! The half of a Redis user that hears: one read at a time, its messages one by one, and their
//! acks.

use bytes::{BufMut, BytesMut};

use super::resp::{self, Element, Reader, Stop, command, whole};
use super::{CONSUMER, COUNT, GROUP};
use crate::driver::{Event, LinkError};
use crate::plan::{Plan, Receipts};

/// Words of an XACK before its ids, and how a command of so many begins.
const ACK_WORDS: usize = 3;
const ACK_HEAD: &[u8] = b"*3\r\n";

/// The half of a user that hears.
#[derive(Debug)]
pub struct Hears {
    read: Box<[u8]>,
    /// What stands between the number of words and the ids in an XACK.
    ack: Box<[u8]>,
    acks: bool,
    /// Messages of the answer that have not come yet.
    left: usize,
    /// No read is asked for, and none is being answered.
    idle: bool,
    /// Ids that arrived since the last receipt, each as a string of a command.
    ids: Vec<u8>,
    id_count: usize,
}

impl Hears {
    pub(super) fn new(key: &str, plan: &Plan) -> Self {
        let count = COUNT.to_string();
        let read = command(&[
            "XREADGROUP",
            "GROUP",
            GROUP,
            CONSUMER,
            "COUNT",
            &count,
            "BLOCK",
            "0",
            "STREAMS",
            key,
            ">",
        ]);
        let ack = command(&["XACK", key, GROUP]);
        let ack = ack.strip_prefix(ACK_HEAD).unwrap_or(&ack);
        Self {
            read: read.into(),
            ack: ack.into(),
            acks: plan.receipts != Receipts::None,
            left: 0,
            idle: true,
            ids: Vec::new(),
            id_count: 0,
        }
    }

    pub(super) fn parse<'a>(
        &mut self,
        bytes: &'a [u8],
    ) -> Result<Option<(usize, Event<'a>)>, LinkError> {
        let mut reader = Reader::new(bytes);
        let event = if self.left > 0 { self.message(&mut reader) } else { self.head(&mut reader) };
        Ok(whole(event)?.map(|event| (reader.at, event)))
    }

    /// What stands between the messages of two answers.
    fn head<'a>(&mut self, reader: &mut Reader<'a>) -> Result<Event<'a>, Stop> {
        match reader.element()? {
            // The number of messages that an XACK acknowledged.
            Element::Integer(_) => return Ok(Event::Other),
            Element::Error(words) => return Err(resp::foreign(words).into()),
            Element::Array(1) if !self.idle => {}
            _ => return Err(LinkError::Unexpected("an answer to nothing").into()),
        }
        reader.array(2)?;
        let _key = reader.text()?;
        match reader.element()? {
            Element::Array(count @ 1..=COUNT) => self.left = count,
            _ => return Err(LinkError::Unexpected("an answer without messages").into()),
        }
        Ok(Event::Other)
    }

    fn message<'a>(&mut self, reader: &mut Reader<'a>) -> Result<Event<'a>, Stop> {
        reader.array(2)?;
        let id_at = reader.at;
        reader.text()?;
        let id = reader.since(id_at);
        reader.array(2)?;
        let _field = reader.text()?;
        let text = reader.text()?;
        self.left -= 1;
        self.idle = self.left == 0;
        if self.acks {
            self.id_count += 1;
            self.ids.extend_from_slice(id);
        }
        Ok(Event::Delivered { seq: 0, text })
    }

    /// Acknowledges what arrived, then asks for more.
    pub(super) fn encode_receipt(&mut self, out: &mut BytesMut) {
        if self.id_count > 0 {
            out.put_slice(format!("*{}\r\n", ACK_WORDS + self.id_count).as_bytes());
            out.put_slice(&self.ack);
            out.put_slice(&self.ids);
            self.ids.clear();
            self.id_count = 0;
        }
        self.encode_read(out);
    }

    /// Asks for more when all of what was asked for has come and is acknowledged.
    pub(super) fn encode_read(&mut self, out: &mut BytesMut) {
        if self.idle && self.id_count == 0 {
            self.idle = false;
            out.put_slice(&self.read);
        }
    }
}
