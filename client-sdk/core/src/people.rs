//! People's names: asked for when a conversation needs one, kept for
//! whoever asks.

use hongyan_protocol::ids::{ConversationId, UserId};
use hongyan_protocol::limits::PROFILES_MAX;
use hongyan_protocol::{Opcode, pb};

use crate::client::ClientCore;
use crate::conversation::Profile;
use crate::requests::Purpose;
use crate::store::StoreOp;

impl ClientCore {
    pub(crate) fn learn_profiles(&mut self, profiles: Vec<pb::Profile>) {
        for profile in profiles.into_iter().filter_map(Profile::from_wire) {
            self.profiles_due.remove(&profile.user);
            if self.profiles.get(&profile.user) == Some(&profile) {
                continue;
            }
            if self.profiles.len() >= self.config.messages_max
                && !self.profiles.contains_key(&profile.user)
            {
                continue;
            }
            if let Some(id) = self.me().and_then(|me| ConversationId::direct(me, profile.user))
                && self.convs.contains_key(&id)
            {
                self.dirty_conversations.insert(id);
            }
            self.store(StoreOp::PutProfile(profile.clone()));
            self.profiles.insert(profile.user, profile);
        }
    }

    pub(crate) fn learn_peer(&mut self, id: ConversationId, me: UserId) {
        if let Some(peer) = id.peer_of(me)
            && !self.profiles.contains_key(&peer)
        {
            self.profiles_due.insert(peer);
        }
    }

    /// Asks for the names that conversations need.
    pub(crate) fn ask_profiles(&mut self, now_ms: u64) {
        if !self.profiles_due.is_empty()
            && !self.requests.contains(|purpose| *purpose == Purpose::Profiles)
        {
            let mut users = std::mem::take(&mut self.profiles_due);
            let later = users.iter().nth(PROFILES_MAX).copied();
            if let Some(later) = later {
                self.profiles_due = users.split_off(&later);
            }
            let users = users.into_iter().map(UserId::get).collect();
            let message = pb::GetProfiles { users };
            self.request_frame(now_ms, Purpose::Profiles, Opcode::GetProfiles, &message);
        }
    }
}
