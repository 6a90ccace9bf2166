//! The sign-ins of one wave: who is due, who is under way, who comes again and when.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Token};

use crate::engine::crowd::{Crowd, Manner, Place, Session, WAIT_MAX, Wave, named};
use crate::engine::login::{SignIn, Step};
use crate::pulse::Done;

/// A server's hint is honoured up to here.
const HINT_MAX_MS: u64 = 60_000;
const BACK_OFF_FIRST_MS: u64 = 500;
const BACK_OFF_MAX_MS: u64 = 30_000;

/// The sign-ins of a wave.
pub(super) struct Arrivals {
    manner: Manner,
    start_ns: u64,
    /// Moments and places, the next first.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    planned_ns: Vec<u64>,
    tries: Vec<u32>,
    /// In the order of their beginning, which is also that of their time limits.
    under_way: VecDeque<(u64, usize)>,
    busy: usize,
    wave: Wave,
}

impl Arrivals {
    pub(super) fn new(manner: Manner, places: usize, start_ns: u64) -> Self {
        Self {
            manner,
            start_ns,
            due: BinaryHeap::new(),
            planned_ns: vec![0; places],
            tries: vec![0; places],
            under_way: VecDeque::new(),
            busy: 0,
            wave: Wave::default(),
        }
    }

    /// Has `place` come at `at_ns`.
    pub(super) fn plan(&mut self, place: usize, at_ns: u64) {
        self.planned_ns[place] = at_ns;
        self.due.push(Reverse((at_ns, place)));
    }

    /// What happened, over `length`.
    pub(super) fn into_wave(self, length: Duration) -> Wave {
        Wave { length, ..self.wave }
    }

    /// True when nobody is under way, and nobody due.
    pub(super) fn is_over(&self) -> bool {
        self.busy == 0 && self.due.is_empty()
    }

    /// How long nothing is to be begun.
    pub(super) fn wait(&self, now_ns: u64) -> Duration {
        let Some(Reverse((due_ns, _))) = self.due.peek() else {
            return WAIT_MAX;
        };
        if self.busy >= self.manner.at_once {
            return WAIT_MAX;
        }
        WAIT_MAX.min(Duration::from_nanos(due_ns.saturating_sub(now_ns)))
    }

    /// Begins what is due, as far as there is room.
    pub(super) fn begin_due(&mut self, crowd: &mut Crowd) -> io::Result<()> {
        while self.busy < self.manner.at_once {
            let now_ns = crowd.clock.now_ns();
            match self.due.peek() {
                Some(Reverse((due_ns, _))) if *due_ns <= now_ns => {}
                _ => return Ok(()),
            }
            if let Some(Reverse((_, place))) = self.due.pop() {
                self.begin(crowd, place, now_ns)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, crowd: &mut Crowd, place: usize, now_ns: u64) -> io::Result<()> {
        self.wave.again += u64::from(self.tries[place] > 0);
        self.tries[place] += 1;
        let index = crowd.begun;
        crowd.begun += 1;
        let sign_in = match SignIn::begin(&crowd.endpoint, index, &crowd.greetings[place]) {
            Ok(sign_in) => Box::new(sign_in),
            Err(error) => {
                self.broke(crowd, place, error.kind().to_string());
                return Ok(());
            }
        };
        let fd = sign_in.stream().raw_fd();
        crowd.poll.registry().register(
            &mut SourceFd(&fd),
            Token(place),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        crowd.places[place] = Place::SigningIn { sign_in, began_ns: now_ns };
        self.busy += 1;
        self.under_way.push_back((now_ns, place));
        self.advance(crowd, place);
        Ok(())
    }

    /// Goes on with a sign-in whose socket is ready.
    pub(super) fn advance(&mut self, crowd: &mut Crowd, place: usize) {
        let Place::SigningIn { sign_in, began_ns } = &mut crowd.places[place] else {
            return;
        };
        let began_ns = *began_ns;
        match sign_in.advance(&crowd.greetings[place], &mut crowd.scratch) {
            Step::Waiting => {}
            Step::In => {
                let now_ns = crowd.clock.now_ns();
                let (at_ns, took_ns) = (now_ns - self.start_ns, now_ns - began_ns);
                self.wave.done.push(Done { at_ns, took_ns });
                self.wave.sign_in.saturating_record(took_ns);
                self.wave.from_plan.saturating_record(now_ns - self.planned_ns[place]);
                self.busy -= 1;
                if let Place::SigningIn { sign_in, .. } =
                    std::mem::replace(&mut crowd.places[place], Place::Away)
                {
                    let (stream, input) = sign_in.into_session();
                    self.wave.resumed += u64::from(stream.is_resumed());
                    crowd.places[place] = Place::In(Session { stream, input, owed: 0 });
                }
            }
            Step::Refused { code, after_ms, again } => {
                *self.wave.refused.entry(code).or_default() += 1;
                self.wave.refused_ns.push(crowd.clock.now_ns() - self.start_ns);
                self.leave(crowd, place);
                let after_ms = (after_ms > 0).then_some(u64::from(after_ms).min(HINT_MAX_MS));
                let reason = || format!("refused with {}", named(code));
                self.come_again(crowd, place, again, after_ms, reason);
            }
            Step::Broken(how) => {
                self.leave(crowd, place);
                self.broke(crowd, place, how);
            }
        }
    }

    /// Ends attempts that took too long.
    pub(super) fn give_up_late(&mut self, crowd: &mut Crowd, now_ns: u64) {
        let timeout_ns = self.manner.timeout.as_nanos() as u64;
        while let Some((began, place)) = self.under_way.front().copied() {
            let still = matches!(
                &crowd.places[place],
                Place::SigningIn { began_ns, .. } if *began_ns == began
            );
            if still && now_ns < began + timeout_ns {
                return;
            }
            self.under_way.pop_front();
            if still {
                self.leave(crowd, place);
                self.broke(crowd, place, "no answer in time".to_owned());
            }
        }
    }

    fn leave(&mut self, crowd: &mut Crowd, place: usize) {
        crowd.places[place] = Place::Away;
        self.busy -= 1;
    }

    fn broke(&mut self, crowd: &mut Crowd, place: usize, how: String) {
        *self.wave.broken.entry(how.clone()).or_default() += 1;
        self.come_again(crowd, place, true, None, || how);
    }

    /// Plans the next attempt: when the server said, or after a random back-off.
    fn come_again(
        &mut self,
        crowd: &mut Crowd,
        place: usize,
        again: bool,
        after_ms: Option<u64>,
        reason: impl FnOnce() -> String,
    ) {
        let tries = self.tries[place];
        if !again || tries >= self.manner.tries_max {
            *self.wave.given_up.entry(reason()).or_default() += 1;
            return;
        }
        let after_ns = after_ms.map_or_else(
            || {
                let most_ms = BACK_OFF_MAX_MS.min(BACK_OFF_FIRST_MS << tries.min(16));
                crowd.random_below(most_ms * 1_000_000)
            },
            |ms| ms * 1_000_000,
        );
        self.due.push(Reverse((crowd.clock.now_ns() + after_ns, place)));
    }
}
