//! What the generator writes into a message, so that the receiver can prove what arrived.
//!
//! ```text
//! byte   0..6    run      32 bits, differs between runs
//!        6..12   flow     32 bits, which flow of the run; see topology
//!       12..23   counter  64 bits, dense from 0 per flow
//!       23..34   time     64 bits, planned send in nanoseconds of the run's clock
//!       34..40   check    32 bits over the fields before
//!       40..     filler   the same in every message of a run
//! ```
//!
//! Six bits per byte, lowest first, as `'0' + value`: always valid text, no table. Every byte of
//! a message is compared with what it must be.

use hongyan_protocol::ids::mix64;
use hongyan_protocol::limits::TEXT_BYTES_MAX;

/// Shortest text that can carry the fields, in bytes.
pub const TEXT_BYTES_MIN: usize = 40;

const RUN: usize = 0;
const FLOW: usize = 6;
const COUNTER: usize = 12;
const TIME: usize = 23;
const CHECK: usize = 34;
const BASE: u8 = b'0';

/// The fields of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Which run; messages of another one are not counted.
    pub run: u32,
    /// Which flow.
    pub flow: u32,
    /// Dense from 0 per flow.
    pub counter: u64,
    /// Planned send, in nanoseconds of the run's clock.
    pub planned_ns: u64,
}

/// Makes and checks the text of messages of one length.
#[derive(Debug, Clone)]
pub struct TextForm {
    filler: Vec<u8>,
}

impl TextForm {
    /// Texts of `bytes` bytes, `TEXT_BYTES_MIN..=TEXT_BYTES_MAX`; others are moved into range.
    #[must_use]
    pub fn new(bytes: usize, seed: u64) -> Self {
        let filler_bytes = bytes.clamp(TEXT_BYTES_MIN, TEXT_BYTES_MAX) - TEXT_BYTES_MIN;
        let filler = (0..filler_bytes as u64)
            .map(|index| BASE + (mix64(seed ^ mix64(index + 1)) & 63) as u8)
            .collect();
        Self { filler }
    }

    /// Length of every text, in bytes.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        TEXT_BYTES_MIN + self.filler.len()
    }

    /// A text with every field zero.
    #[must_use]
    pub fn blank(&self) -> Vec<u8> {
        let mut text = vec![BASE; TEXT_BYTES_MIN];
        text.extend_from_slice(&self.filler);
        text
    }

    /// Reads a text; `None` when any byte is not what was written.
    #[must_use]
    pub fn read(&self, text: &[u8]) -> Option<Stamp> {
        let (head, filler) = text.split_at_checked(TEXT_BYTES_MIN)?;
        if filler != self.filler {
            return None;
        }
        let stamp = Stamp {
            run: u32::try_from(take(&head[RUN..FLOW])?).ok()?,
            flow: u32::try_from(take(&head[FLOW..COUNTER])?).ok()?,
            counter: take(&head[COUNTER..TIME])?,
            planned_ns: take(&head[TIME..CHECK])?,
        };
        (take(&head[CHECK..])? == check(&stamp)).then_some(stamp)
    }
}

/// Writes the fields over the first [`TEXT_BYTES_MIN`] bytes of `text`, which must be so long.
pub fn stamp_over(text: &mut [u8], stamp: &Stamp) {
    put(&mut text[RUN..FLOW], u64::from(stamp.run));
    put(&mut text[FLOW..COUNTER], u64::from(stamp.flow));
    put(&mut text[COUNTER..TIME], stamp.counter);
    put(&mut text[TIME..CHECK], stamp.planned_ns);
    put(&mut text[CHECK..TEXT_BYTES_MIN], check(stamp));
}

fn check(stamp: &Stamp) -> u64 {
    let head = u64::from(stamp.run) << 32 | u64::from(stamp.flow);
    mix64(head ^ mix64(stamp.counter ^ mix64(stamp.planned_ns))) >> 32
}

fn put(out: &mut [u8], mut value: u64) {
    for byte in out {
        *byte = BASE + (value & 63) as u8;
        value >>= 6;
    }
}

/// `None` when a byte is out of range. Bits beyond the 64th are ignored, as they are never set.
fn take(bytes: &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    let mut wrong = 0_u8;
    for (index, byte) in bytes.iter().enumerate() {
        let six = byte.wrapping_sub(BASE);
        wrong |= six & !63;
        value |= u64::from(six) << (6 * index);
    }
    (wrong == 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(form: &TextForm, stamp: &Stamp) -> Vec<u8> {
        let mut text = form.blank();
        stamp_over(&mut text, stamp);
        text
    }

    #[test]
    fn stamps_come_back() {
        for bytes in [TEXT_BYTES_MIN, 128, TEXT_BYTES_MAX] {
            let form = TextForm::new(bytes, 7);
            for stamp in [
                Stamp { run: 0, flow: 0, counter: 0, planned_ns: 0 },
                Stamp { run: 9, flow: 199, counter: 1 << 40, planned_ns: 12_345_678_901 },
                Stamp { run: u32::MAX, flow: u32::MAX, counter: u64::MAX, planned_ns: u64::MAX },
            ] {
                let text = stamped(&form, &stamp);
                assert_eq!(text.len(), bytes);
                assert!(std::str::from_utf8(&text).is_ok());
                assert_eq!(form.read(&text), Some(stamp));
            }
        }
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let form = TextForm::new(64, 7);
        let stamp = Stamp { run: 3, flow: 1, counter: 77, planned_ns: 1_000_000 };
        let text = stamped(&form, &stamp);
        for index in 0..text.len() {
            let mut changed = text.clone();
            changed[index] ^= 1;
            assert_eq!(form.read(&changed), None, "byte {index}");
        }
        assert_eq!(form.read(&text[..63]), None);
        assert_eq!(form.read(b""), None);
    }
}
