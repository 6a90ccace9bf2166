//! From a frame to typed, bounds-checked data. What is parsed here needs no
//! checking of form again; rights are another matter.

use hongyan_protocol::ids::GroupId;
use hongyan_protocol::limits::{
    CLIENT_ID_BYTES, DEVICE_ID_BYTES_MAX, DISPLAY_NAME_BYTES_MAX, HELD_CURSORS_MAX,
    HISTORY_LIMIT_DEFAULT, HISTORY_LIMIT_MAX, INVITE_USERS_MAX, MEMBERS_LIMIT_DEFAULT,
    MEMBERS_LIMIT_MAX, PAGE_BYTES_MAX, PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN, PROFILES_MAX,
    WATCHED_MAX,
};
use hongyan_protocol::{ConversationId, ErrorCode, Frame, Opcode, UserId, body, pb, raw};
use prost::Message;

use crate::auth;
use crate::envelope::{Ask, AskKind, SyncItem};
use crate::error::Refusal;

/// A request of an open session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    Ask(Ask),
    ChangePassword { old: String, new: String },
    CreateGroup { group: GroupId, ask: Ask },
    Deactivate { password: String },
    FindUser { name: String },
    Invite { ask: Ask },
    ListDevices,
    Logout,
    Profiles { users: Vec<UserId> },
    RevokeDevice { device_id: String },
    Sync(SyncCommand),
    Watch { users: Vec<UserId> },
}

/// A checked SyncRequest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SyncCommand {
    /// By conversation, ascending; no conversation twice.
    pub(crate) held: Vec<SyncItem>,
    /// Zero in the first request, then one more than the number of the last
    /// entry of the list that was in a page before.
    pub(crate) page: u64,
    pub(crate) bytes_max: usize,
}

const fn invalid(message: &'static str) -> Refusal {
    Refusal::new(ErrorCode::InvalidField, message)
}

impl Command {
    /// Parses a frame whose opcode belongs to an open session.
    ///
    /// # Errors
    /// MalformedPayload, InvalidField, InvalidConversation or InvalidBody.
    pub(crate) fn parse(opcode: Opcode, frame: &Frame, own: UserId) -> Result<Self, Refusal> {
        Ok(match opcode {
            Opcode::Send => Self::Ask(parse_send(frame)?),
            Opcode::MoveCursor => Self::Ask(parse_move_cursor(frame)?),
            Opcode::History => Self::Ask(parse_history(frame)?),
            Opcode::Sync => Self::Sync(SyncCommand::parse(&frame.message()?)?),
            Opcode::Logout => {
                frame.message::<pb::Logout>()?;
                Self::Logout
            }
            Opcode::ListDevices => {
                frame.message::<pb::ListDevices>()?;
                Self::ListDevices
            }
            Opcode::RevokeDevice => {
                let message: pb::RevokeDevice = frame.message()?;
                check_text(&message.device_id, 1, DEVICE_ID_BYTES_MAX, "device_id")?;
                Self::RevokeDevice { device_id: message.device_id }
            }
            Opcode::ChangePassword => {
                let message: pb::ChangePassword = frame.message()?;
                check_password(&message.new_password)?;
                Self::ChangePassword { old: message.old_password, new: message.new_password }
            }
            Opcode::Deactivate => {
                Self::Deactivate { password: frame.message::<pb::Deactivate>()?.password }
            }
            Opcode::FindUser => {
                let message: pb::FindUser = frame.message()?;
                Self::FindUser { name: auth::fold_name(&message.name)? }
            }
            Opcode::GetProfiles => {
                let message: pb::GetProfiles = frame.message()?;
                Self::Profiles { users: parse_users(&message.users, PROFILES_MAX)? }
            }
            Opcode::WatchPresence => {
                let message: pb::WatchPresence = frame.message()?;
                Self::Watch { users: parse_users(&message.users, WATCHED_MAX)? }
            }
            _ => parse_group(opcode, frame, own)?,
        })
    }
}

