//! People who write to each other, in small groups and in large ones, all at once.

use serde::{Deserialize, Serialize};

use crate::engine::topology::{Kind, Lane, Seat, Talk, Topology};

/// Who is with whom, and how many of the sends go where. Everybody is in one small and in one
/// large group, and writes to `fan` people.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MixedShape {
    /// A multiple of `small` and of `large`.
    pub people: usize,
    /// People that each writes to directly.
    pub fan: usize,
    /// Members of a small group.
    pub small: usize,
    /// Members of a large group.
    pub large: usize,
    /// Per cent of the sends that go to one person.
    pub direct_percent: f64,
    /// Per cent that go into small groups.
    pub small_percent: f64,
    /// Per cent that go into large groups.
    pub large_percent: f64,
}

impl MixedShape {
    /// Members of each group, small ones first: small groups are neighbours in the roster, large
    /// ones are spread over it.
    #[must_use]
    pub fn members(&self) -> Vec<Vec<usize>> {
        let small = (0..self.people / self.small)
            .map(|group| (group * self.small..(group + 1) * self.small).collect());
        let apart = self.people / self.large;
        let large = (0..apart).map(|group| (group..self.people).step_by(apart).collect());
        small.chain(large).collect()
    }

    /// Turns of one flow in a round, in proportion to what is sent in its kind.
    fn weight(percent: f64, streams_per_person: usize) -> u32 {
        let weight = (percent / streams_per_person as f64).round();
        if percent > 0.0 { (weight as u32).max(1) } else { 0 }
    }

    fn kinds(&self) -> Vec<Kind> {
        let small = self.people * self.fan;
        vec![
            Kind {
                name: "direct",
                first_flow: 0,
                weight: Self::weight(self.direct_percent, self.fan),
            },
            Kind {
                name: "small groups",
                first_flow: small as u32,
                weight: Self::weight(self.small_percent, 1),
            },
            Kind {
                name: "large groups",
                first_flow: (small + self.people) as u32,
                weight: Self::weight(self.large_percent, 1),
            },
        ]
    }
}

impl Topology {
    /// The people and groups of `shape`.
    #[must_use]
    pub fn mixed(shape: &MixedShape) -> Self {
        let mut topology = Self::mesh(shape.people, shape.fan);
        topology.kinds = shape.kinds();
        let small_groups = shape.people / shape.small;
        for (group, members) in shape.members().iter().enumerate() {
            let kind = if group < small_groups { 1 } else { 2 };
            let first = topology.kinds[kind].first_flow;
            topology.add_group(group, members, first);
        }
        topology
    }

    /// Everybody in `members` writes into the group and hears the others; the flow of user `u`
    /// is `first + u`. Groups come in the order of their flows.
    fn add_group(&mut self, group: usize, members: &[usize], first: u32) {
        for user in members {
            let seat = &mut self.seats[*user];
            let slot = seat.talks.len();
            let receivers = members.len() as u32 - 1;
            let lane = |user: usize| Lane { flow: first + user as u32, slot, receivers };
            seat.talks.push(Talk::Group { group });
            seat.sends.push(lane(*user));
            seat.hears
                .extend(members.iter().filter(|other| *other != user).map(|user| lane(*user)));
        }
    }

    /// The people that a seat talks to directly, each once.
    #[must_use]
    pub fn peers_of(seat: &Seat) -> Vec<usize> {
        let mut peers: Vec<usize> = seat
            .talks
            .iter()
            .filter_map(|talk| match talk {
                Talk::Direct { with, .. } => Some(*with),
                Talk::Group { .. } => None,
            })
            .collect();
        peers.sort_unstable();
        peers.dedup();
        peers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::topology::tests::is_sound;

    fn shape() -> MixedShape {
        MixedShape {
            people: 12,
            fan: 2,
            small: 3,
            large: 6,
            direct_percent: 70.0,
            small_percent: 25.0,
            large_percent: 5.0,
        }
    }

    #[test]
    fn everybody_is_in_one_group_of_each_size() {
        let groups = shape().members();
        assert_eq!(groups.len(), 4 + 2);
        for kind in [&groups[..4], &groups[4..]] {
            let mut everybody: Vec<usize> = kind.iter().flatten().copied().collect();
            everybody.sort_unstable();
            assert_eq!(everybody, (0..12).collect::<Vec<_>>());
        }
    }

    #[test]
    fn sends_go_where_the_shape_says() {
        let topology = Topology::mixed(&shape());
        is_sound(&topology);
        assert_eq!(topology.flows(), 12 * (2 + 1 + 1));
        let seats: Vec<&Seat> = topology.seats.iter().collect();
        let turns = topology.turns(&seats, 3);
        assert_eq!(turns.len(), topology.turns_in_all());
        let mut counts = [0; 3];
        for (seat, lane) in turns {
            let lane = topology.seats[seat].sends[lane];
            counts[topology.kind_of(lane.flow)] += 1;
        }
        assert_eq!(counts, [12 * 70, 12 * 25, 12 * 5]);
        let silent = MixedShape { large_percent: 0.0, ..shape() };
        assert_eq!(Topology::mixed(&silent).turns_in_all(), 12 * 95);
    }

    #[test]
    fn peers_are_those_of_direct_talks() {
        let topology = Topology::mixed(&shape());
        assert_eq!(Topology::peers_of(&topology.seats[0]), [1, 2, 10, 11]);
    }
}
