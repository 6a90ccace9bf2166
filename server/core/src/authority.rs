//! Who may do what: one table, asked for every request about a conversation.
//!
//! Default deny: what the table does not list is refused. The rows are
//! generated into tests cell by cell.

use hongyan_protocol::pb::Role;

/// What somebody wants to do in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Store a message.
    Send,
    /// Read messages and the conversation's state.
    Read,
    /// Move the own cursors.
    MoveCursor,
    /// See who is in it.
    ListMembers,
    /// Bring people in.
    Invite,
    /// Put a member out.
    Remove,
    /// Give a role, the owner's too.
    SetRole,
    /// Change name and history rule.
    Update,
    /// Go.
    Leave,
    /// End it.
    Dissolve,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 10] = [
        Self::Send,
        Self::Read,
        Self::MoveCursor,
        Self::ListMembers,
        Self::Invite,
        Self::Remove,
        Self::SetRole,
        Self::Update,
        Self::Leave,
        Self::Dissolve,
    ];
}

/// What the actor is in the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// One of the two of a direct conversation.
    Party,
    /// The owner of a group.
    Owner,
    /// An admin of a group.
    Admin,
    /// A plain member of a group.
    Member,
    /// Nobody there: never in it, left, or removed.
    Stranger,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Self; 5] =
        [Self::Party, Self::Owner, Self::Admin, Self::Member, Self::Stranger];

    /// The standing of a group member with this role.
    pub const fn of_role(role: u32) -> Self {
        if role == Role::Owner as u32 {
            Self::Owner
        } else if role == Role::Admin as u32 {
            Self::Admin
        } else {
            Self::Member
        }
    }
}

/// What the person is to whom it is done, where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The action has none.
    Nobody,
    /// The actor.
    Oneself,
    /// The owner.
    Owner,
    /// An admin.
    Admin,
    /// A plain member.
    Member,
    /// Somebody who is not in it.
    Stranger,
}

impl Target {
    /// Every target.
    pub const ALL: [Self; 6] =
        [Self::Nobody, Self::Oneself, Self::Owner, Self::Admin, Self::Member, Self::Stranger];
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// The actor is not in the conversation.
    NotMember,
    /// The actor is, but this is for others to do.
    NotAllowed,
    /// The owner must hand the group over before leaving.
    OwnerCannotLeave,
    /// The group was dissolved; it can only be read.
    Dissolved,
    /// There is nobody like that in it.
    NoSuchTarget,
}

/// The table. `dissolved` is about the group.
///
/// # Errors
/// See [`Denial`].
pub const fn permit(
    action: Action,
    standing: Standing,
    target: Target,
    dissolved: bool,
) -> Result<(), Denial> {
    use Action as A;
    use Standing as S;
    if matches!(standing, S::Stranger) {
        return Err(Denial::NotMember);
    }
    let reads = matches!(action, A::Read | A::MoveCursor | A::ListMembers);
    if dissolved && !reads && !matches!(action, A::Leave) {
        return Err(Denial::Dissolved);
    }
    match (action, standing, target) {
        (A::Send | A::Read | A::MoveCursor, _, Target::Nobody) => Ok(()),
        (A::ListMembers, S::Owner | S::Admin | S::Member, Target::Nobody) => Ok(()),
        (A::Invite | A::Update, S::Owner | S::Admin, Target::Nobody) => Ok(()),
        (A::Dissolve, S::Owner, Target::Nobody) => Ok(()),
        (A::Leave, S::Owner, Target::Nobody) => {
            if dissolved {
                Ok(())
            } else {
                Err(Denial::OwnerCannotLeave)
            }
        }
        (A::Leave, S::Admin | S::Member, Target::Nobody) => Ok(()),
        (A::Remove | A::SetRole, S::Owner | S::Admin, Target::Stranger) => {
            Err(Denial::NoSuchTarget)
        }
        (A::Remove, S::Owner, Target::Admin | Target::Member) => Ok(()),
        (A::Remove, S::Admin, Target::Member) => Ok(()),
        (A::SetRole, S::Owner, Target::Admin | Target::Member) => Ok(()),
        _ => Err(Denial::NotAllowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written out by hand and apart from `permit`: the allowed cells of a
    /// live group or direct conversation.
    const ALLOWED: &[(Action, Standing, Target)] = &[
        (Action::Send, Standing::Party, Target::Nobody),
        (Action::Send, Standing::Owner, Target::Nobody),
        (Action::Send, Standing::Admin, Target::Nobody),
        (Action::Send, Standing::Member, Target::Nobody),
        (Action::Read, Standing::Party, Target::Nobody),
        (Action::Read, Standing::Owner, Target::Nobody),
        (Action::Read, Standing::Admin, Target::Nobody),
        (Action::Read, Standing::Member, Target::Nobody),
        (Action::MoveCursor, Standing::Party, Target::Nobody),
        (Action::MoveCursor, Standing::Owner, Target::Nobody),
        (Action::MoveCursor, Standing::Admin, Target::Nobody),
        (Action::MoveCursor, Standing::Member, Target::Nobody),
        (Action::ListMembers, Standing::Owner, Target::Nobody),
        (Action::ListMembers, Standing::Admin, Target::Nobody),
        (Action::ListMembers, Standing::Member, Target::Nobody),
        (Action::Invite, Standing::Owner, Target::Nobody),
        (Action::Invite, Standing::Admin, Target::Nobody),
        (Action::Update, Standing::Owner, Target::Nobody),
        (Action::Update, Standing::Admin, Target::Nobody),
        (Action::Dissolve, Standing::Owner, Target::Nobody),
        (Action::Leave, Standing::Admin, Target::Nobody),
        (Action::Leave, Standing::Member, Target::Nobody),
        (Action::Remove, Standing::Owner, Target::Admin),
        (Action::Remove, Standing::Owner, Target::Member),
        (Action::Remove, Standing::Admin, Target::Member),
        (Action::SetRole, Standing::Owner, Target::Admin),
        (Action::SetRole, Standing::Owner, Target::Member),
    ];

    #[test]
    fn every_cell_is_as_the_list_says() {
        for action in Action::ALL {
            for standing in Standing::ALL {
                for target in Target::ALL {
                    let cell = (action, standing, target);
                    let allowed = permit(action, standing, target, false).is_ok();
                    assert_eq!(allowed, ALLOWED.contains(&cell), "{cell:?}");
                }
            }
        }
    }

    #[test]
    fn a_dissolved_group_can_be_read_and_left_only() {
        for action in Action::ALL {
            for standing in [Standing::Owner, Standing::Admin, Standing::Member] {
                let open = permit(action, standing, Target::Nobody, true).is_ok();
                let expected = matches!(
                    action,
                    Action::Read | Action::MoveCursor | Action::ListMembers | Action::Leave
                );
                assert_eq!(open, expected, "{action:?} {standing:?}");
            }
        }
    }

    #[test]
    fn strangers_are_told_so_and_nothing_else() {
        for action in Action::ALL {
            for target in Target::ALL {
                for dissolved in [false, true] {
                    let answer = permit(action, Standing::Stranger, target, dissolved);
                    assert_eq!(answer, Err(Denial::NotMember));
                }
            }
        }
    }
}
