//! Everything that can go wrong, in any order, against the model: nothing
//! that was shown as sending is lost, nothing is doubled, order holds, and
//! unread is what the server says.

use std::collections::BTreeSet;

use hongyan_client_core::{Body, ErrorCode, Event, Opcode, SendUpdate, Status, pb};
use proptest::prelude::*;
use prost::Message as _;

use crate::server::{ME, PEER, direct, error};
use crate::world::World;

#[derive(Debug, Clone, Copy)]
enum Step {
    AnswersLost,
    Cut,
    LostPush,
    MarkRead(u64),
    MissMany,
    PeerReads,
    PeerSays,
    PowerCut,
    PushAgain(u64),
    RefuseForNow,
    Restart,
    Run,
    Say,
    SayElsewhere,
    SayMany,
    Slow(u64),
    SyncNeeded,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::AnswersLost),
        1 => Just(Step::Cut),
        2 => Just(Step::LostPush),
        2 => (1_u64..40).prop_map(Step::MarkRead),
        1 => Just(Step::MissMany),
        1 => Just(Step::PeerReads),
        4 => Just(Step::PeerSays),
        1 => Just(Step::PowerCut),
        2 => (1_u64..40).prop_map(Step::PushAgain),
        1 => Just(Step::RefuseForNow),
        1 => Just(Step::Restart),
        4 => Just(Step::Run),
        5 => Just(Step::Say),
        1 => Just(Step::SayElsewhere),
        1 => Just(Step::SayMany),
        3 => (1_u64..20_000).prop_map(Step::Slow),
        1 => Just(Step::SyncNeeded),
    ]
}

struct Run {
    world: World,
    said: usize,
    refused: bool,
    restarted: bool,
    power_cut: bool,
    /// What the app was told is on its way.
    promised: Vec<String>,
    ids: Vec<(hongyan_client_core::ClientMsgId, String)>,
}

impl Run {
    fn new() -> Self {
        let mut world = World::live();
        // A sync leaves out what is more than this.
        world.server.too_old_after = 50;
        // The conversation is known on this device, so that nothing in it
        // counts as seen on another one.
        world.server.say(direct(), PEER, "theirs", true);
        world.run();
        Self {
            world,
            said: 0,
            refused: false,
            restarted: false,
            power_cut: false,
            promised: Vec::new(),
            ids: Vec::new(),
        }
    }

    fn say(&mut self) {
        self.said += 1;
        let text = format!("mine {}", self.said);
        let id = self.world.send(direct(), &text);
        self.ids.push((id, text));
    }

    fn apply(&mut self, step: Step) {
        let world = &mut self.world;
        match step {
            Step::AnswersLost => {
                world.settle();
                world.deliver_to_server();
                world.cut();
            }
            Step::Cut => world.cut(),
            Step::LostPush => {
                world.server.say(direct(), PEER, "theirs", false);
            }
            Step::MarkRead(seq) => world.core.mark_read(direct(), seq),
            Step::MissMany => {
                world.cut();
                for _ in 0..260 {
                    world.server.say(direct(), PEER, "theirs", false);
                }
            }
            Step::PeerReads => {
                let last = world.server.conversation(direct()).last_seq();
                world.server.peer_moves(direct(), last, last);
            }
            Step::PeerSays => {
                world.server.say(direct(), PEER, "theirs", true);
            }
            Step::PowerCut => {
                self.restarted = true;
                self.power_cut = true;
                self.note_promises();
                self.world.restart(true);
            }
            Step::PushAgain(seq) => {
                if seq <= world.server.conversation(direct()).last_seq() {
                    world.server.push_message(direct(), seq);
                }
            }
            Step::RefuseForNow => {
                self.refused = true;
                let busy = error(ErrorCode::Busy, 700);
                self.world.server.refusals.push_back((Opcode::Send, busy));
            }
            Step::Restart => {
                self.restarted = true;
                self.note_promises();
                self.world.restart(false);
            }
            Step::Run => world.run(),
            Step::Say => self.say(),
            Step::SayElsewhere => {
                world.server.say(direct(), ME, "mine, elsewhere", true);
            }
            Step::SayMany => (0..70).for_each(|_| self.say()),
            Step::Slow(ms) => world.pass(ms),
            Step::SyncNeeded => {
                world.server.push(Opcode::SyncNeeded, &pb::SyncNeeded {});
            }
        }
    }

