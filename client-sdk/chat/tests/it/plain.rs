//! Plain mode: the same model, told in lines.

use std::sync::Arc;

use hongyan_chat::io::{Command, Input, Outcome};
use hongyan_chat::plain::Printer;
use hongyan_client::{Body, ClientError, ErrorCode, Message, SendState, Status, TimelineView, pb};

use crate::world::{NOW_MS, World, direct, group, pending, profile, said, view};

struct Plain {
    world: World,
    printer: Printer,
}

impl Plain {
    fn live() -> Self {
        let mut plain = Self { world: World::live(true), printer: Printer::default() };
        plain.lines();
        plain
    }

    fn put(&mut self, input: Input) -> Vec<String> {
        self.printer.note(&self.world.model, &input);
        self.world.put(input);
        self.lines()
    }

    fn lines(&mut self) -> Vec<String> {
        let lines = self.printer.lines(&mut self.world.model);
        let strip = |line: String| line.trim_start_matches("10:00:00 ").to_owned();
        lines.into_iter().map(strip).collect()
    }

    fn open(&mut self, view: TimelineView) -> Vec<String> {
        let conversation = view.conversation;
        let peer = None;
        let mut lines = self.put(Input::Done(Outcome::Started { conversation, peer }));
        lines.extend(self.put(Input::Timeline(Arc::new(view))));
        lines
    }
}

fn line(text: &str) -> Input {
    Input::Line(text.into())
}

#[test]
fn lines_are_commands_or_text() {
    let mut plain = Plain::live();
    let told = plain.put(line("too early"));
    assert_eq!(told, ["! no conversation is open: /chat NAME opens one"]);
    plain.put(line("/chat dora"));
    assert_eq!(plain.world.take(), [Command::StartChat("dora".into())]);
    plain.open(view(direct(2), vec![]));
    plain.world.take();
    plain.put(line("hello"));
    plain.put(line("   "));
    plain.put(line("//slash"));
    let send = |text: &str| Command::Send { conversation: direct(2), text: text.into() };
    assert_eq!(plain.world.take(), [send("hello"), send("/slash")]);
    let told = plain.put(line("/nope"));
    assert_eq!(told, ["! there is no command /nope; /help lists them"]);
    plain.put(line("/quit"));
    assert_eq!(plain.world.take(), [Command::Quit]);
}

#[test]
fn an_own_message_is_told_once_and_then_how_far_it_got() {
    let mut plain = Plain::live();
    plain.open(view(direct(2), vec![]));
    let mut way = view(direct(2), vec![]);
    way.pending = vec![pending(1, "hello", SendState::Sending)];
    assert_eq!(plain.put(Input::Timeline(Arc::new(way))), ["you: hello"]);
    let stored = view(direct(2), vec![said(direct(2), 1, 1, "hello")]);
    let told = plain.put(Input::Timeline(Arc::new(stored.clone())));
    assert_eq!(told, ["  ✓ on disk: hello"]);
    let delivered = TimelineView { peer_delivered_seq: 1, ..stored.clone() };
    let told = plain.put(Input::Timeline(Arc::new(delivered)));
    assert_eq!(told, ["  ✓✓ delivered: hello"]);
    let read = TimelineView { peer_read_seq: 1, ..stored };
    let told = plain.put(Input::Timeline(Arc::new(read.clone())));
    assert_eq!(told, ["  ✓✓✓ read: hello"]);
    assert!(plain.put(Input::Timeline(Arc::new(read))).is_empty());
}

#[test]
fn a_refused_message_says_so() {
    let mut plain = Plain::live();
    plain.open(view(direct(2), vec![]));
    let error = ClientError::Refused {
        code: ErrorCode::NotMember.number(),
        message: String::new(),
        retry_after_ms: 0,
    };
    let mut refused = view(direct(2), vec![]);
    refused.pending = vec![pending(1, "hello", SendState::Failed { error })];
    let told = plain.put(Input::Timeline(Arc::new(refused)));
    assert_eq!(told, ["you: hello", "  ! not sent: hello"]);
}

