//! Who talks to whom: the seats of a run, the flows that each sends, and those that it hears.
//!
//! ```text
//! seat     one connection of the run, and whose it is
//! talk     a conversation as one seat sees it; a seat numbers its talks from 0 (slots)
//! flow     what one seat sends into one talk; numbered over the whole run, carried in each
//!          message, so that a receiver knows what it hears
//! ```
//!
//! Owns shapes only; a driver turns a talk into the conversation of its server.
//!
//! # Invariants
//! - Each flow has exactly one sending seat, and `receivers` seats that hear it.
//! - Slots of a lane are in range of the seat's talks.

mod mixed;

use hongyan_protocol::ids::mix64;
pub use mixed::MixedShape;
use serde::{Deserialize, Serialize};

/// A conversation as one seat sees it. Users are numbered from 0, as in the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    /// Between two users.
    Direct {
        /// The seat's user.
        me: usize,
        /// The other one.
        with: usize,
    },
    /// A group that the scenario has made.
    Group {
        /// Its number in the scenario.
        group: usize,
    },
}

/// A flow at one of its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// Number of the flow in the run.
    pub flow: u32,
    /// Which of the seat's talks it is in.
    pub slot: usize,
    /// Seats that hear the flow.
    pub receivers: u32,
}

/// What a connection does in a run. One connection does both unless its server's protocol cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sends and hears.
    Both,
    /// Only hears.
    Hears,
    /// Only sends.
    Sends,
}

/// One connection of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Whose it is.
    pub user: usize,
    /// What it does.
    pub role: Role,
    /// Its conversations.
    pub talks: Vec<Talk>,
    /// What it sends.
    pub sends: Vec<Lane>,
    /// What it hears, in the order of flows.
    pub hears: Vec<Lane>,
}

/// How many groups, and who is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupShape {
    /// Groups.
    pub groups: usize,
    /// Members of each.
    pub members: usize,
    /// Members of each that are online.
    pub online: usize,
    /// Of those who are online, how many write.
    pub senders: usize,
}

/// All seats of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topology {
    /// In the order in which connections are opened.
    pub seats: Vec<Seat>,
    /// Kinds of flows, in their order; none where all are alike.
    pub kinds: Vec<Kind>,
}

/// Flows that are reported together: those from `first_flow` up to the next kind's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// For the report.
    pub name: &'static str,
    /// Number of its first flow.
    pub first_flow: u32,
    /// Turns of each of its flows in a round of the schedule; zero: nothing is sent.
    pub weight: u32,
}

impl Topology {
    /// A ring of `users`: user `i` writes to user `i + 1`. With `split`, each user has two
    /// connections, one that sends and one that hears.
    #[must_use]
    pub fn ring(users: usize, split: bool) -> Self {
        let lane = |flow: usize, slot| Lane { flow: flow as u32, slot, receivers: 1 };
        let mut seats = Vec::with_capacity(users * (1 + usize::from(split)));
        for user in 0..users {
            let before = (user + users - 1) % users;
            let to_next = Talk::Direct { me: user, with: (user + 1) % users };
            let from_previous = Talk::Direct { me: user, with: before };
            if split {
                let quiet = (Vec::new(), Vec::new());
                seats.push(Seat {
                    user,
                    role: Role::Sends,
                    talks: vec![to_next],
                    sends: vec![lane(user, 0)],
                    hears: quiet.0,
                });
                seats.push(Seat {
                    user,
                    role: Role::Hears,
                    talks: vec![from_previous],
                    sends: quiet.1,
                    hears: vec![lane(before, 0)],
                });
            } else {
                seats.push(Seat {
                    user,
                    role: Role::Both,
                    talks: vec![to_next, from_previous],
                    sends: vec![lane(user, 0)],
                    hears: vec![lane(before, 1)],
                });
            }
        }
        Self { seats, kinds: Vec::new() }
    }

