//! Sessions that come, stay and go together: thousands on one thread, one poll.
//!
//! Owns their connections. A wave brings everybody in at planned moments, with a bounded number of
//! sign-ins under way; who is refused comes back when the server said, and after a broken
//! connection with the back-off that the protocol asks of clients. Judges nothing: a [`Wave`] says
//! what happened.
//!
//! # Invariants
//! - A latency counts from the planned moment ([`Wave::from_plan`]) or from the connect of the
//!   attempt that succeeded ([`Wave::sign_in`]), and both are kept.
//! - Every attempt has a time limit, and every place a number of attempts.

mod arrivals;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::time::Duration;

use hdrhistogram::Histogram;
use hongyan_protocol::ids::mix64;
use hongyan_protocol::{ErrorCode, FrameDecoder, Opcode, limits};
use mio::{Events, Poll};

use self::arrivals::Arrivals;

use crate::clock::RunClock;
use crate::engine::login::{SignIn, greeting};
use crate::histogram::nanoseconds;
use crate::pulse::Done;
use crate::roster::Account;
use crate::stream::{Endpoint, Stream};
use crate::wire::FrameView;

const EVENTS: usize = 1_024;
const READ_BYTES: usize = 64 * 1_024;
const WAIT_MAX: Duration = Duration::from_millis(20);
/// Heartbeats that are written before answers are read.
const BEATS_PER_TURN: usize = 256;
const HEARTBEAT: &[u8] = &[0];

/// How sign-ins are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// Sign-ins under way, at most.
    pub(crate) at_once: usize,
    /// Attempts of each session, at most.
    pub(crate) tries_max: u32,
    /// Time of each attempt.
    pub(crate) timeout: Duration,
}

/// What happened while everybody came in.
#[derive(Debug)]
pub(crate) struct Wave {
    /// From the connect to the session, of the attempt that succeeded, in nanoseconds.
    pub(crate) sign_in: Histogram<u64>,
    /// From the planned moment to the session, in nanoseconds.
    pub(crate) from_plan: Histogram<u64>,
    /// Each sign-in, by the connect of the attempt that succeeded.
    pub(crate) done: Vec<Done>,
    /// Refusals by the server's code.
    pub(crate) refused: BTreeMap<u32, u64>,
    /// When they came, in nanoseconds from the first planned moment.
    pub(crate) refused_ns: Vec<u64>,
    /// Attempts after the first of a session.
    pub(crate) again: u64,
    /// Connections that ended before their session was open, by how.
    pub(crate) broken: BTreeMap<String, u64>,
    /// Sessions that were given up, by why.
    pub(crate) given_up: BTreeMap<String, u64>,
    /// Sessions whose TLS was resumed.
    pub(crate) resumed: u64,
    /// From the first planned moment to the last session.
    pub(crate) length: Duration,
}

impl Default for Wave {
    fn default() -> Self {
        Self {
            sign_in: nanoseconds(),
            from_plan: nanoseconds(),
            done: Vec::new(),
            refused: BTreeMap::new(),
            refused_ns: Vec::new(),
            again: 0,
            broken: BTreeMap::new(),
            given_up: BTreeMap::new(),
            resumed: 0,
            length: Duration::ZERO,
        }
    }
}

#[derive(Debug)]
enum Place {
    Away,
    SigningIn { sign_in: Box<SignIn>, began_ns: u64 },
    In(Session),
}

#[derive(Debug)]
struct Session {
    stream: Stream,
    input: Vec<u8>,
    /// Heartbeats without an answer.
    owed: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Crowd {
    endpoint: Endpoint,
    greetings: Vec<Box<[u8]>>,
    places: Vec<Place>,
    poll: Poll,
    scratch: Vec<u8>,
    clock: RunClock,
    /// Connections that were begun; each has its own number, for its source address.
    begun: usize,
    random: u64,
    decoder: FrameDecoder,
    /// Sessions that the server ended, by how.
    lost: BTreeMap<String, u64>,
}

impl Crowd {
    /// One place for each account; nobody is there yet.
    ///
    /// # Errors
    /// The system has no poll to give.
    pub(crate) fn new(endpoint: Endpoint, accounts: &[Account], seed: u64) -> io::Result<Self> {
        Ok(Self {
            endpoint,
            greetings: accounts.iter().map(greeting).collect(),
            places: accounts.iter().map(|_| Place::Away).collect(),
            poll: Poll::new()?,
            scratch: vec![0; READ_BYTES],
            clock: RunClock::start(),
            begun: 0,
            random: mix64(seed),
            decoder: FrameDecoder::new(limits::FRAME_BYTES_MAX),
            lost: BTreeMap::new(),
        })
    }

    /// Open sessions.
    pub(crate) fn sessions(&self) -> usize {
        self.places.iter().filter(|place| matches!(place, Place::In(_))).count()
    }

    /// Sessions that the server ended since this was last asked, by how.
    pub(crate) fn take_lost(&mut self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.lost)
    }

    /// A number below `bound`; zero when that is zero.
    pub(crate) const fn random_below(&mut self, bound: u64) -> u64 {
        self.random = mix64(self.random.wrapping_add(1));
        if bound == 0 { 0 } else { self.random % bound }
    }

