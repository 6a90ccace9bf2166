//! What happened, as text for people and as a digest for comparison.
//!
//! Owns neither time nor chance: whether it keeps text or not changes
//! nothing in the simulation, so a failing seed is run again to see its text.

use std::collections::VecDeque;
use std::fmt;

use hongyan_protocol::ids::mix64;

/// Where the text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TraceMode {
    /// Only the digest is kept.
    #[default]
    Digest,
    /// The last so many lines are kept.
    Last(usize),
    /// Every line is kept.
    Full,
    /// Every line goes to standard output at once.
    Print,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Trace {
    mode: TraceMode,
    digest: u64,
    events: u64,
    lines: VecDeque<String>,
}

impl Trace {
    pub(crate) fn new(mode: TraceMode) -> Self {
        Self { mode, ..Self::default() }
    }

    /// Counts one thing that happened; `words` say which.
    pub(crate) fn note(&mut self, now_us: u64, words: &[u64], text: fmt::Arguments<'_>) {
        self.events += 1;
        self.digest = mix64(self.digest ^ now_us);
        for word in words {
            self.digest = mix64(self.digest.rotate_left(7) ^ word);
        }
        if self.mode == TraceMode::Digest {
            return;
        }
        let line = format!("{:>10}.{:03} {text}", now_us / 1000, now_us % 1000);
        match self.mode {
            TraceMode::Digest => {}
            TraceMode::Print => println!("{line}"),
            TraceMode::Full => self.lines.push_back(line),
            TraceMode::Last(len) => {
                if self.lines.len() >= len {
                    self.lines.pop_front();
                }
                self.lines.push_back(line);
            }
        }
    }

    /// One number over everything that happened.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many things happened.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The lines kept, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}

/// A number for bytes, for [`Trace::note`] and for telling bodies apart.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hash = mix64(bytes.len() as u64 ^ 0x9e37_79b9_7f4a_7c15);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mix64(hash.rotate_left(5) ^ u64::from_le_bytes(word));
    }
    hash
}