impl SyncCommand {
    /// Checks a SyncRequest.
    pub(crate) fn parse(message: &pb::SyncRequest) -> Result<Self, Refusal> {
        if message.held.len() > HELD_CURSORS_MAX {
            return Err(invalid("held: too many"));
        }
        let mut held = Vec::with_capacity(message.held.len());
        for cursor in &message.held {
            let conversation = parse_conversation(cursor.conversation.as_ref())?;
            held.push(SyncItem { conversation, held: Some(cursor.seq), listed: false });
        }
        held.sort_unstable_by_key(|item| item.conversation);
        held.dedup_by_key(|item| item.conversation);
        let bytes_max = match message.max_bytes as usize {
            0 => PAGE_BYTES_MAX,
            bytes => bytes.clamp(4096, PAGE_BYTES_MAX),
        };
        Ok(Self { held, page: message.page, bytes_max })
    }
}

fn parse_conversation(id: Option<&pb::ConversationId>) -> Result<ConversationId, Refusal> {
    id.and_then(ConversationId::from_wire).ok_or(Refusal::new(
        ErrorCode::InvalidConversation,
        "conversation: give either a group or two users in ascending order",
    ))
}

fn parse_send(frame: &Frame) -> Result<Ask, Refusal> {
    let message: raw::Send = frame.message()?;
    let conversation = parse_conversation(message.conversation.as_ref())?;
    let client_msg_id = parse_client_id(&message.client_msg_id, "client_msg_id: 16 bytes")?;
    if body::check(&message.body).is_none() {
        return Err(Refusal::new(ErrorCode::InvalidBody, "body: empty, too long or not allowed"));
    }
    let level =
        pb::AckLevel::try_from(message.level).map_err(|_| invalid("level: not one of these"))?;
    // A slice of the read buffer; it is copied once, when the message is
    // encoded, and does not outlive that.
    let body = message.body;
    Ok(Ask { conversation, kind: AskKind::Send { client_msg_id, body, level } })
}

fn parse_move_cursor(frame: &Frame) -> Result<Ask, Refusal> {
    let message: pb::MoveCursor = frame.message()?;
    let conversation = parse_conversation(message.conversation.as_ref())?;
    let (delivered_seq, read_seq) = (message.delivered_seq, message.read_seq);
    Ok(Ask { conversation, kind: AskKind::MoveCursor { delivered_seq, read_seq } })
}

fn parse_history(frame: &Frame) -> Result<Ask, Refusal> {
    let message: pb::History = frame.message()?;
    let conversation = parse_conversation(message.conversation.as_ref())?;
    let from_seq = message.from_seq.max(1);
    let to_seq = if message.to_seq == 0 { u64::MAX } else { message.to_seq };
    if from_seq > to_seq {
        return Err(invalid("from_seq: above to_seq"));
    }
    let limit = match message.limit {
        0 => HISTORY_LIMIT_DEFAULT,
        limit => limit.min(HISTORY_LIMIT_MAX),
    };
    let backwards = message.backwards;
    Ok(Ask { conversation, kind: AskKind::History { from_seq, to_seq, limit, backwards } })
}

