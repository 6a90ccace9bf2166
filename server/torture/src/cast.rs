//! Who takes part, and in which conversations.

use hongyan_client::{ConversationId, UserId};

/// A person with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Name to log in with.
    pub name: String,
    /// Password.
    pub password: String,
    /// The account.
    pub user: UserId,
}

/// A conversation and who is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Which.
    pub id: ConversationId,
    /// Indices of people.
    pub members: Vec<usize>,
    /// Members see only what came after they joined.
    pub hidden_history: bool,
    /// Something was stored in it while it was set up.
    pub begun: bool,
}

/// Everybody and everything of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cast {
    /// People.
    pub people: Vec<Person>,
    /// Conversations.
    pub rooms: Vec<Room>,
}

impl Cast {
    /// Rooms of a person.
    pub fn rooms_of(&self, person: usize) -> impl Iterator<Item = &Room> {
        self.rooms.iter().filter(move |room| room.members.contains(&person))
    }

    /// The room with this id.
    #[must_use]
    pub fn room(&self, id: ConversationId) -> Option<&Room> {
        self.rooms.iter().find(|room| room.id == id)
    }

    /// The name of a user, for people who read a report.
    #[must_use]
    pub fn name_of(&self, user: u64) -> String {
        self.people
            .iter()
            .find(|person| person.user.get() == user)
            .map_or_else(|| format!("user {user}"), |person| person.name.clone())
    }
}
