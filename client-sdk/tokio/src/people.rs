//! Other people: their names, and who of them is on line.

use std::collections::{BTreeMap, BTreeSet};

use hongyan_client_core::event::PresenceWatch;
use hongyan_client_core::{ClientError, ErrorCode, Opcode, Profile, UserId, pb};
use hongyan_protocol::limits::PROFILES_MAX;

use crate::client::{Client, Command};

impl Client {
    /// Finds a person by exact name.
    ///
    /// # Errors
    /// [`ClientError::Refused`] (`NoSuchUser`), and what a request can meet.
    pub async fn find_user(&self, name: &str) -> Result<Profile, ClientError> {
        let request = pb::FindUser { name: name.into() };
        let reply: pb::Profiles = self.request(Opcode::FindUser, &request).await?;
        reply
            .profiles
            .into_iter()
            .find_map(Profile::from_wire)
            .ok_or_else(|| ClientError::Protocol("the reply names nobody".into()))
    }

    /// A person's names: those that this device knows, also without a
    /// connection, or else the server's. A name never changes.
    ///
    /// # Errors
    /// [`ClientError::Refused`] (`NoSuchUser`), and what a request can meet.
    pub async fn profile(&self, user: UserId) -> Result<Profile, ClientError> {
        let found = self.profiles(&[user]).await?.into_iter().next();
        found.ok_or_else(|| ClientError::Refused {
            code: ErrorCode::NoSuchUser.number(),
            message: "the server knows nobody of this id".into(),
            retry_after_ms: 0,
        })
    }

    /// Names for ids, in the same order; those that nobody has are left out.
    /// The server is asked for those only that this device does not know yet,
    /// 200 at a time, and they are kept.
    ///
    /// # Errors
    /// What a request can meet, when there is anything to ask.
    pub async fn profiles(&self, users: &[UserId]) -> Result<Vec<Profile>, ClientError> {
        let known = self.known_profiles(users).await?;
        let mut found: BTreeMap<_, _> =
            known.into_iter().map(|profile| (profile.user, profile)).collect();
        let unknown: BTreeSet<_> =
            users.iter().filter(|user| !found.contains_key(user)).map(|user| user.get()).collect();
        let unknown: Vec<_> = unknown.into_iter().collect();
        for users in unknown.chunks(PROFILES_MAX) {
            let request = pb::GetProfiles { users: users.to_vec() };
            let reply: pb::Profiles = self.request(Opcode::GetProfiles, &request).await?;
            let profiles = reply.profiles.into_iter().filter_map(Profile::from_wire);
            found.extend(profiles.map(|profile| (profile.user, profile)));
        }
        Ok(users.iter().filter_map(|user| found.get(user).cloned()).collect())
    }

    /// Those names that this device knows; the server is not asked.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn known_profiles(&self, users: &[UserId]) -> Result<Vec<Profile>, ClientError> {
        let users = users.to_vec();
        self.ask(|answer| Command::KnownProfiles { users, answer }).await
    }

    /// Watches who is on line, instead of whom was watched before: at most
    /// 500, each the other side of a direct conversation. The result says of
    /// each person, in the same order, whether they are watched; who is not
    /// will be once there is a conversation. How they are, and how that
    /// changes, comes as [`hongyan_client_core::Event::Presence`]. The wish
    /// stands until the next call, over any number of reconnects.
    ///
    /// # Errors
    /// [`ClientError::Offline`]: they are watched from the next session on.
    /// [`ClientError::Invalid`] for too many people, or when a later call came
    /// before the answer. Otherwise what a request can meet.
    pub async fn watch_presence(
        &self,
        users: &[UserId],
    ) -> Result<Vec<PresenceWatch>, ClientError> {
        let users = users.to_vec();
        self.ask(|answer| Command::WatchPresence { users, answer }).await
    }
}