    /// Brings in everybody who is away, place `i` at `plan[i]` nanoseconds from now.
    ///
    /// # Errors
    /// The system failed the poll; what the server did is in the wave.
    pub(crate) fn bring_in(&mut self, plan: &[u64], manner: Manner) -> io::Result<Wave> {
        let start_ns = self.clock.now_ns();
        let mut arrivals = Arrivals::new(manner, self.places.len(), start_ns);
        for (place, after_ns) in plan.iter().enumerate().take(self.places.len()) {
            if matches!(self.places[place], Place::Away) {
                arrivals.plan(place, start_ns + after_ns);
            }
        }
        let mut events = Events::with_capacity(EVENTS);
        while !arrivals.is_over() {
            let now_ns = self.clock.now_ns();
            arrivals.give_up_late(self, now_ns);
            arrivals.begin_due(self)?;
            let wait = arrivals.wait(self.clock.now_ns());
            self.wait(&mut events, wait)?;
            for event in &events {
                let place = event.token().0;
                match &self.places[place] {
                    Place::SigningIn { .. } => arrivals.advance(self, place),
                    Place::In(_) => self.hear(place),
                    Place::Away => {}
                }
            }
        }
        Ok(arrivals.into_wave(Duration::from_nanos(self.clock.now_ns() - start_ns)))
    }

    /// Sends a heartbeat on every session and waits for the answers; says how many sessions did
    /// not answer within `patience`.
    ///
    /// # Errors
    /// The system failed the poll.
    pub(crate) fn check_alive(&mut self, patience: Duration) -> io::Result<usize> {
        let until_ns = self.clock.now_ns() + patience.as_nanos() as u64;
        let mut events = Events::with_capacity(EVENTS);
        for place in 0..self.places.len() {
            self.beat(place);
            if place % BEATS_PER_TURN == 0 {
                self.listen(&mut events, Duration::ZERO)?;
            }
        }
        loop {
            let silent = self
                .places
                .iter()
                .filter(|place| matches!(place, Place::In(session) if session.owed > 0))
                .count();
            if silent == 0 || self.clock.now_ns() >= until_ns {
                return Ok(silent);
            }
            self.listen(&mut events, WAIT_MAX)?;
        }
    }

    /// Stays for `length`, each session with a heartbeat in every `heartbeat`.
    ///
    /// # Errors
    /// The system failed the poll.
    pub(crate) fn stay(&mut self, length: Duration, heartbeat: Duration) -> io::Result<()> {
        let (start_ns, length_ns) = (self.clock.now_ns(), length.as_nanos() as u64);
        let per_ns = self.places.len() as f64 / (heartbeat.as_nanos() as f64).max(1.0);
        let mut events = Events::with_capacity(EVENTS);
        let mut beaten = 0_u64;
        loop {
            let passed_ns = self.clock.now_ns() - start_ns;
            if passed_ns >= length_ns {
                return Ok(());
            }
            let due = (passed_ns as f64 * per_ns) as u64;
            while beaten < due {
                self.beat((beaten % self.places.len() as u64) as usize);
                beaten += 1;
            }
            self.listen(&mut events, WAIT_MAX.min(Duration::from_nanos(length_ns - passed_ns)))?;
        }
    }

    /// Closes every connection without a word, as when a network goes away.
    pub(crate) fn drop_all(&mut self) {
        self.places.iter_mut().for_each(|place| *place = Place::Away);
    }

    fn wait(&mut self, events: &mut Events, length: Duration) -> io::Result<()> {
        match self.poll.poll(events, Some(length)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            other => other,
        }
    }

    /// Waits once and reads what came for sessions.
    fn listen(&mut self, events: &mut Events, length: Duration) -> io::Result<()> {
        self.wait(events, length)?;
        for event in events.iter() {
            self.hear(event.token().0);
        }
        Ok(())
    }

    fn beat(&mut self, place: usize) {
        let Place::In(session) = &mut self.places[place] else {
            return;
        };
        session.owed += 1;
        // One byte always has room in an idle connection; else it stays owed, and that is told.
        if let Err(error) = session.stream.write(HEARTBEAT)
            && error.kind() != io::ErrorKind::WouldBlock
        {
            self.lose(place, error.kind().to_string());
        }
    }

    /// Reads what came on a session.
    fn hear(&mut self, place: usize) {
        let Place::In(session) = &mut self.places[place] else {
            return;
        };
        let end = loop {
            match session.stream.read(&mut self.scratch) {
                Ok(0) => break Some("closed without a word".to_owned()),
                Ok(count) => session.input.extend_from_slice(&self.scratch[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break None,
                Err(error) => break Some(error.kind().to_string()),
            }
            // What a session is sent while it is idle is small.
            if session.input.len() > limits::FRAME_BYTES_MAX {
                break Some("an endless frame".to_owned());
            }
        };
        let said = session.understand(&self.decoder);
        if let Some(reason) = said.or(end) {
            self.lose(place, reason);
        } else if let Place::In(session) = &mut self.places[place] {
            let _ = session.stream.flush();
        }
    }

    fn lose(&mut self, place: usize, reason: String) {
        self.places[place] = Place::Away;
        *self.lost.entry(reason).or_default() += 1;
    }
}

impl Session {
    /// Takes whole frames off the input; says why the server ends the session, if it does.
    fn understand(&mut self, decoder: &FrameDecoder) -> Option<String> {
        let mut used = 0;
        let end = loop {
            match FrameView::peek(decoder, &self.input[used..]) {
                Ok(Some(view)) => {
                    used += view.whole_bytes;
                    if view.opcode == Opcode::Heartbeat.number() {
                        self.owed = self.owed.saturating_sub(1);
                    } else if view.opcode == Opcode::Goodbye.number() {
                        break Some(goodbye(view.payload));
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        self.input.drain(..used);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        end
    }
}

fn goodbye(payload: &[u8]) -> String {
    use prost::Message as _;
    let code = hongyan_protocol::pb::Goodbye::decode(payload).map_or(0, |goodbye| goodbye.code);
    format!("goodbye {}", named(code))
}

/// A code of the server with its name.
pub(crate) fn named(code: u32) -> String {
    format!("{code} ({})", ErrorCode::from_number(code).map_or("unknown", ErrorCode::name))
}
