//! Devices that come back with an access token, as after a restart of the server.

use hongyan_core::{AccessTokens, ConnId, Input};
use hongyan_protocol::{ConversationId, Frame, Opcode, pb};

use crate::world::{OneShard, Person, hello};

/// Accounts whose devices are away.
pub struct Arrivals {
    /// Where they live.
    pub world: OneShard,
    tokens: Vec<String>,
    next: usize,
    here: Vec<ConnId>,
}

impl Arrivals {
    /// `accounts` accounts without conversations, with tokens of this kind.
    ///
    /// # Panics
    /// Accounts cannot be made: a bug in the bench.
    #[must_use]
    pub fn new(tokens: Box<dyn AccessTokens>, accounts: usize) -> Self {
        let mut world = OneShard::with_tokens(tokens);
        let signed_up: Vec<_> =
            (0..accounts).map(|index| world.sign_up(&format!("away-{index}"))).collect();
        Self::away(world, signed_up)
    }

    /// One account to whom `conversations` others have written, and who was not there.
    ///
    /// # Panics
    /// As [`Arrivals::new`].
    #[must_use]
    pub fn with_conversations(tokens: Box<dyn AccessTokens>, conversations: usize) -> Self {
        let mut world = OneShard::with_tokens(tokens);
        let (person, token) = world.sign_up("away");
        for index in 0..conversations {
            let other = world.register(&format!("other-{index}"));
            let id = ConversationId::direct(person.user, other.user).expect("two users");
            let send = world.send_input(other, id);
            world.wake([send]);
        }
        Self::away(world, vec![(person, token)])
    }

    fn away(mut world: OneShard, signed_up: Vec<(Person, String)>) -> Self {
        let closed = signed_up.iter().map(|(person, _)| Input::Closed { conn: person.conn });
        world.wake(closed);
        let tokens = signed_up.into_iter().map(|(_, token)| token).collect();
        Self { world, tokens, next: 0, here: Vec::new() }
    }

    /// The next `count` devices connect and say hello with their token; with `resume` they ask for
    /// everything they missed in the same breath.
    pub fn arrive(&mut self, count: usize, resume: bool) -> Vec<Input> {
        let mut inputs = Vec::with_capacity(2 * count);
        for _ in 0..count {
            let token = self.tokens[self.next % self.tokens.len()].clone();
            self.next += 1;
            let (conn, opened) = self.world.connection();
            self.here.push(conn);
            let hello = hello(token, resume.then(pb::SyncRequest::default));
            inputs.push(opened);
            inputs.push(Input::Frame { conn, frame: Frame::new(Opcode::Hello, 1, &hello) });
        }
        inputs
    }

    /// Everybody who came goes away again.
    pub fn leave(&mut self) {
        let closed = self.here.drain(..).map(|conn| Input::Closed { conn });
        self.world.wake(closed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use hongyan_core::{Claims, TokenFault};

    use super::*;

    /// Tokens that are numbers of what was claimed.
    #[derive(Clone, Default)]
    struct Numbered(Arc<Mutex<Vec<Claims>>>);

    impl AccessTokens for Numbered {
        fn issue(&self, claims: &Claims) -> String {
            let mut issued = self.0.lock().unwrap();
            issued.push(claims.clone());
            (issued.len() - 1).to_string()
        }

        fn verify(&self, token: &str, _unix_ms: u64) -> Result<Claims, TokenFault> {
            let number = token.parse::<usize>().map_err(|_| TokenFault::Invalid)?;
            self.0.lock().unwrap().get(number).cloned().ok_or(TokenFault::Invalid)
        }
    }

    #[test]
    fn a_device_with_a_token_is_let_in_again_and_again() {
        let mut arrivals = Arrivals::new(Box::new(Numbered::default()), 3);
        for _ in 0..3 {
            let inputs = arrivals.arrive(3, false);
            let count = arrivals.world.wake(inputs);
            assert_eq!((count.replies, count.sessions, count.pushes), (3, 3, 0));
            arrivals.leave();
        }
    }

    #[test]
    fn a_device_that_resumes_gets_every_conversation() {
        let mut arrivals = Arrivals::with_conversations(Box::new(Numbered::default()), 7);
        let inputs = arrivals.arrive(1, true);
        arrivals.world.wake(inputs);
        let welcome: pb::Welcome = arrivals.world.last_reply(Opcode::Hello);
        let resumed = welcome.resumed.expect("it asked to resume");
        assert_eq!(resumed.conversations.len(), 7);
        let states = resumed.conversations.iter().map(|one| one.state.as_ref());
        assert!(states.flatten().all(|state| state.last_message.is_some() && state.unread == 1));
    }
}
