//! The timeline alone, against a set of seqs.

use std::collections::BTreeSet;
use std::sync::Arc;

use hongyan_client_core::timeline::{Inserted, Timeline};
use hongyan_client_core::{Body, Message};
use proptest::prelude::*;

use crate::server::direct;

fn message(seq: u64) -> Arc<Message> {
    Arc::new(Message {
        conversation: direct(),
        seq,
        message_id: seq,
        sender: None,
        time_ms: seq,
        client_msg_id: None,
        body: Body::from("x"),
        newer_body: None,
    })
}

fn check(timeline: &Timeline) {
    let held: Vec<_> = timeline.messages().map(|message| message.seq).collect();
    assert!(held.is_sorted());
    for seq in timeline.lo()..=timeline.held_seq() {
        assert!(timeline.message(seq).is_some(), "{seq} is held");
    }
    assert!(held.first().is_none_or(|lowest| *lowest >= timeline.lo()));
    assert!(timeline.message(timeline.held_seq() + 1).is_none());
    assert!(timeline.held_seq() <= timeline.last_seq());
    assert_eq!(timeline.gap().is_some(), timeline.held_seq() < timeline.last_seq());
}

proptest! {
    #[test]
    fn any_order_with_any_repetition_ends_the_same(
        mut seqs in prop::collection::vec(1_u64..60, 1..200),
    ) {
        let mut timeline = Timeline::starting_at(1);
        let mut model = BTreeSet::new();
        for seq in &seqs {
            let inserted = timeline.insert(message(*seq));
            prop_assert_eq!(inserted == Inserted::New, model.insert(*seq));
            check(&timeline);
        }
        let held: Vec<_> = timeline.messages().map(|message| message.seq).collect();
        seqs.sort_unstable();
        seqs.dedup();
        prop_assert_eq!(held, seqs);
        // Filling each gap that it names ends with none.
        while let Some((from, to)) = timeline.gap() {
            prop_assert!(from <= to);
            for seq in from..=to {
                prop_assert!(!model.contains(&seq), "only what is missing is asked for");
                timeline.insert(message(seq));
            }
        }
        check(&timeline);
        let last = *model.last().expect("there is one");
        prop_assert_eq!((timeline.held_seq(), timeline.len() as u64), (last, last));
    }

    #[test]
    fn any_steps_keep_the_invariants(
        steps in prop::collection::vec((0_u8..6, 1_u64..80), 1..120),
        start in 1_u64..40,
    ) {
        let mut timeline = Timeline::starting_at(start);
        for (step, seq) in steps {
            match step {
                0 | 1 => {
                    if seq >= timeline.lo() {
                        timeline.insert(message(seq));
                    }
                }
                2 => {
                    let page: Vec<_> = (seq..timeline.lo()).map(message).collect();
                    let joined = timeline.prepend(&page);
                    prop_assert_eq!(joined, page.len());
                }
                3 => timeline.rebase(seq),
                4 => timeline.rewind(seq),
                _ => {
                    timeline.trim(seq as usize);
                }
            }
            check(&timeline);
        }
    }

    #[test]
    fn a_page_that_does_not_join_is_left_out(from in 1_u64..20, missing in 1_u64..5) {
        let mut timeline = Timeline::starting_at(50);
        let page: Vec<_> = (from..50 - missing).map(message).collect();
        prop_assert_eq!(timeline.prepend(&page), 0);
        check(&timeline);
    }
}