    /// Remembers what the app has been told so far.
    fn note_promises(&mut self) {
        let sending: BTreeSet<_> = self
            .world
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Send { client_msg_id, update: SendUpdate::Sending, .. } => {
                    Some(*client_msg_id)
                }
                _ => None,
            })
            .collect();
        self.promised = self
            .ids
            .iter()
            .filter(|(id, _)| sending.contains(id))
            .map(|(_, text)| text.clone())
            .collect();
    }

    fn check(mut self) {
        self.world.settle();
        self.note_promises();
        self.world.server.refusals.clear();
        // Long enough for every back-off, grace and retry.
        self.world.pass(200_000);
        let world = &mut self.world;
        // The server owes this where it dropped pushes.
        world.server.push(Opcode::SyncNeeded, &pb::SyncNeeded {});
        world.pass(10_000);
        assert_eq!(world.core.status(), Status::Live);
        assert_eq!(world.core.outbox_len(), 0, "every result is definite");
        let model = &world.server.conversations.get(&direct());
        let model = model.map(|model| (model.messages.clone(), model.unread()));
        let (messages, unread) = model.unwrap_or_default();
        let stored: Vec<_> = messages
            .iter()
            .filter(|message| message.sender == ME)
            .filter_map(|message| pb::Body::decode(message.body.clone()).ok())
            .filter_map(|body| Body::from_wire(Some(body)).text().map(str::to_owned))
            .filter(|text| text != "mine, elsewhere")
            .collect();
        let unique: BTreeSet<_> = stored.iter().collect();
        assert_eq!(unique.len(), stored.len(), "nothing is doubled");
        assert!(self.promised.iter().all(|text| unique.contains(text)), "nothing is lost");
        if !self.refused {
            let number = |text: &String| text["mine ".len()..].parse::<usize>().expect("a number");
            assert!(stored.is_sorted_by_key(number), "order holds: {stored:?}");
        }
        let view = world.core.timeline(direct());
        assert!(!view.catching_up);
        assert!(view.pending.is_empty());
        let seqs: Vec<_> = view.messages.iter().map(|message| message.seq).collect();
        assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "no gap: {seqs:?}");
        assert_eq!(seqs.last().copied().unwrap_or(0), messages.len() as u64);
        for message in &view.messages {
            assert_eq!(message.encoded_body(), messages[message.seq as usize - 1].body);
        }
        let state = world.core.conversation(direct());
        assert_eq!(state.map_or(0, |state| state.unread), unread, "unread is the server's");
        let told: Vec<_> = world
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Message(message) => Some(message.seq),
                _ => None,
            })
            .collect();
        if !self.restarted {
            assert!(told.is_sorted_by(|a, b| a < b), "each is told once, in order: {told:?}");
        }
        let told: BTreeSet<_> = told.into_iter().collect();
        let of_others = messages.iter().filter(|message| message.sender != ME);
        let untold: Vec<_> = of_others.map(|m| m.seq).filter(|seq| !told.contains(seq)).collect();
        assert!(self.power_cut || untold.is_empty(), "others said, and nobody told: {untold:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_or_doubled_whatever_happens(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut run = Run::new();
        for step in steps {
            run.apply(step);
        }
        run.check();
    }
}

#[test]
fn a_message_refused_twice_is_not_doubled_by_those_that_passed_it() {
    use Step::{AnswersLost, PeerSays, PowerCut, RefuseForNow, Run as Go, Say, SayMany, Slow};
    let mut run = Run::new();
    for step in [
        Say,
        AnswersLost,
        PeerSays,
        RefuseForNow,
        SayMany,
        Slow(274),
        PowerCut,
        Go,
        RefuseForNow,
        PowerCut,
        SayMany,
        Go,
    ] {
        run.apply(step);
    }
    run.check();
}