fn parse_group(opcode: Opcode, frame: &Frame, own: UserId) -> Result<Command, Refusal> {
    let ask = |group: u64, kind: AskKind| -> Result<Ask, Refusal> {
        let group = GroupId::new(group).ok_or(invalid("group: missing"))?;
        Ok(Ask { conversation: ConversationId::Group(group), kind })
    };
    Ok(Command::Ask(match opcode {
        Opcode::CreateGroup => return parse_create_group(&frame.message()?, own),
        Opcode::InviteMembers => {
            let message: pb::InviteMembers = frame.message()?;
            let users = parse_users(&message.users, INVITE_USERS_MAX)?;
            if users.is_empty() {
                return Err(invalid("users: nobody"));
            }
            return Ok(Command::Invite { ask: ask(message.group, AskKind::Invite { users })? });
        }
        Opcode::LeaveGroup => ask(frame.message::<pb::LeaveGroup>()?.group, AskKind::Leave)?,
        Opcode::RemoveMember => {
            let message: pb::RemoveMember = frame.message()?;
            let user = UserId::new(message.user).ok_or(invalid("user: missing"))?;
            ask(message.group, AskKind::Remove { user })?
        }
        Opcode::SetRole => {
            let message: pb::SetRole = frame.message()?;
            let user = UserId::new(message.user).ok_or(invalid("user: missing"))?;
            let role = match message.role() {
                pb::Role::Unspecified => return Err(invalid("role: not one of these")),
                role => role,
            };
            ask(message.group, AskKind::SetRole { user, role })?
        }
        Opcode::UpdateGroup => {
            let message: pb::UpdateGroup = frame.message()?;
            check_text(&message.name, 0, DISPLAY_NAME_BYTES_MAX, "name")?;
            let history_visible = match pb::HistoryRule::try_from(message.history) {
                Ok(pb::HistoryRule::Unchanged) => None,
                Ok(pb::HistoryRule::Visible) => Some(true),
                Ok(pb::HistoryRule::Hidden) => Some(false),
                Err(_) => return Err(invalid("history: not one of these")),
            };
            ask(message.group, AskKind::Update { name: message.name, history_visible })?
        }
        Opcode::DissolveGroup => {
            ask(frame.message::<pb::DissolveGroup>()?.group, AskKind::Dissolve)?
        }
        Opcode::ListMembers => {
            let message: pb::ListMembers = frame.message()?;
            let limit = match message.limit {
                0 => MEMBERS_LIMIT_DEFAULT,
                limit => limit.min(MEMBERS_LIMIT_MAX),
            };
            ask(message.group, AskKind::Members { after_user: message.after_user, limit })?
        }
        _ => return Err(Refusal::new(ErrorCode::UnknownOpcode, "not a request")),
    }))
}

fn parse_create_group(message: &pb::CreateGroup, own: UserId) -> Result<Command, Refusal> {
    let client_group_id = parse_client_id(&message.client_group_id, "client_group_id: 16 bytes")?;
    check_text(&message.name, 1, DISPLAY_NAME_BYTES_MAX, "name")?;
    let mut members = parse_users(&message.members, INVITE_USERS_MAX)?;
    members.retain(|user| *user != own);
    let group = GroupId::derive(own, &client_group_id);
    let kind = AskKind::CreateGroup {
        client_group_id,
        name: message.name.clone(),
        members,
        history_visible: message.history_visible,
    };
    Ok(Command::CreateGroup {
        group,
        ask: Ask { conversation: ConversationId::Group(group), kind },
    })
}

fn parse_client_id(bytes: &[u8], message: &'static str) -> Result<[u8; CLIENT_ID_BYTES], Refusal> {
    bytes.try_into().map_err(|_| invalid(message))
}

/// Ascending, nobody twice.
fn parse_users(users: &[u64], max: usize) -> Result<Vec<UserId>, Refusal> {
    if users.len() > max {
        return Err(invalid("users: too many"));
    }
    let parsed: Option<Vec<_>> = users.iter().map(|user| UserId::new(*user)).collect();
    let mut parsed = parsed.ok_or(invalid("users: zero is nobody"))?;
    parsed.sort_unstable();
    parsed.dedup();
    Ok(parsed)
}

/// A text of `min` to `max` bytes without control characters.
pub(crate) fn check_text(
    text: &str,
    min: usize,
    max: usize,
    field: &'static str,
) -> Result<(), Refusal> {
    if text.len() < min || text.len() > max || text.chars().any(char::is_control) {
        return Err(match field {
            "name" => invalid("name: empty, too long, or with control characters"),
            "device_id" => invalid("device id: 1 to 64 bytes without control characters"),
            _ => invalid("a text is too short, too long, or has control characters"),
        });
    }
    Ok(())
}

/// Length only: what makes a password good is not for a server to say.
pub(crate) fn check_password(password: &str) -> Result<(), Refusal> {
    if (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&password.len()) {
        Ok(())
    } else {
        Err(invalid("password: 8 to 256 bytes"))
    }
}

/// Decodes what a login request carries.
pub(crate) fn decode<M: Message + Default>(frame: &Frame) -> Result<M, Refusal> {
    Ok(frame.message()?)
}
