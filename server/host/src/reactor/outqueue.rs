//! What a connection still has to send.
//!
//! Frames are queued as they were encoded, one `Bytes` each: a push to ten
//! thousand people is ten thousand handles on the same memory. Owns order and
//! size; knows neither socket nor limits. Gives its memory back when it is
//! empty.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct OutQueue {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    /// The head was sent in part: it must be finished before anything else.
    partial: bool,
}

/// An empty queue keeps room for so many frames, not more.
const KEPT_CHUNKS: usize = 8;

impl OutQueue {
    /// Appends one whole frame.
    pub(crate) fn push(&mut self, frame: Bytes) {
        if frame.is_empty() {
            return;
        }
        self.bytes += frame.len();
        self.chunks.push_back(frame);
    }

    /// Bytes not sent yet.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// True when everything was sent.
    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Drops all frames but one that was sent in part.
    pub(crate) fn drop_unsent(&mut self) {
        self.chunks.truncate(usize::from(self.partial));
        self.bytes = self.chunks.front().map_or(0, Bytes::len);
    }

    /// Takes the first chunk, as it was pushed unless a part of it was sent.
    #[cfg_attr(not(feature = "websocket"), allow(dead_code))]
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let head = self.chunks.pop_front()?;
        self.bytes -= head.len();
        self.partial = false;
        self.give_back();
        Some(head)
    }

    /// Fills `slices` from the front and returns how many were filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slot, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slot = IoSlice::new(chunk);
            count += 1;
        }
        count
    }

    /// Takes `bytes` off the front: they were sent.
    pub(crate) fn advance(&mut self, bytes: usize) {
        let mut left = bytes.min(self.bytes);
        self.bytes -= left;
        while left > 0 {
            let Some(head) = self.chunks.front_mut() else {
                break;
            };
            if head.len() > left {
                super::transport::advance(head, left);
                self.partial = true;
                return;
            }
            left -= head.len();
            self.chunks.pop_front();
            self.partial = false;
        }
        self.give_back();
    }

    fn give_back(&mut self) {
        if self.chunks.is_empty() && self.chunks.capacity() > KEPT_CHUNKS {
            self.chunks = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_order_whatever_the_cuts() {
        for cut in 1..9 {
            let mut queue = OutQueue::default();
            for word in ["one", "", "three", "four"] {
                queue.push(Bytes::from_static(word.as_bytes()));
            }
            let mut seen = Vec::new();
            while !queue.is_empty() {
                let mut slices = [IoSlice::new(&[]); 2];
                let count = queue.slices(&mut slices);
                let flat: Vec<u8> =
                    slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
                let taken = cut.min(flat.len());
                seen.extend_from_slice(&flat[..taken]);
                queue.advance(taken);
            }
            assert_eq!(seen, b"onethreefour", "cut {cut}");
        }
    }

    #[test]
    fn a_frame_sent_in_part_survives_a_drop() {
        let mut queue = OutQueue::default();
        queue.push(Bytes::from_static(b"abc"));
        queue.push(Bytes::from_static(b"def"));
        queue.advance(1);
        queue.drop_unsent();
        assert_eq!(queue.bytes(), 2);
        queue.advance(2);
        queue.push(Bytes::from_static(b"ghi"));
        queue.drop_unsent();
        assert!(queue.is_empty());
    }

    #[test]
    fn chunks_leave_whole() {
        let mut queue = OutQueue::default();
        queue.push(Bytes::from_static(b"abc"));
        queue.push(Bytes::from_static(b"de"));
        queue.advance(1);
        assert_eq!(queue.pop().as_deref(), Some(&b"bc"[..]));
        assert_eq!((queue.bytes(), queue.pop().as_deref()), (2, Some(&b"de"[..])));
        assert!(queue.is_empty() && queue.pop().is_none());
    }

    #[test]
    fn an_empty_queue_gives_its_memory_back() {
        let mut queue = OutQueue::default();
        for _ in 0..1_000 {
            queue.push(Bytes::from_static(b"x"));
        }
        queue.advance(1_000);
        assert!(queue.chunks.capacity() <= KEPT_CHUNKS);
    }
}