    /// A ring of `users` in which those of `silent` only hear; in ascending order, and no two of
    /// them next to each other.
    #[must_use]
    pub fn ring_with_silent(users: usize, silent: &[usize]) -> Self {
        let speaks = |user: usize| silent.binary_search(&user).is_err();
        let mut flow = vec![0_u32; users];
        for (number, user) in (0..users).filter(|user| speaks(*user)).enumerate() {
            flow[user] = number as u32;
        }
        let lane = |user: usize, slot| Lane { flow: flow[user], slot, receivers: 1 };
        let seats = (0..users)
            .map(|user| {
                let before = (user + users - 1) % users;
                let to_next = Talk::Direct { me: user, with: (user + 1) % users };
                let from_previous = Talk::Direct { me: user, with: before };
                Seat {
                    user,
                    role: Role::Both,
                    talks: vec![to_next, from_previous],
                    sends: speaks(user).then(|| lane(user, 0)).into_iter().collect(),
                    hears: speaks(before).then(|| lane(before, 1)).into_iter().collect(),
                }
            })
            .collect();
        Self { seats, kinds: Vec::new() }
    }

    /// `senders` who write to `receivers` who are not there: users `0..receivers` have no seat,
    /// and each is written to by `talks` different senders, who come after them in the roster.
    /// Stream `r * talks + t` is the one that receiver `r` hears in its talk `t`.
    #[must_use]
    pub fn letters(receivers: usize, senders: usize, talks: usize) -> Self {
        let talks = talks.clamp(1, senders);
        let mut seats: Vec<Seat> = (0..senders)
            .map(|sender| Seat {
                user: receivers + sender,
                role: Role::Both,
                talks: Vec::new(),
                sends: Vec::new(),
                hears: Vec::new(),
            })
            .collect();
        for receiver in 0..receivers {
            for talk in 0..talks {
                let seat = &mut seats[(receiver + talk) % senders];
                let slot = seat.talks.len();
                let flow = (receiver * talks + talk) as u32;
                seat.talks.push(Talk::Direct { me: seat.user, with: receiver });
                seat.sends.push(Lane { flow, slot, receivers: 0 });
            }
        }
        Self { seats, kinds: Vec::new() }
    }

    /// A mesh of `users`: each writes in turn to the `fan` users after it, so that the run has
    /// `users * fan` conversations.
    #[must_use]
    pub fn mesh(users: usize, fan: usize) -> Self {
        let flow = |user: usize, step: usize| (user * fan + step - 1) as u32;
        let seats = (0..users)
            .map(|user| {
                let mut talks = Vec::with_capacity(2 * fan);
                let mut sends = Vec::with_capacity(fan);
                let mut hears = Vec::with_capacity(fan);
                for step in 1..=fan {
                    let slot = talks.len();
                    sends.push(Lane { flow: flow(user, step), slot, receivers: 1 });
                    talks.push(Talk::Direct { me: user, with: (user + step) % users });
                    let from = (user + users - step) % users;
                    let slot = talks.len();
                    hears.push(Lane { flow: flow(from, step), slot, receivers: 1 });
                    talks.push(Talk::Direct { me: user, with: from });
                }
                hears.sort_unstable_by_key(|lane| lane.flow);
                Seat { user, role: Role::Both, talks, sends, hears }
            })
            .collect();
        Self { seats, kinds: Vec::new() }
    }

    /// Groups whose members are next to each other in the roster. In each group the first
    /// `online` members have a seat; of these the first `senders` write, and all others hear them.
    #[must_use]
    pub fn groups(shape: GroupShape) -> Self {
        let GroupShape { groups, members, .. } = shape;
        let online = shape.online.clamp(1, members);
        let senders = shape.senders.clamp(1, online);
        let mut seats = Vec::with_capacity(groups * online);
        for group in 0..groups {
            let flow = |sender: usize| (group * senders + sender) as u32;
            let receivers = online.saturating_sub(1) as u32;
            for member in 0..online {
                let lane = |sender| Lane { flow: flow(sender), slot: 0, receivers };
                seats.push(Seat {
                    user: group * members + member,
                    role: Role::Both,
                    talks: vec![Talk::Group { group }],
                    sends: (member < senders).then(|| lane(member)).into_iter().collect(),
                    hears: (0..senders).filter(|sender| *sender != member).map(lane).collect(),
                });
            }
        }
        Self { seats, kinds: Vec::new() }
    }

