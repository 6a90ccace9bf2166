//! People in a ring, each of whom writes to the next: the load of the direct benches.

use hongyan_core::Input;
use hongyan_protocol::{ConversationId, Frame, Opcode, pb};

use crate::world::{OneShard, Person};

/// Sends of one wake while the ring warms up.
const WAKE: usize = 64;

/// See the module.
pub struct Ring {
    /// Where they live.
    pub world: OneShard,
    people: Vec<Person>,
    turn: usize,
}

impl Ring {
    /// A ring of `size` people in `world`. Everybody has written to the next, so nothing is new
    /// any more.
    ///
    /// # Panics
    /// Accounts cannot be made: a bug in the bench.
    #[must_use]
    pub fn new(mut world: OneShard, size: usize) -> Self {
        let people = (0..size).map(|index| world.register(&format!("ring-{index}"))).collect();
        let mut ring = Self { world, people, turn: 0 };
        for begin in (0..size).step_by(WAKE) {
            let inputs = ring.sends(WAKE.min(size - begin));
            ring.world.wake(inputs);
        }
        ring
    }

    /// A person, the next, and their conversation.
    ///
    /// # Panics
    /// A ring of one.
    #[must_use]
    pub fn pair(&self, index: usize) -> (Person, Person, ConversationId) {
        let size = self.people.len();
        let (from, to) = (self.people[index % size], self.people[(index + 1) % size]);
        (from, to, ConversationId::direct(from.user, to.user).expect("two users"))
    }

    /// The next `count` sends around the ring.
    pub fn sends(&mut self, count: usize) -> Vec<Input> {
        (0..count)
            .map(|_| {
                let (from, _, id) = self.pair(self.turn);
                self.turn += 1;
                self.world.send_input(from, id)
            })
            .collect()
    }

    /// The index of the pair that was the last to write.
    #[must_use]
    pub const fn last_pair(&self) -> usize {
        self.turn.saturating_sub(1)
    }

    /// The receiver of the pair at `index` says that everything up to `seq` has come.
    #[must_use]
    pub fn receipt(&self, index: usize, seq: u64) -> Input {
        let (_, to, id) = self.pair(index);
        let receipt =
            pb::MoveCursor { conversation: Some(id.to_wire()), delivered_seq: seq, read_seq: 0 };
        Input::Frame { conn: to.conn, frame: Frame::new(Opcode::MoveCursor, 0, &receipt) }
    }

    /// The person at `index` reads `limit` messages back from `to_seq`; zero is the newest.
    #[must_use]
    pub fn history(&self, index: usize, to_seq: u64, limit: u32) -> Input {
        let (from, _, id) = self.pair(index);
        let ask = pb::History {
            conversation: Some(id.to_wire()),
            from_seq: 1,
            to_seq,
            limit,
            backwards: true,
        };
        Input::Frame { conn: from.conn, frame: Frame::new(Opcode::History, 1, &ask) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_in_a_ring_gets_one_message_a_round() {
        let mut ring = Ring::new(OneShard::new(), 5);
        let sends = ring.sends(5);
        let count = ring.world.wake(sends);
        assert_eq!((count.replies, count.pushes), (5, 5));
    }

    #[test]
    fn a_receipt_is_told_to_the_sender() {
        let mut ring = Ring::new(OneShard::new(), 3);
        let receipt = ring.receipt(1, 1);
        let count = ring.world.wake([receipt]);
        assert_eq!((count.replies, count.pushes), (0, 1));
        let again = ring.receipt(1, 1);
        assert_eq!(ring.world.wake([again]).pushes, 0, "nothing moved");
    }
}
