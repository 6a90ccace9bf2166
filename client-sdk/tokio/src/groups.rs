//! Groups: making them, and who is in them.

use std::time::Duration;

use hongyan_client_core::conversation::GroupInfo;
use hongyan_client_core::{ClientError, GroupId, Opcode, Status, UserId, pb};

use crate::client::Client;

/// A page of a group's members, in ascending order of user id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMembers {
    /// Who is in it.
    pub members: Vec<pb::Member>,
    /// More follow the last one.
    pub more: bool,
}

impl Client {
    /// Makes a group of this user and `members` (at most 1,000). When the
    /// connection breaks before the answer, it asks again under the same id,
    /// so that one group is made.
    ///
    /// # Errors
    /// [`ClientError::Refused`] (`InvalidField`, `NoSuchUser`, `GroupFull`),
    /// [`ClientError::Offline`] without a session,
    /// [`ClientError::TimedOut`] when several attempts got no answer.
    pub async fn create_group(
        &self,
        name: &str,
        members: &[UserId],
        history_visible: bool,
    ) -> Result<GroupInfo, ClientError> {
        let request = pb::CreateGroup {
            client_group_id: uuid::Uuid::new_v4().into_bytes().to_vec().into(),
            name: name.into(),
            members: raw(members),
            history_visible,
        };
        for _ in 1..CREATE_ATTEMPTS {
            match self.request(Opcode::CreateGroup, &request).await {
                Err(ClientError::TimedOut) => {
                    let live = self.wait_status(|status| status == Status::Live);
                    tokio::time::timeout(CREATE_WAIT, live)
                        .await
                        .map_err(|_| ClientError::TimedOut)??;
                }
                result => return group(result),
            }
        }
        group(self.request(Opcode::CreateGroup, &request).await)
    }

    /// Adds people (at most 1,000); those who are in it are passed over.
    ///
    /// # Errors
    /// [`ClientError::Refused`] (`NotAllowed`, `NotMember`, `GroupFull`,
    /// `GroupDissolved`), and what a request can meet.
    pub async fn invite_members(
        &self,
        id: GroupId,
        users: &[UserId],
    ) -> Result<GroupInfo, ClientError> {
        let request = pb::InviteMembers { group: id.get(), users: raw(users) };
        group(self.request(Opcode::InviteMembers, &request).await)
    }

    /// Leaves a group.
    ///
    /// # Errors
    /// [`ClientError::Refused`] (`OwnerCannotLeave`, `NotMember`), and what a
    /// request can meet.
    pub async fn leave_group(&self, id: GroupId) -> Result<(), ClientError> {
        let request = pb::LeaveGroup { group: id.get() };
        self.request::<pb::Empty>(Opcode::LeaveGroup, &request).await.map(drop)
    }

    /// Removes a member.
    ///
    /// # Errors
    /// [`ClientError::Refused`] (`NotAllowed`, `NotMember`, `NoSuchUser`), and what a
    /// request can meet.
    pub async fn remove_member(&self, id: GroupId, user: UserId) -> Result<GroupInfo, ClientError> {
        let request = pb::RemoveMember { group: id.get(), user: user.get() };
        group(self.request(Opcode::RemoveMember, &request).await)
    }

    /// Gives a member a role. Naming a new owner makes this user an admin.
    ///
    /// # Errors
    /// [`ClientError::Refused`] (`NotAllowed`, `NotMember`, `NoSuchUser`), and what a
    /// request can meet.
    pub async fn set_role(
        &self,
        id: GroupId,
        user: UserId,
        role: pb::Role,
    ) -> Result<GroupInfo, ClientError> {
        let request = pb::SetRole { group: id.get(), user: user.get(), role: role.into() };
        group(self.request(Opcode::SetRole, &request).await)
    }

    /// Renames a group, or changes whether newcomers see messages from before
    /// they joined. `None` leaves as it is.
    ///
    /// # Errors
    /// [`ClientError::Refused`] (`NotAllowed`, `InvalidField`), and what a
    /// request can meet.
    pub async fn update_group(
        &self,
        id: GroupId,
        name: Option<&str>,
        history_visible: Option<bool>,
    ) -> Result<GroupInfo, ClientError> {
        let history = match history_visible {
            None => pb::HistoryRule::Unchanged,
            Some(true) => pb::HistoryRule::Visible,
            Some(false) => pb::HistoryRule::Hidden,
        };
        let request = pb::UpdateGroup {
            group: id.get(),
            name: name.unwrap_or_default().into(),
            history: history.into(),
        };
        group(self.request(Opcode::UpdateGroup, &request).await)
    }

    /// Ends a group: nobody can send any more.
    ///
    /// # Errors
    /// [`ClientError::Refused`] (`NotAllowed`), and what a request can meet.
    pub async fn dissolve_group(&self, id: GroupId) -> Result<(), ClientError> {
        let request = pb::DissolveGroup { group: id.get() };
        self.request::<pb::Empty>(Opcode::DissolveGroup, &request).await.map(drop)
    }

    /// Members with a user id above `after` (`None`: from the first), at most
    /// `limit` (0: 100, at most 500).
    ///
    /// # Errors
    /// [`ClientError::Refused`] (`NotMember`), and what a request can meet.
    pub async fn group_members(
        &self,
        id: GroupId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<GroupMembers, ClientError> {
        let after_user = after.map_or(0, UserId::get);
        let request = pb::ListMembers { group: id.get(), after_user, limit };
        let reply: pb::Members = self.request(Opcode::ListMembers, &request).await?;
        Ok(GroupMembers { members: reply.members, more: reply.more })
    }
}

fn raw(users: &[UserId]) -> Vec<u64> {
    users.iter().map(|user| user.get()).collect()
}

fn group(reply: Result<pb::Group, ClientError>) -> Result<GroupInfo, ClientError> {
    GroupInfo::from_wire(reply?)
        .ok_or_else(|| ClientError::Protocol("the reply names no group".into()))
}

const CREATE_ATTEMPTS: usize = 3;
const CREATE_WAIT: Duration = Duration::from_secs(60);