    /// Flows of the run.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.seats.iter().map(|seat| seat.sends.len()).sum()
    }

    /// Users that the seats belong to.
    #[must_use]
    pub fn users(&self) -> usize {
        self.seats.iter().map(|seat| seat.user + 1).max().unwrap_or(0)
    }

    /// Which of the kinds a flow is of; zero where all are alike.
    #[must_use]
    pub fn kind_of(&self, flow: u32) -> usize {
        self.kinds.partition_point(|kind| kind.first_flow <= flow).saturating_sub(1)
    }

    fn weight_of(&self, flow: u32) -> u32 {
        self.kinds.get(self.kind_of(flow)).map_or(1, |kind| kind.weight)
    }

    /// The turns of a schedule over `seats` of this run, in an order that `seed` chooses: each
    /// flow as often as its kind says, as seat (its place in `seats`) and lane of the seat.
    #[must_use]
    pub fn turns(&self, seats: &[&Seat], seed: u64) -> Vec<(usize, usize)> {
        let mut turns = Vec::new();
        for (at, seat) in seats.iter().enumerate() {
            for (lane, sent) in seat.sends.iter().enumerate() {
                let key = seed ^ mix64((at as u64 + 1) << 20 ^ (lane as u64 + 1));
                let times = 0..u64::from(self.weight_of(sent.flow));
                turns.extend(times.map(|nth| (mix64(key ^ nth << 48), at, lane)));
            }
        }
        turns.sort_unstable();
        turns.into_iter().map(|(_, at, lane)| (at, lane)).collect()
    }

    /// The turns of all seats.
    #[must_use]
    pub fn turns_in_all(&self) -> usize {
        let lanes = self.seats.iter().flat_map(|seat| &seat.sends);
        lanes.map(|lane| self.weight_of(lane.flow) as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Every flow is sent once and heard as often as its lanes say, in slots that exist.
    pub(super) fn is_sound(topology: &Topology) {
        let mut heard: BTreeMap<u32, u32> = BTreeMap::new();
        let mut sent: BTreeMap<u32, u32> = BTreeMap::new();
        for seat in &topology.seats {
            assert!(seat.hears.is_sorted_by_key(|lane| lane.flow));
            for lane in seat.sends.iter().chain(&seat.hears) {
                assert!(lane.slot < seat.talks.len());
            }
            for lane in &seat.hears {
                *heard.entry(lane.flow).or_default() += 1;
            }
            for lane in seat.sends.iter().filter(|lane| lane.receivers > 0) {
                assert!(sent.insert(lane.flow, lane.receivers).is_none());
            }
        }
        assert_eq!(sent, heard);
        assert_eq!(sent.len(), topology.flows());
        assert!(sent.keys().copied().eq(0..sent.len() as u32));
    }

    fn groups(groups: usize, members: usize, online: usize, senders: usize) -> GroupShape {
        GroupShape { groups, members, online, senders }
    }

    #[test]
    fn every_stream_has_one_sender_and_its_receivers() {
        for topology in [
            Topology::ring(3, false),
            Topology::ring(5, true),
            Topology::mesh(7, 3),
            Topology::ring_with_silent(7, &[0, 3]),
            Topology::groups(groups(2, 5, 5, 2)),
            Topology::groups(groups(1, 3, 3, 9)),
            Topology::groups(groups(3, 50, 4, 2)),
        ] {
            is_sound(&topology);
        }
        assert_eq!(Topology::mesh(7, 3).flows(), 21);
        assert_eq!(Topology::groups(groups(2, 5, 5, 2)).users(), 10);
        let few = Topology::groups(groups(3, 50, 4, 2));
        assert_eq!((few.seats.len(), few.flows(), few.seats[4].user), (12, 6, 50));
    }

    #[test]
    fn letters_come_from_different_senders() {
        let letters = Topology::letters(5, 3, 2);
        assert_eq!((letters.flows(), letters.users()), (10, 8));
        for receiver in 0..5 {
            let senders: Vec<usize> = letters
                .seats
                .iter()
                .filter(|seat| seat.sends.iter().any(|lane| lane.flow as usize / 2 == receiver))
                .map(|seat| seat.user)
                .collect();
            assert_eq!(senders.len(), 2, "receiver {receiver}");
        }
    }

    #[test]
    fn each_stream_has_one_turn() {
        let ring = Topology::mesh(5, 2);
        let seats: Vec<&Seat> = ring.seats.iter().collect();
        let mut turns = ring.turns(&seats, 3);
        assert_ne!(turns, ring.turns(&seats, 4));
        assert_eq!(ring.turns_in_all(), 10);
        turns.sort_unstable();
        turns.dedup();
        assert_eq!(turns.len(), 10);
    }
}