#[test]
fn opening_tells_the_last_ten_messages_and_new_ones_once() {
    let mut plain = Plain::live();
    let messages: Vec<Message> =
        (1..=12).map(|seq| said(direct(2), seq, 2, &format!("line {seq}"))).collect();
    let told = plain.open(view(direct(2), messages.clone()));
    assert_eq!(told.len(), 11);
    assert_eq!(told[0], "* chat with bob");
    assert_eq!(told[1], "bob: line 3");
    let new = said(direct(2), 13, 2, "two\nlines");
    let told = plain.put(Input::Message(Arc::new(new.clone())));
    assert_eq!(told, ["bob: two\n         | lines"]);
    let mut more = messages;
    more.push(new);
    assert!(plain.put(Input::Timeline(Arc::new(view(direct(2), more)))).is_empty());
}

#[test]
fn what_was_missed_is_told_although_the_timeline_starts_above_it() {
    let mut plain = Plain::live();
    plain.open(view(direct(2), vec![said(direct(2), 1, 2, "before")]));
    let newest = vec![said(direct(2), 5, 2, "five"), said(direct(2), 6, 1, "mine")];
    let shown = Input::Timeline(Arc::new(view(direct(2), newest.clone())));
    assert_eq!(plain.put(shown), ["you: mine"]);
    let skipped = Input::Skipped { conversation: direct(2), from_seq: 2, to_seq: 3 };
    assert_eq!(plain.put(skipped), ["* not told: messages 2 to 3 of bob"]);
    let four = said(direct(2), 4, 2, "four");
    assert_eq!(plain.put(Input::Message(Arc::new(four))), ["bob: four"]);
    let told: Vec<_> =
        newest.into_iter().flat_map(|it| plain.put(Input::Message(Arc::new(it)))).collect();
    assert_eq!(told, ["bob: five"]);
}

#[test]
fn events_that_were_lost_are_made_good_from_the_timeline() {
    let mut plain = Plain::live();
    plain.open(view(direct(2), vec![said(direct(2), 1, 2, "before")]));
    let newest = vec![said(direct(2), 1, 2, "before"), said(direct(2), 2, 2, "two")];
    assert!(plain.put(Input::Timeline(Arc::new(view(direct(2), newest)))).is_empty());
    let told = plain.put(Input::EventsLost(7));
    assert_eq!(told, ["* too much happened at once: some of it is not told", "bob: two"]);
    let two = said(direct(2), 2, 2, "two");
    assert!(plain.put(Input::Message(Arc::new(two))).is_empty());
}

#[test]
fn messages_elsewhere_wait_for_a_name() {
    let mut plain = Plain::live();
    let known = Arc::new(said(direct(2), 4, 2, "psst"));
    assert_eq!(plain.put(Input::Message(Arc::clone(&known))), ["bob: psst"]);
    let stranger = Arc::new(said(group(), 1, 8, "who am I?"));
    assert!(plain.put(Input::Message(stranger)).is_empty());
    let told = plain.put(Input::Done(Outcome::Profiles(vec![profile(8, "eve")])));
    assert_eq!(told, ["[weekend] eve: who am I?"]);
    let nobody = Arc::new(said(group(), 2, 9, "and me?"));
    assert!(plain.put(Input::Message(nobody)).is_empty());
    let told = plain.put(Input::Tick(NOW_MS + 3_000));
    assert_eq!(told, ["10:00:03 [weekend] #9: and me?"]);
}

#[test]
fn a_group_that_was_made_just_now_is_told_by_its_name() {
    let mut plain = Plain::live();
    let list = plain.world.model.list.clone();
    let unnamed = list.iter().filter(|state| state.id != group()).cloned().collect();
    plain.put(Input::Conversations(Arc::new(unnamed)));
    let event = pb::GroupEvent {
        kind: pb::group_event::Kind::Created.into(),
        actor: 2,
        users: vec![1, 8],
        user_count: 2,
        name: "weekend".into(),
        role: 0,
    };
    let made = Message { body: Body::Event(event), ..said(group(), 1, 2, "") };
    assert!(plain.put(Input::Message(Arc::new(made))).is_empty());
    assert!(plain.put(Input::Conversations(list)).is_empty());
    let told = plain.put(Input::Done(Outcome::Profiles(vec![profile(8, "eve")])));
    assert_eq!(told, ["[weekend] * bob made the group weekend with alice, eve"]);
}

