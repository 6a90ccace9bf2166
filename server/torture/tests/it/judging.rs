//! What the judge finds.

use hongyan_client::AckLevel;
use hongyan_torture::fault::Fault;
use hongyan_torture::judge::Survived;
use hongyan_torture::letter::{Size, id_of};
use hongyan_torture::reading::View;
use hongyan_torture::resend::newest_acked;

use crate::stage::{LETTERS, Stage, ack, direct, group, letter, pushed, user};

/// Spoils a sound stage; what must be found is the first fault that fits.
fn finds(spoil: impl FnOnce(&mut Stage), wanted: impl Fn(&Fault) -> bool) {
    let mut stage = Stage::sound();
    spoil(&mut stage);
    let faults = stage.faults(Survived::Kill);
    assert!(faults.iter().any(wanted), "not found; found: {faults:#?}");
}

#[test]
fn a_sound_server_has_no_faults() {
    let mut stage = Stage::sound();
    assert_eq!(stage.faults(Survived::Kill), []);
    assert_eq!(stage.faults(Survived::Kill), [], "nor when it is looked at again");
    assert_eq!(Stage::sound().faults(Survived::PowerCut), []);
}

#[test]
fn an_acked_message_that_is_gone_from_the_end_is_lost() {
    // The last message was not acknowledged: it may go, the one before not.
    let cut = |stage: &mut Stage, last: u64| {
        stage.everywhere(|shown| {
            shown.messages.truncate(last as usize);
            shown.last_seq = last;
        });
        for person in 0..2 {
            let listed = stage.listed(person, direct());
            listed.last_seq = last;
            listed.last_message = 100 + last;
            listed.unread = 0;
        }
    };
    finds(|stage| cut(stage, 4), |fault| matches!(fault, Fault::Lost { seq: 5, .. }));
    let mut stage = Stage::sound();
    cut(&mut stage, 4);
    let faults = stage.faults(Survived::PowerCut);
    assert!(
        !faults.iter().any(|fault| matches!(fault, Fault::Lost { .. })),
        "what was only written may be lost in a power cut: {faults:#?}"
    );
    let mut stage = Stage::sound();
    cut(&mut stage, 3);
    let faults = stage.faults(Survived::PowerCut);
    assert!(faults.iter().any(|fault| matches!(fault, Fault::Lost { seq: 4, .. })));
}

#[test]
fn a_hole_is_found() {
    finds(
        |stage| {
            stage.shown(1, direct()).messages.remove(2);
        },
        |fault| matches!(fault, Fault::NotDense { expected: 3, found: Some(4), .. }),
    );
}

#[test]
fn an_end_that_is_not_shown_is_found() {
    finds(
        |stage| {
            stage.shown(1, direct()).messages.pop();
        },
        |fault| matches!(fault, Fault::NotDense { expected: LETTERS, found: None, .. }),
    );
}

#[test]
fn a_server_that_forgets_what_it_showed_is_found() {
    let mut stage = Stage::sound();
    assert_eq!(stage.faults(Survived::Kill), []);
    stage.everywhere(|shown| {
        shown.messages.pop();
        shown.last_seq -= 1;
    });
    let faults = stage.faults(Survived::Kill);
    assert!(faults.iter().any(|fault| matches!(fault, Fault::NotDense { found: None, .. })));
}

#[test]
fn a_duplicate_is_found() {
    finds(
        |stage| {
            stage.everywhere(|shown| {
                let mut twice = shown.messages[1].1;
                twice.message_id = 999;
                shown.messages.push((LETTERS + 1, twice));
                shown.last_seq = LETTERS + 1;
            });
        },
        |fault| matches!(fault, Fault::Duplicate { seqs, .. } if *seqs == (2, LETTERS + 1)),
    );
}

#[test]
fn two_orders_are_found() {
    finds(
        |stage| {
            let messages = &mut stage.shown(1, direct()).messages;
            let (second, third) = (messages[1].1, messages[2].1);
            (messages[1].1, messages[2].1) = (third, second);
        },
        |fault| matches!(fault, Fault::Different { seq: 2, .. }),
    );
}

#[test]
fn one_order_that_is_not_the_acked_one_is_found() {
    finds(
        |stage| {
            stage.everywhere(|shown| {
                let (second, third) = (shown.messages[1].1, shown.messages[2].1);
                (shown.messages[1].1, shown.messages[2].1) = (third, second);
            });
        },
        |fault| matches!(fault, Fault::Lost { seq: 2, .. }),
    );
}

#[test]
fn another_body_and_another_sender_are_found() {
    finds(
        |stage| stage.everywhere(|shown| shown.messages[1].1.body ^= 1),
        |fault| matches!(fault, Fault::Foreign { seq: 2, .. }),
    );
    finds(
        |stage| stage.everywhere(|shown| shown.messages[1].1.sender = user(2).get()),
        |fault| matches!(fault, Fault::Foreign { seq: 2, .. }),
    );
}

#[test]
fn a_message_that_nobody_sent_is_found() {
    finds(
        |stage| {
            stage.everywhere(|shown| {
                shown.messages[LETTERS as usize - 1].1.id = Some(id_of(9, 9, 9, Size::Usual));
            });
        },
        |fault| matches!(fault, Fault::Foreign { seq: LETTERS, .. }),
    );
}

#[test]
fn a_push_of_what_is_not_there_is_found() {
    finds(
        |stage| stage.journal.seen("device-1a", &pushed(LETTERS + 3)),
        |fault| matches!(fault, Fault::Unseen { .. }),
    );
    finds(
        |stage| {
            let mut other = pushed(3);
            other.message_id = 1;
            stage.journal.seen("device-1a", &other);
        },
        |fault| matches!(fault, Fault::Different { seq: 3, .. }),
    );
}

#[test]
fn acks_that_change_or_are_too_weak_are_found() {
    finds(
        |stage| stage.journal.acked(letter(2), ack(3, AckLevel::Durable)),
        |fault| matches!(fault, Fault::AckChanged { .. }),
    );
    finds(
        |stage| stage.journal.acked(letter(6), ack(6, AckLevel::Written)),
        |fault| matches!(fault, Fault::AckTooWeak { .. }),
    );
}

#[test]
fn wrong_unread_is_found_and_an_unheard_read_is_a_range() {
    for (read_seq, unread, right) in
        [(2, 1, true), (4, 1, true), (3, 2, false), (3, 0, false), (1, 1, false), (5, 1, false)]
    {
        let mut stage = Stage::sound();
        let listed = stage.listed(1, direct());
        (listed.read_seq, listed.unread) = (read_seq, unread);
        let faults = stage.faults(Survived::Kill);
        assert_eq!(faults.is_empty(), right, "{read_seq} {unread}: {faults:#?}");
    }
    // Whoever joined later has not missed what came before.
    finds(
        |stage| stage.listed(2, group()).unread = 3,
        |fault| matches!(fault, Fault::Unread { found: 3, expected: (2, 2), .. }),
    );
}

#[test]
fn a_list_that_lacks_one_or_has_one_twice_is_found() {
    finds(
        |stage| {
            stage.views[1].list.remove(&group());
        },
        |fault| matches!(fault, Fault::List { .. }),
    );
    finds(
        |stage| stage.views[1].listed_twice.push(group()),
        |fault| matches!(fault, Fault::List { .. }),
    );
    finds(
        |stage| {
            let listed = *stage.listed(0, direct());
            stage.views[2].list.insert(direct(), listed);
        },
        |fault| matches!(fault, Fault::List { .. }),
    );
    finds(
        |stage| stage.listed(2, group()).gone = true,
        |fault| matches!(fault, Fault::List { .. }),
    );
    finds(
        |stage| stage.listed(2, group()).first_seq = 1,
        |fault| matches!(fault, Fault::List { .. }),
    );
}

#[test]
fn a_server_that_shows_nothing_is_found() {
    finds(
        |stage| {
            for view in &mut stage.views {
                *view =
                    View { person: view.person, viewer: view.viewer.clone(), ..View::default() };
            }
        },
        |fault| matches!(fault, Fault::Lost { seq: 1, .. }),
    );
}

#[test]
fn what_a_client_objects_to_is_a_fault() {
    finds(
        |stage| stage.journal.object("device-0a", "signed out"),
        |fault| matches!(fault, Fault::Client { .. }),
    );
}

#[test]
fn the_newest_acked_messages_are_sent_again() {
    let stage = Stage::sound();
    let chosen = newest_acked(&stage.journal.known());
    let seqs = |person| -> Vec<u64> {
        chosen.iter().filter(|(by, ..)| *by == person).map(|(.., ack)| ack.seq).collect()
    };
    assert_eq!(seqs(0), [4, 2], "the sixth was not acknowledged");
    assert_eq!(seqs(1), [5, 3, 1]);
}