#[test]
fn the_connection_is_told_when_it_changes_not_when_it_counts_down() {
    let mut plain = Plain::live();
    let error = ClientError::Connect("Connection refused".into());
    assert!(plain.put(Input::Disconnected(error)).is_empty());
    let waiting = |until_ms| Input::Status(Status::WaitingToReconnect { until_ms });
    let told = plain.put(waiting(NOW_MS + 900));
    assert_eq!(
        told,
        ["* offline, reconnecting in 1 s: cannot reach the server: Connection refused"]
    );
    assert!(plain.put(waiting(NOW_MS + 5_000)).is_empty());
    // Another attempt for the same reason is not told, one for another is.
    assert!(plain.put(Input::Status(Status::Connecting)).is_empty());
    assert!(plain.put(waiting(NOW_MS + 2_000)).is_empty());
    assert!(plain.put(Input::Status(Status::Connecting)).is_empty());
    assert!(plain.put(Input::Disconnected(ClientError::NotHongyan)).is_empty());
    let told = plain.put(waiting(NOW_MS + 4_000));
    assert_eq!(
        told,
        ["* offline, reconnecting in 4 s: what answers there is not a Hongyan server"]
    );
    let told = plain.put(Input::Status(Status::Live));
    assert_eq!(told, ["* live, signed in as alice at 127.0.0.1:5100"]);
    // What happened before it was live is not held against it.
    plain.put(Input::Disconnected(ClientError::NotHongyan));
    assert_eq!(plain.put(waiting(NOW_MS + 1_000)).len(), 1);
}

#[test]
fn a_reason_that_is_a_moment_late_is_waited_for() {
    let waiting = |until_ms| Input::Status(Status::WaitingToReconnect { until_ms });
    let mut plain = Plain::live();
    assert!(plain.put(waiting(NOW_MS + 900)).is_empty());
    let told = plain.put(Input::Disconnected(ClientError::TimedOut));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("offline, reconnecting in 1 s: the connection broke"), "{told:?}");
    // One that never comes holds nothing up.
    let mut plain = Plain::live();
    assert!(plain.put(waiting(NOW_MS + 900)).is_empty());
    let told = plain.put(Input::Tick(NOW_MS + 250));
    assert_eq!(told, ["* offline, reconnecting in 1 s"]);
    assert!(plain.put(Input::Tick(NOW_MS + 500)).is_empty());
}

#[test]
fn why_nobody_can_sign_in_is_told_once_a_reason() {
    let mut plain = Plain { world: World::signed_out(true), printer: Printer::default() };
    assert_eq!(plain.lines(), ["* not signed in"]);
    let login = plain.world.model.login.as_mut().expect("nobody is signed in");
    login.name.insert("alice");
    login.password.insert("correct horse");
    let mut commands = Vec::new();
    login.submit(&mut commands);
    assert_eq!(plain.lines(), ["* connecting"]);
    let fail =
        |plain: &mut Plain, error| plain.put(Input::Done(Outcome::Authenticated(Err(error))));
    let certificate = || ClientError::Certificate("its issuer is not known here".into());
    let told = fail(&mut plain, certificate());
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("its issuer is not known here") && told[0].contains("--ca"));
    let mut now_ms = NOW_MS;
    for _ in 0..3 {
        now_ms += 60_000;
        assert!(plain.put(Input::Tick(now_ms)).is_empty());
        assert!(matches!(plain.world.take()[..], [Command::Authenticate(_)]));
        assert!(fail(&mut plain, certificate()).is_empty());
    }
    plain.put(Input::Tick(now_ms + 60_000));
    let told = fail(&mut plain, ClientError::Connect("Connection refused".into()));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("Connection refused"), "{told:?}");
    // What trying again does not mend ends it, with the way out.
    plain.put(Input::Tick(now_ms + 120_000));
    fail(&mut plain, ClientError::NeedsTls);
    let objection = plain.world.model.login_objection();
    assert!(objection.is_some_and(|it| it.contains("--tls")), "{objection:?}");
}

#[test]
fn a_profile_that_stands_in_is_told_once() {
    let mut plain = Plain::live();
    plain.world.model.setup.profile = "2".into();
    plain.world.model.setup.stands_in = true;
    plain.world.model.say_profile();
    let told = plain.lines();
    assert_eq!(told, ["* another hongyan-chat runs: this one uses the profile \"2\""]);
    assert!(plain.put(Input::Tick(NOW_MS + 1)).is_empty());
}
